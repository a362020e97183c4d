//! Which buckets of the state digest are in doubt after a salvage (docs/format/policy.md, table 6).

use super::digest::{self, Digest};
use super::keys::Tree;
use crate::bytes::{Put, Reader, Truncated};

/// Buckets of all trees that the digest covers.
const BUCKETS: usize = 4096 + 256 + 256 + 1;
/// Bytes of a bitmap of them.
pub(crate) const DOUBT_LEN: usize = BUCKETS.div_ceil(8);

/// A bit for each bucket, in the order of the state file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct DoubtMap(Vec<u8>);

impl Default for DoubtMap {
    fn default() -> Self {
        Self(vec![0; DOUBT_LEN])
    }
}

impl DoubtMap {
    /// Every bucket.
    pub(crate) fn everything() -> Self {
        let mut all = Self::default();
        (0..BUCKETS).for_each(|place| all.set(place));
        all
    }

    fn set(&mut self, place: usize) {
        if let Some(byte) = self.0.get_mut(place / 8) {
            *byte |= 0x80 >> (place % 8);
        }
    }

    fn has(&self, place: usize) -> bool {
        self.0.get(place / 8).is_some_and(|byte| byte & (0x80 >> (place % 8)) != 0)
    }

    pub(crate) fn doubt(&mut self, tree: Tree, bucket: usize) {
        self.set(Digest::place(tree, bucket));
    }

    pub(crate) fn covers_bucket(&self, tree: Tree, bucket: usize) -> bool {
        self.has(Digest::place(tree, bucket))
    }

    /// Whether the row under this key may be older than it was, or missing.
    pub(crate) fn covers(&self, tree: Tree, key: &[u8]) -> bool {
        digest::buckets(tree) > 0 && self.covers_bucket(tree, digest::bucket_of(tree, key))
    }

    /// Buckets in doubt, of one tree.
    pub(crate) fn count_in(&self, tree: Tree) -> usize {
        (0..digest::buckets(tree)).filter(|bucket| self.covers_bucket(tree, *bucket)).count()
    }

    pub(crate) fn count(&self) -> usize {
        Tree::ALL.into_iter().map(|tree| self.count_in(tree)).sum()
    }

    /// Doubts whatever the other does as well.
    pub(crate) fn join(&mut self, other: &Self) {
        self.0.iter_mut().zip(&other.0).for_each(|(byte, other)| *byte |= other);
    }

    pub(crate) fn encode(&self, out: &mut Vec<u8>) {
        out.put(&self.0);
    }

    /// At least one bit, and none behind the last bucket.
    pub(crate) fn decode(reader: &mut Reader<'_>) -> Result<Self, Truncated> {
        let doubt = Self(reader.take(DOUBT_LEN)?.to_vec());
        let beyond = (BUCKETS..DOUBT_LEN * 8).any(|place| doubt.has(place));
        if beyond || doubt.count() == 0 { Err(Truncated) } else { Ok(doubt) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn there_is_a_bit_for_each_bucket() {
        assert_eq!(Digest::default().len(), BUCKETS);
        assert_eq!(DoubtMap::everything().count(), BUCKETS);
        assert_eq!(DoubtMap::default().count(), 0);
        assert!(!DoubtMap::everything().covers(Tree::Audit, b"any"), "the log has its own proofs");
    }

    proptest! {
        #[test]
        fn doubts_come_back_and_keep_to_their_buckets(places in proptest::collection::btree_set(0..BUCKETS, 1..40)) {
            let mut doubt = DoubtMap::default();
            places.iter().for_each(|place| doubt.set(*place));
            let mut bytes = Vec::new();
            doubt.encode(&mut bytes);
            let back = DoubtMap::decode(&mut Reader::new(&bytes)).unwrap();
            prop_assert_eq!(&back, &doubt);
            prop_assert_eq!(back.count(), places.len());
            prop_assert!((0..BUCKETS).all(|place| back.has(place) == places.contains(&place)));
            let mut joined = DoubtMap::default();
            joined.join(&back);
            prop_assert_eq!(joined, back);
        }
    }

    #[test]
    fn bits_behind_the_last_bucket_and_doubt_of_nothing_are_refused() {
        let mut bytes = vec![0; DOUBT_LEN];
        assert!(DoubtMap::decode(&mut Reader::new(&bytes)).is_err());
        bytes[0] = 1;
        assert!(DoubtMap::decode(&mut Reader::new(&bytes)).is_ok());
        bytes[DOUBT_LEN - 1] = 1;
        assert!(DoubtMap::decode(&mut Reader::new(&bytes)).is_err());
        for len in 0..DOUBT_LEN {
            assert!(DoubtMap::decode(&mut Reader::new(&vec![0xFF; len])).is_err(), "length {len}");
        }
    }
}
