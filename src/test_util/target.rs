//! Targets of backups that fail when told, and that count.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use crate::backup::{BackupTarget, StoredObject, TargetError};

/// A target whose calls fail from the n-th on, as if the process had been killed there or the network had gone: before that call
/// has done anything, or after it has, so that nobody is told.
///
/// ```
/// use chartvault::test_util::FaultyTarget;
/// use chartvault::{BackupTarget, FolderTarget, TargetError};
/// # let dir = tempfile::tempdir().unwrap();
/// let folder = FolderTarget::create(dir.path().join("target"))?;
/// let killed = FaultyTarget::after(&folder, 1); // the second call does its work, and does not live to say so
/// killed.put_new("objects/0", b"first")?;
/// assert!(matches!(killed.put_new("objects/1", b"second"), Err(TargetError::Unreachable { .. })));
/// assert!(killed.get("objects/0", 10).is_err() && killed.has_failed());
/// assert_eq!(folder.get("objects/1", 10)?, b"second");
/// # Ok::<(), TargetError>(())
/// ```
#[derive(Debug)]
pub struct FaultyTarget<T> {
    inner: T,
    /// Calls that pass.
    passing: u64,
    has_effect: bool,
    is_once: bool,
    calls: AtomicU64,
    has_failed: AtomicBool,
}

impl<T: BackupTarget> FaultyTarget<T> {
    /// So many calls pass; the next fails before it has done anything.
    pub const fn before(inner: T, passing: u64) -> Self {
        Self::new(inner, passing, false)
    }

    /// So many calls pass; the next does its work and fails then.
    pub const fn after(inner: T, passing: u64) -> Self {
        Self::new(inner, passing, true)
    }

    const fn new(inner: T, passing: u64, has_effect: bool) -> Self {
        let (calls, has_failed) = (AtomicU64::new(0), AtomicBool::new(false));
        Self { inner, passing, has_effect, is_once: false, calls, has_failed }
    }

    /// One call fails, those after it pass again: the network was away for a moment.
    #[must_use]
    pub const fn once(mut self) -> Self {
        self.is_once = true;
        self
    }

    /// How many calls were made so far, those included that failed.
    pub fn calls(&self) -> u64 {
        self.calls.load(Ordering::SeqCst)
    }

    /// Whether a call has failed.
    pub fn has_failed(&self) -> bool {
        self.has_failed.load(Ordering::SeqCst)
    }

    fn call<R>(&self, call: impl FnOnce(&T) -> Result<R, TargetError>) -> Result<R, TargetError> {
        let number = self.calls.fetch_add(1, Ordering::SeqCst);
        let fails = number == self.passing || number > self.passing && !self.is_once;
        if !fails {
            return call(&self.inner);
        }
        self.has_failed.store(true, Ordering::SeqCst);
        if number == self.passing && self.has_effect {
            call(&self.inner)?;
        }
        Err(TargetError::Unreachable { why: format!("call {number} was to fail"), retry: self.is_once })
    }
}

impl<T: BackupTarget> BackupTarget for FaultyTarget<T> {
    fn put_new(&self, name: &str, bytes: &[u8]) -> Result<(), TargetError> {
        self.call(|inner| inner.put_new(name, bytes))
    }

    fn get(&self, name: &str, limit: usize) -> Result<Vec<u8>, TargetError> {
        self.call(|inner| inner.get(name, limit))
    }

    fn list(&self, prefix: &str, each: &mut dyn FnMut(StoredObject)) -> Result<(), TargetError> {
        self.call(|inner| inner.list(prefix, each))
    }

    fn delete(&self, name: &str) -> Result<(), TargetError> {
        self.call(|inner| inner.delete(name))
    }

    fn name(&self) -> &str {
        self.inner.name()
    }
}

/// A call of a [`CountingTarget`], in the order in which they began.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum TargetCall {
    /// An object of so many bytes was to be written.
    Put {
        /// Its name.
        name: String,
        /// Its length in bytes.
        len: usize,
    },
    /// An object was to be read.
    Get {
        /// Its name.
        name: String,
        /// The most bytes that it was to have.
        limit: usize,
    },
    /// Objects were to be listed.
    List {
        /// What their names begin with.
        prefix: String,
    },
    /// An object was to be removed.
    Delete {
        /// Its name.
        name: String,
    },
}

/// A target that notes what it is asked.
///
/// ```
/// use chartvault::test_util::{CountingTarget, TargetCall};
/// use chartvault::{BackupTarget, FolderTarget, TargetError};
/// # let dir = tempfile::tempdir().unwrap();
/// let target = CountingTarget::new(FolderTarget::create(dir.path().join("target"))?);
/// target.put_new("objects/0", b"first")?;
/// assert_eq!(target.calls(), [TargetCall::Put { name: "objects/0".into(), len: 5 }]);
/// assert_eq!((target.bytes_put(), target.bytes_got()), (5, 0));
/// # Ok::<(), TargetError>(())
/// ```
#[derive(Debug)]
pub struct CountingTarget<T> {
    inner: T,
    calls: Mutex<Vec<TargetCall>>,
    put: AtomicU64,
    got: AtomicU64,
}

impl<T: BackupTarget> CountingTarget<T> {
    /// Around this one.
    pub const fn new(inner: T) -> Self {
        Self { inner, calls: Mutex::new(Vec::new()), put: AtomicU64::new(0), got: AtomicU64::new(0) }
    }

    /// What it was asked so far.
    pub fn calls(&self) -> Vec<TargetCall> {
        self.calls.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Bytes that were written: of calls that succeeded.
    pub fn bytes_put(&self) -> u64 {
        self.put.load(Ordering::SeqCst)
    }

    /// Bytes that were read.
    pub fn bytes_got(&self) -> u64 {
        self.got.load(Ordering::SeqCst)
    }

    fn note(&self, call: TargetCall) {
        self.calls.lock().unwrap_or_else(PoisonError::into_inner).push(call);
    }
}

impl<T: BackupTarget> BackupTarget for CountingTarget<T> {
    fn put_new(&self, name: &str, bytes: &[u8]) -> Result<(), TargetError> {
        self.note(TargetCall::Put { name: name.to_owned(), len: bytes.len() });
        self.inner.put_new(name, bytes)?;
        self.put.fetch_add(u64::try_from(bytes.len()).unwrap_or(u64::MAX), Ordering::SeqCst);
        Ok(())
    }

    fn get(&self, name: &str, limit: usize) -> Result<Vec<u8>, TargetError> {
        self.note(TargetCall::Get { name: name.to_owned(), limit });
        let bytes = self.inner.get(name, limit)?;
        self.got.fetch_add(u64::try_from(bytes.len()).unwrap_or(u64::MAX), Ordering::SeqCst);
        Ok(bytes)
    }

    fn list(&self, prefix: &str, each: &mut dyn FnMut(StoredObject)) -> Result<(), TargetError> {
        self.note(TargetCall::List { prefix: prefix.to_owned() });
        self.inner.list(prefix, each)
    }

    fn delete(&self, name: &str) -> Result<(), TargetError> {
        self.note(TargetCall::Delete { name: name.to_owned() });
        self.inner.delete(name)
    }

    fn name(&self) -> &str {
        self.inner.name()
    }
}
