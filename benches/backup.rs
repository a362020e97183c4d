//! Backups to a folder: how fast a base is copied, beside copying the same files; what a put of somebody else takes meanwhile; how
//! large an increment is; how fast a backup is verified without keys, and brought back, beside building the trees anew; what
//! is lost with a machine that is backed up every second, and how long the second machine takes to take over.
//!
//! `cargo bench --bench backup`; `-- --records 100000` for a look, `-- --rounds 3`, `-- --dir DIR` for another disk. A record has
//! 512 bytes; the files stay in the system's cache.

use std::fs;
use std::io::{Read, Write};
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use chartvault::{
    Action, BackupCheck, BackupIdentity, ContinuousBackup, FolderTarget, Grant, IssuerKey, Kind, PatientId, Purpose,
    PutOptions, RawKey, RecordRef, Session, Vault, Version,
};

const CHARTS: usize = 1_000;
const VALUE: usize = 512;
const PIECE: usize = 16 << 20;
/// How long the other one waits between two puts.
const THINKS: Duration = Duration::from_millis(2);
const MB: f64 = 1e6;

struct Stand {
    dir: tempfile::TempDir,
    vault: Vault,
    session: Session,
    key: RawKey,
    patients: Vec<PatientId>,
    kind: Kind,
    records: Vec<RecordRef>,
}

impl Stand {
    fn new(records: usize, dir: Option<&str>) -> Self {
        let dir = dir.map_or_else(tempfile::tempdir, tempfile::tempdir_in).unwrap();
        let key = RawKey::generate().unwrap();
        let (vault, _) = Vault::create(dir.path().join("vault")).raw_key(&key).finish().unwrap();
        let issuer = IssuerKey::generate().unwrap();
        vault.trust_issuer(issuer.public(), &key).unwrap();
        let grant = Grant::to("bench").all_patients().all_kinds().actions(Action::ALL.iter().copied());
        let grant = grant.purpose(Purpose::Treatment).valid_for(Duration::from_secs(36_000));
        let session = vault.session(grant.sign(&issuer, vault.id()).unwrap(), Purpose::Treatment).unwrap();
        let patients = session.register_patients((0..CHARTS).map(|_| [])).unwrap();
        let kind = Kind::new("note").unwrap();
        let mut put = Vec::new();
        for patient in &patients {
            let mut batch = session.batch();
            for _ in 0..records / CHARTS {
                batch.put_verbatim(*patient, &kind, &[5; VALUE], PutOptions::new()).unwrap();
            }
            put.extend(batch.commit().unwrap());
        }
        // As a night would: what is backed up is a base.
        vault.compact().unwrap();
        Self { dir, vault, session, key, patients, kind, records: put }
    }

    fn target(&self, name: &str) -> FolderTarget {
        let path = self.dir.path().join(name);
        let _ = fs::remove_dir_all(&path);
        FolderTarget::create(path).unwrap()
    }

    /// Puts until told to end; gives their median.
    fn put_until(&self, ended: &AtomicBool) -> Duration {
        let mut took = Vec::new();
        for turn in 0.. {
            if ended.load(Ordering::Relaxed) {
                break;
            }
            let start = Instant::now();
            self.session
                .put_verbatim(self.patients[turn % CHARTS], &self.kind, &[5; VALUE], PutOptions::new())
                .unwrap();
            took.push(start.elapsed());
            thread::sleep(THINKS);
        }
        took.sort();
        took[took.len() / 2]
    }

    fn amend(&self, share: usize) -> usize {
        let chosen: Vec<_> = self.records.iter().step_by(share).collect();
        // Several at once, who share their syncs.
        thread::scope(|scope| {
            for some in chosen.chunks(chosen.len().div_ceil(16)) {
                scope.spawn(move || {
                    for record in some {
                        self.session.amend_verbatim(**record, Version::FIRST, &[6; VALUE]).unwrap();
                    }
                });
            }
        });
        chosen.len()
    }
}

/// Copies files, each durable, in as large pieces as a backup does.
fn copy(from: &Path, to: &Path) -> (u64, Duration) {
    fs::create_dir_all(to).unwrap();
    let (begun, mut bytes) = (Instant::now(), 0);
    for entry in fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        let mut from = fs::File::open(path).unwrap();
        loop {
            let mut piece = Vec::with_capacity(PIECE);
            (&mut from).take(PIECE as u64).read_to_end(&mut piece).unwrap();
            if piece.is_empty() {
                break;
            }
            let mut file = fs::File::create(to.join(bytes.to_string())).unwrap();
            file.write_all(&piece).unwrap();
            file.sync_all().unwrap();
            bytes += piece.len() as u64;
        }
    }
    (bytes, begun.elapsed())
}

/// Waits until what was written and removed before is done with, which would else be paid by whoever writes next.
fn settle() {
    // Where there is no such program the figures are worse, and no less true.
    drop(Command::new("sync").status());
    thread::sleep(Duration::from_millis(500));
}

fn rate(bytes: u64, took: Duration) -> f64 {
    bytes as f64 / MB / took.as_secs_f64()
}

fn median(mut figures: Vec<f64>) -> f64 {
    figures.sort_by(f64::total_cmp);
    figures[figures.len() / 2]
}

/// What was in no backup yet, looked at again and again while somebody puts and backups are made every second; and how long
/// the second machine, which follows them, takes until it has acknowledged a put of its own.
fn take_over(stand: &Stand) {
    const LOOKS: u32 = 400;
    let (target, packs) = (stand.target("followed"), stand.target("packs"));
    let key = stand.vault.backup_key().unwrap();
    let standby = stand.dir.path().join("standby");
    stand.vault.backup(&target).packs_to(&packs).run().unwrap();
    Vault::restore(&target).follow_into(&standby, &key).unwrap();
    let plan = ContinuousBackup::to(Arc::new(FolderTarget::open(stand.dir.path().join("followed")).unwrap()));
    let plan = plan.packs_to(Arc::new(FolderTarget::open(stand.dir.path().join("packs")).unwrap()));
    let following = stand.vault.keep_backed_up(plan.every(Duration::from_secs(1))).unwrap();
    // Before its first backup it takes all for lost.
    while following.state().last.is_none() {
        thread::sleep(THINKS);
    }
    let ended = AtomicBool::new(false);
    let (mut entries, mut ages) = (vec![], vec![]);
    thread::scope(|scope| {
        let putting = scope.spawn(|| stand.put_until(&ended));
        for look in 0..LOOKS {
            thread::sleep(Duration::from_millis(50));
            let state = following.state();
            entries.push(state.waiting as f64);
            let since =
                state.waiting_since.map(|since| stand.vault.backup_status().unwrap().at.saturating_since(since));
            ages.push(since.unwrap_or_default().as_secs_f64());
            if look % 20 == 0 {
                Vault::restore(&target).follow_into(&standby, &key).unwrap();
            }
        }
        ended.store(true, Ordering::Relaxed);
        putting.join().unwrap();
    });
    following.finish().unwrap();
    let most = |of: &[f64]| of.iter().copied().fold(0.0, f64::max);
    println!(
        "in no backup               {:>8.0} entries and {:.2} s, at most {:.0} and {:.2} s",
        median(entries.clone()),
        median(ages.clone()),
        most(&entries),
        most(&ages)
    );
    let begun = Instant::now();
    Vault::restore(&target).packs_from(&packs).into(&standby, &stand.key).unwrap();
    let vault = Vault::open(&standby).unwrap().unlock(&stand.key).unwrap();
    let opened = begun.elapsed();
    vault.backup(&target).packs_to(&packs).run().unwrap();
    println!(
        "taken over                 {:>8.1} s, {:.1} s with its first backup",
        opened.as_secs_f64(),
        begun.elapsed().as_secs_f64()
    );
    assert!(stand.vault.backup(&target).packs_to(&packs).run().is_err(), "the first machine goes on");
}

fn main() {
    let (mut records, mut rounds, mut dir) = (1_000_000, 3, None);
    let mut args = std::env::args().skip(1);
    while let Some(arg) = args.next() {
        match arg.as_str() {
            "--records" => records = args.next().unwrap().parse().unwrap(),
            "--rounds" => rounds = args.next().unwrap().parse().unwrap(),
            "--dir" => dir = args.next(),
            _ => {}
        }
    }
    let stand = Stand::new(records, dir.as_deref());
    let journal = stand.dir.path().join("vault/journal");
    let never = AtomicBool::new(false);
    let alone = thread::scope(|scope| {
        let putting = scope.spawn(|| stand.put_until(&never));
        thread::sleep(Duration::from_secs(3));
        never.store(true, Ordering::Relaxed);
        putting.join().unwrap()
    });
    let office = BackupIdentity::generate();
    let (mut copied, mut plain, mut sealed, mut beside) = (vec![], vec![], vec![], vec![]);
    for round in 0..rounds {
        settle();
        // Each round writes where none has written: a disk is faster where something was removed just before.
        let fresh = |name: &str| format!("{name}-{round}");
        let (bytes, took) = copy(&journal, &stand.dir.path().join(fresh("copy")));
        copied.push(rate(bytes, took));
        let (target, packs) = (stand.target(&fresh("base")), stand.target("packs"));
        settle();
        let begun = Instant::now();
        let made = stand.vault.backup(&target).packs_to(&packs).run().unwrap();
        plain.push(rate(made.journal_bytes, begun.elapsed()));
        let target = stand.target(&fresh("sealed"));
        settle();
        let begun = Instant::now();
        let made = stand.vault.backup(&target).packs_to(&packs).seal_to(office.recipient()).run().unwrap();
        sealed.push(rate(made.journal_bytes, begun.elapsed()));
        let target = stand.target(&fresh("busy"));
        settle();
        let ended = AtomicBool::new(false);
        beside.push(thread::scope(|scope| {
            let putting = scope.spawn(|| stand.put_until(&ended));
            stand.vault.backup(&target).packs_to(&packs).run().unwrap();
            ended.store(true, Ordering::Relaxed);
            putting.join().unwrap().as_secs_f64()
        }));
        println!("round {}", round + 1);
    }
    let ratio = |of: &[f64]| median(of.to_vec()) / median(copied.clone());
    println!("{records} records of {VALUE} bytes, medians of {rounds} rounds");
    println!("files copied and synced    {:>8.0} MB/s", median(copied.clone()));
    println!("base                       {:>8.0} MB/s, {:.2} of that", median(plain.clone()), ratio(&plain));
    println!("base, sealed with age      {:>8.0} MB/s, {:.2} of that", median(sealed.clone()), ratio(&sealed));
    let (busy, alone) = (median(beside), alone.as_secs_f64());
    println!(
        "a put of somebody else     {:>8.2} ms, {:.2} times the {:.2} ms alone",
        busy * 1e3,
        busy / alone,
        alone * 1e3
    );

    let (target, packs) = (stand.target("base"), stand.target("packs"));
    let base = stand.vault.backup(&target).packs_to(&packs).run().unwrap();
    let amended = stand.amend(100);
    let more = stand.vault.backup(&target).packs_to(&packs).run().unwrap();
    let share = more.stored_bytes as f64 / base.stored_bytes as f64;
    println!(
        "increment, {amended} amended   {:>8.2} % of the base's {:.0} MB",
        share * 100.0,
        base.stored_bytes as f64 / MB
    );

    let key = stand.vault.backup_key().unwrap();
    let verified = (0..rounds).map(|_| {
        let begun = Instant::now();
        let found = BackupCheck::of(&target).signed_by(key.clone()).run().unwrap();
        assert!(found.is_sound(), "{found}");
        rate(found.bytes, begun.elapsed())
    });
    println!("verified without keys      {:>8.0} MB/s", median(verified.collect()));

    let bytes = base.journal_bytes + more.journal_bytes;
    let (mut restored, mut rebuilt) = (vec![], vec![]);
    for _ in 0..rounds {
        let place = stand.dir.path().join("restored");
        let _ = fs::remove_dir_all(&place);
        settle();
        let begun = Instant::now();
        Vault::restore(&target).packs_from(&packs).into(&place, &stand.key).unwrap();
        restored.push(rate(bytes, begun.elapsed()));
        for entry in fs::read_dir(&place).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_str().unwrap();
            if name.starts_with("sled-") {
                fs::remove_dir_all(&path).unwrap();
            } else if name.starts_with("state.") {
                fs::remove_file(&path).unwrap();
            }
        }
        settle();
        let begun = Instant::now();
        let vault = Vault::open(&place).unwrap().unlock(&stand.key).unwrap();
        rebuilt.push(rate(bytes, begun.elapsed()));
        vault.close().unwrap();
    }
    let (restored, rebuilt) = (median(restored), median(rebuilt));
    println!(
        "restored                   {restored:>8.0} MB/s, {:.2} of the {rebuilt:.0} at which trees are rebuilt",
        restored / rebuilt
    );
    let _ = fs::remove_dir_all(stand.dir.path().join("restored"));
    take_over(&stand);
}
