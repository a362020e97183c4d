//! Checkpoints: how far the trees are durable, so that opening replays only what came later.

use std::sync::atomic::Ordering;

use super::*;
use crate::observe;

impl Inner {
    /// Notes what is applied, makes the trees durable, then writes the note. So the trees hold at least what the
    /// state file says.
    pub(super) fn checkpoint(&self) -> Result<(), StorageError> {
        let mut files = lock(&self.checkpoints);
        let (state, trees) = {
            let _order = lock(&self.order);
            let mut applied = lock(&self.applied);
            self.alive()?;
            self.snapshot(&mut applied)?
        };
        self.write_checkpoint(&mut files, state, &trees)
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
        let front = lock(&self.front);
        let state = State {
            generation: 0, // given when it is written
            applied: applied.place,
            header_generation: applied.header_generation,
            trees: trees.number,
            entries: applied.pack.next,
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
