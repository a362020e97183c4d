//! Proofs: that a leaf is in a tree, and that a tree is the beginning of a larger one (RFC 6962, sections 2.1.1 and 2.1.2;
//! verified as in RFC 9162, sections 2.1.3.2 and 2.1.4.2).

use super::{Hash, TILE_WIDTH, TileId, TileSource, empty_root, node_hash, perfect_root};

/// Why a proof proves nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ProofError {
    /// The tree has no such leaf.
    #[error("the tree has {size} leaves, and no leaf {index}; the first is number 0")]
    NoSuchLeaf {
        /// Number of the leaf.
        index: u64,
        /// Leaves of the tree.
        size: u64,
    },
    /// What should be the beginning is larger.
    #[error("a tree of {old} leaves is not the beginning of one of {new}")]
    Shrunk {
        /// Leaves of what should be the beginning.
        old: u64,
        /// Leaves of the whole.
        new: u64,
    },
    /// A tree without leaves is the beginning of every tree: nothing is proved.
    #[error("a tree without leaves is the beginning of every tree, so this proves nothing; compare with a larger one")]
    FromNothing,
    /// The proof has another number of hashes than such a proof has.
    #[error("the proof has {found} hashes, which is no proof for these sizes")]
    WrongLength {
        /// How many it has.
        found: usize,
    },
    /// What the proof leads to is another root.
    #[error("the proof leads to another root")]
    WrongRoot,
}

/// The root of the first `size` leaves.
///
/// # Errors
/// What `source` answers.
pub fn root_at<S: TileSource + ?Sized>(source: &S, size: u64) -> Result<Hash, S::Error> {
    if size == 0 { Ok(empty_root()) } else { subtree(source, 0, size) }
}

/// The hashes that prove that leaf `index` is in the tree of the first `size` leaves; none where there is no such leaf.
///
/// # Errors
/// What `source` answers.
pub fn prove_inclusion<S: TileSource + ?Sized>(source: &S, index: u64, size: u64) -> Result<Vec<Hash>, S::Error> {
    let (mut path, mut from, mut to) = (Vec::new(), 0, size);
    // From the root down; the proof goes from the leaf up.
    while index < size && to - from > 1 {
        let middle = from + split(to - from);
        if index < middle {
            path.push(subtree(source, middle, to)?);
            to = middle;
        } else {
            path.push(subtree(source, from, middle)?);
            from = middle;
        }
    }
    path.reverse();
    Ok(path)
}

/// The hashes that prove that the tree of the first `old` leaves is the beginning of that of the first `new`; none if they
/// are the same, if `old` is 0, or if `old` is larger.
///
/// # Errors
/// What `source` answers.
pub fn prove_consistency<S: TileSource + ?Sized>(source: &S, old: u64, new: u64) -> Result<Vec<Hash>, S::Error> {
    if old == 0 || old >= new {
        return Ok(Vec::new());
    }
    let (mut path, mut from, mut to) = (Vec::new(), 0, new);
    // Until what is left is a whole part of the old tree; whoever has its root needs no hash if that is all of it.
    while old != to {
        let middle = from + split(to - from);
        if old <= middle {
            path.push(subtree(source, middle, to)?);
            to = middle;
        } else {
            path.push(subtree(source, from, middle)?);
            from = middle;
        }
    }
    if from > 0 {
        path.push(subtree(source, from, to)?);
    }
    path.reverse();
    Ok(path)
}

/// Verifies that a leaf, given as its hash, is number `index` in the tree of `size` leaves with this root.
///
/// # Errors
/// [`ProofError`].
pub fn verify_inclusion(leaf: &Hash, index: u64, size: u64, proof: &[Hash], root: &Hash) -> Result<(), ProofError> {
    if index >= size {
        return Err(ProofError::NoSuchLeaf { index, size });
    }
    let wrong = ProofError::WrongLength { found: proof.len() };
    let (mut at, mut last, mut hash) = (index, size - 1, *leaf);
    for sibling in proof {
        if last == 0 {
            return Err(wrong);
        }
        if at & 1 == 1 || at == last {
            hash = node_hash(sibling, &hash);
            let up = if at & 1 == 1 { 0 } else { at.trailing_zeros() };
            (at, last) = (shifted(at, up), shifted(last, up));
        } else {
            hash = node_hash(&hash, sibling);
        }
        (at, last) = (at >> 1, last >> 1);
    }
    if last != 0 {
        return Err(wrong);
    }
    if hash == *root { Ok(()) } else { Err(ProofError::WrongRoot) }
}

/// Verifies that the tree of `old` leaves with root `old_root` is the beginning of that of `new` leaves with root `new_root`.
/// A tree without leaves is the beginning of every tree, so no proof says anything about it: size 0 is refused.
///
/// # Errors
/// [`ProofError`].
pub fn verify_consistency(
    (old, old_root): (u64, &Hash),
    (new, new_root): (u64, &Hash),
    proof: &[Hash],
) -> Result<(), ProofError> {
    if old > new {
        return Err(ProofError::Shrunk { old, new });
    }
    let wrong = ProofError::WrongLength { found: proof.len() };
    if old == 0 {
        return Err(ProofError::FromNothing);
    }
    if old == new {
        return match (proof.is_empty(), new_root == old_root) {
            (false, _) => Err(wrong),
            (true, true) => Ok(()),
            (true, false) => Err(ProofError::WrongRoot),
        };
    }
    // A whole perfect tree needs no hash of itself.
    let mut hashes = old.is_power_of_two().then_some(old_root).into_iter().chain(proof);
    let up = (old - 1).trailing_ones();
    let (mut at, mut last) = (shifted(old - 1, up), shifted(new - 1, up));
    let first = *hashes.next().ok_or(wrong)?;
    let (mut old_hash, mut new_hash) = (first, first);
    for hash in hashes {
        if last == 0 {
            return Err(wrong);
        }
        if at & 1 == 1 || at == last {
            (old_hash, new_hash) = (node_hash(hash, &old_hash), node_hash(hash, &new_hash));
            let up = if at & 1 == 1 { 0 } else { at.trailing_zeros() };
            (at, last) = (shifted(at, up), shifted(last, up));
        } else {
            new_hash = node_hash(&new_hash, hash);
        }
        (at, last) = (at >> 1, last >> 1);
    }
    if last != 0 {
        return Err(wrong);
    }
    if old_hash == *old_root && new_hash == *new_root { Ok(()) } else { Err(ProofError::WrongRoot) }
}

/// `value >> by`, 0 where nothing is left.
fn shifted(value: u64, by: u32) -> u64 {
    value.checked_shr(by).unwrap_or(0)
}

/// The largest power of two below `n`, which is 2 at least.
fn split(n: u64) -> u64 {
    1 << (63 - (n - 1).leading_zeros())
}

/// The root of the leaves from `from` to before `to`, where `from` is a multiple of the smallest power of two that is not
/// below their number: as the parts of a tree are.
fn subtree<S: TileSource + ?Sized>(source: &S, from: u64, to: u64) -> Result<Hash, S::Error> {
    let (mut at, mut right) = (to, None);
    // From the smallest perfect part on the right to the largest on the left.
    while at > from {
        let size = 1_u64 << (at - from).trailing_zeros();
        let part = perfect(source, at - size, size.trailing_zeros())?;
        right = Some(right.map_or(part, |right| node_hash(&part, &right)));
        at -= size;
    }
    Ok(right.unwrap_or_else(empty_root))
}

/// The root of the perfect tree of `2^height` leaves from `from` on.
pub(super) fn perfect<S: TileSource + ?Sized>(source: &S, from: u64, height: u32) -> Result<Hash, S::Error> {
    let (level, in_tile) = (height / 8, height % 8);
    let (first, nodes) = (from >> (level * 8), 1_usize << in_tile);
    let width = u64::from(TILE_WIDTH);
    let (index, offset) = (first / width, usize::try_from(first % width).unwrap_or(0));
    let id = TileId { level: u8::try_from(level).unwrap_or(u8::MAX), index };
    let needed = u16::try_from(offset + nodes).unwrap_or(TILE_WIDTH);
    let tile = source.tile(id, needed)?;
    // A source that gives fewer gives another root.
    Ok(tile.get(offset..offset + nodes).and_then(perfect_root).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::super::{Frontier, naive};
    use super::*;
    use std::collections::HashMap;
    use std::convert::Infallible;

    struct Kept(HashMap<TileId, Vec<Hash>>);

    impl TileSource for Kept {
        type Error = Infallible;

        fn tile(&self, id: TileId, width: u16) -> Result<Vec<Hash>, Infallible> {
            Ok(self.0[&id][..usize::from(width)].to_vec())
        }
    }

    fn kept(leaves: &[Hash]) -> Kept {
        let (mut frontier, mut tiles) = (Frontier::default(), HashMap::new());
        leaves.iter().for_each(|leaf| {
            frontier.push(*leaf, &mut |id, hashes| drop(tiles.insert(id, hashes.to_vec())));
        });
        tiles.extend(frontier.partial_tiles().map(|(id, hashes)| (id, hashes.to_vec())));
        Kept(tiles)
    }

    /// By the definition of RFC 6962.
    fn path(at: usize, leaves: &[Hash]) -> Vec<Hash> {
        if leaves.len() < 2 {
            return Vec::new();
        }
        let (left, right) = leaves.split_at(naive::split(leaves.len()));
        let (mut path, sibling) = match at.checked_sub(left.len()) {
            None => (path(at, left), right),
            Some(at) => (path(at, right), left),
        };
        path.push(naive::root(sibling));
        path
    }

    fn subproof(old: usize, leaves: &[Hash], whole: bool) -> Vec<Hash> {
        if old == leaves.len() {
            return if whole { Vec::new() } else { vec![naive::root(leaves)] };
        }
        let (left, right) = leaves.split_at(naive::split(leaves.len()));
        let (mut proof, other) = match old.checked_sub(left.len()) {
            Some(old) if old > 0 => (subproof(old, right, false), left),
            _ => (subproof(old, left, whole), right),
        };
        proof.push(naive::root(other));
        proof
    }

    #[test]
    fn proofs_are_those_of_the_definition_and_hold() {
        let leaves = naive::leaves(600);
        let source = kept(&leaves);
        for size in (1..70).chain([255, 256, 257, 511, 512, 600]) {
            let tree = &leaves[..size];
            let root = naive::root(tree);
            assert_eq!(root_at(&source, size as u64), Ok(root));
            for at in (0..size).filter(|at| size < 70 || at % 41 == 0 || at + 1 == size) {
                let Ok(proof) = prove_inclusion(&source, at as u64, size as u64);
                assert_eq!(proof, path(at, tree), "{at} of {size}");
                assert_eq!(verify_inclusion(&tree[at], at as u64, size as u64, &proof, &root), Ok(()));
            }
            for old in (1..=size).filter(|old| size < 70 || old % 41 == 0 || old + 1 == size) {
                let Ok(proof) = prove_consistency(&source, old as u64, size as u64);
                assert_eq!(proof, subproof(old, tree, true), "{old} of {size}");
                let old_root = naive::root(&tree[..old]);
                assert_eq!(verify_consistency((old as u64, &old_root), (size as u64, &root), &proof), Ok(()));
            }
        }
    }

    #[test]
    fn a_proof_with_any_bit_flipped_cut_or_longer_proves_nothing() {
        let leaves = naive::leaves(64);
        let source = kept(&leaves);
        for size in (1..=33_usize).chain([47, 63, 64]) {
            let root = naive::root(&leaves[..size]);
            for at in 0..size {
                let Ok(proof) = prove_inclusion(&source, at as u64, size as u64);
                let holds =
                    |proof: &[Hash]| verify_inclusion(&leaves[at], at as u64, size as u64, proof, &root).is_ok();
                spoiled(&proof).for_each(|spoiled| assert!(!holds(&spoiled), "{at} of {size}"));
                let (old, old_root) = (at as u64, naive::root(&leaves[..at]));
                let Ok(proof) = prove_consistency(&source, old, size as u64);
                let holds = |proof: &[Hash]| verify_consistency((old, &old_root), (size as u64, &root), proof).is_ok();
                assert_eq!(holds(&proof), old > 0);
                spoiled(&proof).for_each(|spoiled| assert!(!holds(&spoiled), "{old} to {size}"));
            }
        }
    }

    fn spoiled(proof: &[Hash]) -> impl Iterator<Item = Vec<Hash>> {
        let flipped = (0..proof.len() * 256).map(|bit| {
            let mut proof = proof.to_vec();
            proof[bit / 256][bit % 256 / 8] ^= 1 << (bit % 8);
            proof
        });
        let cut = proof.split_last().map(|(_, rest)| rest.to_vec());
        let longer = [proof, &[[0; 32]]].concat();
        flipped.chain(cut).chain([longer])
    }

    #[test]
    fn other_numbers_prove_nothing() {
        let leaves = naive::leaves(40);
        let source = kept(&leaves);
        let root = naive::root(&leaves);
        for at in 0..40 {
            let Ok(proof) = prove_inclusion(&source, at, 40);
            for other in (0..60).filter(|other| *other != at) {
                assert!(verify_inclusion(&leaves[at as usize], other, 40, &proof, &root).is_err(), "{at} as {other}");
            }
        }
        assert_eq!(verify_inclusion(&leaves[0], 0, 0, &[], &root), Err(ProofError::NoSuchLeaf { index: 0, size: 0 }));
        assert_eq!(verify_consistency((2, &root), (1, &root), &[]), Err(ProofError::Shrunk { old: 2, new: 1 }));
    }

    #[test]
    fn sizes_near_the_end_of_numbers_do_not_panic() {
        let hash = [7; 32];
        for index in [0, 1, u64::MAX / 2, u64::MAX - 1] {
            assert!(verify_inclusion(&hash, index, u64::MAX, &[hash; 64], &hash).is_err());
            assert!(verify_consistency((index, &hash), (u64::MAX, &hash), &[hash; 70]).is_err());
        }
    }
}
