//! Proofs about the log for those who hold a checkpoint of it and nothing else.

use chartvault_verify::merkle::verify_consistency;

use super::{AuditView, access, read};
use crate::audit::{AuditEvent, AuditFault, Checkpoint, EntryRef, FaultKind, LogProofError};
use crate::error::Error;
use crate::session::access::{Done, Hold, Op, Refused};
use crate::unlocked::Unlocked;

/// That an entry is in the log of a checkpoint, at its place (RFC 6962, section 2.1.1). Holds no secret: it says nothing of
/// what the entry is about. Verified by `chartvault_verify::merkle::verify_inclusion`, without a vault.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct InclusionProof {
    /// Number of the entry.
    pub seq: u64,
    /// Entries of the checkpoint's log.
    pub size: u64,
    /// `SHA-256(0x00 ‖ entry)`.
    pub leaf: [u8; 32],
    /// The path from the leaf up.
    pub hashes: Vec<[u8; 32]>,
}

/// That the log of an earlier checkpoint is the beginning of that of a later one (RFC 6962, section 2.1.2). Verified by
/// `chartvault_verify::merkle::verify_consistency`, without a vault.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ConsistencyProof {
    /// Entries of the earlier log.
    pub old: u64,
    /// Entries of the later log.
    pub new: u64,
    /// The proof; none where both are the same.
    pub hashes: Vec<[u8; 32]>,
}

impl AuditView<'_> {
    /// Proves that an entry is in the log of a checkpoint. It is verified before it is given out. The entry can be one that was
    /// pruned, and that somebody has from the archive: the hashes beside it are still there.
    ///
    /// # Errors
    /// [`Error::LogProof`] where the checkpoint is not of this log, or has no such entry, [`Error::Audit`] where an entry is not sound, and what [`Session`]
    /// lists.
    ///
    /// [`Session`]: crate::Session
    pub fn prove(self, seq: u64, under: &Checkpoint) -> Result<InclusionProof, Error> {
        let op = self.0.begin(access(AuditEvent::ProofGiven))?;
        op.run(Hold::Nothing, |op| {
            let proof = inclusion(&op.unlocked, seq, under)?;
            let told = format!("entry {seq} of {}", under.size);
            Ok(Done { detail: Some(told), ..Done::read(proof, Vec::new()) })
        })
    }

    /// Proves that the log of one checkpoint is the beginning of that of another: nothing was taken out, changed or put in
    /// between. It is verified before it is given out.
    ///
    /// # Errors
    /// [`Error::LogProof`] where one of them is not of this log, or `old` is not the earlier one, and what [`Session`] lists.
    ///
    /// [`Session`]: crate::Session
    pub fn prove_consistency(self, old: &Checkpoint, new: &Checkpoint) -> Result<ConsistencyProof, Error> {
        let op = self.0.begin(access(AuditEvent::ProofGiven))?;
        op.run(Hold::Nothing, |op| {
            let proof = consistency(op, old, new)?;
            let told = format!("{} entries are the beginning of {}", old.size, new.size);
            Ok(Done { detail: Some(told), ..Done::read(proof, Vec::new()) })
        })
    }
}

fn consistency(op: &Op<'_>, old: &Checkpoint, new: &Checkpoint) -> Result<ConsistencyProof, Refused> {
    let (from, to) = ((old.size, &old.root), (new.size, &new.root));
    if old.size == 0 || old.size > new.size {
        return Err(Error::from(LogProofError::NotEarlier { old: old.size, new: new.size }).into());
    }
    is_ours(&op.unlocked, new)?;
    is_ours(&op.unlocked, old)?;
    let hashes = op.unlocked.log_consistency(from, to)?;
    verify_consistency(from, to, &hashes).map_err(|_| Error::from(LogProofError::Unproved { size: new.size }))?;
    Ok(ConsistencyProof { old: old.size, new: new.size, hashes })
}

/// The proof that an entry is under a checkpoint of this log.
pub(super) fn inclusion(unlocked: &Unlocked, seq: u64, under: &Checkpoint) -> Result<InclusionProof, Error> {
    is_ours(unlocked, under)?;
    let size = under.size;
    if seq >= size {
        return Err(LogProofError::NoSuchEntry { seq, size }.into());
    }
    let pruned = seq < unlocked.committer.storage().first_entry();
    let leaf = if pruned { unlocked.pruned_leaf(seq)? } else { entry(unlocked, seq)?.1 };
    let hashes = unlocked.log_inclusion((seq, &leaf), size, &under.root)?;
    Ok(InclusionProof { seq, size, leaf, hashes })
}

/// An entry as it is stored, and its leaf hash.
pub(super) fn entry(unlocked: &Unlocked, seq: u64) -> Result<(Vec<u8>, [u8; 32]), Error> {
    let first = unlocked.committer.storage().first_entry();
    if seq < first {
        return Err(LogProofError::Pruned { seq, first }.into());
    }
    let found = read(unlocked.committer.storage(), seq, 1)?;
    let fault = |what| AuditFault { seq, what };
    let cut = || fault(FaultKind::TruncatedTail { last: seq.saturating_sub(1) });
    let bytes = found.first().ok_or_else(cut)?.1.to_vec();
    let leaf = EntryRef::parse(&bytes).map_err(|defect| fault(FaultKind::Malformed(defect)))?.leaf();
    Ok((bytes, leaf))
}

/// A checkpoint's signatures say who made it; here only what this log was counts.
pub(super) fn is_ours(unlocked: &Unlocked, checkpoint: &Checkpoint) -> Result<(), Error> {
    let ours = format!("chartvault.local/{}", data_encoding::HEXLOWER.encode(unlocked.vault.as_bytes()));
    let size = checkpoint.size;
    if checkpoint.origin() != ours {
        return Err(LogProofError::OtherLog.into());
    }
    let (entries, root) = unlocked.log_tree()?;
    let there = if size == entries { root } else { unlocked.log_root(size)? };
    if there != checkpoint.root {
        return Err(LogProofError::OtherRoot { size }.into());
    }
    Ok(())
}
