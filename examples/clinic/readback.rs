//! Act three: every record comes back exactly as it stands in the file.

use std::collections::HashMap;
use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use chartvault::{PatientId, RecordRef, Session};
use indicatif::ProgressBar;
use sha2::{Digest, Sha256};

use crate::Outcome;
use crate::import::Imported;
use crate::lines::Lines;
use crate::show::{self, count, item, rate};
use crate::staff::Clinic;

pub struct Read {
    pub records: usize,
    pub took: Duration,
}

/// SHA-256 of what must be found, by record.
type Chart = HashMap<RecordRef, [u8; 32]>;

pub fn run(clinic: &Clinic, file: &Path, imported: &Imported) -> Outcome<Read> {
    let charts = expected(file, &imported.records)?;
    let session = clinic.exporter()?;
    let started = Instant::now();
    let bar = show::bar(imported.records.len() as u64);
    let charts = Mutex::new(charts.into_iter());
    let next = || charts.lock().unwrap_or_else(PoisonError::into_inner).next();
    let work = || -> Outcome<usize> {
        let mut equal = 0;
        while let Some((patient, chart)) = next() {
            equal += compare(&session, patient, chart, &bar)?;
        }
        Ok(equal)
    };
    // Each batch waits for its log entry to be on the disk; others go on meanwhile.
    let threads = 4 * thread::available_parallelism().map_or(1, usize::from);
    let equal: Vec<Outcome<usize>> = thread::scope(|scope| {
        let threads: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        threads.into_iter().map(|thread| thread.join().unwrap_or_else(|_| Err("a reader panicked".into()))).collect()
    });
    let took = started.elapsed();
    bar.finish_and_clear();
    session.close()?;
    let equal = equal.into_iter().sum::<Outcome<usize>>()?;
    if equal != imported.records.len() {
        return Err(format!("{equal} records came back of {}", imported.records.len()).into());
    }
    item("read and compared", format!("{}, all equal to the file", count(equal)));
    item("speed", rate(equal, took));
    Ok(Read { records: equal, took })
}

/// Reads the file a second time, for what must be found in each chart.
fn expected(file: &Path, records: &[RecordRef]) -> Outcome<HashMap<PatientId, Chart>> {
    let mut charts: HashMap<PatientId, Chart> = HashMap::new();
    let mut records = records.iter();
    let mut lines = Lines::open(file, &ProgressBar::hidden())?;
    while let Some(chunk) = lines.chunk()? {
        for line in &chunk.lines {
            let record = records.next().ok_or("the file has grown meanwhile")?;
            charts.entry(record.patient()).or_default().insert(*record, Sha256::digest(line).into());
        }
    }
    Ok(charts)
}

/// Takes a chart out. Each thousand of its records has one entry of the log, which names every record in it.
fn compare(session: &Session, patient: PatientId, mut chart: Chart, bar: &ProgressBar) -> Outcome<usize> {
    let wanted = chart.len();
    for entry in session.export().patients([patient]).start()? {
        let entry = entry?;
        let found: [u8; 32] = Sha256::digest(&entry.verbatim()?.value).into();
        if chart.remove(&entry.record()) != Some(found) {
            return Err(format!("{} is not what was imported", entry.record()).into());
        }
        bar.inc(1);
    }
    match chart.keys().next() {
        Some(lost) => Err(format!("{lost} was imported and did not come back").into()),
        None => Ok(wanted),
    }
}
