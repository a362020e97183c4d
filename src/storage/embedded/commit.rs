//! Committing and settling.

use std::sync::atomic::Ordering;

use super::super::apply::NewRow;
use super::*;
use crate::crypto::hash;
use crate::format::digest;
use crate::format::frame::{self, Entry, Offsets, Op, Write};
use crate::storage::journal::writer::AppendError;
use crate::storage::{NewValue, SealedEntry, check_cut};

/// Longer keys are refused: the trees would keep them outside their pages.
const MAX_KEY: usize = 256;
const MAX_ENTRY: usize = 65_535;
/// After so many frames, or bytes of journal, the trees name the last frame that was applied: evidence, should the journal
/// end before it. sled keeps 512 KiB in memory before it writes any, so that after a crash naming each shows little more.
const NAME_FRAMES: u64 = 16;
const NAME_BYTES: u64 = 64 << 10;

impl Inner {
    pub(super) fn prepare(
        &self,
        tree: Tree,
        key: Bytes,
        value: Option<Bytes>,
        replaces: Option<&[u8]>,
    ) -> PreparedWrite {
        let leaf = |value: &[u8], hash: &[u8; 32]| {
            // Fails only for keys and values that are too long to commit.
            digest::leaf(&self.state_key, tree, &key, value.len(), hash).unwrap_or_default()
        };
        let old_leaf = replaces.map(|old| leaf(old, &hash::sha256(&[old])));
        let new = value.map(|bytes| {
            let hash = hash::sha256(&[&bytes]);
            NewValue { leaf: leaf(&bytes, &hash), hash, inline: self.options.is_inline(tree, bytes.len()), bytes }
        });
        PreparedWrite { tree, key, new, old_leaf }
    }

    pub(super) fn commit(&self, expected: Head, batch: Batch) -> Result<Pending, CommitError> {
        let body = body_len(&batch).map_err(CommitError::NotCommitted)?;
        let writes = batch.writes.len() + usize::from(batch.cut.is_some());
        let mut writer = lock(&self.order);
        self.alive().map_err(CommitError::NotCommitted)?;
        let header_generation = {
            let front = lock(&self.front);
            if front.head != expected {
                return Err(CommitError::Conflict { actual: front.head });
            }
            check_cut(&batch, front.first_entry, front.head.entries).map_err(CommitError::NotCommitted)?;
            front.header_generation.max(batch.header_generation)
        };
        let appended = writer.append(&self.library, header_generation, body, writes, |frame| {
            batch.writes.iter().try_for_each(|write| as_stored(write).encode(frame.writes()))?;
            batch.cut.into_iter().for_each(|first| frame::put_cut(first, frame.writes()));
            let out = frame.entries(batch.entries.len())?;
            batch.entries.iter().try_for_each(|entry| Entry::encode(&entry.bytes, &entry.subjects, out))
        });
        self.note_room(&mut writer);
        let mut front = lock(&self.front);
        let place = match appended {
            Ok(place) => place,
            Err(AppendError::Refused(error)) => {
                // A new segment may have been started all the same, which took a frame of its own.
                front.advance(writer.tip(), header_generation, Batch::default());
                return Err(CommitError::NotCommitted(error));
            }
            Err(AppendError::Stuck(error)) => {
                self.poison(&error);
                return Err(CommitError::NotCommitted(error));
            }
            Err(AppendError::Unknown(error)) => {
                self.poison(&error);
                return Err(CommitError::OutcomeUnknown(error));
            }
        };
        front.advance(place, header_generation, batch);
        self.journaled.fetch_add(u64::try_from(frame::frame_len(body)).unwrap_or(u64::MAX), Ordering::Relaxed);
        Ok(Pending { seq: place.seq })
    }

    /// Ends the segment that is written to. Nobody may be committing.
    pub(super) fn close_segment(&self) -> Result<(), StorageError> {
        let mut writer = lock(&self.order);
        self.alive()?;
        let header_generation = lock(&self.front).header_generation;
        let closed = writer.close_segment(&self.library, header_generation);
        self.note_room(&mut writer);
        lock(&self.front).advance(writer.tip(), header_generation, Batch::default());
        match closed {
            Ok(()) => Ok(()),
            Err(AppendError::Refused(error)) => Err(error),
            Err(AppendError::Stuck(error) | AppendError::Unknown(error)) => {
                self.poison(&error);
                Err(error)
            }
        }
    }

    pub(super) fn settle(&self, pending: Pending) -> Result<(), StorageError> {
        let mut applied = lock(&self.applied);
        self.alive()?;
        self.apply_through(&mut applied, pending.seq)
    }

    /// Applies committed frames up to this one, in order, whoever committed them.
    pub(super) fn apply_through(&self, applied: &mut Applied, seq: u64) -> Result<(), StorageError> {
        if applied.place.seq >= seq {
            return Ok(());
        }
        self.check_space()?;
        let trees = self.trees()?;
        let done = self.apply_queued(applied, &trees, seq);
        if let Err(error) = &done {
            self.poison(error);
        }
        done
    }

    fn apply_queued(&self, applied: &mut Applied, trees: &Trees, seq: u64) -> Result<(), StorageError> {
        let mut rows = trees;
        if self.applying.load(Ordering::Relaxed) {
            return Err(StorageError::Poisoned { cause: "a thread panicked while it applied a frame".into() });
        }
        // Not `while let`, which would hold `front` while a frame is applied, and every commit up with it.
        loop {
            let Some(work) = lock(&self.front).next_through(seq) else { break };
            self.applying.store(true, Ordering::Relaxed);
            let at = work.place.seq;
            let mut offsets = Offsets::start();
            for write in &work.writes {
                let old_leaf = write.old_leaf.as_ref();
                let new = write.new.as_ref().map(|new| NewRow {
                    bytes: &new.bytes,
                    hash: &new.hash,
                    leaf: &new.leaf,
                    inline: new.inline,
                });
                let len = new.as_ref().map_or(0, |new| new.bytes.len());
                let offset = offsets.write(write.key.len(), len, old_leaf.is_some());
                applied.write(&mut rows, (at, offset), (write.tree, &write.key), old_leaf, new)?;
            }
            if let Some(first) = work.cut {
                applied.cut(&mut rows, first)?;
            }
            offsets.entries(work.cut);
            for (entry, subjects) in &work.entries {
                let offset = offsets.entry(entry.len(), *subjects);
                applied.entry(&mut rows, at, offset, entry)?;
            }
            applied.place = work.place;
            applied.header_generation = work.header_generation;
            self.applying.store(false, Ordering::Relaxed);
        }
        if is_far(*lock(&self.named), applied.place) { self.name_applied(applied, trees) } else { Ok(()) }
    }

    /// Notes in the trees the last frame that was applied.
    pub(super) fn name_applied(&self, applied: &Applied, trees: &Trees) -> Result<(), StorageError> {
        let mut named = lock(&self.named);
        if named.seq < applied.place.seq {
            trees.set_settled(applied.place.seq, &applied.place.hash)?;
            *named = applied.place;
        }
        Ok(())
    }
}

/// Whether a frame is so far behind the one named that it should be named.
const fn is_far(named: Place, at: Place) -> bool {
    at.segment != named.segment
        || at.seq.saturating_sub(named.seq) >= NAME_FRAMES
        || at.offset.saturating_sub(named.offset) >= NAME_BYTES
}

impl Front {
    /// Notes a frame that is durable.
    fn advance(&mut self, place: Place, header_generation: u64, batch: Batch) {
        if place.seq <= self.head.seq {
            return;
        }
        self.head.seq = place.seq;
        self.header_generation = header_generation;
        self.first_entry = batch.cut.unwrap_or(self.first_entry);
        let (cut, mut entries) = (batch.cut, Vec::with_capacity(batch.entries.len()));
        for SealedEntry { bytes, subjects } in batch.entries {
            for subject in &subjects {
                *self.tallies.entry(*subject).or_default() += 1;
            }
            entries.push((bytes, subjects.len()));
        }
        self.head.entries = self.head.entries.saturating_add(u64::try_from(entries.len()).unwrap_or(u64::MAX));
        if let Some((last, _)) = entries.last() {
            self.last_entry = Some(Bytes::from(last.as_slice()));
        }
        self.queue.push_back(Work { place, header_generation, writes: batch.writes, cut, entries });
    }

    fn next_through(&mut self, seq: u64) -> Option<Work> {
        if self.queue.front()?.place.seq <= seq { self.queue.pop_front() } else { None }
    }
}

fn as_stored(write: &PreparedWrite) -> Write<'_> {
    let op = match &write.new {
        None => Op::Delete,
        Some(new) if new.inline => Op::Inline(&new.bytes),
        Some(new) => Op::Kept(&new.bytes),
    };
    Write { tree: write.tree, key: &write.key, op, old_leaf: write.old_leaf }
}

/// Bytes that writes and entries take in a frame; refuses what no frame may hold.
pub(in crate::storage) fn body_len(batch: &Batch) -> Result<usize, StorageError> {
    let refused = |why| Err(StorageError::Refused { why });
    let mut body = batch.cut.map_or(0, |_| frame::CUT_LEN);
    for write in &batch.writes {
        if write.tree == Tree::Audit {
            return refused("the audit tree takes entries, not writes");
        }
        if write.key.len() > MAX_KEY {
            return refused("a key is longer than 256 bytes");
        }
        let value = write.new.as_ref().map_or(0, |new| new.bytes.len());
        body = body.saturating_add(Write::encoded_len(write.key.len(), value, write.old_leaf.is_some()));
    }
    for entry in &batch.entries {
        if entry.bytes.is_empty() || entry.bytes.len() > MAX_ENTRY || entry.subjects.len() > MAX_ENTRY {
            return refused("an audit entry is empty, or longer than 65,535 bytes, or names more than 65,535 subjects");
        }
        body = body.saturating_add(Entry::encoded_len(entry.bytes.len(), entry.subjects.len()));
    }
    if body > frame::MAX_LEN {
        let len = u64::try_from(body).unwrap_or(u64::MAX);
        return Err(StorageError::BatchTooLarge { len, limit: u64::try_from(frame::MAX_LEN).unwrap_or(u64::MAX) });
    }
    Ok(body)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::storage::tests::{create, put};

    #[test]
    fn the_frame_named_is_never_far_behind_the_one_applied() {
        let dir = tempfile::tempdir().unwrap();
        let storage = create(dir.path());
        let named = || storage.inner.trees().unwrap().settled().unwrap().unwrap().0;
        for key in 0..100_u8 {
            put(&storage, &[(&[key], Some(b"value"))], vec![]);
            let behind = storage.head().seq - named();
            assert!(behind < NAME_FRAMES, "{behind}");
        }
        assert!(named() < storage.head().seq, "named each time");
        put(&storage, &[(b"large", Some(&[1; 70_000]))], vec![]);
        put(&storage, &[(b"small", Some(b"value"))], vec![]);
        assert_eq!(named(), storage.head().seq);
        put(&storage, &[(b"last", Some(b"value"))], vec![]);
        storage.checkpoint().unwrap();
        assert_eq!(named(), storage.head().seq);
    }

    #[test]
    fn after_a_panic_within_a_frame_nothing_is_applied_as_if_it_were_whole() {
        let dir = tempfile::tempdir().unwrap();
        let storage = create(dir.path());
        put(&storage, &[(b"key", Some(b"value"))], vec![]);
        // As a thread leaves it that panicked.
        storage.inner.applying.store(true, Ordering::Relaxed);
        let write =
            storage.prepare(Tree::Records, b"key".to_vec().into(), Some(Bytes::from(&b"other"[..])), Some(b"value"));
        let batch = Batch { writes: vec![write], ..Batch::default() };
        let pending = storage.commit(storage.head(), batch).unwrap();
        assert!(matches!(storage.settle(pending), Err(StorageError::Poisoned { .. })));
        assert!(matches!(storage.get(Tree::Records, b"key"), Err(StorageError::Poisoned { .. })));
        drop(storage);
        let (storage, _) = crate::storage::tests::open(dir.path());
        assert_eq!(storage.get(Tree::Records, b"key").unwrap().as_deref(), Some(&b"other"[..]));
    }

    #[test]
    fn an_orderly_drop_names_the_last_frame_even_if_nobody_settled_it() {
        let dir = tempfile::tempdir().unwrap();
        let storage = create(dir.path());
        let write = storage.prepare(Tree::Records, b"key".to_vec().into(), Some(Bytes::from(&b"value"[..])), None);
        let pending = storage.commit(storage.head(), Batch { writes: vec![write], ..Batch::default() }).unwrap();
        drop(storage);
        let trees = Trees::open(dir.path(), 1, 1 << 20).unwrap();
        assert_eq!(trees.settled().unwrap().unwrap().0, pending.seq);
    }

    #[test]
    fn a_large_frame_and_another_segment_are_far() {
        let at = |segment, seq, offset| Place { seq, segment, offset, hash: [0; 32] };
        assert!(!is_far(at(1, 5, 100), at(1, 20, 99 + NAME_BYTES)));
        assert!(is_far(at(1, 5, 100), at(1, 21, 200)));
        assert!(is_far(at(1, 5, 100), at(1, 6, 100 + NAME_BYTES)));
        assert!(is_far(at(1, 5, 100), at(2, 6, 64)));
    }
}
