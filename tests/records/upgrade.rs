//! Records that were stored in earlier versions of their type: every way of reading brings them up, none rewrites them.

use crate::support;

/// The types of the example: `Allergy` is version 3 of its kind.
#[path = "../../examples/upgrade/kinds.rs"]
mod kinds;

use chartvault::*;
use kinds::{Allergy, AllergyV1, AllergyV2, NoSuchSeverity, Severity};
use support::{House, verify, whole_log};

fn first(substance: &str, severity: &str) -> AllergyV1 {
    AllergyV1 { substance: substance.into(), severity: severity.into() }
}

fn second(substance: &str) -> AllergyV2 {
    AllergyV2 { substance: substance.into(), severity: Severity::Mild }
}

fn newest(substance: &str, severity: Severity) -> Allergy {
    Allergy { substance: substance.into(), severity, since: None }
}

/// The same record as another version of its type.
fn known_as<To: Record>(id: impl Into<RecordRef>) -> RecordId<To> {
    RecordId::try_from(id.into()).unwrap()
}

#[test]
fn every_way_of_reading_brings_old_records_up() {
    let (house, vault) = House::create();
    let session = house.session(&vault);
    let patient = session.register_patient([]).unwrap();
    let one = known_as::<Allergy>(session.put(patient, &first("penicillin", "Severe")).unwrap());
    let two = known_as::<Allergy>(session.put(patient, &second("pollen")).unwrap());
    let mut batch = session.batch();
    batch.put(patient, &newest("latex", Severity::Moderate), PutOptions::new()).unwrap();
    batch.put(patient, &first("dust", "mild"), PutOptions::new()).unwrap();
    let batch: Vec<RecordId<Allergy>> = batch.commit().unwrap().into_iter().map(known_as).collect();
    let (three, four) = (batch[0], batch[1]);
    vault.close().unwrap();

    let vault = house.open();
    let session = house.session(&vault);
    let expected = [
        (one, newest("penicillin", Severity::Severe), Some(1)),
        (two, newest("pollen", Severity::Mild), Some(2)),
        (three, newest("latex", Severity::Moderate), Some(3)),
        (four, newest("dust", Severity::Mild), Some(1)),
    ];
    let told = |entry: Entry<Allergy>| (entry.id, entry.value, entry.schema);
    // Twice, since reading changes nothing.
    for _ in 0..2 {
        for (id, value, schema) in &expected {
            assert_eq!(told(session.get(*id).unwrap()), (*id, value.clone(), *schema));
            assert_eq!(told(session.get_version(*id, Version::FIRST).unwrap()), (*id, value.clone(), *schema));
            let history: Vec<_> = session.history(*id).unwrap().into_iter().map(told).collect();
            assert_eq!(history, [(*id, value.clone(), *schema)]);
        }
        let many = session.get_many(&expected.each_ref().map(|(id, _, _)| *id)).unwrap();
        assert!(many.into_iter().map(told).eq(expected.iter().cloned()));
        let list = session.list::<Allergy>(patient).page().unwrap().entries;
        assert!(list.into_iter().rev().map(told).eq(expected.iter().cloned()));
        let mut chart = session.chart(patient).page().unwrap().entries;
        chart.sort_by_key(|entry| entry.record());
        assert!(chart.iter().map(|entry| entry.schema()).eq(expected.iter().map(|(_, _, schema)| *schema)));
        assert!(chart.iter().map(|entry| told(entry.decode().unwrap())).eq(expected.iter().cloned()));
    }
    // What was stored is still there as it was.
    let evidence = session.get(known_as::<AllergyV1>(one)).unwrap();
    assert_eq!((evidence.value, evidence.schema), (first("penicillin", "Severe"), Some(1)));
    verify(&session);
}

#[test]
fn amending_writes_the_newest_version_and_keeps_the_old_one() {
    let (house, vault) = House::create();
    let session = house.session(&vault);
    let patient = session.register_patient([]).unwrap();
    let id = known_as::<Allergy>(session.put(patient, &first("penicillin", "mild")).unwrap());
    let entry = session.get(id).unwrap();
    let version = session.amend(id, entry.version, &Allergy { since: Some(2019), ..entry.value }).unwrap();
    let voided = session.void(id, version, "wrong patient").unwrap();
    let history = session.history(id).unwrap();
    let told: Vec<_> = history.iter().map(|entry| (entry.version, entry.schema, entry.value.since)).collect();
    assert_eq!(told, [(voided, Some(3), Some(2019)), (version, Some(3), Some(2019)), (Version::FIRST, Some(1), None)]);
}

#[test]
fn a_record_without_successor_is_named_with_step_and_reason_and_nothing_is_dropped() {
    let (house, vault) = House::create();
    let session = house.session(&vault);
    let patient = session.register_patient([]).unwrap();
    session.put(patient, &first("pollen", "mild")).unwrap();
    let old = session.put(patient, &first("latex", "bad rash")).unwrap();
    let second = session.amend(old, Version::FIRST, &first("latex", "worse")).unwrap();
    let (id, record) = (known_as::<Allergy>(old), RecordRef::from(old));

    let names = |error: Error, at: Version| match error {
        Error::Decode { record: found, version, source: DecodeError::Upgrade { stored, from, to, reason, .. } } => {
            assert_eq!((found, version, stored, from, to), (record, at, 1, 1, 2));
            assert!(reason.get_ref().is::<NoSuchSeverity>());
        }
        other => panic!("{other:?}"),
    };
    names(session.get(id).unwrap_err(), second);
    names(session.get_many(&[id]).unwrap_err(), second);
    names(session.get_version(id, Version::FIRST).unwrap_err(), Version::FIRST);
    names(session.history(id).unwrap_err(), second);
    names(session.list::<Allergy>(patient).page().unwrap_err(), second);
    let told = session.get(id).unwrap_err().to_string();
    assert!(told.starts_with(&format!("{record} version 2: kind `allergy`")) && !told.contains("rash"), "{told}");

    // The others are there, and this one is as what it was stored.
    let chart = session.chart(patient).page().unwrap().entries;
    assert_eq!(chart.iter().filter(|entry| entry.decode::<Allergy>().is_ok()).count(), 1);
    assert_eq!(chart.len(), 2);
    assert_eq!(session.get(old).unwrap().value, first("latex", "worse"));
    let failures = whole_log(&session).into_iter().filter(|entry| entry.outcome == Outcome::Failed);
    let details: Vec<_> = failures.map(|entry| entry.detail.unwrap()).collect();
    assert_eq!(details, ["not upgradable"; 6]);

    let mended = newest("latex", Severity::Severe);
    let third = session.amend(id, second, &mended).unwrap();
    assert_eq!(session.get(id).unwrap().value, mended);
    assert_eq!(session.list::<Allergy>(patient).page().unwrap().entries.len(), 2);
    let history = session.history_any(id).unwrap();
    let told: Vec<_> = history.iter().map(|entry| (entry.version(), entry.schema())).collect();
    assert_eq!(told, [(third, Some(3)), (second, Some(1)), (Version::FIRST, Some(1))]);
    names(history[2].decode::<Allergy>().unwrap_err(), Version::FIRST);
    assert_eq!(history[2].decode::<AllergyV1>().unwrap().value, first("latex", "bad rash"));
    verify(&session);
}

#[test]
fn a_record_without_successor_can_be_voided() {
    let (house, vault) = House::create();
    let session = house.session(&vault);
    let patient = session.register_patient([]).unwrap();
    let old = session.put(patient, &first("latex", "bad rash")).unwrap();
    session.void(known_as::<Allergy>(old), Version::FIRST, "entered in error").unwrap();
    assert!(session.list::<Allergy>(patient).page().unwrap().entries.is_empty());
    let voided = session.get(old).unwrap();
    assert_eq!((voided.value, voided.schema, voided.status), (first("latex", "bad rash"), Some(1), Status::Voided));
}

#[test]
fn a_program_that_knows_less_neither_reads_nor_replaces_newer_records() {
    let (house, vault) = House::create();
    let session = house.session(&vault);
    let patient = session.register_patient([]).unwrap();
    let id = session.put(patient, &newest("latex", Severity::Severe)).unwrap();
    let old = known_as::<AllergyV2>(id);
    let newer = |error| {
        matches!(error, Error::Decode { source: DecodeError::NewerRecord { kind: "allergy", found: 3, newest: 2 }, .. })
    };
    assert!(newer(session.get(old).unwrap_err()));
    assert!(newer(session.amend(old, Version::FIRST, &second("latex")).unwrap_err()));
    let options = PutOptions::new().confidentiality(Confidentiality::Restricted);
    assert!(newer(session.amend_with(old, Version::FIRST, &second("latex"), options).unwrap_err()));
    assert_eq!(session.history(id).unwrap().len(), 1);
    assert_eq!(session.amend(id, Version::FIRST, &newest("latex", Severity::Mild)).unwrap().number(), 2);
}

/// A type that was changed without a new version.
mod changed {
    use super::*;

    #[derive(Record, serde::Serialize, serde::Deserialize, Debug)]
    #[record(kind = "allergy", version = 1)]
    pub struct Allergy {
        pub allergen: String,
        pub severity: String,
    }
}

#[test]
fn a_version_that_was_changed_in_place_is_told_from_one_that_is_too_new() {
    let (house, vault) = House::create();
    let session = house.session(&vault);
    let patient = session.register_patient([]).unwrap();
    let id = session.put(patient, &first("latex", "mild")).unwrap();
    let refused = session.get(known_as::<changed::Allergy>(id)).unwrap_err();
    assert!(matches!(
        &refused,
        Error::Decode { source: DecodeError::UnknownShape { version: 1, shape, .. }, .. }
            if *shape == AllergyV1::SHAPE.to_bytes()
    ));
    assert!(refused.to_string().contains(&AllergyV1::SHAPE.to_string()), "{refused}");
    let value = changed::Allergy { allergen: "latex".into(), severity: "mild".into() };
    let refused = session.put(patient, &value).unwrap_err();
    assert!(matches!(refused, Error::Encode(EncodeError::DeclaredTwice { version: 1, .. })), "{refused:?}");
    // Nor beside the newest type, whose past has that version, too.
    vault.close().unwrap();
    let vault = house.open();
    vault.register(&newest("latex", Severity::Mild)).unwrap();
    assert!(matches!(vault.register(&value), Err(Error::Encode(EncodeError::DeclaredTwice { version: 1, .. }))));
}
