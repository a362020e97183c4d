//! Brings many rows into the trees in the order of their keys: sled takes them so several times faster than as they come,
//! and at a rate that does not fall as the vault grows, since each of its pages is touched once.
//!
//! Rows wait in parts of the key space. What is more than memory should hold goes into one file beside the trees, which
//! only new trees have: a directory of trees that was not finished is removed as a whole.

use std::ops::Range;
use std::path::PathBuf;

use super::file::{self, StoredFile};
use super::trees::Trees;
use super::{StorageError, Tree};
use crate::bytes::{Put, Reader, Truncated};
use crate::format::digest;
use crate::format::frame::Write;
use crate::format::row::{self, Row};

/// Parts of each tree but `policy`, which is small: by the first six bits of the key, so that a bucket is in one part.
const PARTS: usize = 64;
const TREES: [Tree; 4] = [Tree::Records, Tree::Patients, Tree::Lookup, Tree::Policy];
/// Bytes of rows that wait in memory.
const HELD: usize = if cfg!(test) { 4 << 10 } else { 32 << 20 };
/// Bytes of one part that are sorted at once.
const PIECE: usize = if cfg!(test) { 1 << 10 } else { 32 << 20 };
/// The file for what is more.
const SPILLED: &str = "rows.tmp";

/// What takes rows, one after the other.
pub(crate) trait Rows {
    /// Puts a row, or deletes it. Gives the bytes of the journal that nobody needs any more, as far as that is known at
    /// once. What stood there before counts only if the journal says that there was something (`replaces`): replaying what
    /// the trees hold already replaces a row by itself.
    fn put(&mut self, tree: Tree, key: &[u8], row: Option<&[u8]>, replaces: bool) -> Result<u64, StorageError>;

    /// Sees to it that a row of the log begins with entry `first`, if a row holds that: what stands before it in its row is
    /// left out. What was done already is not done again.
    fn begin_at(&mut self, first: u64) -> Result<(), StorageError>;

    /// Removes some rows of the log before entry `first`, the oldest ones.
    fn sweep(&mut self, first: u64) -> Result<Swept, StorageError>;
}

/// What a [`Rows::sweep`] did.
pub(crate) struct Swept {
    /// Bytes of the journal that nobody needs any more, about.
    pub(crate) wasted: u64,
    /// Whether more is left.
    pub(crate) more: bool,
}

/// Rows that are removed in one go: some 50 ms.
const SWEEP: usize = if cfg!(test) { 3 } else { 2_048 };

impl Rows for &Trees {
    fn put(&mut self, tree: Tree, key: &[u8], row: Option<&[u8]>, replaces: bool) -> Result<u64, StorageError> {
        Ok(match row {
            Some(row) => {
                let old = self.insert(tree, key, row)?;
                old.filter(|_| replaces).map_or(0, |old| wasted(key, &old))
            }
            None => self.remove(tree, key)?.map_or(0, |old| wasted(key, &old)).saturating_add(wasted(key, &[])),
        })
    }

    fn begin_at(&mut self, first: u64) -> Result<(), StorageError> {
        let Some((key, row)) = self.at_or_below(Tree::Audit, &first.to_be_bytes())? else { return Ok(()) };
        let before = key.as_ref().try_into().map_or(0, |key| first.saturating_sub(u64::from_be_bytes(key)));
        let Ok(Row::Inline(pack)) = Row::parse(&row) else { return Ok(()) };
        let entries = row::unpack(pack).unwrap_or_default();
        let going = entries.iter().take(usize::try_from(before).unwrap_or(usize::MAX));
        let stays = pack.get(going.map(|entry| 2 + entry.len()).sum::<usize>()..).unwrap_or_default();
        // Nothing stays if that row ends before, and all of it if it begins there.
        if stays.is_empty() || stays.len() == pack.len() {
            return Ok(());
        }
        self.insert(Tree::Audit, &first.to_be_bytes(), Row::Inline(stays).encode()).map(drop)
    }

    fn sweep(&mut self, first: u64) -> Result<Swept, StorageError> {
        let (mut rows, mut wasted_bytes) = (Vec::new(), 0_u64);
        self.visit(Tree::Audit, &[], Some(&first.to_be_bytes()), |key, row| {
            rows.push(key.to_vec());
            wasted_bytes = wasted_bytes.saturating_add(wasted(key, row));
            rows.len() < SWEEP
        })?;
        if !rows.is_empty() {
            self.note_cut()?;
        }
        for key in &rows {
            self.remove(Tree::Audit, key)?;
        }
        Ok(Swept { wasted: wasted_bytes, more: rows.len() >= SWEEP })
    }
}

/// Removes all rows of the log before entry `first`. Gives the bytes that turned out to be superfluous.
pub(crate) fn sweep_all(trees: &Trees, first: u64) -> Result<u64, StorageError> {
    let (mut rows, mut wasted) = (trees, 0_u64);
    loop {
        let swept = rows.sweep(first)?;
        wasted = wasted.saturating_add(swept.wasted);
        if !swept.more {
            return Ok(wasted);
        }
    }
}

/// Bytes that the write of a row takes in the journal, about; no row is a delete.
fn wasted(key: &[u8], row: &[u8]) -> u64 {
    let value = match Row::parse(row) {
        Ok(Row::Inline(value)) => value.len(),
        Ok(Row::Kept(pointer)) => usize::try_from(pointer.len).unwrap_or(0),
        Err(_) => 0,
    };
    u64::try_from(Write::encoded_len(key.len(), value, false)).unwrap_or(0)
}

/// Rows on their way into the trees. They are there only after [`Loader::finish`].
pub(crate) struct Loader<'t> {
    trees: &'t Trees,
    parts: Vec<Part>,
    /// Bytes that wait in memory.
    held: usize,
    /// Where the rest waits; if nowhere, it goes into the trees at once.
    spill: Option<Spill>,
    wasted: u64,
}

/// Rows in the order in which they came: first in the file, then in memory.
#[derive(Default)]
struct Part {
    spilled: Vec<(u64, usize)>,
    held: Vec<u8>,
}

struct Spill {
    path: PathBuf,
    /// Made when it is needed.
    file: Option<StoredFile>,
    end: u64,
}

/// A row that waits: `flags u8 ‖ u16 len ‖ key ‖ u32 len ‖ row`.
struct Waiting<'a> {
    key: &'a [u8],
    row: Option<&'a [u8]>,
    replaces: bool,
}

const DELETES: u8 = 1;
const REPLACES: u8 = 2;

impl<'t> Loader<'t> {
    /// Into trees that hold rows already.
    pub(crate) fn into_old(trees: &'t Trees) -> Self {
        let parts = (0..TREES.len() * PARTS).map(|_| Part::default()).collect();
        Self { trees, parts, held: 0, spill: None, wasted: 0 }
    }

    /// Into trees that are empty, and of no use before all is there.
    pub(crate) fn into_new(trees: &'t Trees) -> Self {
        let spill = Spill { path: trees.dir().join(SPILLED), file: None, end: 0 };
        Self { spill: Some(spill), ..Self::into_old(trees) }
    }

    pub(crate) fn trees(&self) -> &'t Trees {
        self.trees
    }

    /// Brings all that waits into the trees. Calls `done` for the buckets of each part once its rows are there. Gives the
    /// bytes that turned out to be superfluous.
    pub(crate) fn finish(
        mut self,
        done: &mut dyn FnMut(Tree, Range<usize>) -> Result<(), StorageError>,
    ) -> Result<u64, StorageError> {
        self.load(done)?;
        if let Some(Spill { path, file: Some(file), .. }) = self.spill.take() {
            drop(file);
            file::remove(&path)?;
        }
        Ok(self.wasted)
    }

    fn load(
        &mut self,
        done: &mut dyn FnMut(Tree, Range<usize>) -> Result<(), StorageError>,
    ) -> Result<(), StorageError> {
        self.held = 0;
        for (tree, number, at) in all_parts() {
            let part = self.parts.get_mut(at).map(std::mem::take).unwrap_or_default();
            self.load_part(tree, part)?;
            done(tree, buckets(tree, number))?;
        }
        Ok(())
    }

    fn load_part(&mut self, tree: Tree, part: Part) -> Result<(), StorageError> {
        let mut piece = Vec::new();
        for (at, len) in part.spilled {
            if !piece.is_empty() && piece.len() + len > PIECE {
                self.load_piece(tree, &piece)?;
                piece.clear();
            }
            let before = piece.len();
            piece.resize(before + len, 0);
            if let (Some(into), Some(file)) =
                (piece.get_mut(before..), self.spill.as_ref().and_then(|s| s.file.as_ref()))
            {
                file.read_at(into, at)?;
            }
        }
        piece.extend_from_slice(&part.held);
        self.load_piece(tree, &piece)
    }

    fn load_piece(&mut self, tree: Tree, piece: &[u8]) -> Result<(), StorageError> {
        let damaged = |_| StorageError::StateDamaged { what: "rows that waited for the trees are not what they were" };
        let mut rows = waiting(piece).map_err(damaged)?;
        // Stable: of several writes of one row the last counts.
        rows.sort_by_key(|row| row.key);
        let mut trees = self.trees;
        for writes in rows.chunk_by(|a, b| a.key == b.key) {
            let [before @ .., last] = writes else { continue };
            let replaced = before.iter().map(|write| wasted(write.key, write.row.unwrap_or_default()));
            let replaces = writes.first().is_some_and(|first| first.replaces);
            let put = trees.put(tree, last.key, last.row, replaces)?;
            self.wasted = replaced.fold(self.wasted, u64::saturating_add).saturating_add(put);
        }
        Ok(())
    }

    fn write_out(&mut self) -> Result<(), StorageError> {
        let Some(spill) = &mut self.spill else { return self.load(&mut |_, _| Ok(())) };
        let file = match &mut spill.file {
            Some(file) => file,
            none => none.insert(StoredFile::create(&spill.path)?),
        };
        for part in self.parts.iter_mut().filter(|part| !part.held.is_empty()) {
            file.write_at(&part.held, spill.end)?;
            part.spilled.push((spill.end, part.held.len()));
            spill.end = spill.end.saturating_add(u64::try_from(part.held.len()).unwrap_or(u64::MAX));
            part.held.clear();
        }
        self.held = 0;
        Ok(())
    }
}

impl Rows for Loader<'_> {
    fn put(&mut self, tree: Tree, key: &[u8], row: Option<&[u8]>, replaces: bool) -> Result<u64, StorageError> {
        let Some(part) = place(tree, key).and_then(|at| self.parts.get_mut(at)) else {
            // Entries come in the order of their keys.
            return (&mut &*self.trees).put(tree, key, row, replaces);
        };
        let before = part.held.len();
        let too_long = |_| StorageError::Refused { why: "a row is too long" };
        let deletes = if row.is_none() { DELETES } else { 0 };
        part.held.put_u8(deletes | if replaces { REPLACES } else { 0 });
        part.held.put_len16(key).map_err(too_long)?;
        part.held.put_len32(row.unwrap_or_default()).map_err(too_long)?;
        self.held += part.held.len() - before;
        if self.held >= HELD {
            self.write_out()?;
        }
        Ok(0)
    }

    fn begin_at(&mut self, first: u64) -> Result<(), StorageError> {
        (&mut &*self.trees).begin_at(first)
    }

    fn sweep(&mut self, first: u64) -> Result<Swept, StorageError> {
        (&mut &*self.trees).sweep(first)
    }
}

fn waiting(piece: &[u8]) -> Result<Vec<Waiting<'_>>, Truncated> {
    let (mut reader, mut rows) = (Reader::new(piece), Vec::new());
    while !reader.rest().is_empty() {
        let flags = reader.u8()?;
        let (key, row) = (reader.len16()?, reader.len32()?);
        rows.push(Waiting { key, row: (flags & DELETES == 0).then_some(row), replaces: flags & REPLACES != 0 });
    }
    Ok(rows)
}

/// Tree, number in its tree and place of each part that can hold rows.
fn all_parts() -> impl Iterator<Item = (Tree, usize, usize)> {
    let of = |(at, tree): (usize, Tree)| {
        let parts = digest::buckets(tree).min(PARTS);
        (0..parts).map(move |number| (tree, number, at * PARTS + number))
    };
    TREES.into_iter().enumerate().flat_map(move |(at, tree)| of((at, tree)))
}

/// The place of a key's part; none in a tree that has no buckets.
fn place(tree: Tree, key: &[u8]) -> Option<usize> {
    let at = TREES.iter().position(|of| *of == tree)?;
    let buckets = digest::buckets(tree);
    Some(at * PARTS + digest::bucket_of(tree, key) * buckets.min(PARTS) / buckets.max(1))
}

fn buckets(tree: Tree, number: usize) -> Range<usize> {
    let (buckets, parts) = (digest::buckets(tree), digest::buckets(tree).clamp(1, PARTS));
    number * buckets / parts..(number + 1) * buckets / parts
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    type Put = (Tree, Vec<u8>, Option<Vec<u8>>, bool);

    fn puts() -> impl Strategy<Value = Vec<Put>> {
        let tree = prop_oneof![3 => Just(Tree::Records), 1 => Just(Tree::Lookup), 1 => Just(Tree::Policy), 1 => Just(Tree::Audit)];
        let key = (0..24u8, 0..3u8).prop_map(|(first, second)| vec![first.wrapping_mul(11), second]);
        let row = prop_oneof![4 => (0..400usize).prop_map(|len| Some(Row::Inline(&vec![len as u8; len]).encode())), 1 => Just(None)];
        // A key that is written again says so, as frames do.
        proptest::collection::vec((tree, key, row), 0..200).prop_map(|puts| {
            let mut there = std::collections::BTreeSet::new();
            let seen = |(tree, key, row): (Tree, Vec<u8>, Option<Vec<u8>>)| {
                let at = (tree.code(), key.clone());
                let replaces = if row.is_some() { !there.insert(at) } else { there.remove(&at) };
                (tree, key, row, replaces)
            };
            puts.into_iter().map(seen).collect()
        })
    }

    fn all(trees: &Trees) -> Vec<(u8, Vec<u8>, Vec<u8>)> {
        let mut found = Vec::new();
        for tree in Tree::ALL {
            let mut keep = |key: &[u8], row: &[u8]| {
                found.push((tree.code(), key.to_vec(), row.to_vec()));
                true
            };
            trees.visit(tree, b"", None, &mut keep).unwrap();
        }
        found
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]
        /// In memory, through the file, and into trees that hold rows already: the same rows, and the same count of what
        /// is superfluous, as one after the other.
        #[test]
        fn rows_loaded_in_order_are_those_put_one_by_one(puts in puts(), before in 0..60usize) {
            let dir = tempfile::tempdir().unwrap();
            let [plain, new, old] = [1, 2, 3].map(|number| Trees::open(dir.path(), number, 8 << 20).unwrap());
            let mut wasted = [0; 3];
            let mut loader = (Loader::into_new(&new), Loader::into_old(&old));
            for (at, (tree, key, row, replaces)) in puts.iter().enumerate() {
                let row = row.as_deref();
                wasted[0] += (&mut &plain).put(*tree, key, row, *replaces).unwrap();
                wasted[1] += loader.0.put(*tree, key, row, *replaces).unwrap();
                wasted[2] += match at < before {
                    true => (&mut &old).put(*tree, key, row, *replaces).unwrap(),
                    false => loader.1.put(*tree, key, row, *replaces).unwrap(),
                };
            }
            let mut buckets = 0;
            wasted[1] += loader.0.finish(&mut |_, done| { buckets += done.len(); Ok(()) }).unwrap();
            wasted[2] += loader.1.finish(&mut |_, _| Ok(())).unwrap();
            prop_assert_eq!(buckets, digest::Digest::default().len());
            prop_assert_eq!(all(&plain), all(&new));
            prop_assert_eq!(all(&plain), all(&old));
            prop_assert!(!new.dir().join(SPILLED).exists());
            prop_assert_eq!(wasted[0], wasted[1]);
            prop_assert_eq!(wasted[0], wasted[2]);
        }
    }

    #[test]
    fn each_bucket_is_in_the_part_of_its_keys() {
        for (tree, number, at) in all_parts() {
            for bucket in buckets(tree, number) {
                let (lowest, _) = digest::bucket_range(tree, bucket);
                assert_eq!(place(tree, &lowest), Some(at));
            }
        }
        assert_eq!(place(Tree::Audit, &[0; 8]), None);
    }

    #[test]
    fn rows_that_were_cut_while_they_waited_are_not_loaded() {
        let dir = tempfile::tempdir().unwrap();
        let trees = Trees::open(dir.path(), 1, 8 << 20).unwrap();
        let mut loader = Loader::into_new(&trees);
        for number in 0..=255u8 {
            loader.put(Tree::Records, &[number], Some(&[number; 100]), false).unwrap();
        }
        let path = trees.dir().join(SPILLED);
        let mut bytes = std::fs::read(&path).unwrap();
        bytes[0..8].fill(0xFF);
        std::fs::write(&path, bytes).unwrap();
        let cut = loader.finish(&mut |_, _| Ok(()));
        assert!(matches!(cut, Err(StorageError::StateDamaged { .. })), "{cut:?}");
    }
}
