//! Replaying the journal into the trees: the last few frames when opening, all of them when the trees are suspect.

use std::ops::Range;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::super::apply::{self, NewRow};
use super::super::journal::{files::Files, walk};
use super::super::load::{self, Loader};
use super::*;
use crate::crypto::hash;
use crate::format::base::{Item, Origin};
use crate::format::digest;
use crate::format::frame::{Entry, Frame};
use crate::observe;
use crate::progress::{Progress, Task};

/// Cache of trees while they are built: rows come in the order of their keys, and sled takes memory in proportion to it.
const BUILDING_CACHE: u64 = 32 << 20;
/// Progress is reported about this often, in bytes.
const REPORT_EVERY: u64 = 1 << 20;

/// Replays frames into trees, and keeps what is not in the trees.
pub(super) struct Replay<'a> {
    rows: Loader<'a>,
    pub(super) state_key: &'a HmacKey,
    pub(super) applied: Applied,
    pub(super) tallies: HashMap<[u8; 16], u64>,
    pub(super) last_entry: Vec<u8>,
    pub(super) frames: u64,
}

impl Replay<'_> {
    /// A row or an entry out of a base.
    fn item(&mut self, (seq, offset): Origin, item: &Item<'_>) -> Result<(), StorageError> {
        match item {
            Item::Tally { subject, entries } => {
                let tally = self.tallies.entry(*subject).or_default();
                *tally = tally.saturating_add(*entries);
                Ok(())
            }
            Item::Row { tree, key, value, inline } => {
                let hash = hash::sha256(&[value]);
                let leaf = digest::leaf(self.state_key, *tree, key, value.len(), &hash)
                    .map_err(|_| StorageError::Refused { why: "a value is too long" })?;
                let new = NewRow { bytes: value, hash: &hash, leaf: &leaf, inline: *inline };
                self.applied.write(&mut self.rows, (seq, offset), (*tree, key), None, Some(new))
            }
            Item::Entry(entry) => {
                self.applied.entry(&mut self.rows, seq, offset, entry.bytes)?;
                self.count(entry);
                self.last_entry = entry.bytes.to_vec();
                Ok(())
            }
        }
    }

    /// Entries are counted from this number on.
    fn begin_at(&mut self, first: u64) {
        self.applied.first_entry = first;
        (self.applied.pack.first, self.applied.pack.next) = (first, first);
    }

    fn count(&mut self, entry: &Entry<'_>) {
        for subject in &entry.subjects {
            *self.tallies.entry(*subject).or_default() += 1;
        }
    }

    pub(super) fn frame(&mut self, frame: &Frame<'_>, place: Place, segment: &Path) -> Result<(), StorageError> {
        let damaged = |what| StorageError::Damaged { segment: segment.to_path_buf(), offset: place.offset, what };
        let contents = frame.contents().map_err(|error| damaged(error.0))?;
        let kept = self.applied.first_entry..=self.applied.pack.next;
        if contents.cut.is_some_and(|first| !kept.contains(&first)) {
            return Err(damaged("a cut of entries that were not there"));
        }
        self.applied.frame(&mut self.rows, self.state_key, place, &contents)?;
        self.applied.header_generation = self.applied.header_generation.max(frame.link.header_generation);
        contents.entries.iter().for_each(|entry| self.count(entry));
        if let Some(last) = contents.entries.last() {
            self.last_entry = last.bytes.to_vec();
        }
        self.frames += 1;
        Ok(())
    }

    /// Brings the rows into the trees. Calls `done` with the digest, for the buckets whose rows are there.
    pub(super) fn finish(self, done: Done<'_>) -> Result<Replayed, StorageError> {
        let Self { rows, mut applied, tallies, last_entry, frames, .. } = self;
        let wasted = rows.finish(&mut |tree, buckets| done(&applied.digest, tree, buckets))?;
        applied.garbage = applied.garbage.saturating_add(wasted);
        Ok(Replayed { applied, tallies, last_entry, frames })
    }
}

/// Called with the digest and the buckets of a tree.
type Done<'a> = &'a mut dyn FnMut(&Digest, Tree, Range<usize>) -> Result<(), StorageError>;

/// What a replay that is done leaves, beside the rows in the trees.
pub(super) struct Replayed {
    pub(super) applied: Applied,
    pub(super) tallies: HashMap<[u8; 16], u64>,
    pub(super) last_entry: Vec<u8>,
    pub(super) frames: u64,
}

/// Reports bytes done, now and then.
pub(super) struct Report<'a, 'b> {
    pub(super) progress: &'a mut OnProgress<'b>,
    pub(super) task: Task,
    pub(super) total: u64,
    done: u64,
    reported: u64,
}

impl<'a, 'b> Report<'a, 'b> {
    pub(super) fn new(progress: &'a mut OnProgress<'b>, task: Task, total: u64) -> Self {
        Self { progress, task, total, done: 0, reported: 0 }
    }

    pub(super) fn add(&mut self, len: usize) {
        self.done = self.done.saturating_add(u64::try_from(len).unwrap_or(0));
        if self.done - self.reported >= REPORT_EVERY {
            self.reported = self.done;
            (self.progress)(Progress::new(self.task, self.done, Some(self.total.max(self.done))));
        }
    }
}

/// New trees and all that goes with them.
pub(super) struct Rebuilt {
    pub(super) trees: Trees,
    pub(super) replayed: Replayed,
}

/// Where the journal is, and the key of the digest.
pub(super) struct Source<'a> {
    pub(super) dir: &'a Path,
    pub(super) journal: &'a JournalId,
    pub(super) files: &'a Files,
    pub(super) library: &'a Library,
    pub(super) state_key: &'a HmacKey,
    pub(super) cache_bytes: u64,
}

impl Source<'_> {
    /// Builds trees number `number` from the whole journal up to `until`, and compares them with their digest. If that
    /// fails nothing of them stays: on a full disk another attempt needs the room.
    pub(super) fn rebuild(
        &self,
        number: u64,
        until: Place,
        progress: &mut OnProgress<'_>,
    ) -> Result<Rebuilt, StorageError> {
        let built = self.build(number, until, progress);
        if built.is_err() {
            // What cannot be removed now is removed by an opening that succeeds.
            let _ = file::remove_dir(&trees::dir(self.dir, number));
        }
        built
    }

    fn build(&self, number: u64, until: Place, progress: &mut OnProgress<'_>) -> Result<Rebuilt, StorageError> {
        file::remove_dir(&trees::dir(self.dir, number))?;
        let trees = Trees::open(self.dir, number, self.cache_bytes.min(BUILDING_CACHE))?;
        // Everything passes twice: out of the journal, and into the trees.
        let bytes = self.files.bytes();
        let mut report = Report::new(progress, Task::Rebuild, bytes.saturating_mul(2));
        let mut replay = self.replay(Loader::into_new(&trees), State::default());
        if let Some(base) = &self.files.base {
            replay.begin_at(base.header.first_entry);
            base.walk(&mut |origin, item| replay.item(origin, &item), &mut |len| report.add(len))?;
            base.compare(&replay.applied.digest)?;
            replay.applied.place = base.header.through;
            replay.applied.header_generation = base.header.header_generation;
        }
        let start = replay.applied.place;
        walk::between(self.journal, self.files, self.library, (start, until), &mut |frame, place, len| {
            report.add(len);
            replay.frame(frame, place, &self.journal.segment_path(place.segment))
        })?;
        let share = bytes / u64::try_from(Digest::default().len()).unwrap_or(1).max(1);
        let first_entry = replay.applied.first_entry;
        let mut replayed = replay.finish(&mut |digest, tree, buckets| {
            for bucket in buckets {
                if !apply::bucket_holds(&trees, self.state_key, digest, tree, bucket)? {
                    return Err(StorageError::StateDamaged { what: "rows that were just written are not there" });
                }
                report.add(usize::try_from(share).unwrap_or(0));
            }
            Ok(())
        })?;
        let wasted = load::sweep_all(&trees, first_entry)?;
        replayed.applied.garbage = replayed.applied.garbage.saturating_add(wasted);
        trees.set_settled(until.seq, &until.hash)?;
        // What it cannot write it would drop without a word.
        trees.sync()?;
        drop(trees);
        let trees = Trees::open(self.dir, number, self.cache_bytes)?;
        Ok(Rebuilt { trees, replayed })
    }

    /// A replay that goes on from a state.
    pub(super) fn replay<'t>(&'t self, rows: Loader<'t>, state: State) -> Replay<'t> {
        let garbage = rows.trees().garbage();
        let pack = OpenPack { first: state.pack_first, next: state.entries, bytes: state.pack };
        Replay {
            rows,
            state_key: self.state_key,
            applied: Applied {
                place: state.applied,
                header_generation: state.header_generation,
                digest: state.digest,
                pack,
                first_entry: state.first_entry,
                garbage,
            },
            tallies: state.tallies.into_iter().collect(),
            last_entry: state.last_entry,
            frames: 0,
        }
    }
}

impl Inner {
    /// Builds new trees while running, and serves from them. If that fails the storage stops.
    pub(super) fn rebuild(&self, applied: &mut Applied) -> Result<(), StorageError> {
        self.alive()?;
        let took = observe::Stopwatch::start();
        let done = self.rebuild_now(applied);
        observe::rebuilt(took, done.is_ok());
        if let Err(error) = &done {
            self.poison(error);
        }
        done
    }

    pub(super) fn rebuild_now(&self, applied: &mut Applied) -> Result<(), StorageError> {
        let Rebuilt { trees, replayed } = self.built_anew(applied)?;
        if let Ok(wrong) = self.trees() {
            trees::mark_suspect(&self.dir, wrong.number);
            // Those that were wrong before these: a vault that stays open must not gather them.
            for old in trees::list(&self.dir)?.into_iter().filter(|old| ![trees.number, wrong.number].contains(old)) {
                let _ = file::remove_dir(&trees::dir(&self.dir, old));
            }
        }
        self.serve_from(Rebuilt { trees, replayed }, applied);
        *lock(&self.notice) = Some("the trees turned out wrong while the vault was open, and were built anew");
        Ok(())
    }

    /// Builds new trees in the place of ones that are right, and removes those, what was set aside before, and what was kept
    /// of torn frames: nothing is left then of rows that were deleted. If it fails the old ones go on serving.
    pub(super) fn renew_trees(&self) -> Result<(), StorageError> {
        self.check_space()?;
        let old = {
            let mut applied = lock(&self.applied);
            let (old, new) = (self.trees()?, self.built_anew(&applied)?);
            self.serve_from(new, &mut applied);
            old
        };
        // The state file has to name the new ones before the old ones go.
        self.checkpoint()?;
        let number = old.number;
        while Arc::strong_count(&old) > 1 {
            self.alive()?;
            thread::sleep(Duration::from_millis(1));
        }
        drop(old);
        trees::remove_set_aside(&self.dir)?;
        self.journal.remove_torn()?;
        for past in trees::list(&self.dir)?.into_iter().filter(|past| *past <= number) {
            file::remove_dir(&trees::dir(&self.dir, past))?;
        }
        Ok(())
    }

    /// Trees as the journal says they must be, durable and compared with the digest.
    fn built_anew(&self, applied: &Applied) -> Result<Rebuilt, StorageError> {
        let _held = self.files.read().unwrap_or_else(PoisonError::into_inner);
        let files = Files::list(&self.journal)?;
        let source = Source {
            dir: &self.dir,
            journal: &self.journal,
            files: &files,
            library: &self.library,
            state_key: &self.state_key,
            cache_bytes: self.options.cache_bytes,
        };
        let number = trees::list(&self.dir)?.last().copied().unwrap_or(0).saturating_add(1);
        let mut silent = |_: Progress| {};
        let mut silent: OnProgress<'_> = &mut silent;
        let rebuilt = source.rebuild(number, applied.place, &mut silent)?;
        if rebuilt.replayed.applied.digest != applied.digest {
            return Err(StorageError::StateDamaged { what: "journal and state file give different digests" });
        }
        let found = &rebuilt.replayed.applied;
        if found.first_entry != applied.first_entry || !found.pack.agrees_with(&applied.pack) {
            return Err(StorageError::StateDamaged { what: "journal and state file give different audit packs" });
        }
        Ok(rebuilt)
    }

    /// The open pack goes with the trees: built from a base that lacks entries which were cut, rows begin elsewhere.
    fn serve_from(&self, Rebuilt { trees, replayed }: Rebuilt, applied: &mut Applied) {
        applied.pack = replayed.applied.pack;
        self.set_trees(Some(Arc::new(trees)));
        // The state file should name them soon.
        self.journaled.store(self.options.checkpoint_bytes, Ordering::Relaxed);
        // What was compared while it was built was still in sled's cache.
        self.verified.iter().for_each(|flag| flag.store(false, Ordering::Release));
    }
}
