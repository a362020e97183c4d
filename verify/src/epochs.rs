//! Signing epochs: each epoch's key signs a final checkpoint, which names the key of the next one, and is destroyed. Whoever
//! pins one key follows the chain from there.

use crate::note::{self, Checkpoint, Note, SignatureKind, VerifierKey};

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

/// The keys that are trusted, from the one that was pinned on, and the epochs that they closed.
#[derive(Clone, Debug)]
pub struct Epochs {
    origin: String,
    /// The pinned one first, then those that final checkpoints named.
    keys: Vec<VerifierKey>,
    /// Each was closed by the key that stands at its place.
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
    /// The epoch was closed before, or it has no entry: every epoch begins with one.
    #[error("epoch {epoch} is closed twice, or ends no later than the epoch before it")]
    Twice {
        /// The epoch.
        epoch: u32,
    },
}

impl Epochs {
    /// Trusts a key of a log. One, of the oldest epoch that is known: whoever steals a later one could otherwise write in its
    /// name what was closed before.
    #[must_use]
    pub fn new(vault: &[u8; 16], pinned: Option<&VerifierKey>) -> Self {
        Self { keys: pinned.cloned().into_iter().collect(), origin: origin(vault), closed: Vec::new() }
    }

    /// The keys that may have signed a checkpoint of this size: those whose epoch was not closed before.
    #[must_use]
    pub fn keys_at(&self, size: u64) -> Vec<VerifierKey> {
        let closed = self.closed.iter().map(Some).chain([None]);
        let open =
            |(_, closed): &(&VerifierKey, Option<&ClosedEpoch>)| closed.is_none_or(|it| it.checkpoint.size >= size);
        self.keys.iter().zip(closed).filter(open).map(|(key, _)| key.clone()).collect()
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
        let (epoch, next) = self.next_key(&checkpoint).ok_or_else(|| malformed(&"it names no next key"))?;
        // The one key that may close it: the pinned one, or the one that the final checkpoint before named.
        let in_force = self.keys.get(self.closed.len()).map(std::slice::from_ref).unwrap_or_default();
        if let Some(last) = self.closed.last() {
            if epoch <= last.epoch || checkpoint.size <= last.checkpoint.size {
                return Err(EpochFault::Twice { epoch });
            }
            if epoch - last.epoch > 1 {
                return Err(EpochFault::Untrusted { epoch });
            }
        }
        if note.verify(in_force).is_err() {
            return Err(EpochFault::Untrusted { epoch });
        }
        let closed = ClosedEpoch { epoch, checkpoint };
        self.keys.push(next);
        self.closed.push(closed.clone());
        Ok(closed)
    }

    /// The number of the epoch that a final checkpoint closes, and the key of the one behind it.
    fn next_key(&self, checkpoint: &Checkpoint) -> Option<(u32, VerifierKey)> {
        let (number, key) = checkpoint.extension("next-key")?.split_once(' ')?;
        let next = number.parse::<u32>().ok().filter(|parsed| parsed.to_string() == number)?;
        let epoch = next.checked_sub(1).filter(|epoch| *epoch > 0)?;
        let key = <[u8; 32]>::try_from(note::from_base64(key)?).ok()?;
        Some((epoch, VerifierKey::new(&self.origin, SignatureKind::Ed25519, &key).ok()?))
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
