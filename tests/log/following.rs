//! Following the log live: in order, without a gap, only as long as one may.

use crate::support;

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use chartvault::test_util::{Fault, FileOp};
use chartvault::*;
use support::{House, base_grant, note, whole_log};

const SOON: Duration = Duration::from_secs(30);
const NOW: Duration = Duration::from_millis(1);

fn patient(session: &Session) -> PatientId {
    session.register_patient([]).unwrap()
}

/// All that is there.
fn rest(following: &mut Subscription) -> Vec<AuditEntry> {
    std::iter::from_fn(|| following.next_within(NOW).unwrap()).collect()
}

#[test]
fn the_log_is_followed_from_its_first_entry_and_on_as_it_grows() {
    let (house, vault) = House::create();
    let session = house.session(&vault);
    let patient = patient(&session);
    let mut following = session.audit().unwrap().subscribe(AuditFilter::new()).from(0).unwrap();
    let before = rest(&mut following);
    assert_eq!(before.iter().map(|entry| entry.seq).collect::<Vec<_>>(), (0..before.len() as u64).collect::<Vec<_>>());
    assert_eq!(before[0].event, AuditEvent::VaultCreated);
    assert_eq!(before.last().unwrap().event, AuditEvent::LogSubscribed);
    thread::scope(|scope| {
        let woken = scope.spawn(|| (following.next_within(SOON), Instant::now()));
        thread::sleep(Duration::from_millis(100));
        let wrote = Instant::now();
        session.put(patient, &note("pulse 60")).unwrap();
        let (entry, at) = woken.join().unwrap();
        let entry = entry.unwrap().unwrap();
        assert_eq!((entry.seq, entry.event), (before.len() as u64, AuditEvent::RecordPut));
        assert!(at.duration_since(wrote) < Duration::from_secs(10), "it is woken, and does not come round");
    });
    assert_eq!(following.position(), before.len() as u64 + 1);
    assert!(rest(&mut following).is_empty(), "following alone logs nothing");
}

#[test]
fn a_filter_lets_through_what_it_says_and_one_goes_on_where_one_was() {
    let (house, vault) = House::create();
    let session = house.session(&vault);
    let (one, other) = (patient(&session), patient(&session));
    let filter = || AuditFilter::new().patient(one);
    let mut following = session.audit().unwrap().subscribe(filter()).from(0).unwrap();
    for n in 0..10 {
        session.put(if n % 2 == 0 { one } else { other }, &note("pulse 60")).unwrap();
    }
    let seen = rest(&mut following);
    assert_eq!(seen.iter().filter(|entry| entry.event == AuditEvent::RecordPut).count(), 5);
    assert!(seen.iter().all(|entry| filter().matches(entry)));
    let place = following.position();
    drop(following);
    vault.close().unwrap();
    let vault = house.open();
    let session = house.session(&vault);
    session.put(one, &note("pulse 61")).unwrap();
    let mut following = session.audit().unwrap().subscribe(filter()).from(place).unwrap();
    let seen = rest(&mut following);
    assert_eq!(seen.len(), 1, "{seen:?}");
    assert!(seen[0].seq >= place && seen[0].event == AuditEvent::RecordPut);
}

#[test]
fn nothing_is_missing_or_out_of_order_while_eight_write() {
    const EACH: usize = 60;
    let (house, vault) = House::create();
    let session = house.session(&vault);
    let mut following = session.audit().unwrap().subscribe(AuditFilter::new()).from(0).unwrap();
    let done = AtomicBool::new(false);
    let seen = thread::scope(|scope| {
        let reader = scope.spawn(|| {
            let mut seen = Vec::new();
            loop {
                let over = done.load(Ordering::SeqCst);
                match following.next_within(Duration::from_millis(20)).unwrap() {
                    Some(entry) => seen.push(entry),
                    None if over => return seen,
                    None => {}
                }
            }
        });
        let writers: Vec<_> = (0..8)
            .map(|_| {
                scope.spawn(|| {
                    let patient = patient(&session);
                    for _ in 0..EACH {
                        session.put(patient, &note("pulse 60")).unwrap();
                    }
                })
            })
            .collect();
        writers.into_iter().for_each(|writer| writer.join().unwrap());
        done.store(true, Ordering::SeqCst);
        reader.join().unwrap()
    });
    assert!(seen.iter().map(|entry| entry.seq).eq(0..seen.len() as u64));
    assert_eq!(seen.iter().filter(|entry| entry.event == AuditEvent::RecordPut).count(), 8 * EACH);
    let log = whole_log(&session);
    assert_eq!(log[..seen.len()], seen);
}

#[test]
fn the_log_says_what_was_followed_and_that_feeds_nothing_back() {
    let (house, vault) = House::create();
    let session = house.session(&vault);
    let patient = patient(&session);
    for _ in 0..1_050 {
        session.kinds(patient).unwrap();
    }
    let mut following = session.audit().unwrap().subscribe(AuditFilter::new()).from(0).unwrap();
    let given = rest(&mut following).len();
    let place = following.position();
    drop(following);
    let told: Vec<_> = whole_log(&session)
        .into_iter()
        .filter(|entry| entry.event == AuditEvent::LogSubscribed)
        .map(|entry| (entry.detail.unwrap(), entry.count))
        .collect();
    assert_eq!(told[0], ("from entry 0".to_owned(), None));
    assert_eq!(told[1], ("given, of entries 0 to 999".to_owned(), Some(1_000)));
    assert_eq!(told[2], (format!("given, of entries 1000 to {}", place - 1), Some(given as u32 - 1_000)));
    assert_eq!(told.len(), 3);
}

#[test]
fn an_entry_that_is_kept_back_because_the_log_cannot_be_told_is_the_one_to_go_on_with() {
    let (house, vault) = House::create();
    let session = house.session(&vault);
    let patient = patient(&session);
    for _ in 0..1_050 {
        session.kinds(patient).unwrap();
    }
    let mut following = session.audit().unwrap().subscribe(AuditFilter::new()).from(0).unwrap();
    (0..999).for_each(|seq| assert_eq!(following.next_within(SOON).unwrap().unwrap().seq, seq));
    let fault = Fault::on(FileOp::Write, std::io::ErrorKind::Other).for_good();
    assert!(following.next_within(SOON).is_err() && fault.hits() > 0);
    assert_eq!(following.position(), 999);
}

#[test]
fn who_waits_is_told_that_the_vault_was_closed() {
    let (house, vault) = House::create();
    let session = house.session(&vault);
    let mut following = session.audit().unwrap().subscribe(AuditFilter::new()).from_now().unwrap();
    assert_eq!(following.next_within(NOW).unwrap().unwrap().event, AuditEvent::LogSubscribed);
    thread::scope(|scope| {
        let waiting = scope.spawn(|| following.next_within(SOON));
        thread::sleep(Duration::from_millis(50));
        let began = Instant::now();
        vault.close().unwrap();
        assert!(began.elapsed() < SOON, "who waits does not hold the vault open");
        let ended = waiting.join().unwrap();
        assert!(matches!(ended, Err(Error::Sealed)), "{ended:?}");
    });
    assert!(matches!(following.next(), Some(Err(Error::Sealed))));
    assert!(following.next().is_none(), "it ends behind the first error");
}

#[test]
fn who_loses_the_right_while_following_gets_nothing_more() {
    let (house, vault) = House::create();
    let session = house.session(&vault);
    let auditor = base_grant().all_patients().all_kinds().actions([Action::Audit]).issued_at(house.clock.now());
    let token = auditor.sign(&house.issuer, vault.id()).unwrap();
    let rid = *token.revocation_ids().last().unwrap();
    let following_session = vault.session(&token, Purpose::Treatment).unwrap();
    let mut following = following_session.audit().unwrap().subscribe(AuditFilter::new()).from(0).unwrap();
    assert!(following.next_within(NOW).unwrap().is_some(), "more is read by now than was given");
    session.grants().revoke(Revoke::Block(rid), "left").unwrap();
    let denied = following.next_within(NOW);
    assert!(matches!(denied, Err(Error::Denied { .. })), "{denied:?}");
    let log = whole_log(&session);
    let denial = log.iter().find(|entry| entry.outcome == Outcome::Denied).unwrap();
    assert_eq!(denial.event, AuditEvent::LogSubscribed);
}

#[test]
fn a_session_that_was_closed_or_whose_token_expired_follows_nothing() {
    let (house, vault) = House::create();
    let session = house.session(&vault);
    let mut following = session.audit().unwrap().subscribe(AuditFilter::new()).from(0).unwrap();
    session.close().unwrap();
    let ended = following.next_within(NOW);
    assert!(matches!(ended, Err(Error::SessionEnded { .. })), "{ended:?}");
    let session = house.session(&vault);
    let mut following = session.audit().unwrap().subscribe(AuditFilter::new()).from(0).unwrap();
    house.clock.advance(Duration::from_secs(31 * 86_400));
    let ended = following.next_within(NOW);
    assert!(matches!(ended, Err(Error::Denied { .. })), "{ended:?}");
}

#[test]
fn who_was_further_than_the_log_is_told_so() {
    let (house, vault) = House::create();
    let session = house.session(&vault);
    let refused = session.audit().unwrap().subscribe(AuditFilter::new()).from(1_000);
    assert!(matches!(refused, Err(Error::LogEndsBefore { from: 1_000, .. })), "{refused:?}");
}

#[test]
fn nobody_follows_without_the_audit_action() {
    let (house, vault) = House::create();
    let nurse = base_grant().all_patients().all_kinds().actions([Action::Read]).issued_at(house.clock.now());
    let refused = house.session_of(&vault, &nurse).audit().map(drop);
    assert!(matches!(refused, Err(Error::Denied { .. })), "{refused:?}");
}
