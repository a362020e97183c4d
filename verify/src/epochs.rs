//! Signing epochs: each epoch's key signs a final checkpoint, which names the key of the next one, and is destroyed. Whoever
//! pins one key follows the chain from there.

use data_encoding::BASE64;

use crate::note::{Checkpoint, Note, SignatureKind, VerifierKey};

/// The log's name for a vault: `chartvault.local/` and its id in 32 hexadecimal digits.
#[must_use]
pub fn origin(vault: &[u8; 16]) -> String {
    format!("chartvault.local/{}", data_encoding::HEXLOWER.encode(vault))
}

/// An epoch that was closed: its entries are those before `size`.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ClosedEpoch {
    /// Its number.
    pub epoch: u32,
    /// Its final checkpoint.
    pub checkpoint: Checkpoint,
}

/// The keys that are trusted, and the epochs that they closed.
#[derive(Clone, Debug)]
pub struct Epochs {
    origin: String,
    keys: Vec<VerifierKey>,
    closed: Vec<ClosedEpoch>,
}

/// Why a final checkpoint does not continue the chain of keys.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum EpochFault {
    /// It is no signed checkpoint of this log with a next key.
    #[error("a final checkpoint is none: {0}")]
    Malformed(String),
    /// No key that is trusted so far signed it: the chain of keys is broken before it, or it is forged.
    #[error(
        "the final checkpoint of epoch {epoch} is not signed by a key that is trusted: the chain of keys breaks before it"
    )]
    Untrusted {
        /// The epoch that it says to close.
        epoch: u32,
    },
    /// The epoch was closed before, or it ends before the one before it.
    #[error("epoch {epoch} is closed twice, or ends before the epoch before it")]
    Twice {
        /// The epoch.
        epoch: u32,
    },
}

impl Epochs {
    /// Trusts those of the keys that are of this log.
    #[must_use]
    pub fn new(vault: &[u8; 16], pinned: &[VerifierKey]) -> Self {
        let origin = origin(vault);
        let keys = pinned.iter().filter(|key| key.name() == origin && key.kind() == SignatureKind::Ed25519);
        Self { keys: keys.cloned().collect(), origin, closed: Vec::new() }
    }

    /// The keys that are trusted by now.
    #[must_use]
    pub fn keys(&self) -> &[VerifierKey] {
        &self.keys
    }

    /// The epochs that are known to be closed, in order.
    #[must_use]
    pub fn closed(&self) -> &[ClosedEpoch] {
        &self.closed
    }

    /// Takes in the final checkpoint of the next epoch; the key that it names is trusted from now on.
    ///
    /// # Errors
    /// [`EpochFault`]; then nothing more is trusted than before.
    pub fn close(&mut self, note: &str) -> Result<ClosedEpoch, EpochFault> {
        let malformed = |what: &dyn ToString| EpochFault::Malformed(what.to_string());
        let note: Note = note.parse().map_err(|error| malformed(&error))?;
        let checkpoint: Checkpoint = note.text().parse().map_err(|error| malformed(&error))?;
        if checkpoint.origin != self.origin {
            return Err(malformed(&"it is of another log"));
        }
        let (number, key) = checkpoint
            .extension("next-key")
            .and_then(|line| line.split_once(' '))
            .ok_or_else(|| malformed(&"it names no next key"))?;
        let number: Option<u32> = number.parse().ok().filter(|parsed: &u32| parsed.to_string() == number);
        let epoch = number.and_then(|next| next.checked_sub(1)).filter(|epoch| *epoch > 0);
        let epoch = epoch.ok_or_else(|| malformed(&"the number of its next epoch is none"))?;
        let key = BASE64.decode(key.as_bytes()).ok().and_then(|key| <[u8; 32]>::try_from(key).ok());
        let key = key.and_then(|key| VerifierKey::new(&self.origin, SignatureKind::Ed25519, &key).ok());
        let key = key.ok_or_else(|| malformed(&"its next key is none"))?;
        if note.verify(&self.keys).is_err() {
            return Err(EpochFault::Untrusted { epoch });
        }
        if self.closed.last().is_some_and(|last| last.epoch >= epoch || last.checkpoint.size > checkpoint.size) {
            return Err(EpochFault::Twice { epoch });
        }
        if !self.keys.contains(&key) {
            self.keys.push(key);
        }
        let closed = ClosedEpoch { epoch, checkpoint };
        self.closed.push(closed.clone());
        Ok(closed)
    }

    /// Whether an entry of this number may belong to this epoch, by what is known to be closed.
    #[must_use]
    pub fn may_hold(&self, epoch: u32, seq: u64) -> bool {
        self.closed.iter().all(|closed| (seq < closed.checkpoint.size) == (epoch <= closed.epoch))
    }

    /// Whether epoch `epoch` is known to have ended in front of entry `seq`.
    #[must_use]
    pub fn ended_before(&self, epoch: u32, seq: u64) -> bool {
        self.closed.iter().any(|closed| closed.epoch == epoch && closed.checkpoint.size == seq)
    }
}
