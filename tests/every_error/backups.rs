//! Backups that cannot be made, are not what they were, or cannot be brought back.

use std::fs;

use super::*;
use crate::support::offsite::{Killed, Offsite};

#[test]
fn a_restore_that_was_not_finished_is_no_vault() {
    let site = Offsite::new();
    let place = site.place("restored");
    site.backup().run().unwrap();
    // It ends while the first piece is fetched.
    for passing in 0.. {
        let target = Killed::at(&site.target, passing, false);
        let killed = Vault::restore(&target).packs_from(&site.packs).into(&place, &site.house.key);
        assert!(killed.is_err());
        if place.join("restoring").exists() {
            break;
        }
    }
    let refused = site.house.open_at(&place).map(drop);
    assert!(matches!(refused, Err(Error::RestoreUnfinished { .. })), "{refused:?}");
    advises(refused, "run it again");
    // Neither is it another restore's.
    let refused = site.restore().to(RestorePoint::Manifest(1)).into(&place, &site.house.key).map(drop);
    assert!(matches!(refused, Err(Error::Backup(BackupFault::OtherRestore { .. }))), "{refused:?}");
    advises(refused, "finish that one");
}

#[test]
fn a_place_without_backups_and_a_vault_without_files() {
    let site = Offsite::new();
    site.backup().run().unwrap();
    let empty = FolderTarget::create(site.place("empty")).unwrap();
    let refused = Vault::restore(&empty).packs_from(&site.packs).into(site.place("a"), &site.house.key).map(drop);
    assert!(matches!(refused, Err(Error::Backup(BackupFault::Nothing { .. }))), "{refused:?}");
    advises(refused, "make one first");
    let refused = Vault::restore(&site.target).into(site.place("b"), &site.house.key).map(drop);
    assert!(matches!(refused, Err(Error::Backup(BackupFault::NoPack { .. }))), "{refused:?}");
    advises(refused, "name the place");
    let clinic = TestVault::new().build().unwrap();
    let refused = clinic.vault().backup(&empty).run().map(drop);
    assert!(matches!(refused, Err(Error::Backup(BackupFault::InMemory))), "{refused:?}");
    advises(refused, "in memory");
    fs::remove_dir_all(site.disk()).unwrap();
    let refused = site.backup().run().map(drop);
    assert!(matches!(refused, Err(Error::Backup(BackupFault::Target { .. }))), "{refused:?}");
    advises(refused, "disk is mounted");
}

#[test]
fn states_that_no_backup_holds() {
    let site = Offsite::new();
    for _ in 0..3 {
        site.patient(150);
        site.vault.compact().unwrap();
    }
    let made = site.backup().run().unwrap();
    let restore = |name: &str, point| site.restore().to(point).into(site.place(name), &site.house.key).map(drop);
    let refused = restore("early", RestorePoint::Entry(1));
    assert!(matches!(refused, Err(Error::Backup(BackupFault::TooEarly { .. }))), "{refused:?}");
    advises(refused, "goes back");
    let refused = restore("late", RestorePoint::Entry(made.entries));
    assert!(matches!(refused, Err(Error::Backup(BackupFault::TooLate { .. }))), "{refused:?}");
    advises(refused, "take the newest");
    let key = &site.house.key;
    site.vault.rotate_data_key(key, &mut |_| ()).unwrap();
    site.vault.continue_rotation(key, &mut |_| ()).unwrap();
    site.backup().run().unwrap();
    let refused = restore("old key", RestorePoint::Manifest(1));
    assert!(matches!(refused, Err(Error::Backup(BackupFault::KeyGone { epoch: 1, oldest: 2 }))), "{refused:?}");
    advises(refused, "later state");
}

#[test]
fn what_was_changed_where_backups_are_kept() {
    let change = |name: &str, change: &dyn Fn(&mut Vec<u8>)| {
        let site = Offsite::new();
        site.patient(3);
        site.backup().run().unwrap();
        site.patient(3);
        site.backup().run().unwrap();
        for dir in [site.disk(), site.safe()] {
            for file in crate::support::files_in(&dir).iter().filter(|file| file.starts_with(name)) {
                let path = dir.join(file);
                let mut bytes = fs::read(&path).unwrap();
                change(&mut bytes);
                fs::write(path, bytes).unwrap();
            }
        }
        site.restore().into(site.place("restored"), &site.house.key).map(drop)
    };
    let refused = change("objects", &|bytes| bytes[0] ^= 1);
    assert!(matches!(refused, Err(Error::Backup(BackupFault::Damaged { .. }))), "{refused:?}");
    advises(refused, "another backup");
    let refused = change("manifests", &|bytes| bytes[0] ^= 1);
    assert!(matches!(refused, Err(Error::Backup(BackupFault::Manifest { .. }))), "{refused:?}");
    advises(refused, "changed, or made by a newer version");
    let refused = change("manifests", &|bytes| {
        let text = String::from_utf8(bytes.clone()).unwrap();
        *bytes = text.replacen("sealed no", "sealed age", 1).into_bytes();
    });
    assert!(matches!(refused, Err(Error::Backup(BackupFault::Unsigned { .. }))), "{refused:?}");
    advises(refused, "who can write");
    let refused = change("manifests/0000000001", &|bytes| bytes.push(b'\n'));
    assert!(refused.is_err());
    let refused = change("packs/0000000001/0000", &|bytes| *bytes.last_mut().unwrap() ^= 1);
    assert!(matches!(refused, Err(Error::Backup(BackupFault::Pack { .. }))), "{refused:?}");
    advises(refused, "another copy");
}

#[test]
fn manifests_that_do_not_go_on_from_each_other() {
    let site = Offsite::new();
    site.patient(3);
    site.backup().run().unwrap();
    let copy = site.place("fork");
    crate::support::copy_dir(&site.disk(), &copy);
    let fork = FolderTarget::open(&copy).unwrap();
    site.backup().run().unwrap();
    site.patient(1);
    site.backup().run().unwrap();
    site.vault.backup(&fork).packs_to(&site.packs).run().unwrap();
    // Both are the vault's own, and the second of the one is not the second of the other.
    fs::copy(copy.join("manifests/0000000002"), site.disk().join("manifests/0000000002")).unwrap();
    let refused = site.restore().into(site.place("restored"), &site.house.key).map(drop);
    assert!(matches!(refused, Err(Error::Backup(BackupFault::Broken { number: 3 }))), "{refused:?}");
    advises(refused, "another target");
}

#[test]
fn older_packs_and_ledgers_and_backups_of_another_state() {
    let site = Offsite::new();
    let (gone, _) = site.patient(3);
    site.backup().run().unwrap();
    let (kept, before) = (site.place("kept"), site.place("before"));
    crate::support::copy_dir(&site.safe(), &kept);
    site.vault.backup(&site.target).run().unwrap();
    crate::support::copy_dir(&site.house.path(), &before);
    site.erase(gone);
    site.vault.backup(&site.target).run().unwrap();
    let refused = site.restore().into(site.place("a"), &site.house.key).map(drop);
    assert!(matches!(refused, Err(Error::Backup(BackupFault::OldLedger { .. }))), "{refused:?}");
    advises(refused, "newer key pack");
    site.backup().run().unwrap();
    let old = FolderTarget::open(&kept).unwrap();
    let refused = Vault::restore(&site.target).packs_from(&old).into(site.place("b"), &site.house.key).map(drop);
    assert!(matches!(refused, Err(Error::Backup(BackupFault::OldPack { .. }))), "{refused:?}");
    advises(refused, "Find the newer pack");
    let (brought_back, _) = site.open(&before);
    let refused = brought_back.backup(&site.target).run().map(drop);
    assert!(matches!(refused, Err(Error::Backup(BackupFault::NotOurs { .. }))), "{refused:?}");
    advises(refused, "use another target");
}

/// A target to which somebody else always writes the next manifest first.
struct Raced<'t>(&'t FolderTarget);

impl BackupTarget for Raced<'_> {
    fn put_new(&self, name: &str, bytes: &[u8]) -> Result<(), TargetError> {
        if name.starts_with("manifests/") {
            self.0.put_new(name, b"of somebody else")?;
        }
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
fn somebody_else_made_the_manifest() {
    let site = Offsite::new();
    let refused = site.vault.backup(&Raced(&site.target)).run().map(drop);
    assert!(matches!(refused, Err(Error::Backup(BackupFault::Raced { number: 1 }))), "{refused:?}");
    advises(refused, "run it again");
}

#[test]
fn keys_that_are_none_and_identities_that_open_nothing() {
    let site = Offsite::new();
    site.backup().seal_to(BackupIdentity::generate().recipient()).run().unwrap();
    let refused = site.restore().into(site.place("a"), &site.house.key).map(drop);
    assert!(matches!(refused, Err(Error::Backup(BackupFault::Sealed))), "{refused:?}");
    advises(refused, "give the identity");
    let refused = "age1".parse::<BackupRecipient>().map(drop).map_err(Error::from);
    assert!(matches!(refused, Err(Error::Backup(BackupFault::AgeKey { what: "recipient" }))), "{refused:?}");
    advises(refused, "X25519");
    let refused = "chartvault.local/1/backup".parse::<BackupKey>().map(drop).map_err(Error::from);
    assert!(matches!(refused, Err(Error::Backup(BackupFault::Key))), "{refused:?}");
    advises(refused, "as the vault shows it");
}

#[test]
fn a_backup_after_keys_changed_wants_a_key_pack_of_after_it() {
    let site = Offsite::new();
    site.backup().run().unwrap();
    site.vault.rotate_wrap_key(&site.house.key, &mut |_| ()).unwrap();
    let made = site.vault.backup(&site.target).run().unwrap();
    assert!(made.pack_is_old && made.to_string().contains("older than the keys"), "{made}");
    let refused = site.restore().into(site.place("a"), &site.house.key).map(drop);
    assert!(matches!(refused, Err(Error::Backup(BackupFault::OldKeys { number: 1, .. }))), "{refused:?}");
    advises(refused, "a newer pack is needed");
    assert!(!site.backup().run().unwrap().pack_is_old);
    site.restore().into(site.place("b"), &site.house.key).unwrap();
}
