//! Rotating the data key: versions sealed anew a second, and what a put of somebody else takes meanwhile. Then changes of key
//! slots, beside what deriving a key from a passphrase takes by itself.
//!
//! `cargo bench --bench keys`; `-- --records 20000` for a look, `-- --dir DIR` for another disk. The vault is small enough
//! for the system's cache; each version has about 512 bytes.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use chartvault::{
    Action, Grant, IssuerKey, Kind, NewSlot, Passphrase, PatientId, Progress, Purpose, PutOptions, RawKey, Session,
    Suite, Task, Vault,
};

const CHARTS: usize = 1_000;
const VALUE: usize = 512;
/// How long the other one waits between two puts.
const THINKS: Duration = Duration::from_millis(2);
/// How often each change of a slot is made.
const CHANGES: usize = 15;

struct Stand {
    vault: Vault,
    session: Session,
    key: RawKey,
    patients: Vec<PatientId>,
    kind: Kind,
    _dir: tempfile::TempDir,
}

impl Stand {
    fn new(suite: Suite, records: usize, dir: Option<&str>) -> Self {
        let dir = dir.map_or_else(tempfile::tempdir, tempfile::tempdir_in).unwrap();
        let key = RawKey::generate().unwrap();
        let (vault, _) = Vault::create(dir.path().join("vault")).raw_key(&key).suite(suite).finish().unwrap();
        let issuer = IssuerKey::generate().unwrap();
        vault.trust_issuer(issuer.public(), &key).unwrap();
        let grant = Grant::to("bench").all_patients().all_kinds().actions(Action::ALL.iter().copied());
        let grant = grant.purpose(Purpose::Treatment).valid_for(Duration::from_secs(36_000));
        let session = vault.session(grant.sign(&issuer, vault.id()).unwrap(), Purpose::Treatment).unwrap();
        let patients = session.register_patients((0..CHARTS).map(|_| [])).unwrap();
        let kind = Kind::new("note").unwrap();
        for patient in &patients {
            let mut batch = session.batch();
            for _ in 0..records / CHARTS {
                batch.put_verbatim(*patient, &kind, &[5; VALUE], PutOptions::new()).unwrap();
            }
            batch.commit().unwrap();
        }
        vault.checkpoint().unwrap();
        Self { vault, session, key, patients, kind, _dir: dir }
    }

    /// Versions sealed anew a second, without the count and the compaction that follow.
    fn rotate(&self) -> f64 {
        self.vault.begin_data_rotation(&self.key).unwrap();
        let (started, mut sealed) = (Instant::now(), None);
        let mut watch = |Progress { task, done, .. }: Progress| {
            if task == Task::ResealRecords {
                sealed = Some((done, started.elapsed()));
            }
        };
        self.vault.continue_rotation(&self.key, &mut watch).unwrap();
        sealed.map_or(0.0, |(done, took)| done as f64 / took.as_secs_f64())
    }

    /// Puts until told to end; gives what they took, sorted.
    fn put_until(&self, ended: &AtomicBool) -> Vec<Duration> {
        let mut took = Vec::new();
        for turn in 0.. {
            if ended.load(Ordering::Relaxed) {
                break;
            }
            let start = Instant::now();
            let patient = self.patients[turn % CHARTS];
            self.session.put_verbatim(patient, &self.kind, &[5; VALUE], PutOptions::new()).unwrap();
            took.push(start.elapsed());
            thread::sleep(THINKS);
        }
        took.sort();
        took
    }
}

/// Changes of slots of the vault's usual cost (Argon2id, 64 MiB, 3 passes), in turns with deriving alone.
fn slots(dir: Option<&str>) {
    let dir = dir.map_or_else(tempfile::tempdir, tempfile::tempdir_in).unwrap();
    let (raw, mut old) = (RawKey::generate().unwrap(), Passphrase::new("passphrase 0"));
    let (vault, _) = Vault::create(dir.path().join("vault")).passphrase(&old).raw_key(&raw).finish().unwrap();
    let mut took: [Vec<Duration>; 6] = Default::default();
    for turn in 1..=CHANGES {
        let mut time = |what: usize, change: &mut dyn FnMut()| {
            let start = Instant::now();
            change();
            took[what].push(start.elapsed());
        };
        let new = Passphrase::new(&format!("passphrase {turn}"));
        // Nothing else that is public derives a key once and does so little besides.
        time(0, &mut || assert!(vault.remove_slot(1, &Passphrase::new("wrong")).is_err()));
        time(1, &mut || _ = vault.change_credential(&old, NewSlot::of(&new)).unwrap());
        let mut added = 0;
        time(2, &mut || added = vault.add_slot(NewSlot::of(&Passphrase::new("another")), &new).unwrap());
        time(3, &mut || vault.remove_slot(added, &new).unwrap());
        time(4, &mut || vault.remove_slot(vault.add_slot(NewSlot::of(&raw), &raw).unwrap(), &raw).unwrap());
        let newer = Passphrase::new(&format!("newer passphrase {turn}"));
        time(5, &mut || vault.replace_slot(0, NewSlot::of(&newer), &raw).unwrap());
        old = newer;
    }
    let names = [
        "a wrong passphrase refused: deriving alone",
        "passphrase changed, the old one shown",
        "passphrase added, another shown",
        "slot removed, a passphrase shown",
        "raw key added and removed again, a raw key shown",
        "passphrase replaced, a raw key shown",
    ];
    println!("slots, medians of {CHANGES}");
    for (name, mut took) in names.iter().zip(took) {
        took.sort();
        println!("  {name}: {:.1?}", took[took.len() / 2]);
    }
}

fn show(what: &str, took: &[Duration]) {
    let at = |percent: usize| took.get(took.len() * percent / 100).copied().unwrap_or_default();
    println!("  {what}: {} puts, median {:.0?}, 95 % within {:.0?}", took.len(), at(50), at(95));
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    let after = |name: &str| {
        let at = arguments.iter().position(|argument| argument == name)?;
        arguments.get(at + 1).map(String::as_str)
    };
    let records: usize = after("--records").map_or(100_000, |records| records.parse().unwrap());
    for suite in [Suite::Aes256Gcm, Suite::ChaCha20Poly1305] {
        let stand = Stand::new(suite, records, after("--dir"));
        println!("{suite:?}, {records} versions");
        println!("  alone: {:.0} versions a second", stand.rotate());
        let ended = AtomicBool::new(false);
        let alone = thread::scope(|scope| {
            let puts = scope.spawn(|| stand.put_until(&ended));
            thread::sleep(Duration::from_secs(5));
            ended.store(true, Ordering::Relaxed);
            puts.join().unwrap()
        });
        ended.store(false, Ordering::Relaxed);
        let (rate, meanwhile) = thread::scope(|scope| {
            let puts = scope.spawn(|| stand.put_until(&ended));
            let rate = stand.rotate();
            ended.store(true, Ordering::Relaxed);
            (rate, puts.join().unwrap())
        });
        println!("  with one who puts: {rate:.0} versions a second");
        show("puts without a rotation", &alone);
        show("puts during one, compaction included", &meanwhile);
    }
    slots(after("--dir"));
}
