//! The root of the Merkle tree over the log.

use chartvault_verify::merkle::Frontier;

use super::Unlocked;
use crate::audit::leaf_hash;
use crate::error::Error;

/// Entries read at once.
const CHUNK: u64 = 1_000;

impl Unlocked {
    /// The root over the first `size` entries (RFC 6962). Reads all of them.
    pub(crate) fn log_root(&self, size: u64) -> Result<[u8; 32], Error> {
        let (mut frontier, mut next) = (Frontier::default(), 0);
        while next < size {
            let limit = usize::try_from(CHUNK.min(size - next)).unwrap_or(usize::MAX);
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
