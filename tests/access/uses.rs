//! Tokens that may be used so many times, in some facilities, and sessions that are limited by the rules of the vault.

use crate::support;

use std::sync::Barrier;
use std::thread;
use std::time::Duration;

use chartvault::*;
use support::{House, note, whole_log};

fn refused(error: &Error) -> Option<DenyReason> {
    if let Error::SessionRefused(denial) = error { Some(denial.reason) } else { None }
}

#[test]
fn of_many_threads_exactly_as_many_succeed_as_there_are_uses() {
    let (house, vault) = House::create();
    let office = house.session(&vault);
    let patient = office.register_patient([]).unwrap();
    let id = office.put(patient, &note("a")).unwrap();
    let token = house.grant().max_uses(25).sign(&house.issuer, vault.id()).unwrap();
    let narrow = token.attenuate().issued_at(house.clock.now()).max_uses(20).finish().unwrap();
    let start = Barrier::new(8);
    let succeeded: usize = thread::scope(|scope| {
        let work = |at: usize| {
            let token = if at.is_multiple_of(2) { token.as_ref() } else { narrow.as_ref() };
            let session = vault.session(token, Purpose::Treatment).unwrap();
            start.wait();
            (0..10).filter(|_| session.get(id).is_ok()).count()
        };
        let threads: Vec<_> = (0..8).map(|at| scope.spawn(move || work(at))).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).sum()
    });
    assert_eq!(succeeded, 25);
    let log = whole_log(&office);
    let by_uses = log.iter().filter(|entry| entry.reason == Some(DenyReason::Uses.code())).count();
    assert_eq!(by_uses, 80 - 25);
    // Both are used up, also for whoever opens the vault again.
    vault.close().unwrap();
    let vault = house.open();
    let session = vault.session(&token, Purpose::Treatment).unwrap();
    assert!(matches!(session.put(patient, &note("b")), Err(Error::Denied { .. })));
}

#[test]
fn what_is_denied_or_fails_is_no_use() {
    let (house, vault) = House::create();
    let office = house.session(&vault);
    let patient = office.register_patient([]).unwrap();
    let id = office.put(patient, &note("a")).unwrap();
    let grant = support::base_grant().all_patients().all_kinds().actions([Action::Read]).max_uses(1);
    let session = house.session_of(&vault, &grant.issued_at(house.clock.now()));
    assert!(matches!(session.put(patient, &note("b")), Err(Error::Denied { .. })));
    assert!(matches!(session.get_version(id, Version::new(9).unwrap()), Err(Error::NoSuchVersion { .. })));
    assert!(session.get(id).is_ok());
    assert!(matches!(session.get(id), Err(Error::Denied { .. })));
}

#[test]
fn a_use_that_was_answered_counts_after_a_crash() {
    let mut vault = test_util::TestVault::new().build().unwrap();
    let (patient, token);
    {
        let physician = vault.physician().unwrap();
        patient = physician.register_patient([]).unwrap();
        token = vault
            .token(&vault.grant("dr.osei").all_patients().all_kinds().actions([Action::List]).max_uses(2))
            .unwrap();
        let session = vault.vault().session(&token, Purpose::Treatment).unwrap();
        assert!(session.chart(patient).page().is_ok());
    }
    vault.crash().unwrap();
    let session = vault.vault().session(&token, Purpose::Treatment).unwrap();
    assert!(session.chart(patient).page().is_ok());
    assert!(matches!(session.chart(patient).page(), Err(Error::Denied { .. })));
}

#[test]
fn sessions_open_in_a_facility_that_every_block_names() {
    let (house, vault) = House::create();
    let token = house.grant().facility("north").facility("south").sign(&house.issuer, vault.id()).unwrap();
    let narrow = token.attenuate().issued_at(house.clock.now()).facility("north").finish().unwrap();
    let open = |token: &Token, place: Option<&str>| {
        let opening = vault.session_with(token, Purpose::Treatment);
        place.into_iter().fold(opening, SessionOpening::facility).open()
    };
    assert!(open(&token, Some("south")).is_ok() && open(&narrow, Some("north")).is_ok());
    for (token, place) in [(&token, None), (&token, Some("west")), (&narrow, Some("south"))] {
        assert_eq!(refused(&open(token, place).unwrap_err()), Some(DenyReason::Facility), "{place:?}");
    }
    let wider = narrow.attenuate().facility("south").finish();
    assert!(matches!(wider, Err(AttenuateError::Widening { caveat: Caveat::Facility })));
}

#[test]
fn the_rules_of_the_vault_end_sessions_and_limit_how_many_there_are() {
    let (house, vault) = House::create();
    let minutes = |minutes: u64| Duration::from_secs(60 * minutes);
    let rules = AccessRules::new().sessions_at_once(2).idle(minutes(15)).longest(minutes(60));
    assert!(vault.set_access_rules(rules, &RawKey::generate().unwrap()).is_err());
    vault.set_access_rules(rules, &house.key).unwrap();
    assert_eq!(vault.access_rules().unwrap(), rules);
    let open = || vault.session(house.grant().sign(&house.issuer, vault.id()).unwrap(), Purpose::Treatment);
    let (first, second) = (open().unwrap(), open().unwrap());
    assert_eq!(refused(&open().unwrap_err()), Some(DenyReason::TooManySessions));
    let others = Grant::to("n.adu").all_patients().all_kinds().actions([Action::Read]).purpose(Purpose::Treatment);
    assert!(
        vault
            .session(
                others.issued_at(house.clock.now()).valid_for(minutes(60)).sign(&house.issuer, vault.id()).unwrap(),
                Purpose::Treatment
            )
            .is_ok()
    );
    first.close().unwrap();
    let third = open().unwrap();
    // Those that lie idle make room, and answer no more.
    house.clock.advance(minutes(14));
    assert!(third.register_patient([]).is_ok());
    house.clock.advance(minutes(1));
    assert!(open().is_ok());
    assert!(matches!(second.register_patient([]), Err(Error::SessionEnded { .. })));
    for _ in 0..3 {
        house.clock.advance(minutes(13));
        assert!(third.register_patient([]).is_ok());
    }
    house.clock.advance(minutes(6));
    assert!(matches!(third.register_patient([]), Err(Error::SessionEnded { .. })));
}

#[test]
fn a_token_lives_no_longer_than_the_rules_allow() {
    let (house, vault) = House::create();
    let day = Duration::from_secs(86_400);
    vault.set_access_rules(AccessRules::new().longest_validity(day), &house.key).unwrap();
    let open = |length| {
        vault.session(house.grant().valid_for(length).sign(&house.issuer, vault.id()).unwrap(), Purpose::Treatment)
    };
    assert!(open(day).is_ok());
    let longer = open(day + Duration::from_secs(1)).unwrap_err();
    assert!(matches!(longer, Error::Token(TokenError::LifetimeTooLong { longest }) if longest == day), "{longer}");
    let session = open(day).unwrap();
    vault.set_access_rules(AccessRules::new().longest_validity(day / 2), &house.key).unwrap();
    assert!(matches!(session.register_patient([]), Err(Error::Denied { .. })), "in open sessions, too");
}

#[test]
fn a_session_that_could_do_nothing_keeps_nobody_out() {
    let (house, vault) = House::create();
    let office = house.session(&vault);
    vault.set_access_rules(AccessRules::new().sessions_at_once(1), &house.key).unwrap();
    let grant = || Grant::to("n.adu").all_patients().all_kinds().actions([Action::Read]).purpose(Purpose::Treatment);
    let sign = || grant().valid_for(Duration::from_secs(3_600)).issued_at(house.clock.now());
    let stolen = sign().sign(&house.issuer, vault.id()).unwrap();
    let thief = vault.session(&stolen, Purpose::Treatment).unwrap();
    let anew = sign().sign(&house.issuer, vault.id()).unwrap();
    let kept_out = vault.session(&anew, Purpose::Treatment).unwrap_err();
    assert_eq!(refused(&kept_out), Some(DenyReason::TooManySessions));
    office.grants().revoke(Revoke::Block(stolen.id()), "stolen").unwrap();
    assert!(vault.session(&anew, Purpose::Treatment).is_ok());
    drop(thief);
}
