//! The root of the Merkle tree over the log.

use super::Unlocked;
use crate::audit::leaf_hash;
use crate::crypto::hash;
use crate::error::Error;

/// Entries read at once.
const CHUNK: u64 = 1_000;

impl Unlocked {
    /// The root over the first `size` entries (RFC 6962). Reads all of them.
    pub(crate) fn log_root(&self, size: u64) -> Result<[u8; 32], Error> {
        let (mut stack, mut next): (Vec<[u8; 32]>, u64) = (Vec::new(), 0);
        while next < size {
            let limit = usize::try_from(CHUNK.min(size - next)).unwrap_or(usize::MAX);
            let entries = self.committer.storage().entries(next, limit)?;
            if entries.is_empty() {
                return Err(Error::TamperedRow { what: "audit log" });
            }
            for (seq, entry) in entries {
                push(&mut stack, seq, leaf_hash(&entry));
                next = seq.saturating_add(1);
            }
        }
        let joined = stack.into_iter().rev().reduce(|right, left| node(&left, &right));
        Ok(joined.unwrap_or_else(|| hash::sha256(&[])))
    }
}

/// Adds the leaf of this number to the roots of the whole trees before it.
fn push(stack: &mut Vec<[u8; 32]>, seq: u64, leaf: [u8; 32]) {
    let mut hash = leaf;
    for _ in 0..seq.trailing_ones() {
        if let Some(left) = stack.pop() {
            hash = node(&left, &hash);
        }
    }
    stack.push(hash);
}

fn node(left: &[u8; 32], right: &[u8; 32]) -> [u8; 32] {
    hash::sha256(&[&[1], left, right])
}
