//! The state digest: what the trees must hold, as sums over buckets (docs/format/journal.md, "Digest").
//!
//! Each bucket is a count of rows and the sum modulo 2^256 of their leaves. Sums can be advanced row by row, in any
//! order, and are compared with a fresh sum over the rows that are really there.

use std::ops::Range;

use crate::bytes::{Put, Reader, TooLong, Truncated};
use crate::crypto::hash::{self, HmacKey};

use super::keys::Tree;

/// Bytes of a stored bucket.
const BUCKET_LEN: usize = 8 + 32;

/// `HMAC(K_state, tree u8 ‖ u16 len ‖ key ‖ u32 len ‖ H(value))`.
///
/// Every value goes in by its hash, so that the leaf does not depend on where the value is kept.
pub(crate) fn leaf(
    state: &HmacKey,
    tree: Tree,
    key: &[u8],
    value_len: usize,
    value_hash: &[u8; 32],
) -> Result<[u8; 32], TooLong> {
    let key_len = u16::try_from(key.len()).map_err(|_| TooLong)?;
    let value_len = u32::try_from(value_len).map_err(|_| TooLong)?;
    Ok(state.tag(&[&[tree.code()], &key_len.to_be_bytes(), key, &value_len.to_be_bytes(), value_hash]))
}

/// Number and sum of the leaves of one bucket.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Bucket {
    count: u64,
    /// Big-endian limbs.
    sum: [u64; 4],
}

impl Bucket {
    /// How many rows there are.
    pub(crate) const fn count(&self) -> u64 {
        self.count
    }

    pub(crate) fn add(&mut self, leaf: &[u8; 32]) {
        self.count = self.count.wrapping_add(1);
        let mut carry = false;
        for (limb, other) in self.sum.iter_mut().zip(limbs(leaf)).rev() {
            let (sum, first) = limb.overflowing_add(other);
            let (sum, second) = sum.overflowing_add(u64::from(carry));
            (*limb, carry) = (sum, first | second);
        }
    }

    pub(crate) fn remove(&mut self, leaf: &[u8; 32]) {
        self.count = self.count.wrapping_sub(1);
        let mut borrow = false;
        for (limb, other) in self.sum.iter_mut().zip(limbs(leaf)).rev() {
            let (difference, first) = limb.overflowing_sub(other);
            let (difference, second) = difference.overflowing_sub(u64::from(borrow));
            (*limb, borrow) = (difference, first | second);
        }
    }
}

fn limbs(leaf: &[u8; 32]) -> [u64; 4] {
    let mut reader = Reader::new(leaf);
    std::array::from_fn(|_| reader.u64().unwrap_or_default())
}

/// The trees that the digest covers, with their number of buckets. The audit tree has a chain of its own,
/// and what is derived from it is compared with it.
const TREES: [(Tree, usize); 4] =
    [(Tree::Records, 4096), (Tree::Patients, 256), (Tree::Lookup, 256), (Tree::Policy, 1)];

/// Number of buckets of a tree; 0 for one that is not covered.
pub(crate) fn buckets(tree: Tree) -> usize {
    TREES.iter().find(|(covered, _)| *covered == tree).map_or(0, |(_, buckets)| *buckets)
}

/// Which bucket of its tree a key belongs to: its first 12 bits in `records`, 8 in `patients` and `lookup`.
pub(crate) fn bucket_of(tree: Tree, key: &[u8]) -> usize {
    let mut bytes = key.iter().map(|byte| usize::from(*byte));
    let (first, second) = (bytes.next().unwrap_or(0), bytes.next().unwrap_or(0));
    match tree {
        Tree::Records => (first << 4) | (second >> 4),
        Tree::Patients | Tree::Lookup => first,
        Tree::Policy | Tree::Audit | Tree::Log => 0,
    }
}

/// The keys of a bucket: from the first bound up to, not including, the second (absent: up to the end).
pub(crate) fn bucket_range(tree: Tree, bucket: usize) -> (Vec<u8>, Option<Vec<u8>>) {
    let next = bucket + 1;
    (lowest_key(tree, bucket), (next < buckets(tree)).then(|| lowest_key(tree, next)))
}

/// The lowest key of a bucket: leading bits, without trailing zero bytes (a shorter key sorts first).
fn lowest_key(tree: Tree, bucket: usize) -> Vec<u8> {
    let bits = match tree {
        Tree::Records => bucket << 4,
        Tree::Patients | Tree::Lookup => bucket << 8,
        Tree::Policy | Tree::Audit | Tree::Log => 0,
    };
    let mut key = u16::try_from(bits).unwrap_or(u16::MAX).to_be_bytes().to_vec();
    while key.last() == Some(&0) {
        key.pop();
    }
    key
}

/// All buckets of all covered trees.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Digest {
    buckets: Vec<Bucket>,
}

impl Default for Digest {
    fn default() -> Self {
        Self { buckets: vec![Bucket::default(); TREES.iter().map(|(_, buckets)| buckets).sum()] }
    }
}

impl Digest {
    /// The places of a tree's buckets among all buckets.
    pub(crate) fn places(tree: Tree) -> Range<usize> {
        let mut start = 0;
        for (covered, buckets) in TREES {
            if covered == tree {
                return start..start + buckets;
            }
            start += buckets;
        }
        start..start
    }

    /// The place of one bucket among all buckets.
    pub(crate) fn place(tree: Tree, bucket: usize) -> usize {
        Self::places(tree).start + bucket
    }

    /// The bucket at one place among all buckets; nothing behind the last.
    pub(crate) fn at(place: usize) -> Option<(Tree, usize)> {
        let mut left = place;
        for (tree, buckets) in TREES {
            if left < buckets {
                return Some((tree, left));
            }
            left -= buckets;
        }
        None
    }

    /// How many rows there are in all.
    pub(crate) fn rows(&self) -> u64 {
        self.buckets.iter().fold(0, |sum, bucket| sum.saturating_add(bucket.count))
    }

    /// How many rows a tree has.
    pub(crate) fn rows_of(&self, tree: Tree) -> u64 {
        let buckets = self.buckets.get(Self::places(tree)).unwrap_or_default();
        buckets.iter().fold(0, |sum, bucket| sum.saturating_add(bucket.count))
    }

    /// Number of places.
    pub(crate) fn len(&self) -> usize {
        self.buckets.len()
    }

    pub(crate) fn bucket(&self, tree: Tree, bucket: usize) -> Bucket {
        self.buckets.get(Self::place(tree, bucket)).copied().unwrap_or_default()
    }

    /// Replaces the leaf of one row; nothing happens for a tree that is not covered.
    pub(crate) fn replace(&mut self, tree: Tree, key: &[u8], old: Option<&[u8; 32]>, new: Option<&[u8; 32]>) {
        if buckets(tree) == 0 {
            return;
        }
        if let Some(bucket) = self.buckets.get_mut(Self::place(tree, bucket_of(tree, key))) {
            if let Some(leaf) = old {
                bucket.remove(leaf);
            }
            if let Some(leaf) = new {
                bucket.add(leaf);
            }
        }
    }

    /// `count u64 ‖ sum [32]` for each bucket.
    pub(crate) fn encode(&self, out: &mut Vec<u8>) {
        out.reserve(self.buckets.len() * BUCKET_LEN);
        for bucket in &self.buckets {
            out.put_u64(bucket.count);
            bucket.sum.iter().for_each(|limb| out.put_u64(*limb));
        }
    }

    /// H over all buckets as they are encoded.
    pub(crate) fn hash(&self) -> [u8; 32] {
        let mut out = Vec::new();
        self.encode(&mut out);
        hash::sha256(&[&out])
    }

    pub(crate) fn decode(reader: &mut Reader<'_>) -> Result<Self, Truncated> {
        let mut digest = Self::default();
        for bucket in &mut digest.buckets {
            bucket.count = reader.u64()?;
            for limb in &mut bucket.sum {
                *limb = reader.u64()?;
            }
        }
        Ok(digest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn ranges_meet_without_gap_and_hold_their_keys() {
        for (tree, count) in TREES {
            assert_eq!(bucket_range(tree, 0).0, b"");
            for bucket in 1..count {
                assert_eq!(bucket_range(tree, bucket - 1).1, Some(bucket_range(tree, bucket).0));
            }
            assert_eq!(bucket_range(tree, count - 1).1, None);
        }
        assert_eq!(bucket_range(Tree::Records, 0x123).0, [0x12, 0x30]);
        assert_eq!(bucket_range(Tree::Records, 0x120).0, [0x12]);
        let digest = Digest::default();
        assert_eq!(Digest::places(Tree::Policy), digest.len() - 1..digest.len());
    }

    proptest! {
        #[test]
        fn a_key_lies_in_its_bucket_range(key in proptest::collection::vec(any::<u8>(), 0..5), which in 0..4usize) {
            let tree = TREES[which].0;
            let bucket = bucket_of(tree, &key);
            let (from, to) = bucket_range(tree, bucket);
            prop_assert!(bucket < buckets(tree));
            prop_assert!(from <= key && to.is_none_or(|to| key < to));
        }

        #[test]
        fn order_does_not_matter_and_removal_undoes(a: [u8; 32], b: [u8; 32], c: [u8; 32]) {
            let sum = |leaves: &[[u8; 32]]| {
                let mut bucket = Bucket::default();
                leaves.iter().for_each(|leaf| bucket.add(leaf));
                bucket
            };
            prop_assert_eq!(sum(&[a, b, c]), sum(&[c, a, b]));
            let mut bucket = sum(&[a, b, c]);
            bucket.remove(&b);
            prop_assert_eq!(bucket, sum(&[a, c]));
        }

        #[test]
        fn digests_round_trip(rows in proptest::collection::vec((any::<[u8; 4]>(), any::<[u8; 32]>()), 0..9)) {
            let mut digest = Digest::default();
            rows.iter().for_each(|(key, leaf)| digest.replace(Tree::Records, key, None, Some(leaf)));
            let mut out = Vec::new();
            digest.encode(&mut out);
            prop_assert_eq!(Digest::decode(&mut Reader::new(&out)), Ok(digest));
            prop_assert!(Digest::decode(&mut Reader::new(&out[1..])).is_err());
        }
    }

    #[test]
    fn sums_carry_through_all_limbs() {
        let mut bucket = Bucket::default();
        bucket.add(&[0xFF; 32]);
        let mut one = [0; 32];
        one[31] = 1;
        bucket.add(&one);
        assert_eq!(bucket, Bucket { count: 2, sum: [0; 4] });
        bucket.remove(&one);
        assert_eq!(bucket, Bucket { count: 1, sum: [u64::MAX; 4] });
    }

    #[test]
    fn parts_of_a_leaf_cannot_slide() {
        let state = HmacKey::new(&[1; 32]);
        let of =
            |tree, key: &[u8], value: &[u8]| leaf(&state, tree, key, value.len(), &hash::sha256(&[value])).unwrap();
        assert_ne!(of(Tree::Records, b"ab", b"c"), of(Tree::Records, b"a", b"bc"));
        assert_ne!(of(Tree::Records, b"a", b"b"), of(Tree::Patients, b"a", b"b"));
    }
}
