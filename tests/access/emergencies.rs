//! Breaking the glass: what it gives, to whom, for how long, and that somebody else looks at it.

use crate::support;

use std::time::Duration;

use chartvault::*;
use support::{House, Note, note, verify, whole_log};

const QUARTER: Duration = Duration::from_secs(900);

struct Ward {
    house: House,
    vault: Vault,
    patient: PatientId,
    id: RecordId<Note>,
    secret: RecordId<Note>,
}

impl Ward {
    fn new() -> Self {
        let (house, vault) = House::create();
        let office = house.session(&vault);
        let patient = office.register_patient([]).unwrap();
        let id = office.put(patient, &note("a")).unwrap();
        let restricted = PutOptions::new().confidentiality(Confidentiality::Restricted);
        let secret = office.put_with(patient, &note("b"), restricted).unwrap();
        Self { house, vault, patient, id, secret }
    }

    /// May list, and in an emergency read.
    fn grant(&self) -> Grant {
        Grant::to("n.adu")
            .all_patients()
            .all_kinds()
            .actions([Action::List])
            .purposes([Purpose::Treatment, Purpose::BreakGlass])
            .emergency([Action::Read, Action::List], Confidentiality::Restricted, QUARTER)
            .valid_for(Duration::from_secs(86_400))
            .issued_at(self.house.clock.now())
    }

    fn session(&self) -> Session {
        self.house.session_of(&self.vault, &self.grant())
    }

    fn reviewer(&self) -> Session {
        let grant =
            Grant::to("a.lund").all_patients().all_kinds().actions([Action::Review]).purpose(Purpose::Treatment);
        let grant = grant.valid_for(Duration::from_secs(40 * 86_400)).issued_at(self.house.clock.now());
        self.house.session_of(&self.vault, &grant)
    }
}

fn is_denied<T>(result: Result<T, Error>) -> bool {
    matches!(result, Err(Error::Denied { .. }))
}

#[test]
fn an_emergency_gives_its_rights_for_one_patient_and_for_its_time() {
    let ward = Ward::new();
    let session = ward.session();
    assert!(is_denied(session.get(ward.id)));
    let urgent = session.break_glass(ward.patient, EmergencyReason::PatientInDanger, "found unconscious").unwrap();
    assert_eq!((urgent.purpose(), urgent.emergency_patient()), (Purpose::BreakGlass, Some(ward.patient)));
    assert_eq!(urgent.get(ward.id).unwrap().value, note("a"));
    assert_eq!(urgent.get(ward.secret).unwrap().value, note("b"));
    // The session that it came from has what it had.
    assert!(is_denied(session.get(ward.id)));
    // No second patient, no other action.
    let other = ward.house.session(&ward.vault).register_patient([]).unwrap();
    assert!(is_denied(urgent.chart(other).page()));
    assert!(is_denied(urgent.put(ward.patient, &note("c"))));
    assert!(is_denied(urgent.audit().map(drop)));
    ward.house.clock.advance(QUARTER - Duration::from_micros(1));
    assert!(urgent.get(ward.id).is_ok());
    ward.house.clock.advance(Duration::from_micros(1));
    assert!(matches!(urgent.get(ward.id), Err(Error::SessionEnded { .. })));
    verify(&ward.house.session(&ward.vault));
}

#[test]
fn the_entry_and_the_case_are_there_before_anything_is_read_and_after_a_crash() {
    let ward = Ward::new();
    let urgent = ward.session().break_glass(ward.patient, EmergencyReason::Other, "alarm in room 4").unwrap();
    let id = urgent.id();
    let log = whole_log(&ward.house.session(&ward.vault));
    let broken = log.iter().find(|entry| entry.event == AuditEvent::GlassBroken).unwrap();
    assert_eq!(broken.subjects[0].patient, Some(ward.patient));
    assert!(broken.detail.as_ref().unwrap().starts_with("other: alarm in room 4; case-"));
    urgent.get(ward.id).unwrap();
    let log = whole_log(&ward.house.session(&ward.vault));
    let read = log.iter().find(|entry| entry.session == Some(id) && entry.event == AuditEvent::RecordRead).unwrap();
    assert_eq!(read.purpose, Some(Purpose::BreakGlass));
    let copy = ward.house.dir.path().join("copy.vault");
    support::copy_dir(&ward.house.path(), &copy);
    let reopened = ward.house.open_at(&copy).unwrap();
    let cases = ward.house.session(&reopened).cases().list(CaseState::Open, None).unwrap();
    let [case] = &cases[..] else { panic!("{cases:?}") };
    assert_eq!((case.session, case.patient, case.reason), (id, Some(ward.patient), EmergencyReason::Other));
    assert_eq!(case.text, "alarm in room 4");
}

#[test]
fn the_glass_is_not_broken_without_a_reason_the_purpose_or_the_item_in_every_block() {
    let ward = Ward::new();
    let session = ward.session();
    for blank in ["", " \t\n", &"x".repeat(513)] {
        let refused = session.break_glass(ward.patient, EmergencyReason::Other, blank);
        assert!(matches!(refused, Err(Error::InvalidText { what: "reason", .. })), "{blank:?}");
    }
    let try_with = |token: &Token| {
        let session = ward.vault.session(token, Purpose::Treatment).unwrap();
        session.break_glass(ward.patient, EmergencyReason::Other, "x")
    };
    let sign = |grant: Grant| grant.sign(&ward.house.issuer, ward.vault.id()).unwrap();
    let token = sign(ward.grant());
    assert!(try_with(&token).is_ok());
    let now = ward.house.clock.now();
    let stripped = token.attenuate().issued_at(now).actions([Action::List]).finish().unwrap();
    assert!(is_denied(try_with(&stripped)));
    let log = whole_log(&ward.house.session(&ward.vault));
    let denied = log.iter().rfind(|entry| entry.outcome == Outcome::Denied).unwrap();
    assert_eq!((denied.event, denied.reason), (AuditEvent::GlassBroken, Some(DenyReason::Emergency.code())));
    assert_eq!(denied.refusals, [(1, DenyReason::Emergency.code())]);
    let kept = token.attenuate().issued_at(now).emergency([Action::Read], Confidentiality::Normal, QUARTER / 2);
    let kept = kept.finish().unwrap();
    let urgent = try_with(&kept).unwrap();
    assert!(urgent.get(ward.id).is_ok() && is_denied(urgent.get(ward.secret)), "the lower ceiling counts");
    ward.house.clock.advance(QUARTER / 2);
    assert!(matches!(urgent.get(ward.id), Err(Error::SessionEnded { .. })), "the shorter time counts");
    // Repeated behind a block that is silent it stays gone.
    let revived = stripped.attenuate().issued_at(now).emergency([Action::Read], Confidentiality::Normal, QUARTER);
    assert!(is_denied(try_with(&revived.finish().unwrap())));
    // Nothing that is about more than one chart, and nothing that cannot be made good.
    let more =
        kept.attenuate().emergency([Action::Read, Action::Operate], Confidentiality::Normal, QUARTER / 2).finish();
    assert!(matches!(more, Err(AttenuateError::Limit(LimitError::NotUrgent))), "{more:?}");
    let wider = kept.attenuate().emergency([Action::Read, Action::Void], Confidentiality::Normal, QUARTER / 2).finish();
    assert!(matches!(wider, Err(AttenuateError::Widening { caveat: Caveat::Emergency })));
    let no_purpose = Grant::to("n.adu").all_patients().all_kinds().actions([Action::List]).purpose(Purpose::Treatment);
    let no_purpose = no_purpose.emergency([Action::Read], Confidentiality::Normal, QUARTER).issued_at(now);
    assert!(is_denied(try_with(&sign(no_purpose.valid_for(QUARTER)))));
    assert!(is_denied(try_with(&sign(ward.house.grant()))), "it has no item for emergencies");
    let nobody = PatientId::from_bytes([7; 16]);
    let refused = session.break_glass(nobody, EmergencyReason::Other, "x");
    assert!(matches!(refused, Err(Error::NoSuchPatient(patient)) if patient == nobody));
    assert!(is_denied(session.break_glass(PatientId::FACILITY, EmergencyReason::Other, "x")));
}

#[test]
fn patients_listed_in_the_grant_give_way_and_those_of_later_blocks_bind() {
    let ward = Ward::new();
    let other = ward.house.session(&ward.vault).register_patient([]).unwrap();
    let listed = Grant::to("n.adu").patient(other).all_kinds().actions([Action::List]);
    let listed = listed
        .purposes([Purpose::Treatment, Purpose::BreakGlass])
        .emergency([Action::Read], Confidentiality::Normal, QUARTER)
        .valid_for(QUARTER)
        .issued_at(ward.house.clock.now());
    let token = listed.sign(&ward.house.issuer, ward.vault.id()).unwrap();
    let session = ward.vault.session(&token, Purpose::Treatment).unwrap();
    let urgent = session.break_glass(ward.patient, EmergencyReason::NobodyElseThere, "x").unwrap();
    assert!(urgent.get(ward.id).is_ok());
    let bound = token.attenuate().issued_at(ward.house.clock.now()).patient(other);
    let bound = bound.emergency([Action::Read], Confidentiality::Normal, QUARTER).finish().unwrap();
    let session = ward.vault.session(&bound, Purpose::Treatment).unwrap();
    assert!(is_denied(session.break_glass(ward.patient, EmergencyReason::NobodyElseThere, "x")));
}

#[test]
fn cases_are_reviewed_by_somebody_else_once_and_overdue_ones_are_told_to_the_log() {
    let ward = Ward::new();
    let review = ward.reviewer();
    let grant = ward.grant().actions([Action::Review]).valid_for(Duration::from_secs(30 * 86_400));
    let actor = ward.house.session_of(&ward.vault, &grant);
    actor.break_glass(ward.patient, EmergencyReason::RightsMissing, "one").unwrap();
    ward.house.clock.advance(Duration::from_secs(60));
    actor.break_glass(ward.patient, EmergencyReason::RightsMissing, "two").unwrap();
    let open = review.cases().list(CaseState::Open, None).unwrap();
    assert_eq!(open.iter().map(|case| &*case.text).collect::<Vec<_>>(), ["one", "two"]);
    assert_eq!(review.cases().list(CaseState::Open, Some(&open[0])).unwrap(), open[1..]);
    let (one, two) = (open[0].id, open[1].id);
    assert!(matches!(actor.cases().close(one, Verdict::Justified, "fine"), Err(Error::OwnCase { .. })));
    assert!(matches!(review.cases().assign(one, actor.principal()), Err(Error::OwnCase { .. })));
    assert!(matches!(actor.cases().assign(one, review.principal()), Err(Error::OwnCase { .. })));
    assert!(matches!(review.cases().close(one, Verdict::Justified, " "), Err(Error::InvalidText { .. })));
    let assigned = review.cases().assign(one, review.principal()).unwrap();
    assert_eq!(assigned.assigned.unwrap().0, review.principal());
    let closed = review.cases().close(one, Verdict::NotJustified, "curious").unwrap();
    assert_eq!(closed.review.as_ref().unwrap().verdict, Verdict::NotJustified);
    assert!(matches!(review.cases().close(one, Verdict::Justified, "again"), Err(Error::CaseClosed { .. })));
    assert_eq!(review.cases().get(one).unwrap(), closed);
    assert!(matches!(review.cases().get(CaseId::from_bytes([1; 16])), Err(Error::NoSuchCase { .. })));
    assert!(is_denied(ward.session().cases().list(CaseState::Any, None)));

    // Three days later the other one is overdue, which the next opening tells, once.
    assert!(review.cases().list(CaseState::Overdue, None).unwrap().is_empty());
    ward.house.clock.advance(Duration::from_secs(3 * 86_400));
    assert_eq!(review.cases().list(CaseState::Overdue, None).unwrap()[0].id, two);
    ward.vault.close().unwrap();
    for _ in 0..2 {
        let vault = ward.house.open();
        let log = whole_log(&ward.house.session(&vault));
        let told: Vec<_> = log.iter().filter(|entry| entry.event == AuditEvent::CaseOverdue).collect();
        assert_eq!(told.len(), 1);
        assert!(told[0].detail.as_ref().unwrap().starts_with(&two.to_string()));
        vault.close().unwrap();
    }
}

#[test]
fn the_purpose_alone_breaks_no_glass() {
    let ward = Ward::new();
    let token = ward.grant().actions([Action::Read]).sign(&ward.house.issuer, ward.vault.id()).unwrap();
    let refused = ward.vault.session(&token, Purpose::BreakGlass).unwrap_err();
    assert!(matches!(&refused, Error::SessionRefused(denial) if denial.reason == DenyReason::Emergency), "{refused}");
    assert!(ward.reviewer().cases().list(CaseState::Any, None).unwrap().is_empty());
}

#[test]
fn cases_are_told_to_those_who_look_after_all_and_name_the_patient_to_whom_the_chart_would_open() {
    let ward = Ward::new();
    ward.session().break_glass(ward.patient, EmergencyReason::Other, "alarm").unwrap();
    let review = Grant::to("a.lund").all_patients().all_kinds().actions([Action::Review]).purpose(Purpose::Treatment);
    let review = review.valid_for(QUARTER).issued_at(ward.house.clock.now());
    let token = review.sign(&ward.house.issuer, ward.vault.id()).unwrap();
    let narrow = token.attenuate().issued_at(ward.house.clock.now()).patient(ward.patient).finish().unwrap();
    let narrow = ward.vault.session(&narrow, Purpose::Treatment).unwrap();
    assert!(is_denied(narrow.cases().list(CaseState::Any, None)));
    let whole = ward.vault.session(&token, Purpose::Treatment).unwrap();
    let patient = || whole.cases().list(CaseState::Any, None).unwrap()[0].patient;
    assert_eq!(patient(), Some(ward.patient));
    let label = ChartLabel::new().confidentiality(Confidentiality::VeryRestricted);
    ward.house.session(&ward.vault).label_chart(ward.patient, label, "a colleague").unwrap();
    assert_eq!(patient(), None);
}

#[test]
fn the_case_of_an_erased_patient_is_reviewed_like_others() {
    let ward = Ward::new();
    ward.session().break_glass(ward.patient, EmergencyReason::Other, "alarm").unwrap();
    let office = ward.house.session(&ward.vault);
    let order = ErasureOrder::new("asked for it", "GDPR 17(1)(b)");
    ward.vault.erase_patient(&office, ward.patient, &order, &ward.house.key, &mut |_| ()).unwrap();
    let review = ward.reviewer();
    let case = review.cases().list(CaseState::Open, None).unwrap().remove(0);
    assert_eq!(case.patient, None);
    review.cases().assign(case.id, review.principal()).unwrap();
    assert!(review.cases().close(case.id, Verdict::Justified, "it rang").unwrap().review.is_some());
}
