//! The Merkle tree over the log (RFC 6962): roots and proofs, worked out from the entries.

use chartvault_verify::merkle::{Frontier, TileId, TileSource, prove_consistency};

use super::Unlocked;
use crate::audit::leaf_hash;
use crate::error::Error;

/// Entries read at once.
const CHUNK: u64 = 1_000;
/// Hashes of a tile.
const TILE: u64 = 256;

impl Unlocked {
    /// The root over the first `size` entries. Reads all of them.
    pub(crate) fn log_root(&self, size: u64) -> Result<[u8; 32], Error> {
        self.root_of(0, size)
    }

    /// The proof that a log of `new` entries goes on from one of `old`.
    pub(crate) fn log_consistency(&self, old: u64, new: u64) -> Result<Vec<[u8; 32]>, Error> {
        prove_consistency(&Tiles(self), old, new)
    }

    /// The root over `count` entries from number `from` on.
    fn root_of(&self, from: u64, count: u64) -> Result<[u8; 32], Error> {
        let (mut frontier, mut next, end) = (Frontier::default(), from, from.saturating_add(count));
        while next < end {
            let limit = usize::try_from(CHUNK.min(end - next)).unwrap_or(usize::MAX);
            let entries = self.committer.storage().entries(next, limit)?;
            if entries.is_empty() {
                return Err(Error::TamperedRow { what: "audit log" });
            }
            for (seq, entry) in entries {
                frontier.push(leaf_hash(&entry), &mut |_, _| ());
                next = seq.saturating_add(1);
            }
        }
        Ok(frontier.root())
    }
}

/// Makes tiles out of the entries.
struct Tiles<'u>(&'u Unlocked);

impl TileSource for Tiles<'_> {
    type Error = Error;

    fn tile(&self, id: TileId, width: u16) -> Result<Vec<[u8; 32]>, Error> {
        let outside = || Error::TamperedRow { what: "audit log" };
        let each = TILE.checked_pow(u32::from(id.level)).ok_or_else(outside)?;
        let first = id.index.checked_mul(TILE).ok_or_else(outside)?;
        let root = |at: u64| {
            let from = first.checked_add(at).and_then(|place| place.checked_mul(each)).ok_or_else(outside)?;
            self.0.root_of(from, each)
        };
        (0..u64::from(width)).map(root).collect()
    }
}
