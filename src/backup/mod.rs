//! Floor 4: what backups are made of, where they are kept, and how they are verified without keys. What works on a vault is
//! in `vault/backup`.
//!
//! A backup is the journal itself, base and segments, in pieces; manifests name the pieces, and each the manifest before.

pub(crate) mod fault;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzzing;
pub(crate) mod manifest;
pub(crate) mod object;
pub(crate) mod pack;
pub(crate) mod pack_end;
mod points;
mod prune;
mod retention;
pub(crate) mod seal;
pub(crate) mod shelf;
mod target;
mod verify;

pub use fault::BackupFault;
pub use manifest::BackupKey;
pub use points::BackupPoint;
pub use prune::{BackupPruned, KeptBackup, PruneBackups, prune_backups};
pub use retention::BackupRetention;
pub use seal::{BackupIdentity, BackupRecipient};
pub use target::{BackupTarget, FolderTarget, StoredObject, TargetError};
#[cfg(any(feature = "backup-s3", feature = "backup-gcs", feature = "backup-azure"))]
pub use target::{NewStoreTarget, StoreTarget};
pub use verify::{BackupCheck, BackupFinding, BackupFlaw, BackupVerified};
