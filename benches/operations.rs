//! Every operation by itself, with criterion: `cargo bench --bench operations`, about six minutes; a name after `--`
//! chooses some. How they compare with the bare disk is in `everyday.rs`, which interleaves its runs.

use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use chartvault::{
    Action, AuditFilter, Grant, IssuerKey, Kind, PatientId, Purpose, PutOptions, RawKey, Record, RecordId, Scope,
    Session, Suite, Vault,
};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use serde::{Deserialize, Serialize};

#[derive(Record, Serialize, Deserialize)]
#[record(kind = "note", version = 1)]
struct Note {
    text: String,
}

/// About 512 bytes once encoded.
const TEXT_LEN: usize = 500;
const PATIENTS: usize = 64;
/// Records of the chart that is read.
const CHART: usize = 1_000;
/// Records of one batch of an import.
const BATCH: usize = 500;

struct Clinic {
    vault: Vault,
    session: Session,
    key: RawKey,
    patients: Vec<PatientId>,
    /// All of them in the first patient's chart.
    notes: Vec<RecordId<Note>>,
    dir: tempfile::TempDir,
}

fn note() -> Note {
    Note { text: "x".repeat(TEXT_LEN) }
}

impl Clinic {
    fn new(suite: Suite) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let key = RawKey::generate().unwrap();
        let (vault, _) = Vault::create(dir.path().join("clinic.vault")).raw_key(&key).suite(suite).finish().unwrap();
        let issuer = IssuerKey::generate().unwrap();
        vault.trust_issuer(issuer.public(), &key).unwrap();
        let grant = Grant::to("bench").all_patients().all_kinds().actions(Action::ALL.iter().copied());
        let grant = grant.purpose(Purpose::Treatment).valid_for(Duration::from_secs(36_000));
        let session = vault.session(grant.sign(&issuer, vault.id()).unwrap(), Purpose::Treatment).unwrap();
        let patients: Vec<_> = (0..PATIENTS).map(|_| session.register_patient([]).unwrap()).collect();
        let mut clinic = Self { vault, session, key, patients, notes: Vec::new(), dir };
        clinic.notes = clinic.fill(clinic.patients[0], CHART);
        clinic
    }

    fn fill(&self, patient: PatientId, count: usize) -> Vec<RecordId<Note>> {
        let mut batch = self.session.batch();
        for _ in 0..count {
            batch.put(patient, &note(), PutOptions::new()).unwrap();
        }
        let records = batch.commit().unwrap();
        records.into_iter().map(|record| RecordId::try_from(record).unwrap()).collect()
    }
}

fn named(suite: Suite) -> &'static str {
    match suite {
        Suite::Aes256Gcm => "aes",
        _ => "chacha20",
    }
}

const SUITES: [Suite; 2] = [Suite::ChaCha20Poly1305, Suite::Aes256Gcm];

/// Time of `turns` calls that `callers` threads share.
fn shared(callers: usize, turns: u64, work: impl Fn(u64) + Sync) -> Duration {
    let next = AtomicU64::new(0);
    let start = Instant::now();
    std::thread::scope(|scope| {
        for _ in 0..callers {
            scope.spawn(|| {
                loop {
                    let turn = next.fetch_add(1, Ordering::Relaxed);
                    if turn >= turns {
                        return;
                    }
                    work(turn);
                }
            });
        }
    });
    start.elapsed()
}

fn at<T>(list: &[T], turn: u64) -> &T {
    &list[usize::try_from(turn).unwrap() % list.len()]
}

/// One record at a time; each is durable, and so is its entry.
fn writes(criterion: &mut Criterion) {
    for suite in SUITES {
        let clinic = Clinic::new(suite);
        let mut group = criterion.benchmark_group(named(suite));
        for callers in [1, 8] {
            group.bench_function(format!("put, {callers} callers"), |bencher| {
                bencher.iter_custom(|turns| {
                    shared(callers, turns, |turn| {
                        clinic.session.put(*at(&clinic.patients[1..], turn), &note()).unwrap();
                    })
                });
            });
        }
        group.bench_function("amend", |bencher| {
            let id = clinic.session.put(clinic.patients[1], &note()).unwrap();
            bencher.iter(|| {
                let version = clinic.session.get(id).unwrap().version;
                clinic.session.amend(id, version, &note()).unwrap()
            });
        });
    }
}

/// Reads from the cache; each leaves a durable entry.
fn reads(criterion: &mut Criterion) {
    for suite in SUITES {
        let clinic = Clinic::new(suite);
        let mut group = criterion.benchmark_group(named(suite));
        for callers in [1, 8] {
            group.bench_function(format!("get, {callers} callers"), |bencher| {
                bencher.iter_custom(|turns| {
                    shared(callers, turns, |turn| {
                        clinic.session.get(*at(&clinic.notes, turn * 17)).unwrap();
                    })
                });
            });
        }
        group.throughput(Throughput::Elements(100));
        group.bench_function("get many, 100", |bencher| {
            bencher.iter(|| clinic.session.get_many(&clinic.notes[..100]).unwrap());
        });
        group.bench_function("list, a page of 100", |bencher| {
            bencher.iter(|| clinic.session.list::<Note>(clinic.patients[0]).limit(100).page().unwrap());
        });
        group.throughput(Throughput::Elements(CHART as u64));
        group.bench_function("chart of 1,000", |bencher| {
            bencher.iter(|| clinic.session.chart(clinic.patients[0]).limit(CHART).page().unwrap());
        });
    }
}

/// Batches of 500 records over 64 charts, as an import makes them.
fn import(criterion: &mut Criterion) {
    for suite in SUITES {
        let clinic = Clinic::new(suite);
        let kind = Kind::new("Observation").unwrap();
        let bytes = vec![b'x'; 800];
        let mut group = criterion.benchmark_group(named(suite));
        group.throughput(Throughput::Elements(BATCH as u64));
        group.bench_function("import, 2 callers", |bencher| {
            bencher.iter_custom(|turns| {
                shared(2, turns, |turn| {
                    let mut batch = clinic.session.batch();
                    for record in 0..BATCH as u64 {
                        let patient = *at(&clinic.patients[1..], turn * 31 + record / 100);
                        batch.put_verbatim(patient, &kind, &bytes, PutOptions::new()).unwrap();
                    }
                    batch.commit().unwrap();
                })
            });
        });
    }
}

/// Entries of the log that is asked and verified.
const ENTRIES: u64 = 10_000;

fn audit(criterion: &mut Criterion) {
    for suite in SUITES {
        let clinic = Clinic::new(suite);
        shared(8, ENTRIES, |turn| {
            clinic.session.get(*at(&clinic.notes, turn)).unwrap();
        });
        let mut group = criterion.benchmark_group(named(suite));
        group.bench_function("query, newest 100 about a patient", |bencher| {
            bencher.iter(|| {
                let log = clinic.session.audit().unwrap();
                log.query(AuditFilter::new().patient(clinic.patients[0])).limit(100).page().unwrap()
            });
        });
        group.throughput(Throughput::Elements(ENTRIES));
        group.bench_function("verify", |bencher| {
            bencher.iter(|| clinic.session.audit().unwrap().verify(Scope::All).run().unwrap());
        });
    }
}

/// Opening and unlocking with a raw key, so that no password hashing hides the rest: 20,000 records.
fn open(criterion: &mut Criterion) {
    let clinic = Clinic::new(Suite::ChaCha20Poly1305);
    for patient in &clinic.patients[..20] {
        clinic.fill(*patient, 1_000);
    }
    let dirs = tempfile::tempdir().unwrap();
    let (crashed, copy) = (dirs.path().join("crashed"), dirs.path().join("copy"));
    // What a crash leaves: the files as they are while the vault is open.
    copy_dir(clinic.vault.path(), &crashed);
    let Clinic { vault, session, key, dir, .. } = clinic;
    drop(session);
    vault.close().unwrap();
    let path = dir.path().join("clinic.vault");

    let mut group = criterion.benchmark_group("open");
    group.sample_size(10);
    group.bench_function("after a clean close", |bencher| {
        bencher.iter_custom(|turns| (0..turns).map(|_| opened(&path, &key)).sum());
    });
    group.bench_function("after a crash", |bencher| {
        bencher.iter_custom(|turns| {
            let after_a_crash = |_| {
                fs::remove_dir_all(&copy).ok();
                copy_dir(&crashed, &copy);
                opened(&copy, &key)
            };
            (0..turns).map(after_a_crash).sum()
        });
    });
}

fn opened(path: &Path, key: &RawKey) -> Duration {
    let start = Instant::now();
    let vault = Vault::open(path).unwrap().unlock(key).unwrap();
    let took = start.elapsed();
    vault.close().unwrap();
    took
}

fn copy_dir(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy_dir(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}

criterion_group! {
    name = benches;
    config = Criterion::default().warm_up_time(Duration::from_secs(1)).measurement_time(Duration::from_secs(5)).sample_size(30);
    targets = writes, reads, import, audit, open
}
criterion_main!(benches);
