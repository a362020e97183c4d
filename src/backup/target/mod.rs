//! Where backups are kept: a few calls on named, immutable objects. A target knows nothing of what it keeps; what it gives
//! back is believed by nobody before it is verified.

mod error;
mod folder;
mod name;
#[cfg(any(feature = "backup-s3", feature = "backup-gcs", feature = "backup-azure"))]
mod store;
#[cfg(test)]
mod tests;

pub use error::TargetError;
pub use folder::FolderTarget;
#[cfg(any(feature = "backup-s3", feature = "backup-gcs", feature = "backup-azure"))]
pub use store::{NewStoreTarget, StoreTarget};

use std::fmt;
use std::sync::Arc;

/// Says what a folder or a bucket is, to people and to whoever opens it. No object can have such a name.
const MARK: &str = "chartvault-backups.txt";
const MARK_TEXT: &str = "\
Backups of a chartvault vault. What stands here is written once and never changed.
Do not rename, change or remove anything by hand. Copy it as a whole.
";

/// An object of a target, as it is listed.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct StoredObject {
    /// Its name.
    pub name: String,
    /// Its length in bytes.
    pub len: u64,
}

/// Where backups are kept: objects with names, each written once and never changed. [`FolderTarget`] is one; a host may
/// bring its own.
///
/// Names consist of parts of `a-z` and `0-9`, joined by `/`, of 200 characters at most, such as `manifests/0000000012`; no
/// object is longer than 20 MiB. A call may take its time, but has to end: what does not answer is an error. Calls come from
/// several threads.
///
/// Nothing that a target gives back is believed before it is verified, so a target cannot make a restore give wrong records. It
/// can lose what it was given. That is why [`BackupTarget::put_new`] has to be durable, and has to refuse a name that is taken.
pub trait BackupTarget: Send + Sync {
    /// Writes an object that is not there yet. It is durable on return, whole or not there at all. Of two callers with one
    /// name, one succeeds.
    ///
    /// # Errors
    /// [`TargetError::Exists`] when there is one of this name; it is left as it is, and is durable. [`TargetError::Full`],
    /// [`TargetError::Refused`] and others when it was not written, or when it is not known whether it was.
    fn put_new(&self, name: &str, bytes: &[u8]) -> Result<(), TargetError>;

    /// The whole object, of at most `limit` bytes.
    ///
    /// # Errors
    /// [`TargetError::Absent`] when there is none, [`TargetError::TooLarge`] when it is longer; nothing of it is then held in
    /// memory.
    fn get(&self, name: &str, limit: usize) -> Result<Vec<u8>, TargetError>;

    /// Gives all objects whose names begin with `prefix` to `each`, one at a time, in the order of their names. What is under a
    /// name that no object can have is passed over.
    ///
    /// # Errors
    /// [`TargetError`] when not all could be listed; `each` was then called for some of them.
    fn list(&self, prefix: &str, each: &mut dyn FnMut(StoredObject)) -> Result<(), TargetError>;

    /// Removes an object. Only pruning calls this, with a target that was opened with a credential that may: the one that
    /// backups are made with should not.
    ///
    /// # Errors
    /// [`TargetError::Absent`] when there is none (where the target can tell), [`TargetError::Refused`] when it may not be
    /// removed.
    fn delete(&self, name: &str) -> Result<(), TargetError>;

    /// What people know it by. It stands in reports and log entries, and holds no secret.
    fn name(&self) -> &str;
}

macro_rules! lent {
    ($($lent:ty),+) => {$(
        impl<T: BackupTarget + ?Sized> BackupTarget for $lent {
            fn put_new(&self, name: &str, bytes: &[u8]) -> Result<(), TargetError> {
                (**self).put_new(name, bytes)
            }

            fn get(&self, name: &str, limit: usize) -> Result<Vec<u8>, TargetError> {
                (**self).get(name, limit)
            }

            fn list(&self, prefix: &str, each: &mut dyn FnMut(StoredObject)) -> Result<(), TargetError> {
                (**self).list(prefix, each)
            }

            fn delete(&self, name: &str) -> Result<(), TargetError> {
                (**self).delete(name)
            }

            fn name(&self) -> &str {
                (**self).name()
            }
        }
    )+};
}

lent!(&T, Box<T>, Arc<T>);

impl fmt::Debug for dyn BackupTarget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "BackupTarget({:?})", self.name())
    }
}
