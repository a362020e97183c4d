//! Erasing patients, and what keeps from it.

use super::*;

/// Of somebody who may do what a physician may not.
fn officer(ward: &Ward) -> Session {
    let actions = [Action::Read, Action::Review, Action::Erase];
    ward.clinic.session(&ward.clinic.grant("privacy officer").all_kinds().actions(actions)).unwrap()
}

fn erase_by(ward: &Ward, session: &Session, patient: PatientId) -> Result<ErasureReport, Error> {
    let order = ErasureOrder::new("the patient asked", "GDPR 17(1)(b)");
    ward.clinic.vault().erase_patient(session, patient, &order, ward.clinic.key(), &mut |_| ())
}

fn erase(ward: &Ward, patient: PatientId) -> Result<ErasureReport, Error> {
    erase_by(ward, &officer(ward), patient)
}

#[test]
fn what_is_held_is_not_erased() {
    let ward = Ward::new();
    officer(&ward).place_legal_hold(ward.id, "case 17").unwrap();
    let refused = erase(&ward, ward.patient);
    assert!(matches!(refused, Err(Error::LegalHold { .. })), "{refused:?}");
    advises(refused, "have the hold lifted first");
}

#[test]
fn what_has_to_be_kept_is_not_erased() {
    let ward = Ward::new();
    officer(&ward).retain_until(ward.patient, Some("2056-01-01T00:00:00Z".parse().unwrap()), "30 years").unwrap();
    let refused = erase(&ward, ward.patient);
    assert!(matches!(refused, Err(Error::Retained { .. })), "{refused:?}");
    advises(refused, "erase it then");
}

#[test]
fn an_erased_patient_is_named_with_the_time() {
    let ward = Ward::new();
    erase(&ward, ward.patient).unwrap();
    let refused = ward.session.get(ward.id);
    assert!(matches!(refused, Err(Error::Erased { .. })), "{refused:?}");
    advises(refused, "register the person anew");
}

#[test]
fn the_chart_of_the_facility_stays() {
    let ward = Ward::new();
    let refused = erase(&ward, PatientId::FACILITY);
    assert!(matches!(refused, Err(Error::FacilityChart)), "{refused:?}");
    advises(refused, "void its records instead");
}

#[test]
fn a_session_of_another_vault_erases_nothing() {
    let (ward, other) = (Ward::new(), Ward::new());
    let order = ErasureOrder::new("the patient asked", "GDPR 17(1)(b)");
    let refused =
        ward.clinic.vault().erase_patient(&other.session, ward.patient, &order, ward.clinic.key(), &mut |_| ());
    assert!(matches!(refused, Err(Error::OtherVault)), "{refused:?}");
    advises(refused, "open one in this vault");
}

#[test]
fn a_ledger_that_is_none_is_refused() {
    let (ward, other) = (Ward::new(), Ward::new());
    let refused = ErasureLedger::from_bytes(b"no ledger");
    assert!(matches!(refused, Err(LedgerError::NotALedger)), "{refused:?}");
    let mut bytes = ward.clinic.vault().export_erasures().unwrap().as_bytes().to_vec();
    bytes[9] = 2;
    let newer = ErasureLedger::from_bytes(&bytes);
    assert!(matches!(newer, Err(LedgerError::UnknownFormat { found: 2, newest: 1 })), "{newer:?}");
    let theirs = other.clinic.vault().export_erasures().unwrap();
    let take_in = |ledger: &ErasureLedger| ward.clinic.vault().replay_erasures(ledger, ward.clinic.key(), &mut |_| ());
    let refused = take_in(&theirs);
    assert!(matches!(refused, Err(Error::Ledger(LedgerError::OtherVault { .. }))), "{refused:?}");
    advises(refused, "take the one of this vault");
    bytes[9] = 1;
    *bytes.last_mut().unwrap() ^= 1;
    let refused = take_in(&ErasureLedger::from_bytes(&bytes).unwrap());
    assert!(matches!(refused, Err(Error::Ledger(LedgerError::DoesNotOpen))), "{refused:?}");
    advises(refused, "take another copy of it");
}

#[test]
fn an_erasure_that_cannot_be_made_final_says_so() {
    let ward = Ward::new();
    let officer = officer(&ward);
    officer.get(ward.id).unwrap();
    // The session has the patient's key; that of the facility's chart does not open any more.
    ward.clinic.store().unwrap().tamper(test_util::Stored::Patients, |_, bytes| {
        *bytes.last_mut().unwrap() ^= 1;
        true
    });
    let refused = erase_by(&ward, &officer, ward.patient);
    assert!(matches!(refused, Err(Error::ErasureUnfinished { unreadable: 1 })), "{refused:?}");
    advises(refused, "check the vault, and finish its erasures");
    let vault = ward.clinic.vault();
    assert!(vault.erasures().unwrap()[0].finished.is_none());
    // One key was made before that showed; however often it is tried again, no more pile up.
    let again = vault.finish_erasures(ward.clinic.key(), &mut |_| ());
    assert!(matches!(again, Err(Error::ErasureUnfinished { unreadable: 1 })), "{again:?}");
    assert_eq!(vault.rotation().unwrap().wrap_epochs, [1, 2]);
}
