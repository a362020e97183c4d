//! Floor 3: an ordered table of opaque bytes with atomic, durable batches. The journal is the truth; the trees are
//! state that can be rebuilt from it. Knows the keys of frames, digest and state file, and nothing else of secrets.

mod apply;
#[cfg(feature = "backup")]
pub(crate) mod copy;
pub(crate) mod embedded;
pub(crate) mod error;
pub(crate) mod fault;
pub(crate) mod file;
pub(crate) mod flaw;
mod journal;
mod load;
#[cfg(feature = "test-util")]
pub(crate) mod memory;
mod pack;
pub(crate) mod salvage;
mod state;
mod trees;
mod watch;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::crypto::kdf::{JournalKey, StateKey};
pub(crate) use crate::format::keys::Tree;
use crate::progress::OnProgress;

#[cfg(feature = "backup")]
pub(crate) use copy::Shipment;
pub(crate) use embedded::{Embedded, Opened, Scrub};
pub(crate) use error::CommitError;
pub use error::StorageError;
pub use flaw::Severity;
use flaw::{Examiner, TreesAre};

/// A stored value or audit entry.
pub(crate) type Bytes = Arc<[u8]>;

/// The keys that storage needs.
#[derive(Debug)]
pub(crate) struct StorageKeys {
    /// Authenticates journal frames.
    pub(crate) journal: JournalKey,
    /// Authenticates digest, state file and clean mark.
    pub(crate) state: StateKey,
}

/// Sizes, in bytes where nothing else is said.
#[derive(Clone, Copy, Debug)]
pub(crate) struct StorageOptions {
    /// The first segment; each later one is twice as large.
    pub(crate) segment_first: u64,
    /// No segment grows above this, except for a single frame that needs more.
    pub(crate) segment_max: u64,
    /// Records' values above this live in the journal only. Above 4,096 it counts as 4,096.
    pub(crate) inline_limit: usize,
    /// Cache of the trees.
    pub(crate) cache_bytes: u64,
    /// A checkpoint is made whenever this much was journaled since the last.
    pub(crate) checkpoint_bytes: u64,
    /// And whenever something was journaled since, and then nothing for this long, about: a crash hours after the last
    /// write has nothing to replay.
    pub(crate) checkpoint_idle: Duration,
    /// Share of the closed journal, in percent, that may be garbage before compacting it is due; 100: never due.
    pub(crate) compact_share: u8,
    /// Bytes of the file system that are left free: below, nothing is written but entries, into room that is there.
    pub(crate) keep_free: u64,
    /// Closed bytes below which compacting is never due.
    pub(crate) compact_least: u64,
}

impl StorageOptions {
    /// The longest value that the trees may hold: sled would make files of their own of larger ones.
    pub(crate) const INLINE_MOST: usize = crate::format::row::PACK_MAX;
    /// No sealed record is as short.
    pub(crate) const INLINE_USUAL: usize = 256;

    /// Whether the trees hold such a value themselves. Without the rows of the other trees no vault opens and no patient is
    /// found, and they are few and short: those stand twice.
    pub(crate) fn is_inline(&self, tree: Tree, len: usize) -> bool {
        len <= if tree == Tree::Records { self.inline_limit.min(Self::INLINE_MOST) } else { Self::INLINE_MOST }
    }
}

impl Default for StorageOptions {
    fn default() -> Self {
        Self {
            segment_first: 1 << 20,
            segment_max: 64 << 20,
            inline_limit: Self::INLINE_USUAL,
            cache_bytes: 256 << 20,
            checkpoint_bytes: 64 << 20,
            checkpoint_idle: Duration::from_secs(10),
            keep_free: 32 << 20,
            compact_share: 50,
            compact_least: 64 << 20,
        }
    }
}

/// How far the journal has come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Head {
    /// Frames so far. A commit adds one, and one more when it starts a new segment.
    pub(crate) seq: u64,
    /// Audit entries so far: the number of the next one.
    pub(crate) entries: u64,
}

/// One row to write, made ready off the serial path by [`Storage::prepare`].
#[derive(Clone, Debug)]
pub(crate) struct PreparedWrite {
    pub(crate) tree: Tree,
    pub(crate) key: Bytes,
    pub(crate) new: Option<NewValue>,
    /// Digest leaf of the value that stands there now.
    pub(crate) old_leaf: Option<[u8; 32]>,
}

/// The value of a [`PreparedWrite`] that is no delete.
#[derive(Clone, Debug)]
pub(crate) struct NewValue {
    pub(crate) bytes: Bytes,
    /// SHA-256 of the value.
    pub(crate) hash: [u8; 32],
    /// Its digest leaf.
    pub(crate) leaf: [u8; 32],
    /// Whether the trees hold the value itself, rather than where it is in the journal.
    pub(crate) inline: bool,
}

/// An audit entry, as opaque bytes.
#[derive(Clone, Debug)]
pub(crate) struct SealedEntry {
    pub(crate) bytes: Vec<u8>,
    /// For each of these tags a running count of entries is kept ([`Storage::tally`]).
    pub(crate) subjects: Vec<[u8; 16]>,
}

/// What becomes durable together.
#[derive(Clone, Debug, Default)]
pub(crate) struct Batch {
    pub(crate) writes: Vec<PreparedWrite>,
    pub(crate) entries: Vec<SealedEntry>,
    /// With this commit entries below this number go, for good. At least [`Storage::first_entry`], at most the number of
    /// entries before this batch; and one entry stays.
    pub(crate) cut: Option<u64>,
    /// Generation of the vault header that was in force.
    pub(crate) header_generation: u64,
}

/// A durable batch whose rows are not visible yet. Dropping it is harmless: the next settle makes them visible.
#[derive(Debug)]
#[must_use = "a commit becomes visible when it is settled"]
pub(crate) struct Pending {
    /// The frame that holds it.
    pub(crate) seq: u64,
}

/// Which rows to read.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Scan<'a> {
    pub(crate) prefix: &'a [u8],
    /// Only keys above this one.
    pub(crate) after: Option<&'a [u8]>,
    /// At most this many rows.
    pub(crate) limit: usize,
}

/// What a compaction did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Compacted {
    /// The last frame that the base covers.
    pub(crate) through: u64,
    pub(crate) rows: u64,
    pub(crate) entries: u64,
    /// Bytes of the files that the base replaces.
    pub(crate) bytes_before: u64,
    /// Bytes of the base.
    pub(crate) bytes_after: u64,
}

/// An ordered table with atomic, durable batches on an expected head. All methods may be called from any thread.
pub(crate) trait Storage: Send + Sync {
    /// What has been committed.
    fn head(&self) -> Head;

    /// Makes a write ready: hashing happens here, off the serial path. No `value` deletes; `replaces` is the value
    /// that stands under the key now, if any.
    fn prepare(&self, tree: Tree, key: Bytes, value: Option<Bytes>, replaces: Option<&[u8]>) -> PreparedWrite;

    /// The settled value of a key.
    fn get(&self, tree: Tree, key: &[u8]) -> Result<Option<Bytes>, StorageError>;

    /// Settled rows, ascending by key.
    fn scan(&self, tree: Tree, scan: Scan<'_>) -> Result<Vec<(Vec<u8>, Bytes)>, StorageError>;

    /// As [`Storage::scan`], without the values.
    fn scan_keys(&self, tree: Tree, scan: Scan<'_>) -> Result<Vec<Vec<u8>>, StorageError>;

    /// Something that mended itself and that the log should tell; once.
    fn take_notice(&self) -> Option<&'static str> {
        None
    }

    /// Whether commits that take `len` bytes together find room for certain. Commits of entries alone may use a reserve.
    fn has_room(&self, _len: usize, _entries_only: bool) -> bool {
        true
    }

    /// Makes room for commits of `len` bytes together, or says that the disk is full. Then nothing was begun, and all goes
    /// on once there is space again.
    fn make_room(&self, _len: usize, _entries_only: bool) -> Result<(), StorageError> {
        Ok(())
    }

    /// Makes a batch durable: one frame, one write, one sync. Its entries can be read from then on, its rows after
    /// [`Storage::settle`].
    fn commit(&self, expected: Head, batch: Batch) -> Result<Pending, CommitError>;

    /// Makes a commit, and all before it, visible. [`StorageError::DiskFull`] puts it off: the commit is durable, and a
    /// later call makes it visible once there is space again.
    fn settle(&self, pending: Pending) -> Result<(), StorageError>;

    /// Whether settling takes so long that callers should not wait for it.
    fn settles_slowly(&self) -> bool {
        false
    }

    /// Committed audit entries that name this subject, those that were cut included.
    fn tally(&self, subject: &[u8; 16]) -> u64;

    /// How many rows a tree holds, where that is known.
    fn rows(&self, _tree: Tree) -> Option<u64> {
        None
    }

    /// Number of the oldest entry that is kept: what the last commit with a cut said, settled or not; 0 if there was none.
    fn first_entry(&self) -> u64;

    /// Audit entries from number `from`, ascending and without a gap, at most `limit`: all that were committed, settled or not.
    /// [`StorageError::Pruned`] below [`Storage::first_entry`].
    fn entries(&self, from: u64, limit: usize) -> Result<Vec<(u64, Bytes)>, StorageError>;

    /// The newest committed audit entry.
    fn last_entry(&self) -> Option<Bytes>;

    /// Settles everything, and makes the trees durable as well, so that opening replays nothing older.
    fn checkpoint(&self) -> Result<(), StorageError>;

    /// Makes one file of all that was closed, without what was overwritten or deleted, while others go on. Ends early, with
    /// [`StorageError::Closed`], once `go_on` says no. What is superfluous then stays until
    /// [`Storage::remove_compacted`]. Nothing where there is nothing to compact.
    fn compact(&self, _progress: OnProgress<'_>, _go_on: &dyn Fn() -> bool) -> Result<Option<Compacted>, StorageError> {
        Ok(None)
    }

    /// The journal as it is durable now, its files open, for whoever copies it while others go on. Nothing where there is
    /// no journal.
    #[cfg(feature = "backup")]
    fn ship(&self) -> Result<Option<Shipment>, StorageError> {
        Ok(None)
    }

    /// Number of the segment that is written to; 0 where there is none.
    #[cfg(feature = "backup")]
    fn segment(&self) -> u64 {
        0
    }

    /// Whether [`Storage::compact`] would free enough to be worth it.
    fn compaction_due(&self) -> Result<bool, StorageError> {
        Ok(false)
    }

    /// Reads all files of the journal, and the state files, while others go on; does not stop at what is wrong. Says whether
    /// the journal is whole, where there is one.
    fn check_journal(&self, _examiner: &mut dyn Examiner) -> Result<bool, StorageError> {
        Ok(false)
    }

    /// Compares all rows with the digest, and looks for the values and entries to which rows point. What is wrong is built
    /// anew from the journal, which is read beforehand unless it is known whether it is `whole`.
    fn check_trees(&self, _whole: Option<bool>, _examiner: &mut dyn Examiner) -> Result<TreesAre, StorageError> {
        Ok(TreesAre::Right)
    }

    /// Builds the trees anew from the journal if all of that is whole, which is looked at first unless it is known. Says
    /// whether it was done.
    fn mend_trees(&self, _whole: Option<bool>, _examiner: &mut dyn Examiner) -> Result<bool, StorageError> {
        Ok(false)
    }

    /// Goes on with a round of looking at all rows and the whole journal, for about so many rows. Gives how many it were, and
    /// whether the round ended; nothing where there is nothing to scrub.
    fn scrub(
        &self,
        _scrub: &mut Scrub,
        _rows: u64,
        _examiner: &mut dyn Examiner,
    ) -> Result<Option<(u64, bool)>, StorageError> {
        Ok(None)
    }

    /// Whether there is something to scrub.
    fn is_scrubbed(&self) -> bool {
        false
    }

    /// [`Storage::entries`], without mending anything.
    fn entries_as_they_are(&self, from: u64, limit: usize) -> Result<Vec<(u64, Bytes)>, StorageError> {
        self.entries(from, limit)
    }

    /// Ends the segment that is written to, so that a compaction covers all that was committed until now.
    fn close_segment(&self) -> Result<(), StorageError> {
        Ok(())
    }

    /// Whether entries that were cut may still stand in files: until a compaction of a closed segment and
    /// [`Storage::renew_trees`].
    fn holds_cut(&self) -> bool {
        false
    }

    /// Builds the trees anew from the journal and removes the old ones and what was kept of torn frames, so that nothing is
    /// left of rows that were deleted.
    fn renew_trees(&self) -> Result<(), StorageError> {
        Ok(())
    }

    /// Removes what [`Storage::compact`] made superfluous, once the log says that frames up to `through` were compacted.
    /// Nothing where others have compacted more since: they do it, once the log says so of theirs.
    fn remove_compacted(&self, through: u64) -> Result<(), StorageError> {
        let _ = through;
        Ok(())
    }

    /// Checkpoint, then a clean mark; later calls answer [`StorageError::Closed`].
    fn close(&self) -> Result<(), StorageError>;
}

/// Whether a batch may cut where it says, in a log of so many entries from number `first` on.
pub(crate) fn check_cut(batch: &Batch, first: u64, entries: u64) -> Result<(), StorageError> {
    let Some(cut) = batch.cut else { return Ok(()) };
    let refused = |why| Err(StorageError::Refused { why });
    if cut < first || cut > entries {
        return refused("a cut below the first entry that is kept, or above the last one");
    }
    if cut == entries && batch.entries.is_empty() {
        return refused("a cut that leaves no entry");
    }
    Ok(())
}

/// Locks even if a thread panicked while it held the lock: what these locks guard is changed by steps that do not
/// panic.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
