use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use proptest::prelude::*;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::super::test_types::{Allergy, Note, allergy, documented};
use super::*;
use crate::{Kind, PatientId, RecordId, Shape, Shaped, Timestamp};

/// One field of every sort that a record can have.
#[derive(crate::Record, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[record(kind = "everything", version = 7)]
struct Everything {
    flag: bool,
    letter: char,
    numbers: (u8, i16, u32, i64, u128),
    float: f64,
    text: Option<String>,
    list: Vec<Option<u16>>,
    lists: Vec<Vec<String>>,
    pair: [Box<i8>; 2],
    set: BTreeSet<u8>,
    map: BTreeMap<String, Vec<u8>>,
    nothing: (),
    choice: Choice,
    took: Duration,
    when: Timestamp,
    whose: PatientId,
    why: Option<RecordId<Note>>,
}

#[derive(crate::Shape, Serialize, Deserialize, Clone, Debug, PartialEq)]
enum Choice {
    None,
    One(u8),
    Two(u8, String),
    Named { at: Timestamp },
}

prop_compose! {
    fn everything()(
        flag: bool,
        letter: char,
        numbers: (u8, i16, u32, i64, u128),
        float in any::<f64>(),
        text: Option<String>,
        list in proptest::collection::vec(any::<Option<u16>>(), 0..9),
        lists in proptest::collection::vec(proptest::collection::vec(".{0,9}", 0..4), 0..4),
        pair: [i8; 2],
        set in proptest::collection::btree_set(any::<u8>(), 0..9),
        map in proptest::collection::btree_map(".{0,9}", proptest::collection::vec(any::<u8>(), 0..9), 0..4),
        choice in prop_oneof![
            Just(Choice::None),
            any::<u8>().prop_map(Choice::One),
            any::<(u8, String)>().prop_map(|(number, text)| Choice::Two(number, text)),
            any::<i64>().prop_map(|at| Choice::Named { at: Timestamp::from_micros(at) }),
        ],
        took in any::<u64>(),
        when: i64,
        whose: [u8; 16],
        why in proptest::option::of(1_u64..),
    ) -> Everything {
        let whose = PatientId::from_bytes(whose);
        Everything {
            flag, letter, numbers, float, text, list, lists, set, map, choice, whose,
            pair: pair.map(Box::new),
            nothing: (),
            took: Duration::from_nanos(took),
            when: Timestamp::from_micros(when),
            why: why.map(|number| RecordId::new(whose, number)),
        }
    }
}

fn everything_decoded(bytes: &[u8]) -> Result<Everything, DecodeError> {
    decode(Coding::of::<Everything>(), bytes)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn values_come_back(value in everything()) {
        let bytes = prove_round_trip(&value).unwrap();
        prop_assert!(bytes.len() >= Everything::SHAPE.least());
        prop_assert_eq!(everything_decoded(&bytes), Ok(value));
    }

    #[test]
    fn values_that_were_cut_extended_or_flipped_do_no_harm(value in everything(), bit: prop::sample::Index) {
        let bytes = encode(&value).unwrap();
        for len in 0..bytes.len() {
            let cut = everything_decoded(&bytes[..len]);
            let cut = matches!(cut, Err(DecodeError::Malformed { kind: "everything", .. }));
            prop_assert!(cut, "cut to {len}");
        }
        let mut longer = bytes.to_vec();
        longer.push(0);
        let extended = matches!(everything_decoded(&longer), Err(DecodeError::Malformed { .. }));
        prop_assert!(extended);
        let mut flipped = bytes.to_vec();
        let bit = bit.index(flipped.len() * 8);
        flipped[bit / 8] ^= 1 << (bit % 8);
        prop_assert_ne!(everything_decoded(&flipped), Ok(value));
    }

    #[test]
    fn any_bytes_at_all_give_a_value_or_an_error(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        let _ = everything_decoded(&bytes);
    }
}

#[test]
fn bytes_of_another_version_or_shape_are_refused() {
    let bytes = encode(&allergy()).unwrap();
    let shape = Allergy::SHAPE.to_bytes();
    let as_allergy = |coding| decode::<Allergy>(coding, &bytes);
    assert!(as_allergy(Coding::Typed { version: 1, shape }).is_ok());
    assert_eq!(
        as_allergy(Coding::Typed { version: 2, shape }),
        Err(DecodeError::NewerRecord { kind: "allergy", found: 2, newest: 1 })
    );
    assert_eq!(
        as_allergy(Coding::Typed { version: 1, shape: [7; 8] }),
        Err(DecodeError::UnknownShape { kind: "allergy", version: 1, shape: [7; 8] })
    );
    assert_eq!(as_allergy(Coding::Verbatim), Err(DecodeError::Verbatim { kind: "allergy" }));
    let older = Coding::Typed { version: 6, shape: Everything::SHAPE.to_bytes() };
    assert_eq!(
        decode::<Everything>(older, &bytes),
        Err(DecodeError::OlderRecord { kind: "everything", found: 6, oldest: 7 })
    );
}

/// What bincode does not notice by itself: a variant put in front of the others changes what old bytes say.
#[test]
fn a_type_that_grew_without_a_new_version_is_refused_and_not_misread() {
    #[derive(crate::Shape, Serialize, Deserialize, Debug, PartialEq)]
    enum Grown {
        Unknown,
        Mild,
        Severe { since: Option<u16> },
    }
    #[derive(crate::Record, Serialize, Deserialize, Debug, PartialEq)]
    #[record(kind = "allergy", version = 1)]
    struct GrownAllergy {
        substance: String,
        severity: Grown,
    }
    let mut mild = allergy();
    mild.severity = super::super::test_types::Severity::Mild;
    let bytes = encode(&mild).unwrap();
    let misread: GrownAllergy = codec_1().deserialize(&bytes).unwrap();
    assert_eq!(misread.severity, Grown::Unknown);
    let refused = decode::<GrownAllergy>(Coding::of::<Allergy>(), &bytes);
    assert!(matches!(refused, Err(DecodeError::UnknownShape { kind: "allergy", version: 1, .. })));
}

#[test]
fn values_are_held_to_the_limit() {
    let note = |len: usize| Note { text: "x".repeat(len) };
    let largest = encode(&note(MAX_VALUE - 8)).unwrap();
    assert_eq!(largest.len(), MAX_VALUE);
    assert!(decode::<Note>(Coding::of::<Note>(), &largest).is_ok());
    assert_eq!(encode(&note(MAX_VALUE - 7)), Err(EncodeError::TooLarge { len: MAX_VALUE + 1, limit: MAX_VALUE }));
    let mut over = largest.to_vec();
    over.push(0);
    assert_eq!(
        decode::<Note>(Coding::of::<Note>(), &over),
        Err(DecodeError::TooLarge { len: MAX_VALUE + 1, limit: MAX_VALUE })
    );
}

/// Lengths of up to 2⁶⁴ where every collection of `Everything` says how long it is. Taking them at their word would
/// abort the process.
#[test]
fn decoder_bombs_end_soon_and_take_no_memory() {
    let mut value = proptest::strategy::Strategy::new_tree(&everything(), &mut Default::default())
        .map(|tree| proptest::strategy::ValueTree::current(&tree))
        .unwrap();
    value.text = Some("text".into());
    value.lists = vec![vec!["a".into()], vec!["b".into()]];
    let bytes = encode(&value).unwrap();
    let started = Instant::now();
    for at in 0..bytes.len() - 8 {
        for length in [u64::MAX, 1 << 63, 1 << 40, 1 << 32, u64::from(u32::MAX), 1 << 20] {
            let mut bomb = bytes.to_vec();
            bomb[at..at + 8].copy_from_slice(&length.to_le_bytes());
            let _ = everything_decoded(&bomb);
        }
    }
    // A list in a list in a list, each of which claims more than there is.
    #[derive(crate::Record, Serialize, Deserialize, Debug)]
    #[record(kind = "nested", version = 1)]
    struct Nested(Vec<Vec<Vec<Vec<[u64; 32]>>>>);
    for claim in [u64::MAX, 1 << 40, 1 << 20, 1] {
        let bomb = claim.to_le_bytes().repeat(MAX_VALUE / 8);
        let refused = decode::<Nested>(Coding::of::<Nested>(), &bomb);
        assert!(matches!(refused, Err(DecodeError::Malformed { .. })), "{claim}");
    }
    assert!(started.elapsed() < Duration::from_secs(5), "{:?}", started.elapsed());
}

/// A record whose `Serialize` and `Deserialize` are written by hand, wrongly.
macro_rules! misbehaving {
    ($name:ident, $serialize:expr, $deserialize:expr) => {
        #[derive(crate::Record)]
        #[record(kind = "misbehaving", version = 1)]
        struct $name(#[allow(dead_code)] u8);

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                $serialize(serializer)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                $deserialize(deserializer).map(Self)
            }
        }
    };
}

#[test]
fn types_that_cannot_come_back_are_refused_before_they_are_stored() {
    fn flaky<S: Serializer>(serializer: S) -> Result<S::Ok, S::Error> {
        thread_local!(static TIMES: Cell<u8> = const { Cell::new(0) });
        TIMES.set(TIMES.get() + 1);
        serializer.serialize_u8(TIMES.get())
    }
    fn growing<S: Serializer>(serializer: S) -> Result<S::Ok, S::Error> {
        thread_local!(static TIMES: Cell<usize> = const { Cell::new(0) });
        TIMES.set(TIMES.get() + 1);
        serializer.serialize_str(&"x".repeat(TIMES.get()))
    }
    fn refuse<S: Serializer>(_: S) -> Result<S::Ok, S::Error> {
        Err(serde::ser::Error::custom("penicillin"))
    }
    fn endless<S: Serializer>(serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(std::iter::from_fn(|| None::<u8>))
    }
    fn one<S: Serializer>(serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u8(1)
    }
    fn byte<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u8, D::Error> {
        u8::deserialize(deserializer)
    }
    fn two_bytes<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u8, D::Error> {
        <(u8, u8)>::deserialize(deserializer).map(|(first, _)| first)
    }
    fn any_form<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u8, D::Error> {
        struct Visitor;
        impl serde::de::Visitor<'_> for Visitor {
            type Value = u8;
            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a byte")
            }
        }
        deserializer.deserialize_any(Visitor)
    }
    misbehaving!(Flaky, flaky, byte);
    misbehaving!(Growing, growing, byte);
    misbehaving!(Refusing, refuse, byte);
    misbehaving!(Endless, endless, byte);
    misbehaving!(TooShort, one, two_bytes);
    misbehaving!(Untagged, one, any_form);

    let kind = "misbehaving";
    assert_eq!(prove_round_trip(&Flaky(0)), Err(EncodeError::NotRepeatable { kind }));
    assert_eq!(prove_round_trip(&Growing(0)), Err(EncodeError::NotRepeatable { kind }));
    assert!(matches!(prove_round_trip(&TooShort(0)), Err(EncodeError::NotReadBack { .. })));
    assert!(matches!(
        prove_round_trip(&Untagged(0)),
        Err(EncodeError::NotReadBack { reason: "Deserialize asks for a format that describes itself", .. })
    ));
    assert!(matches!(
        prove_round_trip(&Endless(0)),
        Err(EncodeError::Refused {
            reason: "Serialize does not say beforehand how many items or fields there are",
            ..
        })
    ));
    let refused = prove_round_trip(&Refusing(0)).unwrap_err();
    assert!(matches!(refused, EncodeError::Refused { .. }));
    assert!(!format!("{refused} {refused:?}").contains("penicillin"));
}

#[test]
fn a_serde_json_value_is_refused() {
    struct Anything(serde_json::Value);
    impl Shaped for Anything {
        const SHAPE: Shape = u8::SHAPE;
    }
    impl Serialize for Anything {
        fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            self.0.serialize(serializer)
        }
    }
    impl<'de> Deserialize<'de> for Anything {
        fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
            serde_json::Value::deserialize(deserializer).map(Self)
        }
    }
    #[derive(crate::Record, Serialize, Deserialize)]
    #[record(kind = "anything", version = 1)]
    struct Holder(Anything);
    let refused = prove_round_trip(&Holder(Anything(serde_json::json!({"a": 1}))));
    assert!(matches!(refused, Err(EncodeError::NotReadBack { .. })), "{refused:?}");
}

#[test]
fn every_derived_kind_is_a_kind() {
    assert_eq!(Kind::new(Allergy::KIND), Ok(Kind::of::<Allergy>()));
}

#[test]
fn the_worked_example_of_the_format_page_holds() {
    let bytes = documented("allergy-value");
    assert_eq!(*encode(&allergy()).unwrap(), bytes);
    assert_eq!(decode(Coding::of::<Allergy>(), &bytes), Ok(allergy()));
}
