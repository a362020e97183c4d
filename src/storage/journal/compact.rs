//! Compaction: makes a base of the closed segments (and of the base before), without what was overwritten or deleted,
//! and without entries that were cut: how many named each subject stays.
//!
//! The journal is read three times, front to back: to learn which keys were written again, to mark what that made
//! dead, and to copy the rest. Memory is bounded: a bit for each write, and a table of at most [`TABLE`] keys; where
//! more keys were written again, the first two readings are done for one part of all keys after the other.

use std::collections::{BTreeMap, HashMap};

use super::base::Base;
use super::base_writer::BaseWriter;
use super::files::Files;
use super::library::Library;
use super::{JournalId, walk};
use crate::crypto::hash::{self, HmacKey};
use crate::format::base::{BaseHeader, Item, Origin};
use crate::format::digest::{self, Digest};
use crate::format::frame::{Offsets, Op};
use crate::format::keys::Tree;
use crate::format::state::Place;
use crate::storage::StorageError;

/// Keys that the table of rewritten keys may hold.
const TABLE: usize = if cfg!(test) { 4 } else { 1 << 20 };

/// What a compaction reads.
pub(crate) struct Compaction<'a> {
    pub(crate) id: &'a JournalId,
    pub(crate) files: &'a Files,
    pub(crate) library: &'a Library,
    pub(crate) state_key: &'a HmacKey,
    /// Number and hash of the seal up to which segments are compacted.
    pub(crate) through: (u64, [u8; 32]),
    /// Called with the length of each frame that was read or verified; an error ends the compaction.
    pub(crate) passed: &'a mut dyn FnMut(usize) -> Result<(), StorageError>,
}

/// Something that the journal holds.
enum Found<'a> {
    Put(Item<'a>),
    Delete(Tree, &'a [u8]),
    /// Entries below this number go.
    Cut(u64),
}

/// What the first two readings find.
struct Marked {
    dead: Dead,
    /// The last frame.
    through: Place,
    /// Highest header generation up to there.
    header_generation: u64,
    /// Number of the oldest entry that is kept.
    first_entry: u64,
}

/// What is found where, and the leaf of what it replaces.
type Visit<'a> = &'a mut dyn FnMut(Origin, Found<'_>, Option<&[u8; 32]>) -> Result<(), StorageError>;

impl Compaction<'_> {
    /// Writes the base; it is durable, verified and in place on return. The files that it covers are still there.
    pub(crate) fn run(mut self) -> Result<Base, StorageError> {
        let Marked { dead, through, header_generation, first_entry } = self.mark()?;
        let header = BaseHeader { vault: self.id.vault, through, header_generation, first_entry };
        let mut writer = BaseWriter::create(self.id, header)?;
        let (mut digest, mut ordinal, state_key) = (Digest::default(), 0, self.state_key);
        let mut entry_number = self.base_begins_at();
        let mut cut = BTreeMap::<[u8; 16], u64>::new();
        let mut count = |subject, entries| {
            let tally = cut.entry(subject).or_default();
            *tally = tally.saturating_add(entries);
        };
        self.each(&mut |origin, found, old_leaf| {
            match found {
                Found::Cut(_) => return Ok(()),
                Found::Put(Item::Tally { subject, entries }) => {
                    count(subject, entries);
                    return Ok(());
                }
                Found::Put(Item::Entry(entry)) => {
                    let number = entry_number;
                    entry_number = number.saturating_add(1);
                    if number >= first_entry {
                        return writer.item(origin, &Item::Entry(entry));
                    }
                    entry.subjects.into_iter().for_each(|subject| count(subject, 1));
                    return Ok(());
                }
                Found::Delete(tree, key) => digest.replace(tree, key, old_leaf, None),
                Found::Put(item) => {
                    if let Item::Row { tree, key, value, .. } = &item {
                        let leaf = digest::leaf(state_key, *tree, key, value.len(), &hash::sha256(&[value]));
                        let leaf = leaf.map_err(|_| StorageError::Refused { why: "a value is too long" })?;
                        digest.replace(*tree, key, old_leaf, Some(&leaf));
                    }
                    if !dead.holds(ordinal) {
                        writer.item(origin, &item)?;
                    }
                }
            }
            ordinal += 1;
            Ok(())
        })?;
        // No frame's item stands behind the seal's.
        for ((subject, entries), number) in cut.into_iter().zip(0_u32..) {
            writer.item((through.seq, number), &Item::Tally { subject, entries })?;
        }
        let passed = self.passed;
        writer.finish(&digest, &mut |base| {
            let mut going = Ok(());
            let verified = base.verify(state_key, &mut |len| {
                if going.is_ok() {
                    going = passed(len);
                }
            });
            going.and(verified)
        })
    }

    /// Number of the first entry in the base so far.
    fn base_begins_at(&self) -> u64 {
        self.files.base.as_ref().map_or(0, |base| base.header.first_entry)
    }

    /// Marks writes that a later one replaced or deleted, and finds what was cut.
    fn mark(&mut self) -> Result<Marked, StorageError> {
        let (mut dead, mut first_entry) = (Dead(Vec::new()), self.base_begins_at());
        let mut from = 0;
        loop {
            let (mut last_write, mut to) = (HashMap::new(), u64::MAX);
            let mut ordinal = 0_u64;
            let (through, header_generation) = self.each(&mut |_, found, old_leaf| {
                if let Found::Cut(first) = found {
                    first_entry = first_entry.max(first);
                }
                let Some((part, key)) = fingerprint(&found) else { return Ok(()) };
                if old_leaf.is_some() && (from..=to).contains(&part) {
                    last_write.insert((part, key), ordinal);
                    while last_write.len() > TABLE && to > from {
                        to = from + (to - from) / 2;
                        last_write.retain(|(part, _), _| *part <= to);
                    }
                }
                ordinal += 1;
                Ok(())
            })?;
            ordinal = 0;
            self.each(&mut |_, found, _| {
                let Some(key) = fingerprint(&found) else { return Ok(()) };
                let deletes = matches!(found, Found::Delete(..));
                if deletes || last_write.get(&key).is_some_and(|last| *last > ordinal) {
                    dead.mark(ordinal);
                }
                ordinal += 1;
                Ok(())
            })?;
            let Some(next) = to.checked_add(1) else {
                return Ok(Marked { dead, through, header_generation, first_entry });
            };
            from = next;
        }
    }

    /// Visits all that base and closed segments hold, in order.
    fn each(&mut self, visit: Visit<'_>) -> Result<(Place, u64), StorageError> {
        if let Some(base) = &self.files.base {
            let mut going = Ok(());
            let passed = &mut self.passed;
            let mut item = |origin, item: Item<'_>| visit(origin, Found::Put(item), None);
            base.walk(&mut item, &mut |len| {
                if going.is_ok() {
                    going = passed(len);
                }
            })?;
            going?;
        }
        let passed = &mut self.passed;
        walk::through_seal(self.id, self.files, self.library, self.through, &mut |frame, place, len| {
            passed(len)?;
            let contents = frame.contents().map_err(|error| StorageError::Damaged {
                segment: self.id.segment_path(place.segment),
                offset: place.offset,
                what: error.0,
            })?;
            let mut offsets = Offsets::start();
            for write in contents.writes {
                let (tree, key, old_leaf) = (write.tree, write.key, write.old_leaf.as_ref());
                let (value, inline) = match write.op {
                    Op::Delete => (None, false),
                    Op::Inline(value) => (Some(value), true),
                    Op::Kept(value) => (Some(value), false),
                };
                let offset = offsets.write(key.len(), value.map_or(0, <[u8]>::len), old_leaf.is_some());
                let found = match value {
                    Some(value) => Found::Put(Item::Row { tree, key, value, inline }),
                    None => Found::Delete(tree, key),
                };
                visit((place.seq, offset), found, old_leaf)?;
            }
            if let Some(first) = contents.cut {
                visit((place.seq, offsets.first()), Found::Cut(first), None)?;
            }
            offsets.entries(contents.cut);
            for entry in contents.entries {
                let offset = offsets.entry(entry.bytes.len(), entry.subjects.len());
                visit((place.seq, offset), Found::Put(Item::Entry(entry)), None)?;
            }
            Ok(())
        })
    }
}

/// Which key a write is for, as a number by which all keys can be parted, and the rest of its hash. Nothing for what is no row.
fn fingerprint(found: &Found<'_>) -> Option<(u64, u64)> {
    let (tree, key) = match found {
        Found::Put(Item::Row { tree, key, .. }) => (*tree, *key),
        Found::Delete(tree, key) => (*tree, *key),
        Found::Put(Item::Entry(_) | Item::Tally { .. }) | Found::Cut(_) => return None,
    };
    let hash: [u8; 16] = hash::sha256_short(&[&[tree.code()], key]);
    let number = u128::from_be_bytes(hash);
    Some((u64::try_from(number >> 64).unwrap_or(0), u64::try_from(number & u128::from(u64::MAX)).unwrap_or(0)))
}

/// A set of writes by their number in the journal.
struct Dead(Vec<u64>);

impl Dead {
    fn place(ordinal: u64) -> (usize, u64) {
        (usize::try_from(ordinal / 64).unwrap_or(usize::MAX), 1 << (ordinal % 64))
    }

    fn mark(&mut self, ordinal: u64) {
        let (word, bit) = Self::place(ordinal);
        if self.0.len() <= word {
            self.0.resize(word.saturating_add(1), 0);
        }
        if let Some(word) = self.0.get_mut(word) {
            *word |= bit;
        }
    }

    fn holds(&self, ordinal: u64) -> bool {
        let (word, bit) = Self::place(ordinal);
        self.0.get(word).is_some_and(|word| word & bit != 0)
    }
}
