use proptest::prelude::*;

use super::super::codec::encode;
use super::super::test_types::{Allergy, allergy, documented};
use super::*;

fn typed(value: &[u8]) -> Body<'_> {
    Body {
        kind: kdf::kind_id("allergy"),
        coding: Coding::of::<Allergy>(),
        author: kdf::principal_id("dr.osei"),
        recorded_at: Timestamp::from_micros(1_767_614_400_000_000),
        clinical_time: Some(Timestamp::from_micros(-1)),
        status: Status::Active,
        confidentiality: Confidentiality::Restricted,
        reason: "better known now",
        labels: Labels::new(["minor", "psychotherapy"]).unwrap(),
        value,
    }
}

fn verbatim(value: &[u8]) -> Body<'_> {
    Body {
        coding: Coding::Verbatim,
        clinical_time: None,
        reason: "",
        labels: Labels::NONE,
        status: Status::Voided,
        ..typed(value)
    }
}

fn parsed(bytes: &[u8]) -> Result<Body<'_>, ParseBodyError> {
    Body::parse(bytes)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn bodies_come_back(
        kind: [u8; 16],
        typed in any::<Option<([u8; 8], u16)>>(),
        author: [u8; 16],
        recorded_at: i64,
        clinical_time: Option<i64>,
        voided: bool,
        level in 0_u8..6,
        reason in ".{0,99}",
        labels in proptest::collection::vec(".{1,9}", 0..16),
        value in proptest::collection::vec(any::<u8>(), 0..99),
    ) {
        let body = Body {
            kind: KindId::from_bytes(kind),
            coding: typed.map_or(Coding::Verbatim, |(shape, version)| Coding::Typed { version: version.max(1), shape }),
            author: PrincipalId::from_bytes(author),
            recorded_at: Timestamp::from_micros(recorded_at),
            clinical_time: clinical_time.map(Timestamp::from_micros),
            status: if voided { Status::Voided } else { Status::Active },
            confidentiality: Confidentiality::from_code(level).unwrap(),
            reason: &reason,
            labels: Labels::new(labels).unwrap(),
            value: &value,
        };
        let bytes = body.encode().unwrap();
        prop_assert!(parsed(&bytes) == Ok(body));
    }

    #[test]
    fn any_bytes_give_an_error_or_a_body_of_just_these_bytes(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        if let Ok(body) = parsed(&bytes) {
            prop_assert_eq!(&*body.encode().unwrap(), &bytes);
        }
    }
}

/// No flip and no cut gives a second byte string for the same body, and none does harm.
#[test]
fn there_is_one_byte_string_a_body() {
    for body in [typed(b"value"), verbatim(b"value")] {
        let bytes = body.encode().unwrap();
        let head = bytes.len() - body.value.len();
        for bit in 0..bytes.len() * 8 {
            let mut flipped = bytes.to_vec();
            flipped[bit / 8] ^= 1 << (bit % 8);
            if let Ok(other) = parsed(&flipped) {
                assert!(other != body, "bit {bit}");
                assert_eq!(*other.encode().unwrap(), flipped, "bit {bit}");
            }
        }
        for len in 0..head {
            assert!(parsed(&bytes[..len]).is_err(), "cut to {len}");
        }
        for len in head..bytes.len() {
            assert!(parsed(&bytes[..len]).unwrap() != body, "cut to {len}");
        }
    }
}

#[test]
fn every_malformed_field_is_named() {
    let changed = |at: usize, new: &[u8]| {
        let mut bytes = typed(b"").encode().unwrap().to_vec();
        bytes.splice(at..at + new.len(), new.iter().copied());
        parsed(&bytes).map(|_| ()).unwrap_err()
    };
    let labels_at = FIXED_LEN + "better known now".len();
    assert_eq!(parsed(&[]).map(|_| ()), Err(ParseBodyError::Truncated));
    assert_eq!(changed(16, &[0, 0]), ParseBodyError::Coding);
    assert_eq!(changed(26, &[2]), ParseBodyError::Coding);
    assert_eq!(changed(26, &[3]), ParseBodyError::Codec(3));
    assert_eq!(changed(51, &[0]), ParseBodyError::ClinicalTime);
    assert_eq!(changed(51, &[2]), ParseBodyError::ClinicalTime);
    assert_eq!(changed(60, &[0]), ParseBodyError::Status(0));
    assert_eq!(changed(60, &[3]), ParseBodyError::Status(3));
    assert_eq!(changed(61, &[6]), ParseBodyError::Confidentiality(6));
    assert_eq!(changed(62, &[0xFF, 0xFF]), ParseBodyError::Truncated);
    assert_eq!(changed(FIXED_LEN, &[0xFF]), ParseBodyError::Reason);
    assert_eq!(changed(labels_at, &[17]), ParseBodyError::Labels);
    assert_eq!(changed(labels_at, &[16]), ParseBodyError::Truncated);
    assert_eq!(changed(labels_at + 2, b"z"), ParseBodyError::Labels, "descending");
    assert_eq!(changed(labels_at + 2, &[0xFF]), ParseBodyError::Labels, "not UTF-8");
}

#[test]
fn a_label_twice_or_an_empty_one_is_refused() {
    let head = verbatim(b"").encode().unwrap();
    for labels in [&b"\x02\x01a\x01a"[..], b"\x01\x00", b"\x02\x01b\x01a"] {
        let bytes = [&head[..head.len() - 1], labels].concat();
        assert!(matches!(parsed(&bytes), Err(ParseBodyError::Labels)), "{labels:?}");
    }
}

#[test]
fn limits_hold_at_n_and_not_at_n_plus_1() {
    let reason = "r".repeat(MAX_REASON + 1);
    let value = vec![0; MAX_VALUE + 1];
    let largest = Body { reason: &reason[1..], value: &value[1..], ..verbatim(b"") };
    let bytes = largest.encode().unwrap();
    assert!(parsed(&bytes) == Ok(largest.clone()));

    let long = Body { reason: &reason, ..largest.clone() };
    assert_eq!(long.encode(), Err(EncodeError::ReasonTooLong { len: MAX_REASON + 1, limit: MAX_REASON }));
    let large = Body { value: &value, ..largest };
    assert_eq!(large.encode(), Err(EncodeError::TooLarge { len: MAX_VALUE + 1, limit: MAX_VALUE }));

    let over = [&bytes[..], &[0]].concat();
    assert!(matches!(parsed(&over), Err(ParseBodyError::Value)));
    let mut long = bytes.to_vec();
    long.splice(62..64, 1025_u16.to_be_bytes());
    assert!(matches!(parsed(&long), Err(ParseBodyError::Reason)));
}

#[test]
fn the_worked_example_of_the_format_page_holds() {
    let value = encode(&allergy()).unwrap();
    let bytes = documented("allergy-body");
    assert_eq!(*typed(&value).encode().unwrap(), bytes);
    assert!(parsed(&bytes) == Ok(typed(&value)));
    assert_eq!(parsed(&bytes).unwrap().decode(), Ok(allergy()));
}
