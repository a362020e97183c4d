//! Pruning by the vault itself, for whoever has one machine only.

use std::fmt;

use super::{entry, key_of};
use crate::audit::AuditEvent;
use crate::backup::{BackupPruned, BackupRetention, BackupTarget, PruneBackups, prune_backups};
use crate::error::Error;
use crate::vault::{Vault, operate};

impl Vault {
    /// Prepares the removal of backups of this vault that are kept no longer, told of in its log. The target has to be opened with a
    /// credential that may remove. Whoever takes this machine over has that credential then: where there is another machine, let
    /// [`prune_backups`] do it there, and give this one a credential that can only add.
    ///
    /// ```
    /// use chartvault::{BackupRetention, FolderTarget};
    /// # mod clinic { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/clinic.rs")); }
    /// # use clinic::*;
    /// # let Clinic { vault, dir, .. } = Clinic::new();
    /// let target = FolderTarget::create(dir.path().join("disk"))?;
    /// vault.backup(&target).run()?;
    /// vault.backup(&target).from_the_beginning().run()?;
    /// let retention = BackupRetention::new().last(1);
    /// let would = vault.prune_backups(&target, retention).dry_run().run()?;
    /// let pruned = vault.prune_backups(&target, retention).run()?;
    /// assert_eq!((would.manifests, pruned.manifests), (1, 1));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub const fn prune_backups<'t>(
        &'t self,
        target: &'t dyn BackupTarget,
        retention: BackupRetention,
    ) -> VaultPrune<'t> {
        VaultPrune { vault: self, target, retention, dry_run: false, orphans: false }
    }
}

/// Backups about to be pruned by their vault; see [`Vault::prune_backups`].
#[must_use = "nothing is removed before `run`"]
pub struct VaultPrune<'t> {
    vault: &'t Vault,
    target: &'t dyn BackupTarget,
    retention: BackupRetention,
    dry_run: bool,
    orphans: bool,
}

impl VaultPrune<'_> {
    /// Removes nothing, and reports what would be removed; the log has no entry of that.
    pub const fn dry_run(mut self) -> Self {
        self.dry_run = true;
        self
    }

    /// Removes objects that no manifest names as well: see [`PruneBackups::orphans`]. **No backup may be running** to this target,
    /// nor a thread of [`Vault::keep_backed_up`].
    pub const fn orphans(mut self) -> Self {
        self.orphans = true;
        self
    }

    /// Removes what may go; ages are counted by the vault's clock. The log has an entry of it, or of why it could not be done.
    ///
    /// # Errors
    /// [`Error::Backup`] as [`PruneBackups::run`]; [`Error::Sealed`], [`Error::AuditUnavailable`].
    pub fn run(self) -> Result<BackupPruned, Error> {
        operate(AuditEvent::BackupPruned, || {
            let unlocked = self.vault.0.gate.enter()?;
            let prune = prune_backups(self.target, key_of(&unlocked), self.retention).as_of(unlocked.now()?);
            let prune = if self.dry_run { prune.dry_run() } else { prune };
            let prune = if self.orphans { prune.orphans() } else { prune };
            let pruned = PruneBackups::run(&prune).map_err(Error::from);
            if !self.dry_run {
                entry::pruned(&unlocked, self.target.name(), &pruned)?;
            }
            pruned
        })
    }
}

impl fmt::Debug for VaultPrune<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("VaultPrune");
        shown.field("target", &self.target.name()).field("retention", &self.retention).finish_non_exhaustive()
    }
}
