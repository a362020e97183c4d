//! The trait, as the embedded storage keeps it.

use super::*;
use crate::storage::Compacted;
#[cfg(feature = "backup")]
use crate::storage::Shipment;
use crate::storage::flaw::{Examiner, TreesAre};

impl Storage for Embedded {
    fn head(&self) -> Head {
        lock(&self.inner.front).head
    }

    fn prepare(&self, tree: Tree, key: Bytes, value: Option<Bytes>, replaces: Option<&[u8]>) -> PreparedWrite {
        self.inner.prepare(tree, key, value, replaces)
    }

    fn get(&self, tree: Tree, key: &[u8]) -> Result<Option<Bytes>, StorageError> {
        self.inner.get(tree, key)
    }

    fn scan(&self, tree: Tree, scan: Scan<'_>) -> Result<Vec<(Vec<u8>, Bytes)>, StorageError> {
        self.inner.scan(tree, scan)
    }

    fn scan_keys(&self, tree: Tree, scan: Scan<'_>) -> Result<Vec<Vec<u8>>, StorageError> {
        self.inner.scan_keys(tree, scan)
    }

    fn commit(&self, expected: Head, batch: Batch) -> Result<Pending, CommitError> {
        let pending = self.inner.commit(expected, batch)?;
        if self.inner.journaled.load(Ordering::Relaxed) >= self.inner.options.checkpoint_bytes
            && let Some(requests) = &self.requests
        {
            // One request waiting is enough.
            let _ = requests.try_send(());
        }
        Ok(pending)
    }

    fn settle(&self, pending: Pending) -> Result<(), StorageError> {
        self.inner.settle(pending)
    }

    fn tally(&self, subject: &[u8; 16]) -> u64 {
        lock(&self.inner.front).tallies.get(subject).copied().unwrap_or(0)
    }

    fn rows(&self, tree: Tree) -> Option<u64> {
        Some(lock(&self.inner.applied).digest.rows_of(tree))
    }

    fn first_entry(&self) -> u64 {
        lock(&self.inner.front).first_entry
    }

    fn entries(&self, from: u64, limit: usize) -> Result<Vec<(u64, Bytes)>, StorageError> {
        self.inner.entries(from, limit)
    }

    fn last_entry(&self) -> Option<Bytes> {
        lock(&self.inner.front).last_entry.clone()
    }

    fn checkpoint(&self) -> Result<(), StorageError> {
        self.inner.checkpoint()
    }

    fn take_notice(&self) -> Option<&'static str> {
        lock(&self.inner.notice).take()
    }

    fn has_room(&self, len: usize, entries_only: bool) -> bool {
        self.inner.has_room(len, entries_only)
    }

    fn make_room(&self, len: usize, entries_only: bool) -> Result<(), StorageError> {
        self.inner.make_room(len, entries_only)
    }

    #[cfg(feature = "backup")]
    fn ship(&self) -> Result<Option<Shipment>, StorageError> {
        self.inner.ship().map(Some)
    }

    #[cfg(feature = "backup")]
    fn segment(&self) -> u64 {
        lock(&self.inner.order).next_place().0
    }

    fn compact(
        &self,
        mut progress: OnProgress<'_>,
        go_on: &dyn Fn() -> bool,
    ) -> Result<Option<Compacted>, StorageError> {
        self.inner.compact(&mut progress, go_on)
    }

    fn compaction_due(&self) -> Result<bool, StorageError> {
        self.inner.alive()?;
        self.inner.compaction_due()
    }

    fn check_journal(&self, examiner: &mut dyn Examiner) -> Result<bool, StorageError> {
        self.inner.check_journal(examiner)
    }

    fn check_trees(&self, whole: Option<bool>, examiner: &mut dyn Examiner) -> Result<TreesAre, StorageError> {
        self.inner.check_trees(whole, examiner)
    }

    fn mend_trees(&self, whole: Option<bool>, examiner: &mut dyn Examiner) -> Result<bool, StorageError> {
        Ok(self.inner.may_rebuild(whole, examiner)? && self.inner.rebuild_gently(&[], examiner)?)
    }

    fn scrub(
        &self,
        scrub: &mut Scrub,
        rows: u64,
        examiner: &mut dyn Examiner,
    ) -> Result<Option<(u64, bool)>, StorageError> {
        self.inner.scrub(scrub, rows, examiner).map(Some)
    }

    fn settles_slowly(&self) -> bool {
        true
    }

    fn is_scrubbed(&self) -> bool {
        true
    }

    fn entries_as_they_are(&self, from: u64, limit: usize) -> Result<Vec<(u64, Bytes)>, StorageError> {
        self.inner.entries_once(from, limit)
    }

    fn close_segment(&self) -> Result<(), StorageError> {
        self.inner.alive()?;
        self.inner.close_segment()
    }

    fn holds_cut(&self) -> bool {
        self.inner.holds_cut()
    }

    fn renew_trees(&self) -> Result<(), StorageError> {
        self.inner.alive()?;
        self.inner.renew_trees()
    }

    fn remove_compacted(&self, through: u64) -> Result<(), StorageError> {
        self.inner.remove_compacted(through)
    }

    fn close(&self) -> Result<(), StorageError> {
        self.inner.close()
    }
}
