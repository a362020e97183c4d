//! The Merkle tree of RFC 6962, section 2: hashing, tiles, proofs.

mod frontier;
mod proof;
mod range;
mod tile;

use sha2::{Digest, Sha256};

pub use frontier::{Frontier, FrontierError};
pub use proof::{ProofError, prove_consistency, prove_inclusion, root_at, verify_consistency, verify_inclusion};
pub use range::Range;
pub use tile::{TILE_WIDTH, TileId, TileSource};

/// A SHA-256 hash: of a leaf, of a node, or of a whole tree.
pub type Hash = [u8; 32];

/// The hash of a leaf: `SHA-256(0x00 ‖ entry)`.
#[must_use]
pub fn leaf_hash(entry: &[u8]) -> Hash {
    Sha256::new_with_prefix([0]).chain_update(entry).finalize().into()
}

/// The hash of a node: `SHA-256(0x01 ‖ left ‖ right)`.
#[must_use]
pub fn node_hash(left: &Hash, right: &Hash) -> Hash {
    Sha256::new_with_prefix([1]).chain_update(left).chain_update(right).finalize().into()
}

/// The root of the tree without leaves: `SHA-256()`.
#[must_use]
pub fn empty_root() -> Hash {
    Sha256::digest([]).into()
}

/// The root over nodes each of which stands for a perfect tree of the same size, and over what stands right of them and is
/// smaller; nothing for nothing.
fn root_of(nodes: &[Hash], mut right: Option<Hash>) -> Option<Hash> {
    let mut end = nodes.len();
    // From the smallest perfect tree on the right to the largest on the left.
    while end > 0 {
        let size = 1_usize << end.trailing_zeros();
        let perfect = perfect_root(nodes.get(end - size..end)?)?;
        right = Some(right.map_or(perfect, |right| node_hash(&perfect, &right)));
        end -= size;
    }
    right
}

/// The hash that stands for a full tile in the tile above it; of any power of two of hashes. Nothing for no hashes.
#[must_use]
pub fn tile_root(hashes: &[Hash]) -> Option<Hash> {
    perfect_root(hashes)
}

/// The root over a power of two of nodes.
fn perfect_root(nodes: &[Hash]) -> Option<Hash> {
    let mut level = nodes.to_vec();
    while level.len() > 1 {
        level = level.chunks(2).filter_map(|pair| Some(node_hash(pair.first()?, pair.get(1)?))).collect();
    }
    level.first().copied()
}

#[cfg(test)]
pub(crate) mod naive {
    //! The tree by its definition.
    use super::*;

    pub(crate) fn leaves(n: usize) -> Vec<Hash> {
        (0..n).map(|at| leaf_hash(&at.to_be_bytes())).collect()
    }

    pub(crate) fn root(leaves: &[Hash]) -> Hash {
        match leaves {
            [] => empty_root(),
            [one] => *one,
            several => {
                let (left, right) = several.split_at(split(several.len()));
                node_hash(&root(left), &root(right))
            }
        }
    }

    /// The largest power of two below `n`.
    pub(crate) fn split(n: usize) -> usize {
        let next = n.next_power_of_two();
        if next == n { n / 2 } else { next / 2 }
    }
}

#[cfg(test)]
mod definition;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn roots_over_nodes_are_those_of_the_definition() {
        for n in 0..300 {
            let leaves = naive::leaves(n);
            assert_eq!(root_of(&leaves, None).unwrap_or_else(empty_root), naive::root(&leaves), "{n}");
        }
    }

    #[test]
    fn hashes_are_those_of_rfc_6962() {
        let hex = |hash: Hash| hash.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
        assert_eq!(hex(empty_root()), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
        assert_eq!(hex(leaf_hash(b"")), "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d");
    }
}
