//! A restore rehearsed: a backup becomes a vault in a folder of its own, is opened, read, held against the vault in use, and
//! goes away with its folder.

mod compare;
mod folder;
mod report;
mod sample;

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Instant;

pub use report::DrillReport;

use super::restore::{Becomes, Restore};
use super::{elapsed, entry};
use crate::audit::AuditEvent;
use crate::backup::{BackupIdentity, BackupTarget};
use crate::error::Error;
use crate::keyring::Credential;
use crate::progress::OnProgress;
use crate::secret::wipe_stack;
use crate::vault::{CheckScope, Home, LockedVault, Options, Vault, check, operate};
use folder::Folder;

/// Records that are opened if nothing else is said, besides one of each kind.
const RECORDS: u64 = 100;
/// Records that are opened at most: their places are held in memory.
const MOST_RECORDS: u64 = 1_000_000;
/// Memory for the trees' cache of the copy.
const CACHE: u64 = 32 << 20;

impl Vault {
    /// Starts rehearsing a restore: brings the newest backup at a target back into a folder that is removed at the end, opens
    /// it, verifies its log from the first entry on, opens records of patients chosen at random and at least one of every
    /// kind, and compares all that with this vault. What came of it, and how long it took until the restored vault was open, is
    /// an entry of this vault's log. A backup that was never restored is a hope.
    ///
    /// ```
    /// use chartvault::FolderTarget;
    /// # mod clinic { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/clinic.rs")); }
    /// # use clinic::*;
    /// # let Clinic { vault, dir, key, .. } = Clinic::new();
    /// # let (target, packs) = (FolderTarget::create(dir.path().join("disk"))?, FolderTarget::create(dir.path().join("safe"))?);
    /// vault.backup(&target).packs_to(&packs).run()?;
    /// let drilled = vault.drill(&target).packs_from(&packs).records(50).run(&key)?;
    /// assert!(drilled.is_sound(), "{drilled}");
    /// let status = vault.backup_status()?;
    /// assert_eq!(status.targets[0].last_drill.map(|drill| drill.recovery), Some(drilled.recovery));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub const fn drill<'t>(&'t self, target: &'t dyn BackupTarget) -> Drill<'t> {
        Drill {
            vault: self,
            target,
            packs: None,
            identities: Vec::new(),
            records: RECORDS,
            thorough: false,
            below: None,
        }
    }
}

/// A restore about to be rehearsed; see [`Vault::drill`].
#[must_use = "nothing is rehearsed before `run`"]
pub struct Drill<'t> {
    vault: &'t Vault,
    target: &'t dyn BackupTarget,
    packs: Option<&'t dyn BackupTarget>,
    identities: Vec<BackupIdentity>,
    records: u64,
    thorough: bool,
    below: Option<PathBuf>,
}

impl<'t> Drill<'t> {
    /// Where the key packs are, if that is not the target itself.
    pub fn packs_from(mut self, packs: &'t dyn BackupTarget) -> Self {
        self.packs = Some(packs);
        self
    }

    /// Opens sealed objects with this identity as well.
    pub fn identity(mut self, identity: BackupIdentity) -> Self {
        self.identities.push(identity);
        self
    }

    /// Opens so many records, chosen at random, and one of every kind that is not among them; 100 if not said, at most a
    /// million. All of them if there are fewer.
    pub const fn records(mut self, records: u64) -> Self {
        self.records = if records < MOST_RECORDS { records } else { MOST_RECORDS };
        self
    }

    /// Checks all of the restored vault as well, as [`Vault::check`] does with [`CheckScope::All`]: each record is opened. It
    /// takes as long as that takes.
    pub const fn thorough(mut self) -> Self {
        self.thorough = true;
        self
    }

    /// Restores into a new folder below this one; the system's folder for temporary files if not said. It needs room for the
    /// whole vault. What is written there is encrypted as in the vault.
    pub fn into_temporary(mut self, below: impl AsRef<Path>) -> Self {
        self.below = Some(below.as_ref().to_owned());
        self
    }

    /// Rehearses it. The folder is gone on return, whatever came of it. A process that is killed meanwhile leaves a folder
    /// `chartvault-drill-…`, which opens as no vault and can be removed.
    ///
    /// That records differ, or that the vault's log does not go on from the backup, is no error: the report has it as
    /// findings. The log has an entry either way, with [`Outcome::Failed`](crate::Outcome::Failed) if anything was found.
    ///
    /// # Errors
    /// What [`Restore::into`](crate::Restore::into) answers when nothing can be restored: [`Error::Backup`],
    /// [`Error::Unlock`], [`Error::Storage`]; [`Error::Io`] when the folder cannot be made or removed; [`Error::Sealed`] when
    /// this vault was closed meanwhile, [`Error::AuditUnavailable`].
    pub fn run<'c>(self, credential: impl Into<Credential<'c>>) -> Result<DrillReport, Error> {
        self.run_with(credential, &mut |_| ())
    }

    /// [`Drill::run`], reporting progress.
    ///
    /// # Errors
    /// As [`Drill::run`].
    pub fn run_with<'c>(
        self,
        credential: impl Into<Credential<'c>>,
        progress: OnProgress<'_>,
    ) -> Result<DrillReport, Error> {
        let credential = credential.into();
        let drilled = operate(AuditEvent::DrillDone, || {
            let begun = Instant::now();
            drop(self.vault.0.gate.enter()?);
            let drilled = self.rehearse(credential, begun, progress);
            let unlocked = self.vault.0.gate.enter()?;
            entry::drilled(&unlocked, self.target.name(), &drilled, elapsed(begun))?;
            drilled
        });
        wipe_stack();
        drilled
    }

    fn rehearse(
        &self,
        credential: Credential<'_>,
        begun: Instant,
        progress: OnProgress<'_>,
    ) -> Result<DrillReport, Error> {
        let folder = Folder::make(self.below.as_deref())?;
        let mut report = self.restore_and_look(folder.path(), credential, begun, progress)?;
        folder.remove()?;
        report.took = elapsed(begun);
        Ok(report)
    }

    fn restore_and_look(
        &self,
        path: &Path,
        credential: Credential<'_>,
        begun: Instant,
        progress: OnProgress<'_>,
    ) -> Result<DrillReport, Error> {
        let mut restore = Vault::restore(self.target).options(self.options()?);
        restore = self.packs.into_iter().fold(restore, Restore::packs_from);
        restore = self.identities.iter().cloned().fold(restore, Restore::identity);
        let restored = restore.bring_back((path, Becomes::Copy), credential, &mut *progress)?;
        let home = Home::dir(path);
        let lock = Mutex::new(Some(home.lock()?));
        let locked = LockedVault { home, options: self.options()?.for_restoring(), lock };
        let copy = locked.unlock_unfinished(credential, &mut *progress)?;
        let mut report = DrillReport::new(self.target.name(), &restored, elapsed(begun));
        let looked = self.look(&copy, &mut report, progress);
        let closed = copy.close();
        looked?;
        closed?;
        Ok(report)
    }

    /// Looks at the copy, and holds it against the vault.
    fn look(&self, copy: &Vault, report: &mut DrillReport, progress: OnProgress<'_>) -> Result<(), Error> {
        report.take(check::check_log(copy, &mut *progress)?);
        if self.thorough {
            report.take(copy.check(CheckScope::All, &mut *progress)?);
        }
        let theirs = copy.0.gate.enter()?;
        let places = sample::choose(&theirs, self.records)?;
        let live = self.vault.0.gate.enter()?;
        compare::logs(&live, &theirs, report)?;
        let stopping = &self.vault.0.keeper.stopping;
        compare::records((&live, &theirs), places, report, (stopping, progress))
    }

    fn options(&self) -> Result<Options, Error> {
        let clock = Arc::clone(&self.vault.0.gate.enter()?.clock);
        Ok(Options { clock, ..Options::new().cache_bytes(CACHE).record_cache(0).scrub_rate(0) })
    }
}

impl fmt::Debug for Drill<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Drill").field("target", &self.target.name()).finish_non_exhaustive()
    }
}
