//! Roles, denials, emergencies.

use std::time::Duration;

use super::*;

/// A session of somebody who looks after rights.
fn office(ward: &Ward, name: &str) -> Session {
    let actions = [Action::Grant, Action::Review, Action::Audit, Action::Operate];
    ward.clinic.session(&ward.clinic.grant(name).all_kinds().actions(actions)).unwrap()
}

#[test]
fn a_role_that_cannot_be_is_refused_and_one_that_is_not_there_is_named() {
    let ward = Ward::new();
    let office = office(&ward, "a.lund");
    let refused = office.roles().define(&Role::new("idle"));
    assert!(matches!(refused, Err(Error::Role(InvalidRole::Empty { what: "action", .. }))), "{refused:?}");
    advises(refused, "lists no action");
    let refused = office.roles().revisions("idle");
    assert!(matches!(refused, Err(Error::NoSuchRole { revision: None, .. })), "{refused:?}");
    advises(refused, "list its roles");
}

#[test]
fn a_ticket_of_no_denial_is_not_explained() {
    let ward = Ward::new();
    let refused = office(&ward, "a.lund").explain(Ticket::from_bytes([7; 16]));
    assert!(matches!(refused, Err(Error::NoSuchTicket { .. })), "{refused:?}");
    advises(refused, "query the log for denials");
}

#[test]
fn a_case_is_reviewed_once_and_by_somebody_else() {
    let ward = Ward::new();
    let actions = [Action::Review];
    let grant = ward.clinic.grant("n.adu").all_kinds().actions(actions).purpose(Purpose::BreakGlass);
    let grant = grant.emergency([Action::Read], Confidentiality::Normal, Duration::from_secs(60));
    let nurse = ward.clinic.session(&grant).unwrap();
    nurse.break_glass(ward.patient, EmergencyReason::Other, "alarm").unwrap();
    let review = office(&ward, "a.lund");
    let case = review.cases().list(CaseState::Open, None).unwrap()[0].id;
    let refused = nurse.cases().close(case, Verdict::Justified, "it was");
    assert!(matches!(refused, Err(Error::OwnCase { .. })), "{refused:?}");
    advises(refused, "somebody else has to review it");
    review.cases().close(case, Verdict::Justified, "it was").unwrap();
    let refused = review.cases().close(case, Verdict::Justified, "it was");
    assert!(matches!(refused, Err(Error::CaseClosed { .. })), "{refused:?}");
    advises(refused, "there is nothing to do");
    let refused = review.cases().get(CaseId::from_bytes([7; 16]));
    assert!(matches!(refused, Err(Error::NoSuchCase { .. })), "{refused:?}");
    advises(refused, "list the cases");
}
