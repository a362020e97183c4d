//! Takes out of a damaged vault what still verifies, and writes it as the journal of a new one. The damaged vault is only
//! read; whatever is built on the way is built on disk, in a directory of its own.
//!
//! First all frames that verify are noted in scratch trees, wherever they stand (`journal`). Then it is found out what
//! must have been there (`evidence`): a digest of a frame behind which there was none, or nothing. By that digest, or
//! without one, rows and entries are chosen from journal and old trees (`rows`, `entries`) and written as a base.

mod entries;
mod evidence;
mod gaps;
mod journal;
mod reader;
mod removed;
mod rows;
mod scratch;

use std::path::{Path, PathBuf};

use super::journal::base_writer::BaseWriter;
use super::journal::{JournalId, segment};
use super::{Bytes, StorageError, StorageKeys, StorageOptions, file};
use crate::crypto::hash::{self, HmacKey};
use crate::crypto::kdf;
use crate::format::base::{BaseHeader, Item, Origin};
use crate::format::digest::{self, Digest};
use crate::format::doubt::DoubtMap;
use crate::format::frame::seal_frame;
use crate::format::keys::Tree;
use crate::format::segment::SegmentHeader;
use crate::format::state::Place;
use crate::ids::VaultId;
use crate::progress::{OnProgress, Progress, Task};
use removed::Removed;
use scratch::Scratch;

/// Places that are named one by one; beyond, they are only counted.
pub(crate) const NAMED: usize = 1_000;

/// What is salvaged, and to where.
pub(crate) struct Salvage<'a> {
    /// The damaged vault.
    pub(crate) from: &'a Path,
    /// An empty directory for what is built on the way.
    pub(crate) work: &'a Path,
    /// The new vault's directory, empty.
    pub(crate) to: &'a Path,
    pub(crate) vault: VaultId,
    pub(crate) keys: &'a StorageKeys,
    pub(crate) options: StorageOptions,
}

/// A row that was chosen.
pub(crate) struct Chosen<'a> {
    pub(crate) tree: Tree,
    pub(crate) key: &'a [u8],
    pub(crate) value: &'a [u8],
    /// Whether rows of its bucket may be older than they were, or missing.
    pub(crate) doubtful: bool,
}

/// Finds the row of a patient by its tag: key and value.
pub(crate) type FindPatient<'a> = &'a mut dyn FnMut(&[u8; 16]) -> Option<(Vec<u8>, Bytes)>;

/// What the storage cannot know: whether bytes open, and what an entry says.
pub(crate) trait Judge {
    /// Whether a row opens in its place; told once of each row that was chosen. One that does not open and nothing vouches
    /// for is left out.
    fn row(&mut self, row: &Chosen<'_>, patients: FindPatient<'_>) -> bool;

    /// A row that is known to have been there, and whose value is lost.
    fn lost(&mut self, tree: Tree, key: &[u8], patients: FindPatient<'_>);

    /// Whether a row is left out because [`Judge::doubt`] writes it anew.
    fn is_doubt(&self, tree: Tree, key: &[u8]) -> bool;

    /// Once all rows were chosen: the row that says which are in doubt, if any are, for the tree `policy`.
    fn doubt(&mut self, found: &DoubtMap) -> Result<Option<(Vec<u8>, Bytes)>, StorageError>;

    /// The number of an entry; nothing if it is none of this vault's. One that no frame vouches for must open.
    fn entry(&mut self, entry: &[u8], vouched: bool) -> Option<u64>;

    /// The subjects that an entry names.
    fn subjects(&mut self, entry: &[u8]) -> Vec<[u8; 16]>;

    /// Called with each entry that was found, in order, where some were lost.
    fn count(&mut self, entry: &[u8], patients: FindPatient<'_>);

    /// So many entries that named a subject were cut before: told before [`Judge::count`].
    fn were_cut(&mut self, subject: [u8; 16], entries: u64);

    /// Subjects of entries that must have been there by what [`Judge::count`] was shown, once for each that is missing.
    fn owed(&self) -> Vec<[u8; 16]>;

    /// An entry to stand in the place of lost entry `number`, and the subjects to be counted for it. `before` stands before
    /// it, if any is kept; `next` is the next one that was found.
    fn stand_in(&mut self, number: u64, before: Option<&[u8]>, next: Option<&[u8]>) -> Result<StandIn, StorageError>;
}

/// An entry in the place of a lost one, and subjects to count.
pub(crate) type StandIn = (Vec<u8>, Vec<[u8; 16]>);

/// A place where the journal holds something else than it should.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Wound {
    pub(crate) path: PathBuf,
    /// In bytes.
    pub(crate) offset: u64,
    pub(crate) what: &'static str,
}

/// What a salvage found.
#[derive(Debug, Default)]
pub(crate) struct Found {
    pub(crate) frames: u64,
    /// Numbers of frames that are known to be lost, first and last of each run.
    pub(crate) lost_frames: Vec<(u64, u64)>,
    /// Whether frames behind the last one found may be lost as well.
    pub(crate) open_end: bool,
    /// Whether a base did not verify as a whole.
    pub(crate) base_damaged: bool,
    /// The first [`NAMED`] of them.
    pub(crate) wounds: Vec<Wound>,
    pub(crate) wounds_total: u64,
    /// Genuine frames that stood where they do not belong.
    pub(crate) strays: u64,
    /// Why the old trees could not be used, or only in part.
    pub(crate) trees_failed: Option<String>,
    pub(crate) rows_from_journal: u64,
    pub(crate) rows_from_trees: u64,
    /// Rows that the digest knows of and nobody has.
    pub(crate) rows_missing: u64,
    pub(crate) entries: u64,
    pub(crate) entries_from_trees: u64,
    pub(crate) lost_entries: Vec<(u64, u64)>,
    pub(crate) doubt: DoubtMap,
    /// Highest header generation of all frames and state files.
    pub(crate) header_generation: u64,
}

impl Found {
    fn wound(&mut self, path: &Path, offset: u64, what: &'static str) {
        self.wounds_total += 1;
        if self.wounds.len() < NAMED {
            self.wounds.push(Wound { path: path.to_path_buf(), offset, what });
        }
    }
}

/// What all steps share.
struct Context<'a> {
    salvage: &'a Salvage<'a>,
    /// The damaged journal.
    journal: JournalId,
    state_key: HmacKey,
    scratch: Scratch,
    removed: Removed,
    found: Found,
}

/// Counts what was done, and keeps away from a full disk, which sled must never meet.
struct Pace<'a, 'b> {
    progress: &'a mut OnProgress<'b>,
    work: &'a Path,
    keep_free: u64,
    done: u64,
    told: u64,
}

impl Pace<'_, '_> {
    fn add(&mut self, len: usize) -> Result<(), StorageError> {
        const STEP: u64 = 1 << 20;
        self.done = self.done.saturating_add(u64::try_from(len).unwrap_or(0));
        if self.done - self.told >= STEP || self.told == 0 {
            self.told = self.done.max(1);
            (self.progress)(Progress::new(Task::Salvage, self.done, None));
            if file::free_bytes(self.work).is_some_and(|free| free < self.keep_free) {
                return Err(StorageError::DiskFull { path: self.work.to_path_buf() });
            }
        }
        Ok(())
    }
}

/// Gives the origins of what is written, ascending.
#[derive(Default)]
struct Origins(u64);

impl Origins {
    fn next(&mut self) -> Origin {
        let origin = (1 + (self.0 >> 32), u32::try_from(self.0 & u64::from(u32::MAX)).unwrap_or(0));
        self.0 += 1;
        origin
    }
}

impl Salvage<'_> {
    /// Writes base and first segment of a new journal into `to`.
    pub(crate) fn run(&self, judge: &mut dyn Judge, mut progress: OnProgress<'_>) -> Result<Found, StorageError> {
        let scratch_dir = self.work.join("scratch");
        file::create_dir(&scratch_dir)?;
        let journal = JournalId::new(self.from, self.vault, HmacKey::new(self.keys.journal.expose()));
        let mut context = Context {
            salvage: self,
            journal,
            state_key: HmacKey::new(self.keys.state.expose()),
            scratch: Scratch::open(&scratch_dir, self.options.cache_bytes)?,
            removed: Removed::default(),
            found: Found::default(),
        };
        let (work, keep_free) = (self.work, self.options.keep_free);
        let mut pace = Pace { progress: &mut progress, work, keep_free, done: 0, told: 0 };
        pace.add(0)?;
        let states = evidence::states(self.from, self.vault, &kdf::state_file_mac(&self.keys.state))?;
        let old = context.old_trees(&states)?;
        let witnesses = context.witnesses(&states, old.as_ref());
        let walked = context.read_journal(&states, witnesses, judge, &mut pace)?;
        let proof = context.proof(&states, &walked, old.as_ref())?;

        let to = JournalId::new(self.to, self.vault, self.keys_of_journal());
        file::create_dir(&to.dir)?;
        let through = context.through(&states, &walked);
        let generation = context.found.header_generation;
        states.0.iter().for_each(|state| context.removed.cut(state.first_entry));
        let first_entry = context.removed.first;
        let header = BaseHeader { vault: self.vault, through, header_generation: generation, first_entry };
        let mut writer = BaseWriter::create(&to, header)?;
        let (mut origins, mut digest) = (Origins::default(), Digest::default());
        context.write_rows(&proof, old.as_ref(), judge, &mut |item, leaf| {
            if let Item::Row { tree, key, .. } = item {
                digest.replace(*tree, key, None, Some(leaf));
            }
            pace.add(item.encoded_len())?;
            writer.item(origins.next(), item)
        })?;
        // In the base itself: whoever cuts off all that comes behind it does not rid the vault of its doubt.
        if let Some((key, value)) = judge.doubt(&context.found.doubt)? {
            let inline = self.options.is_inline(Tree::Policy, value.len());
            let leaf = digest::leaf(&context.state_key, Tree::Policy, &key, value.len(), &hash::sha256(&[&value]))
                .map_err(|_| StorageError::Refused { why: "a value is too long" })?;
            digest.replace(Tree::Policy, &key, None, Some(&leaf));
            writer.item(origins.next(), &Item::Row { tree: Tree::Policy, key: &key, value: &value, inline })?;
        }
        context.write_entries(&states, old.as_ref(), judge, &mut |item| {
            pace.add(item.encoded_len())?;
            writer.item(origins.next(), item)
        })?;
        for ((subject, entries), number) in context.removed.tallies().into_iter().zip(0_u32..) {
            writer.item((through.seq, number), &Item::Tally { subject, entries })?;
        }
        let state_key = &context.state_key;
        writer.finish(&digest, &mut |base| base.verify(state_key, &mut |_| {}))?;
        let size = self.options.segment_first.clamp(4096, self.options.segment_max.max(4096));
        let (number, first_seq) = (through.segment.saturating_add(1), through.seq.saturating_add(1));
        let header = SegmentHeader { vault: self.vault, number, first_seq, previous: through.hash, size };
        segment::put_in_place(&to, &segment::make_blank(&to, size)?, header)?;
        file::sync_dir(&to.dir)?;
        file::sync_dir(self.to)?;
        Ok(context.found)
    }

    fn keys_of_journal(&self) -> HmacKey {
        HmacKey::new(self.keys.journal.expose())
    }
}

impl Context<'_> {
    /// Where the new journal goes on: behind every frame that anybody remembers.
    fn through(&self, states: &evidence::States, walked: &journal::Walked) -> Place {
        let highest = walked.highest.max(states.highest());
        // A frame holds fewer items than one number of frames gives origins.
        let seq = highest.saturating_add(1);
        let (_, hash) = seal_frame(seq, walked.tip.hash, self.found.header_generation, &self.journal.key);
        Place { seq, hash, segment: walked.last_segment.max(states.highest_segment()).saturating_add(1), offset: 512 }
    }
}
