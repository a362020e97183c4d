//! What a clinic does all day, as rates and as ratios to the bare floor: an append and fdatasync of the same bytes in
//! the same run. Runs are interleaved; medians are shown. `cargo bench` (about two minutes); `cargo bench -- --quick` for a look,
//! `cargo bench -- --only put` for some.

use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use chartvault::{
    Action, Grant, IssuerKey, Kind, Options, PatientId, Purpose, PutOptions, RawKey, Record, RecordId, Scope, Session,
    Suite, Vault,
};
use serde::{Deserialize, Serialize};

#[derive(Record, Serialize, Deserialize)]
#[record(kind = "note", version = 1)]
struct Note {
    text: String,
}

/// About 512 bytes once encoded.
const TEXT_LEN: usize = 500;
const CHARTS: usize = 64;
/// Records of the chart that is listed.
const CHART: usize = 1_000;

struct Bench {
    vault: Vault,
    session: Session,
    patients: Vec<PatientId>,
    /// All of them in one chart.
    notes: Vec<RecordId<Note>>,
    _dir: tempfile::TempDir,
}

fn note() -> Note {
    Note { text: "x".repeat(TEXT_LEN) }
}

impl Bench {
    fn new(suite: Suite) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let key = RawKey::generate().unwrap();
        let new = Vault::create(dir.path().join("bench.vault")).raw_key(&key).suite(suite);
        let (vault, _) = new.options(Options::new()).finish().unwrap();
        let issuer = IssuerKey::generate().unwrap();
        vault.trust_issuer(issuer.public(), &key).unwrap();
        let grant = Grant::to("bench").all_patients().all_kinds().actions(Action::ALL.iter().copied());
        let grant = grant.purpose(Purpose::Treatment).valid_for(Duration::from_secs(36_000));
        let token = grant.sign(&issuer, vault.id()).unwrap();
        let session = vault.session(&token, Purpose::Treatment).unwrap();
        let patients: Vec<_> = (0..CHARTS).map(|_| session.register_patient([]).unwrap()).collect();
        let mut batch = session.batch();
        for _ in 0..CHART {
            batch.put(patients[0], &note(), PutOptions::new()).unwrap();
        }
        let notes = batch.commit().unwrap();
        let notes = notes.into_iter().map(|record| RecordId::try_from(record).unwrap()).collect();
        Self { vault, session, patients, notes, _dir: dir }
    }
}

/// Operations a second of `threads` callers that go on for `time`; `work` gets thread and turn.
fn rate(threads: usize, time: Duration, work: impl Fn(usize, usize) -> u64 + Sync) -> f64 {
    let done = AtomicU64::new(0);
    let start = Instant::now();
    std::thread::scope(|scope| {
        for thread in 0..threads {
            let (work, done) = (&work, &done);
            scope.spawn(move || {
                let mut turn = 0;
                while start.elapsed() < time {
                    done.fetch_add(work(thread, turn), Ordering::Relaxed);
                    turn += 1;
                }
            });
        }
    });
    done.load(Ordering::Relaxed) as f64 / start.elapsed().as_secs_f64()
}

/// The floor: frames of this size appended to a zero-filled file and synced one by one.
fn append_and_sync(dir: &Path, frame: usize, time: Duration) -> f64 {
    let path = dir.join("floor");
    let mut file = File::create(&path).unwrap();
    let zeros = vec![0; 1 << 20];
    (0..64).for_each(|_| file.write_all(&zeros).unwrap());
    file.sync_all().unwrap();
    let mut file = File::options().write(true).open(&path).unwrap();
    let bytes = vec![0xA5; frame];
    let mut room = (64 << 20) / frame;
    let result = rate_mut(time, || {
        if room == 0 {
            return 0;
        }
        room -= 1;
        file.write_all(&bytes).unwrap();
        file.sync_data().unwrap();
        1
    });
    drop(file);
    std::fs::remove_file(path).unwrap();
    result
}

fn rate_mut(time: Duration, mut work: impl FnMut() -> u64) -> f64 {
    let (start, mut done) = (Instant::now(), 0);
    loop {
        let more = work();
        done += more;
        if more == 0 || start.elapsed() >= time {
            return done as f64 / start.elapsed().as_secs_f64();
        }
    }
}

fn journal_bytes(vault: &Vault) -> u64 {
    chartvault_journal_used(&vault.path().join("journal"))
}

/// Bytes of the journal that are not zero at their end: what was written, up to a sector.
fn chartvault_journal_used(dir: &Path) -> u64 {
    let segments = std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path());
    segments
        .map(|path| {
            let bytes = std::fs::read(path).unwrap();
            bytes.iter().rposition(|byte| *byte != 0).map_or(0, |last| last as u64 + 1)
        })
        .sum()
}

type Case = (&'static str, Box<dyn Fn(Duration) -> f64>);

/// Bulk puts go into a vault of their own: the others are measured beside no checkpoint of half a million records.
fn cases(name: [&'static str; 8], bench: &Arc<Bench>, bulk_bench: &Arc<Bench>) -> Vec<Case> {
    let [put1, put8, get1, get8, page, chart, bulk, verify] = name;
    type Work = fn(&Bench, Duration) -> f64;
    let with = |bench: &Arc<Bench>, work: Work| -> Box<dyn Fn(Duration) -> f64> {
        let bench = Arc::clone(bench);
        Box::new(move |time| work(&bench, time))
    };
    let on = |work: Work| with(bench, work);
    fn put(bench: &Bench, threads: usize, time: Duration) -> f64 {
        rate(threads, time, |thread, turn| {
            let patient = bench.patients[1 + (thread * 7 + turn) % (CHARTS - 1)];
            bench.session.put(patient, &note()).unwrap();
            1
        })
    }
    fn get(bench: &Bench, threads: usize, time: Duration) -> f64 {
        rate(threads, time, |thread, turn| {
            bench.session.get(bench.notes[(thread * 131 + turn * 17) % CHART]).unwrap();
            1
        })
    }
    vec![
        (put1, on(|bench, time| put(bench, 1, time))),
        (put8, on(|bench, time| put(bench, 8, time))),
        (get1, on(|bench, time| get(bench, 1, time))),
        (get8, on(|bench, time| get(bench, 8, time))),
        (
            page,
            on(|bench, time| {
                rate(1, time, |_, _| {
                    let page = bench.session.list::<Note>(bench.patients[0]).limit(100).page().unwrap();
                    page.entries.len() as u64
                })
            }),
        ),
        (
            chart,
            on(|bench, time| {
                rate(1, time, |_, _| {
                    bench.session.chart(bench.patients[0]).limit(1_000).page().unwrap().entries.len() as u64
                })
            }),
        ),
        (
            bulk,
            with(bulk_bench, |bench, time| {
                let kind = Kind::new("Observation").unwrap();
                let bytes = vec![b'x'; 800];
                rate(2, time, |thread, turn| {
                    let mut batch = bench.session.batch();
                    for at in 0..500 {
                        let patient = bench.patients[1 + (thread * 31 + turn + at / 100) % (CHARTS - 1)];
                        batch.put_verbatim(patient, &kind, &bytes, PutOptions::new()).unwrap();
                    }
                    batch.commit().unwrap().len() as u64
                })
            }),
        ),
        (
            verify,
            on(|bench, time| {
                rate_mut(time, || bench.session.audit().unwrap().verify(Scope::All).run().unwrap().entries)
            }),
        ),
    ]
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

fn main() {
    let quick = std::env::args().any(|argument| argument == "--quick");
    let only = std::env::args().skip_while(|argument| argument != "--only").nth(1).unwrap_or_default();
    let (rounds, time) = if quick { (1, 500) } else { (5, 1_500) };
    let time = Duration::from_millis(time);
    let [chacha, bulk_chacha] = [(); 2].map(|()| Arc::new(Bench::new(Suite::ChaCha20Poly1305)));
    let [aes, bulk_aes] = [(); 2].map(|()| Arc::new(Bench::new(Suite::Aes256Gcm)));

    let before = journal_bytes(&chacha.vault);
    const SAMPLE: u64 = 200;
    for _ in 0..SAMPLE {
        chacha.session.put(chacha.patients[1], &note()).unwrap();
    }
    let frame = ((journal_bytes(&chacha.vault) - before) / SAMPLE) as usize;

    let dir = tempfile::tempdir().unwrap();
    let mut all: Vec<Case> = vec![("floor", Box::new(move |time| append_and_sync(dir.path(), frame, time)))];
    let names = [
        "put, 1 caller",
        "put, 8 callers",
        "get, 1 caller",
        "get, 8 callers",
        "list, pages of 100",
        "chart of 1,000",
        "bulk put, 2 callers",
        "verify log",
    ];
    all.extend(cases(names, &chacha, &bulk_chacha));
    let first_aes = all.len();
    all.extend(cases(names, &aes, &bulk_aes));

    let mut results: Vec<Vec<f64>> = vec![Vec::new(); all.len()];
    for _ in 0..rounds {
        for ((name, case), results) in all.iter().zip(&mut results) {
            let wanted = *name == "floor" || name.contains(&only);
            results.push(if wanted { case(time) } else { f64::NAN });
        }
    }
    let floor = median(results[0].clone());
    println!("\nappend + fdatasync of the {frame} bytes of one put: {floor:.0}/s (median of {rounds} runs)\n");
    println!("| operation | unit | ChaCha20 /s | of floor | AES /s | of floor | spread |");
    println!("|---|---|---|---|---|---|---|");
    for (at, name) in names.iter().enumerate().filter(|(_, name)| name.contains(&only)) {
        let unit = match at {
            0..=3 => "calls",
            7 => "entries",
            _ => "records",
        };
        let (a, b) = (median(results[1 + at].clone()), median(results[first_aes + at].clone()));
        let (least, most) =
            results[1 + at].iter().fold((f64::MAX, 0f64), |(least, most), value| (least.min(*value), most.max(*value)));
        println!("| {name} | {unit} | {a:.0} | {:.2} | {b:.0} | {:.2} | {least:.0}–{most:.0} |", a / floor, b / floor);
    }
}
