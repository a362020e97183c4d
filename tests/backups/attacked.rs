//! Backups and restores, attacked: at odd moments, and by targets that lie.

use crate::support;

use std::fs;

use chartvault::*;
use support::offsite::{Killed, Offsite, all_are_there, is_sound};
use support::{Note, note};

/// A target that does something before each object it takes.
struct Meanwhile<'t, F: Fn() + Send + Sync>(&'t FolderTarget, F);

impl<F: Fn() + Send + Sync> BackupTarget for Meanwhile<'_, F> {
    fn put_new(&self, name: &str, bytes: &[u8]) -> Result<(), TargetError> {
        (self.1)();
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
        self.0.name()
    }
}

#[test]
fn what_was_written_while_a_key_pack_was_made_is_in_the_state_of_that_time() {
    let site = Offsite::new();
    let (patient, _) = site.patient(1);
    site.house.clock.step(60);
    let packs = Meanwhile(&site.packs, || {
        site.house.clock.step(60);
        site.session().put(patient, &note("written meanwhile")).unwrap();
    });
    site.vault.backup(&site.target).packs_to(&packs).run().unwrap();
    let time = site.house.clock.now();
    let notes = site.session().list::<Note>(patient).limit(10).page().unwrap().entries;
    assert!(notes.len() > 1, "nothing was written meanwhile");
    site.house.clock.step(60);
    site.session().put(patient, &note("written later")).unwrap();
    site.backup().run().unwrap();
    let (_, _, session) = site.restored("restored", site.restore().to(RestorePoint::Time(time))).unwrap();
    assert_eq!(session.list::<Note>(patient).limit(10).page().unwrap().entries, notes);
}

#[test]
fn a_machine_that_takes_over_from_one_that_died_in_a_backup_goes_on_with_the_backups() {
    let site = Offsite::new();
    let (_, mut notes) = site.patient(20);
    site.backup().run().unwrap();
    site.patient(4_000);
    let killed = Killed::at(&site.target, 22, false);
    killed_backup(&site, &killed);
    assert!(fs::read_dir(site.disk().join("manifests")).unwrap().count() > 1, "no part of a copy");
    // The first machine burns.
    let (_, vault, session) = site.restored("restored", site.restore()).unwrap();
    all_are_there(&session, &notes);
    let patient = session.register_patient([]).unwrap();
    notes.push(session.put(patient, &note(&support::offsite::text(20))).unwrap());
    vault.backup(&site.target).packs_to(&site.packs).run().unwrap();
    let (_, _, session) = site.restored("again", site.restore()).unwrap();
    all_are_there(&session, &notes);
    // And the first one, had it not, hears of it.
    let fenced = site.backup().run();
    assert!(matches!(fenced, Err(Error::Backup(BackupFault::NotOurs { .. }))), "{fenced:?}");
}

fn killed_backup(site: &Offsite, target: &Killed<'_>) {
    let failed = site.vault.backup(target).packs_to(&site.packs).run();
    assert!(matches!(failed, Err(Error::Backup(BackupFault::Target { .. }))), "{failed:?}");
}

#[test]
fn a_restore_to_the_newest_state_that_goes_on_later_brings_what_is_the_newest_then() {
    let site = Offsite::new();
    let (_, notes) = site.patient(4_000);
    site.backup().run().unwrap();
    let place = site.place("restored");
    let killed = Killed::at(&site.target, 14, false);
    let failed = Vault::restore(&killed).packs_from(&site.packs).into(&place, &site.house.key);
    assert!(matches!(failed, Err(Error::Backup(BackupFault::Target { .. }))), "{failed:?}");
    assert!(fs::read_to_string(place.join("restoring")).unwrap().contains("pieces 8"));
    let (_, later) = site.patient(5);
    let made = site.backup().run().unwrap();
    let restored = site.restore().into(&place, &site.house.key).unwrap();
    assert_eq!((restored.manifest, restored.entries), (made.manifest, made.entries));
    let (vault, session) = site.open(&place);
    all_are_there(&session, &notes);
    all_are_there(&session, &later);
    is_sound(&vault);
}

#[test]
fn pieces_of_another_copy_with_the_same_number_are_not_mixed_in() {
    let site = Offsite::new();
    let key = site.vault.backup_key().unwrap();
    let place = site.place("standby");
    site.backup().run().unwrap();
    for _ in 0..4 {
        site.patient(3);
        site.backup().run().unwrap();
    }
    Vault::restore(&site.target).follow_into(&place, &key).unwrap();
    // The target is lost, and another one stands in its place.
    fs::remove_dir_all(site.disk().join("manifests")).unwrap();
    fs::remove_dir_all(site.disk().join("objects")).unwrap();
    let (_, notes) = site.patient(300);
    site.backup().run().unwrap();
    Vault::restore(&site.target).follow_into(&place, &key).unwrap();
    site.restore().into(&place, &site.house.key).unwrap();
    let (vault, session) = site.open(&place);
    all_are_there(&session, &notes);
    is_sound(&vault);
}
