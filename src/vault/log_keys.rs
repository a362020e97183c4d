//! What an outsider needs to check the log: its checkpoints, and the keys that sign them.

use super::Vault;
use crate::audit::{Checkpoint, note};
use crate::error::Error;
use crate::observe;
use crate::policy::{EpochRow, EpochStart};
use crate::terms::Action;
use crate::unlocked::Unlocked;

/// A key that signs, or signed, checkpoints of the log; see [`Vault::log_keys`].
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct LogKey {
    /// Number of its signing epoch.
    pub epoch: u32,
    /// The public key as a C2SP signed-note verifier key.
    pub vkey: String,
    /// How the epoch began. Unless that [is announced](EpochStart::is_announced), the key before says nothing of this one.
    pub start: EpochStart,
    /// Number of the epoch's first entry.
    pub first: u64,
    /// What closed the epoch: a checkpoint of all its entries, which names the next key. None as long as the epoch goes on,
    /// and of one that was never closed.
    pub final_checkpoint: Option<String>,
}

/// The keys of a log, oldest first; see [`Vault::log_keys`].
#[derive(Debug)]
pub struct LogKeys {
    vault: Vault,
    next: u32,
    last: u32,
}

impl Iterator for LogKeys {
    type Item = Result<LogKey, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        while self.next <= self.last {
            let epoch = self.next;
            self.next = self.next.checked_add(1)?;
            let found = self.vault.0.gate.enter().and_then(|unlocked| {
                let row = unlocked.epoch_row(epoch)?;
                Ok(row.map(|row| log_key(&unlocked, row)))
            });
            match found {
                // An epoch of an earlier version, which had no key, or one that was lost.
                Ok(None) => {}
                Ok(Some(key)) => return Some(Ok(key)),
                Err(error) => {
                    self.next = self.last.saturating_add(1);
                    return Some(Err(error));
                }
            }
        }
        None
    }
}

pub(super) fn log_key(unlocked: &Unlocked, row: EpochRow) -> LogKey {
    LogKey {
        epoch: row.epoch,
        vkey: note::vkey(unlocked.vault, &row.public),
        start: row.start,
        first: row.first,
        final_checkpoint: row.closed.map(|closed| closed.note),
    }
}

impl Vault {
    /// What the log is now, signed by the key of the epoch in force: its number of entries and the root of the Merkle tree over
    /// them. Entries that were answered for are durable before it is signed. It leaves no entry: nothing is accessed.
    ///
    /// ```
    /// # mod clinic { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/clinic.rs")); }
    /// # let clinic = clinic::Clinic::new();
    /// let checkpoint = clinic.vault.log_checkpoint()?;
    /// assert!(checkpoint.size > 0 && checkpoint.note.starts_with("chartvault.local/"));
    /// # Ok::<(), chartvault::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Storage`] when the log cannot be read, [`Error::Sealed`], [`Error::AuditUnavailable`].
    pub fn log_checkpoint(&self) -> Result<Checkpoint, Error> {
        observe::operation("checkpoint-signed", Action::Operate.word(), || self.0.gate.enter()?.log_checkpoint())
    }

    /// The public key of the signing epoch in force, as a C2SP signed-note verifier key: `name+hash+key`.
    ///
    /// # Errors
    /// [`Error::Sealed`].
    pub fn log_vkey(&self) -> Result<String, Error> {
        let unlocked = self.0.gate.enter()?;
        let signing = unlocked.signing.get().ok_or(Error::Sealed)?;
        Ok(note::vkey(unlocked.vault, &signing.seed.public()))
    }

    /// The keys of all signing epochs, oldest first, with what closed each. Whoever pins the first key, or any later one, follows
    /// from there: each final checkpoint is signed by its epoch's key and names the next one. Reads one at a time.
    ///
    /// ```
    /// # mod clinic { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/clinic.rs")); }
    /// # let clinic = clinic::Clinic::new();
    /// let keys = clinic.vault.log_keys()?.collect::<Result<Vec<_>, _>>()?;
    /// assert_eq!(keys[0].vkey, clinic.vault.log_vkey()?);
    /// assert_eq!(keys[0].final_checkpoint, None); // the epoch goes on
    /// # Ok::<(), chartvault::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Sealed`]; the iterator, [`Error::Storage`] and [`Error::TamperedRow`] as well.
    pub fn log_keys(&self) -> Result<LogKeys, Error> {
        let last = self.0.gate.enter()?.policy.epoch().map_or(0, |row| row.epoch);
        Ok(LogKeys { vault: self.clone(), next: 1, last })
    }
}
