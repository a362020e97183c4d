//! Checkpoints: how far the trees are durable, so that opening replays only what came later.

use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use super::super::load::Rows;
use super::*;
use crate::observe;

/// Bytes of the state file that quiet whiles may cost in a second, on average: each checkpoint writes all of it, and work
/// that comes in drops is all quiet whiles.
const QUIET_BYTES: u64 = 32 << 10;
/// Bytes of the state file for each bucket and for each subject.
const BUCKET_BYTES: u64 = 40;
const SUBJECT_BYTES: u64 = 24;

impl Inner {
    /// Makes checkpoints, when asked for and when nothing was journaled for a while, until nobody can ask any more.
    pub(super) fn checkpoint_when_due(&self, requests: &Receiver<()>) {
        let (mut before, mut rest) = (0, None::<Instant>);
        loop {
            match requests.recv_timeout(self.options.checkpoint_idle) {
                Ok(()) => {}
                Err(RecvTimeoutError::Timeout) => {
                    let journaled = self.journaled.load(Ordering::Relaxed);
                    let idle = std::mem::replace(&mut before, journaled) == journaled;
                    if !idle || journaled == 0 || rest.is_some_and(|rest| Instant::now() < rest) {
                        continue;
                    }
                }
                Err(RecvTimeoutError::Disconnected) => return,
            }
            // If it fails the journal still has everything; the next one tries again.
            let _ = self.checkpoint();
            before = 0;
            rest = Instant::now().checked_add(rest_after(lock(&self.front).tallies.len()));
        }
    }

    /// Notes what is applied, makes the trees durable, then writes the note. So the trees hold at least what the
    /// state file says.
    pub(super) fn checkpoint(&self) -> Result<(), StorageError> {
        let mut files = lock(&self.checkpoints);
        self.sweep_cut()?;
        let (state, trees, journaled) = {
            let _order = lock(&self.order);
            let mut applied = lock(&self.applied);
            self.alive()?;
            let journaled = self.journaled.load(Ordering::Relaxed);
            let (state, trees) = self.snapshot(&mut applied)?;
            (state, trees, journaled)
        };
        let written = self.write_checkpoint(&mut files, state, &trees);
        if written.is_err() {
            // Still to be replayed; but where it fails again and again it is not tried with every commit.
            self.journaled.fetch_add(journaled.min(self.options.checkpoint_bytes / 2), Ordering::Relaxed);
        }
        written
    }

    /// Settles everything, and removes the rows of entries that were cut, a few at a time, so that others get on.
    fn sweep_cut(&self) -> Result<(), StorageError> {
        loop {
            let mut applied = lock(&self.applied);
            self.alive()?;
            self.apply_through(&mut applied, u64::MAX)?;
            if applied.first_entry == 0 {
                return Ok(());
            }
            let swept = (&mut &*self.trees()?).sweep(applied.first_entry)?;
            applied.garbage = applied.garbage.saturating_add(swept.wasted);
            if !swept.more {
                return Ok(());
            }
        }
    }

    /// Checkpoint, clean mark, and no more.
    pub(super) fn close(&self) -> Result<(), StorageError> {
        let mut files = lock(&self.checkpoints);
        let _order = lock(&self.order);
        let mut applied = lock(&self.applied);
        let snapshot = self.alive().and_then(|()| self.snapshot(&mut applied));
        self.stop(Stop::Closed);
        let closed = snapshot.and_then(|(state, trees)| {
            let at = state.applied;
            self.write_checkpoint(&mut files, state, &trees)?;
            files.mark_clean(at.seq, &at.hash)
        });
        self.set_trees(None);
        closed
    }

    /// Settles everything and copies the state. The caller holds appends back.
    fn snapshot(&self, applied: &mut Applied) -> Result<(State, Arc<Trees>), StorageError> {
        self.apply_through(applied, u64::MAX)?;
        self.journaled.store(0, Ordering::Relaxed);
        let trees = self.trees()?;
        self.name_applied(applied, &trees)?;
        trees.set_garbage(applied.garbage)?;
        let front = lock(&self.front);
        let state = State {
            generation: 0, // given when it is written
            applied: applied.place,
            header_generation: applied.header_generation,
            trees: trees.number,
            entries: applied.pack.next,
            first_entry: applied.first_entry,
            pack_first: applied.pack.first,
            pack: applied.pack.bytes.clone(),
            last_entry: front.last_entry.as_deref().unwrap_or_default().to_vec(),
            tallies: front.tallies.iter().map(|(tag, count)| (*tag, *count)).collect(),
            digest: applied.digest.clone(),
        };
        Ok((state, trees))
    }

    fn write_checkpoint(&self, files: &mut StateFiles, state: State, trees: &Trees) -> Result<(), StorageError> {
        let took = observe::Stopwatch::start();
        let written = self.sync_and_note(files, state, trees);
        observe::checkpointed(took, written.is_ok());
        written
    }

    fn sync_and_note(&self, files: &mut StateFiles, mut state: State, trees: &Trees) -> Result<(), StorageError> {
        if let Err(error) = trees.sync() {
            self.poison(&error);
            return Err(error);
        }
        state.tallies.sort_unstable();
        files.write(state)
    }
}

/// For how long no quiet while makes a checkpoint after one with so many subjects.
fn rest_after(subjects: usize) -> Duration {
    let buckets = u64::try_from(Digest::default().len()).unwrap_or(u64::MAX).saturating_mul(BUCKET_BYTES);
    let subjects = u64::try_from(subjects).unwrap_or(u64::MAX).saturating_mul(SUBJECT_BYTES);
    Duration::from_secs(buckets.saturating_add(subjects) / QUIET_BYTES)
}

#[cfg(test)]
mod tests {
    use std::io::ErrorKind;

    use super::*;
    use crate::storage::fault::{self, FileOp as Op};
    use crate::storage::tests::{VAULT, entry, keys, open, options, put};

    /// With one write, and the checkpoint that is made by itself.
    fn after_a_quiet_while(dir: &Path) -> Embedded {
        let quick = StorageOptions { checkpoint_idle: Duration::from_millis(30), ..options() };
        let storage = Embedded::create(dir, VAULT, keys(), quick).unwrap();
        put(&storage, &[(b"key", Some(b"value"))], vec![entry(b"entry", &[])]);
        let start = Instant::now();
        while storage.inner.journaled.load(Ordering::Relaxed) > 0 {
            assert!(start.elapsed() < Duration::from_secs(20), "no checkpoint");
            std::thread::sleep(Duration::from_millis(5));
        }
        // Waits for the checkpoint that has begun.
        drop(lock(&storage.inner.checkpoints));
        storage
    }

    #[test]
    fn what_was_written_before_a_quiet_while_needs_no_replay_after_a_crash() {
        let dir = tempfile::tempdir().unwrap();
        let storage = after_a_quiet_while(dir.path());
        // No clean stop.
        drop(storage);
        let (_, opened) = open(dir.path());
        assert_eq!((opened.clean, opened.replayed_frames), (false, 0));
    }

    #[test]
    fn a_checkpoint_that_was_not_written_is_still_due() {
        let dir = tempfile::tempdir().unwrap();
        let storage = Embedded::create(dir.path(), VAULT, keys(), options()).unwrap();
        put(&storage, &[(b"key", Some(b"value"))], vec![]);
        fault::arm(Op::Write, 0, ErrorKind::Other);
        let failed = storage.inner.checkpoint();
        fault::disarm();
        assert!(matches!(failed, Err(StorageError::Io { .. })), "{failed:?}");
        assert!(storage.inner.journaled.load(Ordering::Relaxed) > 0);
        storage.inner.checkpoint().unwrap();
        assert_eq!(storage.inner.journaled.load(Ordering::Relaxed), 0);
    }

    #[test]
    fn work_that_comes_in_drops_does_not_write_the_state_file_for_each_of_them() {
        let dir = tempfile::tempdir().unwrap();
        let storage = after_a_quiet_while(dir.path());
        for _ in 0..3 {
            put(&storage, &[(b"key", Some(b"other"))], vec![]);
            std::thread::sleep(Duration::from_millis(200));
        }
        assert!(storage.inner.journaled.load(Ordering::Relaxed) > 0, "three drops, three state files");
        assert_eq!(rest_after(0), Duration::from_secs(5));
        assert!(rest_after(1_000_000) > Duration::from_secs(12 * 60));
    }
}
