//! The form of a token: one per token, and nothing that is not exactly it is read.

use super::*;
use crate::token::{MAX_TEXT_LEN, MAX_TOKEN_LEN};
use proptest::collection::{btree_set, vec};
use proptest::prelude::*;

fn ids() -> impl Strategy<Value = Vec<[u8; 16]>> {
    btree_set(any::<[u8; 16]>(), 1..=16).prop_map(|ids| ids.into_iter().collect())
}

fn scope<T: Clone + std::fmt::Debug>(make: fn([u8; 16]) -> T) -> impl Strategy<Value = Scope<T>> {
    prop_oneof![Just(Scope::All), ids().prop_map(move |ids| Scope::Only(ids.into_iter().map(make).collect())),]
}

fn level() -> impl Strategy<Value = Confidentiality> {
    proptest::sample::select(Confidentiality::ALL)
}

/// Every item there is, with any value.
fn items() -> impl Strategy<Value = Vec<Item>> {
    let when = (any::<u64>(), any::<u64>()).prop_map(|(from, end)| vec![Item::NotBefore(from), Item::NotAfter(end)]);
    let what = (1..=0x7FF_u32, scope(KindId::from_bytes), scope(PatientId::from_bytes), 1..=0xFFF_u32, level())
        .prop_map(|(actions, kinds, patients, purposes, level)| {
            vec![
                Item::Actions(actions),
                Item::Kinds(kinds),
                Item::Patients(patients),
                Item::Purposes(purposes),
                Item::Sensitivity(level),
            ]
        });
    let bounds = (1..=u32::MAX, 0..=7_u8, any::<u8>(), any::<u32>(), any::<[u8; 32]>(), 1..=u32::MAX, 1..=u32::MAX)
        .prop_map(|(uses, depth, level, oldest, device, idle, longest)| {
            vec![
                Item::MaxUses(uses),
                Item::MaxDepth(depth),
                Item::Mfa { level, oldest },
                Item::Device(device),
                Item::Session { idle, longest },
            ]
        });
    let rest =
        (ids(), any::<u16>(), any::<u32>(), ids(), level()).prop_map(|(attesters, claim, oldest, places, level)| {
            let wanted = attesters.into_iter().take(4).map(|attester| Wanted { attester, claim, oldest }).collect();
            let emergency = Item::Emergency { actions: 1, sensitivity: level, longest: 900 };
            vec![
                Item::Attestations(wanted),
                Item::Facility(places.into_iter().map(FacilityId::from_bytes).collect()),
                emergency,
            ]
        });
    let grant =
        (any::<[u8; 16]>(), btree_set(any::<[u8; 16]>(), 1..=8), any::<u32>()).prop_map(|(id, roles, revision)| {
            let roles = roles.into_iter().map(|id| CitedRole { id: RoleId::from_bytes(id), revision }).collect();
            vec![Item::Subject(PrincipalId::from_bytes(id)), Item::Roles(roles)]
        });
    (grant, when, what, bounds, rest).prop_map(|(a, b, c, d, e)| [a, b, c, d, e].concat())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn what_was_written_is_read_back(
        items in items(),
        nonce: [u8; 16],
        issued_at: u64,
        keep in vec(any::<bool>(), 15),
    ) {
        prop_assert_eq!(items.len(), Caveat::ALL.len());
        let kept = items[2..].iter().zip(keep).filter(|(_, keep)| *keep);
        let further: Vec<Item> = kept.map(|(item, _)| item.clone()).collect();
        let bodies = (Body::new(0, nonce, issued_at, items.clone()), Body::new(1, nonce, issued_at, further.clone()));
        let (Ok(grant), Ok(narrowing)) = bodies else { return Ok(()) };
        let block = |body| Block { body, next_public: [1; 32], signature: [2; 64] };
        for proof in [Proof::Open(Secret::take(&mut [3; 32])), Proof::Sealed([4; 64]), Proof::Bound] {
            let blocks = vec![block(grant.clone()), block(narrowing.clone())];
            let token = Wire { vault: VAULT, issuer: issuer().public().id(), blocks, proof };
            let bytes = token.to_bytes();
            prop_assert_eq!((bytes.len(), bytes.capacity()), (token.len(), token.len()));
            let Ok(again) = Wire::parse(&bytes) else { return Err(TestCaseError::fail("not read")) };
            prop_assert_eq!(again.blocks[0].body.items(), &items[..]);
            prop_assert_eq!(again.blocks[1].body.items(), &further[..]);
            prop_assert_eq!(again.blocks[0].body.issued_at(), issued_at);
            prop_assert_eq!(&again.to_bytes()[..], &bytes[..]);
            prop_assert_eq!(&wire::from_text(&wire::to_text(&bytes)).unwrap()[..], &bytes[..]);
        }
    }

    #[test]
    fn any_bytes_are_read_or_refused(bytes in vec(any::<u8>(), 0..400), at in 0..400_usize) {
        let _ = UnverifiedToken::from_bytes(&bytes);
        let mut token = Raw::new().then(&[]).bytes();
        for (to, from) in token.iter_mut().skip(at).zip(&bytes) {
            *to = *from;
        }
        if let Ok(read) = UnverifiedToken::from_bytes(&token) {
            prop_assert_eq!(&read.wire().to_bytes()[..], &token[..]);
        }
    }

    #[test]
    fn any_text_is_read_or_refused(text in "(cvt1_)?[A-Za-z0-9_-]{0,60}.?") {
        prop_assert!(UnverifiedToken::from_text(&text).is_err());
    }
}

/// A token of three blocks with every item that can be decided.
fn sample() -> Vec<u8> {
    let grant = narrow().not_before(NOW).idle(Duration::from_secs(300)).longest(HOUR);
    let token = signed(&grant).attenuate().issued_at(NOW).sensitivity(Confidentiality::Low).finish().unwrap();
    token.attenuate().issued_at(NOW).max_depth(0).finish().unwrap().expose_bytes().to_vec()
}

#[test]
fn every_flipped_bit_is_refused() {
    let bytes = sample();
    assert!(accept(&bytes).is_ok());
    for bit in 0..bytes.len() * 8 {
        let mut bad = bytes.clone();
        bad[bit / 8] ^= 1 << (bit % 8);
        assert!(accept(&bad).is_err(), "bit {bit}");
    }
}

#[test]
fn every_cut_and_every_extension_is_refused() {
    let bytes = sample();
    for len in 0..bytes.len() {
        assert!(UnverifiedToken::from_bytes(&bytes[..len]).is_err(), "length {len}");
    }
    for more in 0..=u8::MAX {
        let longer = [&bytes[..], &[more]].concat();
        assert_eq!(accept(&longer).err(), Some(TokenError::WrongLength));
    }
    let text = wire::to_text(&bytes);
    assert!(UnverifiedToken::from_text(&text).is_ok());
    for len in 0..text.len() {
        assert!(UnverifiedToken::from_text(&text[..len]).is_err(), "length {len}");
    }
}

#[test]
fn text_has_one_form() {
    let text = wire::to_text(&sample()).to_string();
    assert!(text.parse::<UnverifiedToken>().is_ok() && text.parse::<Token>().is_ok());
    let encoded = text.strip_prefix("cvt1_").unwrap();
    for wrong in [
        format!("{text}="),
        format!("{text}\n"),
        format!(" {text}"),
        format!("CVT1_{encoded}"),
        format!("cvt2_{encoded}"),
        encoded.to_owned(),
        text.replacen(&encoded[..4], &format!("{}\n", &encoded[..4]), 1),
        text.replacen(&encoded[..1], "+", 1),
    ] {
        assert_eq!(UnverifiedToken::from_text(&wrong).err(), Some(TokenError::NotText), "{wrong}");
    }
    // One byte is two characters, the second of which carries four bits that must be zero.
    assert_eq!(UnverifiedToken::from_text("cvt1_Qw").err(), Some(TokenError::NotCvt1));
    assert_eq!(UnverifiedToken::from_text("cvt1_Qx").err(), Some(TokenError::NotText));
}

#[test]
fn a_token_of_4096_bytes_is_read_and_one_of_4097_is_not() {
    let full = Raw::of_len(MAX_TOKEN_LEN).bytes();
    assert!(accept(&full).is_ok());
    let text = wire::to_text(&full).to_string();
    assert_eq!(text.len(), MAX_TEXT_LEN);
    assert!(UnverifiedToken::from_text(&text).is_ok());

    let longer = [&full[..], &[0]].concat();
    let too_long = |found, most| Some(TokenError::TooLong { found, most });
    assert_eq!(UnverifiedToken::from_bytes(&longer).err(), too_long(4097, 4096));
    assert_eq!(UnverifiedToken::from_text(&format!("{text}A")).err(), too_long(5468, 5467));
}

#[test]
fn eight_blocks_are_read_and_none_or_nine_are_not() {
    let eight = (1..8).fold(Raw::new(), |token, _| token.then(&[]));
    assert_eq!(eight.read().unwrap().wire().blocks.len(), 8);
    assert!(accept(&eight.bytes()).is_ok());
    assert_eq!(eight.then(&[]).read().err(), Some(TokenError::BlockCount { found: 9 }));
    assert_eq!(Raw { bodies: Vec::new() }.read().err(), Some(TokenError::BlockCount { found: 0 }));
    let mut many = Raw::new().bytes();
    many[36] = 255;
    assert_eq!(accept(&many).err(), Some(TokenError::BlockCount { found: 255 }));
}

#[test]
fn bodies_of_26_to_1024_bytes_are_read() {
    assert!(Raw::new().then(&[]).read().is_ok(), "26 bytes");
    let fill = |last| vec![(0x13, list(32)), (0x14, list(27)), (0x17, vec![1; 4]), (0x18, vec![0]), (0x1A, last)];
    let body = raw_body(1, &fill(vec![0; 30]));
    assert_eq!(body.len(), 1024, "{}", body.len());
    // Its last item is too short, but its length is not refused.
    let bad_device = TokenError::BadItem { block: 1, caveat: Caveat::Device };
    assert_eq!(Raw::new().then(&fill(vec![0; 30])).read().err(), Some(bad_device));
    for (len, found) in [(25, 25), (1025, 1025), (65_535, 65_535), (0, 0)] {
        let mut token = Raw::new();
        token.bodies.push(vec![1; len]);
        assert_eq!(
            UnverifiedToken::from_bytes(&token.bytes()[..4000.min(token.bytes().len())]).err(),
            Some(TokenError::BodyLength { block: 1, found })
        );
    }
}

#[test]
fn lengths_of_65535_are_refused_without_reading_on() {
    let bytes = Raw::new().bytes();
    let mut body_len = bytes.clone();
    body_len[37..39].copy_from_slice(&[0xFF; 2]);
    assert_eq!(accept(&body_len).err(), Some(TokenError::BodyLength { block: 0, found: 65_535 }));
    let mut item_len = bytes;
    item_len[66..68].copy_from_slice(&[0xFF; 2]);
    assert_eq!(accept(&item_len).err(), Some(TokenError::WrongLength));
}

#[test]
fn twenty_five_items_are_refused_as_such() {
    let with_count = |count| {
        let mut token = Raw::new();
        token.bodies[0][25] = count;
        token.read().err()
    };
    assert_eq!(with_count(25), Some(TokenError::ItemCount { block: 0, found: 25 }));
    assert_eq!(with_count(255), Some(TokenError::ItemCount { block: 0, found: 255 }));
    assert_eq!(with_count(24), Some(TokenError::WrongLength));
    assert_eq!(with_count(7), Some(TokenError::WrongLength));
}

#[test]
fn unknown_tags_are_refused_at_every_depth() {
    let known: Vec<u8> = Caveat::ALL.iter().map(|caveat| caveat.tag()).collect();
    for tag in (0..=u8::MAX).filter(|tag| !known.contains(tag)) {
        for depth in 1..8_u8 {
            let token = (1..depth).fold(Raw::new(), |token, _| token.then(&[])).then(&[(tag, Vec::new())]);
            assert_eq!(token.read().err(), Some(TokenError::UnknownItem { block: depth, tag }));
        }
    }
}

#[test]
fn items_stand_in_order_and_once() {
    let uses = || (0x17, vec![0, 0, 0, 1]);
    let depth = || (0x18, vec![1]);
    assert!(Raw::new().then(&[uses(), depth()]).read().is_ok());
    let order = |caveat| Some(TokenError::ItemOrder { block: 1, caveat });
    assert_eq!(Raw::new().then(&[depth(), uses()]).read().err(), order(Caveat::MaxUses));
    assert_eq!(Raw::new().then(&[depth(), depth()]).read().err(), order(Caveat::MaxDepth));
}

#[test]
fn a_grant_says_all_it_must() {
    assert!(Raw::new().read().is_ok());
    for caveat in Caveat::MANDATORY {
        let items: Vec<RawItem> = raw_grant().into_iter().filter(|(tag, _)| *tag != caveat.tag()).collect();
        assert_eq!(Raw::grant(&items).read().err(), Some(TokenError::MissingItem { caveat }));
    }
}

#[test]
fn subject_and_roles_stand_in_the_grant_only() {
    let roles = [&[1][..], &[1; 16], &[0; 4]].concat();
    for (tag, value, caveat) in [(0x01, vec![1; 16], Caveat::Subject), (0x02, roles, Caveat::Roles)] {
        let token = Raw::new().then(&[(tag, value)]);
        assert_eq!(token.read().err(), Some(TokenError::MisplacedItem { block: 1, caveat }));
    }
}

#[test]
fn the_first_block_grants_and_the_others_narrow() {
    let kind = |block, found| Some(TokenError::BlockKind { block, found });
    assert_eq!(Raw { bodies: vec![raw_body(1, &raw_grant())] }.read().err(), kind(0, 1));
    assert_eq!(Raw { bodies: vec![raw_body(2, &raw_grant())] }.read().err(), kind(0, 2));
    let mut token = Raw::new();
    token.bodies.push(raw_body(0, &raw_grant()));
    assert_eq!(token.read().err(), kind(1, 0));
}

/// Each value that no item has; the good values beside them show that the bad part is what is refused.
#[test]
fn values_that_do_not_exist_are_refused() {
    let number = |number: u32| number.to_be_bytes().to_vec();
    let roles = |ids: &[u8]| ids.iter().fold(vec![ids.len() as u8], |v, id| [&v[..], &[*id; 16], &[0; 4]].concat());
    let wanted = |ids: &[u8]| ids.iter().fold(vec![ids.len() as u8], |v, id| [&v[..], &[*id; 22]].concat());
    let places = |ids: &[u8]| ids.iter().fold(vec![ids.len() as u8], |v, id| [&v[..], &[*id; 16]].concat());
    let many: Vec<u8> = (1..=33).collect();
    let unsorted = [&[1, 2][..], &[2; 16], &[1; 16]].concat();
    let twice = [&[1, 2][..], &[2; 16], &[2; 16]].concat();
    let emergency =
        |actions: u32, level, longest: u32| [&actions.to_be_bytes()[..], &[level], &longest.to_be_bytes()].concat();
    let session = |idle: u32, longest: u32| [idle.to_be_bytes(), longest.to_be_bytes()].concat();
    let scopes_good = vec![vec![0], list(1), list(32)];
    let scopes_bad = || {
        vec![vec![], vec![2], vec![0, 0], vec![1, 0], vec![1], list(33), unsorted.clone(), twice.clone(), vec![1, 1]]
    };
    type Values = Vec<Vec<u8>>;
    let all: Vec<(Caveat, Values, Values)> = vec![
        (Caveat::NotBefore, vec![vec![0; 8], vec![255; 8]], vec![]),
        (Caveat::NotAfter, vec![vec![0; 8], vec![255; 8]], vec![]),
        (Caveat::Actions, vec![number(1), number(0x7FF)], vec![number(0), number(0x800), number(0x8000_0001)]),
        (Caveat::Kinds, scopes_good.clone(), scopes_bad()),
        (Caveat::Patients, scopes_good, scopes_bad()),
        (Caveat::Purposes, vec![number(1), number(0xFFF)], vec![number(0), number(0x1000), number(0x8000_0001)]),
        (Caveat::Sensitivity, vec![vec![0], vec![5]], vec![vec![6], vec![255]]),
        (Caveat::MaxUses, vec![number(1), number(u32::MAX)], vec![number(0)]),
        (Caveat::MaxDepth, vec![vec![0], vec![7]], vec![vec![8], vec![255]]),
        (Caveat::Mfa, vec![vec![0; 5], vec![255; 5]], vec![]),
        (Caveat::Device, vec![vec![0; 32]], vec![]),
        (Caveat::Session, vec![session(1, 1), session(u32::MAX, u32::MAX)], vec![session(0, 1), session(1, 0)]),
        (
            Caveat::Attestations,
            vec![wanted(&[1]), wanted(&[1, 2, 3, 4])],
            vec![wanted(&[]), wanted(&[1, 1]), wanted(&[2, 1]), wanted(&many[..5])],
        ),
        (
            Caveat::Facility,
            vec![places(&[1]), places(&many[..16])],
            vec![places(&[]), places(&[1, 1]), places(&[2, 1]), places(&many[..17])],
        ),
        (
            Caveat::Emergency,
            vec![emergency(1, 5, 1), emergency(0x7FF, 0, 1)],
            vec![emergency(0, 5, 1), emergency(0x800, 5, 1), emergency(1, 6, 1), emergency(1, 5, 0)],
        ),
    ];
    assert_eq!(all.len() + 2, Caveat::ALL.len());
    for (caveat, good, mut bad) in all {
        // One byte less and one more than a good value.
        bad.extend(good.iter().map(|value| value[1..].to_vec()));
        bad.extend(good.iter().map(|value| value[..value.len() - 1].to_vec()));
        bad.extend(good.iter().map(|value| [&value[..], &[0]].concat()));
        for value in good {
            assert!(Raw::new().then(&[(caveat.tag(), value.clone())]).read().is_ok(), "{caveat}: {value:?}");
        }
        for value in bad {
            let refused = Raw::new().then(&[(caveat.tag(), value.clone())]).read().err();
            assert_eq!(refused, Some(TokenError::BadItem { block: 1, caveat }), "{caveat}: {value:?}");
        }
    }
    let with_roles =
        |value| Raw::grant(&[&raw_grant()[..1], &[(0x02, value)], &raw_grant()[1..]].concat()).read().err();
    assert_eq!(with_roles(roles(&many[..8])), None);
    for value in [roles(&many[..9]), roles(&[]), roles(&[1, 1]), roles(&[2, 1]), vec![1; 20], vec![1; 22]] {
        assert_eq!(with_roles(value), Some(TokenError::BadItem { block: 0, caveat: Caveat::Roles }));
    }
}

#[test]
fn sealed_and_bound_tokens_are_read_and_accepted_with_their_own_proof_only() {
    let open = Raw::new().bytes();
    let body = &open[..open.len() - 33];
    let sealed = [body, &[2], &[0; 64]].concat();
    let bound = [body, &[3]].concat();
    assert_eq!(accept(&sealed).err(), Some(TokenError::BadProof));
    assert_eq!(admit(accept(&bound).unwrap(), &Shown::default()).err(), Some(ProofError::PossessionMissing));
    for bytes in [sealed, bound] {
        let token = UnverifiedToken::from_bytes(&bytes).unwrap();
        assert_eq!(&token.wire().to_bytes()[..], &bytes[..]);
        assert_eq!(Token::try_from(token).err(), Some(TokenError::NotOpen));
    }
    for found in [0, 4, 255] {
        let unknown = [body, &[found], &[0; 32]].concat();
        assert_eq!(accept(&unknown).err(), Some(TokenError::UnknownProof { found }));
    }
    for wrong in [[body, &[1], &[0; 31]].concat(), [body, &[2], &[0; 63]].concat(), [body, &[3, 0]].concat()] {
        assert_eq!(accept(&wrong).err(), Some(TokenError::WrongLength));
    }
}

#[test]
fn bytes_that_are_no_token_are_called_so() {
    for bytes in [&b""[..], b"CVT", b"CVT2", b"cvt1_"] {
        assert_eq!(UnverifiedToken::from_bytes(bytes).err(), Some(TokenError::NotCvt1));
    }
}

#[test]
fn debug_and_errors_show_no_proof_and_no_patient() {
    let token = signed(&narrow());
    let text = token.expose_text();
    let secret = data_encoding::HEXLOWER.encode(token.holder().seed().expose());
    let unverified = UnverifiedToken::from_text(&text).unwrap();
    let attenuation = format!("{:?}", token.attenuate());
    let verified = format!("{:?}", verify(&unverified).unwrap());
    for shown in [format!("{token:?}"), format!("{unverified:?}"), attenuation, verified] {
        assert!(!shown.contains(&secret) && !shown.contains(&text[40..]), "{shown}");
    }
    for shown in [format!("{token:?}"), format!("{unverified:?}")] {
        assert!(!shown.contains(&AMA.to_string()) && shown.contains("redacted"), "{shown}");
    }
}
