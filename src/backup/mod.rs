//! Floor 4: where backups are kept.

mod target;

pub use target::{BackupTarget, FolderTarget, StoredObject, TargetError};
