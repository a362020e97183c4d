//! What keeps charts and records from being erased: who may say so, what the log says, and that it lasts.

use crate::support;

use chartvault::*;
use support::{House, base_grant, note, verify, whole_log};

fn day(text: &str) -> Timestamp {
    format!("{text}T00:00:00Z").parse().unwrap()
}

#[test]
fn dates_and_holds_are_set_on_charts_and_records_and_last() {
    let (house, vault) = House::create();
    let session = house.session(&vault);
    let patient = session.register_patient([]).unwrap();
    let id = session.put(patient, &note("penicillin: rash")).unwrap();
    assert_eq!(session.retention(patient).unwrap().chart, Retention::default());
    session.retain_until(patient, Some(day("2056-01-01")), "30 years").unwrap();
    session.retain_until(id, Some(day("2060-01-01")), "radiology").unwrap();
    session.place_legal_hold(id, "case 17").unwrap();
    let placed = house.clock.now();
    session.place_legal_hold(patient, "case 18").unwrap();
    session.lift_legal_hold(patient, "case 18 is closed").unwrap();
    let expected = |found: &ChartRetention| {
        assert_eq!(found.chart.retain_until, Some(day("2056-01-01")));
        assert_eq!(found.chart.legal_hold, None);
        let [(record, terms)] = &found.records[..] else { panic!("{found:?}") };
        assert_eq!((*record, terms.retain_until), (id.into(), Some(day("2060-01-01"))));
        let hold = terms.legal_hold.as_ref().unwrap();
        assert_eq!((hold.since, hold.by, hold.reason.as_str()), (placed, session.principal(), "case 17"));
    };
    expected(&session.retention(patient).unwrap());
    vault.close().unwrap();
    let vault = house.open();
    let again = house.session(&vault);
    expected(&again.retention(patient).unwrap());
    // What is lifted and let go of leaves nothing behind.
    again.lift_legal_hold(id, "case 17 is closed").unwrap();
    again.retain_until(id, None, "the rule is gone").unwrap();
    again.retain_until(patient, None, "the rule is gone").unwrap();
    again.lift_legal_hold(patient, "there is none").unwrap();
    let found = again.retention(patient).unwrap();
    assert_eq!((found.chart, found.records), (Retention::default(), vec![]));
    assert!(vault.check(CheckScope::All, &mut |_| ()).unwrap().is_sound());
    verify(&again);
}

#[test]
fn every_change_is_in_the_log_with_the_record_and_the_reason() {
    let (house, vault) = House::create();
    let session = house.session(&vault);
    let patient = session.register_patient([]).unwrap();
    let id = session.put(patient, &note("penicillin: rash")).unwrap();
    session.retain_until(patient, Some(day("2056-01-01")), "30 years").unwrap();
    session.place_legal_hold(id, "case 17").unwrap();
    session.lift_legal_hold(id, "closed").unwrap();
    session.retention(patient).unwrap();
    let log = whole_log(&session);
    let about = |entry: &&AuditEntry| (33..=36).contains(&entry.event.code());
    let said: Vec<_> = log.iter().filter(about).collect();
    use AuditEvent::*;
    let expected = [
        (RetentionChanged, Some("until 2056-01-01T00:00:00Z: 30 years"), 0),
        (HoldPlaced, Some("case 17"), 1),
        (HoldLifted, Some("closed"), 1),
        (RetentionRead, None, 0),
    ];
    let found = said.iter().map(|entry| {
        let [subject] = &entry.subjects[..] else { panic!("{entry:?}") };
        assert_eq!((subject.patient, entry.action), (Some(patient), Some(Action::Review)));
        (entry.event, entry.detail.as_deref(), subject.records.len())
    });
    assert_eq!(found.collect::<Vec<_>>(), expected);
}

#[test]
fn without_the_review_action_nobody_retains_or_asks() {
    let (house, vault) = House::create();
    let session = house.session(&vault);
    let patient = session.register_patient([]).unwrap();
    let others = Action::ALL.iter().copied().filter(|action| *action != Action::Review);
    let grant = base_grant().issued_at(house.clock.now()).all_patients().all_kinds().actions(others);
    let other = house.session_of(&vault, &grant);
    assert!(matches!(other.retain_until(patient, None, "because"), Err(Error::Denied { .. })));
    assert!(matches!(other.place_legal_hold(patient, "because"), Err(Error::Denied { .. })));
    assert!(matches!(other.lift_legal_hold(patient, "because"), Err(Error::Denied { .. })));
    assert!(matches!(other.retention(patient), Err(Error::Denied { .. })));
    // A token for one kind holds records of that kind, and no chart.
    let grant = base_grant().issued_at(house.clock.now()).all_patients().kind::<support::Note>();
    let narrow = house.session_of(&vault, &grant.actions([Action::Review]));
    let id = session.put(patient, &note("penicillin: rash")).unwrap();
    assert!(matches!(narrow.place_legal_hold(patient, "case 17"), Err(Error::Denied { .. })));
    narrow.place_legal_hold(id, "case 17").unwrap();
}

#[test]
fn what_is_not_there_or_has_no_reason_is_refused() {
    let (house, vault) = House::create();
    let session = house.session(&vault);
    let patient = session.register_patient([]).unwrap();
    let nobody = PatientId::from_bytes([7; 16]);
    assert!(matches!(session.place_legal_hold(nobody, "case 17"), Err(Error::NoSuchPatient(_))));
    let id = session.put(patient, &note("penicillin: rash")).unwrap();
    let next = format!("{}-2", id.to_string().strip_suffix("-1").unwrap());
    let refused = session.retain_until(next.parse::<RecordId<support::Note>>().unwrap(), None, "because");
    assert!(matches!(refused, Err(Error::NoSuchRecord(_))), "{refused:?}");
    for (reason, found) in [("  ".to_owned(), 0), ("x".repeat(257), 257)] {
        let refused = session.place_legal_hold(patient, &reason);
        assert!(matches!(refused, Err(Error::InvalidText { what: "reason", len, .. }) if len == found), "{refused:?}");
    }
    session.place_legal_hold(patient, &"x".repeat(256)).unwrap();
}
