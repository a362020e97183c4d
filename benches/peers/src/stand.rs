//! A peer set up for measuring, and one run of an operation on it.

use std::path::{Path, PathBuf};
use std::sync::Barrier;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::clinic::{BATCH, CHART, Clinic, Desk, Name, Peer, ReadLog, VALUE, values};
use crate::works::{Call, Work};

/// Patients of a stand: the first one's chart is read, the next ten's records are, the others get new ones.
const PATIENTS: usize = 64;
const READ_FROM: usize = 10;

/// A peer with some records.
pub struct Stand {
    pub peer: &'static Peer,
    clinic: Box<dyn Clinic>,
    names: Vec<Name>,
    values: Vec<Vec<u8>>,
    dir: PathBuf,
    _own: TempDir,
}

impl Stand {
    pub fn new(peer: &'static Peer, dir: &Path) -> Self {
        let own = tempfile::tempdir_in(dir).unwrap();
        let (clinic, values) = ((peer.create)(own.path(), PATIENTS), values());
        let mut names = Vec::new();
        {
            let mut desk = clinic.desk();
            for patient in 0..=READ_FROM {
                let records: Vec<_> = (0..CHART).map(|at| (patient, values[at % values.len()].as_slice())).collect();
                let put = desk.import(&records);
                // It gives back what it was given, and all of it.
                assert_eq!(desk.read(&put[CHART - 1]), records[CHART - 1].1, "{}", peer.name);
                assert_eq!(desk.chart(patient), CHART, "{}", peer.name);
                names.extend(if patient == 0 { Vec::new() } else { put });
            }
        }
        Self { peer, clinic, names, values, dir: dir.to_owned(), _own: own }
    }

    /// Calls or records a second.
    pub fn run(&self, work: &Work, time: Duration, import: usize) -> f64 {
        if work.call == Call::Import {
            let own = tempfile::tempdir_in(&self.dir).unwrap();
            let clinic = (self.peer.create)(own.path(), PATIENTS);
            let took = fill(&*clinic, work.callers, import, PATIENTS, &self.values);
            clinic.close();
            return import as f64 / took.as_secs_f64();
        }
        let log = if work.call == Call::ReadWindowed { ReadLog::Windowed } else { ReadLog::Durable };
        self.clinic.choose(log);
        let rate = self.rate(work, time);
        self.clinic.choose(ReadLog::Durable);
        rate
    }

    /// Callers that go on for so long, after a while of the same to fill their caches. From the first call's begin to the
    /// last one's end.
    fn rate(&self, work: &Work, time: Duration) -> f64 {
        let ready = Barrier::new(work.callers);
        let call = |caller: usize| {
            let mut desk = self.clinic.desk();
            let mut turn = 0;
            let mut go_on = |time: Duration| {
                let (start, mut count) = (Instant::now(), 0);
                while start.elapsed() < time {
                    count += self.once(work.call, &mut *desk, caller, turn);
                    turn += 1;
                }
                (start, Instant::now(), count)
            };
            go_on(time / 5);
            ready.wait();
            go_on(time)
        };
        let runs: Vec<_> = std::thread::scope(|scope| {
            let callers: Vec<_> = (0..work.callers).map(|at| scope.spawn(move || call(at))).collect();
            callers.into_iter().map(|caller| caller.join().unwrap()).collect()
        });
        let start = runs.iter().map(|(start, ..)| *start).min().unwrap();
        let end = runs.iter().map(|(_, end, _)| *end).max().unwrap();
        runs.iter().map(|(.., count)| count).sum::<u64>() as f64 / (end - start).as_secs_f64()
    }

    fn once(&self, call: Call, desk: &mut dyn Desk, caller: usize, turn: usize) -> u64 {
        match call {
            Call::Put => {
                let patient = 1 + READ_FROM + (caller * 7 + turn) % (PATIENTS - 1 - READ_FROM);
                desk.put(patient, &self.values[turn % self.values.len()]);
                1
            }
            Call::Read | Call::ReadWindowed => {
                let value = desk.read(&self.names[(caller * 131 + turn * 17) % self.names.len()]);
                assert_eq!(value.len(), VALUE);
                1
            }
            Call::Chart => desk.chart(0) as u64,
            Call::Import => unreachable!("imports are not repeated"),
        }
    }

    pub fn close(self) {
        self.clinic.close();
    }
}

/// Imports so many records in batches over a few charts each, every chart in its turn: how long it took.
pub fn fill(clinic: &dyn Clinic, callers: usize, records: usize, patients: usize, values: &[Vec<u8>]) -> Duration {
    let next = AtomicUsize::new(0);
    let start = Instant::now();
    std::thread::scope(|scope| {
        for _ in 0..callers {
            scope.spawn(|| {
                let mut desk = clinic.desk();
                loop {
                    let first = next.fetch_add(1, Ordering::Relaxed) * BATCH;
                    if first >= records {
                        return;
                    }
                    let batch = first..records.min(first + BATCH);
                    let record = |at: usize| (at / CHART % patients, values[at % values.len()].as_slice());
                    desk.import(&batch.map(record).collect::<Vec<_>>());
                }
            });
        }
    });
    start.elapsed()
}
