//! Floor 4: where backups are kept.

mod target;

pub use target::{BackupTarget, FolderTarget, StoredObject, TargetError};
#[cfg(any(feature = "backup-s3", feature = "backup-gcs", feature = "backup-azure"))]
pub use target::{NewStoreTarget, StoreTarget};
