//! Who could see a patient, and what somebody who looks after rights should look at.

use crate::support;

use std::time::Duration;

use chartvault::*;
use support::{House, Note, note};

const DAY: Duration = Duration::from_secs(86_400);

fn sign(house: &House, vault: &Vault, grant: Grant) -> Token {
    grant.issued_at(house.clock.now()).sign(&house.issuer, vault.id()).unwrap()
}

#[test]
fn who_could_see_a_patient_is_told_of_every_live_grant_that_reaches_the_chart_and_of_no_other() {
    let (house, vault) = House::create();
    let office = house.session(&vault);
    let (ama, ben) = (office.register_patient([]).unwrap(), office.register_patient([]).unwrap());
    let nurse = Role::new("nurse").kind::<Note>().actions([Action::Read]).purposes([Purpose::Treatment]);
    let nurse = office.roles().define(&nurse).unwrap();
    let base = |name: &str| Grant::to(name).all_kinds().purpose(Purpose::Treatment).valid_for(DAY);
    let register = |grant: Grant, note: &str| office.grants().register(sign(&house, &vault, grant), note).unwrap().id;
    let of_ama = register(base("a").patient(ama).actions([Action::Read, Action::List]), "one patient");
    let of_ben = register(base("b").patient(ben).actions([Action::Read]), "another patient");
    let by_role =
        register(base("c").all_patients().actions([Action::Read, Action::Void]).cite(nurse.role.id(), 1), "role");
    let urgent = base("d").patient(ben).actions([Action::List]).purpose(Purpose::BreakGlass);
    let urgent = register(urgent.emergency([Action::Read], Confidentiality::Normal, DAY), "in emergencies");
    let clerk = register(base("e").all_patients().actions([Action::Operate]), "no chart");
    let gone = register(base("f").all_patients().actions([Action::Read]), "revoked");
    office.grants().revoke(Revoke::Block(gone), "left").unwrap();
    // Neither used nor registered: not known.
    let _unknown = sign(&house, &vault, base("g").all_patients().actions([Action::Read]));

    let reach = |patient: PatientId| office.could_access(patient).unwrap();
    let find = |patient: PatientId, id: RevocationId| reach(patient).into_iter().find(|reach| reach.grant == id);
    assert_eq!(find(ama, of_ama).unwrap().actions, [Action::Read, Action::List]);
    assert!(find(ama, of_ben).is_none() && find(ama, clerk).is_none() && find(ama, gone).is_none());
    let bounded = find(ama, by_role).unwrap();
    assert_eq!((bounded.actions, bounded.roles), (vec![Action::Read], vec![("nurse".to_owned(), 1)]));
    let emergency = find(ama, urgent).unwrap();
    assert_eq!((emergency.actions, emergency.in_emergency), (vec![], vec![Action::Read]));
    assert_eq!(find(ben, urgent).unwrap().actions, [Action::List]);
    // The office itself, of_ama or of_ben, by_role, urgent.
    assert_eq!((reach(ama).len(), reach(ben).len()), (4, 4));

    // The question is in the log, about the patient, and names nobody in words that would outlive them.
    let about =
        office.audit().unwrap().query(AuditFilter::new().patient(ama).event(AuditEvent::RightsRead)).page().unwrap();
    assert!(!about.entries.is_empty());
    assert!(about.entries.iter().all(|entry| !entry.detail.as_ref().unwrap().contains("patient-")));

    // A chart's label takes those away whose ceiling is lower; a changed role, all who cite it.
    let label = ChartLabel::new().confidentiality(Confidentiality::Restricted);
    office.label_chart(ama, label, "a colleague").unwrap();
    assert_eq!(reach(ama).len(), 1, "{:?}", reach(ama));
    office.roles().define(&nurse.role.clone().actions([Action::List])).unwrap();
    assert!(find(ben, by_role).is_none());
    house.clock.advance(DAY);
    assert_eq!(reach(ben).len(), 1, "the others have expired");
}

#[test]
fn the_report_names_what_there_is_to_look_at_until_it_is_seen_to() {
    let (house, vault) = House::create_with(|options| options.password_cost(PassphraseCost::MINIMUM));
    let office = house.session(&vault);
    let patient = office.register_patient([]).unwrap();
    let id = office.put(patient, &note("a")).unwrap();
    let password = Password::new("seven ducks in a row");
    office.principals().enrol("n.adu", NewPrincipal::new().password(Password::new("seven ducks in a row"))).unwrap();
    office.principals().enrol("m.moe", NewPrincipal::new()).unwrap();
    drop(vault.sign_in("n.adu", &password).finish().unwrap());
    let nurse = Role::new("nurse").kind::<Note>().actions([Action::Read]).purposes([Purpose::Treatment]);
    office.roles().define(&nurse).unwrap();
    let wide = Grant::to("n.adu").all_patients().kind::<Note>().kind::<support::Allergy>();
    let wide = wide.actions([Action::Read, Action::Void]).purposes([Purpose::Treatment, Purpose::BreakGlass]);
    let wide = wide.emergency([Action::Read], Confidentiality::Normal, DAY).valid_for(200 * DAY);
    let wide = sign(&house, &vault, wide);
    let idle = Grant::to("m.moe").all_patients().all_kinds().actions([Action::Read]).purpose(Purpose::Treatment);
    let idle = sign(&house, &vault, idle.valid_for(200 * DAY));
    office.grants().register(&idle, "never used").unwrap();
    let session = vault.session(&wide, Purpose::Treatment).unwrap();
    session.get(id).unwrap();
    session.break_glass(patient, EmergencyReason::Other, "alarm").unwrap();
    let report = |session: &Session| session.risk_report(90 * DAY).unwrap();

    let early = report(&office);
    assert!(
        !early.risks.iter().any(|risk| matches!(risk, AccessRisk::WiderThanUse { .. } | AccessRisk::Unused { .. }))
    );
    house.clock.advance(8 * DAY);
    let office = house.session(&vault);
    let found = report(&office);
    let is = |expected: &dyn Fn(&AccessRisk) -> bool| found.risks.iter().filter(|risk| expected(risk)).count();
    assert_eq!(
        is(&|risk| matches!(risk, AccessRisk::NoSecondFactor { name, last_sign_in: Some(_) } if name == "n.adu")),
        1
    );
    assert_eq!(
        is(&|risk| matches!(risk, AccessRisk::NoSecondFactor { .. })),
        1,
        "who has no password does not sign in"
    );
    let unused = |risk: &AccessRisk| match risk {
        AccessRisk::WiderThanUse { grant, unused_actions, unused_kinds, .. } if *grant == wide.id() => {
            assert_eq!((&unused_actions[..], unused_kinds.len()), (&[Action::Void][..], 1));
            true
        }
        _ => false,
    };
    assert_eq!(is(&unused), 1, "{found}");
    assert_eq!(is(&|risk| matches!(risk, AccessRisk::Unused { grant, last_used: None, .. } if *grant == idle.id())), 1);
    assert_eq!(is(&|risk| matches!(risk, AccessRisk::RoleNotReviewed { role, revision: 1, .. } if role == "nurse")), 1);
    assert_eq!(is(&|risk| matches!(risk, AccessRisk::OpenEmergency { overdue: true, .. })), 1);
    assert_eq!(is(&|risk| matches!(risk, AccessRisk::NoReview { last: None })), 1);
    assert_eq!(is(&|risk| matches!(risk, AccessRisk::IssuerWithoutCeiling { .. })), 1);
    assert_eq!(is(&|risk| matches!(risk, AccessRisk::NoAutomaticLogOff)), 1);
    assert_eq!(is(&|risk| matches!(risk, AccessRisk::UnregisteredGrants)), 1);

    // What is seen to is gone.
    let review = Grant::to("a.lund").all_patients().all_kinds().actions([Action::Review, Action::Grant, Action::Audit]);
    let review = sign(&house, &vault, review.purpose(Purpose::Treatment).valid_for(30 * DAY));
    let lund = vault.session(&review, Purpose::Treatment).unwrap();
    let case = lund.cases().list(CaseState::Open, None).unwrap()[0].id;
    lund.cases().close(case, Verdict::Justified, "it rang").unwrap();
    let round = lund.reviews().open(house.clock.now().saturating_add(DAY), "autumn").unwrap();
    for item in lund.reviews().items(round.number).page().unwrap().items {
        let reviewer = if item.subject == lund.principal() { &office } else { &lund };
        let reviewer = if item.subject == office.principal() { &lund } else { reviewer };
        let mine = [wide.id(), idle.id()].contains(&item.grant);
        let decision = if mine { ReviewDecision::Revoke } else { ReviewDecision::Keep };
        reviewer.reviews().decide(round.number, item.grant, decision, "seen").unwrap();
    }
    lund.reviews().close(round.number).unwrap();
    vault
        .limit_issuer(house.issuer.public().id(), Ceiling::new().actions(Action::ALL.iter().copied()), &house.key)
        .unwrap();
    vault.set_access_rules(AccessRules::new().idle(DAY).registered_grants_only(false), &house.key).unwrap();
    office.principals().disable("n.adu", "left").unwrap();
    let left = report(&lund).risks;
    assert!(
        left.iter().all(|risk| matches!(risk, AccessRisk::UnregisteredGrants | AccessRisk::WiderThanUse { .. })),
        "{left:?}"
    );
    assert!(!left.iter().any(|risk| matches!(risk, AccessRisk::WiderThanUse { grant, .. } if *grant == wide.id())));
}
