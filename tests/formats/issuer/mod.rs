//! An issuer in another language, `tests/interop/issue_token.py`, written from docs/format/token.md alone: its tokens
//! open sessions and allow what they say, its narrowed ones allow less, and its malformed ones are refused for what is
//! wrong with them. It shows that tokens can be issued, narrowed and proven without this crate.
//!
//! Skipped with a printed line where Python 3 or its package `cryptography` is missing.

mod beside;
mod handed_on;
mod longest;
mod malformed;
mod orders;
use crate::people;
use crate::support;
mod worked;

use std::time::Duration;

use chartvault::*;
use orders::{block, can_run, everything, run, widening, with};
use serde_json::{Value, json};
use support::{Allergy, House, Note, note, whole_log};

/// A vault with two charts, and what is in them.
struct Clinic {
    house: House,
    vault: Vault,
    office: Session,
    start: u64,
    ama: PatientId,
    note: RecordId<Note>,
    restricted: RecordId<Note>,
    allergy: RecordId<Allergy>,
    of_ben: RecordId<Note>,
}

impl Clinic {
    fn new() -> Self {
        let (house, vault) = House::create();
        let office = house.session(&vault);
        let [ama, ben] = [(); 2].map(|()| office.register_patient([]).unwrap());
        let restricted = PutOptions::new().confidentiality(Confidentiality::Restricted);
        Self {
            start: u64::try_from(house.clock.now().as_micros() / 1_000_000).unwrap(),
            ama,
            note: office.put(ama, &note("a")).unwrap(),
            restricted: office.put_with(ama, &note("b"), restricted).unwrap(),
            allergy: office.put(ama, &Allergy { substance: "nuts".into() }).unwrap(),
            of_ben: office.put(ben, &note("c")).unwrap(),
            office,
            house,
            vault,
        }
    }

    /// An order for a token of this clinic's issuer.
    fn issue(&self, blocks: &[Value]) -> Value {
        let issuer = orders::hex(&*self.house.issuer.to_secret_bytes());
        json!({ "do": "issue", "issuer": issuer, "vault": orders::hex(self.vault.id().as_bytes()), "blocks": blocks })
    }

    fn session(&self, token: &UnverifiedToken) -> Session {
        self.vault.session(token, Purpose::Treatment).unwrap()
    }

    #[track_caller]
    fn denied<T: std::fmt::Debug>(&self, answer: Result<T, Error>, expected: DenyReason) {
        let Err(Error::Denied { ticket }) = answer else { panic!("{answer:?}") };
        let log = whole_log(&self.office);
        let code = log.iter().find(|entry| entry.ticket == Some(ticket)).unwrap().reason.unwrap();
        assert_eq!(DenyReason::from_code(code), Some(expected));
    }
}

#[track_caller]
fn refused(answer: Result<Session, Error>, expected: DenyReason) {
    assert!(matches!(&answer, Err(Error::SessionRefused(denial)) if denial.reason == expected), "{answer:?}");
}

fn read(text: &str) -> UnverifiedToken {
    UnverifiedToken::from_text(text).unwrap()
}

#[test]
fn a_token_from_another_issuer_allows_everything_that_it_says() {
    if !can_run() {
        return;
    }
    let clinic = Clinic::new();
    let session = clinic.session(&read(&run(&[clinic.issue(&[block(clinic.start, &everything(clinic.start))])])[0]));
    assert_eq!(session.principal(), clinic.office.principal());
    assert_eq!(session.get(clinic.restricted).unwrap().value, note("b"));
    let version = session.get(clinic.note).unwrap().version;
    session.amend(clinic.note, version, &note("amended")).unwrap();
    assert_eq!(session.list::<Note>(clinic.ama).page().unwrap().entries.len(), 2);
    session.void(clinic.of_ben, Version::FIRST, "of somebody else").unwrap();
    let ben = session.register_patient([]).unwrap();
    let own = session.put(ben, &Allergy { substance: "eggs".into() }).unwrap();
    assert_eq!(clinic.office.get(own).unwrap().author, session.principal());
    support::verify(&session);
}

/// What holds of every token in which this item stands, alone or in a narrowing, with or without a widening behind it.
type Holds = fn(&Clinic, &UnverifiedToken);

/// In the order in which the clock stands right for them.
fn items(clinic: &Clinic) -> Vec<(Value, Holds)> {
    let start = clinic.start;
    vec![
        (json!({ "not_before": start + 3_600 }), |clinic, token| {
            let answer = clinic.vault.session(token, Purpose::Treatment);
            assert!(matches!(answer, Err(Error::Token(TokenError::NotYetValid { .. }))), "{answer:?}");
        }),
        (json!({ "not_after": start + 7_200 }), |clinic, token| {
            assert!(clinic.session(token).get(clinic.note).is_ok());
        }),
        (json!({ "actions": ["read", "audit"] }), |clinic, token| {
            let session = clinic.session(token);
            assert!(session.get(clinic.note).is_ok() && session.audit().is_ok());
            clinic.denied(session.put(clinic.ama, &note("d")), DenyReason::Action);
            clinic.denied(session.list::<Note>(clinic.ama).page(), DenyReason::Action);
        }),
        (json!({ "kinds": ["document", "note"] }), |clinic, token| {
            let session = clinic.session(token);
            assert!(session.get(clinic.note).is_ok() && session.get(clinic.of_ben).is_ok());
            clinic.denied(session.get(clinic.allergy), DenyReason::Kind);
        }),
        (json!({ "patients": [orders::hex(clinic.ama.as_bytes())] }), |clinic, token| {
            let session = clinic.session(token);
            assert!(session.get(clinic.note).is_ok() && session.get(clinic.allergy).is_ok());
            clinic.denied(session.get(clinic.of_ben), DenyReason::Patient);
        }),
        (json!({ "purposes": ["HPAYMT", "HLEGAL"] }), |clinic, token| {
            let open = |purpose| clinic.vault.session(token, purpose);
            assert!(open(Purpose::Payment).unwrap().get(clinic.note).is_ok());
            refused(open(Purpose::Treatment), DenyReason::Purpose);
        }),
        (json!({ "sensitivity": "N" }), |clinic, token| {
            let session = clinic.session(token);
            assert!(session.get(clinic.note).is_ok());
            clinic.denied(session.get(clinic.restricted), DenyReason::Sensitivity);
        }),
        (json!({ "max_uses": 2 }), |clinic, token| {
            let session = clinic.session(token);
            assert!(session.get(clinic.note).is_ok() && session.get(clinic.note).is_ok());
            clinic.denied(session.get(clinic.note), DenyReason::Uses);
        }),
        // With which sign-ins they open is told in `beside`.
        (json!({ "sign_in": [1, 60] }), |clinic, token| {
            let answer = clinic.vault.session(token, Purpose::Treatment);
            assert!(matches!(answer, Err(Error::Proof(ProofError::SignInTooLow { level: 1, shown: 0 }))), "{answer:?}");
        }),
        (json!({ "facility": ["ward-4", "ward-3"] }), |clinic, token| {
            let open = |ward: &str| clinic.vault.session_with(token, Purpose::Treatment).facility(ward).open();
            assert!(open("ward-3").unwrap().get(clinic.note).is_ok());
            assert!(open("ward-4").is_ok());
            refused(open("ward-5"), DenyReason::Facility);
            refused(clinic.vault.session(token, Purpose::Treatment), DenyReason::Facility);
        }),
        (json!({ "session": [60, 90] }), |clinic, token| {
            let [idle, used] = [(); 2].map(|()| clinic.session(token));
            clinic.house.clock.step(59);
            assert!(used.get(clinic.note).is_ok());
            clinic.house.clock.step(1);
            assert!(matches!(idle.get(clinic.note), Err(Error::SessionEnded { .. })));
            clinic.house.clock.step(29);
            assert!(used.get(clinic.note).is_ok());
            clinic.house.clock.step(1);
            assert!(matches!(used.get(clinic.note), Err(Error::SessionEnded { .. })));
        }),
    ]
}

#[test]
fn each_item_allows_exactly_what_it_says_in_a_grant_in_a_narrowing_and_under_a_forged_widening() {
    if !can_run() {
        return;
    }
    let clinic = Clinic::new();
    let (start, items) = (clinic.start, items(&clinic));
    let forms = |item: &Value| {
        let all = everything(start);
        let (wide, limited) = (block(start, &all), block(start, &with(all, item.clone())));
        let (narrowing, widening) = (block(start, item), block(start, &widening(start)));
        [
            clinic.issue(std::slice::from_ref(&limited)),
            clinic.issue(&[limited, widening.clone()]),
            clinic.issue(&[wide.clone(), narrowing.clone()]),
            clinic.issue(&[wide, narrowing, widening]),
        ]
    };
    let tokens: Vec<_> = run(&items.iter().flat_map(|(item, _)| forms(item)).collect::<Vec<_>>())
        .iter()
        .map(|text| read(text))
        .collect();
    for (tokens, (item, holds)) in tokens.chunks(4).zip(&items) {
        println!("{item}");
        tokens.iter().for_each(|token| holds(&clinic, token));
    }
    // From the instant on that is named, and up to the one before that is named.
    let at = |seconds: u64| Timestamp::from_micros(i64::try_from(seconds).unwrap() * 1_000_000);
    clinic.house.clock.set(at(start + 3_600));
    tokens[..4].iter().for_each(|token| drop(clinic.session(token).get(clinic.note).unwrap()));
    clinic.house.clock.set(at(start + 7_200));
    clinic.house.clock.step_micros(-1);
    let sessions: Vec<_> = tokens[4..8].iter().map(|token| clinic.session(token)).collect();
    clinic.house.clock.step_micros(1);
    for (token, session) in tokens[4..8].iter().zip(sessions) {
        let answer = clinic.vault.session(token, Purpose::Treatment);
        assert!(matches!(answer, Err(Error::Token(TokenError::Expired { .. }))), "{answer:?}");
        clinic.denied(session.get(clinic.note), DenyReason::Expired);
    }
}

#[test]
fn a_cited_role_bounds_the_grant_at_its_revision() {
    if !can_run() {
        return;
    }
    let clinic = Clinic::new();
    let nurse = Role::new("nurse").kind::<Note>().actions([Action::Read]).purposes([Purpose::Treatment]);
    assert_eq!(clinic.office.roles().define(&nurse).unwrap().revision, 1);
    let citing = |roles: Value| clinic.issue(&[block(clinic.start, &with(everything(clinic.start), roles))]);
    let tokens = run(&[citing(json!({ "roles": [["nurse", 1]] })), citing(json!({ "roles": [["midwife", 1]] }))]);
    let ward = clinic.session(&read(&tokens[0]));
    assert!(ward.get(clinic.note).is_ok());
    clinic.denied(ward.get(clinic.allergy), DenyReason::Role);
    clinic.denied(ward.put(clinic.ama, &note("d")), DenyReason::Role);
    refused(clinic.vault.session(read(&tokens[1]), Purpose::Treatment), DenyReason::RoleUnknown);
    clinic.office.roles().define(&nurse.actions([Action::List])).unwrap();
    clinic.denied(ward.get(clinic.note), DenyReason::RoleChanged);
}

#[test]
fn no_more_blocks_follow_than_each_allows() {
    if !can_run() {
        return;
    }
    let clinic = Clinic::new();
    let start = clinic.start;
    let depth = |most: u8| block(start, &with(everything(start), json!({ "max_depth": most })));
    let later = |most: u8| block(start, &json!({ "max_depth": most }));
    let none = || block(start, &json!({}));
    let eight: Vec<Value> = std::iter::once(depth(7)).chain((0..7).map(|_| later(7))).collect();
    let (fits, deep) = (
        [clinic.issue(&[depth(0)]), clinic.issue(&[depth(2), later(1), none()]), clinic.issue(&eight)],
        [clinic.issue(&[depth(0), later(7)]), clinic.issue(&[depth(7), none(), later(0), none()])],
    );
    let texts = run(&[&fits[..], &deep[..]].concat());
    texts[..3].iter().for_each(|text| drop(clinic.session(&read(text)).get(clinic.note).unwrap()));
    for (text, limits) in texts[3..].iter().zip([0, 2]) {
        let answer = clinic.vault.session(read(text), Purpose::Treatment);
        assert!(matches!(answer, Err(Error::Token(TokenError::TooDeep { block })) if block == limits), "{answer:?}");
    }
}

#[test]
fn an_emergency_gives_what_every_block_says_of_it() {
    if !can_run() {
        return;
    }
    let clinic = Clinic::new();
    let start = clinic.start;
    let usual = json!({ "actions": ["list"], "sensitivity": "N", "emergency": [["read"], "R", 900] });
    let grant = block(start, &with(everything(start), usual));
    let shorter = block(start, &json!({ "emergency": [["read"], "N", 60] }));
    let wide = with(widening(start), json!({ "emergency": [["read", "create", "void"], "V", u32::MAX] }));
    let texts = run(&[
        clinic.issue(std::slice::from_ref(&grant)),
        clinic.issue(&[grant.clone(), block(start, &wide)]),
        clinic.issue(&[grant.clone(), shorter]),
        clinic.issue(&[grant, block(start, &json!({}))]),
    ]);
    let sessions: Vec<_> = texts.iter().map(|text| clinic.session(&read(text))).collect();
    sessions.iter().for_each(|session| clinic.denied(session.get(clinic.note), DenyReason::Action));
    let urgent = |session: &Session| session.break_glass(clinic.ama, EmergencyReason::PatientInDanger, "found so");
    assert!(matches!(urgent(&sessions[3]), Err(Error::Denied { .. })), "a block that says none takes it away");
    let urgent: Vec<_> = sessions[..3].iter().map(|session| urgent(session).unwrap()).collect();
    for session in &urgent[..2] {
        assert!(session.get(clinic.note).is_ok() && session.get(clinic.restricted).is_ok());
    }
    assert!(urgent[2].get(clinic.note).is_ok() && urgent[2].get(clinic.restricted).is_err());
    for session in &urgent {
        assert!(matches!(session.get(clinic.of_ben), Err(Error::Denied { .. })), "one patient");
        assert!(matches!(session.put(clinic.ama, &note("d")), Err(Error::Denied { .. })), "reading alone");
    }
    let ended = |session: &Session| matches!(session.get(clinic.note), Err(Error::SessionEnded { .. }));
    clinic.house.clock.step(60);
    assert_eq!(urgent.iter().map(ended).collect::<Vec<_>>(), [false, false, true]);
    clinic.house.clock.advance(Duration::from_secs(840));
    assert!(urgent.iter().all(ended));
}

/// Python's own mistakes are refused by Python: it does not sort twice what stands twice, or prove without a key.
#[test]
fn the_issuer_refuses_orders_that_make_no_token() {
    if !can_run() {
        return;
    }
    let clinic = Clinic::new();
    let items = |changed: Value| clinic.issue(&[block(clinic.start, &with(everything(clinic.start), changed))]);
    let none: [String; 0] = [];
    for (at, order) in [
        items(json!({ "kinds": none })),
        items(json!({ "kinds": ["note", "note"] })),
        items(json!({ "roles": [["nurse", 1], ["nurse", 2]] })),
        items(json!({ "sensitivity": "X" })),
        items(json!({ "colour": "red" })),
        json!({ "do": "narrow", "token": "cvt1_Q1ZUMQ==", "blocks": [] }),
        json!({ "do": "forge" }),
    ]
    .into_iter()
    .enumerate()
    {
        let complaint = orders::try_run(&[json!({ "do": "key", "of": "holder" }), order]).unwrap_err();
        assert!(complaint.starts_with("issue_token: order 1 cannot be carried out"), "{at}: {complaint}");
    }
}
