//! Chooses rows, bucket by bucket: what the digest proves, or else the newest that anybody has.

use std::collections::BTreeMap;

use super::scratch::Mark;
use super::{Chosen, Context, Judge};
use crate::crypto::hash;
use crate::format::base::Item;
use crate::format::digest::{self, Bucket, Digest};
use crate::format::doubt::DoubtMap;
use crate::format::keys::{PatientKey, Tree};
use crate::format::row::Row;
use crate::storage::trees::Trees;
use crate::storage::{Bytes, StorageError};

/// Longer keys were never written.
const MAX_KEY: usize = 256;

/// Takes a chosen row, and its leaf.
type Take<'a> = &'a mut dyn FnMut(&Item<'_>, &[u8; 32]) -> Result<(), StorageError>;

/// A row of the old trees.
#[derive(Clone, Copy)]
struct Old {
    leaf: [u8; 32],
    /// Hash of a value that only the journal holds.
    kept: Option<[u8; 32]>,
}

/// What journal and old trees have under one key.
#[derive(Clone, Copy, Default)]
struct Candidates {
    journal: Option<(Mark, [u8; 32])>,
    old: Option<Old>,
}

/// Whom to believe, in a bucket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Belief {
    Journal,
    Trees,
    JournalFirst,
    TreesFirst,
}

const BELIEFS: [Belief; 4] = [Belief::Journal, Belief::Trees, Belief::JournalFirst, Belief::TreesFirst];

enum Pick {
    Journal(Mark, [u8; 32]),
    Old(Old),
}

impl Pick {
    const fn leaf(&self) -> &[u8; 32] {
        match self {
            Self::Journal(_, leaf) => leaf,
            Self::Old(old) => &old.leaf,
        }
    }
}

impl Candidates {
    fn pick(&self, belief: Belief) -> Option<Pick> {
        // A delete counts: the journal knows that nothing is there.
        let journal = self.journal.map(|(mark, leaf)| mark.value.map(|_| Pick::Journal(mark, leaf)));
        // Where both have the same, the journal has the value as well.
        let same =
            self.journal.filter(|(mark, leaf)| mark.value.is_some() && self.old.map(|old| old.leaf) == Some(*leaf));
        let old = match same {
            Some((mark, leaf)) => Some(Pick::Journal(mark, leaf)),
            None => self.old.map(Pick::Old),
        };
        match belief {
            Belief::Journal => journal.flatten(),
            Belief::Trees => old,
            Belief::JournalFirst => journal.unwrap_or(old),
            Belief::TreesFirst => old.or(journal.flatten()),
        }
    }
}

type Rows = BTreeMap<Vec<u8>, Candidates>;

impl Context<'_> {
    /// Chooses all rows, and says which buckets remain in doubt.
    pub(super) fn write_rows(
        &mut self,
        proof: &Option<Digest>,
        old: Option<&Trees>,
        judge: &mut dyn Judge,
        take: Take<'_>,
    ) -> Result<(), StorageError> {
        // Patients first: their secrets open the records.
        for tree in [Tree::Patients, Tree::Lookup, Tree::Policy, Tree::Records] {
            for bucket in 0..digest::buckets(tree) {
                let rows = self.candidates(tree, bucket, old)?;
                let expected = proof.as_ref().map(|digest| digest.bucket(tree, bucket));
                let sum = |belief| {
                    let mut sum = Bucket::default();
                    rows.values().filter_map(|row| row.pick(belief)).for_each(|pick| sum.add(pick.leaf()));
                    sum
                };
                let belief = BELIEFS.into_iter().find(|belief| Some(sum(*belief)) == expected);
                if belief.is_none() {
                    self.found.doubt.doubt(tree, bucket);
                    let there = sum(Belief::JournalFirst).count();
                    let missing = expected.map_or(0, |expected| expected.count().saturating_sub(there));
                    self.found.rows_missing = self.found.rows_missing.saturating_add(missing);
                }
                self.write_bucket((tree, bucket), &rows, belief, old, judge, take)?;
            }
        }
        if self.found.doubt.covers_bucket(Tree::Policy, 0) {
            self.found.doubt = DoubtMap::everything();
        }
        self.write_tiles(old, judge, take)
    }

    /// What is derived from entries that were cut: nobody can make it anew. No digest covers it, so that the judge alone says what
    /// is taken; of the rest nothing is needed.
    fn write_tiles(&mut self, old: Option<&Trees>, judge: &mut dyn Judge, take: Take<'_>) -> Result<(), StorageError> {
        if self.removed.first == 0 {
            return Ok(());
        }
        for (key, candidates) in self.candidates(Tree::Log, 0, old)? {
            let value = match candidates.pick(Belief::JournalFirst) {
                Some(Pick::Journal(mark, _)) => mark.value.and_then(|spot| spot.read(&self.scratch.files)),
                Some(Pick::Old(_)) => old.and_then(|trees| inline_value(trees, Tree::Log, &key)),
                None => None,
            };
            let Some(value) = value else { continue };
            let chosen = Chosen { tree: Tree::Log, key: &key, value: &value, doubtful: false };
            if judge.row(&chosen, &mut |_| None) {
                let leaf = digest::leaf(&self.state_key, Tree::Log, &key, value.len(), &hash::sha256(&[&value]))
                    .map_err(|_| StorageError::Refused { why: "a value is too long" })?;
                let inline = self.salvage.options.is_inline(Tree::Log, value.len());
                take(&Item::Row { tree: Tree::Log, key: &key, value: &value, inline }, &leaf)?;
            }
        }
        Ok(())
    }

    fn candidates(&mut self, tree: Tree, bucket: usize, old: Option<&Trees>) -> Result<Rows, StorageError> {
        let (from, to) = digest::bucket_range(tree, bucket);
        let (mut rows, mut marks) = (Rows::new(), Vec::new());
        self.scratch.marks(tree, (&from, to.as_deref()), |key, mark| {
            marks.push((key.to_vec(), mark));
            true
        })?;
        for (key, mark) in marks {
            let leaf = mark.value.map(|value| self.leaf(tree, &key, &value)).transpose()?.unwrap_or_default();
            rows.entry(key).or_default().journal = Some((mark, leaf));
        }
        let Some(trees) = old else { return Ok(rows) };
        let state_key = &self.state_key;
        let visited = trees.visit(tree, &from, to.as_deref(), |key, row| {
            let leaf = |len, hash: &[u8; 32]| digest::leaf(state_key, tree, key, len, hash).ok();
            let found = match Row::parse(row) {
                Ok(Row::Inline(value)) => {
                    let hash = hash::sha256(&[value]);
                    leaf(value.len(), &hash).map(|leaf| Old { leaf, kept: None })
                }
                Ok(Row::Kept(at)) => usize::try_from(at.len)
                    .ok()
                    .and_then(|len| leaf(len, &at.hash))
                    .map(|leaf| Old { leaf, kept: Some(at.hash) }),
                Err(_) => None,
            };
            if let Some(found) = found.filter(|_| key.len() <= MAX_KEY) {
                rows.entry(key.to_vec()).or_default().old = Some(found);
            }
            true
        });
        if let Err(error) = visited {
            self.found.trees_failed.get_or_insert(error.to_string());
        }
        Ok(rows)
    }

    fn write_bucket(
        &mut self,
        (tree, bucket): (Tree, usize),
        rows: &Rows,
        belief: Option<Belief>,
        old: Option<&Trees>,
        judge: &mut dyn Judge,
        take: Take<'_>,
    ) -> Result<(), StorageError> {
        let proved = belief.is_some();
        let belief = belief.unwrap_or(Belief::JournalFirst);
        let gone = |pick: &Pick| matches!(pick, Pick::Old(old) if old.kept.is_some());
        // What the policy lacks might be the row that says what is in doubt.
        let policy = self.found.doubt.covers_bucket(Tree::Policy, 0);
        let mut doubtful =
            policy || !proved || rows.values().filter_map(|row| row.pick(belief)).any(|pick| gone(&pick));
        for (key, candidates) in rows {
            let Some(pick) = candidates.pick(belief) else { continue };
            let (value, inline, from_trees) = match &pick {
                Pick::Journal(mark, _) => {
                    (mark.value.and_then(|spot| spot.read(&self.scratch.files)), mark.inline, false)
                }
                Pick::Old(_) => (old.and_then(|trees| inline_value(trees, tree, key)), true, true),
            };
            let mut patients = |tag: &[u8; 16]| self.patient(old, tag);
            let Some(value) = value else {
                doubtful = true;
                judge.lost(tree, key, &mut patients);
                continue;
            };
            let chosen = Chosen { tree, key, value: &value, doubtful };
            let opens = judge.row(&chosen, &mut patients);
            if (!opens && from_trees && !proved) || judge.is_doubt(tree, key) {
                continue;
            }
            if from_trees {
                self.found.rows_from_trees += 1;
            } else {
                self.found.rows_from_journal += 1;
            }
            let leaf = digest::leaf(&self.state_key, tree, key, value.len(), &hash::sha256(&[&value]))
                .map_err(|_| StorageError::Refused { why: "a value is too long" })?;
            take(&Item::Row { tree, key, value: &value, inline }, &leaf)?;
        }
        if doubtful {
            self.found.doubt.doubt(tree, bucket);
        }
        Ok(())
    }

    /// The newest row of a patient's secret that anybody has.
    pub(super) fn patient(&self, old: Option<&Trees>, tag: &[u8; 16]) -> Option<(Vec<u8>, Bytes)> {
        let key = |key: &[u8]| PatientKey::from_bytes(key).ok().filter(|found| found.patient_tag == *tag);
        let mut first = None;
        let noted = self.scratch.marks(Tree::Patients, (tag, None), |found, mark| {
            first = key(found).and(mark.value).map(|value| (found.to_vec(), value));
            false
        });
        if let Some((found, value)) = first.filter(|_| noted.is_ok()) {
            return value.read(&self.scratch.files).map(|value| (found, value));
        }
        let (trees, mut first) = (old?, None);
        trees
            .visit(Tree::Patients, tag, None, |found, row| {
                if let Ok(Row::Inline(value)) = Row::parse(row) {
                    first = key(found).map(|_| (found.to_vec(), Bytes::from(value)));
                }
                false
            })
            .ok()?;
        first
    }
}

fn inline_value(trees: &Trees, tree: Tree, key: &[u8]) -> Option<Bytes> {
    let row = trees.get(tree, key).ok()??;
    match Row::parse(&row) {
        Ok(Row::Inline(value)) => Some(value.into()),
        _ => None,
    }
}
