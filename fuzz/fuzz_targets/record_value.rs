//! Values of derived types: one of everything that a record can hold. The first byte chooses the type.
#![no_main]

use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroU32;
use std::time::Duration;

use chartvault::{PatientId, Record, RecordId, RecordRef, Shape, Timestamp, fuzzing};
use serde::{Deserialize, Serialize};

#[derive(Record, Serialize, Deserialize)]
#[record(kind = "fuzz.plain", version = 1)]
struct Plain {
    text: String,
    number: u64,
    small: i8,
    fraction: f64,
    flag: bool,
    letter: char,
    maybe: Option<u16>,
    choice: Choice,
    many: Vec<Inner>,
    wide: (u128, NonZeroU32),
    when: Timestamp,
    whom: PatientId,
    long: Duration,
    bytes: [u8; 4],
}

#[derive(Shape, Serialize, Deserialize)]
enum Choice {
    None,
    One(i32),
    Both { left: String, right: Box<Inner> },
}

#[derive(Shape, Serialize, Deserialize)]
struct Inner {
    name: String,
    values: Vec<f32>,
}

#[derive(Record, Serialize, Deserialize)]
#[record(kind = "fuzz.collections", version = 3)]
struct Collections {
    map: BTreeMap<String, Vec<u8>>,
    set: BTreeSet<u32>,
    other: Option<RecordRef>,
    typed: Option<RecordId<Plain>>,
    nested: Vec<Vec<Option<u8>>>,
}

/// Three versions of one type: one step that some values do not take, and one that all do.
#[derive(Record, Serialize, Deserialize)]
#[record(kind = "fuzz.dose", version = 1)]
struct DoseV1 {
    amount: String,
}

#[derive(Record, Serialize, Deserialize)]
#[record(kind = "fuzz.dose", version = 2, previous = DoseV1)]
struct DoseV2 {
    amount: u32,
    unit: String,
}

#[derive(Record, Serialize, Deserialize)]
#[record(kind = "fuzz.dose", version = 3, previous = DoseV2)]
struct Dose {
    micrograms: u64,
    unit: Option<String>,
}

impl TryFrom<DoseV1> for DoseV2 {
    type Error = std::num::ParseIntError;

    fn try_from(old: DoseV1) -> Result<Self, Self::Error> {
        Ok(Self { amount: old.amount.parse()?, unit: "mg".to_owned() })
    }
}

impl From<DoseV2> for Dose {
    fn from(old: DoseV2) -> Self {
        Self { micrograms: u64::from(old.amount) * 1_000, unit: Some(old.unit) }
    }
}

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let Some((choice, value)) = bytes.split_first() else { return };
    match choice % 5 {
        0 => drop(fuzzing::record_value::<Plain>(value)),
        1 => drop(fuzzing::record_value::<Collections>(value)),
        2 => {
            let (second, third) =
                (fuzzing::record_value_of::<DoseV1, DoseV2>(value), fuzzing::record_value_of::<DoseV1, Dose>(value));
            let steps = second.map(|second| (Dose::from(second).micrograms, true));
            assert_eq!(steps, third.map(|dose| (dose.micrograms, dose.unit.is_some())));
        }
        3 => drop(fuzzing::record_value_of::<DoseV2, Dose>(value)),
        _ => {
            let Some((version, value)) = value.split_first_chunk::<2>() else { return };
            let Some((shape, value)) = value.split_first_chunk::<8>() else { return };
            drop(fuzzing::record_value_as::<Dose>(u16::from_be_bytes(*version), *shape, value));
        }
    }
});
