//! Checks while running: journal and state files are read, rows compared with the digest, and trees that are wrong built
//! anew from a journal that was found whole. No lock that holds up a commit is kept for longer than one bucket takes.

use std::collections::BTreeMap;

use super::super::apply;
use super::super::journal::check::{JournalCheck, Sums, Until};
use super::*;
use crate::crypto::hash;
use crate::format::digest;
use crate::format::row::{Pointer, Row, unpack};
use crate::observe;
use crate::storage::flaw::{Examined, Examiner, Flaw, FlawPlace, Severity, TreesAre};

/// Bytes of the journal between two questions whether to go on.
const STRETCH: u64 = 4 << 20;
/// Rows whose value cannot be had that are looked at again once the trees are new.
const MOST_POINTERS: usize = 10_000;

/// The covered trees, in the order in which they are looked through.
const COVERED: [Tree; 4] = [Tree::Policy, Tree::Patients, Tree::Lookup, Tree::Records];

/// What is wrong with the trees.
#[derive(Default)]
pub(super) struct Wrong {
    /// Buckets, with the number of the trees that held them.
    buckets: Vec<(Tree, usize, u64)>,
    /// Rows whose value or entry is not where they say.
    pointers: Vec<(Tree, Vec<u8>)>,
    /// Rows of the log that do not follow each other.
    packs: Vec<Vec<u8>>,
    /// Rows whose values were read out of the journal.
    pub(super) kept: u64,
}

impl Wrong {
    pub(super) fn is_empty(&self) -> bool {
        self.buckets.is_empty() && self.pointers.is_empty() && self.packs.is_empty()
    }
}

impl Inner {
    /// Up to where the journal is to be read now, and what it amounts to: known where all of it is settled, which is seen to
    /// if `settle` says so. Where the disk is full the rest waits, and is not compared.
    fn until(&self, settle: bool) -> Until {
        let writer = lock(&self.order);
        let (segment, next) = writer.next();
        let mut applied = lock(&self.applied);
        if settle {
            let _ = self.apply_through(&mut applied, u64::MAX);
        }
        let settled = applied.place.seq == writer.tip().seq;
        Until { segment, next, sums: settled.then(|| sums_of(&applied)) }
    }

    /// A reading of the journal. Files must not be removed meanwhile.
    pub(super) fn journal_check(&self, settle: bool) -> JournalCheck {
        let until = self.until(settle);
        JournalCheck::new(&self.journal, &self.state_key, self.library.base(), until)
    }

    pub(super) fn check_journal(&self, examiner: &mut dyn Examiner) -> Result<bool, StorageError> {
        let whole = self.read_journal(examiner)?;
        self.check_state_files(examiner)?;
        Ok(whole)
    }

    fn read_journal(&self, examiner: &mut dyn Examiner) -> Result<bool, StorageError> {
        let _files = lock(&self.compacting);
        self.alive()?;
        let mut check = self.journal_check(true);
        loop {
            let more = check.read_on(STRETCH, &mut |flaw| examiner.found(flaw));
            if !examiner.passed(check.examined(), check.total()) {
                return Err(StorageError::Closed);
            }
            self.alive()?;
            if !more {
                return Ok(check.is_whole());
            }
        }
    }

    /// State files that are not whole are written anew.
    pub(super) fn check_state_files(&self, examiner: &mut dyn Examiner) -> Result<(), StorageError> {
        let bad = || lock(&self.checkpoints).bad();
        let found = bad();
        if found.is_empty() {
            return Ok(());
        }
        // One checkpoint writes one file.
        let written = self.checkpoint().and_then(|()| self.checkpoint());
        let left = bad();
        for path in found {
            let mended = written.is_ok() && !left.contains(&path);
            let severity = if mended { Severity::Mended } else { Severity::Mendable };
            let flaw = Flaw::at(path, 0, "a state file that is not whole; a checkpoint writes it anew");
            examiner.found(Flaw { severity, ..flaw });
        }
        Ok(())
    }

    pub(super) fn check_trees(
        &self,
        whole: Option<bool>,
        examiner: &mut dyn Examiner,
    ) -> Result<TreesAre, StorageError> {
        let total = lock(&self.applied).digest.rows();
        let (mut wrong, mut seen) = (Wrong::default(), Examined::default());
        for tree in COVERED {
            for bucket in 0..digest::buckets(tree) {
                seen.rows = seen.rows.saturating_add(self.check_bucket(tree, bucket, &mut wrong)?);
                if (bucket % 16 == 0) && !examiner.passed(seen, total) {
                    return Err(StorageError::Closed);
                }
            }
        }
        self.check_packs(&mut wrong)?;
        if !examiner.passed(seen, total) {
            return Err(StorageError::Closed);
        }
        self.mend(wrong, whole, examiner)
    }

    /// Compares one bucket with the digest; gives the number of its rows.
    pub(super) fn check_bucket(&self, tree: Tree, bucket: usize, wrong: &mut Wrong) -> Result<u64, StorageError> {
        self.alive()?;
        let mut kept: Vec<(Vec<u8>, Pointer)> = Vec::new();
        let expected = lock(&self.applied).digest.bucket(tree, bucket);
        let trees = self.trees()?;
        let found = apply::sum_and_kept(&trees, &self.state_key, tree, bucket, &mut |key, at| {
            kept.push((key.to_vec(), at));
        });
        if !matches!(found, Ok(Some(sum)) if sum == expected) {
            if !self.holds_now(tree, bucket, wrong)? {
                return Ok(expected.count());
            }
        } else {
            // Trees that were built meanwhile have to be compared themselves.
            let _nobody_builds = lock(&self.applied);
            if self.trees()?.number == trees.number {
                self.set_verified(tree, bucket);
            }
        }
        drop(trees);
        // From the files, not from what was read of them before; each frame once.
        self.library.forget_frames();
        wrong.kept = wrong.kept.saturating_add(u64::try_from(kept.len()).unwrap_or(u64::MAX));
        kept.sort_unstable_by_key(|(_, at)| (at.seq, at.offset));
        for (key, pointer) in kept {
            // Rows may have been written again meanwhile: only what the trees hold now counts.
            let readable = self.library.read(&self.journal, &pointer).is_ok();
            if !readable && !self.row_is_good(tree, &key) && wrong.pointers.len() < MOST_POINTERS {
                wrong.pointers.push((tree, key));
            }
        }
        Ok(expected.count())
    }

    /// Compares a bucket while nothing is written to the trees.
    fn holds_now(&self, tree: Tree, bucket: usize, wrong: &mut Wrong) -> Result<bool, StorageError> {
        let applied = lock(&self.applied);
        let trees = self.trees()?;
        match apply::bucket_holds(&trees, &self.state_key, &applied.digest, tree, bucket) {
            Ok(true) => {
                self.set_verified(tree, bucket);
                Ok(true)
            }
            Ok(false) | Err(StorageError::Trees { .. }) => {
                self.distrust(tree, bucket);
                wrong.buckets.push((tree, bucket, trees.number));
                Ok(false)
            }
            Err(error) => Err(error),
        }
    }

    /// Whether the value of a row, or the entry that it is, can be had.
    fn row_is_good(&self, tree: Tree, key: &[u8]) -> bool {
        let row = self.trees().and_then(|trees| trees.get(tree, key));
        match row {
            Ok(Some(row)) => match Row::parse(&row) {
                Ok(Row::Kept(pointer)) => self.library.read(&self.journal, &pointer).is_ok(),
                Ok(Row::Inline(_)) => true,
                Err(_) => false,
            },
            // It was deleted meanwhile.
            Ok(None) => tree != Tree::Audit,
            Err(_) => false,
        }
    }

    /// The log's rows: each goes on where the one before ends, and the open pack behind the last. What the entries say is
    /// for the log's own chain to tell. Rows before the first entry that is kept are nothing to anybody.
    fn check_packs(&self, wrong: &mut Wrong) -> Result<(), StorageError> {
        self.check_pack_rows(wrong)?;
        // What was cut meanwhile is not missing.
        let first = lock(&self.applied).first_entry.to_be_bytes();
        wrong.packs.retain(|key| key.as_slice() >= &first[..]);
        wrong.pointers.retain(|(tree, key)| *tree != Tree::Audit || key.as_slice() >= &first[..]);
        Ok(())
    }

    fn check_pack_rows(&self, wrong: &mut Wrong) -> Result<(), StorageError> {
        const AT_ONCE: usize = 1_000;
        let (end, first) = {
            let applied = lock(&self.applied);
            (applied.pack.first, applied.first_entry)
        };
        let (mut next, mut known) = (first, true);
        while next < end {
            self.alive()?;
            let mut rows: Vec<(Vec<u8>, Option<usize>, bool)> = Vec::new();
            let from = next.to_be_bytes();
            let read = self.trees()?.visit(Tree::Audit, &from, Some(&end.to_be_bytes()), |key, row| {
                let (entries, kept) = match Row::parse(row) {
                    Ok(Row::Inline(pack)) => (unpack(pack).ok().map(|entries| entries.len()), false),
                    Ok(Row::Kept(_)) => (Some(1), true),
                    Err(_) => (None, false),
                };
                rows.push((key.to_vec(), entries, kept));
                rows.len() < AT_ONCE
            });
            if read.is_err() || rows.is_empty() {
                if read.is_err() || known {
                    wrong.packs.push(from.to_vec());
                }
                return Ok(());
            }
            for (key, entries, kept) in rows {
                let first = <[u8; 8]>::try_from(key.as_slice()).map_or(u64::MAX, u64::from_be_bytes);
                let Some(entries) = entries.filter(|_| first >= next) else {
                    wrong.packs.push(key);
                    // How many entries it held is not known.
                    (next, known) = (next.max(first.saturating_add(1)), false);
                    continue;
                };
                if first > next && known {
                    wrong.packs.push(next.to_be_bytes().to_vec());
                }
                if kept && !self.row_is_good(Tree::Audit, &key) {
                    wrong.pointers.push((Tree::Audit, key));
                }
                (next, known) = (first.saturating_add(u64::try_from(entries).unwrap_or(u64::MAX)), true);
            }
            if wrong.packs.len() + wrong.pointers.len() > MOST_POINTERS {
                return Ok(());
            }
        }
        Ok(())
    }

    /// Builds the trees anew if something is wrong with them and the journal is whole, and tells what it was.
    pub(super) fn mend(
        &self,
        wrong: Wrong,
        whole: Option<bool>,
        examiner: &mut dyn Examiner,
    ) -> Result<TreesAre, StorageError> {
        if wrong.is_empty() {
            return Ok(TreesAre::Right);
        }
        let mended = self.may_rebuild(whole, examiner)? && self.rebuild_gently(&wrong.buckets, examiner)?;
        let severity = if mended { Severity::Mended } else { Severity::Grave };
        if !mended {
            for (tree, _, _) in &wrong.buckets {
                let place = FlawPlace::Rows { tree: *tree };
                let what = "rows that are not those of the digest".to_owned();
                examiner.found(Flaw { place, what, severity });
            }
        }
        for (tree, key) in &wrong.pointers {
            let severity = if mended && self.row_is_good(*tree, key) { Severity::Mended } else { Severity::Grave };
            examiner.found(Flaw::row(*tree, key, "what it points to in the journal cannot be read there", severity));
        }
        for key in &wrong.packs {
            examiner.found(Flaw::row(Tree::Audit, key, "a lost or broken row of the log", severity));
        }
        // A value that the journal lost makes no other row wrong.
        let sound = wrong.buckets.is_empty() && wrong.packs.is_empty();
        Ok(match (mended, sound) {
            (true, _) => TreesAre::Mended,
            (false, true) => TreesAre::Right,
            (false, false) => TreesAre::Wrong,
        })
    }

    /// Whether the journal is whole, so that trees can be built from it.
    pub(super) fn may_rebuild(&self, whole: Option<bool>, examiner: &mut dyn Examiner) -> Result<bool, StorageError> {
        match whole {
            Some(whole) => Ok(whole),
            None => self.read_journal(examiner),
        }
    }

    /// Nobody waits for these trees, so they are not built into the last of the space: sled must not meet its end. Rows may
    /// wait in a file beside them.
    fn space_to_rebuild(&self, old: &Trees) -> Result<(), StorageError> {
        let needed = file::dir_bytes(old.dir()).saturating_mul(2).saturating_add(self.options.keep_free);
        match file::free_bytes(&self.dir) {
            Some(free) if free < needed => Err(StorageError::DiskFull { path: self.dir.clone() }),
            _ => Ok(()),
        }
    }

    /// Builds the trees anew; if that fails the vault goes on with what it has. Tells which rows were wrong in the buckets
    /// named.
    pub(super) fn rebuild_gently(
        &self,
        buckets: &[(Tree, usize, u64)],
        examiner: &mut dyn Examiner,
    ) -> Result<bool, StorageError> {
        self.alive()?;
        let mut applied = lock(&self.applied);
        let old = self.trees()?;
        let took = observe::Stopwatch::start();
        let done = self.space_to_rebuild(&old).and_then(|()| self.rebuild_now(&mut applied));
        observe::rebuilt(took, done.is_ok());
        if let Err(error) = done {
            let flaw = Flaw::at(self.dir.clone(), 0, format!("the trees could not be built anew: {error}"));
            examiner.found(flaw);
            return Ok(false);
        }
        let new = self.trees()?;
        for (tree, bucket, number) in buckets {
            // Others may have been built since; then the ones that were wrong are gone.
            let named = (*number == old.number).then(|| difference(&old, &new, *tree, *bucket)).flatten();
            match named.filter(|rows| !rows.is_empty()) {
                Some(rows) => rows.into_iter().for_each(|(key, what)| {
                    examiner.found(Flaw::row(*tree, &key, what, Severity::Mended));
                }),
                None => {
                    let (place, severity) = (FlawPlace::Rows { tree: *tree }, Severity::Mended);
                    let what = "rows that were not those of the digest".to_owned();
                    examiner.found(Flaw { place, what, severity });
                }
            }
        }
        Ok(true)
    }
}

fn sums_of(applied: &Applied) -> Sums {
    Sums { digest: applied.digest.clone(), entries: applied.pack.next, first_entry: applied.first_entry }
}

/// How the rows of a bucket differ; nothing if they cannot be read.
fn difference(old: &Trees, new: &Trees, tree: Tree, bucket: usize) -> Option<Vec<(Vec<u8>, &'static str)>> {
    let rows = |trees: &Trees| {
        let (from, to) = digest::bucket_range(tree, bucket);
        // A chart lies in one bucket, however long it is.
        let mut rows: BTreeMap<Vec<u8>, [u8; 32]> = BTreeMap::new();
        let read = trees.visit(tree, &from, to.as_deref(), |key, row| {
            rows.insert(key.to_vec(), hash::sha256(&[row]));
            true
        });
        read.ok().map(|()| rows)
    };
    let (old, new) = (rows(old)?, rows(new)?);
    let mut different: Vec<_> = new
        .iter()
        .filter_map(|(key, row)| match old.get(key) {
            None => Some((key.clone(), "a row that the trees had lost")),
            Some(had) if had != row => Some((key.clone(), "a row that had changed in the trees")),
            Some(_) => None,
        })
        .collect();
    let invented = old.keys().filter(|key| !new.contains_key(*key));
    different.extend(invented.map(|key| (key.clone(), "a row that the trees had, and nobody wrote")));
    Some(different)
}

#[cfg(test)]
mod tests;
