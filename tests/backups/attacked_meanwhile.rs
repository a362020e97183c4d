//! Backups attacked by what happens beside them: keys that change, patients who are erased, machines that die, at the moments
//! that are the worst ones.

use crate::support;

use std::fs;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use chartvault::*;
use support::Note;
use support::offsite::{Killed, Offsite, all_are_there, is_sound};

/// A target that does something once, before its n-th call.
struct Once<'t, F: FnOnce() + Send> {
    to: &'t FolderTarget,
    passing: AtomicU64,
    then: Mutex<Option<F>>,
}

impl<'t, F: FnOnce() + Send> Once<'t, F> {
    fn at(to: &'t FolderTarget, passing: u64, then: F) -> Self {
        Self { to, passing: passing.into(), then: Mutex::new(Some(then)) }
    }

    fn was_done(&self) -> bool {
        self.then.lock().unwrap().is_none()
    }

    fn to(&self) -> &FolderTarget {
        let passes =
            self.passing.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1)).is_ok();
        let then = if passes { None } else { self.then.lock().unwrap().take() };
        if let Some(then) = then {
            then();
        }
        self.to
    }
}

impl<F: FnOnce() + Send> BackupTarget for Once<'_, F> {
    fn put_new(&self, name: &str, bytes: &[u8]) -> Result<(), TargetError> {
        self.to().put_new(name, bytes)
    }

    fn get(&self, name: &str, limit: usize) -> Result<Vec<u8>, TargetError> {
        self.to().get(name, limit)
    }

    fn list(&self, prefix: &str, each: &mut dyn FnMut(StoredObject)) -> Result<(), TargetError> {
        self.to().list(prefix, each)
    }

    fn delete(&self, name: &str) -> Result<(), TargetError> {
        self.to().delete(name)
    }

    fn name(&self) -> &str {
        self.to.name()
    }
}

fn comes_back(site: &Offsite, place: &str, notes: &[RecordId<Note>]) {
    let (_, vault, session) = site.restored(place, site.restore()).unwrap();
    all_are_there(&session, notes);
    is_sound(&vault);
}

/// Key packs that are whole.
fn packs_of(site: &Offsite) -> usize {
    let packs = fs::read_dir(site.safe().join("packs")).unwrap();
    packs.filter(|pack| pack.as_ref().unwrap().path().join("whole").exists()).count()
}

/// What may happen while a backup is under way.
type Beside = (&'static str, fn(&Offsite));

const BESIDE: [Beside; 6] = [
    ("data", rotate_data_key),
    ("wrap", |site| {
        site.vault.rotate_wrap_key(&site.house.key, &mut |_| ()).unwrap();
    }),
    ("root", |site| {
        site.vault.rotate_root_key(&[(&site.house.key).into()]).unwrap();
    }),
    ("audit", |site| assert!(site.vault.rotate_audit_key(&site.house.key).unwrap() > 0)),
    ("slot", |site| {
        let other = RawKey::generate().unwrap();
        site.vault.add_slot(NewSlot::of(&other), &site.house.key).unwrap();
    }),
    ("erasure", |site| {
        let (gone, _) = site.patient(3);
        site.erase(gone);
    }),
];

fn rotate_data_key(site: &Offsite) {
    site.vault.rotate_data_key(&site.house.key, &mut |_| ()).unwrap();
}

#[test]
fn a_machine_that_dies_in_the_backup_after_keys_changed_leaves_the_backup_before_it() {
    for (beside, does) in BESIDE {
        for to_packs in [false, true] {
            for calls in 0.. {
                let site = Offsite::new();
                let (_, notes) = site.patient(25);
                site.backup().run().unwrap();
                does(&site);
                let never = i64::MAX;
                let (at_target, at_packs) = if to_packs { (never, calls) } else { (calls, never) };
                let target = Killed::at(&site.target, at_target, false);
                let packs = Killed::at(&site.packs, at_packs, false);
                let made = site.vault.backup(&target).packs_to(&packs).run();
                println!("{beside} {to_packs} {calls} {:?}", made.as_ref().err());
                comes_back(&site, "restored", &notes);
                if !target.was_met() && !packs.was_met() {
                    break;
                }
            }
        }
    }
}

#[test]
fn a_backup_during_which_keys_change_can_be_restored_and_so_can_the_next() {
    for (beside, does) in BESIDE {
        for to_packs in [false, true] {
            for passing in 0.. {
                let site = Offsite::new();
                let (_, notes) = site.patient(25);
                // Of before the keys change, so that packs are replaced.
                if passing % 2 == 0 {
                    site.backup().run().unwrap();
                }
                let never = u64::MAX;
                let on_target = Once::at(&site.target, if to_packs { never } else { passing }, || does(&site));
                let on_packs = Once::at(&site.packs, if to_packs { passing } else { never }, || does(&site));
                let made = site.vault.backup(&on_target).packs_to(&on_packs).run().unwrap();
                if !on_target.was_done() && !on_packs.was_done() {
                    break;
                }
                println!("{beside} {to_packs} {passing}: {made}");
                comes_back(&site, "restored", &notes);
                site.backup().run().unwrap();
                assert_eq!(packs_of(&site), 1, "older packs are left");
                comes_back(&site, "again", &notes);
            }
        }
    }
}

#[test]
fn a_data_key_that_goes_before_the_pack_is_made_has_the_state_taken_again() {
    let site = Offsite::new();
    let (_, notes) = site.patient(25);
    let packs = Once::at(&site.packs, 0, || rotate_data_key(&site));
    let made = site.vault.backup(&site.target).packs_to(&packs).run().unwrap();
    assert!(packs.was_done() && made.new_pack && !made.pack_is_old, "{made}");
    // What was sealed anew is in it.
    let key = site.vault.backup_key().unwrap();
    let status = site.vault.backup_status().unwrap();
    assert_eq!(status.targets[0].last_backup.unwrap().oldest_data_epoch, 2);
    comes_back(&site, "restored", &notes);
    let found = BackupCheck::of(&site.target).signed_by(key).run().unwrap();
    assert!(found.is_sound(), "{found} {:?}", found.findings);
}

#[test]
fn data_keys_that_go_all_the_time_end_a_backup_before_it_copies_anything() {
    let site = Offsite::new();
    site.patient(5);
    let rotates = Rotates(&site);
    let made = site.vault.backup(&site.target).packs_to(&rotates).run();
    assert!(matches!(made, Err(Error::RotationUnderWay)), "{made:?}");
    assert!(!site.disk().join("objects").exists());
}

/// A place of packs at which each list takes as long as a rotation of the data key.
struct Rotates<'t>(&'t Offsite);

impl BackupTarget for Rotates<'_> {
    fn put_new(&self, name: &str, bytes: &[u8]) -> Result<(), TargetError> {
        self.0.packs.put_new(name, bytes)
    }

    fn get(&self, name: &str, limit: usize) -> Result<Vec<u8>, TargetError> {
        self.0.packs.get(name, limit)
    }

    fn list(&self, prefix: &str, each: &mut dyn FnMut(StoredObject)) -> Result<(), TargetError> {
        rotate_data_key(self.0);
        self.0.packs.list(prefix, each)
    }

    fn delete(&self, name: &str) -> Result<(), TargetError> {
        self.0.packs.delete(name)
    }

    fn name(&self) -> &str {
        self.0.packs.name()
    }
}

#[test]
fn a_pack_that_another_target_needs_stays_until_that_has_a_newer_backup() {
    let site = Offsite::new();
    let (gone, _) = site.patient(3);
    let (_, notes) = site.patient(25);
    let away = FolderTarget::create(site.place("away")).unwrap();
    let to_away = || site.vault.backup(&away).packs_to(&site.packs).run().unwrap();
    site.backup().run().unwrap();
    to_away();
    rotate_data_key(&site);
    let made = site.backup().run().unwrap();
    assert!(made.new_pack && made.needed_packs == [1], "{made}");
    site.erase(gone);
    let made = site.backup().run().unwrap();
    assert!(made.new_pack && made.needed_packs == [1] && packs_of(&site) == 2, "{made}");
    // This machine and the disk beside it burn.
    let restore = |name| {
        let restore = Vault::restore(&away).packs_from(&site.packs).options(site.house.options());
        let (restored, vault, session) = site.restored(name, restore).unwrap();
        all_are_there(&session, &notes);
        is_sound(&vault);
        assert!(session.list::<Note>(gone).limit(10).page().is_err(), "an erased patient is back");
        restored
    };
    assert_eq!(restore("from afar").pack, 1);
    comes_back(&site, "from here", &notes);
    let made = to_away();
    assert!(!made.new_pack && made.needed_packs.is_empty() && packs_of(&site) == 1, "{made}");
    assert_eq!(restore("from afar, later").pack, 3);
}

#[test]
fn a_place_where_another_vault_keeps_its_packs_is_left_as_it_is() {
    let (site, other) = (Offsite::new(), Offsite::new());
    let (_, notes) = site.patient(20);
    site.backup().run().unwrap();
    let refused = other.vault.backup(&other.target).packs_to(&site.packs).run();
    assert!(matches!(refused, Err(Error::Backup(BackupFault::Unsigned { .. }))), "{refused:?}");
    assert_eq!(packs_of(&site), 1);
    comes_back(&site, "restored", &notes);
}

#[test]
fn an_end_of_a_pack_that_is_damaged_is_replaced_with_its_pack() {
    let site = Offsite::new();
    let (_, notes) = site.patient(20);
    site.backup().run().unwrap();
    let end = site.safe().join("packs/0000000001/whole");
    for damage in [&b"no note"[..], &[0xFF; 5_000]] {
        fs::write(&end, damage).unwrap();
    }
    let made = site.backup().run().unwrap();
    assert!(made.new_pack && made.pack == Some(2) && made.older_packs.is_empty(), "{made}");
    assert_eq!(packs_of(&site), 1);
    comes_back(&site, "restored", &notes);
}

#[test]
fn whom_a_pack_without_its_backup_knows_as_erased_is_not_back() {
    let site = Offsite::new();
    let (_, notes) = site.patient(20);
    let (gone, _) = site.patient(5);
    site.backup().run().unwrap();
    site.erase(gone);
    site.vault.rotate_data_key(&site.house.key, &mut |_| ()).unwrap();
    let mut from_before = 0;
    for calls in 0.. {
        let target = Killed::at(&site.target, calls, false);
        let made = site.vault.backup(&target).packs_to(&site.packs).run();
        let packs = packs_of(&site);
        let (restored, vault, session) = site.restored(&format!("restored {calls}"), site.restore()).unwrap();
        all_are_there(&session, &notes);
        is_sound(&vault);
        if made.is_ok() {
            assert_eq!(packs, 1);
            break;
        }
        if packs > 1 {
            assert!(session.list::<Note>(gone).limit(10).page().is_err(), "an erased patient is back");
            assert_eq!((restored.manifest, restored.erased.erased), (1, 1));
            from_before += 1;
        }
    }
    assert!(from_before > 0, "no pack without its backup");
}

/// A vault whose data key was rotated and whose machine died in the next backup, once that had made its key pack.
fn dead_in_the_backup_after_a_rotation(changed: impl Fn(&Offsite)) -> (Offsite, Vec<RecordId<Note>>) {
    let site = Offsite::new();
    let (_, notes) = site.patient(25);
    site.backup().run().unwrap();
    rotate_data_key(&site);
    changed(&site);
    for calls in 0.. {
        let target = Killed::at(&site.target, calls, false);
        site.vault.backup(&target).packs_to(&site.packs).run().unwrap_err();
        if packs_of(&site) == 2 {
            return (site, notes);
        }
    }
    unreachable!()
}

#[test]
fn credentials_of_now_open_what_an_older_pack_brings_back() {
    let other = RawKey::generate().unwrap();
    let (site, notes) = dead_in_the_backup_after_a_rotation(|site| {
        site.vault.add_slot(NewSlot::of(&other), &site.house.key).unwrap();
        site.vault.remove_slot(0, &other).unwrap();
    });
    let refused = site.restore().into(site.place("refused"), &site.house.key);
    assert!(matches!(refused, Err(Error::Unlock(UnlockError::WrongCredential))), "{refused:?}");
    let place = site.place("restored");
    assert_eq!(site.restore().into(&place, &other).unwrap().pack, 1);
    let open = |key: &RawKey| Vault::open_with(&place, site.house.options()).unwrap().unlock(key);
    assert!(open(&site.house.key).is_err(), "a credential that was removed opens");
    let vault = open(&other).unwrap();
    all_are_there(&site.house.session(&vault), &notes);
    is_sound(&vault);
    // What the next change of its keys and the next backup find.
    vault.rotate_wrap_key(&other, &mut |_| ()).unwrap();
    vault.backup(&site.target).packs_to(&site.packs).run().unwrap();
    assert_eq!(packs_of(&site), 1);
}

#[test]
fn an_older_pack_under_another_root_key_opens_with_its_own_slots() {
    let (site, notes) = dead_in_the_backup_after_a_rotation(|site| {
        site.vault.rotate_root_key(&[(&site.house.key).into()]).unwrap();
    });
    comes_back(&site, "restored", &notes);
}

#[test]
fn a_pack_that_a_backup_under_way_needs_stays_beside_backups_elsewhere() {
    for passing in 0.. {
        let site = Offsite::new();
        let (_, notes) = site.patient(25);
        let away = FolderTarget::create(site.place("away")).unwrap();
        let target = Once::at(&site.target, passing, || {
            rotate_data_key(&site);
            site.vault.backup(&away).packs_to(&site.packs).run().unwrap();
        });
        let made = site.vault.backup(&target).packs_to(&site.packs).run().unwrap();
        if !target.was_done() {
            break;
        }
        println!("{passing}: {made}");
        comes_back(&site, "restored", &notes);
        let restore = Vault::restore(&away).packs_from(&site.packs).options(site.house.options());
        all_are_there(&site.restored("from afar", restore).unwrap().2, &notes);
        site.backup().run().unwrap();
        assert_eq!(packs_of(&site), 1, "older packs are left");
    }
}
