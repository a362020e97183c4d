//! Room for what is to be committed, and what happens where the disk is full.
//!
//! Commits are let in only if the segments that are there, filled with zeros long before, take them for certain. So a full
//! disk is noticed before anything was begun. The end of a segment is kept for entries alone: reads and denials go on for
//! a while. sled must never meet a full disk (it stops for good, or hangs): while less than `keep_free` bytes are left
//! nothing is applied to the trees, and commits wait in memory, durable in the journal.

use super::*;

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
        let low = file::free_bytes(&self.dir).is_some_and(|free| free < self.options.keep_free);
        self.low.store(low, Ordering::Relaxed);
        if low { Err(StorageError::DiskFull { path: self.dir.clone() }) } else { Ok(()) }
    }
}
