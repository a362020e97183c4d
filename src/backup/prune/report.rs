//! What a pruning did.

use std::fmt;

use crate::clock::Timestamp;

/// A backup that is left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct KeptBackup {
    /// Number of its manifest, by which it is restored.
    pub manifest: u64,
    /// When it was made, by the clock of the machine that made it.
    pub made: Timestamp,
    /// Whether a rule asks for it. Others are left since their copy is needed, or is not old enough.
    pub wanted: bool,
}

/// What a pruning did; or what it would have done, if it was to remove nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct BackupPruned {
    /// The target's name.
    pub target: String,
    /// Whether nothing was to be removed.
    pub dry_run: bool,
    /// Copies that are gone whole, by the number of their first manifest.
    pub chains: Vec<u64>,
    /// Manifests that are gone.
    pub manifests: u64,
    /// Objects of theirs that are gone.
    pub objects: u64,
    /// Objects that no manifest named, and that are gone.
    pub orphans: u64,
    /// Bytes of all these objects.
    pub bytes: u64,
    /// The backups that can be restored, by their numbers.
    pub kept: Vec<KeptBackup>,
    /// What the target did not allow to be removed, and why. It may go another time, when a lock has run out; an object whose
    /// manifest is gone goes with [`PruneBackups::orphans`](crate::PruneBackups::orphans) only.
    pub refused: Vec<(String, String)>,
    /// Copies of which something is missing, by the number of their first manifest: restore nothing from them, and see what
    /// happened. They are not removed.
    pub damaged: Vec<u64>,
}

impl fmt::Display for BackupPruned {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { target, manifests, objects, orphans, bytes, .. } = self;
        let would = if self.dry_run { "would remove" } else { "removed" };
        let (copies, kept) = (self.chains.len(), self.kept.len());
        write!(f, "{target}: {would} {copies} copies, {manifests} manifests, {objects} objects")?;
        if *orphans > 0 {
            write!(f, " and {orphans} that no manifest names")?;
        }
        write!(f, ", {bytes} bytes; {kept} backups can be restored")?;
        if !self.refused.is_empty() {
            write!(f, "; the target refused to remove {}", self.refused.len())?;
        }
        if !self.damaged.is_empty() {
            write!(f, "; {} copies are damaged", self.damaged.len())?;
        }
        Ok(())
    }
}
