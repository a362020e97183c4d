//! Sensitive categories of records, labels of charts, and what somebody learns who may not see either.

use crate::support;

use chartvault::*;
use support::{House, Note, base_grant, note};

fn category(category: Category) -> PutOptions {
    PutOptions::new().labels(Labels::NONE.with(category).unwrap())
}

fn restricted() -> ChartLabel {
    ChartLabel::new().confidentiality(Confidentiality::Restricted).staff()
}

/// Everything but the ceiling.
fn normal() -> Grant {
    let all = base_grant().all_patients().all_kinds().actions(Action::ALL.iter().copied());
    all.sensitivity(Confidentiality::Normal)
}

fn mrn(value: &str) -> Identifier {
    Identifier::new("urn:mrn:clinic-a", value).unwrap()
}

/// The newest entry of an event.
fn newest(session: &Session, event: AuditEvent) -> AuditEntry {
    let page = session.audit().unwrap().query(AuditFilter::new().event(event)).limit(1).page().unwrap();
    page.entries.into_iter().next().unwrap()
}

/// What a call answered, without what differs between any two calls.
fn told<T>(answer: Result<T, Error>, patient: PatientId) -> String {
    match answer {
        Ok(_) => "allowed".to_owned(),
        Err(Error::Denied { .. }) => "denied".to_owned(),
        Err(error) => format!("{error:?}").replace(&patient.to_string(), "PATIENT").replace(&hex(patient), "PATIENT"),
    }
}

fn hex(patient: PatientId) -> String {
    patient.to_string().trim_start_matches("patient-").to_owned()
}

fn first_note(patient: PatientId) -> RecordId<Note> {
    format!("record-{}-1", hex(patient)).parse().unwrap()
}

/// Every call about a patient, each by its name.
fn every_call(session: &Session, vault: &Vault, key: &RawKey, patient: PatientId) -> Vec<(&'static str, String)> {
    let id = first_note(patient);
    let kind = Kind::of::<Note>();
    let told = |name, answer| (name, answer);
    let said = |answer: Result<(), Error>| self::told(answer, patient);
    let export = |export: Export<'_, '_>| {
        export.start().and_then(|mut stream| stream.next().map_or(Ok(()), |entry| entry.map(drop)))
    };
    let mut batch = session.batch();
    batch.put(patient, &note("in a batch"), PutOptions::new()).unwrap();
    vec![
        told("get", said(session.get(id).map(drop))),
        told("get verbatim", said(session.get_verbatim(id.into()).map(drop))),
        told("get many", said(session.get_many(&[id]).map(drop))),
        told("get many verbatim", said(session.get_many_verbatim(&[id.into()]).map(drop))),
        told("get version", said(session.get_version(id, Version::FIRST).map(drop))),
        told("get verbatim version", said(session.get_verbatim_version(id.into(), Version::FIRST).map(drop))),
        told("history", said(session.history(id).map(drop))),
        told("history of any type", said(session.history_any(id).map(drop))),
        told("history verbatim", said(session.history_verbatim(id.into()).map(drop))),
        told("list", said(session.list::<Note>(patient).page().map(drop))),
        told("list verbatim", said(session.list_verbatim(patient, &kind).page().map(drop))),
        told("chart", said(session.chart(patient).page().map(drop))),
        told("kinds", said(session.kinds(patient).map(drop))),
        told("export", said(export(session.export().patients([patient])))),
        told("put", said(session.put(patient, &note("more")).map(drop))),
        told("batch", said(batch.commit().map(drop))),
        told("amend", said(session.amend(id, Version::FIRST, &note("other")).map(drop))),
        told("void", said(session.void(id, Version::FIRST, "wrong").map(drop))),
        told("add identifier", said(session.add_identifier(patient, mrn("new")))),
        told("retain", said(session.retain_until(patient, None, "rule 7"))),
        told("hold", said(session.place_legal_hold(patient, "case 17"))),
        told("lift", said(session.lift_legal_hold(id, "case 17"))),
        told("retention", said(session.retention(patient).map(drop))),
        told("label", said(session.label_chart(patient, ChartLabel::NONE, "rule 7").map(drop))),
        told("chart label", said(session.chart_label(patient).map(drop))),
        told(
            "erase",
            said(
                vault
                    .erase_patient(session, patient, &ErasureOrder::new("asked", "Art. 17"), key, &mut |_| ())
                    .map(drop),
            ),
        ),
    ]
}

#[test]
fn a_record_with_a_category_is_put_by_whom_may_create_and_given_to_nobody_by_default() {
    let (house, vault) = House::create();
    let session = house.session(&vault);
    let patient = session.register_patient([]).unwrap();
    let id = session.put_with(patient, &note("positive"), category(Category::Hiv)).unwrap();
    let plain = session.put(patient, &note("a cold")).unwrap();
    let denied = |name: &str, answer: Result<(), Error>| {
        assert!(matches!(answer, Err(Error::Denied { .. })), "{name}: {answer:?}");
        let denied = AuditFilter::new().outcome(Outcome::Denied);
        let entry = session.audit().unwrap().query(denied).limit(1).page().unwrap().entries.remove(0);
        assert_eq!(entry.reason.and_then(DenyReason::from_code), Some(DenyReason::Consent), "{name}");
        assert_eq!(entry.subjects[0].patient, Some(patient), "{name}");
    };
    denied("get", session.get(id).map(drop));
    denied("get many", session.get_many(&[plain, id]).map(drop));
    denied("get version", session.get_version(id, Version::FIRST).map(drop));
    denied("history", session.history(id).map(drop));
    denied("history of any type", session.history_any(id).map(drop));
    denied("amend", session.amend(id, Version::FIRST, &note("none")).map(drop));
    denied(
        "amend without the category",
        session.amend_with(id, Version::FIRST, &note(""), PutOptions::new()).map(drop),
    );
    denied("void", session.void(id, Version::FIRST, "wrong").map(drop));

    let page = session.list::<Note>(patient).page().unwrap();
    assert_eq!((page.entries.len(), page.withheld), (1, 1));
    let page = session.chart(patient).page().unwrap();
    assert_eq!((page.entries.len(), page.withheld), (1, 1));
    assert_eq!(newest(&session, AuditEvent::ChartRead).detail.as_deref(), Some("1 withheld"));
    let mut export = session.export().whole_history().start().unwrap();
    assert_eq!(export.by_ref().map(|entry| entry.unwrap().record()).collect::<Vec<_>>(), [plain.into()]);
    assert_eq!(export.withheld(), 1);
    drop(house);
}

#[test]
fn labels_in_the_hosts_own_words_refuse_nobody() {
    let (house, vault) = House::create();
    let session = house.session(&vault);
    let patient = session.register_patient([]).unwrap();
    let labels = Labels::new(["HIV", "psychotherapy", "PSYTHPN"]).unwrap();
    let id = session.put_with(patient, &note("free"), PutOptions::new().labels(labels.clone())).unwrap();
    assert_eq!(session.get(id).unwrap().labels, labels);
}

#[test]
fn an_older_version_with_a_category_stays_sensitive_when_the_newest_has_none() {
    let (house, vault) = House::create_with(|options| options.consent(std::sync::Arc::new(Yes)));
    let session = house.session(&vault);
    let patient = session.register_patient([]).unwrap();
    let id = session.put_with(patient, &note("positive"), category(Category::Hiv)).unwrap();
    session.amend_with(id, Version::FIRST, &note("retested"), PutOptions::new()).unwrap();
    vault.close().unwrap();

    let vault = Vault::open_with(house.path(), support::small().clock(house.clock.clone())).unwrap();
    let vault = vault.unlock(&house.key).unwrap();
    let session = house.session(&vault);
    assert_eq!(session.get(id).unwrap().value, note("retested"));
    assert!(matches!(session.get_version(id, Version::FIRST), Err(Error::Denied { .. })));
    assert!(matches!(session.history(id), Err(Error::Denied { .. })));
    let mut export = session.export().whole_history().start().unwrap();
    assert_eq!(export.by_ref().map(|entry| entry.unwrap().version().number()).collect::<Vec<_>>(), [2]);
    assert_eq!(export.withheld(), 1);
}

struct Yes;

impl Consent for Yes {
    fn ask(&self, _: &ConsentQuestion) -> ConsentAnswer {
        ConsentAnswer::permit("yes")
    }
}

#[test]
fn a_restricted_chart_answers_in_every_call_as_somebody_does_who_was_never_registered() {
    let (house, vault) = House::create();
    let all = house.session(&vault);
    let limited = house.session_of(&vault, &normal().issued_at(house.clock.now()));
    let patient = all.register_patient([mrn("1")]).unwrap();
    let id = all.put(patient, &note("private")).unwrap();
    assert!(limited.get(id).is_ok(), "and its chart is among those that the session keeps");
    all.label_chart(patient, restricted(), "policy 7").unwrap();

    let nobody = PatientId::from_bytes([7; 16]);
    let answers = every_call(&limited, &vault, &house.key, patient);
    assert_eq!(answers, every_call(&limited, &vault, &house.key, nobody));
    for (name, answer) in &answers {
        assert_eq!(answer, "NoSuchPatient(PATIENT)", "{name}");
    }
    // Found by an identifier, as one is that leads to nobody.
    assert_eq!(limited.find_patient(&mrn("1")).unwrap(), None);
    assert_eq!(limited.find_patient(&mrn("2")).unwrap(), None);
    // In an export of all charts it leaves no trace.
    let mut export = limited.export().start().unwrap();
    assert!(export.next().is_none() && export.withheld() == 0);
    // Who may is not hindered, and the chart is as it was.
    assert_eq!(all.get(id).unwrap().value, note("private"));
    assert_eq!(all.find_patient(&mrn("1")).unwrap(), Some(patient));
    assert_eq!(all.export().start().unwrap().count(), 1);
}

#[test]
fn a_token_for_some_patients_learns_nothing_of_them_either() {
    let (house, vault) = House::create();
    let all = house.session(&vault);
    let register = |value: &str| all.register_patient([mrn(value)]).unwrap();
    let (inside, outside, known) = (register("1"), register("2"), register("3"));
    let listed_nobody = PatientId::from_bytes([7; 16]);
    let grant = base_grant().all_kinds().actions(Action::ALL.iter().copied()).sensitivity(Confidentiality::Normal);
    let grant = grant.patient(inside).patient(listed_nobody).patient(known).issued_at(house.clock.now());
    let limited = house.session_of(&vault, &grant);
    for patient in [inside, outside] {
        all.put(patient, &note("private")).unwrap();
        all.label_chart(patient, restricted(), "policy 7").unwrap();
    }
    // Of those whom the token lists, who is hidden and who is nobody answer alike; of all others, everybody does.
    let (hidden, unknown) =
        (every_call(&limited, &vault, &house.key, inside), every_call(&limited, &vault, &house.key, listed_nobody));
    assert_eq!(hidden, unknown);
    let left_out = every_call(&limited, &vault, &house.key, outside);
    assert_eq!(left_out, every_call(&limited, &vault, &house.key, PatientId::from_bytes([9; 16])));
    assert!(left_out.iter().all(|(_, answer)| answer == "denied"), "{left_out:?}");
    for (value, what) in [("1", "hidden"), ("2", "left out"), ("9", "nobody")] {
        assert!(matches!(limited.find_patient(&mrn(value)), Err(Error::Denied { .. })), "{what}");
    }
    assert_eq!(limited.find_patient(&mrn("3")).unwrap(), Some(known));
}

#[test]
fn the_log_says_of_a_hidden_chart_who_it_was_and_why() {
    let (house, vault) = House::create();
    let all = house.session(&vault);
    let limited = house.session_of(&vault, &normal().issued_at(house.clock.now()));
    let patient = all.register_patient([mrn("1")]).unwrap();
    let id = all.put(patient, &note("private")).unwrap();
    all.label_chart(patient, restricted(), "policy 7").unwrap();
    let labelled = newest(&all, AuditEvent::ChartLabelled);
    assert_eq!(labelled.detail.as_deref(), Some("open U, 0 categories -> restricted R, 0 categories: policy 7"));
    assert_eq!(labelled.subjects[0].patient, Some(patient));

    let told = |entry: &AuditEntry| (entry.outcome, entry.reason.and_then(DenyReason::from_code), entry.ticket);
    let hidden = (Outcome::Denied, Some(DenyReason::Chart), None);
    assert!(limited.get(id).is_err());
    let entry = newest(&all, AuditEvent::RecordRead);
    assert_eq!(told(&entry), hidden);
    assert_eq!((entry.subjects[0].patient, entry.requested), (Some(patient), None));
    assert_eq!(limited.find_patient(&mrn("1")).unwrap(), None);
    let entry = newest(&all, AuditEvent::PatientFound);
    assert_eq!(told(&entry), hidden);
    assert_eq!(entry.subjects[0].patient, Some(patient));
    let nobody = PatientId::from_bytes([7; 16]);
    assert!(limited.kinds(nobody).is_err());
    let entry = newest(&all, AuditEvent::KindsListed);
    assert_eq!((entry.outcome, entry.requested, entry.subjects.len()), (Outcome::Failed, Some(nobody), 0));
}

#[test]
fn a_label_holds_at_the_next_call_of_open_sessions_and_after_the_vault_was_opened_again() {
    let (house, vault) = House::create();
    let (all, other) = (house.session(&vault), house.session_of(&vault, &normal().issued_at(house.clock.now())));
    let patient = all.register_patient([]).unwrap();
    let id = all.put(patient, &note("private")).unwrap();
    assert!(other.chart(patient).page().is_ok() && other.get(id).is_ok());
    assert_eq!(all.label_chart(patient, restricted(), "policy 7").unwrap(), ChartLabel::NONE);
    assert!(matches!(other.get(id), Err(Error::NoSuchPatient(_))));
    assert_eq!(all.label_chart(patient, ChartLabel::NONE, "left the staff").unwrap(), restricted());
    assert!(other.get(id).is_ok());
    all.label_chart(patient, restricted(), "policy 7").unwrap();
    vault.close().unwrap();

    let vault = house.open();
    let other = house.session_of(&vault, &normal().issued_at(house.clock.now()));
    assert!(matches!(other.get(id), Err(Error::NoSuchPatient(_))));
    let all = house.session(&vault);
    assert_eq!(all.chart_label(patient).unwrap(), restricted());
    // Sealed anew, erased, and gone.
    vault.rotate_data_key(&house.key, &mut |_| ()).unwrap();
    assert!(matches!(other.get(id), Err(Error::NoSuchPatient(_))));
    let report = vault.check(CheckScope::All, &mut |_| ()).unwrap();
    assert!(report.findings.is_empty(), "{report:?}");
    vault.erase_patient(&all, patient, &ErasureOrder::new("asked", "Art. 17"), &house.key, &mut |_| ()).unwrap();
    assert!(matches!(other.get(id), Err(Error::Erased { .. })));
    assert!(matches!(all.chart_label(patient), Err(Error::Erased { .. })));
    vault.close().unwrap();
    assert!(house.open().check(CheckScope::All, &mut |_| ()).unwrap().findings.is_empty());
}

#[test]
fn categories_of_a_chart_are_those_of_each_record_and_do_not_hide_the_chart() {
    let (house, vault) = House::create();
    let session = house.session(&vault);
    let patient = session.register_patient([]).unwrap();
    let id = session.put(patient, &note("private")).unwrap();
    session.label_chart(patient, ChartLabel::new().category(Category::Psychiatry), "policy 9").unwrap();
    assert!(matches!(session.get(id), Err(Error::Denied { .. })));
    session.put(patient, &note("more")).unwrap();
    let page = session.list::<Note>(patient).page().unwrap();
    assert_eq!((page.entries.len(), page.withheld), (0, 2));
    assert_eq!(session.kinds(patient).unwrap()[0].records, 2);
}

#[test]
fn a_level_of_a_chart_is_the_least_that_its_records_have() {
    let (house, vault) = House::create();
    let all = house.session(&vault);
    let patient = all.register_patient([]).unwrap();
    let low = PutOptions::new().confidentiality(Confidentiality::Low);
    let id = all.put_with(patient, &note("open"), low).unwrap();
    let grant = base_grant().all_patients().all_kinds().actions([Action::Read, Action::List]);
    let limited = house.session_of(&vault, &grant.sensitivity(Confidentiality::Low).issued_at(house.clock.now()));
    assert!(limited.get(id).is_ok());
    all.label_chart(patient, ChartLabel::new().confidentiality(Confidentiality::Moderate), "policy 9").unwrap();
    assert!(matches!(limited.get(id), Err(Error::NoSuchPatient(_))));
}

#[test]
fn labelling_needs_the_review_action_a_reason_and_a_ceiling_that_reaches_the_label() {
    let (house, vault) = House::create();
    let all = house.session(&vault);
    let patient = all.register_patient([]).unwrap();
    let grant = base_grant().all_patients().all_kinds().actions([Action::Read, Action::Operate, Action::Grant]);
    let reader = house.session_of(&vault, &grant.issued_at(house.clock.now()));
    assert!(matches!(reader.label_chart(patient, restricted(), "rule"), Err(Error::Denied { .. })));
    assert!(matches!(reader.chart_label(patient), Err(Error::Denied { .. })));
    let limited = house.session_of(&vault, &normal().issued_at(house.clock.now()));
    assert!(matches!(limited.label_chart(patient, restricted(), "rule"), Err(Error::Denied { .. })));
    assert!(limited.label_chart(patient, ChartLabel::new().vip(), "rule").is_ok());
    for reason in [String::new(), "  ".into(), "x".repeat(257)] {
        let refused = all.label_chart(patient, restricted(), &reason);
        assert!(matches!(refused, Err(Error::InvalidText { what: "reason", .. })), "{refused:?}");
    }
    assert!(all.label_chart(patient, restricted(), &"x".repeat(256)).is_ok());
}

#[test]
fn the_glass_is_broken_for_a_restricted_chart_only_as_far_as_the_emergency_reaches() {
    let (house, vault) = House::create();
    let all = house.session(&vault);
    let patient = all.register_patient([]).unwrap();
    let id = all.put(patient, &note("private")).unwrap();
    all.label_chart(patient, restricted(), "policy 7").unwrap();
    let with = |reach: Confidentiality| {
        let grant = base_grant().all_patients().all_kinds().actions([Action::List]).purpose(Purpose::BreakGlass);
        let longest = std::time::Duration::from_secs(900);
        let grant = grant.sensitivity(Confidentiality::Normal).emergency([Action::Read, Action::List], reach, longest);
        house.session_of(&vault, &grant.issued_at(house.clock.now()))
    };
    let far = with(Confidentiality::Restricted);
    assert!(matches!(far.kinds(patient), Err(Error::NoSuchPatient(_))), "before the glass is broken");
    let urgent = far.break_glass(patient, EmergencyReason::PatientInDanger, "found unconscious").unwrap();
    assert_eq!(urgent.get(id).unwrap().value, note("private"));
    let near = with(Confidentiality::Normal);
    let nobody = PatientId::from_bytes([7; 16]);
    for asked in [patient, nobody] {
        let refused = near.break_glass(asked, EmergencyReason::PatientInDanger, "found unconscious");
        assert!(matches!(refused, Err(Error::NoSuchPatient(_))), "{refused:?}");
    }
}
