//! No access without a log entry: each operation, whether allowed, denied or failed, leaves exactly one entry that says
//! what it was, how it ended, and whom it was about. So do tokens that are refused, sessions that expire, failed unlocks
//! and a clock that went back.

use crate::support;

use std::time::Duration;

use AuditEvent as E;
use chartvault::*;
use support::{House, Note, base_grant, note, verify};

const STRANGER: PatientId = PatientId::from_bytes([0x5A; 16]);

fn mrn(value: &str) -> Identifier {
    Identifier::new("urn:mrn:a", value).unwrap()
}

fn document() -> Kind {
    Kind::new("DocumentReference").unwrap()
}

/// Watches the log through a session of its own.
struct Watch(Session);

impl Watch {
    /// The newest entry. Looking leaves an entry, too.
    fn newest(&self) -> AuditEntry {
        let page = self.0.audit().unwrap().query(AuditFilter::new()).limit(1).page().unwrap();
        page.entries.into_iter().next().unwrap()
    }

    /// Runs something that must leave exactly one entry, and gives that entry with what it answered.
    fn one_entry<T>(&self, name: &str, run: impl FnOnce() -> T) -> (AuditEntry, T) {
        let before = self.newest();
        let answer = run();
        let entry = self.newest();
        assert_eq!(entry.seq, before.seq + 2, "{name}: entries besides the one for looking; the newest: {entry}");
        (entry, answer)
    }

    /// Runs an operation of `session` that succeeds.
    fn allowed<T>(
        &self,
        session: &Session,
        (event, action): (AuditEvent, Action),
        (patient, records): (Option<PatientId>, usize),
        run: impl FnOnce() -> Result<T, Error>,
    ) -> T {
        let (entry, answer) = self.one_entry(&event.to_string(), run);
        let answer = answer.unwrap();
        assert_eq!((entry.event, entry.action, entry.outcome), (event, Some(action), Outcome::Allowed), "{entry}");
        assert_eq!(entry.session, Some(session.id()), "{entry}");
        assert_eq!((entry.actor, entry.purpose), (Some(session.principal()), Some(Purpose::Treatment)), "{entry}");
        assert_eq!(subject(&entry), patient, "{entry}");
        let touched: usize = entry.subjects.iter().map(|subject| subject.records.len()).sum();
        assert_eq!(touched, records, "{entry}");
        answer
    }
}

fn subject(entry: &AuditEntry) -> Option<PatientId> {
    assert!(entry.subjects.len() <= 1, "{entry}");
    entry.subjects.first().and_then(|subject| subject.patient)
}

#[test]
fn every_allowed_operation_leaves_exactly_its_entry() {
    let (house, vault) = House::create();
    let session = house.session(&vault);
    let watch = Watch(house.session(&vault));
    let s = &session;
    let (entry, registered) = watch.one_entry("register", || s.register_patient([mrn("1")]));
    let patient = registered.unwrap();
    assert_eq!(
        (entry.event, entry.action, subject(&entry)),
        (E::PatientRegistered, Some(Action::Create), Some(patient))
    );
    let about = |records| (Some(patient), records);

    watch.allowed(s, (E::IdentifierAdded, Action::Create), about(0), || s.add_identifier(patient, mrn("2")));
    watch.allowed(s, (E::PatientFound, Action::Read), about(0), || s.find_patient(&mrn("2")));
    watch.allowed(s, (E::PatientFound, Action::Read), (None, 0), || s.find_patient(&mrn("nobody's")));
    let id = watch.allowed(s, (E::RecordPut, Action::Create), about(1), || s.put(patient, &note("one")));
    let scan = watch.allowed(s, (E::RecordPut, Action::Create), about(1), || {
        s.put_verbatim(patient, &document(), b"{}", PutOptions::new())
    });
    watch.allowed(s, (E::RecordRead, Action::Read), about(1), || s.get(id));
    watch.allowed(s, (E::RecordRead, Action::Read), about(1), || s.get_verbatim(scan));
    watch.allowed(s, (E::RecordRead, Action::Read), about(1), || s.get_version(id, Version::FIRST));
    watch.allowed(s, (E::RecordRead, Action::Read), about(1), || s.get_verbatim_version(scan, Version::FIRST));
    let second =
        watch.allowed(s, (E::RecordAmended, Action::Amend), about(1), || s.amend(id, Version::FIRST, &note("two")));
    watch.allowed(s, (E::RecordAmended, Action::Amend), about(1), || s.amend_verbatim(scan, Version::FIRST, b"[]"));
    watch.allowed(s, (E::RecordVoided, Action::Void), about(1), || s.void(id, second, "wrong patient"));
    watch.allowed(s, (E::HistoryRead, Action::Read), about(3), || s.history(id));
    watch.allowed(s, (E::HistoryRead, Action::Read), about(2), || s.history_verbatim(scan));
    let batch = watch.allowed(s, (E::RecordPut, Action::Create), about(3), || {
        let mut batch = s.batch();
        for text in ["a", "b", "c"] {
            batch.put(patient, &note(text), PutOptions::new())?;
        }
        batch.commit()
    });
    let ids: Vec<RecordId<Note>> = batch.iter().map(|record| (*record).try_into().unwrap()).collect();
    watch.allowed(s, (E::RecordRead, Action::Read), about(3), || s.get_many(&ids));
    watch.allowed(s, (E::RecordsListed, Action::List), about(3), || s.list::<Note>(patient).page());
    watch.allowed(s, (E::RecordsListed, Action::List), about(1), || s.list_verbatim(patient, &document()).page());
    watch.allowed(s, (E::ChartRead, Action::List), about(4), || s.chart(patient).page());
    watch.allowed(s, (E::KindsListed, Action::List), about(0), || s.kinds(patient));
    watch.allowed(s, (E::AuditVerified, Action::Audit), (None, 0), || s.audit()?.verify(Scope::All).run());
    watch.allowed(s, (E::AuditVerified, Action::Audit), (None, 0), || s.audit()?.verify(Scope::Chain).run());
    watch.allowed(s, (E::AuditQueried, Action::Audit), (None, 0), || s.audit()?.query(AuditFilter::new()).page());
    let all = || s.audit()?.export(AuditFilter::new()).write(&mut std::io::sink());
    watch.allowed(s, (E::LogExported, Action::Audit), (None, 0), all);
    let of_one = || s.audit()?.export(AuditFilter::new().patient(patient)).write(&mut std::io::sink());
    watch.allowed(s, (E::LogExported, Action::Audit), about(0), of_one);
    verify(&watch.0);
}

/// Every operation on one patient, with the event it must leave.
/// An operation that fails, and how.
type Failing<'a> = Box<dyn Fn() -> Option<Error> + 'a>;

#[allow(clippy::type_complexity)] // a table
fn operations(
    s: &Session,
    patient: PatientId,
    id: RecordId<Note>,
) -> Vec<(E, Action, Box<dyn Fn() -> Option<Error> + '_>)> {
    let scan: RecordRef = id.into();
    let batch = move || {
        let mut batch = s.batch();
        batch.put(patient, &note("in a batch"), PutOptions::new())?;
        batch.commit()
    };
    vec![
        (E::IdentifierAdded, Action::Create, Box::new(move || s.add_identifier(patient, mrn("9")).err())),
        (E::RecordPut, Action::Create, Box::new(move || s.put(patient, &note("x")).err())),
        (E::RecordPut, Action::Create, Box::new(move || batch().err())),
        (E::RecordRead, Action::Read, Box::new(move || s.get(id).err())),
        (E::RecordRead, Action::Read, Box::new(move || s.get_verbatim(scan).err())),
        (E::RecordRead, Action::Read, Box::new(move || s.get_many(&[id]).err())),
        (E::RecordRead, Action::Read, Box::new(move || s.get_version(id, Version::FIRST).err())),
        (E::RecordAmended, Action::Amend, Box::new(move || s.amend(id, Version::FIRST, &note("x")).err())),
        (E::RecordVoided, Action::Void, Box::new(move || s.void(id, Version::FIRST, "x").err())),
        (E::HistoryRead, Action::Read, Box::new(move || s.history(id).err())),
        (E::RecordsListed, Action::List, Box::new(move || s.list::<Note>(patient).page().err())),
        (E::ChartRead, Action::List, Box::new(move || s.chart(patient).page().err())),
        (E::KindsListed, Action::List, Box::new(move || s.kinds(patient).err())),
    ]
}

#[test]
fn every_denied_operation_leaves_exactly_its_entry_with_ticket_reason_and_patient() {
    let (house, vault) = House::create();
    let watch = Watch(house.session(&vault));
    let (own, other) = (watch.0.register_patient([mrn("1")]).unwrap(), watch.0.register_patient([mrn("2")]).unwrap());
    let id = watch.0.put(other, &note("one")).unwrap();
    // All actions, but for another patient.
    let grant = base_grant().issued_at(house.clock.now()).all_kinds().patient(own);
    let grant = grant.actions(Action::ALL.iter().copied());
    let narrow = house.session_of(&vault, &grant);
    let mut denied = operations(&narrow, other, id);
    denied.push((E::PatientFound, Action::Read, Box::new(|| narrow.find_patient(&mrn("2")).err())));
    for (at, (event, action, run)) in denied.iter().enumerate() {
        let name = format!("{at}: {event}");
        let (entry, answer) = watch.one_entry(&name, run);
        let Some(Error::Denied { ticket }) = answer else { panic!("{name}: {answer:?}") };
        assert_eq!((entry.event, entry.action, entry.outcome), (*event, Some(*action), Outcome::Denied), "{name}");
        assert_eq!((entry.ticket, entry.session), (Some(ticket), Some(narrow.id())), "{name}");
        assert_eq!(entry.reason.and_then(DenyReason::from_code), Some(DenyReason::Patient), "{name}");
        assert_eq!(subject(&entry), Some(other), "{name}: whom it was about");
    }
    for (event, run) in [
        (
            E::PatientRegistered,
            Box::new(|| narrow.register_patient([mrn("3")]).err()) as Box<dyn Fn() -> Option<Error>>,
        ),
        (E::PatientFound, Box::new(|| narrow.find_patient(&mrn("nobody's")).err())),
        (E::AuditQueried, Box::new(|| narrow.audit().err())),
    ] {
        let (entry, answer) = watch.one_entry(&event.to_string(), run);
        assert!(matches!(answer, Some(Error::Denied { .. })), "{event}: {answer:?}");
        assert_eq!((entry.event, entry.outcome, subject(&entry)), (event, Outcome::Denied, None));
    }
    verify(&watch.0);
}

#[test]
fn every_failed_operation_leaves_exactly_its_entry_with_the_patient_asked_for() {
    let (house, vault) = House::create();
    let watch = Watch(house.session(&vault));
    let session = house.session(&vault);
    let own = session.register_patient([mrn("1")]).unwrap();
    let id = session.put(own, &note("one")).unwrap();
    let text = id.to_string().replace(&own.to_string()["patient-".len()..], &"5a".repeat(16));
    for (at, (event, action, run)) in operations(&session, STRANGER, text.parse().unwrap()).iter().enumerate() {
        let name = format!("{at}: {event}");
        let (entry, answer) = watch.one_entry(&name, run);
        assert!(matches!(answer, Some(Error::NoSuchPatient(STRANGER))), "{name}: {answer:?}");
        assert_eq!((entry.event, entry.action, entry.outcome), (*event, Some(*action), Outcome::Failed), "{name}");
        assert_eq!((subject(&entry), entry.requested), (None, Some(STRANGER)), "{name}");
    }
    let missing: RecordId<Note> = format!("{}7", id).parse().unwrap();
    let later = session.amend(id, Version::FIRST, &note("two")).unwrap();
    let other = session.register_patient([mrn("2")]).unwrap();
    let failing: Vec<(E, Failing)> = vec![
        (E::RecordRead, Box::new(|| session.get(missing).err())),
        (E::RecordRead, Box::new(|| session.get_many(&[id, missing]).err())),
        (E::RecordRead, Box::new(|| session.get_version(id, "9".parse().unwrap()).err())),
        (E::HistoryRead, Box::new(|| session.history(missing).err())),
        (E::RecordAmended, Box::new(|| session.amend(id, Version::FIRST, &note("late")).err())),
        (E::RecordVoided, Box::new(|| session.void(id, Version::FIRST, "late").err())),
        (E::IdentifierAdded, Box::new(|| session.add_identifier(own, mrn("2")).err())),
    ];
    for (event, run) in failing {
        let (entry, answer) = watch.one_entry(&event.to_string(), run);
        assert!(answer.is_some() && entry.detail.is_some(), "{event}");
        assert_eq!((entry.event, entry.outcome, subject(&entry)), (event, Outcome::Failed, Some(own)), "{answer:?}");
    }
    assert!(later > Version::FIRST && other != own);
    verify(&watch.0);
}

#[test]
fn a_refused_token_a_refused_purpose_and_a_closed_session_are_logged() {
    let (house, vault) = House::create();
    let watch = Watch(house.session(&vault));
    let stranger = IssuerKey::generate().unwrap();
    let forged = house.grant().sign(&stranger, vault.id()).unwrap();
    let (entry, answer) = watch.one_entry("untrusted", || vault.session(&forged, Purpose::Treatment).err());
    assert!(matches!(answer, Some(Error::Token(TokenError::UnknownIssuer { .. }))), "{answer:?}");
    assert_eq!((entry.event, entry.outcome, entry.actor), (E::TokenRefused, Outcome::Denied, None));

    let token = house.grant().sign(&house.issuer, vault.id()).unwrap();
    let (entry, answer) = watch.one_entry("purpose", || vault.session(&token, Purpose::Research).err());
    assert!(matches!(answer, Some(Error::SessionRefused(denial)) if denial.reason == DenyReason::Purpose));
    assert_eq!((entry.event, entry.outcome), (E::SessionOpened, Outcome::Denied));
    assert_eq!(entry.reason.and_then(DenyReason::from_code), Some(DenyReason::Purpose));

    let (entry, session) = watch.one_entry("opened", || vault.session(&token, Purpose::Treatment).unwrap());
    assert_eq!((entry.event, entry.outcome, entry.session), (E::SessionOpened, Outcome::Allowed, Some(session.id())));
    assert_eq!((entry.issuer, &entry.revocation_ids), (Some(token.issuer()), &token.revocation_ids()));
    let (entry, ()) = watch.one_entry("closed", || session.close().unwrap());
    assert_eq!((entry.event, entry.session), (E::SessionClosed, Some(session.id())));
    assert!(matches!(session.close(), Err(Error::SessionEnded { .. })));
    assert!(matches!(session.find_patient(&mrn("1")), Err(Error::SessionEnded { .. })));
}

#[test]
fn an_idle_or_overlong_session_ends_at_the_exact_second_and_the_log_says_so() {
    let (house, vault) = House::create();
    let limits = house.grant().idle(Duration::from_secs(60)).longest(Duration::from_secs(150));
    for (steps, why) in [(vec![59, 60], "idle"), (vec![59, 59, 32], "open")] {
        let watch = Watch(house.session(&vault));
        let session = house.session_of(&vault, &limits);
        let clone = session.clone();
        let (last, before) = steps.split_last().unwrap();
        for seconds in before {
            house.clock.step(*seconds);
            assert_eq!(session.find_patient(&mrn("1")).unwrap(), None, "{why}");
        }
        house.clock.step(*last);
        house.clock.step_micros(-1);
        if why == "open" {
            session.find_patient(&mrn("1")).unwrap();
        }
        house.clock.step_micros(1);
        let answer = session.find_patient(&mrn("1")).err();
        assert!(matches!(answer, Some(Error::SessionEnded { why: said }) if said.contains(why)), "{why}: {answer:?}");
        // The end of the session, and the access that came too late.
        let page = watch.0.audit().unwrap().query(AuditFilter::new().outcome(Outcome::Denied)).limit(2).page().unwrap();
        let events: Vec<E> = page.entries.iter().map(|entry| entry.event).collect();
        assert_eq!(events, [E::PatientFound, E::SessionExpired], "{why}");
        assert!(page.entries.iter().all(|entry| entry.session == Some(session.id())), "{why}");
        let (entry, answer) = watch.one_entry(why, || clone.find_patient(&mrn("1")).err());
        assert!(matches!(answer, Some(Error::SessionEnded { .. })), "clones end as well: {answer:?}");
        assert_eq!((entry.event, entry.outcome), (E::PatientFound, Outcome::Denied), "{why}");
    }
}

#[test]
fn a_clock_that_went_back_stops_every_access_and_the_log_says_so() {
    let (house, vault) = House::create();
    let session = house.session(&vault);
    let patient = session.register_patient([mrn("1")]).unwrap();
    let id = session.put(patient, &note("one")).unwrap();
    let token = house.grant().sign(&house.issuer, vault.id()).unwrap();
    house.clock.step(-120);
    assert_eq!(session.get(id).unwrap().value, note("one"), "two minutes are tolerated");
    house.clock.step_micros(-1);
    assert!(matches!(session.get(id), Err(Error::ClockRollback { .. })));
    assert!(matches!(session.put(patient, &note("two")), Err(Error::ClockRollback { .. })));
    assert!(matches!(vault.session(&token, Purpose::Treatment), Err(Error::ClockRollback { .. })));
    house.clock.step(121);
    let watch = Watch(house.session(&vault));
    let filter = AuditFilter::new().outcome(Outcome::Denied);
    let entries = watch.0.audit().unwrap().query(filter).page().unwrap().entries;
    let events: Vec<E> = entries.iter().rev().map(|entry| entry.event).collect();
    assert_eq!(events, [E::RecordRead, E::RecordPut, E::SessionOpened], "one entry for each refusal");
    for entry in &entries {
        assert_eq!(entry.detail.as_deref(), Some("clock rollback"), "{entry}");
        assert!(entry.clock.is_some_and(|clock| clock < entry.time), "the entry tells what the clock said: {entry}");
    }
    verify(&watch.0);
}

#[test]
fn failed_unlocks_are_counted_and_logged_at_the_next_one() {
    let (house, vault) = House::create();
    vault.close().unwrap();
    let locked = Vault::open_with(house.path(), house.options()).unwrap();
    for _ in 0..3 {
        house.clock.step(10);
        let wrong = locked.unlock(&RawKey::generate().unwrap());
        assert!(matches!(wrong, Err(Error::Unlock(UnlockError::WrongCredential))));
    }
    house.clock.step(10);
    let vault = locked.unlock(&house.key).unwrap();
    let watch = Watch(house.session(&vault));
    let failed = |watch: &Watch| {
        let filter = AuditFilter::new().event(E::UnlockFailed);
        watch.0.audit().unwrap().query(filter).page().unwrap().entries
    };
    let entries = failed(&watch);
    assert_eq!(entries.len(), 1);
    assert_eq!((entries[0].count, entries[0].outcome), (Some(3), Outcome::Denied));
    vault.close().unwrap();
    let vault = house.open();
    assert_eq!(failed(&Watch(house.session(&vault))).len(), 1, "counted once");
}

#[test]
fn after_closing_everything_answers_sealed() {
    let (house, vault) = House::create();
    let session = house.session(&vault);
    let patient = session.register_patient([mrn("1")]).unwrap();
    let id = session.put(patient, &note("one")).unwrap();
    let token = house.grant().sign(&house.issuer, vault.id()).unwrap();
    let (clone, mut batch) = (vault.clone(), session.batch());
    batch.put(patient, &note("in a batch"), PutOptions::new()).unwrap();
    vault.close().unwrap();
    assert!(matches!(batch.commit(), Err(Error::Sealed)));
    for (event, _, run) in operations(&session, patient, id) {
        let answer = run();
        assert!(matches!(answer, Some(Error::Sealed)), "{event}: {answer:?}");
    }
    assert!(matches!(session.register_patient([]), Err(Error::Sealed)));
    assert!(matches!(session.find_patient(&mrn("1")), Err(Error::Sealed)));
    assert!(matches!(session.audit().err(), Some(Error::Sealed)));
    assert!(matches!(session.close(), Err(Error::Sealed)));
    assert!(matches!(clone.session(&token, Purpose::Treatment), Err(Error::Sealed)));
    assert!(matches!(clone.trust_issuer(house.issuer.public(), &house.key), Err(Error::Sealed)));
    assert!(matches!(clone.register(&note("sample")), Err(Error::Sealed)));
    assert!(matches!(clone.close(), Err(Error::Sealed)));
}
