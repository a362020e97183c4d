//! What the log must say: every refusal is in it, and names whom it was about.

use crate::support;

use std::panic::{AssertUnwindSafe, catch_unwind};

use chartvault::*;
use support::{House, base_grant, note, verify, whole_log};

#[derive(Record, serde::Serialize, serde::Deserialize, Debug)]
#[record(kind = "letter", version = 1)]
struct OldLetter(String);

/// A version whose author forgot a case.
#[derive(Record, serde::Serialize, serde::Deserialize, Debug)]
#[record(kind = "letter", version = 2, previous = OldLetter)]
struct Letter(String);

impl From<OldLetter> for Letter {
    fn from(old: OldLetter) -> Self {
        panic!("no letter has {} characters", old.0.len());
    }
}

fn named(entry: &AuditEntry) -> Vec<Option<PatientId>> {
    entry.subjects.iter().map(|subject| subject.patient).collect()
}

fn newest(session: &Session, event: AuditEvent) -> AuditEntry {
    whole_log(session).into_iter().rfind(|entry| entry.event == event).unwrap()
}

#[test]
fn a_denied_search_read_or_batch_names_the_patient_it_was_about() {
    let (house, vault) = House::create();
    let all = house.session(&vault);
    let mrn = Identifier::new("urn:mrn:a", "1").unwrap();
    let own = all.register_patient([]).unwrap();
    let other = all.register_patient([mrn.clone()]).unwrap();
    let ids = [own, other].map(|patient| all.put(patient, &note("x")).unwrap());
    let grant = base_grant().patient(own).all_kinds().actions([Action::Read, Action::Create]);
    let limited = house.session_of(&vault, &grant.issued_at(house.clock.now()));

    assert!(matches!(limited.find_patient(&mrn), Err(Error::Denied { .. })));
    assert_eq!(named(&newest(&all, AuditEvent::PatientFound)), [Some(other)]);

    assert!(matches!(limited.get_many(&ids), Err(Error::Denied { .. })));
    assert_eq!(named(&newest(&all, AuditEvent::RecordRead)), [Some(other)]);

    let mut batch = limited.batch();
    for patient in [own, other] {
        batch.put(patient, &note("y"), PutOptions::new()).unwrap();
    }
    assert!(matches!(batch.commit(), Err(Error::Denied { .. })));
    let entry = newest(&all, AuditEvent::RecordPut);
    assert_eq!((entry.outcome, named(&entry)), (Outcome::Denied, vec![Some(other)]));
}

#[test]
fn a_call_on_a_session_that_has_ended_is_logged() {
    let (house, vault) = House::create();
    let (all, closed) = (house.session(&vault), house.session(&vault));
    let patient = all.register_patient([]).unwrap();
    closed.close().unwrap();
    assert!(matches!(closed.list::<support::Note>(patient).page(), Err(Error::SessionEnded { .. })));
    let entry = newest(&all, AuditEvent::RecordsListed);
    assert_eq!((entry.outcome, named(&entry)), (Outcome::Denied, vec![Some(patient)]));
}

#[test]
fn a_session_or_trust_refused_because_the_clock_went_back_is_logged() {
    let (house, vault) = House::create();
    let session = house.session(&vault);
    let token = house.grant().sign(&house.issuer, vault.id()).unwrap();
    house.clock.step(-3_600);
    assert!(matches!(vault.session(&token, Purpose::Treatment), Err(Error::ClockRollback { .. })));
    let stranger = IssuerKey::generate().unwrap();
    assert!(matches!(vault.trust_issuer(stranger.public(), &house.key), Err(Error::ClockRollback { .. })));
    house.clock.step(3_600);
    assert_eq!(newest(&session, AuditEvent::SessionOpened).outcome, Outcome::Denied);
    assert_eq!(newest(&session, AuditEvent::IssuerTrusted).outcome, Outcome::Denied);
}

#[test]
fn a_read_whose_type_panics_over_the_value_is_logged_and_stops_nobody() {
    let (house, vault) = House::create();
    let session = house.session(&vault);
    let patient = session.register_patient([]).unwrap();
    let record = RecordRef::from(session.put(patient, &OldLetter("Dear colleague".into())).unwrap());
    let id = RecordId::<Letter>::try_from(record).unwrap();
    let reads: [(AuditEvent, &dyn Fn()); 3] = [
        (AuditEvent::RecordRead, &|| drop(session.get(id))),
        (AuditEvent::RecordsListed, &|| drop(session.list::<Letter>(patient).page())),
        (AuditEvent::HistoryRead, &|| drop(session.history(id))),
    ];
    for (event, read) in reads {
        assert!(catch_unwind(AssertUnwindSafe(read)).is_err());
        let entry = newest(&session, event);
        assert_eq!((entry.outcome, entry.detail.as_deref()), (Outcome::Failed, Some("panicked")));
        assert_eq!(named(&entry), [Some(patient)]);
    }
    session.put(patient, &note("life goes on")).unwrap();
    verify(&session);
}
