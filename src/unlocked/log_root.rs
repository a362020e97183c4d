//! Roots of the log's Merkle tree, and proofs under them.
//!
//! The edge of the tree, which is in memory and grows with the log, is what all is held against: tiles that lead elsewhere
//! are passed over, and whatever the entries then do not prove is not given out.

use std::ops::Range;

use chartvault_verify::merkle::{
    Hash, Range as Leaves, TILE_WIDTH, TileId, TileSource, prove_consistency, prove_inclusion, root_at,
    verify_consistency, verify_inclusion,
};

use super::Unlocked;
use super::log_tiles::Tiles;
use crate::audit::LogProofError;
use crate::committer::LogTree;
use crate::error::Error;

impl Unlocked {
    /// Entries and root of the log as far as it is durable.
    pub(crate) fn log_tree(&self) -> Result<(u64, Hash), Error> {
        let tree = self.committer.log_tree().ok_or(LogProofError::NoTree)?;
        Ok((tree.edge.size(), tree.edge.root()))
    }

    /// The root of the log's first `size` entries, proved to be of the log as it is now.
    pub(crate) fn log_root(&self, size: u64) -> Result<Hash, Error> {
        self.held_against_edge(size, |source| root_at(source, size), |root| (*root, true))
    }

    /// The proof that entry `seq`, given as its leaf hash, is under a root that is known to be this log's.
    pub(crate) fn log_inclusion(&self, (seq, leaf): (u64, &Hash), size: u64, root: &Hash) -> Result<Vec<Hash>, Error> {
        let sound = |proof: &Vec<Hash>| (*root, verify_inclusion(leaf, seq, size, proof, root).is_ok());
        self.held_against_edge(size, |source| prove_inclusion(source, seq, size), sound)
    }

    /// The proof that the log with one size and root is the beginning of that with another; both known to be this log's.
    pub(crate) fn log_consistency(&self, old: (u64, &Hash), new: (u64, &Hash)) -> Result<Vec<Hash>, Error> {
        let sound = |proof: &Vec<Hash>| (*new.1, verify_consistency(old, new, proof).is_ok());
        self.held_against_edge(new.0, |source| prove_consistency(source, old.0, new.0), sound)
    }

    /// The leaves before and behind some entries of a log whose size and root are known to be this one's.
    pub(crate) fn log_beside(
        &self,
        entries: Range<u64>,
        (size, root): (u64, &Hash),
    ) -> Result<(Leaves, Leaves), Error> {
        let make = |source: &Tiles<'_>| {
            let between = Leaves::of_tiles(source, entries.start, entries.end)?;
            let (left, right) =
                (Leaves::of_tiles(source, 0, entries.start)?, Leaves::of_tiles(source, entries.end, size)?);
            Ok((left, between, right))
        };
        let sound = |(left, between, right): &(Leaves, Leaves, Leaves)| {
            let whole = left.clone().join(between).and_then(|leaves| leaves.join(right));
            (*root, whole.and_then(|leaves| leaves.root()) == Some(*root))
        };
        let (left, _, right) = self.held_against_edge(size, make, sound)?;
        Ok((left, right))
    }

    /// Whether these are the last leaves of the log as it was once, and that is the beginning of the log as it is now. What
    /// stands before them is taken out of tiles, or out of the entries.
    pub(crate) fn log_ends_in(&self, leaves: &Leaves) -> Result<bool, Error> {
        let LogTree { edge, seal } = self.committer.log_tree().ok_or(LogProofError::NoTree)?;
        let (size, entries) = (leaves.end(), edge.size());
        if size > entries {
            return Ok(false);
        }
        // Of tiles that lead elsewhere only the check of tiles tells.
        for stored in [true, false] {
            let source = Tiles::new(self, &seal, stored);
            let before = Leaves::of_tiles(&source, 0, leaves.start())?;
            let whole = before.join(leaves).and_then(|leaves| leaves.root());
            let proof = prove_consistency(&source, size, entries)?;
            let is_ours = |root: &Hash| verify_consistency((size, root), (entries, &edge.root()), &proof).is_ok();
            if size == 0 || whole.is_some_and(|root| is_ours(&root)) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Whether the log has, or had before it was pruned, these leaves from number `first` on.
    pub(crate) fn had(&self, first: u64, leaves: &Leaves) -> Result<bool, Error> {
        let (size, root) = self.log_tree()?;
        let (left, right) = self.log_beside(first..leaves.end(), (size, &root))?;
        let whole = left.join(leaves).and_then(|leaves| leaves.join(&right));
        Ok(whole.and_then(|leaves| leaves.root()) == Some(root))
    }

    /// The leaf of an entry that was pruned, proved to be of the log as it is now.
    pub(crate) fn pruned_leaf(&self, seq: u64) -> Result<Hash, Error> {
        let (size, root) = self.log_tree()?;
        let width = u64::from(TILE_WIDTH);
        let (id, at) = (TileId { level: 0, index: seq / width }, usize::try_from(seq % width).unwrap_or(usize::MAX));
        let make = |source: &Tiles<'_>| {
            let leaf = source.tile(id, TILE_WIDTH)?.get(at).copied().ok_or_else(|| source.lost(id))?;
            Ok((leaf, prove_inclusion(source, seq, size)?))
        };
        let sound = |(leaf, proof): &(Hash, Vec<Hash>)| (root, verify_inclusion(leaf, seq, size, proof, &root).is_ok());
        Ok(self.held_against_edge(size, make, sound)?.0)
    }

    /// What tiles give, or else the entries; only if the root that it is about is proved to be of the log as it is now.
    fn held_against_edge<T>(
        &self,
        size: u64,
        make: impl Fn(&Tiles<'_>) -> Result<T, Error>,
        check: impl Fn(&T) -> (Hash, bool),
    ) -> Result<T, Error> {
        let LogTree { edge, seal } = self.committer.log_tree().ok_or(LogProofError::NoTree)?;
        let (entries, root) = (edge.size(), edge.root());
        if size > entries {
            return Err(LogProofError::Ahead { size, entries }.into());
        }
        for stored in [true, false] {
            let source = Tiles::new(self, &seal, stored);
            let made = make(&source)?;
            let (at, sound) = check(&made);
            let proof = prove_consistency(&source, size, entries)?;
            // Every tree begins with none.
            let is_ours = size == 0 || verify_consistency((size, &at), (entries, &root), &proof).is_ok();
            if sound && is_ours {
                return Ok(made);
            }
        }
        Err(LogProofError::Unproved { size }.into())
    }
}
