//! Verifying a backup from the vault that made it: with its key, against its log, and told in it.

use super::{entry, key_of};
use crate::audit::AuditEvent;
use crate::backup::{BackupCheck, BackupFinding, BackupFlaw, BackupIdentity, BackupTarget, BackupVerified};
use crate::error::Error;
use crate::progress::OnProgress;
use crate::unlocked::Unlocked;
use crate::vault::{Vault, operate};

impl Vault {
    /// Verifies a backup as [`BackupCheck`] does, signatures by this vault's key, and that this vault's log goes on from the one in
    /// it. The log has an entry of what came of it.
    ///
    /// ```
    /// use chartvault::FolderTarget;
    /// # mod clinic { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/clinic.rs")); }
    /// # use clinic::*;
    /// # let Clinic { vault, dir, .. } = Clinic::new();
    /// # let target = FolderTarget::create(dir.path().join("disk"))?;
    /// vault.backup(&target).run()?;
    /// let found = vault.verify_backup(&target, &[], &mut |_| ())?;
    /// assert!(found.is_sound(), "{found}");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Backup`] where there is no backup or the target does not answer, [`Error::Sealed`], [`Error::AuditUnavailable`].
    /// What is wrong with the backup is no error, but a finding.
    pub fn verify_backup(
        &self,
        target: &dyn BackupTarget,
        identities: &[BackupIdentity],
        progress: OnProgress<'_>,
    ) -> Result<BackupVerified, Error> {
        operate(AuditEvent::BackupVerified, || {
            let unlocked = self.0.gate.enter()?;
            let check = BackupCheck::of(target).signed_by(key_of(&unlocked));
            let check = identities.iter().cloned().fold(check, BackupCheck::identity);
            let verified = check.run_with(progress).map_err(Error::from);
            let verified = verified.and_then(|found| compared(&unlocked, found));
            entry::verified(&unlocked, target.name(), &verified)?;
            verified
        })
    }
}

/// With a finding where the vault's log is another one.
fn compared(unlocked: &Unlocked, mut found: BackupVerified) -> Result<BackupVerified, Error> {
    let (Some(manifest), Some(root)) = (found.whole, found.root) else { return Ok(found) };
    let Some(tree) = unlocked.committer.log_tree() else { return Ok(found) };
    if found.entries > tree.edge.size() || unlocked.log_root(found.entries)? != root {
        found.findings.push(BackupFinding { manifest, object: None, flaw: BackupFlaw::NotTheVaults });
    }
    Ok(found)
}
