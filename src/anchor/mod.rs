//! Floor 4: where the last checkpoint of a log is kept outside its vault, so that a vault that was cut or brought back is
//! found out.

mod callback;
mod command;
mod file;
#[cfg(feature = "witness")]
mod witness;

use std::fmt;
use std::io;
use std::path::PathBuf;
use std::time::Duration;

pub use callback::CallbackAnchor;
pub use command::CommandAnchor;
pub use file::FileAnchor;
#[cfg(feature = "witness")]
pub use witness::{InvalidWitness, WitnessAnchor};

use crate::audit::Checkpoint;
use crate::ids::VaultId;

/// Keeps the last checkpoint of a log where whoever can change the vault cannot change it: on another disk, with another
/// service. Register it with [`Options::anchor`](crate::Options::anchor). Its calls are made by a thread of its own, so
/// that they may take their time, and by whoever opens the vault, who waits for [`Anchor::last`].
pub trait Anchor: Send + Sync {
    /// What the log and errors call it; no secret.
    fn name(&self) -> &str;

    /// The note of the last checkpoint of a vault that it holds; nothing if it holds none.
    ///
    /// # Errors
    /// [`AnchorError`] when it cannot say.
    fn last(&self, vault: VaultId) -> Result<Option<String>, AnchorError>;

    /// How many entries of a vault's log it says to have seen, where it knows more than the note that it can show. Asked when the
    /// vault is opened; a log that has fewer is not opened.
    ///
    /// # Errors
    /// [`AnchorError`] when it cannot say.
    fn seen(&self, vault: VaultId) -> Result<Option<u64>, AnchorError> {
        let _ = vault;
        Ok(None)
    }

    /// Keeps a checkpoint in the place of the one before, durably. `proof` gives the RFC 6962 consistency proof from an older
    /// size, for an anchor that does not take the vault's word for it; while the vault is closing there is none any more.
    ///
    /// # Errors
    /// [`AnchorError`] when it is not kept, or when it is not known whether it is.
    fn publish(&self, vault: VaultId, checkpoint: &Checkpoint, proof: ProofFrom<'_>) -> Result<(), AnchorError>;
}

/// Gives the consistency proof from a log of so many entries to the checkpoint that is published.
pub type ProofFrom<'a> = &'a dyn Fn(u64) -> Result<Vec<[u8; 32]>, AnchorError>;

/// When an anchor is given a new checkpoint, and what happens where it does not answer.
///
/// What was logged since the last one that it holds can be cut off without anybody noticing: at most so many entries or so
/// much time, whichever comes first, as long as the anchor answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AnchorPolicy {
    /// At the latest so long after something was logged. One minute by default, one second at least.
    pub every: Duration,
    /// At the latest after so many entries. 1,000 by default.
    pub entries: u64,
    /// Whether the vault opens only if the anchor can be read. No by default: opening then goes on and
    /// [`Opening::anchors_unread`](crate::Opening::anchors_unread) says so. The anchor is then given nothing before it could be
    /// read and compared with the log.
    pub required: bool,
    /// How long closing the vault waits for the anchor to take the final checkpoint. Five seconds by default.
    pub patience: Duration,
}

impl Default for AnchorPolicy {
    fn default() -> Self {
        Self { every: Duration::from_secs(60), entries: 1_000, required: false, patience: Duration::from_secs(5) }
    }
}

/// Why an anchor did not do what it was asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AnchorError {
    /// A file of it could not be read or written.
    #[error("{doing} {path} failed: {source}; see to the disk or its rights")]
    Io {
        /// What was being done.
        doing: &'static str,
        /// The file.
        path: PathBuf,
        /// The system's error.
        source: io::Error,
    },
    /// It did not answer in time.
    #[error("it did not answer within {} s; see whether it is reachable", .after.as_secs_f64())]
    TimedOut {
        /// How long it was waited for.
        after: Duration,
    },
    /// It holds a later checkpoint, or another one of the same size.
    #[error("it holds a checkpoint of {held} entries, and does not take one of {given} for it; verify the log")]
    Older {
        /// Entries of the one that it holds.
        held: u64,
        /// Entries of the one that it was given.
        given: u64,
    },
    /// It says why.
    #[error("{why}")]
    Failed {
        /// Why.
        why: String,
    },
}

/// What comparing the log with an anchor found that is neither a log brought back nor one rewritten.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AnchorFault {
    /// What the anchor holds is signed by no key of this log. Either the log was brought back to before the epoch of that key, or
    /// somebody wrote the anchor.
    #[error(
        "anchor {anchor} holds a checkpoint of {anchored} entries (the log has {found}) that no key of this log signed: the \
         log was brought back to before that key's epoch, or somebody wrote the anchor. Examine the vault, and keep both as \
         they are"
    )]
    UnknownKey {
        /// The anchor.
        anchor: String,
        /// Entries of the checkpoint, as it claims.
        anchored: u64,
        /// Entries of the log.
        found: u64,
    },
    /// What the anchor holds is no checkpoint of this log.
    #[error(
        "anchor {anchor} holds something that is no checkpoint of this log; see to the anchor, and keep it as it is"
    )]
    NoCheckpoint {
        /// The anchor.
        anchor: String,
    },
    /// The anchor could not be read, and the vault opens only if it can.
    #[error("anchor {anchor} cannot be read ({source}), and the vault is to open only if it can")]
    Unread {
        /// The anchor.
        anchor: String,
        /// Why.
        source: AnchorError,
    },
    /// The anchor says to have seen more entries than the log has, and can show no checkpoint of them.
    #[error(
        "anchor {anchor} says to have seen {seen} entries, and the log has {found}: it was brought back to an older state, or the \
         anchor is not what it was. Examine the vault, and ask whoever keeps the anchor"
    )]
    Ahead {
        /// The anchor.
        anchor: String,
        /// Entries that it says to have seen.
        seen: u64,
        /// Entries of the log.
        found: u64,
    },
}

impl fmt::Debug for dyn Anchor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Anchor({:?})", self.name())
    }
}
