//! One process, one opening at a time.

use std::fs::{File, TryLockError};
use std::path::Path;

use crate::error::Error;
use crate::platform;
#[cfg(feature = "test-util")]
use crate::storage::memory::MemoryLock;

/// Holds the vault's directory until dropped.
#[derive(Debug)]
pub(crate) struct DirLock(Held);

#[derive(Debug)]
#[allow(dead_code)]
enum Held {
    File(File),
    #[cfg(feature = "test-util")]
    Memory(MemoryLock),
}

const NAME: &str = "lock";

impl DirLock {
    /// Takes the lock of the vault in `dir`.
    pub(crate) fn take(dir: &Path) -> Result<Self, Error> {
        let path = dir.join(NAME);
        let io = |source| Error::Io { doing: "taking the lock file", path: path.clone(), source };
        let opened = platform::ordinary(&path)
            .and_then(|()| File::options().create(true).truncate(false).write(true).open(&path));
        let file = opened.map_err(io)?;
        match file.try_lock() {
            Ok(()) => Ok(Self(Held::File(file))),
            Err(TryLockError::WouldBlock) => Err(Error::InUse { path: dir.to_owned() }),
            Err(TryLockError::Error(source)) => Err(io(source)),
        }
    }

    /// The lock of a store in memory.
    #[cfg(feature = "test-util")]
    pub(crate) const fn memory(lock: MemoryLock) -> Self {
        Self(Held::Memory(lock))
    }
}

impl Drop for DirLock {
    /// A child process that is being started has a copy of the handle until it is another program, and would keep the lock that
    /// long; unlocking ends it for all copies.
    fn drop(&mut self) {
        match &self.0 {
            // Failed or not, the handle is closed next.
            Held::File(file) => drop(file.unlock()),
            #[cfg(feature = "test-util")]
            Held::Memory(_) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_copy_of_the_handle_does_not_keep_the_lock() {
        let dir = tempfile::tempdir().unwrap();
        let lock = DirLock::take(dir.path()).unwrap();
        assert!(matches!(DirLock::take(dir.path()), Err(Error::InUse { .. })));
        let copy = match &lock.0 {
            Held::File(file) => file.try_clone().unwrap(),
            #[cfg(feature = "test-util")]
            Held::Memory(_) => panic!("no file"),
        };
        drop(lock);
        DirLock::take(dir.path()).unwrap();
        drop(copy);
    }
}
