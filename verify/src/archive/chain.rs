//! Entries by what anyone can read of them: whose they are, their numbers, and the link to the one before.

use super::ArchiveError;
use crate::merkle::{Frontier, Hash, leaf_hash};

const MAGIC: &[u8] = b"CVA1";
/// Kind of an entry in the place of one that was lost: nobody knows the hash of that one.
const LOST: u8 = 60;
/// What can be read without a key.
const FRONT: usize = 78;

/// A stretch of the log, entry by entry.
#[derive(Debug)]
pub(super) struct Chain {
    vault: [u8; 16],
    pub(super) next: u64,
    end: u64,
    /// Leaf hash of the newest entry, and whether that is known to be the one that the next names.
    before: Option<(Hash, bool)>,
    tree: Frontier,
}

impl Chain {
    pub(super) fn new(vault: [u8; 16], first: u64, end: u64) -> Self {
        Self { vault, next: first, end, before: None, tree: Frontier::default() }
    }

    /// Entries that are still to come.
    pub(super) const fn left(&self) -> u64 {
        self.end.saturating_sub(self.next)
    }

    pub(super) fn push(&mut self, entry: &[u8]) -> Result<(), ArchiveError> {
        let seq = self.next;
        let bad = |why| ArchiveError::Entry { seq, why };
        let front = entry.first_chunk::<FRONT>().ok_or_else(|| bad("is too short"))?;
        if !front.starts_with(MAGIC) {
            return Err(bad("is none"));
        }
        if front.get(6..22) != Some(&self.vault) {
            return Err(bad("is of another vault"));
        }
        if front.get(22..30) != Some(&seq.to_be_bytes()) {
            return Err(bad("has another number"));
        }
        let is_lost = front.get(4) == Some(&LOST);
        let linked = self.before.is_none_or(|(leaf, known)| front.get(46..78) == Some(&leaf) || (!known && !is_lost));
        if !linked {
            return Err(bad("does not name the one before it"));
        }
        let leaf = leaf_hash(entry);
        self.before = Some((leaf, !is_lost));
        self.tree.push(leaf, &mut |_, _| ());
        self.next = seq.saturating_add(1);
        Ok(())
    }

    /// Root, and leaf hash of the last entry; once all came.
    pub(super) fn end(&self) -> (Hash, Hash) {
        (self.tree.root(), self.before.map_or([0; 32], |(leaf, _)| leaf))
    }
}
