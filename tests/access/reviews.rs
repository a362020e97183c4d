//! Reviews of grants: every live one is listed, somebody else decides over each, and nothing is closed half done.

use crate::support;

use std::io::ErrorKind;
use std::time::Duration;

use chartvault::test_util::{Fault, FileOp};
use chartvault::*;
use support::{House, copy_dir, verify, whole_log};

const DAY: Duration = Duration::from_secs(86_400);
const DAY_SECONDS: i64 = 86_400;

fn reviewer(house: &House, vault: &Vault, name: &str) -> Session {
    let actions = [Action::Review, Action::Grant, Action::Audit];
    let grant = Grant::to(name).all_patients().all_kinds().actions(actions).purpose(Purpose::Treatment);
    house.session_of(vault, &grant.valid_for(90 * DAY).issued_at(house.clock.now()))
}

fn nurse(house: &House, actions: &[Action], days: u32) -> Grant {
    let grant = Grant::to("n.adu").all_patients().all_kinds().actions(actions.iter().copied());
    grant.purpose(Purpose::Treatment).valid_for(days * DAY).issued_at(house.clock.now())
}

fn due(house: &House, days: u32) -> Timestamp {
    house.clock.now().saturating_add(days * DAY)
}

fn item(session: &Session, round: u32, grant: RevocationId) -> ReviewItem {
    let items = session.reviews().items(round).page().unwrap().items;
    items.into_iter().find(|item| item.grant == grant).unwrap()
}

#[test]
fn a_round_lists_every_live_grant_and_closes_once_each_is_kept_narrowed_revoked_or_has_ended() {
    let (house, vault) = House::create();
    let (lund, bo) = (reviewer(&house, &vault, "a.lund"), reviewer(&house, &vault, "m.bo"));
    let register = |actions: &[Action], days| {
        let token = nurse(&house, actions, days).sign(&house.issuer, vault.id()).unwrap();
        lund.grants().register(&token, "").unwrap();
        token
    };
    let (kept, wide, lost) =
        (register(&[Action::Read], 60), register(&[Action::Read, Action::Void], 60), register(&[Action::Read], 60));
    let (short, elsewhere) = (register(&[Action::List], 1), register(&[Action::List], 60));
    let round = lund.reviews().open(due(&house, 14), "first quarter").unwrap();
    assert_eq!((round.number, round.grants, round.undecided, round.closed), (1, 7, 7, None));
    // What comes later belongs to the next round.
    let narrow = register(&[Action::Read], 90);
    assert_eq!(lund.reviews().get(1).unwrap().grants, 7);

    let decide = |by: &Session, token: &Token, decision| by.reviews().decide(1, token.id(), decision, "as agreed");
    assert_eq!(decide(&lund, &kept, ReviewDecision::Keep).unwrap().by, lund.principal());
    let decided = decide(&lund, &wide, ReviewDecision::Narrow { to: narrow.id() }).unwrap();
    assert_eq!(decided.decision, ReviewDecision::Narrow { to: narrow.id() });
    decide(&lund, &lost, ReviewDecision::Revoke).unwrap();
    let opens = |token: &Token| vault.session(token, Purpose::Treatment);
    assert!(opens(&kept).is_ok() && opens(&narrow).is_ok());
    for token in [&wide, &lost] {
        assert!(matches!(opens(token), Err(Error::Token(TokenError::Revoked { .. }))));
    }
    let refused = lund.reviews().close(1);
    assert!(matches!(refused, Err(Error::ReviewUnfinished { review: 1, left: 4 })), "{refused:?}");
    lund.grants().revoke(Revoke::Block(elsewhere.id()), "not in a review").unwrap();
    house.clock.step(2 * DAY_SECONDS);
    assert_eq!(lund.reviews().get(1).unwrap().undecided, 2);
    assert_eq!(item(&lund, 1, short.id()).ended, Some(Ended::Expired));
    assert_eq!(item(&lund, 1, elsewhere.id()).ended, Some(Ended::Revoked));
    for token in [&short, &elsewhere, &lost] {
        let refused = decide(&lund, token, ReviewDecision::Keep);
        assert!(matches!(refused, Err(Error::GrantEnded { .. })), "{refused:?}");
    }
    let [own_lund, own_bo] = [&lund, &bo].map(|session| session.principal());
    let left: Vec<ReviewItem> =
        lund.reviews().items(1).page().unwrap().items.into_iter().filter(ReviewItem::is_left).collect();
    assert_eq!(left.len(), 2);
    for item in left {
        let (own, other) = if item.subject == own_lund { (&lund, &bo) } else { (&bo, &lund) };
        assert!([own_lund, own_bo].contains(&item.subject));
        let refused = own.reviews().decide(1, item.grant, ReviewDecision::Keep, "");
        assert!(matches!(refused, Err(Error::OwnGrant { grant }) if grant == item.grant), "{refused:?}");
        other.reviews().decide(1, item.grant, ReviewDecision::Keep, "").unwrap();
    }
    let closed = bo.reviews().close(1).unwrap();
    assert_eq!((closed.undecided, closed.closed), (0, Some((house.clock.now(), own_bo))));
    for refused in [lund.reviews().close(1).map(drop), decide(&lund, &kept, ReviewDecision::Revoke).map(drop)] {
        assert!(matches!(refused, Err(Error::ReviewClosed { review: 1, .. })), "{refused:?}");
    }
    vault.close().unwrap();

    // Long after, when the grants are forgotten, the round still shows what was decided.
    house.clock.step(150 * DAY_SECONDS);
    let vault = house.open();
    drop(reviewer(&house, &vault, "a.lund"));
    let lund = reviewer(&house, &vault, "a.lund");
    assert!(matches!(lund.grants().get(wide.id()), Err(Error::NoSuchGrant { .. })));
    let wide = item(&lund, 1, wide.id());
    let rights = wide.rights.unwrap();
    assert_eq!((rights.actions, &*wide.decided.unwrap().note), (vec![Action::Read, Action::Void], "as agreed"));
    assert_eq!(item(&lund, 1, short.id()).ended, Some(Ended::Expired));
    assert_eq!(item(&lund, 1, elsewhere.id()).ended, Some(Ended::Revoked));
    assert_eq!(lund.reviews().list().unwrap().len(), 1);
    let mut json = Vec::new();
    assert_eq!(lund.reviews().items(1).export(TableFormat::Json, &mut json).unwrap(), 7);
    let json: serde_json::Value = serde_json::from_slice(&json).unwrap();
    let row = json.as_array().unwrap().iter().find(|row| row["decision"] == "narrow").unwrap();
    assert_eq!(
        (&row["replaced_by"], &row["reviewer"]),
        (&narrow.id().to_string().into(), &own_lund.to_string().into())
    );
    assert_eq!(row["actions"], serde_json::json!(["read", "void"]));
    let mut csv = Vec::new();
    assert_eq!(lund.reviews().items(1).export(TableFormat::Csv, &mut csv).unwrap(), 7);
    assert_eq!(String::from_utf8(csv).unwrap().lines().count(), 8);
    let log = whole_log(&lund);
    let said = |event| log.iter().filter(|entry| entry.event == event && entry.outcome == Outcome::Allowed).count();
    assert_eq!(
        (said(AuditEvent::ReviewOpened), said(AuditEvent::ReviewDecided), said(AuditEvent::ReviewClosed)),
        (1, 5, 1)
    );
    verify(&lund);
}

#[test]
fn only_a_registered_grant_of_the_same_subject_that_allows_less_takes_the_place_of_another() {
    let (house, vault) = House::create();
    let lund = reviewer(&house, &vault, "a.lund");
    let sign = |grant: Grant| grant.sign(&house.issuer, vault.id()).unwrap();
    let register = |grant: Grant| {
        let token = sign(grant);
        lund.grants().register(&token, "").unwrap();
        token
    };
    let both = [Action::Read, Action::Void];
    let old = register(nurse(&house, &both, 60));
    let narrowed = old.attenuate().actions([Action::Read]).finish().unwrap();
    lund.grants().register(&narrowed, "").unwrap();
    let other = register(
        Grant::to("n.other")
            .all_patients()
            .all_kinds()
            .actions([Action::Read])
            .purpose(Purpose::Treatment)
            .valid_for(DAY)
            .issued_at(house.clock.now()),
    );
    let (same, wider) =
        (register(nurse(&house, &both, 60)), register(nurse(&house, &[Action::Read, Action::List], 60)));
    let expired = register(nurse(&house, &[Action::Read], 1));
    let seen = sign(nurse(&house, &[Action::Read], 60));
    vault.session(&seen, Purpose::Treatment).unwrap();
    let good = register(nurse(&house, &[Action::Read], 60));
    house.clock.step(2 * DAY_SECONDS);
    lund.reviews().open(due(&house, 14), "").unwrap();
    let narrow = |to: &Token| lund.reviews().decide(1, old.id(), ReviewDecision::Narrow { to: to.id() }, "");
    let because = |to: &Token| match narrow(to) {
        Err(Error::NoReplacement { grant, why }) if grant == to.id() => why,
        other => panic!("{other:?}"),
    };
    assert_eq!(because(&narrowed), "it was narrowed from the other, and would be revoked with it");
    assert_eq!(because(&other), "it is of another subject");
    assert_eq!(because(&same), "it allows as much");
    assert_eq!(because(&wider), "it allows further actions");
    assert_eq!(because(&expired), "it has expired");
    assert_eq!(because(&seen), "it is not registered");
    assert!(vault.session(&old, Purpose::Treatment).is_ok());
    narrow(&good).unwrap();
    assert!(vault.session(&old, Purpose::Treatment).is_err() && vault.session(&good, Purpose::Treatment).is_ok());
}

#[test]
fn what_is_not_there_cannot_be_decided_over_and_a_decision_can_be_changed_while_it_can() {
    let (house, vault) = House::create();
    let lund = reviewer(&house, &vault, "a.lund");
    let token = nurse(&house, &[Action::Read], 60).sign(&house.issuer, vault.id()).unwrap();
    lund.grants().register(&token, "").unwrap();
    let none = lund.reviews().get(1);
    assert!(matches!(none, Err(Error::NoSuchReview { review: 1 })), "{none:?}");
    let none = lund.reviews().items(1).page();
    assert!(matches!(none, Err(Error::NoSuchReview { review: 1 })), "{none:?}");
    lund.reviews().open(due(&house, 1), "").unwrap();
    let decide = |grant, decision| lund.reviews().decide(1, grant, decision, "");
    let none = decide(RevocationId::from_bytes([1; 16]), ReviewDecision::Keep);
    assert!(matches!(none, Err(Error::NoSuchGrant { .. })), "{none:?}");
    decide(token.id(), ReviewDecision::Keep).unwrap();
    decide(token.id(), ReviewDecision::Revoke).unwrap();
    assert_eq!(item(&lund, 1, token.id()).decided.unwrap().decision, ReviewDecision::Revoke);
    let over = decide(token.id(), ReviewDecision::Keep);
    assert!(matches!(over, Err(Error::GrantEnded { .. })), "{over:?}");
    let long = lund.reviews().decide(1, token.id(), ReviewDecision::Keep, &"x".repeat(513));
    assert!(matches!(long, Err(Error::InvalidText { what: "note", len: 513, .. })), "{long:?}");
    let reader = house.session_of(&vault, &nurse(&house, &[Action::Grant], 1));
    assert!(matches!(reader.reviews().list(), Err(Error::Denied { .. })));
    assert!(matches!(reader.reviews().open(due(&house, 1), ""), Err(Error::Denied { .. })));
    assert!(matches!(reader.reviews().decide(1, token.id(), ReviewDecision::Keep, ""), Err(Error::Denied { .. })));
}

#[test]
fn the_log_is_told_once_of_a_round_that_is_overdue() {
    let (house, vault) = House::create();
    let lund = reviewer(&house, &vault, "a.lund");
    lund.reviews().open(due(&house, 14), "").unwrap();
    house.clock.step(14 * DAY_SECONDS - 1);
    assert!(lund.reviews().overdue().unwrap().is_empty());
    house.clock.step(1);
    let [overdue] = &lund.reviews().overdue().unwrap()[..] else { panic!() };
    assert_eq!(overdue.overdue_told, Some(house.clock.now()));
    vault.close().unwrap();
    let vault = house.open();
    let lund = reviewer(&house, &vault, "a.lund");
    assert_eq!((lund.reviews().overdue().unwrap().len(), lund.reviews().list().unwrap().len()), (1, 1));
    let log = whole_log(&lund);
    let told: Vec<_> = log.iter().filter(|entry| entry.event == AuditEvent::ReviewOverdue).collect();
    assert!(matches!(&told[..], [entry] if entry.detail.as_ref().unwrap().starts_with("review 1, due")), "{told:?}");
    // A second one becomes overdue while the vault is closed: opening it tells.
    lund.reviews().open(due(&house, 1), "").unwrap();
    vault.close().unwrap();
    house.clock.step(DAY_SECONDS);
    let vault = house.open();
    let bo = reviewer(&house, &vault, "m.bo");
    let told =
        |session: &Session| whole_log(session).iter().filter(|entry| entry.event == AuditEvent::ReviewOverdue).count();
    assert_eq!(told(&bo), 2);
    for item in bo.reviews().items(1).page().unwrap().items {
        bo.reviews().decide(1, item.grant, ReviewDecision::Keep, "").unwrap();
    }
    bo.reviews().close(1).unwrap();
    let overdue: Vec<u32> = bo.reviews().overdue().unwrap().iter().map(|round| round.number).collect();
    assert_eq!((overdue, told(&bo)), (vec![2], 2));
}

/// Every write and every sync of a decision fails once, and the process ends there.
#[test]
fn a_decision_that_breaks_off_anywhere_is_whole_with_its_revocation_or_not_there() {
    for op in [FileOp::Open, FileOp::Write, FileOp::Sync] {
        for passing in 0.. {
            let (house, vault) = House::create();
            let lund = reviewer(&house, &vault, "a.lund");
            let token = nurse(&house, &[Action::Read], 60).sign(&house.issuer, vault.id()).unwrap();
            lund.grants().register(&token, "").unwrap();
            lund.reviews().open(due(&house, 14), "").unwrap();
            let fault = Fault::on(op, ErrorKind::Other).after(passing).for_good();
            let decided = lund.reviews().decide(1, token.id(), ReviewDecision::Revoke, "left");
            let hits = fault.hits();
            let crashed = house.dir.path().join("crashed");
            copy_dir(&house.path(), &crashed);
            drop(fault);
            let after = house.open_at(&crashed).unwrap();
            let revoked =
                matches!(after.session(&token, Purpose::Treatment), Err(Error::Token(TokenError::Revoked { .. })));
            let lund = reviewer(&house, &after, "a.lund");
            let there = item(&lund, 1, token.id()).decided.is_some();
            assert_eq!(there, revoked, "{op:?} {passing}: half a decision");
            assert!(decided.is_err() || there, "{op:?} {passing}: acknowledged and lost");
            verify(&lund);
            if hits == 0 {
                assert!(decided.is_ok() && (passing > 0 || op == FileOp::Open));
                break;
            }
        }
    }
}
