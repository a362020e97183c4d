//! What a token says, for people: everything it says, what all blocks leave, and no secret.

use super::*;
use crate::token::inspect::Rights;
use crate::token::statement::{Listed, Statement};

/// A token that says everything that there is to say.
fn talkative() -> Token {
    let device = Item::Device([0x1A; 32]);
    let wanted = Wanted { attester: [0xA7; 16], claim: 1, oldest: 60 };
    let emergency = Item::Emergency { actions: 1, sensitivity: Confidentiality::Restricted, longest: 900 };
    let grant = signed(&wide().not_before(NOW).idle(Duration::from_secs(300)));
    let rest = vec![
        Item::MaxUses(3),
        Item::Mfa { level: 4, oldest: 60 },
        device,
        Item::Attestations(vec![wanted]),
        Item::Facility(vec![FacilityId::from_bytes([0xFA; 16])]),
        emergency,
    ];
    append(&grant, rest)
}

#[test]
fn the_list_shows_every_statement_of_every_block_and_calls_itself_unverified() {
    let shown = talkative().inspect().to_string();
    let first = shown.lines().next().unwrap();
    assert!(first.starts_with("UNVERIFIED") && first.ends_with("open"), "{first}");
    for line in [
        "  not before: from 2026-01-05T12:00:00Z on",
        "  validity: until 2026-01-05T13:00:00Z",
        "  actions: read, list, create, amend, void, export, erase, audit, review, grant, operate",
        "  kinds: all",
        "  patients: all",
        "  session length: idle at most 300 s, in all without limit",
        "  number of uses: at most 3",
        "  uses: at most 3",
        "  sign-in level: level 4, at most 60 s ago (not supported yet: opens no session)",
        "  depth: 6 more blocks at most",
        "  sign-in level: not supported yet; opens no session",
        &format!("  device: device-{}", "1a".repeat(32)),
        &format!("  attestations: signed-in by attester-{}, at most 60 s ago", "a7".repeat(16)),
        &format!("  facility: facility-{}", "fa".repeat(16)),
    ] {
        assert!(shown.lines().any(|shown| shown == line), "{line}\nis not in\n{shown}");
    }
    assert_eq!(shown.lines().filter(|line| line.starts_with("block ")).count(), 2);
}

#[test]
fn statements_are_there_one_by_one() {
    let token = talkative();
    let rights = token.inspect();
    assert_eq!(rights.statements().count(), token.wire().items().count());
    assert!(rights.statements().any(|(block, said)| block == 1 && *said == Statement::MaxUses(3)));
    assert_eq!(rights.blocks()[1].revocation_id, token.id());
    let unsupported = [Caveat::Mfa];
    assert_eq!(rights.effective().unsupported, unsupported);
    let roles = (0x02, [&[1][..], &[0xB0; 16], &[0, 0, 0, 9]].concat());
    let token = Raw::grant(&[&raw_grant()[..1], &[roles], &raw_grant()[1..]].concat()).read().unwrap();
    let rights = token.inspect();
    assert!(rights.to_string().contains(&format!("roles: role-{} revision 9\n", "b0".repeat(16))));
    assert_eq!(rights.effective().roles, [(RoleId::from_bytes([0xB0; 16]), 9)]);
}

fn effective(token: &Token) -> crate::token::inspect::EffectiveRights {
    Rights::of(token.as_ref()).effective()
}

#[test]
fn what_is_left_is_what_every_block_allows() {
    let by = AttesterId::from_bytes([1; 16]);
    let grant = Grant::to("dr.osei").patients([AMA, BEN]).all_kinds().actions(Action::ALL.iter().copied());
    let grant = grant.purpose(Purpose::Treatment).attestation(by, Claim::ON_DUTY, HOUR).issued_at(NOW).valid_for(HOUR);
    let grant = signed(&grant);
    let minute = Duration::from_secs(60);
    let narrow = grant.attenuate().issued_at(NOW).patient(BEN).actions([Action::Read, Action::List]).idle(minute);
    let narrow = narrow.kind_named("note").valid_for(minute).max_depth(2).attestation(by, Claim::ON_DUTY, minute);
    let token = narrow.finish().unwrap();
    // A forged wider block gives nothing.
    let widened = vec![
        Item::NotAfter(u64::MAX),
        Item::Actions(0x7FF),
        Item::Kinds(Scope::All),
        Item::Patients(Scope::Only(vec![PatientId::FACILITY, AMA, BEN])),
        Item::MaxDepth(7),
        Item::Session { idle: u32::MAX, longest: u32::MAX },
    ];
    let left = effective(&append(&token, widened));
    assert_eq!(left.subject, kdf::principal_id("dr.osei"));
    assert_eq!((left.not_before, left.not_after), (None, second(NOW_SECONDS + 60)));
    assert_eq!(left.actions, [Action::Read, Action::List]);
    assert_eq!(left.kinds, Listed::Only(vec![kdf::kind_id("note")]));
    assert_eq!(left.patients, Listed::Only(vec![BEN]));
    assert_eq!((left.depth, left.idle, left.longest), (Some(1), Some(minute), None));
    assert_eq!(left.attestations, [(by, Claim::ON_DUTY, minute)]);
    assert!(left.unsupported.is_empty() && left.devices.is_empty());
    let disjoint = append(&token, vec![Item::Patients(Scope::Only(vec![AMA]))]);
    assert!(effective(&disjoint).to_string().contains("patients: none"));
    let deep = append(&append(&token, vec![Item::MaxDepth(0)]), Vec::new());
    assert_eq!(effective(&deep).depth, None);
}

/// What is shown as left is what the decision allows.
#[test]
fn the_list_and_the_decision_agree() {
    let token = signed(&narrow()).attenuate().issued_at(NOW).sensitivity(Confidentiality::Low).finish().unwrap();
    let (left, verified) = (effective(&token), verify(&token).unwrap());
    for action in Action::ALL {
        let request = Request { action: *action, confidentiality: None, ..request() };
        assert_eq!(verified.decide(&request).is_ok(), left.actions.contains(action), "{action}");
    }
    for level in Confidentiality::ALL {
        let request = Request { confidentiality: Some(*level), ..request() };
        assert_eq!(verified.decide(&request).is_ok(), *level <= left.sensitivity, "{level}");
    }
    for purpose in Purpose::ALL {
        let request = Request { purpose: *purpose, confidentiality: None, ..request() };
        assert_eq!(verified.decide(&request).is_ok(), left.purposes.contains(purpose), "{purpose}");
    }
}

#[test]
fn no_list_shows_a_secret() {
    let token = signed(&narrow());
    let hex = data_encoding::HEXLOWER.encode(token.holder().seed().expose());
    let rights = token.inspect();
    let key = HolderKey::from_secret_bytes(&[0xAB; 32]);
    let bound = token.attenuate().issued_at(NOW).bound_to(key.public()).finish().unwrap();
    let sealed = token.seal().unwrap();
    let shown = [
        rights.to_string(),
        format!("{rights:?}"),
        format!("{sealed:?}{bound:?}"),
        format!("{:?}", bound.attenuate(&key)),
        format!("{:?}", bound.as_ref().inspect()),
    ];
    for shown in shown {
        assert!(!shown.contains(&hex) && !shown.contains(&"ab".repeat(32)), "{shown}");
        assert!(!shown.contains(&token.expose_text()[40..]), "{shown}");
    }
}

#[test]
fn a_token_is_read_from_bytes_or_text_whichever_comes() {
    let token = signed(&narrow());
    for form in [token.expose_bytes().to_vec(), token.expose_text().as_bytes().to_vec()] {
        assert_eq!(UnverifiedToken::parse(&form).unwrap().id(), token.id());
    }
    assert_eq!(UnverifiedToken::parse(b"cvt1_ x").err(), Some(TokenError::NotText));
    assert_eq!(UnverifiedToken::parse(b"\xFFcvt1_").err(), Some(TokenError::NotCvt1));
}
