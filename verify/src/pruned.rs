//! What a prune entry says that was opened with its key (docs/format/audit.md, "What a prune entry says").

use crate::disclose::Disclosed;
use crate::merkle::Hash;

const FIELD: u16 = 0x800A;
const TILE: u64 = 256;

/// Entries that were removed from the log, and what stood there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Pruned {
    /// Number of the first entry that was removed then.
    pub first: u64,
    /// Number behind the last one: where the log begins since.
    pub end: u64,
    /// Leaf hash of the last one, which entry `end` names as the one before it.
    pub last: Hash,
    /// When the last one was written, in microseconds since 1970.
    pub last_time: i64,
    /// Root of the log's tree over the first `end` entries.
    pub root: Hash,
    /// SHA-256 of the archive of those that were removed.
    pub archive: Hash,
    /// The principal who agreed; the entry's actor (field 0003) is who removed them.
    pub second: [u8; 16],
}

impl Disclosed {
    /// What was removed from the log with this entry; nothing if it is no prune entry, or says it wrongly.
    #[must_use]
    pub fn pruned(&self) -> Option<Pruned> {
        let mut rest = self.field(FIELD)?;
        let (first, end) = (u64::from_be_bytes(take(&mut rest)?), u64::from_be_bytes(take(&mut rest)?));
        let (last, last_time) = (take(&mut rest)?, i64::from_be_bytes(take(&mut rest)?));
        let _epochs: [u8; 8] = take(&mut rest)?;
        let (root, archive, second) = (take(&mut rest)?, take(&mut rest)?, take(&mut rest)?);
        let sound = rest.is_empty() && first < end && first % TILE == 0 && end % TILE == 0;
        sound.then_some(Pruned { first, end, last, last_time, root, archive, second })
    }
}

fn take<const N: usize>(bytes: &mut &[u8]) -> Option<[u8; N]> {
    let (taken, rest) = bytes.split_first_chunk::<N>()?;
    *bytes = rest;
    Some(*taken)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn disclosed(value: Vec<u8>) -> Disclosed {
        Disclosed { seq: 700, time: 1, fields: vec![(1, vec![0, 103]), (FIELD, value)] }
    }

    fn value(first: u64, end: u64) -> Vec<u8> {
        let numbers = [first.to_be_bytes(), end.to_be_bytes()].concat();
        [&numbers[..], &[1; 32], &5_i64.to_be_bytes(), &[0; 8], &[2; 32], &[3; 32], &[4; 16]].concat()
    }

    #[test]
    fn what_was_pruned_is_read_and_shown() {
        let opened = disclosed(value(256, 768));
        let pruned = opened.pruned().unwrap();
        assert_eq!((pruned.first, pruned.end, pruned.last_time), (256, 768, 5));
        assert_eq!((pruned.last, pruned.root, pruned.archive, pruned.second), ([1; 32], [2; 32], [3; 32], [4; 16]));
        assert!(opened.to_string().contains("pruned entries 256 up to 768"), "{opened}");
    }

    #[test]
    fn what_is_cut_longer_or_no_whole_tiles_says_nothing() {
        let whole = value(0, 256);
        (0..whole.len()).for_each(|len| assert_eq!(disclosed(whole[..len].to_vec()).pruned(), None, "{len}"));
        assert_eq!(disclosed([&whole[..], &[0]].concat()).pruned(), None);
        for (first, end) in [(0, 0), (256, 256), (512, 256), (0, 255), (1, 256)] {
            assert_eq!(disclosed(value(first, end)).pruned(), None, "{first} {end}");
        }
    }
}
