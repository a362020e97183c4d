//! What can go wrong below the records: each error says what, where, and what to do.

use std::io;
use std::path::PathBuf;

/// An error of the storage under a vault.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StorageError {
    /// The operating system refused.
    #[error("{doing} {path:?} failed; check the disk and the permissions, then open the vault again")]
    Io {
        /// What was being done.
        doing: &'static str,
        /// To which file or directory.
        path: PathBuf,
        /// The operating system's answer.
        source: io::Error,
    },
    /// There is no room. Nothing was lost; what could not be written was not acknowledged.
    #[error("no space left for {path:?}; free some space and try again")]
    DiskFull {
        /// The file that could not grow.
        path: PathBuf,
    },
    /// The journal holds bytes that it never wrote. Nothing was changed.
    #[error(
        "the journal is damaged: {what} at byte {offset} of {segment:?}; keep all files as they are, and restore from a backup or salvage"
    )]
    Damaged {
        /// The segment file.
        segment: PathBuf,
        /// Where in it, in bytes.
        offset: u64,
        /// What is wrong there.
        what: &'static str,
    },
    /// Something remembers a later state than the journal holds: the journal was cut or an older copy was put back.
    #[error(
        "the journal ends at frame {journal}, but {witness} knows frame {evidence}; an older journal was put back or its end is missing: restore the newest one"
    )]
    JournalBehind {
        /// The journal's last frame.
        journal: u64,
        /// The frame that is known to have existed.
        evidence: u64,
        /// What knows of it.
        witness: &'static str,
    },
    /// The header is older than the journal says it may be: credentials that were removed could work again.
    #[error("the header has generation {header}, but the journal has seen {journal}; put the newest header back")]
    HeaderRolledBack {
        /// Generation of the header that was given.
        header: u64,
        /// Newest generation in the journal.
        journal: u64,
    },
    /// Even trees rebuilt from the journal do not match the state digest.
    #[error(
        "the rebuilt trees do not match the state digest ({what}); keep all files as they are and restore from a backup"
    )]
    StateDamaged {
        /// What differs.
        what: &'static str,
    },
    /// An audit entry that was committed cannot be found, not even in the journal.
    #[error("audit entry {seq} is missing; keep all files as they are and restore from a backup")]
    Missing {
        /// Its number.
        seq: u64,
    },
    /// A stored file has a format that this version does not know.
    #[error("{path:?} has format {found}; this version reads up to {newest}: use a newer version")]
    UnknownFormat {
        /// The file.
        path: PathBuf,
        /// The format found.
        found: u16,
        /// The newest format known.
        newest: u16,
    },
    /// A file belongs to another vault.
    #[error("{path:?} belongs to another vault; put this vault's own file back")]
    OtherVault {
        /// The file.
        path: PathBuf,
    },
    /// The tree engine failed. The journal is whole; opening the vault again rebuilds what is needed.
    #[error(
        "the trees failed while {doing}: {reason}; open the vault again (they are rebuilt from the journal if need be)"
    )]
    Trees {
        /// What was being done.
        doing: &'static str,
        /// The engine's own words.
        reason: String,
    },
    /// Another process, or another handle of this one, has the vault open.
    #[error("{path:?} is in use; close the vault where it is open, then try again")]
    InUse {
        /// What is in use.
        path: PathBuf,
    },
    /// An earlier failure made it unsafe to go on.
    #[error("the vault stopped after a failure ({cause}); close it and open it again")]
    Poisoned {
        /// The first failure.
        cause: String,
    },
    /// The vault was closed.
    #[error("the vault is closed; open it again")]
    Closed,
    /// One commit may not be larger than a journal frame. Nothing was written.
    #[error("the batch takes {len} bytes; at most {limit} fit in one commit: split it")]
    BatchTooLarge {
        /// Bytes that the batch would take.
        len: u64,
        /// Bytes that fit.
        limit: u64,
    },
    /// The caller asked for something that storage never does. Nothing was written.
    #[error("storage refused: {why}")]
    Refused {
        /// The rule.
        why: &'static str,
    },
    /// There is something already where a vault was to be created.
    #[error("{path:?} exists already; open it, or choose another place")]
    AlreadyExists {
        /// The place.
        path: PathBuf,
    },
    /// There is no journal here.
    #[error("{path:?} holds no vault; check the path")]
    NotAVault {
        /// The place.
        path: PathBuf,
    },
    /// The log was pruned: entries from there on are not kept any more.
    #[error("entries below {first} were pruned; read from {first} on, or look in the archive of what was pruned")]
    Pruned {
        /// Number of the oldest entry that is kept.
        first: u64,
    },
}

impl StorageError {
    /// Whether it is about one value, which the disk does not give any more. Anything else may pass.
    pub(crate) fn is_of_one_value(&self) -> bool {
        matches!(self, Self::Damaged { .. } | Self::Io { doing: "reading", .. })
    }
}

/// Why a commit was not acknowledged.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CommitError {
    /// The head has moved: refresh, decide again, and try again. Nothing was written.
    #[error("the head moved to frame {}", actual.seq)]
    Conflict { actual: super::Head },
    /// Nothing was written.
    #[error("nothing was committed")]
    NotCommitted(#[source] StorageError),
    /// Writing or syncing failed; whether the batch is kept shows when the vault is opened again.
    #[error("whether the batch was committed is unknown; open the vault again to see")]
    OutcomeUnknown(#[source] StorageError),
}
