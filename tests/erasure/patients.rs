//! Patients who are erased: nobody reads anything of them any more, the log stays sound, and the others notice nothing.

use crate::support;

use chartvault::*;
use support::{House, Note, base_grant, note, verify, whole_log};

fn order() -> ErasureOrder {
    ErasureOrder::new("the patient asked", "GDPR 17(1)(b)")
}

fn mrn(value: &str) -> Identifier {
    Identifier::new("urn:mrn:erasure", value).unwrap()
}

fn erase(vault: &Vault, house: &House, session: &Session, patient: PatientId) -> Result<ErasureReport, Error> {
    vault.erase_patient(session, patient, &order(), &house.key, &mut |_| ())
}

/// A patient with two notes, of which one was amended, a document, and two identifiers.
fn ama(session: &Session) -> (PatientId, RecordId<Note>, RecordRef) {
    let patient = session.register_patient([mrn("1"), mrn("1b")]).unwrap();
    let id = session.put(patient, &note("penicillin: rash")).unwrap();
    session.amend(id, Version::FIRST, &note("penicillin: shock")).unwrap();
    session.put(patient, &note("second")).unwrap();
    let document = Kind::new("DocumentReference").unwrap();
    let bytes = session.put_verbatim(patient, &document, &[b'd'; 6_000], PutOptions::new()).unwrap();
    (patient, id, bytes)
}

/// Another one, who stays.
fn ben(session: &Session) -> (PatientId, RecordId<Note>) {
    let patient = session.register_patient([mrn("2")]).unwrap();
    (patient, session.put(patient, &note("stays")).unwrap())
}

fn is_erased<T: std::fmt::Debug>(answer: Result<T, Error>, of: PatientId) {
    assert!(matches!(answer, Err(Error::Erased { patient, .. }) if patient == of), "{answer:?}");
}

/// Every way to a chart answers that it was erased.
fn nothing_is_answered(session: &Session, patient: PatientId, id: RecordId<Note>, document: RecordRef) {
    is_erased(session.get(id), patient);
    is_erased(session.get_verbatim(document), patient);
    is_erased(session.get_many(&[id]), patient);
    is_erased(session.get_many_verbatim(&[document]), patient);
    is_erased(session.history(id), patient);
    is_erased(session.history_any(id), patient);
    is_erased(session.history_verbatim(document), patient);
    is_erased(session.get_verbatim_version(document, Version::FIRST), patient);
    is_erased(session.get_version(id, Version::FIRST), patient);
    is_erased(session.list::<Note>(patient).page(), patient);
    is_erased(session.list_verbatim(patient, &Kind::new("DocumentReference").unwrap()).page(), patient);
    is_erased(session.chart(patient).page(), patient);
    is_erased(session.kinds(patient), patient);
    is_erased(session.put(patient, &note("again")), patient);
    is_erased(session.amend(id, Version::FIRST, &note("again")), patient);
    is_erased(session.amend_verbatim(document, Version::FIRST, b"again"), patient);
    is_erased(session.void(id, Version::FIRST, "again"), patient);
    is_erased(session.add_identifier(patient, mrn("9")), patient);
    is_erased(session.retention(patient), patient);
    is_erased(session.place_legal_hold(patient, "too late"), patient);
    is_erased(session.lift_legal_hold(id, "too late"), patient);
    is_erased(session.retain_until(patient, None, "too late"), patient);
    let mut batch = session.batch();
    batch.put(patient, &note("again"), PutOptions::new()).unwrap();
    is_erased(batch.commit(), patient);
    is_erased(session.export().patients([patient]).start().unwrap().collect::<Result<Vec<_>, _>>(), patient);
    for value in ["1", "1b"] {
        assert_eq!(session.find_patient(&mrn(value)).unwrap(), None);
    }
    let about = AuditFilter::new().patient(patient);
    assert_eq!(session.audit().unwrap().query(about).page().unwrap().entries, []);
}

fn is_sound(vault: &Vault) {
    let report = vault.check(CheckScope::All, &mut |_| ()).unwrap();
    assert!(report.is_sound(), "{report}");
}

#[test]
fn an_erased_patient_is_gone_and_the_others_are_as_they_were() {
    let (house, vault) = House::create();
    let session = house.session(&vault);
    let (patient, id, document) = ama(&session);
    let (other, stays) = ben(&session);
    session.get(id).unwrap();
    session.chart(patient).page().unwrap();
    house.clock.step(60);
    let report = erase(&vault, &house, &session, patient).unwrap();
    assert_eq!((report.at, report.versions, report.identifiers), (house.clock.now(), 4, 2));
    // The facility's key and that of the other patient.
    assert_eq!((report.rewrapped, report.left, report.level), (2, 0, ErasureLevel::Unreadable));
    nothing_is_answered(&session, patient, id, document);
    assert_eq!(session.get(stays).unwrap().value, note("stays"));
    assert_eq!(session.export().start().unwrap().count(), 1);
    let [erasure] = &vault.erasures().unwrap()[..] else { panic!() };
    assert_eq!(
        (erasure.patient_tag, erasure.begun, erasure.by),
        (report.patient_tag, report.at, Some(session.principal()))
    );
    assert_eq!((erasure.reason.as_str(), erasure.legal_ground.as_str()), ("the patient asked", "GDPR 17(1)(b)"));
    assert_eq!((erasure.finished, erasure.log_entries), (Some(house.clock.now()), report.log_entries));
    is_sound(&vault);
    // The same person is another patient.
    let again = session.register_patient([mrn("1")]).unwrap();
    assert_ne!(again, patient);
    assert_eq!(session.find_patient(&mrn("1")).unwrap(), Some(again));
    session.put(again, &note("new")).unwrap();
    vault.close().unwrap();
    let vault = house.open();
    let session = house.session(&vault);
    is_erased(session.get(id), patient);
    assert_eq!(session.find_patient(&mrn("1")).unwrap(), Some(again));
    assert_eq!(session.get(stays).unwrap().value, note("stays"));
    assert_eq!(session.list::<Note>(other).page().unwrap().entries.len(), 1);
    is_erased(erase(&vault, &house, &session, patient), patient);
    is_sound(&vault);
    verify(&session);
}

#[test]
fn the_log_stays_sound_and_says_no_more_of_whom() {
    let (house, vault) = House::create();
    let session = house.session(&vault);
    let (patient, id, _) = ama(&session);
    session.get(id).unwrap();
    let before = whole_log(&session);
    let about = |log: &[AuditEntry]| {
        log.iter().filter(|entry| entry.subjects.iter().any(|subject| subject.patient == Some(patient))).count()
    };
    let (open, verified) = (about(&before), verify(&session));
    assert!(open >= 6);
    let report = erase(&vault, &house, &session, patient).unwrap();
    assert_eq!(report.log_entries, open as u64 + 1, "and the one about the erasure");
    is_erased(session.get(id), patient);
    let log = whole_log(&session);
    assert_eq!(about(&log), 0);
    assert!(log.iter().all(|entry| entry.requested != Some(patient)), "an access that was refused names nobody");
    let closed = log.iter().filter(|entry| entry.subjects.iter().any(|subject| subject.patient.is_none())).count();
    assert_eq!(closed as u64, report.log_entries);
    // What was done is still there, and by whom.
    for (old, new) in before.iter().zip(&log) {
        assert_eq!(
            (old.seq, old.event, old.actor, old.subjects.len()),
            (new.seq, new.event, new.actor, new.subjects.len())
        );
    }
    let begun = log.iter().find(|entry| entry.event == AuditEvent::ErasureBegun).unwrap();
    assert_eq!(begun.detail.as_deref(), Some("the patient asked; GDPR 17(1)(b)"));
    assert_eq!((begun.actor, begun.action), (Some(session.principal()), Some(Action::Erase)));
    let finished = log.iter().find(|entry| entry.event == AuditEvent::PatientErased).unwrap();
    assert_eq!(finished.count, Some(1));
    assert!(begun.to_string().contains("on erased"), "{begun}");
    session.audit().unwrap().verify(Scope::Since(verified)).run().unwrap();
    verify(&session);
}

#[test]
fn what_is_held_or_retained_is_not_erased() {
    let (house, vault) = House::create();
    let session = house.session(&vault);
    let (patient, id, _) = ama(&session);
    let until = house.clock.now().saturating_add(std::time::Duration::from_secs(3_600));
    let later = until.saturating_add(std::time::Duration::from_secs(1));
    session.retain_until(patient, Some(until), "an hour").unwrap();
    session.retain_until(id, Some(later), "an hour and a second").unwrap();
    session.place_legal_hold(id, "case 17").unwrap();
    let refused = erase(&vault, &house, &session, patient);
    assert!(
        matches!(refused, Err(Error::LegalHold { patient: of, record: Some(record), since })
            if of == patient && record == id.into() && since == house.clock.now()),
        "{refused:?}"
    );
    session.lift_legal_hold(id, "closed").unwrap();
    let refused = erase(&vault, &house, &session, patient);
    assert!(
        matches!(refused, Err(Error::Retained { record: Some(record), until, .. }) if record == id.into() && until == later),
        "{refused:?}"
    );
    house.clock.step(3_599);
    session.retain_until(id, None, "a mistake").unwrap();
    let refused = erase(&vault, &house, &session, patient);
    assert!(
        matches!(refused, Err(Error::Retained { record: None, until: found, .. }) if found == until),
        "{refused:?}"
    );
    assert_eq!(vault.erasures().unwrap(), []);
    assert_eq!(session.get(id).unwrap().version.number(), 2);
    house.clock.step(1);
    erase(&vault, &house, &session, patient).unwrap();
    let denied = whole_log(&session).into_iter().filter(|entry| entry.event == AuditEvent::ErasureBegun);
    let outcomes: Vec<_> = denied.map(|entry| entry.outcome).collect();
    assert_eq!(outcomes, [Outcome::Denied, Outcome::Denied, Outcome::Denied, Outcome::Allowed]);
    is_sound(&vault);
}

#[test]
fn only_who_may_erase_does_and_only_with_a_credential() {
    let (house, vault) = House::create();
    let session = house.session(&vault);
    let (patient, id, _) = ama(&session);
    let grant = || base_grant().issued_at(house.clock.now());
    let others = Action::ALL.iter().copied().filter(|action| *action != Action::Erase);
    let without = house.session_of(&vault, &grant().all_patients().all_kinds().actions(others));
    let one_kind = house.session_of(&vault, &grant().all_patients().kind::<Note>().actions([Action::Erase]));
    let elsewhere = grant().patient(PatientId::from_bytes([7; 16])).all_kinds().actions([Action::Erase]);
    let elsewhere = house.session_of(&vault, &elsewhere);
    for session in [&without, &one_kind, &elsewhere] {
        let refused = erase(&vault, &house, session, patient);
        assert!(matches!(refused, Err(Error::Denied { .. })), "{refused:?}");
    }
    let wrong = RawKey::generate().unwrap();
    let refused = vault.erase_patient(&session, patient, &order(), &wrong, &mut |_| ());
    assert!(matches!(refused, Err(Error::Unlock(UnlockError::WrongCredential))), "{refused:?}");
    let refused = erase(&vault, &house, &session, PatientId::FACILITY);
    assert!(matches!(refused, Err(Error::FacilityChart)), "{refused:?}");
    let refused = erase(&vault, &house, &session, PatientId::from_bytes([7; 16]));
    assert!(matches!(refused, Err(Error::NoSuchPatient(_))), "{refused:?}");
    let (neighbours, theirs) = House::create();
    let refused = erase(&vault, &house, &neighbours.session(&theirs), patient);
    assert!(matches!(refused, Err(Error::OtherVault)), "{refused:?}");
    for order in [ErasureOrder::new(" ", "law"), ErasureOrder::new("asked", &"x".repeat(257))] {
        let refused = vault.erase_patient(&session, patient, &order, &house.key, &mut |_| ());
        assert!(matches!(refused, Err(Error::InvalidText { .. })), "{refused:?}");
    }
    assert_eq!(vault.erasures().unwrap(), []);
    assert_eq!(session.get(id).unwrap().value, note("penicillin: shock"));
    // A token for this patient alone is enough.
    let narrow = house.session_of(&vault, &grant().patient(patient).all_kinds().actions([Action::Erase]));
    erase(&vault, &house, &narrow, patient).unwrap();
}
