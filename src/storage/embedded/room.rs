//! Room for what is to be committed, and what happens where the disk is full.
//!
//! Commits are let in only if the segments that are there, filled with zeros long before, take them for certain. So a full
//! disk is noticed before anything was begun. The end of a segment is kept for entries alone: reads and denials go on for
//! a while. sled must never meet a full disk (it stops for good, or hangs): while less than `keep_free` bytes are left
//! nothing is applied to the trees, and commits wait in memory, durable in the journal.

use std::time::{Duration, Instant};

use super::*;

/// Free bytes beyond `keep_free` above which a reading of them is believed for a while. Less is read again each time. In
/// unit tests the real disk always has less.
const PLENTY: u64 = if cfg!(test) { u64::MAX } else { 256 << 20 };
/// For so long, and for so many bytes journaled. Others would have to fill what is plenty meanwhile.
const BELIEVED_FOR: Duration = Duration::from_millis(100);
const BELIEVED_BYTES: u64 = 4 << 20;

/// When much was found free.
#[derive(Clone, Copy)]
pub(super) struct Reading {
    at: Instant,
    /// Bytes journaled by then, since the last checkpoint.
    journaled: u64,
}

impl Reading {
    fn holds(self, now: Instant, journaled: u64) -> bool {
        let since = journaled.checked_sub(self.journaled);
        since.is_some_and(|since| since < BELIEVED_BYTES) && now.saturating_duration_since(self.at) < BELIEVED_FOR
    }
}

/// Whether so many free bytes are too few, and whether that is worth remembering.
const fn judge(free: Option<u64>, keep_free: u64, plenty: u64) -> (bool, bool) {
    match free {
        Some(free) => (free < keep_free, free >= keep_free.saturating_add(plenty)),
        // Nobody can tell, now or later.
        None => (false, true),
    }
}

impl Inner {
    pub(super) fn has_room(&self, len: usize, entries_only: bool) -> bool {
        let low = self.low.load(Ordering::Relaxed);
        (entries_only || !low) && lock(&self.room).takes(u64::try_from(len).unwrap_or(u64::MAX), entries_only)
    }

    pub(super) fn make_room(&self, len: usize, entries_only: bool) -> Result<(), StorageError> {
        let mut writer = lock(&self.order);
        self.alive()?;
        let space = self.check_space();
        self.note_room(&mut writer);
        if !entries_only {
            space?;
        }
        let bytes = u64::try_from(len).unwrap_or(u64::MAX);
        if !lock(&self.room).takes(bytes, entries_only) {
            let made = writer.make_room(bytes);
            self.note_room(&mut writer);
            made?;
        }
        Ok(())
    }

    /// To be called after each change of the writer.
    pub(super) fn note_room(&self, writer: &mut Writer) {
        let room = writer.room();
        *lock(&self.room) = room;
    }

    /// Whether enough of the file system is free to let sled write.
    pub(super) fn check_space(&self) -> Result<(), StorageError> {
        let (now, journaled) = (Instant::now(), self.journaled.load(Ordering::Relaxed));
        if lock(&self.plenty).is_some_and(|reading| reading.holds(now, journaled)) {
            return Ok(());
        }
        let (low, plenty) = judge(file::free_bytes(&self.dir), self.options.keep_free, PLENTY);
        *lock(&self.plenty) = plenty.then_some(Reading { at: now, journaled });
        self.low.store(low, Ordering::Relaxed);
        if low { Err(StorageError::DiskFull { path: self.dir.clone() }) } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_reading_far_above_what_is_kept_free_is_believed() {
        assert_eq!(judge(Some(9), 10, 100), (true, false));
        assert_eq!(judge(Some(10), 10, 100), (false, false));
        assert_eq!(judge(Some(109), 10, 100), (false, false));
        assert_eq!(judge(Some(110), 10, 100), (false, true));
        assert_eq!(judge(None, 10, 100), (false, true));
        assert_eq!(judge(Some(u64::MAX - 1), 10, u64::MAX), (false, false));
    }

    #[test]
    fn a_reading_is_believed_for_a_moment_and_for_some_bytes() {
        let at = Instant::now();
        let reading = Reading { at, journaled: 7 };
        assert!(reading.holds(at, 7) && reading.holds(at, 6 + BELIEVED_BYTES));
        assert!(!reading.holds(at, 7 + BELIEVED_BYTES));
        assert!(!reading.holds(at, 6), "a checkpoint began to count anew");
        assert!(reading.holds(at + BELIEVED_FOR - Duration::from_nanos(1), 7));
        assert!(!reading.holds(at + BELIEVED_FOR, 7));
    }
}
