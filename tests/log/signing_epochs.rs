//! Signing epochs: one for each time that a vault is open, each with a key of its own, which is destroyed at its close.

use crate::support;

use std::fs;
use std::path::{Path, PathBuf};

use chartvault::*;
use support::{House, copy_dir, golden, note, verify, whole_log};

fn key_file(house: &House) -> PathBuf {
    house.path().join("signing.key")
}

fn told(vault: &Vault) -> (u32, Option<EpochStart>) {
    (vault.opening().signing_epoch, vault.opening().epoch_start)
}

/// Numbers and words of the entries that begin an epoch.
fn begun(session: &Session) -> Vec<String> {
    let log = whole_log(session).into_iter();
    log.filter(|entry| entry.event == AuditEvent::SigningEpochBegun).filter_map(|entry| entry.detail).collect()
}

/// A vault with a record, closed.
fn closed() -> (House, RecordId<support::Note>) {
    let (house, vault) = House::create();
    let session = house.session(&vault);
    let patient = session.register_patient([]).unwrap();
    let id = session.put(patient, &note("penicillin: rash")).unwrap();
    vault.close().unwrap();
    (house, id)
}

/// Opens it: the record is there, the log is sound, and the epoch began like this.
fn opens(house: &House, id: RecordId<support::Note>, epoch: u32, start: EpochStart) {
    let vault = house.open();
    assert_eq!(told(&vault), (epoch, Some(start)));
    assert_eq!(vault.opening().signing_key_unsaved, None);
    let session = house.session(&vault);
    assert_eq!(session.get(id).unwrap().value.text, "penicillin: rash");
    verify(&session);
    assert_eq!(begun(&session).pop(), Some(format!("epoch {epoch}: {start}")));
    vault.close().unwrap();
}

#[test]
fn each_opening_after_a_close_is_in_a_new_epoch_and_its_first_entry_says_so() {
    let (house, vault) = House::create();
    assert_eq!(told(&vault), (1, Some(EpochStart::Created)));
    vault.close().unwrap();
    let mut secrets = vec![fs::read(key_file(&house)).unwrap()];
    for epoch in 2..5 {
        let vault = house.open();
        assert_eq!(told(&vault), (epoch, Some(EpochStart::Announced)));
        let session = house.session(&vault);
        let log = whole_log(&session);
        let closes = |entry: &&AuditEntry| entry.event == AuditEvent::VaultClosed;
        let last = log.iter().rfind(closes).unwrap().seq;
        assert_eq!(log[usize::try_from(last).unwrap() + 1].event, AuditEvent::SigningEpochBegun);
        verify(&session);
        vault.close().unwrap();
        secrets.push(fs::read(key_file(&house)).unwrap());
    }
    secrets.sort();
    secrets.dedup();
    assert_eq!(secrets.len(), 4, "each close leaves another key");
}

#[test]
fn an_epoch_goes_on_where_the_vault_was_not_closed() {
    let (house, vault) = House::create();
    drop(vault);
    let vault = house.open();
    assert_eq!(told(&vault), (1, None));
    let session = house.session(&vault);
    assert_eq!(begun(&session), Vec::<String>::new());
    assert!(whole_log(&session).iter().any(|entry| entry.event == AuditEvent::Recovered));
}

#[test]
fn a_key_file_that_is_missing_begins_an_epoch_that_says_so() {
    let (house, id) = closed();
    fs::remove_file(key_file(&house)).unwrap();
    opens(&house, id, 2, EpochStart::KeyMissing);
    opens(&house, id, 3, EpochStart::Announced);
}

#[test]
fn a_key_file_with_any_byte_flipped_or_cut_loses_no_record() {
    let (house, id) = closed();
    let (copy, good) = (tempfile::tempdir().unwrap(), fs::read(key_file(&house)).unwrap());
    let vault = copy.path().join("vault");
    copy_dir(&house.path(), &vault);
    let spoilt = (0..good.len()).step_by(7).map(|at| {
        let mut bad = good.clone();
        bad[at] ^= 4;
        bad
    });
    let spoilt = spoilt.chain([Vec::new(), good[..100].to_vec(), vec![0; 1 << 20]]);
    for (expected, bad) in (2..).zip(spoilt) {
        fs::write(key_file(&house), &bad).unwrap();
        let start = if (6..22).any(|at| bad.get(at) != good.get(at)) && bad.len() == good.len() {
            EpochStart::KeyOfAnotherVault
        } else {
            EpochStart::KeyDamaged
        };
        opens(&house, id, expected, start);
    }
}

#[test]
fn key_files_that_were_exchanged_between_two_vaults_sign_nothing() {
    let ((one, of_one), (other, of_other)) = (closed(), closed());
    let [from_one, from_other] = [&one, &other].map(|house| fs::read(key_file(house)).unwrap());
    fs::write(key_file(&one), &from_other).unwrap();
    fs::write(key_file(&other), &from_one).unwrap();
    opens(&one, of_one, 2, EpochStart::KeyOfAnotherVault);
    opens(&other, of_other, 2, EpochStart::KeyOfAnotherVault);
    // What came there by mistake is not lost.
    assert_eq!(fs::read(one.path().join("signing.key.foreign")).unwrap(), from_other);
}

#[test]
fn an_older_key_file_signs_nothing_any_more() {
    let (house, id) = closed();
    let older = fs::read(key_file(&house)).unwrap();
    opens(&house, id, 2, EpochStart::Announced);
    fs::write(key_file(&house), &older).unwrap();
    opens(&house, id, 3, EpochStart::KeyOfAnotherEpoch);
}

#[test]
fn a_vault_restored_from_a_backup_begins_an_epoch_whose_key_nobody_announced() {
    let (house, id) = closed();
    let backup = tempfile::tempdir().unwrap();
    copy_dir(&house.path(), backup.path());
    for epoch in 2..5 {
        opens(&house, id, epoch, EpochStart::Announced);
    }
    // The backup is brought back, and the key file is that of now: it is in no backup.
    let key = fs::read(key_file(&house)).unwrap();
    fs::remove_dir_all(house.path()).unwrap();
    copy_dir(backup.path(), &house.path());
    fs::write(key_file(&house), &key).unwrap();
    opens(&house, id, 2, EpochStart::KeyOfAnotherEpoch);
    // And without any.
    fs::remove_dir_all(house.path()).unwrap();
    copy_dir(backup.path(), &house.path());
    fs::remove_file(key_file(&house)).unwrap();
    opens(&house, id, 2, EpochStart::KeyMissing);
}

#[test]
fn of_two_copies_that_both_go_on_each_has_a_key_of_its_own_only_once_the_other_is_given_none() {
    let (house, id) = closed();
    let copy = tempfile::tempdir().unwrap();
    let path = copy.path().join("vault");
    copy_dir(&house.path(), &path);
    opens(&house, id, 2, EpochStart::Announced);
    let vault = house.open_at(&path).unwrap();
    // Nobody inside can tell: that is what anchors are for.
    assert_eq!(told(&vault), (2, Some(EpochStart::Announced)));
}

#[test]
fn a_vault_of_an_earlier_version_gets_its_first_key() {
    let dir = tempfile::tempdir().unwrap();
    golden::unpack(dir.path());
    let pass = Passphrase::new(golden::PASSPHRASE);
    let vault = Vault::open(dir.path()).unwrap().unlock(&pass).unwrap();
    assert_eq!(told(&vault), (2, Some(EpochStart::FirstKey)));
    vault.close().unwrap();
    let vault = Vault::open(dir.path()).unwrap().unlock(&pass).unwrap();
    assert_eq!(told(&vault), (3, Some(EpochStart::Announced)));
}

#[test]
fn a_key_that_is_kept_elsewhere_is_not_in_the_directory_of_the_vault() {
    let elsewhere = tempfile::tempdir().unwrap();
    let file = elsewhere.path().join("clinic.key");
    let path = file.clone();
    let (house, vault) = House::create_with(move |options| options.signing_key_file(&path));
    vault.close().unwrap();
    assert!(file.exists() && !key_file(&house).exists());
    assert_eq!(told(&house.open()), (2, Some(EpochStart::Announced)));
    // Another vault does not take its place by mistake.
    let second = tempfile::tempdir().unwrap();
    let create = Vault::create(second.path()).raw_key(&house.key).options(house.options()).finish();
    assert!(matches!(create, Err(Error::NotEmpty { path }) if path == file));
}

#[test]
fn a_key_that_cannot_be_kept_is_told_and_the_vault_opens_all_the_same() {
    let elsewhere = tempfile::tempdir().unwrap();
    let file = elsewhere.path().join("stick").join("clinic.key");
    fs::create_dir(file.parent().unwrap()).unwrap();
    let path = file.clone();
    let (house, vault) = House::create_with(move |options| options.signing_key_file(&path));
    vault.close().unwrap();
    let unplug = |file: &Path| fs::remove_dir_all(file.parent().unwrap()).unwrap();
    unplug(&file);
    let vault = house.open();
    assert_eq!(told(&vault), (2, Some(EpochStart::KeyUnreadable)));
    assert!(vault.opening().signing_key_unsaved.as_ref().is_some_and(|why| why.contains("clinic.key")));
    verify(&house.session(&vault));
    assert!(matches!(vault.close(), Err(Error::Storage(_))), "the epoch could not be closed");
    let vault = house.open();
    assert_eq!(told(&vault), (3, Some(EpochStart::KeyUnreadable)));
    assert!(vault.opening().clean, "it was closed all the same");
}
