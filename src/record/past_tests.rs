use proptest::prelude::*;
use serde::{Deserialize, Serialize};

use super::super::EncodeError;
use super::super::body::{Body, Status};
use super::super::codec::{Coding, decode, encode};
use super::super::labels::Labels;
use super::super::types::Types;
use super::*;
use crate::Shaped;
use crate::clock::Timestamp;
use crate::crypto::kdf;
use crate::terms::Confidentiality;

/// The types of the example, which has golden bytes.
#[path = "../../examples/upgrade/kinds.rs"]
#[allow(unreachable_pub)] // in the example they are not
mod kinds;

use kinds::{Allergy, AllergyV1, AllergyV2, Severity};

fn first(severity: &str) -> AllergyV1 {
    AllergyV1 { substance: "penicillin".into(), severity: severity.into() }
}

fn second(severity: Severity) -> AllergyV2 {
    AllergyV2 { substance: "penicillin".into(), severity }
}

/// What `New` makes of a value stored as `Old`.
fn upgraded<Old: Record, New: Record>(old: &Old) -> Result<New, DecodeError> {
    decode(Coding::of::<Old>(), &encode(old).unwrap())
}

#[test]
fn values_are_brought_up_step_by_step() {
    let newest = Allergy { since: None, ..newest() };
    assert_eq!(upgraded(&first("severe")), Ok(second(Severity::Severe)));
    assert_eq!(upgraded(&first("severe")), Ok(newest.clone()));
    assert_eq!(upgraded(&second(Severity::Severe)), Ok(newest.clone()));
    assert_eq!(upgraded(&newest), Ok(newest.clone()));
}

#[test]
fn a_step_that_fails_says_which_and_why() {
    for refused in [upgraded::<_, AllergyV2>(&first("a bad rash")).err(), upgraded::<_, Allergy>(&first("rash")).err()]
    {
        let refused = refused.unwrap();
        let DecodeError::Upgrade { kind: "allergy", stored: 1, from: 1, to: 2, reason } = &refused else {
            panic!("{refused:?}");
        };
        assert!(reason.get_ref().is::<kinds::NoSuchSeverity>());
        let told = refused.to_string();
        assert!(told.contains("version 1 to 2: the severity, a word of"), "{told}");
        assert!(!format!("{told} {refused:?}").contains("rash"));
    }
}

#[test]
fn newer_unknown_and_forgotten_versions_are_told_apart() {
    let bytes = encode(&second(Severity::Mild)).unwrap();
    let shape = AllergyV2::SHAPE.to_bytes();
    let at = |version, shape| decode::<Allergy>(Coding::Typed { version, shape }, &bytes).unwrap_err();
    assert_eq!(at(4, shape), DecodeError::NewerRecord { kind: "allergy", found: 4, newest: 3 });
    assert!(at(4, shape).to_string().contains("update the program"));
    for version in [1, 2, 3] {
        assert_eq!(at(version, [7; 8]), DecodeError::UnknownShape { kind: "allergy", version, shape: [7; 8] });
        assert!(at(version, [7; 8]).to_string().contains("undo the change to the type"));
    }
    // The shape of a neighbour does not do.
    assert!(matches!(at(1, shape), DecodeError::UnknownShape { version: 1, .. }));
    assert!(matches!(at(3, shape), DecodeError::UnknownShape { version: 3, .. }));
    assert_eq!(at(0, shape), DecodeError::OlderRecord { kind: "allergy", found: 0, oldest: 1 });

    #[derive(crate::Record, Serialize, Deserialize, Debug)]
    #[record(kind = "allergy", version = 4)]
    struct Cut {
        substance: String,
    }
    let older = decode::<Cut>(Coding::of::<AllergyV2>(), &bytes).unwrap_err();
    assert_eq!(older, DecodeError::OlderRecord { kind: "allergy", found: 2, oldest: 4 });
    assert!(older.to_string().contains("previous = "));
    #[derive(crate::Record, Serialize, Deserialize, Debug)]
    #[record(kind = "allergy", version = 5, previous = Cut)]
    struct AfterCut {
        substance: String,
    }
    impl From<Cut> for AfterCut {
        fn from(Cut { substance }: Cut) -> Self {
            Self { substance }
        }
    }
    let older = decode::<AfterCut>(Coding::of::<AllergyV2>(), &bytes).unwrap_err();
    assert_eq!(older, DecodeError::OlderRecord { kind: "allergy", found: 2, oldest: 4 });
}

/// A value of version 1 whose bytes, and even whose shape, would also do for version 2, where they mean something else.
#[test]
fn old_bytes_are_never_read_as_a_newer_type() {
    #[derive(crate::Record, Serialize, Deserialize, Debug, PartialEq)]
    #[record(kind = "dose", version = 1)]
    struct InGrams {
        dose: u32,
    }
    #[derive(crate::Record, Serialize, Deserialize, Debug, PartialEq)]
    #[record(kind = "dose", version = 2, previous = InGrams)]
    struct InMilligrams {
        dose: u32,
    }
    impl TryFrom<InGrams> for InMilligrams {
        type Error = String;
        fn try_from(InGrams { dose }: InGrams) -> Result<Self, String> {
            let dose = dose.checked_mul(1_000).ok_or("more than 4,294,967 g")?;
            Ok(Self { dose })
        }
    }
    assert_eq!(InGrams::SHAPE, InMilligrams::SHAPE);
    assert_eq!(upgraded(&InGrams { dose: 2 }), Ok(InMilligrams { dose: 2_000 }));
    assert_eq!(upgraded(&InMilligrams { dose: 2 }), Ok(InMilligrams { dose: 2 }));
    let refused = upgraded::<_, InMilligrams>(&InGrams { dose: u32::MAX }).unwrap_err();
    assert!(refused.to_string().contains("more than 4,294,967 g"), "{refused}");
}

/// A record body as the vault stores it, but for the seal.
fn stored<T: Record>(value: &T) -> Vec<u8> {
    let value = encode(value).unwrap();
    let body = Body {
        kind: kdf::kind_id(T::KIND),
        coding: Coding::of::<T>(),
        author: kdf::principal_id("dr.osei"),
        recorded_at: Timestamp::from_micros(1_767_614_400_000_000),
        clinical_time: None,
        status: Status::Active,
        confidentiality: Confidentiality::Normal,
        reason: "",
        labels: Labels::NONE,
        value: &value,
    };
    body.encode().unwrap().to_vec()
}

fn newest() -> Allergy {
    Allergy { substance: "penicillin".into(), severity: Severity::Severe, since: Some(2019) }
}

/// Bodies of each version of the example's kind, in hexadecimal digits.
fn golden(version: u16) -> std::path::PathBuf {
    format!("{}/tests/golden/records/allergy-{version}.hex", env!("CARGO_MANIFEST_DIR")).into()
}

#[test]
#[ignore = "writes the body of a version that is not in tests/golden/records yet"]
fn write_golden_bodies_of_new_versions() {
    let bodies = [stored(&first("Severe")), stored(&second(Severity::Severe)), stored(&newest())];
    for (version, body) in (1..).zip(bodies) {
        if !golden(version).exists() {
            let digits = data_encoding::HEXLOWER.encode(&body);
            let lines: Vec<&str> = digits.as_bytes().chunks(64).map(|line| str::from_utf8(line).unwrap()).collect();
            std::fs::write(golden(version), lines.join("\n") + "\n").unwrap();
        }
    }
}

#[test]
fn golden_bodies_of_every_version_read_as_the_newest() {
    let read = |version| {
        let digits = std::fs::read_to_string(golden(version)).unwrap();
        data_encoding::HEXLOWER.decode(digits.split_whitespace().collect::<String>().as_bytes()).unwrap()
    };
    let (one, two, three) = (read(1), read(2), read(3));
    assert_eq!(
        [&one, &two, &three],
        [&stored(&first("Severe")), &stored(&second(Severity::Severe)), &stored(&newest())]
    );
    let bodies = [&one, &two, &three].map(|bytes| Body::parse(bytes).unwrap());
    assert_eq!(bodies.each_ref().map(Body::schema), [Some(1), Some(2), Some(3)]);
    let unknown = Allergy { since: None, ..newest() };
    assert_eq!(bodies.each_ref().map(Body::decode::<Allergy>), [Ok(unknown.clone()), Ok(unknown), Ok(newest())]);
    assert_eq!(bodies[0].decode::<AllergyV1>(), Ok(first("Severe")));
    let newer = bodies[2].decode::<AllergyV2>();
    assert_eq!(newer, Err(DecodeError::NewerRecord { kind: "allergy", found: 3, newest: 2 }));
}

#[test]
fn a_type_is_refused_whose_past_contradicts_another() {
    #[derive(crate::Record, Serialize, Deserialize)]
    #[record(kind = "allergy", version = 1)]
    struct Other {
        allergen: String,
    }
    let mut types = Types::default();
    types.admit::<Other>().unwrap();
    let refused = types.admit::<Allergy>();
    assert!(matches!(refused, Err(EncodeError::DeclaredTwice { kind: "allergy", version: 1, first, second })
        if first.ends_with("Other") && second.ends_with("AllergyV1")));
    assert!(types.is_proven::<Other>() && !types.is_proven::<Allergy>());

    let mut types = Types::default();
    types.admit::<Allergy>().unwrap();
    types.admit::<AllergyV1>().unwrap();
    assert!(matches!(types.admit::<Other>(), Err(EncodeError::DeclaredTwice { version: 1, .. })));
}

#[test]
fn kinds_are_compared_whole() {
    assert!(same_kind("", "") && same_kind("allergy", "allergy"));
    for (one, other) in [("allergy", "allerg"), ("allerg", "allergy"), ("allergy", "Allergy"), ("a", "")] {
        assert!(!same_kind(one, other), "{one} {other}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Damaged bytes of an older version are held to the same bounds as those of the newest.
    #[test]
    fn any_bytes_of_any_version_give_a_value_or_an_error(
        version in 1_u16..4,
        bytes in proptest::collection::vec(any::<u8>(), 0..100),
    ) {
        let shape = [AllergyV1::SHAPE, AllergyV2::SHAPE, Allergy::SHAPE][usize::from(version) - 1].to_bytes();
        let read = decode::<Allergy>(Coding::Typed { version, shape }, &bytes);
        let expected = matches!(read, Ok(_) | Err(DecodeError::Malformed { .. } | DecodeError::Upgrade { .. }));
        prop_assert!(expected);
    }

    #[test]
    fn every_cut_and_flip_of_an_older_value_is_refused_or_another_value(
        substance in "[a-z]{0,9}",
        level in 0_usize..3,
    ) {
        let severity = ["mild", "moderate", "severe"][level];
        let old = AllergyV1 { substance, severity: severity.into() };
        let whole = upgraded::<_, Allergy>(&old).unwrap();
        prop_assert_eq!(&whole.substance, &old.substance);
        let bytes = encode(&old).unwrap();
        for len in 0..bytes.len() {
            let cut = decode::<Allergy>(Coding::of::<AllergyV1>(), &bytes[..len]);
            let refused = matches!(cut, Err(DecodeError::Malformed { .. }));
            prop_assert!(refused, "cut to {len}");
        }
        for bit in 0..bytes.len() * 8 {
            let mut flipped = bytes.to_vec();
            flipped[bit / 8] ^= 1 << (bit % 8);
            // A letter that changed its case is the same severity.
            let read = decode::<AllergyV1>(Coding::of::<AllergyV1>(), &flipped);
            prop_assert_ne!(read.as_ref(), Ok(&old));
            let newest = decode::<Allergy>(Coding::of::<AllergyV1>(), &flipped);
            prop_assert_eq!(newest.is_ok(), read.is_ok_and(|old| AllergyV2::try_from(old).is_ok()));
        }
    }
}
