//! Grants that a vault knows: registered, seen, listed, found unused, dropped long after they have ended.

use crate::support;

use std::io;
use std::time::Duration;

use chartvault::*;
use support::{House, base_grant, files_in, whole_log};

const DAY: Duration = Duration::from_secs(86_400);
const DAY_SECONDS: i64 = 86_400;

fn grant_for(house: &House, name: &str) -> Grant {
    let grant = Grant::to(name).all_patients().kind::<support::Note>().actions([Action::Read, Action::List]);
    grant.purpose(Purpose::Treatment).valid_for(30 * DAY).issued_at(house.clock.now())
}

fn ids(page: &GrantPage) -> Vec<RevocationId> {
    page.grants.iter().map(|grant| grant.id).collect()
}

#[test]
fn a_grant_is_listed_once_it_is_registered_and_once_it_opened_a_session() {
    let (house, vault) = House::create();
    let office = house.session(&vault);
    let own = office.grants().live().page().unwrap();
    let [seen] = &own.grants[..] else { panic!("{own:?}") };
    assert_eq!((seen.subject, seen.registered_by, seen.sessions), (office.principal(), None, 1));

    let token = grant_for(&house, "n.adu").sign(&house.issuer, vault.id()).unwrap();
    let registered = office.grants().register(&token, "night shift").unwrap();
    assert_eq!((registered.id, &registered.rids[..]), (token.id(), &token.revocation_ids()[..]));
    assert_eq!((registered.registered_by, &*registered.note), (Some(office.principal()), "night shift"));
    assert_eq!((registered.last_used, registered.sessions, registered.state), (None, 0, GrantState::Live));
    assert_eq!(registered.rights, token.inspect().effective());
    assert_eq!(registered.issuer, house.issuer.public().id());
    // Once more: it stays as it was.
    assert_eq!(office.grants().register(&token, "something else").unwrap(), registered);
    assert_eq!(office.grants().get(token.id()).unwrap(), registered);

    house.clock.step(60);
    let used = house.clock.now();
    for _ in 0..3 {
        vault.session(&token, Purpose::Treatment).unwrap();
    }
    let mut expected = registered.clone();
    (expected.last_used, expected.sessions) = (Some(used), 3);
    assert_eq!(office.grants().of(expected.subject).page().unwrap().grants, [expected.clone()]);
    // Seen first and registered then: its uses stay.
    let other = grant_for(&house, "dr.bo").sign(&house.issuer, vault.id()).unwrap();
    vault.session(&other, Purpose::Treatment).unwrap();
    let other = office.grants().register(&other, "").unwrap();
    assert_eq!((other.sessions, other.last_used, other.known_since), (1, Some(used), used));
    vault.close().unwrap();

    let vault = house.open();
    let office = house.session(&vault);
    let kept = office.grants().of(expected.subject).page().unwrap();
    assert_eq!((&kept.grants[..], kept.next), (&[expected][..], None));
    assert!(kept.grants[0].to_string().contains("used 3 times"), "{}", kept.grants[0]);
    let log = whole_log(&office);
    let said = log.iter().filter(|entry| entry.event == AuditEvent::GrantRegistered).count();
    assert_eq!(said, 3);
    let unknown = office.grants().get(RevocationId::from_bytes([1; 16]));
    assert!(matches!(unknown, Err(Error::NoSuchGrant { .. })), "{unknown:?}");
}

#[test]
fn lists_come_page_by_page_without_what_was_revoked_or_has_expired() {
    let (house, vault) = House::create();
    let office = house.session(&vault);
    let token = |name: &str, days: u32| {
        let grant = grant_for(&house, name).valid_for(days * DAY);
        let token = grant.sign(&house.issuer, vault.id()).unwrap();
        office.grants().register(&token, name).unwrap();
        token
    };
    let (short, long) = (token("short", 1), token("long", 20));
    let many: Vec<Token> = (0..5).map(|number| token(&format!("n.{number}"), 20)).collect();
    let (mut found, mut query) = (Vec::new(), office.grants().live().limit(2));
    loop {
        let page = query.page().unwrap();
        assert!(page.grants.len() <= 2);
        found.extend(ids(&page));
        let Some(next) = page.next else { break };
        query = query.after(next);
    }
    assert!(found.is_sorted() && found.len() == 8, "{found:?}");
    assert!(many.iter().chain([&short, &long]).all(|token| found.contains(&token.id())));

    house.clock.step(2 * DAY_SECONDS);
    office.grants().revoke(Revoke::Block(many[0].id()), "lost").unwrap();
    office.grants().revoke(Revoke::Principal(many[1].inspect().effective().subject), "left").unwrap();
    let live = ids(&office.grants().live().page().unwrap());
    let gone = [&short, &many[0], &many[1]].map(|token| token.id());
    assert_eq!(live, found.into_iter().filter(|id| !gone.contains(id)).collect::<Vec<_>>());
    let state = |token: &Token| office.grants().get(token.id()).unwrap().state;
    assert_eq!(state(&short), GrantState::Ended(Ended::Expired));
    assert_eq!(state(&many[0]), GrantState::Ended(Ended::Revoked));
    assert_eq!(state(&many[1]), GrantState::Ended(Ended::Revoked));
}

#[test]
fn what_nobody_uses_is_found() {
    let (house, vault) = House::create();
    let office = house.session(&vault);
    let token = |name: &str| grant_for(&house, name).sign(&house.issuer, vault.id()).unwrap();
    let (never, used) = (token("never"), token("used"));
    office.grants().register(&never, "").unwrap();
    office.grants().register(&used, "").unwrap();
    let unused = |days: u32| {
        let mut found = ids(&office.grants().unused_for(days * DAY).page().unwrap());
        found.retain(|id| [never.id(), used.id()].contains(id));
        found.into_iter().map(|id| id == used.id()).collect::<Vec<_>>()
    };
    house.clock.step(5 * DAY_SECONDS);
    vault.session(&used, Purpose::Treatment).unwrap();
    assert_eq!(unused(5), [false]);
    house.clock.step(5 * DAY_SECONDS);
    assert_eq!((unused(5).len(), &unused(6)[..], unused(11).len()), (2, &[false][..], 0));
}

#[test]
fn what_would_not_open_a_session_is_not_registered() {
    let (house, vault) = House::create();
    let office = house.session(&vault);
    let token = grant_for(&house, "n.adu").sign(&house.issuer, vault.id()).unwrap();
    let forged = grant_for(&house, "n.adu").sign(&IssuerKey::generate().unwrap(), vault.id()).unwrap();
    let refused = office.grants().register(&forged, "");
    assert!(matches!(refused, Err(Error::Token(TokenError::UnknownIssuer { .. }))), "{refused:?}");
    let refused = office.grants().register(&token, &"x".repeat(257));
    assert!(matches!(refused, Err(Error::InvalidText { what: "note", len: 257, .. })), "{refused:?}");
    office.grants().register(&token, &"x".repeat(256)).unwrap();
    // Nobody has to show that they hold it.
    let holder = HolderKey::generate().unwrap();
    let bound = grant_for(&house, "n.adu").bound_to(holder.public()).sign(&house.issuer, vault.id()).unwrap();
    assert_eq!(office.grants().register(&bound, "").unwrap().sessions, 0);
    let next = token.attenuate().finish().unwrap();
    office.grants().revoke(Revoke::Block(token.id()), "lost").unwrap();
    let refused = office.grants().register(&next, "");
    assert!(matches!(refused, Err(Error::Token(TokenError::Revoked { .. }))), "{refused:?}");
    let reader = house.session_of(
        &vault,
        &base_grant().all_patients().all_kinds().actions([Action::Read]).issued_at(house.clock.now()),
    );
    assert!(matches!(reader.grants().register(&next, ""), Err(Error::Denied { .. })));
    assert!(matches!(reader.grants().live().page(), Err(Error::Denied { .. })));
    assert!(matches!(reader.grants().get(token.id()), Err(Error::Denied { .. })));
    assert!(matches!(reader.issuers(), Err(Error::Denied { .. })));
}

#[test]
fn where_only_registered_grants_count_others_open_nothing_and_what_was_narrowed_from_one_does() {
    let (house, vault) = House::create();
    let office_token = house.grant().sign(&house.issuer, vault.id()).unwrap();
    let office = vault.session(&office_token, Purpose::Treatment).unwrap();
    office.grants().register(&office_token, "office").unwrap();
    let token = grant_for(&house, "n.adu").sign(&house.issuer, vault.id()).unwrap();
    let open = vault.session(&token, Purpose::Treatment).unwrap();
    let patient = office.register_patient([]).unwrap();
    let list = |session: &Session| session.list::<support::Note>(patient).page().map(drop);
    assert!(list(&open).is_ok());
    vault.set_access_rules(AccessRules::new().registered_grants_only(true), &house.key).unwrap();
    let Err(Error::Denied { ticket }) = list(&open) else { panic!() };
    let refused = vault.session(&token, Purpose::Treatment).unwrap_err();
    let unregistered =
        |error: &Error| matches!(error, Error::SessionRefused(denial) if denial.reason == DenyReason::NotRegistered);
    assert!(unregistered(&refused), "{refused:?}");
    let log = whole_log(&office);
    assert_eq!(log.iter().find(|entry| entry.ticket == Some(ticket)).unwrap().reason, Some(0x308));
    // It was seen before the rule, which is not enough.
    assert_eq!(office.grants().get(token.id()).unwrap().registered_by, None);
    office.grants().register(&token, "now").unwrap();
    assert!(list(&open).is_ok());
    let narrowed = token.attenuate().actions([Action::List]).finish().unwrap();
    assert!(list(&vault.session(&narrowed, Purpose::Treatment).unwrap()).is_ok());
    assert_eq!(office.grants().get(narrowed.id()).unwrap().registered_by, None);
    vault.close().unwrap();
    let vault = house.open();
    assert!(vault.session(&narrowed, Purpose::Treatment).is_ok());
    let other = grant_for(&house, "dr.bo").sign(&house.issuer, vault.id()).unwrap();
    assert!(unregistered(&vault.session(&other, Purpose::Treatment).unwrap_err()));
}

#[test]
fn a_grant_is_dropped_thirty_days_after_its_end_and_the_next_session_does_that() {
    let (house, vault) = House::create();
    let office = || house.session(&vault);
    let token = grant_for(&house, "n.adu").valid_for(DAY).sign(&house.issuer, vault.id()).unwrap();
    office().grants().register(&token, "a day").unwrap();
    vault.session(&token, Purpose::Treatment).unwrap();
    house.clock.step(31 * DAY_SECONDS - 1);
    assert!(office().grants().get(token.id()).is_ok());
    house.clock.step(1);
    let gone = office().grants().get(token.id());
    assert!(matches!(gone, Err(Error::NoSuchGrant { .. })), "{gone:?}");
    vault.close().unwrap();
    let vault = house.open();
    let gone = house.session(&vault).grants().get(token.id());
    assert!(matches!(gone, Err(Error::NoSuchGrant { .. })), "{gone:?}");
    let verified = support::verify(&house.session(&vault));
    assert!(verified.entries > 0);
}

#[test]
fn lists_are_written_out_as_csv_and_json() {
    let (house, vault) = House::create();
    let office = house.session(&vault);
    for number in 0..3 {
        let token = grant_for(&house, &format!("n.{number}")).sign(&house.issuer, vault.id()).unwrap();
        office.grants().register(&token, "=HYPERLINK(\"http://example.org\")").unwrap();
    }
    let mut csv = Vec::new();
    assert_eq!(office.grants().live().export(TableFormat::Csv, &mut csv).unwrap(), 4);
    let csv = String::from_utf8(csv).unwrap();
    assert_eq!(csv.split("\r\n").count(), 1 + 4 + 1);
    assert_eq!(csv.matches("\"'=HYPERLINK(\"\"http://example.org\"\")\"").count(), 3, "{csv}");
    let mut json = Vec::new();
    assert_eq!(office.grants().live().export(TableFormat::Json, &mut json).unwrap(), 4);
    let json: serde_json::Value = serde_json::from_slice(&json).unwrap();
    let live = office.grants().live().page().unwrap().grants;
    for (row, grant) in json.as_array().unwrap().iter().zip(&live) {
        assert_eq!(row["grant"], grant.id.to_string());
        assert_eq!(row["note"], *grant.note);
        assert_eq!(row["valid_until"], grant.rights.not_after.to_string());
        assert_eq!(row["sessions"], grant.sessions);
        assert!(row["kinds"].is_array() && row["valid_from"].is_null(), "{row}");
    }

    struct Full;
    impl io::Write for Full {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(io::ErrorKind::StorageFull.into())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let refused = office.grants().live().export(TableFormat::Csv, &mut Full);
    assert!(matches!(refused, Err(Error::Output(_))), "{refused:?}");
}

#[test]
fn nothing_with_which_a_token_could_be_used_is_kept_and_nothing_of_it_is_readable_at_rest() {
    let (house, vault) = House::create();
    let office = house.session(&vault);
    let token = grant_for(&house, "n.adu").sign(&house.issuer, vault.id()).unwrap();
    office.grants().register(&token, "readable note").unwrap();
    vault.session(&token, Purpose::Treatment).unwrap();
    vault.close().unwrap();
    let bytes = token.expose_bytes();
    let seed = &bytes[bytes.len() - 32..];
    for file in files_in(&house.path()).iter().filter(|file| file.file_name().is_some_and(|name| name != "lock")) {
        let stored = std::fs::read(house.path().join(file)).unwrap();
        for part in [seed, &b"readable note"[..], token.id().as_bytes()] {
            assert!(!stored.windows(part.len()).any(|window| window == part), "{}", file.display());
        }
    }
}

#[test]
fn grants_of_somebody_who_is_disabled_are_not_live_until_they_are_enabled() {
    let (house, vault) = House::create();
    let office = house.session(&vault);
    let token = grant_for(&house, "n.adu").sign(&house.issuer, vault.id()).unwrap();
    let registered = office.grants().register(&token, "").unwrap();
    assert_eq!(registered.name, None);
    office.principals().enrol("n.adu", NewPrincipal::new()).unwrap();
    assert_eq!(office.grants().get(token.id()).unwrap().name.as_deref(), Some("n.adu"));
    let states = || (office.grants().get(token.id()).unwrap().state, ids(&office.grants().live().page().unwrap()));
    office.principals().disable("n.adu", "on leave").unwrap();
    let (state, live) = states();
    assert!(state == GrantState::Disabled && !live.contains(&token.id()));
    office.principals().enable("n.adu").unwrap();
    let (state, live) = states();
    assert!(state == GrantState::Live && live.contains(&token.id()));
}
