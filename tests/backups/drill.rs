//! Rehearsed restores: what one finds, what it leaves, and what the vault remembers of its backups.

use crate::support;

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use chartvault::*;
use support::offsite::{Offsite, told};
use support::{Allergy, note, verify, whole_log};

/// A place below which drills restore.
fn below(site: &Offsite) -> PathBuf {
    let below = site.place("temporary");
    fs::create_dir_all(&below).unwrap();
    below
}

fn drill(site: &Offsite) -> Drill<'_> {
    site.vault.drill(&site.target).packs_from(&site.packs).into_temporary(below(site))
}

/// Nothing is left of any drill.
fn gone(site: &Offsite) {
    assert_eq!(fs::read_dir(below(site)).unwrap().count(), 0);
}

/// The entries of drills: how each ended, and what it says.
fn drills(session: &Session) -> Vec<(Outcome, String)> {
    let of = whole_log(session).into_iter().filter(|entry| entry.event == AuditEvent::DrillDone);
    of.map(|entry| (entry.outcome, entry.detail.unwrap())).collect()
}

fn target(site: &Offsite) -> TargetStatus {
    let targets = site.vault.backup_status().unwrap().targets;
    assert_eq!(targets.len(), 1, "{targets:?}");
    targets.into_iter().next().unwrap()
}

#[test]
fn a_sound_backup_passes_and_the_evidence_is_in_the_log_and_the_status() {
    let site = Offsite::new();
    let (patient, _) = site.patient(300);
    let session = site.session();
    // One of a kind that chance would not find among so many.
    session.put(patient, &Allergy { substance: "latex".into() }).unwrap();
    for _ in 0..30 {
        site.patient(3);
    }
    let made = site.backup().run().unwrap();
    let drilled = drill(&site).records(20).run(&site.house.key).unwrap();
    gone(&site);
    assert!(drilled.is_sound() && drilled.matches_live, "{drilled}");
    assert_eq!((drilled.manifest, drilled.entries, drilled.pack), (made.manifest, made.entries, 1));
    let mut kinds: Vec<&str> = drilled.kinds.iter().map(Kind::as_str).collect();
    kinds.sort_unstable();
    assert_eq!(kinds, ["allergy", "note"]);
    assert!((20..=21).contains(&drilled.records_opened), "{drilled}");
    // The entry of the backup itself.
    assert_eq!(drilled.missing, 1);
    assert!(drilled.recovery > Duration::ZERO && drilled.took >= drilled.recovery);
    let logged = drills(&session);
    assert_eq!(logged.len(), 1);
    assert_eq!(logged[0].0, Outcome::Allowed);
    for part in ["manifest 1", &format!("{} log entries", made.entries), "of 2 kinds", "goes on from it", "key pack 1"]
    {
        assert!(logged[0].1.contains(part), "{part}: {}", logged[0].1);
    }
    let last = target(&site).last_drill.unwrap();
    assert_eq!((last.outcome, last.manifest, last.records), (Outcome::Allowed, 1, drilled.records_opened));
    assert_eq!(last.recovery, drilled.recovery);
    assert_eq!(
        target(&site).last_verified.map(|verified| (verified.outcome, verified.manifest)),
        Some((Outcome::Allowed, 1))
    );
    verify(&session);
    // The copy wrote nothing to the target, and nothing of it to this log.
    assert!(told(&session, AuditEvent::VaultRestored).is_empty());
    assert!(!site.backup().run().unwrap().from_the_beginning);
}

#[test]
fn all_records_are_opened_where_there_are_fewer_and_a_thorough_drill_checks_everything() {
    let site = Offsite::new();
    let (_, notes) = site.patient(12);
    let session = site.session();
    session.amend(notes[3], Version::FIRST, &note("amended")).unwrap();
    site.patient(0);
    site.backup().run().unwrap();
    let drilled = drill(&site).records(1_000).thorough().run(&site.house.key).unwrap();
    assert!(drilled.is_sound(), "{drilled}");
    assert_eq!(drilled.records_opened, 13);
    // An empty selection still opens one of each kind.
    let drilled = drill(&site).records(0).run(&site.house.key).unwrap();
    assert_eq!((drilled.records_opened, drilled.kinds.len()), (1, 1));
    gone(&site);
}

#[test]
fn a_vault_without_a_record_is_drilled() {
    let site = Offsite::new();
    site.backup().run().unwrap();
    let drilled = drill(&site).run(&site.house.key).unwrap();
    assert!(drilled.is_sound(), "{drilled}");
    assert_eq!((drilled.records_opened, drilled.kinds.len()), (0, 0));
}

#[test]
fn a_damaged_object_fails_the_drill_with_an_entry() {
    let site = Offsite::new();
    site.patient(200);
    site.backup().run().unwrap();
    let objects: Vec<PathBuf> =
        support::files_in(&site.disk()).into_iter().filter(|f| f.starts_with("objects")).collect();
    let path = site.disk().join(&objects[0]);
    let mut bytes = fs::read(&path).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(&path, bytes).unwrap();
    let refused = drill(&site).run(&site.house.key);
    assert!(matches!(refused, Err(Error::Backup(BackupFault::Damaged { number: 1, .. }))), "{refused:?}");
    gone(&site);
    let logged = drills(&site.session());
    assert_eq!(logged.len(), 1);
    assert!(logged[0].0 == Outcome::Failed && logged[0].1.contains("is damaged"), "{logged:?}");
    let last = target(&site).last_drill.unwrap();
    assert_eq!((last.outcome, last.manifest, last.recovery), (Outcome::Failed, 0, Duration::ZERO));
    assert!(target(&site).to_string().contains("FAILED"), "{}", target(&site));
    assert!(site.vault.backup_status().unwrap().last_sound_drill().is_none());
}

#[test]
fn a_wrong_credential_and_a_missing_pack_leave_an_entry_and_no_folder() {
    let site = Offsite::new();
    site.patient(5);
    site.backup().run().unwrap();
    let wrong = drill(&site).run(&RawKey::generate().unwrap());
    assert!(matches!(wrong, Err(Error::Unlock(_))), "{wrong:?}");
    gone(&site);
    let none = site.vault.drill(&site.target).into_temporary(below(&site)).run(&site.house.key);
    assert!(matches!(none, Err(Error::Backup(BackupFault::NoPack { .. }))), "{none:?}");
    gone(&site);
    let nowhere = drill(&site).into_temporary(site.place("missing")).run(&site.house.key);
    assert!(matches!(nowhere, Err(Error::Io { .. })), "{nowhere:?}");
    assert!(drills(&site.session()).iter().all(|(outcome, _)| *outcome == Outcome::Failed));
    assert_eq!(drills(&site.session()).len(), 3);
}

#[test]
fn sealed_backups_are_drilled_with_an_identity() {
    let site = Offsite::new();
    site.patient(5);
    let office = BackupIdentity::generate();
    site.backup().seal_to(office.recipient()).run().unwrap();
    let refused = drill(&site).run(&site.house.key);
    assert!(matches!(refused, Err(Error::Backup(BackupFault::Sealed))), "{refused:?}");
    assert!(drill(&site).identity(office).run(&site.house.key).unwrap().is_sound());
}

#[test]
fn an_older_backup_passes_and_says_how_much_is_missing() {
    let site = Offsite::new();
    let (gone_since, _) = site.patient(20);
    let (_, notes) = site.patient(20);
    let made = site.backup().run().unwrap();
    let session = site.session();
    for id in &notes {
        session.amend(*id, Version::FIRST, &note("amended since")).unwrap();
    }
    site.patient(40);
    site.erase(gone_since);
    let now = site.vault.backup_status().unwrap().entries;
    let drilled = drill(&site).records(1_000).run(&site.house.key).unwrap();
    assert!(drilled.is_sound(), "{drilled}");
    assert_eq!(drilled.missing, now - made.entries);
    assert!(drilled.missing > 60, "{drilled}");
    // The pack is from before the erasure, so the copy still has her.
    assert_eq!((drilled.records_opened, drilled.erased_since), (40, 20));
    // A new pack brings the ledger along.
    site.backup().run().unwrap();
    let drilled = drill(&site).records(1_000).run(&site.house.key).unwrap();
    assert!(drilled.is_sound() && drilled.erased_since == 0, "{drilled}");
    assert_eq!(drilled.records_opened, 80);
}

#[test]
fn records_sealed_anew_since_are_the_same() {
    let site = Offsite::new();
    site.patient(30);
    site.backup().run().unwrap();
    site.vault.begin_data_rotation(&site.house.key).unwrap();
    site.vault.continue_rotation(&site.house.key, &mut |_| ()).unwrap();
    let drilled = drill(&site).records(1_000).run(&site.house.key);
    match drilled {
        Ok(drilled) => assert!(drilled.is_sound() && drilled.records_opened == 30, "{drilled}"),
        Err(error) => panic!("{error}"),
    }
}

#[test]
fn a_vault_that_went_its_own_way_is_found() {
    let mut site = Offsite::new();
    let (_, notes) = site.patient(20);
    site.vault.close().unwrap();
    let copy = site.place("copy");
    support::copy_dir(&site.house.path(), &copy);
    site.vault = site.house.open();
    site.session().amend(notes[0], Version::FIRST, &note("in the one")).unwrap();
    site.patient(20);
    site.backup().run().unwrap();
    site.vault.close().unwrap();
    // The copy is put in its place: it is shorter at first, and then as long.
    site.vault = site.house.open_at(&copy).unwrap();
    for (writes, what) in [(0, "shorter"), (60, "does not go on")] {
        let session = site.session();
        if writes > 0 {
            // Another version in the very place of the one that the backup has.
            session.amend(notes[0], Version::FIRST, &note("in the other")).unwrap();
        }
        for _ in 0..writes {
            session.register_patient([]).unwrap();
        }
        let drilled = drill(&site).records(1_000).run(&site.house.key).unwrap();
        assert!(!drilled.is_sound() && !drilled.matches_live, "{drilled}");
        assert!(drilled.findings[0].to_string().contains(what), "{drilled}");
        // Those that were written before both parted are the same.
        let lacking = drilled.findings.iter().filter(|finding| finding.what.contains("lacks it")).count();
        assert_eq!((lacking, drilled.records_opened), (21, 20), "{drilled}");
        let (outcome, said) = drills(&session).pop().unwrap();
        assert!(outcome == Outcome::Failed && said.contains("NOT go on") && said.contains(what), "{said}");
        gone(&site);
    }
    let last = target(&site).last_drill.unwrap();
    assert_eq!((last.outcome, last.manifest), (Outcome::Failed, 1));
}

/// A disk without room, under the name of another.
struct Full(String);

impl BackupTarget for Full {
    fn put_new(&self, _: &str, _: &[u8]) -> Result<(), TargetError> {
        Err(TargetError::Full)
    }
    fn get(&self, name: &str, _: usize) -> Result<Vec<u8>, TargetError> {
        Err(TargetError::Absent { name: name.to_owned() })
    }
    fn list(&self, _: &str, _: &mut dyn FnMut(StoredObject)) -> Result<(), TargetError> {
        Ok(())
    }
    fn delete(&self, name: &str) -> Result<(), TargetError> {
        Err(TargetError::Absent { name: name.to_owned() })
    }
    fn name(&self) -> &str {
        &self.0
    }
}

#[test]
fn status_before_after_and_with_a_failure() {
    let site = Offsite::new();
    let none = site.vault.backup_status().unwrap();
    assert!(none.targets.is_empty() && none.loss_window().is_none() && none.to_string().contains("no backup"));
    site.patient(10);
    let made = site.backup().run().unwrap();
    let after = site.vault.backup_status().unwrap();
    assert_eq!(after.loss_window(), Some((1, Duration::ZERO)));
    let last = after.targets[0].last_backup.unwrap();
    assert_eq!((last.manifest, last.entries, last.stored_bytes), (1, made.entries, made.stored_bytes));
    assert_eq!((last.at, last.took), (made.made, made.took));
    assert_eq!(last.pack.map(|pack| (pack.number, pack.erasures)), Some((1, 0)));
    site.house.clock.step(3 * 3_600);
    let (_, notes) = site.patient(10);
    let later = site.vault.backup_status().unwrap();
    assert_eq!(later.loss_window(), Some((later.entries - made.entries, Duration::from_secs(3 * 3_600))));
    assert!(later.entries - made.entries > u64::try_from(notes.len()).unwrap());
    assert!(later.to_string().contains("of the last 3 h"), "{later}");
    // The disk is full.
    let full = Full(site.target.name().to_owned());
    let refused = site.vault.backup(&full).packs_to(&site.packs).run();
    assert!(matches!(refused, Err(Error::Backup(BackupFault::Target { .. }))), "{refused:?}");
    let failing = target(&site);
    assert_eq!(failing.last_backup, Some(last));
    assert_eq!(failing.failing().map(|failure| failure.at), Some(site.house.clock.now()));
    assert!(failing.to_string().contains("FAILING"), "{failing}");
    // It is mended, and all of it stands after the vault was opened again.
    site.house.clock.step(60);
    site.backup().run().unwrap();
    let mended = site.vault.backup_status().unwrap();
    assert!(mended.targets[0].failing().is_none() && mended.targets[0].last_failure.is_some());
    site.vault.close().unwrap();
    let vault = site.house.open();
    assert_eq!(vault.backup_status().unwrap().targets[0].last_backup, mended.targets[0].last_backup);
    assert_eq!(vault.backup_status().unwrap().targets[0].last_failure, mended.targets[0].last_failure);
}

#[test]
fn status_knows_of_backups_that_follow_the_vault_before_the_log_does() {
    let site = Offsite::new();
    let target = Arc::new(FolderTarget::open(site.disk()).unwrap());
    let plan = ContinuousBackup::to(target).packs_to(Arc::new(FolderTarget::open(site.safe()).unwrap()));
    let following = site.vault.keep_backed_up(plan.every(Duration::from_secs(1))).unwrap();
    let mut manifest = 0;
    for _ in 0..3 {
        let (_, notes) = site.patient(5);
        let begun = Instant::now();
        // Until a backup has them.
        let entries = site.vault.backup_status().unwrap().entries;
        let covers = |status: &BackupStatus| {
            status.targets.first().and_then(|of| of.last_backup).filter(|made| made.entries >= entries)
        };
        let made = loop {
            if let Some(made) = covers(&site.vault.backup_status().unwrap()) {
                break made;
            }
            assert!(begun.elapsed() < Duration::from_secs(60), "{}", site.vault.backup_status().unwrap());
            thread::sleep(Duration::from_millis(50));
        };
        assert!(made.manifest > manifest && notes.len() == 5);
        manifest = made.manifest;
    }
    drop(following);
    // The log was told of the first one only.
    assert_eq!(told(&site.session(), AuditEvent::BackupMade).len(), 1);
}

#[test]
fn at_most_64_targets_are_remembered_the_newest() {
    let site = Offsite::new();
    for number in 0..66 {
        let place = FolderTarget::create(site.place(&format!("disk-{number}"))).unwrap();
        site.house.clock.step(1);
        // Nothing was backed up there, so each leaves an entry of a failure.
        let refused = site.vault.drill(&place).into_temporary(below(&site)).run(&site.house.key);
        assert!(matches!(refused, Err(Error::Backup(BackupFault::NoPack { .. }))), "{refused:?}");
    }
    let remembered = |vault: &Vault| {
        let targets = vault.backup_status().unwrap().targets;
        let mut numbers: Vec<u32> =
            targets.iter().map(|of| of.target.rsplit('-').next().unwrap().parse().unwrap()).collect();
        numbers.sort_unstable();
        numbers
    };
    let expected: Vec<u32> = (2..66).collect();
    assert_eq!(remembered(&site.vault), expected);
    site.vault.close().unwrap();
    assert_eq!(remembered(&site.house.open()), expected);
}

#[test]
fn what_is_left_of_a_drill_that_was_killed_opens_as_no_vault() {
    let site = Offsite::new();
    site.patient(20);
    site.backup().run().unwrap();
    let left = site.place("left");
    let mut copied = false;
    let drilled = drill(&site)
        .run_with(&site.house.key, &mut |progress| {
            if progress.task == Task::Drill && !copied {
                let folder = fs::read_dir(below(&site)).unwrap().next().unwrap().unwrap().path();
                support::copy_dir(&folder, &left);
                copied = true;
            }
        })
        .unwrap();
    assert!(copied && drilled.is_sound(), "{drilled}");
    let opened = site.house.open_at(&left).map(drop);
    assert!(matches!(opened, Err(Error::RestoreUnfinished { .. })), "{opened:?}");
}

/// A target with a name that nobody would give one.
struct Named(FolderTarget, String);

impl BackupTarget for Named {
    fn put_new(&self, name: &str, bytes: &[u8]) -> Result<(), TargetError> {
        self.0.put_new(name, bytes)
    }
    fn get(&self, name: &str, limit: usize) -> Result<Vec<u8>, TargetError> {
        self.0.get(name, limit)
    }
    fn list(&self, prefix: &str, each: &mut dyn FnMut(StoredObject)) -> Result<(), TargetError> {
        self.0.list(prefix, each)
    }
    fn delete(&self, name: &str) -> Result<(), TargetError> {
        self.0.delete(name)
    }
    fn name(&self) -> &str {
        &self.1
    }
}

#[test]
fn a_name_that_is_too_long_or_holds_anything_is_cut_and_shown_without_it() {
    let site = Offsite::new();
    site.patient(3);
    let place = Named(FolderTarget::create(site.place("named")).unwrap(), format!("disk\n{}", "ü".repeat(3_000)));
    let drill = || site.vault.drill(&place).packs_from(&site.packs).into_temporary(below(&site));
    assert!(drill().run(&site.house.key).is_err());
    site.vault.backup(&place).packs_to(&site.packs).run().unwrap();
    assert!(drill().run(&site.house.key).unwrap().is_sound());
    let kept = target(&site).target;
    assert!(kept.starts_with("disk?ü") && kept.len() <= 1_024, "{kept}");
    let session = site.session();
    let said = told(&session, AuditEvent::BackupMade);
    assert!(said[0].contains("manifest 1") && said[0].contains("log entries") && !said[0].contains('\n'), "{said:?}");
    let (outcome, said) = drills(&session).pop().unwrap();
    assert!(outcome == Outcome::Allowed && said.contains("opened and compared"), "{said}");
}
