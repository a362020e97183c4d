//! File operations that fail when told.

use std::io::ErrorKind;
use std::marker::PhantomData;

use crate::storage::fault::{Armed, FileOp};

/// Makes file operations of the storage fail on the present thread as long as it is held. Dropping it, also in a panic,
/// puts back what was armed before; the last one armed counts.
///
/// Journal, trees' state file, marks and the writing of the header go through this, and a vault in memory takes a write and
/// a sync for each commit; `sled`'s own files do not. A vault's own threads (checkpoints) are not touched.
///
/// ```
/// use std::io::ErrorKind;
/// use chartvault::test_util::{Fault, FileOp, TestVault};
///
/// let clinic = TestVault::new().build()?;
/// let fault = Fault::on(FileOp::Sync, ErrorKind::Other).after(1); // the first sync passes
/// let first = clinic.physician();
/// let second = clinic.physician();
/// assert!(first.is_ok() && second.is_err() && fault.hits() == 1);
/// # Ok::<(), chartvault::Error>(())
/// ```
#[derive(Debug)]
#[must_use = "nothing fails any more once it is dropped"]
pub struct Fault {
    before: Option<Armed>,
    /// What is armed belongs to this thread.
    _thread: PhantomData<*const ()>,
}

impl Fault {
    /// The next operation of this sort fails, once.
    pub fn on(op: FileOp, kind: ErrorKind) -> Self {
        let armed = Armed { op, passing: 0, kind, for_good: false, hits: 0 };
        Self { before: Armed::swap(Some(armed)), _thread: PhantomData }
    }

    /// So many operations of this sort pass first.
    pub fn after(self, passing: u32) -> Self {
        Armed::swap(Armed::now().map(|armed| Armed { passing, ..armed }));
        self
    }

    /// Not once, but from then on.
    pub fn for_good(self) -> Self {
        Armed::swap(Armed::now().map(|armed| Armed { for_good: true, ..armed }));
        self
    }

    /// How many operations have failed so far.
    #[must_use]
    pub fn hits(&self) -> u32 {
        Armed::now().map_or(0, |armed| armed.hits)
    }
}

impl Drop for Fault {
    fn drop(&mut self) {
        Armed::swap(self.before.take());
    }
}
