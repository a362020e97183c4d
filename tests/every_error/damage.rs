//! Stored bytes that were changed or taken away, and disks that fail.

use std::fs;
use std::io::ErrorKind;

use super::*;
use crate::support::House;
use chartvault::test_util::{Fault, FileOp, Stored};

fn flip(bytes: &mut [u8]) -> bool {
    *bytes.last_mut().unwrap() ^= 1;
    true
}

#[test]
fn a_record_that_was_changed_does_not_open() {
    let ward = Ward::new();
    ward.clinic.store().unwrap().tamper(Stored::Records, |_, bytes| flip(bytes));
    let refused = ward.session.get(ward.id);
    assert!(matches!(refused, Err(Error::Tampered { .. })), "{refused:?}");
    advises(refused, "restore from a backup");
}

#[test]
fn a_version_that_was_taken_out_of_the_middle_is_missed() {
    let ward = Ward::new();
    // The newest comes first.
    ward.clinic.store().unwrap().tamper(Stored::Records, |place, _| place == 0);
    assert_eq!(ward.session.get(ward.id).unwrap().value, note(SECOND));
    let refused = ward.session.history(ward.id);
    assert!(matches!(refused, Err(Error::Missing { number: 1, what: "a version", .. })), "{refused:?}");
    advises(refused, "restore from a backup");
}

#[test]
fn an_identifier_that_was_changed_leads_to_nobody() {
    let ward = Ward::new();
    ward.clinic.store().unwrap().tamper(Stored::Identifiers, |_, bytes| flip(bytes));
    let refused = ward.session.find_patient(&mrn());
    assert!(matches!(refused, Err(Error::TamperedRow { what: "identifier" })), "{refused:?}");
    advises(refused, "restore from a backup");
}

#[test]
fn patients_keys_and_policy_rows_that_were_changed_do_not_open() {
    let mut ward = Ward::new();
    ward.clinic.store().unwrap().tamper(Stored::Patients, |_, bytes| flip(bytes));
    let refused = ward.clinic.physician().unwrap().get(ward.id);
    assert!(matches!(refused, Err(Error::TamperedRow { what: "patient's key" })), "{refused:?}");
    advises(refused, "restore from a backup");
    ward.clinic.store().unwrap().tamper(Stored::Policy, |_, bytes| flip(bytes));
    let refused = ward.clinic.crash().map(drop);
    assert!(matches!(refused, Err(Error::TamperedRow { what: "policy row" })), "{refused:?}");
    advises(refused, "restore from a backup");
}

#[test]
fn an_entry_that_was_changed_or_taken_out_of_the_log_is_found() {
    for cut in [false, true] {
        let ward = Ward::new();
        let auditor = ward.clinic.auditor().unwrap();
        let edit = |place: usize, bytes: &mut Vec<u8>| place != 2 || (!cut && flip(bytes));
        ward.clinic.store().unwrap().tamper(Stored::Entries, edit);
        let refused = auditor.audit().unwrap().verify(Scope::All).run();
        assert!(matches!(refused, Err(Error::Audit(AuditFault { .. }))), "{refused:?}");
        advises(refused, "go on with a backup");
    }
}

#[test]
fn after_a_sync_that_failed_nobody_knows_and_nothing_goes_on() {
    let ward = Ward::new();
    let fault = Fault::on(FileOp::Sync, ErrorKind::Other);
    let refused = ward.session.put(ward.patient, &note(TEXT));
    assert!(matches!(refused, Err(Error::OutcomeUnknown(_))), "{refused:?}");
    advises(refused, "close the vault, open it again and look");
    drop(fault);
    let refused = ward.session.get(ward.id);
    assert!(matches!(refused, Err(Error::AuditUnavailable { .. })), "{refused:?}");
    advises(refused, "close the vault and open it again");
}

#[test]
fn a_disk_that_is_full_takes_nothing() {
    let (house, vault) = support::House::create();
    let session = house.session(&vault);
    let patient = session.register_patient([]).unwrap();
    // Larger than what is left of the segment: a new one has to be made.
    let large = note(&TEXT.repeat(10_000));
    let full = Fault::on(FileOp::Write, ErrorKind::StorageFull);
    let refused = session.put(patient, &large);
    assert_eq!(full.hits(), 1);
    assert!(matches!(&refused, Err(Error::NotCommitted(why)) if matches!(**why, StorageError::DiskFull { .. })));
    advises(refused, "free some space");
}

#[test]
fn a_vault_without_its_journal_is_none() {
    let (house, vault) = support::House::create();
    vault.close().unwrap();
    fs::remove_dir_all(house.path().join("journal")).unwrap();
    let refused = house.open_at(&house.path()).map(drop);
    assert!(matches!(refused, Err(Error::Storage(StorageError::NotAVault { .. }))), "{refused:?}");
    advises(refused, "check the path");
}

/// A vault whose anchor holds what this makes of the note of its last checkpoint.
fn anchored(
    last: impl Fn(String) -> Result<Option<String>, AnchorError> + Send + Sync + 'static,
) -> Result<Vault, Error> {
    let (kept, given) = (std::sync::Arc::new(std::sync::Mutex::new(None)), last);
    let keeps = std::sync::Arc::clone(&kept);
    let publish = move |_: VaultId, checkpoint: &Checkpoint, _: ProofFrom<'_>| {
        *keeps.lock().unwrap() = Some(checkpoint.note.clone());
        Ok(())
    };
    let holds = move |_| kept.lock().unwrap().clone().map_or(Ok(None), &given);
    let anchor = std::sync::Arc::new(CallbackAnchor::new("notary", publish, holds));
    let policy = AnchorPolicy { required: true, ..AnchorPolicy::default() };
    let (house, vault) = House::create_with(move |options| options.anchor(anchor.clone(), policy));
    vault.close()?;
    house.open_at(&house.path())
}

#[test]
fn an_anchor_that_holds_what_nobody_signed_or_does_not_answer() {
    let refused = anchored(|note| Ok(Some(note.replace("next-key", "some-key"))));
    assert!(matches!(refused, Err(Error::Anchor(AnchorFault::UnknownKey { .. }))), "{refused:?}");
    advises(refused, "Examine the vault");
    let refused = anchored(|_| Err(AnchorError::Failed { why: "out to lunch".into() }));
    assert!(matches!(refused, Err(Error::Anchor(AnchorFault::Unread { .. }))), "{refused:?}");
    advises(refused, "is to open only if it can");
}

#[test]
fn a_log_that_is_shorter_than_its_anchor_or_another_one() {
    for rewritten in [false, true] {
        let disk = tempfile::tempdir().unwrap();
        let anchor = FileAnchor::new("second disk", disk.path());
        let (house, vault) = House::create();
        let earlier = tempfile::tempdir().unwrap();
        support::copy_dir(&house.path(), earlier.path());
        house.session(&vault).register_patient([]).unwrap();
        anchor.publish(vault.id(), &vault.log_checkpoint().unwrap(), &|_| Ok(Vec::new())).unwrap();
        drop(vault);
        std::fs::remove_dir_all(house.path()).unwrap();
        support::copy_dir(earlier.path(), &house.path());
        if rewritten {
            let vault = house.open();
            let session = house.session(&vault);
            (0..9).for_each(|_| _ = session.register_patient([]).unwrap());
        }
        let options = house.options().anchor(std::sync::Arc::new(anchor), AnchorPolicy::default());
        let refused = Vault::open_with(house.path(), options).unwrap().unlock(&house.key);
        if rewritten {
            assert!(matches!(refused, Err(Error::Forked { .. })), "{refused:?}");
            advises(refused, "Examine the vault");
        } else {
            assert!(matches!(refused, Err(Error::RolledBack { .. })), "{refused:?}");
            advises(refused, "Examine the vault");
        }
    }
}
