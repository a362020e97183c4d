use super::*;
use crate::clock::Timestamp;
use crate::crypto::passphrase::PassphraseCost;
use crate::crypto::pbkdf2::Pbkdf2Iterations;
use crate::format::slot::{MAX_LABEL, Partner, SlotKind, SlotParams};
use proptest::prelude::*;

fn mac() -> HmacKey {
    HmacKey::new(&[9; 32])
}

fn slot(number: u8, params: SlotParams) -> Slot {
    let sealed_root = [&[1][..], &[0x5E; 144]].concat();
    Slot { number, created: Timestamp::from_micros(-5), label: "front desk".into(), params, sealed_root }
}

fn argon2id(cost: PassphraseCost) -> SlotParams {
    SlotParams::Argon2id { cost, salt: [7; 32] }
}

fn two_persons(first: SlotParams, second: SlotParams) -> SlotParams {
    let partner = |label: &str, params| Partner { label: label.into(), params };
    SlotParams::TwoPersons(Box::new([partner("chief", first), partner("deputy", second)]))
}

fn content(slots: Vec<Slot>) -> HeaderContent {
    HeaderContent {
        vault: VaultId::from_bytes([0xA1; 16]),
        generation: 4,
        suites: vec![Suite::Aes256Gcm, Suite::ChaCha20Poly1305],
        slots,
        sealed_keyring: vec![3; 300],
    }
}

fn usual() -> HeaderContent {
    content(vec![
        slot(0, argon2id(PassphraseCost::MINIMUM)),
        slot(2, SlotParams::Pbkdf2 { iterations: Pbkdf2Iterations::MINIMUM, salt: [8; 32] }),
        slot(3, SlotParams::RecoveryKey),
        slot(9, SlotParams::RawKey),
        slot(10, SlotParams::KeyFile),
        slot(11, SlotParams::Provider { name: "hsm".into(), wrapped: vec![0xD0; 60] }),
        slot(12, SlotParams::SharedKey { set: *b"set of", needed: 2, of: 3 }),
        slot(13, two_persons(argon2id(PassphraseCost::MINIMUM), SlotParams::KeyFile)),
    ])
}

/// Someone without any key changes a byte string inside a header and makes the checksum right again.
fn forge(header: &[u8], from: &[u8], to: &[u8]) -> Vec<u8> {
    let body = &header[..header.len() - HASH_LEN];
    let at = body.windows(from.len()).position(|window| window == from).expect("what is to be replaced");
    let mut forged = [&body[..at], to, &body[at + from.len()..]].concat();
    let len = u32::try_from(forged.len() + HASH_LEN).unwrap();
    forged[10..14].copy_from_slice(&len.to_be_bytes());
    let hash = sha256(&[&forged]);
    [&forged[..], &hash].concat()
}

fn bad(field: &'static str, offset: usize) -> HeaderError {
    HeaderError::Malformed(ParseError::BadValue { field, offset })
}

fn any_params() -> impl Strategy<Value = SlotParams> {
    prop_oneof![
        any::<[u8; 32]>().prop_map(|salt| SlotParams::Argon2id { cost: PassphraseCost::default(), salt }),
        (600_000..=10_000_000_u32, any::<[u8; 32]>()).prop_map(|(iterations, salt)| SlotParams::Pbkdf2 {
            iterations: Pbkdf2Iterations::new(iterations).unwrap(),
            salt,
        }),
        Just(SlotParams::RecoveryKey),
        Just(SlotParams::RawKey),
        Just(SlotParams::KeyFile),
        ("[a-z:/]{1,64}", proptest::collection::vec(any::<u8>(), 1..200))
            .prop_map(|(name, wrapped)| SlotParams::Provider { name, wrapped }),
        (any::<[u8; 6]>(), 2..=16_u8).prop_flat_map(|(set, needed)| {
            (needed..=16_u8).prop_map(move |of| SlotParams::SharedKey { set, needed, of })
        }),
        (9u8.., proptest::collection::vec(any::<u8>(), 0..90))
            .prop_map(|(kind, params)| SlotParams::Unsupported { kind, params }),
    ]
}

fn any_slot(number: u8) -> impl Strategy<Value = Slot> {
    let known = || any_params().prop_filter("known", |params| !matches!(params, SlotParams::Unsupported { .. }));
    let both = ("[a-z ]{0,20}", known(), "[a-z ]{0,20}", known()).prop_map(|(label, params, other, second)| {
        SlotParams::TwoPersons(Box::new([Partner { label, params }, Partner { label: other, params: second }]))
    });
    let params = prop_oneof![7 => any_params(), 1 => both];
    (params, any::<i64>(), "[a-zäö ]{0,30}").prop_map(move |(params, created, label)| Slot {
        created: Timestamp::from_micros(created),
        label,
        ..slot(number, params)
    })
}

proptest! {
    #[test]
    fn headers_round_trip(
        numbers in proptest::collection::btree_set(any::<u8>(), 1..8),
        template in proptest::collection::vec(any_slot(0), 8), generation in 1u64..,
    ) {
        let slots = numbers.into_iter().zip(template).map(|(number, slot)| Slot { number, ..slot }).collect();
        let written = HeaderContent { generation, ..content(slots) };
        let bytes = written.encode(&mac()).unwrap();
        let header = UnverifiedHeader::parse(&bytes).unwrap();
        prop_assert_eq!(header.verify(&mac()), Some(&written));
        prop_assert_eq!(header.to_bytes(), bytes.clone());
        prop_assert_eq!(header.verify(&HmacKey::new(&[8; 32])), None);
        let padded = [&bytes[..], &[0; 77]].concat();
        prop_assert_eq!(UnverifiedHeader::parse_padded(&padded), Ok(header));
    }

    #[test]
    fn parsing_any_bytes_with_a_right_checksum_does_not_panic(body in proptest::collection::vec(any::<u8>(), 0..400)) {
        let mut bytes = [&MAGIC[..], &FORMAT.to_be_bytes(), &[0; 4], &body, &[0; MAC_LEN]].concat();
        let len = u32::try_from(bytes.len() + HASH_LEN).unwrap();
        bytes[10..14].copy_from_slice(&len.to_be_bytes());
        let hash = sha256(&[&bytes]);
        bytes.extend_from_slice(&hash);
        let _ = UnverifiedHeader::parse(&bytes);
        let _ = UnverifiedHeader::parse(&body);
        let _ = UnverifiedHeader::parse_padded(&body);
    }
}

#[test]
fn every_flipped_bit_is_damage() {
    let bytes = usual().encode(&mac()).unwrap();
    for bit in 0..bytes.len() * 8 {
        let mut flipped = bytes.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        assert_eq!(UnverifiedHeader::parse(&flipped), Err(HeaderError::Corrupt), "bit {bit}");
        assert_eq!(UnverifiedHeader::parse_padded(&flipped), Err(HeaderError::Corrupt), "bit {bit}");
    }
}

#[test]
fn every_cut_and_every_byte_behind_is_damage() {
    let bytes = usual().encode(&mac()).unwrap();
    for len in 0..bytes.len() {
        assert_eq!(UnverifiedHeader::parse(&bytes[..len]), Err(HeaderError::Corrupt), "length {len}");
        assert_eq!(UnverifiedHeader::parse_padded(&bytes[..len]), Err(HeaderError::Corrupt), "length {len}");
    }
    let remnant = [&bytes[..], &[0, 0, 1]].concat();
    assert_eq!(UnverifiedHeader::parse(&remnant), Err(HeaderError::Corrupt));
    assert_eq!(UnverifiedHeader::parse_padded(&remnant), Err(HeaderError::Corrupt));
}

#[test]
fn every_flipped_bit_under_a_right_checksum_fails_the_mac_or_the_form() {
    let bytes = usual().encode(&mac()).unwrap();
    for bit in 0..(bytes.len() - HASH_LEN) * 8 {
        let mut forged = bytes[..bytes.len() - HASH_LEN].to_vec();
        forged[bit / 8] ^= 1 << (bit % 8);
        let hash = sha256(&[&forged]);
        forged.extend_from_slice(&hash);
        if let Ok(header) = UnverifiedHeader::parse(&forged) {
            assert_eq!(header.verify(&mac()), None, "bit {bit}");
        }
    }
}

#[test]
fn a_newer_format_is_named_whatever_follows() {
    let bytes = usual().encode(&mac()).unwrap();
    let newer = forge(&bytes, b"CVHDR1\0\0\0\x01", b"CVHDR1\0\0\0\x02");
    assert_eq!(UnverifiedHeader::parse(&newer), Err(HeaderError::UnknownFormat { found: 2, newest: 1 }));
    let none = forge(&bytes, b"CVHDR1\0\0\0\x01", b"CVHDR1\0\0\0\0");
    assert_eq!(UnverifiedHeader::parse(&none), Err(bad("format", 8)));
    let other = forge(&bytes, b"CVHDR1", b"CVHDR2");
    assert_eq!(UnverifiedHeader::parse(&other), Err(bad("magic", 0)));
}

#[test]
fn slot_numbers_must_ascend() {
    for numbers in [[1, 1], [2, 1]] {
        let slots = numbers.map(|number| slot(number, SlotParams::RawKey)).to_vec();
        let error = content(slots).encode(&mac()).unwrap_err();
        let second = PREFIX_LEN + 16 + 8 + 3 + 1 + (1 + 1 + 8 + 11 + 2 + 2 + 145);
        assert_eq!(error, bad("slot number", second));
    }
}

#[test]
fn the_thirty_third_slot_is_refused() {
    let slots = |count: u8| content((0..count).map(|number| slot(number, SlotParams::RawKey)).collect());
    let full = slots(32).encode(&mac()).unwrap();
    assert!(UnverifiedHeader::parse(&full).is_ok());
    assert_eq!(slots(33).encode(&mac()), Err(HeaderError::TooManySlots { slots: 33, limit: 32 }));
    assert_eq!(slots(0).encode(&mac()), Err(bad("slots", PREFIX_LEN + 16 + 8 + 3)));
    let forged = forge(&full, &[2, 1, 32, 0, 4], &[2, 1, 33, 0, 4]);
    assert_eq!(UnverifiedHeader::parse(&forged), Err(HeaderError::TooManySlots { slots: 33, limit: 32 }));
}

#[test]
fn argon2_costs_outside_the_bounds_are_refused_before_memory_is_taken() {
    let bytes = content(vec![slot(6, argon2id(PassphraseCost::MINIMUM))]).encode(&mac()).unwrap();
    let params = |m: u32, t: u32, p: u32| [m.to_be_bytes(), t.to_be_bytes(), p.to_be_bytes()].concat();
    let good = params(19 * 1024, 2, 1);
    for (m, t, p) in [(8, 2, 1), (u32::MAX, 2, 1), (19 * 1024, 0, 1), (19 * 1024, 2, 0), (1 << 20, 5, 1)] {
        let refused = UnverifiedHeader::parse(&forge(&bytes, &good, &params(m, t, p)));
        let source = PassphraseCost::new(m, t, p).unwrap_err();
        assert_eq!(refused, Err(HeaderError::SlotCost { slot: 6, source }));
    }
}

#[test]
fn iterations_outside_the_bounds_are_refused_before_any_work() {
    let params = SlotParams::Pbkdf2 { iterations: Pbkdf2Iterations::MINIMUM, salt: [7; 32] };
    let bytes = content(vec![slot(6, params)]).encode(&mac()).unwrap();
    for iterations in [0_u32, 1, 599_999, 10_000_001, u32::MAX] {
        let forged = forge(
            &bytes,
            &[&600_000_u32.to_be_bytes()[..], &[7; 32]].concat(),
            &[&iterations.to_be_bytes()[..], &[7; 32]].concat(),
        );
        let source = Pbkdf2Iterations::new(iterations).unwrap_err();
        assert_eq!(UnverifiedHeader::parse(&forged), Err(HeaderError::SlotIterations { slot: 6, source }));
    }
    let most = SlotParams::Pbkdf2 { iterations: Pbkdf2Iterations::MAXIMUM, salt: [7; 32] };
    let slots = |count: u8| content((0..count).map(|number| slot(number, most.clone())).collect());
    assert!(slots(6).encode(&mac()).is_ok());
    assert_eq!(slots(7).encode(&mac()), Err(HeaderError::TooMuchWork { work: 17_500_000, limit: MAX_WORK }));
}

#[test]
fn the_work_of_all_slots_together_is_bounded() {
    let dear = PassphraseCost::new(1 << 20, 4, 1).unwrap();
    let slots = |count: u8| content((0..count).map(|number| slot(number, argon2id(dear))).collect());
    assert!(slots(4).encode(&mac()).is_ok());
    let work = 5 * 4 * (1 << 20);
    assert_eq!(slots(5).encode(&mac()), Err(HeaderError::TooMuchWork { work, limit: MAX_WORK }));
}

#[test]
fn labels_are_bounded_and_cannot_steer_a_terminal() {
    let labelled = |label: &str| {
        let labelled = Slot { label: label.into(), ..slot(1, SlotParams::RawKey) };
        content(vec![labelled]).encode(&mac())
    };
    let at = PREFIX_LEN + 16 + 8 + 3 + 1 + 10;
    assert!(labelled(&"x".repeat(MAX_LABEL)).is_ok());
    assert_eq!(labelled(&"x".repeat(MAX_LABEL + 1)), Err(bad("slot label", at)));
    assert_eq!(labelled("\u{1b}[2J"), Err(bad("slot label", at)));
    let bytes = labelled("abc").unwrap();
    assert_eq!(UnverifiedHeader::parse(&forge(&bytes, b"abc", b"ab\xFF")), Err(bad("slot label", at)));
}

#[test]
fn slots_of_unknown_kinds_are_kept_and_leave_the_others_alone() {
    let unknown = |kind| Slot {
        sealed_root: vec![1, 2, 3],
        ..slot(kind, SlotParams::Unsupported { kind, params: vec![kind; 9] })
    };
    let written = content(vec![slot(1, SlotParams::RawKey), unknown(9), unknown(77), unknown(255)]);
    let header = UnverifiedHeader::parse(&written.encode(&mac()).unwrap()).unwrap();
    assert_eq!(header.verify(&mac()), Some(&written));
    let kinds: Vec<_> = header.slots().iter().map(Slot::kind).collect();
    let unsupported = [9, 77, 255].map(SlotKind::Unsupported);
    assert_eq!(kinds, [&[SlotKind::RawKey], &unsupported[..]].concat());
    let zero = content(vec![slot(1, SlotParams::Unsupported { kind: 0, params: vec![] })]);
    assert_eq!(zero.encode(&mac()), Err(bad("slot kind", PREFIX_LEN + 16 + 8 + 3 + 1 + 1)));
}

#[test]
fn slots_of_known_kinds_hold_exactly_one_sealed_key() {
    let at = PREFIX_LEN + 16 + 8 + 3 + 1 + 1 + 1 + 8 + 11 + 2;
    for sealed_root in [vec![], vec![1; 144], vec![1; 146], vec![3; 145]] {
        let odd = Slot { sealed_root, ..slot(1, SlotParams::RecoveryKey) };
        assert_eq!(content(vec![odd]).encode(&mac()), Err(bad("slot sealed root key", at)));
    }
    let bytes = content(vec![slot(1, SlotParams::RawKey)]).encode(&mac()).unwrap();
    let with_params = forge(&bytes, b"front desk\0\0", b"front desk\0\x01\0");
    assert_eq!(UnverifiedHeader::parse(&with_params), Err(bad("slot params", at - 2)));
}

#[test]
fn what_a_provider_wrapped_is_bounded_and_so_is_its_name() {
    let with = |name: &str, len| {
        let params = SlotParams::Provider { name: name.into(), wrapped: vec![7; len] };
        content(vec![slot(1, params)]).encode(&mac())
    };
    let (longest, least) = ("n".repeat(64), 1);
    assert!(with(&longest, 4_096).is_ok() && with("n", least).is_ok());
    for (name, len) in [("", 1), (&*"n".repeat(65), 1), ("n\n", 1), ("n", 0), ("n", 4_097)] {
        let refused = with(name, len);
        let params = |error: &ParseError| matches!(error, ParseError::BadValue { field: "slot params", .. });
        assert!(matches!(&refused, Err(HeaderError::Malformed(error)) if params(error)), "{name:?} {len} {refused:?}");
    }
    // Fifteen of the largest fit; a header has 64 KiB.
    let params = SlotParams::Provider { name: "n".into(), wrapped: vec![7; 4_096] };
    let slots = |count: u8| content((0..count).map(|number| slot(number, params.clone())).collect());
    assert!(slots(15).encode(&mac()).is_ok());
    assert!(matches!(slots(16).encode(&mac()), Err(HeaderError::TooLarge { .. })));
}

#[test]
fn a_key_is_not_shared_among_too_many_nor_needs_fewer_than_two() {
    let with = |needed, of| content(vec![slot(1, SlotParams::SharedKey { set: [7; 6], needed, of })]).encode(&mac());
    assert!(with(2, 2).is_ok() && with(16, 16).is_ok());
    for (needed, of) in [(1, 3), (0, 0), (4, 3), (2, 17), (17, 17)] {
        assert!(matches!(with(needed, of), Err(HeaderError::Malformed(_))), "{needed} of {of}");
    }
}

#[test]
fn two_persons_are_two_and_of_kinds_that_stand_by_themselves() {
    let with = |params| content(vec![slot(6, params)]).encode(&mac());
    let bytes = with(two_persons(SlotParams::RawKey, SlotParams::RawKey)).unwrap();
    let both = b"\x04\x05chief\0\0\x04\x06deputy\0\0";
    let first = |kind: u8| [&[kind][..], &both[1..]].concat();
    for kind in [0, 8] {
        let refused = UnverifiedHeader::parse(&forge(&bytes, both, &first(kind)));
        assert!(matches!(refused, Err(HeaderError::Malformed(_))), "{kind} {refused:?}");
    }
    // A kind to come makes the slot one to come.
    let header = UnverifiedHeader::parse(&forge(&bytes, both, &first(9))).unwrap();
    assert_eq!(header.slots()[0].kind(), SlotKind::Unsupported(8));
    // Bounds hold for each of them, and work counts twice, since they are tried in either order.
    let dear = argon2id(PassphraseCost::new(1 << 20, 4, 1).unwrap());
    assert!(with(two_persons(dear.clone(), dear.clone())).is_ok());
    let more = content(vec![slot(6, two_persons(dear.clone(), dear)), slot(7, argon2id(PassphraseCost::MINIMUM))]);
    assert!(matches!(more.encode(&mac()), Err(HeaderError::TooMuchWork { .. })));
    let good = [19_u32 * 1024, 2, 1].map(u32::to_be_bytes).concat();
    let bytes = with(two_persons(SlotParams::RawKey, argon2id(PassphraseCost::MINIMUM))).unwrap();
    let refused = UnverifiedHeader::parse(&forge(&bytes, &good, &[8_u32, 2, 1].map(u32::to_be_bytes).concat()));
    assert!(matches!(refused, Err(HeaderError::SlotCost { slot: 6, .. })), "{refused:?}");
}

#[test]
fn suites_must_be_known_listed_once_and_not_too_many() {
    let with = |suites: &[Suite]| HeaderContent { suites: suites.to_vec(), ..usual() }.encode(&mac());
    assert!(with(&[Suite::ChaCha20Poly1305]).is_ok());
    assert_eq!(with(&[]), Err(bad("suites", 38)));
    assert_eq!(with(&[Suite::Aes256Gcm; 2]), Err(bad("suites", 40)));
    assert_eq!(with(&[Suite::Aes256Gcm; 9]), Err(bad("suites", 38)));
    let bytes = usual().encode(&mac()).unwrap();
    let count = u8::try_from(usual().slots.len()).unwrap();
    let unknown = forge(&bytes, &[2, 2, 1, count, 0], &[2, 2, 7, count, 0]);
    assert_eq!(UnverifiedHeader::parse(&unknown), Err(HeaderError::Malformed(ParseError::UnknownSuite { found: 7 })));
}

#[test]
fn a_header_above_64_kib_is_refused() {
    let sized = |len| HeaderContent { sealed_keyring: vec![0; len], ..usual() }.encode(&mac());
    let fixed = sized(0).unwrap().len();
    assert_eq!(sized(MAX_HEADER - fixed).unwrap().len(), MAX_HEADER);
    let limit = MAX_HEADER;
    assert_eq!(sized(MAX_HEADER - fixed + 1), Err(HeaderError::TooLarge { len: MAX_HEADER + 1, limit }));
    assert!(matches!(sized(70_000), Err(HeaderError::TooLarge { .. })));
    assert_eq!(UnverifiedHeader::parse(&vec![0; MAX_HEADER + 1]), Err(HeaderError::TooLarge { len: limit + 1, limit }));
}

#[test]
fn generation_zero_is_refused() {
    assert_eq!(HeaderContent { generation: 0, ..usual() }.encode(&mac()), Err(bad("generation", 30)));
}
