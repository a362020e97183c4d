//! Bringing what is durable into the trees, after its callers were answered. Until then it is in the overlay, and the journal
//! has it whatever happens.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::group::Places;
use super::window::Bell;
use super::{Committer, Overlay};
use crate::storage::{Pending, StorageError, Tree};

/// For how long a group may wait for a thread that settles: those of a busy while are settled together, and a lone one wakes
/// nobody meanwhile.
const DELAY: Duration = Duration::from_millis(5);
/// Bytes beyond which that thread begins at once.
const SOON: usize = 128 << 10;
/// Bytes beyond which whoever commits helps it.
const MOST: usize = 2 << 20;

/// Groups that are durable and not settled.
#[derive(Default)]
pub(super) struct Unsettled {
    waiting: Mutex<Waiting>,
    /// Whether a thread settles what waits.
    attended: AtomicBool,
    bell: Arc<Bell>,
}

#[derive(Default)]
struct Waiting {
    /// By their frame's number: each job's rows in the overlay, and how many bytes they take.
    frames: BTreeMap<u64, (Vec<(u64, Places)>, usize)>,
    bytes: usize,
}

impl Unsettled {
    /// Gives the number of bytes that wait now.
    fn put(&self, frame: u64, rows: Vec<(u64, Places)>, bytes: usize) -> usize {
        let mut waiting = self.lock();
        // A group without entries or rows of its own waits for the frame of another.
        let (held, size) = waiting.frames.entry(frame).or_default();
        held.extend(rows);
        *size += bytes;
        waiting.bytes += bytes;
        waiting.bytes
    }

    /// The first frame, if so many bytes wait, or more.
    fn first_beyond(&self, bytes: usize) -> Option<u64> {
        let waiting = self.lock();
        let first = waiting.frames.first_key_value().map(|(frame, _)| *frame);
        first.filter(|_| waiting.bytes >= bytes)
    }

    /// Everything through this frame is settled now.
    fn settled(&self, overlay: &Overlay, frame: u64) {
        let mut waiting = self.lock();
        while let Some(first) = waiting.frames.first_entry().filter(|first| *first.key() <= frame) {
            let (rows, bytes) = first.remove();
            waiting.bytes -= bytes;
            for (job, keys) in rows {
                overlay.settled(job, &keys);
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Committer {
    /// Whether a thread calls [`Committer::settle`] whenever [`Committer::settle_bell`] rings. Without one, those who commit
    /// settle their own.
    pub(crate) fn attend(&self, attended: bool) {
        self.unsettled.attended.store(attended, Ordering::Relaxed);
    }

    pub(crate) fn settle_bell(&self) -> &Arc<Bell> {
        &self.unsettled.bell
    }

    /// Sees to it that a durable group is settled.
    pub(super) fn settle_later(&self, frame: u64, rows: Vec<(u64, Places)>, bytes: usize) {
        if rows.is_empty() && bytes == 0 {
            return;
        }
        let waiting = self.unsettled.put(frame, rows, bytes);
        if !self.unsettled.attended.load(Ordering::Relaxed) {
            self.settle();
        } else if waiting > MOST {
            self.settle_down_to(MOST);
        } else {
            self.unsettled.bell.within(if waiting > SOON { Duration::ZERO } else { DELAY });
        }
    }

    /// Settles what waits.
    pub(crate) fn settle(&self) {
        self.settle_down_to(0);
    }

    /// Rows of a tree, where that is known: all that were acknowledged, but for those that the disk has no room for yet.
    pub(crate) fn rows(&self, tree: Tree) -> Option<u64> {
        let _ = self.storage.settle(Pending { seq: self.storage.head().seq });
        self.storage.rows(tree)
    }

    /// Settles one frame after the other, so that readers who need the trees come in between, until no more than so many
    /// bytes wait.
    fn settle_down_to(&self, bytes: usize) {
        while let Some(frame) = self.unsettled.first_beyond(bytes) {
            match self.storage.settle(Pending { seq: frame }) {
                Ok(()) => self.unsettled.settled(&self.overlay, frame),
                // A later group tries again; it stays in the overlay until then.
                Err(StorageError::DiskFull { .. }) => return,
                Err(error) => return self.stop(&error.to_string()),
            }
        }
    }
}
