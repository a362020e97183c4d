//! Values that follow from who wrote them, so that the judge needs no copy: seed, operation, part of a batch, length.

use serde::{Deserialize, Serialize};

use crate::rng::Rng;

/// The kinds of records; the first is typed, the others are kept verbatim.
pub const KINDS: [&str; 3] = ["note", "Observation", "DocumentReference"];

/// The typed record.
#[derive(chartvault::Record, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[record(kind = "note", version = 1)]
pub struct Note {
    pub text: String,
}

/// The value that part `part` of operation `op` writes: ASCII, and its origin first where there is room.
pub fn value(seed: u64, op: u64, part: usize, len: usize) -> Vec<u8> {
    let mut bytes = format!("{op}.{part}.{len}|").into_bytes();
    let mut rng = Rng::of(seed, &[op, part as u64, len as u64]);
    while bytes.len() < len {
        bytes.extend(rng.word().to_le_bytes().map(|byte| b'a' + byte % 26));
    }
    bytes.truncate(len);
    bytes
}

/// The same as text.
pub fn text(seed: u64, op: u64, part: usize, len: usize) -> String {
    String::from_utf8(value(seed, op, part, len)).unwrap_or_default()
}

/// Whether these bytes are what their own first words say that they are. Too short ones cannot tell.
pub fn is_genuine(seed: u64, bytes: &[u8]) -> bool {
    let Some(end) = bytes.iter().take(48).position(|byte| *byte == b'|') else { return bytes.len() < 48 };
    let Ok(head) = std::str::from_utf8(&bytes[..end]) else { return false };
    let words: Vec<u64> = head.split('.').filter_map(|word| word.parse().ok()).collect();
    match words[..] {
        [op, part, len] => bytes.len() == len as usize && bytes == value(seed, op, part as usize, len as usize),
        _ => false,
    }
}

/// A length from nothing to `largest`: mostly as charts have them, some around the limits of the store.
pub fn length(rng: &mut Rng, largest: usize) -> usize {
    if largest >= 1 << 20 && rng.percent(30) {
        // A typed value is a little longer than its text.
        return *rng.pick(&[64 << 10, 200_000, (1 << 20) - 64]) - rng.below(2);
    }
    let len = match rng.below(100) {
        0..5 => 0,
        5..18 => 1 + rng.below(64),
        18..78 => 200 + rng.below(1_800),
        78..86 => 4_040 + rng.below(120),
        _ => 5_000 + rng.below(15_000),
    };
    if len > largest { rng.below(largest + 1) } else { len }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_told_from_any_other() {
        for len in [0, 1, 7, 60, 5_000] {
            let good = value(3, 12, 1, len);
            assert_eq!(good.len(), len);
            assert!(is_genuine(3, &good));
        }
        let good = value(3, 12, 1, 60);
        for at in 0..good.len() {
            let mut bad = good.clone();
            bad[at] ^= 1;
            assert!(!is_genuine(3, &bad), "byte {at}");
        }
        assert!(!is_genuine(4, &good) && !is_genuine(3, &good[..59]));
    }
}
