//! Values of derived types: one of everything that a record can hold. The first byte chooses the type.
#![no_main]

use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroU32;
use std::time::Duration;

use chartvault::{PatientId, Record, RecordId, RecordRef, Shape, Timestamp};
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

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let Some((choice, value)) = bytes.split_first() else { return };
    if choice % 2 == 0 {
        let _ = chartvault::fuzzing::record_value::<Plain>(value);
    } else {
        let _ = chartvault::fuzzing::record_value::<Collections>(value);
    }
});
