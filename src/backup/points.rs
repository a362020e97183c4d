//! What there is to restore.

use super::fault::BackupFault;
use super::manifest::BackupKey;
use super::shelf::Shelf;
use super::target::BackupTarget;
use crate::clock::Timestamp;

/// A backup at a target; see [`BackupPoint::list`].
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct BackupPoint {
    /// Number of its manifest, by which it is restored ([`RestorePoint::Manifest`](crate::RestorePoint::Manifest)).
    pub manifest: u64,
    /// When it was made, by the vault's clock.
    pub made: Timestamp,
    /// Whether it can be restored; else it is the beginning of a copy that goes on in the next one.
    pub is_whole: bool,
    /// The manifest with which its copy begins.
    pub copy: u64,
    /// Log entries up to there.
    pub entries: u64,
    /// Objects that it added.
    pub objects: u64,
    /// Their bytes as they are kept.
    pub bytes: u64,
    /// Whether they are sealed.
    pub is_sealed: bool,
    /// Number of the key pack that went with it.
    pub pack: Option<u64>,
}

impl BackupPoint {
    /// All backups at a target, oldest first. With a key, each has to be signed by it; without one this shows what claims to be
    /// there.
    ///
    /// ```
    /// use chartvault::{BackupPoint, FolderTarget};
    /// # mod clinic { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/clinic.rs")); }
    /// # use clinic::*;
    /// # let Clinic { vault, dir, .. } = Clinic::new();
    /// # let target = FolderTarget::create(dir.path().join("disk"))?;
    /// vault.backup(&target).run()?;
    /// let points = BackupPoint::list(&target, Some(&vault.backup_key()?))?;
    /// assert!(points.len() == 1 && points[0].is_whole);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// [`BackupFault`] where the target does not answer, or a manifest is not as it has to be.
    pub fn list(target: &dyn BackupTarget, key: Option<&BackupKey>) -> Result<Vec<Self>, BackupFault> {
        let shelf = Shelf::new(target);
        let points = shelf.manifests()?.into_iter().map(|number| {
            let manifest = shelf.manifest(number, key)?.manifest;
            Ok(Self {
                manifest: number,
                made: manifest.made,
                is_whole: manifest.whole,
                copy: manifest.chain.0,
                entries: manifest.tip.entries,
                objects: u64::try_from(manifest.pieces.len()).unwrap_or(u64::MAX),
                bytes: manifest.pieces.iter().map(|piece| piece.stored).sum(),
                is_sealed: manifest.sealed,
                pack: manifest.pack.map(|pack| pack.number),
            })
        });
        points.collect()
    }
}
