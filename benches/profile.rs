//! One operation over and over, on a memory disk where there is one: for perf and callgrind (docs/performance.md, "Where the
//! time goes").
//!
//! `cargo bench --bench profile -- get --times 50000`; without arguments each operation a few times, with the
//! processor time of a call. With `--dir DIR` the vault is made there, on a real disk: what it is asked to do, strace
//! shows. With the feature `test-util` and `--memory` nothing is written at all, so that the number of instructions is
//! nearly the same in each run (`.ci/instructions`).

use std::path::Path;
use std::time::{Duration, Instant};

use chartvault::{
    Action, Grant, IssuerKey, Kind, PatientId, Purpose, PutOptions, RawKey, ReadAudit, RecordRef, Session, Suite, Vault,
};

/// Records of the chart.
const CHART: usize = 100;
/// Records of a batch, and bytes of each.
const BATCH: usize = 500;
const VALUE: usize = 512;
const OPERATIONS: [&str; 6] = ["put", "get", "windowed-get", "chart", "batch", "session"];

enum Store<'s> {
    Dir(&'s Path),
    #[cfg(feature = "test-util")]
    Memory(&'s chartvault::test_util::MemoryStore),
}

struct Stand {
    vault: Vault,
    session: Session,
    token: chartvault::Token,
    patient: PatientId,
    kind: Kind,
    records: Vec<RecordRef>,
}

impl Stand {
    fn new(store: Store<'_>, suite: Suite, windowed: bool) -> Self {
        let key = RawKey::from_bytes([7; 32]);
        let (new, delay) = match store {
            Store::Dir(dir) => (Vault::create(dir.join("vault")), Duration::from_millis(100)),
            // So long that no other thread has anything to do.
            #[cfg(feature = "test-util")]
            Store::Memory(memory) => (memory.create_vault(), Duration::from_secs(60)),
        };
        let mut new = new.raw_key(&key).suite(suite);
        if windowed {
            new = new.read_audit(ReadAudit::Windowed { delay, entries: 10_000 });
        }
        let (vault, _) = new.finish().unwrap();
        let issuer = IssuerKey::from_secret_bytes(&[9; 32]);
        vault.trust_issuer(issuer.public(), &key).unwrap();
        let grant = Grant::to("profile").all_patients().all_kinds().actions(Action::ALL.iter().copied());
        let grant = grant.purpose(Purpose::Treatment).valid_for(Duration::from_secs(36_000));
        let token = grant.sign(&issuer, vault.id()).unwrap();
        let session = vault.session(&token, Purpose::Treatment).unwrap();
        let patient = session.register_patient([]).unwrap();
        let mut stand = Self { vault, session, token, patient, kind: Kind::new("note").unwrap(), records: Vec::new() };
        stand.records = stand.batch(CHART);
        stand
    }

    fn batch(&self, records: usize) -> Vec<RecordRef> {
        let mut batch = self.session.batch();
        for _ in 0..records {
            batch.put_verbatim(self.patient, &self.kind, &[5; VALUE], PutOptions::new()).unwrap();
        }
        batch.commit().unwrap()
    }

    fn call(&self, operation: &str, turn: usize) {
        match operation {
            "put" => {
                self.session.put_verbatim(self.patient, &self.kind, &[5; VALUE], PutOptions::new()).unwrap();
            }
            "get" | "windowed-get" => {
                self.session.get_verbatim(self.records[turn % CHART]).unwrap();
            }
            "chart" => assert_eq!(self.session.chart(self.patient).limit(CHART).page().unwrap().entries.len(), CHART),
            "batch" => assert_eq!(self.batch(BATCH).len(), BATCH),
            "session" => drop(self.vault.session(&self.token, Purpose::Treatment).unwrap()),
            _ => panic!("{operation} is none of {OPERATIONS:?}"),
        }
    }
}

/// Microseconds of processor time of this thread and of the whole process, if the system tells.
fn processor_time() -> Option<(f64, f64)> {
    let of = |path: &str| -> Option<f64> {
        let all = std::fs::read_to_string(path).ok()?;
        all.split_whitespace().next()?.parse::<f64>().ok().map(|nanoseconds| nanoseconds / 1e3)
    };
    let threads = std::fs::read_dir("/proc/self/task").ok()?;
    let all = threads.flatten().filter_map(|thread| of(&format!("{}/schedstat", thread.path().display()))).sum();
    Some((of("/proc/thread-self/schedstat")?, all))
}

fn profile(operation: &str, suite: Suite, times: usize, disk: Option<&str>, in_memory: bool) {
    let memory_disk = Path::new("/dev/shm");
    let dir = match disk {
        Some(disk) => tempfile::tempdir_in(disk),
        None if memory_disk.is_dir() => tempfile::tempdir_in(memory_disk),
        None => tempfile::tempdir(),
    };
    let dir = dir.unwrap();
    #[cfg(feature = "test-util")]
    let memory = chartvault::test_util::MemoryStore::new();
    let store = match in_memory {
        false => Store::Dir(dir.path()),
        #[cfg(feature = "test-util")]
        true => Store::Memory(&memory),
        #[cfg(not(feature = "test-util"))]
        true => panic!("--memory wants the feature test-util"),
    };
    let stand = Stand::new(store, suite, operation == "windowed-get");
    let (start, before) = (Instant::now(), processor_time());
    (0..times).for_each(|turn| stand.call(operation, turn));
    let per_call = 1.0 / times as f64;
    print!("{operation}, {suite:?}: {:.1} µs a call", start.elapsed().as_secs_f64() * 1e6 * per_call);
    if let (Some(before), Some(after)) = (before, processor_time()) {
        let (own, all) = ((after.0 - before.0) * per_call, (after.1 - before.1) * per_call);
        print!("; processor time: {own:.1} µs of the caller, {all:.1} µs of all threads");
    }
    println!();
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    let after = |name: &str| {
        let at = arguments.iter().position(|argument| argument == name)?;
        arguments.get(at + 1).map(String::as_str)
    };
    let times: usize = after("--times").map_or(2_000, |times| times.parse().unwrap());
    let suites = match after("--suite") {
        Some("aes") => vec![Suite::Aes256Gcm],
        Some("chacha20") => vec![Suite::ChaCha20Poly1305],
        _ => vec![Suite::ChaCha20Poly1305, Suite::Aes256Gcm],
    };
    let in_memory = arguments.iter().any(|argument| argument == "--memory");
    let chosen = arguments.first().filter(|first| !first.starts_with("--"));
    for operation in OPERATIONS.iter().filter(|operation| chosen.is_none_or(|chosen| chosen == *operation)) {
        let times = match *operation {
            "chart" => times.div_ceil(CHART),
            "batch" => times.div_ceil(BATCH),
            _ => times,
        };
        suites.iter().for_each(|suite| profile(operation, *suite, times, after("--dir"), in_memory));
    }
}
