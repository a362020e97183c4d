//! Roles bound the grants that cite them, at one revision.

use crate::support;

use std::time::Duration;

use chartvault::*;
use support::{House, base_grant, note, whole_log};

const HOUR: Duration = Duration::from_secs(3_600);

fn nurse() -> Role {
    Role::new("nurse")
        .description("care on the ward")
        .kind::<support::Note>()
        .actions([Action::Read, Action::List, Action::Create])
        .purposes([Purpose::Treatment])
}

fn reason(vault: &Vault, house: &House, ticket: Ticket) -> DenyReason {
    let log = whole_log(&house.session(vault));
    DenyReason::from_code(log.iter().find(|entry| entry.ticket == Some(ticket)).unwrap().reason.unwrap()).unwrap()
}

fn denied<T: std::fmt::Debug>(result: Result<T, Error>) -> Ticket {
    match result {
        Err(Error::Denied { ticket }) => ticket,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_changed_role_denies_what_cites_the_old_revision_in_open_sessions_too_and_after_reopening() {
    let (house, vault) = House::create();
    let office = house.session(&vault);
    let first = office.roles().define(&nurse()).unwrap();
    assert_eq!(first.revision, 1);
    let patient = office.register_patient([]).unwrap();
    let grant = |role: &RoleRevision| {
        Grant::to("n.adu").role(role).all_patients().valid_for(24 * HOUR).issued_at(house.clock.now())
    };
    let token = grant(&first).sign(&house.issuer, vault.id()).unwrap();
    let ward = vault.session(&token, Purpose::Treatment).unwrap();
    let id = ward.put(patient, &note("slept well")).unwrap();
    // The same again changes nothing.
    assert_eq!(office.roles().define(&nurse()).unwrap().revision, 1);
    assert!(ward.get(id).is_ok());

    let second = office.roles().define(&nurse().actions([Action::Void])).unwrap();
    assert_eq!(reason(&vault, &house, denied(ward.get(id))), DenyReason::RoleChanged);
    let refused = vault.session(&token, Purpose::Treatment).unwrap_err();
    let changed =
        |error: &Error| matches!(error, Error::SessionRefused(denial) if denial.reason == DenyReason::RoleChanged);
    assert!(changed(&refused), "{refused}");
    vault.close().unwrap();

    let vault = house.open();
    assert!(changed(&vault.session(&token, Purpose::Treatment).unwrap_err()));
    let token = grant(&second).sign(&house.issuer, vault.id()).unwrap();
    let ward = vault.session(&token, Purpose::Treatment).unwrap();
    let entry = ward.get(id).unwrap();
    ward.void(id, entry.version, "another patient's").unwrap();

    let office = house.session(&vault);
    assert_eq!(office.roles().difference("nurse", 1, 2).unwrap(), "+ action void\n");
    office.roles().retire("nurse", "replaced by two roles").unwrap();
    assert_eq!(reason(&vault, &house, denied(ward.list::<support::Note>(patient).page())), DenyReason::RoleUnknown);
    let revisions = office.roles().revisions("nurse").unwrap();
    assert_eq!(
        revisions.iter().map(|one| (one.revision, one.retired)).collect::<Vec<_>>(),
        [(1, false), (2, false), (3, true)]
    );
    assert_eq!(office.roles().list().unwrap(), revisions[2..]);
    assert!(matches!(office.roles().retire("nobody", "x"), Err(Error::NoSuchRole { revision: None, .. })));
    assert!(matches!(office.roles().difference("nurse", 1, 9), Err(Error::NoSuchRole { revision: Some(9), .. })));
}

#[test]
fn two_roles_never_add_up_to_more_than_either() {
    let (house, vault) = House::create();
    let office = house.session(&vault);
    let reader = Role::new("reader").kind::<support::Note>().actions([Action::Read]).purposes([Purpose::Treatment]);
    let writer = Role::new("writer")
        .kind::<support::Allergy>()
        .actions([Action::Create])
        .purposes([Purpose::Treatment])
        .sensitivity(Confidentiality::Restricted);
    let roles = [reader, writer].map(|role| office.roles().define(&role).unwrap());
    let patient = office.register_patient([]).unwrap();
    let id = office.put(patient, &note("a")).unwrap();
    let allergy = office.put(patient, &support::Allergy { substance: "nuts".into() }).unwrap();
    let secret =
        office.put_with(patient, &note("b"), PutOptions::new().confidentiality(Confidentiality::Restricted)).unwrap();
    let grant = roles.iter().fold(Grant::to("m.roe"), Grant::role).all_patients().valid_for(HOUR);
    let session = house.session_of(&vault, &grant.issued_at(house.clock.now()));
    assert_eq!(session.get(id).unwrap().value, note("a"));
    session.put(patient, &support::Allergy { substance: "eggs".into() }).unwrap();
    for ticket in [
        denied(session.get(allergy).map(drop)),
        denied(session.put(patient, &note("c")).map(drop)),
        denied(session.get(secret).map(drop)),
    ] {
        assert_eq!(reason(&vault, &house, ticket), DenyReason::Role);
    }
}

#[test]
fn a_role_bounds_a_grant_that_says_more_and_a_grant_bounds_its_role() {
    let (house, vault) = House::create();
    let office = house.session(&vault);
    let role = office.roles().define(&nurse()).unwrap();
    let patient = office.register_patient([]).unwrap();
    let id = office.put(patient, &note("a")).unwrap();
    let wide = support::everything().cite(role.role.id(), role.revision).issued_at(house.clock.now());
    let session = house.session_of(&vault, &wide);
    let version = session.get(id).unwrap().version;
    assert_eq!(reason(&vault, &house, denied(session.void(id, version, "x"))), DenyReason::Role);
    let narrow = base_grant().all_patients().all_kinds().actions([Action::List]).cite(role.role.id(), 1);
    let session = house.session_of(&vault, &narrow.issued_at(house.clock.now()));
    assert_eq!(reason(&vault, &house, denied(session.get(id).map(drop))), DenyReason::Action);
    let unknown = support::everything().cite(RoleId::from_bytes([9; 16]), 1).issued_at(house.clock.now());
    let refused = vault.session(unknown.sign(&house.issuer, vault.id()).unwrap(), Purpose::Treatment).unwrap_err();
    assert!(matches!(refused, Error::SessionRefused(denial) if denial.reason == DenyReason::RoleUnknown), "{refused}");
}

#[test]
fn roles_are_changed_with_the_grant_action_alone_and_every_change_is_in_the_log() {
    let (house, vault) = House::create();
    let office = house.session(&vault);
    let clerk = base_grant().all_patients().all_kinds().actions([Action::Operate, Action::Review]);
    let clerk = house.session_of(&vault, &clerk.issued_at(house.clock.now()));
    denied(clerk.roles().define(&nurse()));
    denied(clerk.roles().list());
    for role in Role::clinical() {
        assert_eq!(office.roles().define(&role).unwrap().revision, 1);
    }
    assert!(matches!(office.roles().define(&Role::new(" ")), Err(Error::Role(InvalidRole::Name { .. }))));
    office.roles().retire("billing", "done elsewhere").unwrap();
    let log = whole_log(&office);
    let said = |event| log.iter().filter(|entry| entry.event == event && entry.outcome == Outcome::Allowed).count();
    assert_eq!((said(AuditEvent::RoleDefined), said(AuditEvent::RoleRetired)), (Role::clinical().len(), 1));
    let retired = log.iter().find(|entry| entry.event == AuditEvent::RoleRetired).unwrap();
    assert_eq!(retired.detail.as_deref(), Some("billing revision 2: done elsewhere"));
}

#[test]
fn a_sensitive_record_is_given_to_whose_role_names_its_category() {
    let (house, vault) = House::create();
    let office = house.session(&vault);
    let patient = office.register_patient([]).unwrap();
    let labels = Labels::NONE.with(Category::PsychotherapyNote).unwrap();
    let id = office.put_with(patient, &note("said in confidence"), PutOptions::new().labels(labels)).unwrap();
    let session = |role: &Role| {
        let role = office.roles().define(role).unwrap();
        let grant = Grant::to("m.roe").role(&role).all_patients().valid_for(HOUR).issued_at(house.clock.now());
        house.session_of(&vault, &grant)
    };
    let clinical = |name: &str| Role::clinical().into_iter().find(|role| role.name() == name).unwrap();
    assert!(session(&clinical("psychotherapist")).get(id).is_ok());
    let ticket = denied(session(&clinical("physician")).get(id).map(drop));
    assert_eq!(reason(&vault, &house, ticket), DenyReason::Consent);
    let more = clinical("physician").categories([Category::PsychotherapyNote, Category::Psychiatry]);
    assert!(session(&more).get(id).is_ok());
    let ticket = denied(session(&more.without_categories([Category::PsychotherapyNote])).get(id).map(drop));
    assert_eq!(reason(&vault, &house, ticket), DenyReason::Consent);
}
