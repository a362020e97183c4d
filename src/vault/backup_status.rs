//! What the vault knows of its backups: how old they are, and what would be lost now.

use std::fmt;
use std::time::Duration;

use super::Vault;
use crate::audit::Outcome;
use crate::clock::Timestamp;
use crate::error::Error;
use crate::policy::{LastBackup, LastBackupFailure, LastDrill, LastVerification, Remembered};
use crate::unlocked::Unlocked;

/// What the vault knows of its backups; see [`Vault::backup_status`]. `Display` is for a terminal.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct BackupStatus {
    /// When this was asked.
    pub at: Timestamp,
    /// Entries of the log now.
    pub entries: u64,
    /// By name, each target that a backup was made to, or tried.
    pub targets: Vec<TargetStatus>,
    /// Generation of the header now.
    pub header_generation: u64,
    /// Patients in the erasure ledger now.
    pub erasures: u64,
}

/// What the vault knows of its backups at one target.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct TargetStatus {
    /// The target's name, its first 1,024 bytes.
    pub target: String,
    /// The last backup.
    pub last_backup: Option<LastBackup>,
    /// How old the state is that it holds: the loss window as a time.
    pub age: Option<Duration>,
    /// Log entries since that state, that of the backup itself among them: the loss window as entries.
    pub entries_since: Option<u64>,
    /// The last backup that could not be made.
    pub last_failure: Option<LastBackupFailure>,
    /// The last verification.
    pub last_verified: Option<LastVerification>,
    /// The last restore that was rehearsed, sound or not.
    pub last_drill: Option<LastDrill>,
    /// The last one in which all was as it has to be, with the time that a restore took.
    pub last_sound_drill: Option<LastDrill>,
    /// How long ago `last_drill` was.
    pub drill_age: Option<Duration>,
}

impl Vault {
    /// What the vault knows of its backups: for each target the last backup, what would be lost if this machine were gone
    /// now, and the last drill with the time that a restore took. Needs no token, and leaves no entry: it names no patient.
    ///
    /// A vault that was restored knows of what was known at the state that it was restored to. What was noted while the clock had
    /// jumped ahead is of the time when that was set right ([`Vault::reset_clock`]).
    ///
    /// ```
    /// # mod clinic { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/clinic.rs")); }
    /// # use clinic::*;
    /// # let clinic = Clinic::new();
    /// let status = clinic.vault.backup_status()?;
    /// assert!(status.targets.is_empty() && status.loss_window().is_none()); // no backup was ever made
    /// # Ok::<(), chartvault::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Sealed`].
    pub fn backup_status(&self) -> Result<BackupStatus, Error> {
        Ok(BackupStatus::of(&*self.0.gate.enter()?))
    }
}

impl BackupStatus {
    pub(super) fn of(unlocked: &Unlocked) -> Self {
        let at = unlocked.now().unwrap_or_else(|_| unlocked.clock.now());
        let entries = unlocked.committer.newest_entry().map_or(0, |head| head.seq.saturating_add(1));
        let reset = unlocked.policy.clock_reset().map(|(_, reset_to)| reset_to);
        let targets = unlocked.policy.backups().into_iter().map(|(target, of)| (target, of.counted_from(at, reset)));
        let header = unlocked.header.lock().unwrap_or_else(std::sync::PoisonError::into_inner).generation;
        Self {
            at,
            entries,
            targets: targets.map(|(target, of)| TargetStatus::of(target, of, at, entries)).collect(),
            header_generation: header,
            erasures: u64::try_from(unlocked.policy.erasures().len()).unwrap_or(u64::MAX),
        }
    }

    /// What would be lost if this machine were gone now and the best target were there: log entries, and the time they go
    /// back. `None` if there is no backup.
    #[must_use]
    pub fn loss_window(&self) -> Option<(u64, Duration)> {
        let windows = self.targets.iter().filter_map(|target| Some((target.entries_since?, target.age?)));
        windows.min()
    }

    /// The newest drill of all targets that found all as it has to be.
    #[must_use]
    pub fn last_sound_drill(&self) -> Option<LastDrill> {
        let drills = self.targets.iter().filter_map(|target| target.last_sound_drill);
        drills.max_by_key(|drill| drill.at)
    }
}

impl TargetStatus {
    fn of(target: String, of: Remembered, at: Timestamp, entries: u64) -> Self {
        let Remembered { made, failed, verified, drilled, drill_failed } = of;
        let last_drill = [drilled, drill_failed].into_iter().flatten().max_by_key(|drill| drill.at);
        Self {
            target,
            age: made.map(|made| at.saturating_since(made.at)),
            entries_since: made.map(|made| entries.saturating_sub(made.entries)),
            drill_age: last_drill.map(|drill| at.saturating_since(drill.at)),
            last_backup: made,
            last_failure: failed,
            last_verified: verified,
            last_drill,
            last_sound_drill: drilled,
        }
    }

    /// The last failure, if no backup was made since.
    #[must_use]
    pub fn failing(&self) -> Option<&LastBackupFailure> {
        let made = self.last_backup.map(|made| made.at);
        self.last_failure.as_ref().filter(|failure| made.is_none_or(|made| failure.at > made))
    }
}

impl fmt::Display for BackupStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.loss_window() {
            None => f.write_str("no backup: all would be lost"),
            Some((entries, time)) => {
                write!(f, "would be lost now: {entries} log entries, of the last {}", Length(time))
            }
        }?;
        self.targets.iter().try_for_each(|target| write!(f, "\n{target}"))
    }
}

impl fmt::Display for TargetStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.target)?;
        match (self.last_backup, self.age, self.entries_since) {
            (Some(made), Some(age), Some(since)) => {
                let LastBackup { manifest, stored_bytes, took, .. } = made;
                let took = took.as_secs_f64();
                write!(f, "manifest {manifest}, {} ago, {since} log entries since", Length(age))?;
                write!(f, " ({stored_bytes} bytes in {took:.1} s)")?;
            }
            _ => f.write_str("no backup")?,
        }
        if let Some(failure) = self.failing() {
            write!(f, "; FAILING since {}: {}", failure.at, failure.why)?;
        }
        if let Some(verified) = self.last_verified {
            let how = if verified.outcome == Outcome::Allowed { "sound" } else { "NOT sound" };
            write!(f, "; verified {}: {how}", verified.at)?;
        }
        if let (Some(drill), Some(age)) = (self.last_drill, self.drill_age)
            && !drill.is_sound()
        {
            write!(f, "; the drill {} ago FAILED", Length(age))?;
        }
        match self.last_sound_drill {
            Some(LastDrill { at, recovery, records, .. }) => {
                let recovery = recovery.as_secs_f64();
                write!(f, "; restored for a drill at {at}, open in {recovery:.1} s, {records} records opened")
            }
            None => f.write_str("; never restored for a drill"),
        }
    }
}

/// A length of time as people say it.
struct Length(Duration);

impl fmt::Display for Length {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.as_secs() {
            seconds @ 0..120 => write!(f, "{seconds} s"),
            seconds @ 120..7_200 => write!(f, "{} min", seconds / 60),
            seconds @ 7_200..172_800 => write!(f, "{} h", seconds / 3_600),
            seconds => write!(f, "{} days", seconds / 86_400),
        }
    }
}
