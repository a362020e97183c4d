//! No block widens what stands before it: not when built, and not when forged.

use super::*;
use crate::token::attenuate::{AttenuateError, Attenuation};
use proptest::prelude::*;

const LATE: Timestamp = second(NOW_SECONDS + 5000);

/// What one block says in these tests, with `behind` blocks allowed behind it.
fn tight(behind: u8) -> Vec<Item> {
    vec![
        Item::NotBefore(NOW_SECONDS),
        Item::NotAfter(NOW_SECONDS + 3600),
        Item::Actions(Action::Read.bit() | Action::List.bit()),
        Item::Kinds(Scope::Only(vec![kdf::kind_id("note")])),
        Item::Patients(Scope::Only(vec![AMA])),
        Item::Purposes(Purpose::Treatment.bit() | Purpose::Payment.bit()),
        Item::Sensitivity(Confidentiality::Normal),
        Item::MaxDepth(behind),
        Item::Session { idle: 300, longest: 3600 },
    ]
}

/// A wide grant, with [`tight`] in one of its blocks, as many as `blocks` in all.
fn tight_at(place: u8, blocks: u8) -> Token {
    let mut token = signed(&wide().valid_for(Duration::from_secs(9000)));
    if place == 0 {
        let body =
            Body::new(0, [0; 16], NOW_SECONDS, [tight(7), vec![Item::Subject(kdf::principal_id("dr.osei"))]].concat());
        let (body, holder, kid) = (body.unwrap(), seed(0x50), issuer().public().id());
        let next_public = holder.public();
        let signature = seed(ISSUER_SEED[0]).sign(&Chain::start(VAULT, kid).message(&body, &next_public));
        token = Token::new(VAULT, kid, vec![Block { body, next_public, signature }], holder);
    }
    for block in 1..blocks {
        token = append(&token, if block == place { tight(7 - place) } else { Vec::new() });
    }
    token
}

/// Every place a limit can stand at, before every depth a wider block can come at.
fn places() -> impl Iterator<Item = (u8, u8)> {
    (1..8).flat_map(|depth| (0..depth).map(move |place| (place, depth)))
}

#[test]
fn a_wider_block_is_not_built_at_any_depth() {
    type Step = fn(Attenuation<'_>, u8) -> Attenuation<'_>;
    let wider: [(Caveat, Step); 12] = [
        (Caveat::NotBefore, |new, _| new.not_before(second(NOW_SECONDS - 1))),
        (Caveat::NotAfter, |new, _| new.valid_until(second(NOW_SECONDS + 3601))),
        (Caveat::NotAfter, |new, _| new.valid_for(Duration::from_secs(3601))),
        (Caveat::Actions, |new, _| new.actions([Action::Read, Action::Create])),
        (Caveat::Kinds, |new, _| new.kind_named("note").kind_named("allergy")),
        (Caveat::Patients, |new, _| new.patients([AMA, BEN])),
        (Caveat::Purposes, |new, _| new.purposes([Purpose::Treatment, Purpose::Research])),
        (Caveat::Sensitivity, |new, _| new.sensitivity(Confidentiality::Restricted)),
        (Caveat::MaxDepth, |new, depth| new.max_depth(8 - depth)),
        (Caveat::Session, |new, _| new.idle(Duration::from_secs(301))),
        (Caveat::Session, |new, _| new.longest(Duration::from_secs(3601))),
        (Caveat::Session, |new, _| new.idle(Duration::MAX)),
    ];
    for (place, depth) in places() {
        let token = tight_at(place, depth);
        for (caveat, widen) in &wider {
            let refused = widen(token.attenuate().issued_at(NOW), depth).finish();
            assert_eq!(
                refused.err(),
                Some(AttenuateError::Widening { caveat: *caveat }),
                "limit at {place}, {depth} deep"
            );
        }
    }
}

#[test]
fn an_equal_or_narrower_block_is_built_at_every_depth() {
    for (place, depth) in places() {
        let token = tight_at(place, depth);
        let new = token.attenuate().issued_at(NOW).not_before(NOW).valid_for(HOUR).patient(AMA).kind_named("note");
        let new = new.actions([Action::Read, Action::List]).purposes([Purpose::Treatment, Purpose::Payment]);
        let new = new.sensitivity(Confidentiality::Normal).max_depth(7 - depth);
        let equal = new.idle(Duration::from_secs(300)).longest(HOUR).finish().unwrap();
        assert_eq!(verify(&equal).unwrap().decide(&request()), Ok(()));

        let new =
            token.attenuate().issued_at(NOW).not_before(second(NOW_SECONDS + 1)).valid_until(second(NOW_SECONDS + 2));
        let new =
            new.actions([Action::Read]).purpose(Purpose::Treatment).sensitivity(Confidentiality::Low).max_depth(0);
        let narrower = verify_at(new.idle(Duration::from_secs(1)).finish().unwrap(), second(NOW_SECONDS + 1)).unwrap();
        assert_eq!((narrower.idle(), narrower.longest()), (Some(Duration::from_secs(1)), Some(HOUR)));
        assert_eq!(narrower.not_after(), second(NOW_SECONDS + 2));
    }
}

/// For each item: a wider one, and what it would newly allow.
fn forged() -> Vec<(Item, Request, DenyReason)> {
    let wished = |change: fn(&mut Request)| {
        let mut request = request();
        change(&mut request);
        request
    };
    vec![
        (Item::NotBefore(0), wished(|r| r.now = second(NOW_SECONDS - 1)), DenyReason::NotYetValid),
        (Item::NotAfter(u64::MAX), wished(|r| r.now = LATE), DenyReason::Expired),
        (Item::Actions(0x7FF), wished(|r| r.action = Action::Create), DenyReason::Action),
        (Item::Kinds(Scope::All), wished(|r| r.kind = Reach::One(kdf::kind_id("allergy"))), DenyReason::Kind),
        (Item::Kinds(Scope::All), wished(|r| r.kind = Reach::Whole), DenyReason::Kind),
        (Item::Patients(Scope::All), wished(|r| r.patient = Reach::One(BEN)), DenyReason::Patient),
        (Item::Patients(Scope::All), wished(|r| r.patient = Reach::Whole), DenyReason::Patient),
        (Item::Patients(Scope::All), wished(|r| r.patient = Reach::One(PatientId::FACILITY)), DenyReason::Patient),
        (Item::Patients(Scope::Only(vec![AMA, BEN])), wished(|r| r.patient = Reach::One(BEN)), DenyReason::Patient),
        (Item::Purposes(0xFFF), wished(|r| r.purpose = Purpose::Research), DenyReason::Purpose),
        (
            Item::Sensitivity(Confidentiality::VeryRestricted),
            wished(|r| r.confidentiality = Some(Confidentiality::Restricted)),
            DenyReason::Sensitivity,
        ),
    ]
}

#[test]
fn a_forged_wider_block_is_harmless_at_every_depth() {
    for (place, depth) in places() {
        let parent = tight_at(place, depth);
        let token = append(&parent, forged().into_iter().map(|(item, ..)| item).fold(Vec::new(), one_of_each));
        let verified = verify(&token).unwrap();
        for (_, wished, reason) in forged() {
            let denial = verified.decide(&wished).unwrap_err();
            assert_eq!((denial.block, denial.reason), (place, reason), "limit at {place}, {depth} deep");
        }
        assert_eq!(verified.decide(&request()), Ok(()));
        assert_eq!(
            verify_at(&token, LATE).err(),
            Some(TokenError::Expired { block: place, end: second(NOW_SECONDS + 3600) })
        );
    }
}

fn one_of_each(mut items: Vec<Item>, item: Item) -> Vec<Item> {
    if items.iter().all(|other| other.caveat() != item.caveat()) {
        items.push(item);
    }
    items
}

#[test]
fn a_forged_longer_session_is_harmless_at_every_depth() {
    for (place, depth) in places() {
        let token = append(&tight_at(place, depth), vec![Item::Session { idle: u32::MAX, longest: u32::MAX }]);
        let verified = verify(&token).unwrap();
        assert_eq!((verified.idle(), verified.longest()), (Some(Duration::from_secs(300)), Some(HOUR)));
    }
}

#[test]
fn a_forged_greater_depth_is_harmless_at_every_depth() {
    for limit in 0..7 {
        let full = deepen(signed(&narrow().max_depth(limit)), usize::from(limit));
        assert!(verify(&full).is_ok());
        assert_eq!(full.attenuate().issued_at(NOW).finish().err(), Some(AttenuateError::TooDeep { block: 0 }));
        let token = append(&full, vec![Item::MaxDepth(7)]);
        assert_eq!(verify(&token).err(), Some(TokenError::TooDeep { block: 0 }), "limit {limit}");
    }
    assert_eq!(deepen(signed(&narrow()), 7).attenuate().finish().err(), Some(AttenuateError::TooDeep { block: 0 }));
}

#[test]
fn expiry_is_exact_at_every_depth() {
    let end = NOW_SECONDS + 100;
    for blocks in 1..=8_u8 {
        for place in 0..blocks {
            let grant = if place == 0 { wide().valid_until(second(end)) } else { wide() };
            let token = (1..blocks).fold(signed(&grant), |token, block| {
                append(&token, if block == place { vec![Item::NotAfter(end)] } else { Vec::new() })
            });
            let last = Timestamp::from_micros(second(end).as_micros() - 1);
            let verified = verify_at(&token, last).unwrap();
            assert_eq!((verified.not_after(), token.not_after()), (second(end), second(end)));
            assert_eq!(verified.decide(&Request { now: last, ..request() }), Ok(()));
            for now in [second(end), second(end + 1)] {
                let denial = verified.decide(&Request { now, ..request() }).unwrap_err();
                assert_eq!((denial.block, denial.reason), (place, DenyReason::Expired));
            }
            let expired = TokenError::Expired { block: place, end: second(end) };
            assert_eq!(verify_at(&token, second(end)).err(), Some(expired));
        }
    }
}

#[test]
fn the_start_is_exact_at_every_depth() {
    let start = NOW_SECONDS + 100;
    for place in 0..8_u8 {
        let grant = if place == 0 { wide().not_before(second(start)) } else { wide() };
        let token = (1..8).fold(signed(&grant), |token, block| {
            append(&token, if block == place { vec![Item::NotBefore(start)] } else { Vec::new() })
        });
        let early = Timestamp::from_micros(second(start).as_micros() - 1);
        let refused = TokenError::NotYetValid { block: place, from: second(start) };
        assert_eq!(verify_at(&token, early).err(), Some(refused));
        let verified = verify_at(&token, second(start)).unwrap();
        let denial = verified.decide(&Request { now: early, ..request() }).unwrap_err();
        assert_eq!((denial.block, denial.reason), (place, DenyReason::NotYetValid));
    }
}

#[test]
fn items_that_cannot_be_checked_deny_at_every_depth() {
    let items = [Item::Mfa { level: 4, oldest: 60 }];
    for (item, block) in items.iter().flat_map(|item| (1..8).map(move |block| (item, block))) {
        let parent = deepen(signed(&wide()), usize::from(block) - 1);
        assert_eq!(verify(&parent).unwrap().decide(&request()), Ok(()));
        let narrowed = verify(append(&parent, vec![item.clone()])).unwrap();
        let denial = narrowed.decide_opening(Purpose::Treatment, None).unwrap_err();
        assert_eq!((denial.block, denial.reason), (block, DenyReason::Unsupported(item.caveat())));
        assert_eq!(crate::token::decide::decide(narrowed.blocks(), &request()), Err(denial));
    }
}

#[test]
fn an_emergency_gives_nothing_and_takes_nothing() {
    let emergency = Item::Emergency { actions: 0x7FF, sensitivity: Confidentiality::VeryRestricted, longest: 900 };
    let verified = verify(append(&signed(&narrow()), vec![emergency])).unwrap();
    assert_eq!(verified.decide(&request()), Ok(()));
    for (_, wished, reason) in forged().into_iter().filter(|(.., reason)| *reason != DenyReason::NotYetValid) {
        assert_eq!(verified.decide(&wished).unwrap_err().reason, reason);
    }
}

#[test]
fn the_facility_is_reached_with_all_patients_only() {
    let facility = Request { patient: Reach::One(PatientId::FACILITY), ..request() };
    let wide = signed(&wide());
    assert_eq!(verify(&wide).unwrap().decide(&facility), Ok(()));
    let listed = append(&wide, vec![Item::Patients(Scope::Only(vec![PatientId::FACILITY, AMA]))]);
    let verified = verify(&listed).unwrap();
    assert_eq!(verified.decide(&facility).unwrap_err().reason, DenyReason::Patient);
    assert_eq!(verified.decide(&request()), Ok(()));
}

#[test]
fn filtered_operations_are_left_to_the_caller() {
    let verified = verify(signed(&narrow())).unwrap();
    let filtered = Request { kind: Reach::Filtered, patient: Reach::Filtered, confidentiality: None, ..request() };
    assert_eq!(verified.decide(&filtered), Ok(()));
    assert!(verified.decide(&Request { action: Action::Export, ..filtered }).is_err());
    let listed_all = verify(signed(&wide())).unwrap();
    assert_eq!(listed_all.decide(&Request { kind: Reach::Whole, patient: Reach::Whole, ..request() }), Ok(()));
}

#[test]
fn a_verified_token_tells_whose_it_is() {
    let verified = verify(signed(&narrow())).unwrap();
    assert_eq!((verified.subject(), verified.issuer()), (kdf::principal_id("dr.osei"), issuer().public().id()));
    assert_eq!((verified.idle(), verified.longest()), (None, None));
    let named = signed(&narrow().idle(Duration::from_secs(60)));
    let verified = verify(&named).unwrap();
    assert_eq!((verified.idle(), verified.longest()), (Some(Duration::from_secs(60)), None));
    assert_eq!((named.vault(), named.issuer()), (VAULT, issuer().public().id()));
    assert_eq!((named.as_ref().vault(), named.as_ref().issuer()), (VAULT, issuer().public().id()));
}

fn ids() -> impl Strategy<Value = Vec<[u8; 16]>> {
    proptest::collection::btree_set((0..4_u8).prop_map(|id| [id; 16]), 1..4).prop_map(|ids| ids.into_iter().collect())
}

/// Blocks over so few values that limits meet often.
fn block() -> impl Strategy<Value = Vec<Item>> {
    let maybe = |item: BoxedStrategy<Item>| proptest::option::of(item);
    let near = || NOW_SECONDS - 2..NOW_SECONDS + 3;
    let kinds = ids().prop_map(|ids| Item::Kinds(Scope::Only(ids.into_iter().map(KindId::from_bytes).collect())));
    let patients =
        ids().prop_map(|ids| Item::Patients(Scope::Only(ids.into_iter().map(PatientId::from_bytes).collect())));
    let facilities = ids().prop_map(|ids| Item::Facility(ids.into_iter().map(FacilityId::from_bytes).collect()));
    let emergency = (1..8_u32, proptest::sample::select(Confidentiality::ALL))
        .prop_map(|(actions, sensitivity)| Item::Emergency { actions, sensitivity, longest: 60 });
    (
        maybe(near().prop_map(Item::NotBefore).boxed()),
        maybe(near().prop_map(Item::NotAfter).boxed()),
        maybe((1..8_u32).prop_map(Item::Actions).boxed()),
        maybe(prop_oneof![kinds, Just(Item::Kinds(Scope::All))].boxed()),
        maybe(prop_oneof![patients, Just(Item::Patients(Scope::All))].boxed()),
        maybe((1..8_u32).prop_map(Item::Purposes).boxed()),
        maybe(proptest::sample::select(Confidentiality::ALL).prop_map(Item::Sensitivity).boxed()),
        maybe((0..8_u8).prop_map(Item::MaxDepth).boxed()),
        (maybe(facilities.boxed()), maybe(emergency.boxed())),
    )
        .prop_map(|(a, b, c, d, e, f, g, h, (i, j))| [a, b, c, d, e, f, g, h, i, j].into_iter().flatten().collect())
}

fn wish() -> impl Strategy<Value = Request> {
    let one = || (0..4_u8).prop_map(|id| Reach::One([id; 16]));
    let reach = || prop_oneof![8 => one(), 1 => Just(Reach::Whole), 1 => Just(Reach::Filtered)];
    let level = proptest::option::of(proptest::sample::select(Confidentiality::ALL));
    let emergency = proptest::option::of((0..4_u8).prop_map(|id| PatientId::from_bytes([id; 16])));
    (0..3_usize, reach(), reach(), 0..3_usize, level, NOW_SECONDS - 2..NOW_SECONDS + 3, emergency).prop_map(
        |(action, kind, patient, purpose, confidentiality, now, emergency)| Request {
            action: Action::ALL[action],
            kind: map(kind, KindId::from_bytes),
            patient: map(patient, PatientId::from_bytes),
            purpose: Purpose::ALL[purpose],
            confidentiality,
            now: second(now),
            emergency,
        },
    )
}

fn map<T>(reach: Reach<[u8; 16]>, make: fn([u8; 16]) -> T) -> Reach<T> {
    match reach {
        Reach::One(id) => Reach::One(make(id)),
        Reach::Whole => Reach::Whole,
        Reach::Filtered => Reach::Filtered,
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    /// Whatever is appended, the child allows nothing that its parent does not.
    #[test]
    fn effective_rights_are_a_subset_of_the_parents(
        blocks in proptest::collection::vec(block(), 1..8),
        wishes in proptest::collection::vec(wish(), 24),
    ) {
        let all = Item::Emergency { actions: 7, sensitivity: Confidentiality::VeryRestricted, longest: u32::MAX };
        let grant = Body::new(0, [0; 16], NOW_SECONDS, vec![all]).unwrap();
        let mut bodies = vec![grant];
        let mut allowed = vec![true; wishes.len()];
        let opens = |bodies: &[Body], place: u8| {
            let facility = Some(FacilityId::from_bytes([place; 16]));
            crate::token::decide::refusals_at_opening(bodies, Purpose::Treatment, facility).next().is_none()
        };
        let mut open = [true; 4];
        for (number, items) in (1..).zip(blocks) {
            bodies.push(Body::new(number, [0; 16], NOW_SECONDS, items).unwrap());
            for (wish, before) in wishes.iter().zip(&mut allowed) {
                let now = crate::token::decide::decide(&bodies, wish).is_ok();
                prop_assert!(*before || !now, "block {} allows {:?}", number, wish);
                *before = now;
            }
            for (place, before) in (0..).zip(&mut open) {
                let now = opens(&bodies, place);
                prop_assert!(*before || !now, "block {} opens a session in {}", number, place);
                *before = now;
            }
        }
    }

    /// What the library lets a holder build is no wider by itself, either: the new block alone allows nothing that
    /// the blocks before it refuse.
    #[test]
    fn a_built_block_is_within_its_parent(
        first in block(),
        second_block in block(),
        wishes in proptest::collection::vec(wish(), 48),
    ) {
        let parent = append(&signed(&wide().not_before(second(NOW_SECONDS - 10)).valid_for(HOUR)), first.clone());
        if crate::token::attenuate::refuse_widening(parent.wire(), &second_block).is_err() {
            return Ok(());
        }
        let said: Vec<Caveat> = second_block.iter().map(Item::caveat).collect();
        for wish in wishes {
            if second_block.iter().all(|item| item.allows(&wish, 0).is_ok()) {
                for item in first.iter().filter(|item| said.contains(&item.caveat())) {
                    prop_assert_eq!(item.allows(&wish, 1), Ok(()));
                }
            }
        }
    }
}
