//! What auditors are told: why something was denied, what a token is worth, and what it would allow.

use crate::support;

use std::time::Duration;

use chartvault::*;
use support::{House, note, whole_log};

fn ticket<T>(result: Result<T, Error>) -> Ticket {
    let Err(Error::Denied { ticket }) = result else { panic!("not denied") };
    ticket
}

#[test]
fn a_ticket_is_resolved_block_by_block_for_auditors_alone() {
    let (house, vault) = House::create();
    let office = house.session(&vault);
    let (ama, ben) = (office.register_patient([]).unwrap(), office.register_patient([]).unwrap());
    let role = Role::new("reader").all_kinds().actions([Action::Read]).purposes([Purpose::Treatment]);
    let role = office.roles().define(&role).unwrap();
    let now = house.clock.now();
    let token = house.grant().cite(role.role.id(), 1).sign(&house.issuer, vault.id()).unwrap();
    let token = token.attenuate().issued_at(now).patient(ama).finish().unwrap();
    let token = token.attenuate().issued_at(now).actions([Action::Read, Action::List]).kind_named("allergy");
    let token = token.finish().unwrap();
    let session = vault.session(&token, Purpose::Treatment).unwrap();
    let denied = ticket(session.put(ben, &note("x")));

    let told = office.explain(denied).unwrap();
    let by = |block, reason| Denial { block, reason };
    assert_eq!(
        told.refusals,
        [by(0, DenyReason::Role), by(1, DenyReason::Patient), by(2, DenyReason::Action), by(2, DenyReason::Kind)]
    );
    assert_eq!((told.ticket, told.patient, told.actor), (denied, Some(ben), Some(session.principal())));
    assert_eq!((told.action, told.token.len()), (Some(Action::Create), 3));
    let text = told.to_string();
    for line in ["  block 0: no role of the grant allows it", "  block 1: the patient is not allowed"] {
        assert!(text.contains(line), "{line}\nis not in\n{text}");
    }
    ticket(session.explain(denied));
    let none = office.explain(Ticket::from_bytes([9; 16]));
    assert!(matches!(none, Err(Error::NoSuchTicket { .. })));

    // A rule of the vault is told as one.
    office.roles().retire("reader", "gone").unwrap();
    let told = office.explain(ticket(session.chart(ama).page())).unwrap();
    assert_eq!(told.refusals, [by(0, DenyReason::RoleUnknown)]);
    assert!(told.to_string().contains("rule of the vault: a role of the grant is unknown or retired"));
    let explained = whole_log(&office).into_iter().filter(|entry| entry.event == AuditEvent::DenialExplained);
    assert_eq!(explained.count(), 4);
}

#[test]
fn a_dry_run_says_what_the_operation_would_meet_and_leaves_the_token_as_it_was() {
    let (house, vault) = House::create();
    let office = house.session(&vault);
    let patient = office.register_patient([]).unwrap();
    let id = office.put(patient, &note("x")).unwrap();
    let token = house.grant().max_uses(1).facility("north").sign(&house.issuer, vault.id()).unwrap();
    let narrow = token.attenuate().issued_at(house.clock.now()).actions([Action::Read]).finish().unwrap();
    let read = Operation::new(Action::Read, Purpose::Treatment).patient(patient).kind_named("note").facility("north");
    for _ in 0..2 {
        let ruling = office.would_allow(&narrow, &read).unwrap();
        assert!(ruling.is_allowed(), "{ruling}");
        assert_eq!(ruling.demands, [Caveat::Facility]);
    }
    let refused = |operation: &Operation| {
        let ruling = office.would_allow(&narrow, operation).unwrap();
        assert!(!ruling.is_allowed());
        ruling.refusals.into_iter().map(|denial| (denial.block, denial.reason)).collect::<Vec<_>>()
    };
    let void = Operation::new(Action::Void, Purpose::Research);
    assert_eq!(refused(&void), [(0, DenyReason::Purpose), (0, DenyReason::Facility), (1, DenyReason::Action)]);
    assert_eq!(office.effective_rights(&narrow).unwrap().uses_left, Some(1));
    let session = vault.session_with(&narrow, Purpose::Treatment).facility("north").open().unwrap();
    session.get(id).unwrap();
    assert_eq!(refused(&read), [(0, DenyReason::Uses)]);
    assert_eq!(office.effective_rights(&narrow).unwrap().uses_left, Some(0));
    let other = IssuerKey::generate().unwrap();
    let forged = house.grant().sign(&other, vault.id()).unwrap();
    let ruling = office.would_allow(&forged, &read).unwrap();
    assert!(matches!(ruling.token, Some(TokenError::UnknownIssuer { .. })) && !ruling.is_allowed());
}

#[test]
fn effective_rights_name_the_roles_and_what_stands_in_the_way() {
    let (house, vault) = House::create();
    let office = house.session(&vault);
    let role = Role::clinical().into_iter().find(|role| role.name() == "nurse").unwrap();
    let role = office.roles().define(&role).unwrap();
    let grant = Grant::to("n.adu").role(&role).all_patients().issued_at(house.clock.now());
    let token = grant.valid_for(Duration::from_secs(3_600)).sign(&house.issuer, vault.id()).unwrap();
    let standing = office.effective_rights(&token).unwrap();
    assert_eq!((standing.roles, standing.refused, standing.token), (vec![("nurse".to_owned(), 1)], None, None));
    assert_eq!(standing.effective.actions, [Action::Read, Action::List, Action::Create, Action::Amend]);
    office.roles().define(&role.role.clone().without_actions([Action::Amend])).unwrap();
    let standing = office.effective_rights(&token).unwrap();
    assert_eq!(standing.refused.unwrap().reason, DenyReason::RoleChanged);
    assert!(standing.to_string().starts_with("worth nothing: a role of the grant was changed"));
    house.clock.advance(Duration::from_secs(3_600));
    let standing = office.effective_rights(&token).unwrap();
    assert!(matches!(standing.token, Some(TokenError::Expired { .. })));
    let clerk = support::base_grant().all_patients().all_kinds().actions([Action::Review]).issued_at(house.clock.now());
    ticket(house.session_of(&vault, &clerk).effective_rights(&token));
}
