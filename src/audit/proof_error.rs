//! Why a proof about the log is not given.

/// Why the root of the log's Merkle tree, or a proof about it, cannot be given. See
/// [`AuditView::prove`](crate::AuditView::prove).
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LogProofError {
    /// The tree was not built when the vault was opened, since an entry could not be read or was not sound.
    #[error(
        "there is no tree over the log, as entries of it could not be read when the vault was opened; check the vault, and \
         open it again once it is mended"
    )]
    NoTree,
    /// The log has no such entry.
    #[error("the log has {size} entries, the first of them number 0, and none of number {seq}")]
    NoSuchEntry {
        /// Its number.
        seq: u64,
        /// Entries of the log, or of the checkpoint under which it was looked for.
        size: u64,
    },
    /// A checkpoint is of more entries than the log has: the log was cut, or the checkpoint is not of it.
    #[error(
        "the checkpoint is of {size} entries, and the log has {entries}; it was cut, or the checkpoint is of another"
    )]
    Ahead {
        /// Entries of the checkpoint.
        size: u64,
        /// Entries of the log.
        entries: u64,
    },
    /// A checkpoint names another root than the log has there: the log was rewritten, or the checkpoint is not of it.
    #[error(
        "the log had another root when it had {size} entries; it was rewritten, or the checkpoint is of another log"
    )]
    OtherRoot {
        /// Entries of the checkpoint.
        size: u64,
    },
    /// The checkpoint says that it is of another log.
    #[error("the checkpoint is of another vault's log; ask that vault")]
    OtherLog,
    /// Two checkpoints in the wrong order, or an earlier one without entries, of which nothing can be proved.
    #[error(
        "a checkpoint of {old} entries is not an earlier one than that of {new}; give the one with fewer entries first"
    )]
    NotEarlier {
        /// Entries of what should be the earlier.
        old: u64,
        /// Entries of the later.
        new: u64,
    },
    /// What was proved does not lead to the root of the log, though the tiles were made anew: an entry was changed.
    #[error(
        "the entries below number {size} do not lead to the root of the log; verify the log to learn which was changed"
    )]
    Unproved {
        /// How many were to be proved.
        size: u64,
    },
    /// The entry was pruned: it is in the archive that the log names, and not in the vault.
    #[error("entry {seq} was pruned, and the log begins with {first}; take it from the archive that was made before")]
    Pruned {
        /// Its number.
        seq: u64,
        /// The first entry of the log.
        first: u64,
    },
}
