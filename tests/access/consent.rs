//! The host's consent: when it is asked, what it is told, what its answer does, and that the log has it.

use crate::support;

use std::sync::{Arc, Mutex};

use chartvault::*;
use support::{House, Note, base_grant, note};

type Rule = Box<dyn Fn(&ConsentQuestion) -> ConsentAnswer + Send + Sync>;

/// Answers by a rule, and remembers what it was asked.
struct Host {
    rule: Rule,
    asked: Mutex<Vec<ConsentQuestion>>,
}

impl Consent for Host {
    fn ask(&self, question: &ConsentQuestion) -> ConsentAnswer {
        self.asked.lock().unwrap().push(*question);
        (self.rule)(question)
    }
}

impl Host {
    fn new(rule: impl Fn(&ConsentQuestion) -> ConsentAnswer + Send + Sync + 'static) -> Arc<Self> {
        Arc::new(Self { rule: Box::new(rule), asked: Mutex::default() })
    }

    fn asked(&self) -> Vec<ConsentQuestion> {
        std::mem::take(&mut self.asked.lock().unwrap())
    }
}

fn house(host: &Arc<Host>) -> (House, Vault) {
    let host = Arc::clone(host);
    House::create_with(move |options| options.consent(host.clone()))
}

fn hiv() -> PutOptions {
    PutOptions::new().labels(Labels::NONE.with(Category::Hiv).unwrap())
}

fn newest(session: &Session, event: AuditEvent) -> AuditEntry {
    let page = session.audit().unwrap().query(AuditFilter::new().event(event)).limit(1).page().unwrap();
    page.entries.into_iter().next().unwrap()
}

/// What an entry says of the host's answers.
fn said(entry: &AuditEntry) -> Vec<(bool, &str, u32)> {
    entry.consent.iter().map(|answer| (answer.permitted, answer.code.as_str(), answer.count)).collect()
}

#[test]
fn a_yes_gives_out_a_record_with_a_category_and_stands_in_the_entry_of_the_access() {
    let host = Host::new(|_| ConsentAnswer::permit("directive 12"));
    let (house, vault) = house(&host);
    let session = house.session(&vault);
    let patient = session.register_patient([]).unwrap();
    let id = session.put_with(patient, &note("positive"), hiv()).unwrap();
    let plain = session.put(patient, &note("a cold")).unwrap();
    assert!(host.asked().is_empty(), "nobody is asked about what is put");
    assert_eq!(session.get(plain).unwrap().value, note("a cold"));
    assert!(host.asked().is_empty(), "nor about a record without a category");

    assert_eq!(session.get(id).unwrap().value, note("positive"));
    let [question] = host.asked()[..] else { panic!("asked once") };
    assert_eq!(
        (question.patient, question.record, question.kind),
        (patient, Some(id.into()), Some(Kind::of::<Note>().id()))
    );
    assert_eq!((question.categories, question.confidentiality), (Category::Hiv.into(), Confidentiality::Normal));
    assert_eq!(
        (question.principal, question.purpose, question.action),
        (session.principal(), Purpose::Treatment, Action::Read)
    );
    assert!(!question.break_glass && !question.staff && !question.vip);
    let entry = newest(&session, AuditEvent::RecordRead);
    assert_eq!((entry.outcome, said(&entry)), (Outcome::Allowed, vec![(true, "directive 12", 1)]));
    // What it permits still needs the token's rights.
    let grant = base_grant().all_patients().all_kinds().actions([Action::Read]).sensitivity(Confidentiality::Low);
    let low = house.session_of(&vault, &grant.issued_at(house.clock.now()));
    assert!(matches!(low.get(id), Err(Error::Denied { .. })));
    assert!(host.asked().is_empty());
}

#[test]
fn a_no_refuses_whatever_the_token_allows_and_its_code_is_logged_with_the_denial() {
    let host = Host::new(|question| match question.categories.contains(Category::Hiv) {
        true => ConsentAnswer::deny("opted out"),
        false => ConsentAnswer::permit("ok"),
    });
    let (house, vault) = house(&host);
    let session = house.session(&vault);
    let patient = session.register_patient([]).unwrap();
    let ids: Vec<_> = (0..3).map(|_| session.put_with(patient, &note("positive"), hiv()).unwrap()).collect();
    let psy = PutOptions::new().labels(Labels::NONE.with(Category::Psychiatry).unwrap());
    session.put_with(patient, &note("notes"), psy).unwrap();
    for answer in [session.get(ids[0]).map(drop), session.amend(ids[0], Version::FIRST, &note("x")).map(drop)] {
        assert!(matches!(answer, Err(Error::Denied { .. })), "{answer:?}");
    }
    for event in [AuditEvent::RecordRead, AuditEvent::RecordAmended] {
        let entry = newest(&session, event);
        assert_eq!(entry.reason.and_then(DenyReason::from_code), Some(DenyReason::Consent));
        assert_eq!(said(&entry), [(false, "opted out", 1)]);
    }
    let page = session.list::<Note>(patient).page().unwrap();
    assert_eq!((page.entries.len(), page.withheld), (1, 3));
    assert_eq!(said(&newest(&session, AuditEvent::RecordsListed)), [(true, "ok", 1), (false, "opted out", 3)]);
    host.asked();
    let mut export = session.export().whole_history().start().unwrap();
    assert_eq!((export.by_ref().count(), export.withheld(), host.asked().len()), (1, 3, 4));
}

#[test]
fn it_is_asked_once_for_a_record_in_one_operation() {
    let host = Host::new(|_| ConsentAnswer::permit(""));
    let (house, vault) = house(&host);
    let session = house.session(&vault);
    let patient = session.register_patient([]).unwrap();
    let id = session.put_with(patient, &note("1"), hiv()).unwrap();
    session.amend(id, Version::FIRST, &note("2")).unwrap();
    host.asked();
    session.get_many(&[id, id, id]).unwrap();
    assert_eq!(host.asked().len(), 1);
    session.history(id).unwrap();
    assert_eq!(host.asked().len(), 1, "versions with the same labels");
    session.get_version(id, Version::FIRST).unwrap();
    assert_eq!(host.asked().len(), 1);
    session.export().whole_history().start().unwrap().for_each(drop);
    assert_eq!(host.asked().len(), 1);
    session.get(id).unwrap();
    session.get(id).unwrap();
    assert_eq!(host.asked().len(), 2, "each operation asks anew");
}

#[test]
fn a_restricted_chart_is_opened_only_with_consent_and_otherwise_nobody_is_there() {
    let host = Host::new(|question| match question.action {
        Action::Read => ConsentAnswer::deny("not in the team"),
        _ => ConsentAnswer::permit("in the team"),
    });
    let (house, vault) = house(&host);
    let session = house.session(&vault);
    let mrn = Identifier::new("urn:mrn:clinic-a", "1").unwrap();
    let patient = session.register_patient([mrn.clone()]).unwrap();
    let id = session.put(patient, &note("private")).unwrap();
    session.label_chart(patient, ChartLabel::new().vip(), "policy 7").unwrap();
    assert!(host.asked().is_empty());

    assert!(matches!(session.get(id), Err(Error::NoSuchPatient(_))));
    let [question] = host.asked()[..] else { panic!("asked once") };
    assert_eq!((question.patient, question.record, question.kind), (patient, None, None));
    assert!(question.vip && !question.staff);
    let entry = newest(&session, AuditEvent::RecordRead);
    assert_eq!((entry.outcome, entry.reason, entry.ticket), (Outcome::Denied, Some(0x0306), None));
    assert_eq!((entry.subjects[0].patient, said(&entry)), (Some(patient), vec![(false, "not in the team", 1)]));
    assert_eq!(session.find_patient(&mrn).unwrap(), None);
    assert_eq!(said(&newest(&session, AuditEvent::PatientFound)), [(false, "not in the team", 1)]);

    host.asked();
    assert_eq!(session.list::<Note>(patient).page().unwrap().entries.len(), 1);
    let records: Vec<_> = host.asked().iter().map(|question| question.record).collect();
    assert_eq!(records, [None, Some(id.into())], "the chart, and each record of it");
    assert_eq!(said(&newest(&session, AuditEvent::RecordsListed)), [(true, "in the team", 2)]);
}

#[test]
fn one_that_panics_has_denied_and_the_vault_goes_on() {
    let host = Host::new(|_| panic!("out of order"));
    let (house, vault) = house(&host);
    let session = house.session(&vault);
    let patient = session.register_patient([]).unwrap();
    let id = session.put_with(patient, &note("positive"), hiv()).unwrap();
    let plain = session.put(patient, &note("a cold")).unwrap();
    assert!(matches!(session.get(id), Err(Error::Denied { .. })));
    assert_eq!(said(&newest(&session, AuditEvent::RecordRead)), [(false, "panicked", 1)]);
    assert!(session.get(plain).is_ok());
    assert_eq!(session.list::<Note>(patient).page().unwrap().withheld, 1);
    vault.close().unwrap();
}

#[test]
fn a_broken_glass_is_told_and_the_host_decides() {
    let host = Host::new(|question| match question.break_glass && !question.categories.contains(Category::Taboo) {
        true => ConsentAnswer::permit("emergency"),
        false => ConsentAnswer::deny("no"),
    });
    let (house, vault) = house(&host);
    let session = house.session(&vault);
    let patient = session.register_patient([]).unwrap();
    let id = session.put_with(patient, &note("positive"), hiv()).unwrap();
    let taboo = PutOptions::new().labels(Labels::new([Category::Hiv, Category::Taboo]).unwrap());
    let other = session.put_with(patient, &note("found"), taboo).unwrap();
    let urgent = std::time::Duration::from_secs(900);
    let grant = house.grant().purpose(Purpose::BreakGlass);
    let grant = grant.emergency([Action::Read], Confidentiality::VeryRestricted, urgent);
    let usual = vault.session(grant.sign(&house.issuer, vault.id()).unwrap(), Purpose::Treatment).unwrap();
    let emergency = usual.break_glass(patient, EmergencyReason::PatientInDanger, "needle stick").unwrap();
    assert!(matches!(session.get(id), Err(Error::Denied { .. })));
    assert!(emergency.get(id).is_ok());
    assert!(matches!(emergency.get(other), Err(Error::Denied { .. })));
}

#[test]
fn reads_that_wait_together_keep_each_its_own_answer() {
    let host = Host::new(|_| ConsentAnswer::permit("ok"));
    let (house, vault) = house(&host);
    let window = ReadAudit::Windowed { delay: std::time::Duration::from_secs(60), entries: 1_000 };
    vault.set_read_audit(window, &house.key).unwrap();
    let session = house.session(&vault);
    let patient = session.register_patient([]).unwrap();
    let id = session.put_with(patient, &note("positive"), hiv()).unwrap();
    for _ in 0..3 {
        session.get(id).unwrap();
    }
    let filter = AuditFilter::new().event(AuditEvent::RecordRead);
    let entries = session.audit().unwrap().query(filter).page().unwrap().entries;
    assert_eq!(entries.iter().map(|entry| said(entry)).collect::<Vec<_>>(), vec![vec![(true, "ok", 1)]; 3]);
}
