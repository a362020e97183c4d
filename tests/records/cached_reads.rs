//! Records that are answered out of memory: each way in which that could be a wrong answer, or an access without its
//! right or its entry.

use crate::support;

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::thread;

use chartvault::test_util::{Fault, FileOp, Stored, TestVault};
use chartvault::*;
use support::{House, Note, base_grant, everything, note, whole_log};

fn level(level: Confidentiality) -> PutOptions {
    PutOptions::new().confidentiality(level)
}

fn texts(session: &Session, patient: PatientId) -> Vec<String> {
    let page = session.chart(patient).page().unwrap();
    page.entries.iter().map(|entry| entry.decode::<Note>().unwrap().value.text).collect()
}

fn listed(session: &Session, patient: PatientId) -> Vec<String> {
    session.list::<Note>(patient).page().unwrap().entries.into_iter().map(|entry| entry.value.text).collect()
}

/// Changes every stored version of a record behind the vault's back.
fn flip_records(clinic: &TestVault) {
    clinic.store().unwrap().tamper(Stored::Records, |_, bytes| {
        *bytes.last_mut().unwrap() ^= 1;
        true
    });
}

/// A vault in memory with one record, opened anew so that nothing of it waits to be stored; nobody has read it since.
fn stored(options: Options) -> (TestVault, Session, PatientId, RecordId<Note>) {
    let mut clinic = TestVault::new().options(options).build().unwrap();
    let session = |clinic: &TestVault| clinic.session(&everything().issued_at(clinic.clock().now())).unwrap();
    let writer = session(&clinic);
    let patient = writer.register_patient([]).unwrap();
    let id = writer.put(patient, &note("first")).unwrap();
    clinic.reopen().unwrap();
    let reader = session(&clinic);
    (clinic, reader, patient, id)
}

/// The same, and the record was read.
fn read_before(options: Options) -> (TestVault, Session, PatientId, RecordId<Note>) {
    let (clinic, session, patient, id) = stored(options);
    assert_eq!(session.get(id).unwrap().value, note("first"));
    (clinic, session, patient, id)
}

#[test]
fn what_was_opened_is_answered_out_of_memory_in_every_session() {
    let (clinic, session, patient, id) = read_before(Options::new());
    assert_eq!(texts(&session, patient), ["first"]);
    flip_records(&clinic);
    let other = clinic.session(&everything().issued_at(clinic.clock().now())).unwrap();
    for session in [&session, &other] {
        assert_eq!(session.get(id).unwrap().value, note("first"));
        assert_eq!(session.get_many(&[id]).unwrap()[0].value, note("first"));
        assert_eq!((texts(session, patient), listed(session, patient)), (vec!["first".into()], vec!["first".into()]));
    }
}

#[test]
fn a_cache_of_nothing_keeps_nothing() {
    let (clinic, session, patient, id) = read_before(Options::new().record_cache(0));
    flip_records(&clinic);
    assert!(matches!(session.get(id), Err(Error::Tampered { .. })));
    assert!(matches!(session.chart(patient).page(), Err(Error::Tampered { .. })));
}

#[test]
fn histories_and_exports_leave_nothing_behind() {
    let (clinic, session, _, id) = stored(Options::new());
    assert_eq!(session.history(id).unwrap().len(), 1);
    assert_eq!(session.export().start().unwrap().filter(|entry| entry.is_ok()).count(), 1);
    flip_records(&clinic);
    assert!(matches!(session.get(id), Err(Error::Tampered { .. })));
}

#[test]
fn a_check_looks_at_what_is_stored_and_not_at_what_is_kept() {
    let (clinic, session, _, id) = read_before(Options::new());
    flip_records(&clinic);
    assert!(session.get(id).is_ok());
    let report = clinic.vault().check(CheckScope::Records, &mut |_| ()).unwrap();
    assert!(!report.findings.is_empty(), "{report}");
}

#[test]
fn nothing_is_kept_from_one_opening_to_the_next() {
    let (mut clinic, session, patient, id) = read_before(Options::new());
    assert_eq!(texts(&session, patient), ["first"]);
    clinic.reopen().unwrap();
    assert!(matches!(session.get(id), Err(Error::Sealed)));
    assert!(matches!(session.chart(patient).page(), Err(Error::Sealed)));
    flip_records(&clinic);
    let session = clinic.session(&everything().issued_at(clinic.clock().now())).unwrap();
    assert!(matches!(session.get(id), Err(Error::Tampered { .. })));
}

#[test]
fn an_amendment_is_what_every_session_reads_from_then_on() {
    let (house, vault) = House::create();
    let sessions = [(); 3].map(|()| house.session(&vault));
    let patient = sessions[0].register_patient([]).unwrap();
    let other = sessions[0].put(patient, &note("other")).unwrap();
    let id = sessions[0].put(patient, &note("text 1")).unwrap();
    for version in 2..12 {
        let all = [format!("text {}", version - 1), "other".to_owned()];
        for session in &sessions {
            assert_eq!(
                (session.get(id).unwrap().value.text.as_str(), listed(session, patient)),
                (&*all[0], all.to_vec())
            );
            assert_eq!(texts(session, patient), all);
        }
        let based_on = sessions[version % 3].get(id).unwrap().version;
        house.clock.step(1);
        let written = sessions[version % 3].amend(id, based_on, &note(&format!("text {version}"))).unwrap();
        assert_eq!(written.number() as usize, version);
        assert!(matches!(sessions[0].amend(id, based_on, &note("late")), Err(Error::Conflict { .. })));
        assert_eq!(sessions[1].get_version(id, based_on).unwrap().value.text, all[0]);
        assert_eq!(sessions[2].history(id).unwrap().len(), version);
        assert_eq!(sessions[2].get(other).unwrap().version, Version::FIRST);
    }
}

#[test]
fn a_record_put_or_voided_after_a_chart_was_read_comes_and_goes() {
    let (house, vault) = House::create();
    let (session, other) = (house.session(&vault), house.session(&vault));
    let patient = session.register_patient([]).unwrap();
    let first = session.put(patient, &note("first")).unwrap();
    assert_eq!(texts(&other, patient), ["first"]);
    house.clock.step(1);
    session.put(patient, &note("second")).unwrap();
    assert_eq!(
        (texts(&other, patient), listed(&other, patient)),
        (vec!["second".into(), "first".into()], vec!["second".into(), "first".into()])
    );
    let kind = Kind::new("Observation").unwrap();
    house.clock.step(1);
    session.put_verbatim(patient, &kind, b"{}", PutOptions::new()).unwrap();
    assert_eq!(other.chart(patient).page().unwrap().entries.len(), 3);
    session.void(first, Version::FIRST, "entered in error").unwrap();
    assert_eq!(listed(&other, patient), ["second"]);
    assert_eq!(other.chart(patient).page().unwrap().entries.len(), 2);
    assert_eq!(other.get(first).unwrap().status, Status::Voided);
    assert!(matches!(other.amend(first, Version::new(2).unwrap(), &note("again")), Err(Error::Voided(_))));
}

#[test]
fn a_session_with_a_lower_ceiling_is_given_nothing_that_another_has_opened() {
    let (house, vault) = House::create();
    let all = house.session(&vault);
    let patient = all.register_patient([]).unwrap();
    let id = all.put_with(patient, &note("HIV"), level(Confidentiality::Restricted)).unwrap();
    let grant = base_grant().all_patients().all_kinds().actions([Action::Read, Action::List]);
    let limited = house.session_of(&vault, &grant.sensitivity(Confidentiality::Normal).issued_at(house.clock.now()));
    let kinds = base_grant().all_patients().kind::<support::Allergy>().actions([Action::Read, Action::List]);
    let allergies = house.session_of(&vault, &kinds.issued_at(house.clock.now()));
    for _ in 0..2 {
        assert_eq!((all.get(id).unwrap().value, texts(&all, patient)), (note("HIV"), vec!["HIV".into()]));
        assert!(matches!(limited.get(id), Err(Error::Denied { .. })));
        assert!(matches!(limited.get_many(&[id]), Err(Error::Denied { .. })));
        let page = limited.chart(patient).page().unwrap();
        assert_eq!((page.entries.len(), page.withheld), (0, 1));
        let page = limited.list::<Note>(patient).page().unwrap();
        assert_eq!((page.entries.len(), page.withheld), (0, 1));
        assert!(matches!(allergies.get(id), Err(Error::Denied { .. })));
        assert!(allergies.chart(patient).page().unwrap().entries.is_empty());
    }
}

#[test]
fn a_record_that_became_restricted_is_denied_to_those_who_have_read_it() {
    let (house, vault) = House::create();
    let all = house.session(&vault);
    let patient = all.register_patient([]).unwrap();
    let id = all.put_with(patient, &note("HIV"), level(Confidentiality::Normal)).unwrap();
    let grant = base_grant().all_patients().all_kinds().actions([Action::Read, Action::List]);
    let limited = house.session_of(&vault, &grant.sensitivity(Confidentiality::Normal).issued_at(house.clock.now()));
    assert_eq!((limited.get(id).unwrap().value, texts(&limited, patient)), (note("HIV"), vec!["HIV".into()]));
    all.amend_with(id, Version::FIRST, &note("HIV"), level(Confidentiality::Restricted)).unwrap();
    for version in [Version::FIRST, Version::new(2).unwrap()] {
        assert!(matches!(limited.get_version(id, version), Err(Error::Denied { .. })));
    }
    assert!(matches!(limited.get(id), Err(Error::Denied { .. })));
    assert_eq!(limited.chart(patient).page().unwrap().withheld, 1);
}

#[test]
fn every_read_out_of_memory_has_its_entry_with_the_tag_of_what_was_read() {
    let (house, vault) = House::create();
    let sessions = [(); 2].map(|()| house.session(&vault));
    let patient = sessions[0].register_patient([]).unwrap();
    let id = sessions[0].put(patient, &note("first")).unwrap();
    for session in sessions.iter().cycle().take(6) {
        session.get(id).unwrap();
        texts(session, patient);
    }
    let log = whole_log(&sessions[0]);
    let records = |event| {
        let entries = log.iter().filter(move |entry| entry.event == event);
        entries.flat_map(|entry| &entry.subjects).flat_map(|subject| &subject.records).collect::<Vec<_>>()
    };
    let put = records(AuditEvent::RecordPut);
    assert_eq!((put.len(), put[0].version), (1, 1));
    for event in [AuditEvent::RecordRead, AuditEvent::ChartRead] {
        assert_eq!(records(event), [put[0]; 6]);
    }
    let by_session = |session: &Session| {
        log.iter().filter(|entry| entry.event == AuditEvent::RecordRead && entry.session == Some(session.id())).count()
    };
    assert_eq!(sessions.each_ref().map(by_session), [3, 3]);
}

#[test]
fn an_amendment_that_could_not_be_made_durable_is_read_by_nobody() {
    let (house, vault) = House::create();
    let (session, other) = (house.session(&vault), house.session(&vault));
    let patient = session.register_patient([]).unwrap();
    let id = session.put(patient, &note("1")).unwrap();
    assert_eq!((other.get(id).unwrap().value, texts(&other, patient)), (note("1"), vec!["1".into()]));
    let failed = {
        let _fault = Fault::on(FileOp::Sync, std::io::ErrorKind::Other);
        session.amend(id, Version::FIRST, &note("2"))
    };
    assert!(matches!(failed, Err(Error::OutcomeUnknown(_))), "{failed:?}");
    for session in [&session, &other] {
        assert!(matches!(session.get(id), Err(Error::AuditUnavailable { .. })));
        assert!(matches!(session.chart(patient).page(), Err(Error::AuditUnavailable { .. })));
    }
    drop((session, other, vault));
    let vault = house.open();
    let entry = house.session(&vault).get(id).unwrap();
    assert_eq!(entry.value.text, entry.version.to_string());
}

/// Whoever writes counts up; whoever reads never sees less than was acknowledged before, nor goes back.
#[test]
fn beside_amendments_no_reader_goes_back() {
    // All records of the chart, or fewer than it has.
    for record_cache in [32 << 20, 8 * 2_000] {
        let (house, vault) = House::create_with(move |options| options.record_cache(record_cache));
        let session = house.session(&vault);
        let patient = session.register_patient([]).unwrap();
        let id = session.put(patient, &note("1")).unwrap();
        for _ in 0..20 {
            session.put(patient, &note("0")).unwrap();
        }
        let (acknowledged, done) = (AtomicU32::new(1), AtomicBool::new(false));
        let highest = |texts: Vec<String>| texts.iter().map(|text| text.parse().unwrap()).max().unwrap();
        let reads: [&(dyn Fn(&Session) -> u32 + Sync); 4] = [
            &|session| {
                let entry = session.get(id).unwrap();
                assert_eq!(entry.value.text, entry.version.to_string());
                entry.version.number()
            },
            &|session| highest(texts(session, patient)),
            &|session| highest(listed(session, patient)),
            &|session| session.get_many(&[id]).unwrap()[0].version.number(),
        ];
        thread::scope(|scope| {
            for read in reads {
                let session = house.session(&vault);
                let (acknowledged, done) = (&acknowledged, &done);
                scope.spawn(move || {
                    let mut seen = 0;
                    while !done.load(Ordering::Relaxed) {
                        let before = acknowledged.load(Ordering::SeqCst).max(seen);
                        seen = read(&session);
                        assert!(seen >= before, "{seen} after {before}");
                    }
                });
            }
            let amend = || {
                let mut version = Version::FIRST;
                for number in 2..120_u32 {
                    version = session.amend(id, version, &note(&number.to_string())).unwrap();
                    acknowledged.store(number, Ordering::SeqCst);
                }
            };
            let ended = std::panic::catch_unwind(std::panic::AssertUnwindSafe(amend));
            done.store(true, Ordering::Relaxed);
            ended.unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        });
    }
}
