//! What opening a vault found.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use super::signing::InForce;
use crate::audit::FIRST_SIGNING_EPOCH;
use crate::policy::EpochStart;
use crate::read_audit::ReadAudit;
use crate::storage::Opened;

/// How opening went. After an unclean end, or if the trees were rebuilt, it also stands in the log.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Opening {
    /// Whether the vault had been closed. If not, the process or the machine stopped; nothing acknowledged was lost.
    pub clean: bool,
    /// Bytes of a write that was under way when the machine stopped, never acknowledged and now dropped.
    pub torn_bytes: u64,
    /// Journal frames brought over to the trees.
    pub replayed_frames: u64,
    /// State files, of two, that were not whole and were written anew: being written when the machine stopped, or damaged.
    pub state_files: usize,
    /// Why the trees were rebuilt from the journal, if they were.
    pub rebuilt: Option<String>,
    /// The directory that trees were moved to which had turned out wrong, now or while the vault was open last. It may
    /// help to find out why; it is removed by the first opening after a proper close, or when others take its place.
    pub set_aside: Option<PathBuf>,
    /// Reads that were answered and may have no entry in the log: only where the vault had not been closed and had
    /// chosen [`ReadAudit::Windowed`].
    pub missing_reads: Option<MissingReads>,
    /// What came of upgrading the slot that opened, if that was asked for ([`Unlocking::upgrade_kdf`]).
    ///
    /// [`Unlocking::upgrade_kdf`]: crate::Unlocking::upgrade_kdf
    pub kdf_upgrade: Option<KdfUpgrade>,
    /// The signing epoch of the log that the vault is in: 1 in a new vault, and one more after each close.
    pub signing_epoch: u32,
    /// How that epoch began, if it did with this opening; it does unless the vault had not been closed. Where
    /// [`EpochStart::is_announced`] says no, the chain of signing keys breaks here, and the log says why.
    pub epoch_start: Option<EpochStart>,
    /// Why the epoch's key could not be written to its file. The next opening will not find it and begin another epoch.
    pub signing_key_unsaved: Option<String>,
    /// Anchors that could not be read, each with the reason: whether the log was cut or brought back since is not known of them.
    pub anchors_unread: Vec<String>,
}

/// What came of upgrading a slot's derivation while unlocking.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum KdfUpgrade {
    /// The slot is not weaker than what was asked for, or has no passphrase.
    NotNeeded,
    /// The slot has a new salt and the parameters that were asked for; its credential is the same.
    Done {
        /// Its number.
        slot: u8,
    },
    /// The vault is open, and the slot as it was; unless the header could be written in one of its copies.
    Failed {
        /// Its number.
        slot: u8,
        /// What went wrong.
        why: String,
    },
}

/// A gap that an unclean end may have left at the end of the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct MissingReads {
    /// The number of the newest entry that was found. Missing ones would stand right after it.
    pub after: u64,
    /// The most reads that can be missing.
    pub at_most: u32,
    /// How long one was allowed to wait: missing reads are from so short before the end, and the time of one sync.
    pub delay: Duration,
}

impl MissingReads {
    pub(super) fn of(opened: &Opened, choice: ReadAudit, after: u64) -> Option<Self> {
        match choice {
            ReadAudit::Windowed { delay, entries } if !opened.clean && entries > 1 => {
                Some(Self { after, at_most: entries - 1, delay })
            }
            _ => None,
        }
    }
}

impl Opening {
    pub(super) const fn created() -> Self {
        Self {
            clean: true,
            torn_bytes: 0,
            replayed_frames: 0,
            state_files: 0,
            rebuilt: None,
            set_aside: None,
            missing_reads: None,
            kdf_upgrade: None,
            signing_epoch: FIRST_SIGNING_EPOCH,
            epoch_start: Some(EpochStart::Created),
            signing_key_unsaved: None,
            anchors_unread: Vec::new(),
        }
    }

    pub(super) fn of(opened: &Opened, missing_reads: Option<MissingReads>, signing: &InForce) -> Self {
        Self {
            missing_reads,
            kdf_upgrade: None,
            signing_epoch: signing.epoch(),
            epoch_start: signing.start(),
            signing_key_unsaved: signing.unsaved.clone(),
            anchors_unread: Vec::new(),
            clean: opened.clean,
            torn_bytes: opened.torn.as_ref().map_or(0, |torn| torn.len),
            replayed_frames: opened.replayed_frames,
            state_files: opened.state_files,
            rebuilt: opened.rebuilt.as_ref().map(ToString::to_string),
            set_aside: opened.set_aside.clone(),
        }
    }
}

impl fmt::Display for Opening {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.clean { "closed before" } else { "not closed before" })?;
        if self.torn_bytes > 0 {
            write!(f, ", {} torn bytes dropped", self.torn_bytes)?;
        }
        write!(f, ", {} frames replayed", self.replayed_frames)?;
        if self.state_files > 0 {
            write!(f, ", {} of 2 state files written anew", self.state_files)?;
        }
        if let Some(reason) = &self.rebuilt {
            write!(f, ", trees rebuilt ({reason})")?;
        }
        if let Some(name) = self.set_aside.as_ref().and_then(|path| path.file_name()) {
            write!(f, ", the wrong ones set aside in {}", name.display())?;
        }
        if let Some(MissingReads { after, at_most, delay }) = self.missing_reads {
            let millis = delay.as_secs_f64() * 1_000.0;
            write!(f, ", up to {at_most} reads of the last {millis} ms may be missing after entry {after}")?;
        }
        Ok(())
    }
}
