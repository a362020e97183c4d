//! Compaction while running: commits and reads go on meanwhile.

use super::super::journal::compact::Compaction;
use super::super::journal::files::Files;
use super::*;
use crate::progress::{Progress, Task};
use crate::storage::Compacted;

impl Inner {
    /// Makes a base of all closed segments, durable and verified, and reads from it from now on. The files that it covers
    /// stay until [`Inner::remove_compacted`]. Nothing if no segment was closed since the last base.
    pub(super) fn compact(
        &self,
        progress: &mut OnProgress<'_>,
        go_on: &dyn Fn() -> bool,
    ) -> Result<Option<Compacted>, StorageError> {
        let _one = lock(&self.compacting);
        self.alive()?;
        let through = lock(&self.order).last_seal();
        let files = Files::list(&self.journal)?;
        if through.0 <= files.covered().seq {
            return Ok(None);
        }
        // Trees that end before the base does could not be brought up to date any more, only built anew.
        self.checkpoint()?;
        // A cut that is in no closed segment yet leaves its garbage.
        let (garbage, first_entry) = {
            let applied = lock(&self.applied);
            (applied.garbage, applied.first_entry)
        };
        let covered = |segment: &&Segment| segment.header.first_seq <= through.0;
        let segments: u64 = files.segments.iter().filter(covered).map(|segment| segment.header.size).sum();
        let before = segments.saturating_add(files.base.as_ref().map_or(0, |base| base.seal.size));
        let (mut done, total) = (0_u64, before.saturating_mul(READINGS));
        let mut passed = |len: usize| {
            if !go_on() {
                return Err(StorageError::Closed);
            }
            self.alive()?;
            self.check_space()?;
            done = done.saturating_add(u64::try_from(len).unwrap_or(0));
            progress(Progress::new(Task::Compact, done, Some(total.max(done))));
            Ok(())
        };
        let compaction = Compaction {
            id: &self.journal,
            files: &files,
            library: &self.library,
            state_key: &self.state_key,
            through,
            passed: &mut passed,
        };
        let base = Arc::new(compaction.run()?);
        self.library.adopt(&base)?;
        if base.header.first_entry >= first_entry {
            let mut applied = lock(&self.applied);
            applied.garbage = applied.garbage.saturating_sub(garbage);
        }
        let (rows, entries, after) = (base.seal.rows, base.seal.entries, base.seal.size);
        Ok(Some(Compacted { through: through.0, rows, entries, bytes_before: before, bytes_after: after }))
    }

    /// Whether closed segments hold so much garbage that compacting them pays.
    pub(super) fn compaction_due(&self) -> Result<bool, StorageError> {
        let (share, least) = (u64::from(self.options.compact_share), self.options.compact_least);
        let garbage = lock(&self.applied).garbage.saturating_mul(100);
        if share >= 100 || garbage < share.saturating_mul(least) {
            return Ok(false);
        }
        let through = lock(&self.order).last_seal().0;
        let files = Files::list(&self.journal)?;
        let closed = files.segments.iter().filter(|segment| segment.header.first_seq <= through);
        let closed: u64 = closed.map(|segment| segment.header.size).sum();
        let all = closed.saturating_add(files.base.as_ref().map_or(0, |base| base.seal.size));
        Ok(closed > 0 && all >= least && garbage >= share.saturating_mul(all))
    }

    /// Whether entries that were cut may still be in base, segments, or the files of the trees.
    pub(super) fn holds_cut(&self) -> bool {
        let first = lock(&self.front).first_entry;
        let begins = self.library.base().map_or(0, |base| base.header.first_entry);
        begins < first || self.trees().is_ok_and(|trees| trees.had_cut())
    }

    /// Removes the files that a base covers, unless it covers more than the log tells of: then opening would not know that
    /// an entry is missing.
    pub(super) fn remove_compacted(&self, through: u64) -> Result<(), StorageError> {
        let _one = lock(&self.compacting);
        let _files = self.files.write().unwrap_or_else(PoisonError::into_inner);
        let files = Files::list(&self.journal)?;
        if files.covered().seq > through {
            return Ok(());
        }
        open::remove_covered(&files)
    }
}

/// How often a compaction reads what it compacts, verification included.
const READINGS: u64 = 4;
