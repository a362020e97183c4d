//! Taking records out in bulk: everything, once, decided one by one, and with its entries before the first of it.

use crate::support;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use chartvault::*;
use support::{Allergy, House, Note, base_grant, copy_dir, note, verify, whole_log};

fn observation() -> Kind {
    Kind::new("Observation").unwrap()
}

/// Puts many small records of one kind.
fn fill(session: &Session, patient: PatientId, records: usize) -> Vec<RecordRef> {
    let mut all = Vec::new();
    while all.len() < records {
        let mut batch = session.batch();
        for at in all.len()..records.min(all.len() + 500) {
            batch.put_verbatim(patient, &observation(), at.to_string().as_bytes(), PutOptions::new()).unwrap();
        }
        all.extend(batch.commit().unwrap());
    }
    all
}

fn run(export: Export<'_, '_>) -> Vec<AnyEntry> {
    export.start().unwrap().collect::<Result<_, _>>().unwrap()
}

fn versions(entries: &[AnyEntry]) -> Vec<(RecordRef, u32)> {
    entries.iter().map(|entry| (entry.record(), entry.version().number())).collect()
}

fn exports(session: &Session) -> Vec<AuditEntry> {
    whole_log(session).into_iter().filter(|entry| entry.event == AuditEvent::RecordsExported).collect()
}

fn touched(entry: &AuditEntry) -> usize {
    entry.subjects.iter().map(|subject| subject.records.len()).sum()
}

#[test]
fn what_was_put_comes_out_equal_of_one_chart_of_some_and_of_all() {
    let (house, vault) = House::create();
    let session = house.session(&vault);
    let patients = [(); 3].map(|()| session.register_patient([]).unwrap());
    let mut expected: BTreeMap<RecordRef, (u32, String)> = BTreeMap::new();
    for (at, patient) in patients.iter().enumerate() {
        for text in 0..at + 3 {
            let id = session.put(*patient, &note(&format!("{at}.{text}"))).unwrap();
            expected.insert(id.into(), (1, format!("{at}.{text}")));
        }
        let id = session.put(*patient, &note("first")).unwrap();
        session.amend(id, Version::FIRST, &note("second")).unwrap();
        expected.insert(id.into(), (2, "second".into()));
    }
    let voided = session.put(patients[0], &Allergy { substance: "penicillin".into() }).unwrap();
    session.void(voided, Version::FIRST, "entered in error").unwrap();
    let clinic = session.put(PatientId::FACILITY, &note("opening hours")).unwrap();
    expected.insert(clinic.into(), (1, "opening hours".into()));

    let found = |export: Export<'_, '_>| -> BTreeMap<RecordRef, (u32, String)> {
        let entries = run(export);
        let found: BTreeMap<_, _> = entries
            .iter()
            .map(|entry| (entry.record(), (entry.version().number(), entry.decode::<Note>().unwrap().value.text)))
            .collect();
        assert_eq!(found.len(), entries.len(), "none twice");
        found
    };
    let of = |patients: &[PatientId]| -> BTreeMap<RecordRef, (u32, String)> {
        let some = expected.iter().filter(|(record, _)| patients.contains(&record.patient()));
        some.map(|(record, value)| (*record, value.clone())).collect()
    };
    assert_eq!(found(session.export()), expected);
    assert_eq!(found(session.export().patients([patients[1]])), of(&patients[1..2]));
    assert_eq!(found(session.export().patients([patients[2], patients[0], patients[2]])), {
        let mut some = of(&patients[2..]);
        some.extend(of(&patients[..1]));
        some
    });
    assert_eq!(found(session.export().kinds([Kind::of::<Note>()])), expected);
    assert!(run(session.export().kinds([Kind::of::<Allergy>()])).is_empty());
    let all = run(session.export().include_voided().kinds([Kind::of::<Allergy>()]));
    assert_eq!((versions(&all), all[0].status()), (vec![(voided.into(), 2)], Status::Voided));
    let history = run(session.export().patients(patients).whole_history());
    assert_eq!(history.len(), expected.len() - 1 + 3, "three records have two versions, one is the clinic's");
    assert_eq!(run(session.export().patients(patients).whole_history().include_voided()).len(), history.len() + 2);
    verify(&session);
}

#[test]
fn a_thousand_records_have_one_entry_durable_before_the_first_is_given_out() {
    let (house, vault) = House::create();
    let session = house.session(&vault);
    vault.set_read_audit(ReadAudit::Windowed { delay: Duration::from_secs(60), entries: 100 }, &house.key).unwrap();
    let patient = session.register_patient([]).unwrap();
    let records = fill(&session, patient, 2_500);
    let mut progress = Vec::new();
    let mut report = |now: Progress| progress.push((now.task, now.done));
    let mut stream = session.export().patients([patient]).on_progress(&mut report).start().unwrap();
    assert!(exports(&session).is_empty());
    stream.next().unwrap().unwrap();
    let crashed = tempfile::tempdir().unwrap();
    copy_dir(&house.path(), &crashed.path().join("found"));
    let found = house.open_at(&crashed.path().join("found")).unwrap();
    assert_eq!(exports(&house.session(&found)).iter().map(touched).collect::<Vec<_>>(), [1_000]);
    assert_eq!(stream.by_ref().take(1_200).count(), 1_200);
    drop(stream);
    assert_eq!(progress, [(Task::Export, 1_000), (Task::Export, 2_000)]);
    let log = exports(&session);
    assert_eq!(log.iter().map(touched).collect::<Vec<_>>(), [1_000, 1_000], "for no more than was read");

    assert_eq!(run(session.export().patients([patient])).len(), 2_500);
    let log = exports(&session);
    assert_eq!(log.iter().map(touched).collect::<Vec<_>>(), [1_000, 1_000, 1_000, 1_000, 500]);
    for entry in &log {
        assert_eq!((entry.action, entry.outcome), (Some(Action::Export), Outcome::Allowed));
        assert_eq!(entry.count.map(|count| count as usize), Some(touched(entry)));
        assert_eq!(entry.subjects[0].patient, Some(patient));
    }
    let named: BTreeSet<_> = log[2..].iter().flat_map(|e| &e.subjects[0].records).map(|record| record.number).collect();
    assert_eq!(named, records.iter().map(|record| record.number()).collect());
    let read = session.get_verbatim(records[7]).map(drop);
    assert!(read.is_ok());
    let of_read = whole_log(&session).into_iter().rfind(|entry| entry.event == AuditEvent::RecordRead).unwrap();
    let tag = of_read.subjects[0].records[0].tag;
    assert!(log.iter().any(|entry| entry.subjects[0].records.iter().any(|record| record.tag == tag)));
    verify(&session);
}

#[test]
fn an_export_needs_the_export_action_for_each_patient_and_kind_and_hints_at_nothing() {
    let (house, vault) = House::create();
    let all = house.session(&vault);
    let (own, other) = (all.register_patient([]).unwrap(), all.register_patient([]).unwrap());
    let nobody = PatientId::from_bytes([9; 16]);
    for patient in [own, other, PatientId::FACILITY] {
        all.put(patient, &note("x")).unwrap();
    }
    let session = |grant: Grant| house.session_of(&vault, &grant.issued_at(house.clock.now()));
    let reader = session(base_grant().all_patients().all_kinds().actions([Action::Read, Action::List]));
    let Err(Error::Denied { ticket }) = reader.export().start() else { panic!("it was not denied") };
    let log = exports(&all);
    assert_eq!((log.len(), log[0].outcome, log[0].ticket), (1, Outcome::Denied, Some(ticket)));

    let limited = session(base_grant().patient(own).kind::<Note>().actions([Action::Export]));
    for cohort in [vec![other], vec![own, other], vec![nobody], vec![own, nobody], vec![PatientId::FACILITY]] {
        assert!(matches!(limited.export().patients(cohort).start(), Err(Error::Denied { .. })));
    }
    assert!(matches!(limited.export().kinds([observation()]).start(), Err(Error::Denied { .. })));
    let denied = exports(&all);
    assert!(denied[1..].iter().all(|entry| entry.outcome == Outcome::Denied && entry.ticket.is_some()));
    assert_eq!(denied.len(), 7);
    let mine = run(limited.export());
    assert_eq!(mine.iter().map(|entry| entry.record().patient()).collect::<Vec<_>>(), [own]);
    let entry = exports(&all).pop().unwrap();
    assert_eq!(entry.subjects.iter().map(|subject| subject.patient).collect::<Vec<_>>(), [Some(own)]);

    let mut missing = all.export().patients([own, nobody]).start().unwrap();
    assert!(matches!(missing.next(), Some(Err(Error::NoSuchPatient(patient))) if patient == nobody));
    assert!(missing.next().is_none());
    let entry = exports(&all).pop().unwrap();
    assert_eq!((entry.outcome, entry.requested), (Outcome::Failed, Some(nobody)));
    assert_eq!(entry.kind, None, "a kind of the chart before");
    let many = (0..=100_000_u128).map(|at| PatientId::from_bytes(at.to_be_bytes()));
    assert!(matches!(all.export().patients(many).start(), Err(Error::TooMany { len: 100_001, limit: 100_000, .. })));
}

#[test]
fn kinds_that_the_token_lacks_are_passed_over_and_what_is_too_confidential_is_counted() {
    let (house, vault) = House::create();
    let all = house.session(&vault);
    let patient = all.register_patient([]).unwrap();
    let restricted = || PutOptions::new().confidentiality(Confidentiality::Restricted);
    let open = all.put(patient, &note("open")).unwrap();
    all.put_with(patient, &note("secret"), restricted()).unwrap();
    let hidden = all.put(patient, &note("was open")).unwrap();
    all.amend_with(hidden, Version::FIRST, &note("is secret"), restricted()).unwrap();
    all.put(patient, &Allergy { substance: "latex".into() }).unwrap();
    fill(&all, patient, 300);
    let grant = base_grant().all_patients().kind::<Note>().actions([Action::Export]);
    let narrow = house.session_of(&vault, &grant.sensitivity(Confidentiality::Normal).issued_at(house.clock.now()));
    for export in [narrow.export(), narrow.export().whole_history()] {
        let mut stream = export.start().unwrap();
        let entries: Vec<_> = stream.by_ref().map(Result::unwrap).collect();
        assert_eq!((versions(&entries), stream.withheld()), (vec![(open.into(), 1)], 2));
    }
    let log = exports(&all);
    assert_eq!(log.iter().map(touched).collect::<Vec<_>>(), [1, 1]);
    assert!(log.iter().all(|entry| entry.detail.as_deref() == Some("2 withheld")));
}

#[test]
fn a_batch_of_large_values_ends_after_a_few() {
    let (house, vault) = House::create();
    let session = house.session(&vault);
    let patient = session.register_patient([]).unwrap();
    let value = vec![b'x'; MAX_VALUE - 1_000];
    for _ in 0..14 {
        session.put_verbatim(patient, &observation(), &value, PutOptions::new()).unwrap();
    }
    let entries = run(session.export());
    assert_eq!(entries.len(), 14);
    assert!(entries.iter().all(|entry| entry.verbatim().unwrap().value == value));
    assert_eq!(exports(&session).iter().map(touched).collect::<Vec<_>>(), [5, 5, 4]);
}

#[test]
fn many_charts_share_entries() {
    let (house, vault) = House::create();
    let session = house.session(&vault);
    let patients: Vec<_> = (0..260).map(|_| session.register_patient([]).unwrap()).collect();
    let mut batch = session.batch();
    for patient in &patients {
        for kind in ["a", "b", "c", "d"] {
            batch.put_verbatim(*patient, &Kind::new(kind).unwrap(), b"{}", PutOptions::new()).unwrap();
        }
    }
    let put: BTreeSet<_> = batch.commit().unwrap().into_iter().collect();
    let given = run(session.export());
    assert_eq!(given.len(), put.len());
    assert_eq!(given.iter().map(AnyEntry::record).collect::<BTreeSet<_>>(), put);
    let log = exports(&session);
    assert!(log.len() < 6, "{} entries", log.len());
    assert_eq!(log.iter().map(touched).sum::<usize>(), put.len());
    verify(&session);
}

#[test]
fn what_stood_throughout_is_given_once_while_others_write() {
    let (house, vault) = House::create();
    let session = house.session(&vault);
    let patient = session.register_patient([]).unwrap();
    let records = fill(&session, patient, 1_500);
    let mut stream = session.export().patients([patient]).start().unwrap();
    let first = stream.next().unwrap().unwrap().record();
    assert_eq!(first, records[1_499], "newest first");
    let new = fill(&session, patient, 3);
    for record in [records[1_400], records[3]] {
        session.amend_verbatim(record, Version::FIRST, b"amended").unwrap();
    }
    let rest: Vec<AnyEntry> = stream.map(Result::unwrap).collect();
    let mut given: BTreeMap<RecordRef, u32> = BTreeMap::from([(first, 1)]);
    for (record, version) in versions(&rest) {
        assert_eq!(given.insert(record, version), None, "{record} twice");
    }
    assert!(records.iter().all(|record| given.contains_key(record)));
    assert_eq!((given[&records[1_400]], given[&records[3]]), (1, 2), "as it was when its batch was read");
    assert!(new.iter().all(|record| !given.contains_key(record)));
    verify(&session);
}

#[test]
fn a_history_longer_than_a_batch_goes_on_where_it_stopped_and_by_the_rules_of_then() {
    let (house, vault) = House::create();
    let all = house.session(&vault);
    let patient = all.register_patient([]).unwrap();
    let value = note(&"x".repeat(MAX_VALUE - 1_000));
    let record = all.put(patient, &value).unwrap();
    for at in 1..12 {
        all.amend(record, Version::new(at).unwrap(), &value).unwrap();
    }
    let grant = base_grant().all_patients().all_kinds().actions([Action::Export]);
    let narrow = house.session_of(&vault, &grant.sensitivity(Confidentiality::Normal).issued_at(house.clock.now()));
    let mut stream = narrow.export().whole_history().start().unwrap();
    let mut given: Vec<u32> = stream.by_ref().take(1).map(|entry| entry.unwrap().version().number()).collect();
    all.amend(record, Version::new(12).unwrap(), &note("one more")).unwrap();
    given.extend(stream.map(|entry| entry.unwrap().version().number()));
    assert_eq!(given, (1..=12).rev().collect::<Vec<_>>());

    let mut stream = narrow.export().whole_history().start().unwrap();
    assert_eq!(stream.next().unwrap().unwrap().version().number(), 13);
    let secret = PutOptions::new().confidentiality(Confidentiality::Restricted);
    all.amend_with(record, Version::new(13).unwrap(), &note("secret"), secret).unwrap();
    let more = stream.by_ref().map(Result::unwrap).count();
    assert!(more < 6, "{more} more than the batch that was read");
    assert_eq!(stream.withheld(), 1);
}

#[test]
fn an_export_under_a_token_that_expires_ends_with_a_denial() {
    let (house, vault) = House::create();
    let all = house.session(&vault);
    let patient = all.register_patient([]).unwrap();
    fill(&all, patient, 1_100);
    let grant = base_grant().all_patients().all_kinds().actions([Action::Export]).valid_for(Duration::from_secs(60));
    let short = house.session_of(&vault, &grant.issued_at(house.clock.now()));
    let mut stream = short.export().start().unwrap();
    stream.next().unwrap().unwrap();
    house.clock.step(400);
    assert_eq!(stream.by_ref().take(999).filter(Result::is_ok).count(), 999, "the batch that was read");
    assert!(matches!(stream.next(), Some(Err(Error::Denied { .. }))));
    assert!(stream.next().is_none());
    let outcomes: Vec<_> = exports(&all).iter().map(|entry| entry.outcome).collect();
    assert_eq!(outcomes, [Outcome::Allowed, Outcome::Denied]);
}

#[test]
fn an_export_beside_a_writer_gives_every_record_once() {
    let (house, vault) = House::create();
    let session = house.session(&vault);
    let patients = [(); 4].map(|()| session.register_patient([]).unwrap());
    let standing: BTreeSet<_> = patients.iter().flat_map(|patient| fill(&session, *patient, 600)).collect();
    std::thread::scope(|scope| {
        let writer = scope.spawn(|| {
            for record in standing.iter().step_by(37) {
                session.amend_verbatim(*record, Version::FIRST, b"amended").unwrap();
                session.put_verbatim(record.patient(), &observation(), b"new", PutOptions::new()).unwrap();
            }
        });
        let mut seen = BTreeSet::new();
        for entry in session.export().start().unwrap() {
            let record = entry.unwrap().record();
            assert!(seen.insert(record), "{record} twice");
        }
        assert!(seen.is_superset(&standing));
        writer.join().unwrap();
    });
    verify(&session);
}
