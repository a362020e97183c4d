//! Reading settled rows, and entries. A digest bucket is compared with its rows before the first of them is used.

use std::sync::atomic::Ordering;

use super::super::apply;
use super::*;
use crate::format::digest;
use crate::format::row::{self, Pointer, Row};

type Unpacked = (u64, Vec<(u64, Bytes)>, Arc<Trees>);

/// A row as it was read; a kept value is fetched from the journal afterwards.
enum Found {
    Value(Bytes),
    Kept(Pointer),
    Broken,
}

impl Found {
    fn of(row: &[u8]) -> Self {
        match Row::parse(row) {
            Ok(Row::Inline(value)) => Self::Value(value.into()),
            Ok(Row::Kept(pointer)) => Self::Kept(pointer),
            Err(_) => Self::Broken,
        }
    }
}

impl Inner {
    pub(super) fn get(&self, tree: Tree, key: &[u8]) -> Result<Option<Bytes>, StorageError> {
        self.alive()?;
        self.ensure(tree, digest::bucket_of(tree, key))?;
        let row = self.trees()?.get(tree, key)?;
        row.map(|row| self.resolve(Found::of(&row))).transpose()
    }

    pub(super) fn scan(&self, tree: Tree, scan: Scan<'_>) -> Result<Vec<(Vec<u8>, Bytes)>, StorageError> {
        let mut found = Vec::new();
        self.visit(tree, scan, |key, row| found.push((key.to_vec(), Found::of(row))))?;
        found
            .into_iter()
            .map(|(key, row)| {
                let value = self.resolve(row)?;
                Ok((key, value))
            })
            .collect()
    }

    pub(super) fn scan_keys(&self, tree: Tree, scan: Scan<'_>) -> Result<Vec<Vec<u8>>, StorageError> {
        let mut keys = Vec::new();
        self.visit(tree, scan, |key, _| keys.push(key.to_vec()))?;
        Ok(keys)
    }

    fn resolve(&self, row: Found) -> Result<Bytes, StorageError> {
        match row {
            Found::Value(value) => Ok(value),
            Found::Kept(pointer) => self.library.read(&self.journal, &pointer),
            Found::Broken => {
                Err(StorageError::Trees { doing: "reading", reason: "a row that it never was given".into() })
            }
        }
    }

    /// Visits rows bucket by bucket, so that a bucket which lost all its rows is noticed as well.
    fn visit(&self, tree: Tree, scan: Scan<'_>, mut visit: impl FnMut(&[u8], &[u8])) -> Result<(), StorageError> {
        self.alive()?;
        let end = after_prefix(scan.prefix);
        let mut from = scan.prefix.to_vec();
        if let Some(after) = scan.after
            && after >= scan.prefix
        {
            from = [after, &[0]].concat();
        }
        let mut left = scan.limit;
        while left > 0 && end.as_ref().is_none_or(|end| from < *end) {
            let stop = self.verified_until(tree, &from, end.as_deref())?;
            self.trees()?.visit(tree, &from, stop.as_deref(), |key, row| {
                visit(key, row);
                left -= 1;
                left > 0
            })?;
            match stop {
                Some(stop) => from = stop,
                None => break,
            }
        }
        Ok(())
    }

    /// Verifies the bucket of `from`. Gives the end of the run of verified buckets that starts there, at most `end`.
    fn verified_until(&self, tree: Tree, from: &[u8], end: Option<&[u8]>) -> Result<Option<Vec<u8>>, StorageError> {
        let mut bucket = digest::bucket_of(tree, from);
        self.ensure(tree, bucket)?;
        let last = end.map_or_else(|| digest::buckets(tree).saturating_sub(1), |end| digest::bucket_of(tree, end));
        while bucket < last && self.is_verified(tree, bucket + 1) {
            bucket += 1;
        }
        let stop = digest::bucket_range(tree, bucket).1;
        Ok(match (stop, end) {
            (Some(stop), Some(end)) if stop.as_slice() > end => Some(end.to_vec()),
            (None, Some(end)) => Some(end.to_vec()),
            (stop, _) => stop,
        })
    }

    fn is_verified(&self, tree: Tree, bucket: usize) -> bool {
        let flag = self.verified.get(Digest::place(tree, bucket));
        digest::buckets(tree) == 0 || flag.is_some_and(|flag| flag.load(Ordering::Acquire))
    }

    pub(super) fn set_verified(&self, tree: Tree, bucket: usize) {
        if let Some(flag) = self.verified.get(Digest::place(tree, bucket)) {
            flag.store(true, Ordering::Release);
        }
    }

    /// The rows of a bucket are not to be used before they are compared again.
    pub(super) fn distrust(&self, tree: Tree, bucket: usize) {
        if let Some(flag) = self.verified.get(Digest::place(tree, bucket)) {
            flag.store(false, Ordering::Release);
        }
    }

    /// Makes sure that a bucket's rows are those that the digest says; if not, builds the trees anew.
    fn ensure(&self, tree: Tree, bucket: usize) -> Result<(), StorageError> {
        if self.is_verified(tree, bucket) {
            return Ok(());
        }
        // Others go on meanwhile; only where one of them writes into this very bucket, or the rows are wrong, it takes a
        // second look while nobody writes.
        let (mut trees, expected) = (self.trees()?, lock(&self.applied).digest.bucket(tree, bucket));
        let found = apply::sum(&trees, &self.state_key, tree, bucket).unwrap_or_default();
        let mut applied = lock(&self.applied);
        self.alive()?;
        if self.is_verified(tree, bucket) {
            return Ok(());
        }
        let number = std::mem::replace(&mut trees, self.trees()?).number;
        if found == Some(expected) && applied.digest.bucket(tree, bucket) == expected && trees.number == number {
            self.set_verified(tree, bucket);
            return Ok(());
        }
        match apply::bucket_holds(&trees, &self.state_key, &applied.digest, tree, bucket) {
            Ok(true) => {
                self.set_verified(tree, bucket);
                Ok(())
            }
            Ok(false) | Err(StorageError::Trees { .. }) => {
                drop(trees);
                self.rebuild(&mut applied)?;
                if apply::bucket_holds(&*self.trees()?, &self.state_key, &applied.digest, tree, bucket)? {
                    self.set_verified(tree, bucket);
                    return Ok(());
                }
                let error = StorageError::StateDamaged { what: "trees that were just built are wrong" };
                self.poison(&error);
                Err(error)
            }
            Err(error) => Err(error),
        }
    }

    pub(super) fn entries(&self, from: u64, limit: usize) -> Result<Vec<(u64, Bytes)>, StorageError> {
        match self.entries_once(from, limit) {
            // The journal has it: the trees lost a pack.
            Err(StorageError::Missing { .. }) => {
                self.rebuild(&mut lock(&self.applied))?;
                self.entries_once(from, limit)
            }
            entries => entries,
        }
    }

    /// Without building anything anew.
    pub(super) fn entries_once(&self, from: u64, limit: usize) -> Result<Vec<(u64, Bytes)>, StorageError> {
        let kept = || {
            let first = lock(&self.front).first_entry;
            if from < first { Err(StorageError::Pruned { first }) } else { Ok(()) }
        };
        self.alive()?;
        kept()?;
        // Where it was not found it may have gone meanwhile.
        self.entries_kept(from, limit).or_else(|error| kept().and(Err(error)))
    }

    fn entries_kept(&self, from: u64, limit: usize) -> Result<Vec<(u64, Bytes)>, StorageError> {
        let (open_first, open, trees) = self.unpacked(from, limit)?;
        let mut entries = Vec::new();
        let mut next = from;
        while next < open_first && entries.len() < limit {
            let pack = self.pack_with(&trees, next)?.filter(|pack| pack.iter().any(|(seq, _)| *seq == next));
            for (seq, entry) in pack.ok_or(StorageError::Missing { seq: next })? {
                if seq >= next && entries.len() < limit {
                    entries.push((seq, entry));
                    next = seq + 1;
                }
            }
        }
        entries.extend(open.into_iter().filter(|(seq, _)| *seq >= next).take(limit - entries.len().min(limit)));
        Ok(entries)
    }

    /// The number of the first entry that no row holds, and such entries from `from` on: those of the open pack, and those
    /// of commits that wait to be settled. And the trees with the rows before: in others the rows may begin elsewhere.
    fn unpacked(&self, from: u64, limit: usize) -> Result<Unpacked, StorageError> {
        let applied = lock(&self.applied);
        let front = lock(&self.front);
        let mut entries = applied.pack.entries();
        let waiting = front.queue.iter().flat_map(|work| &work.entries);
        let waiting = (applied.pack.next..).zip(waiting).skip_while(|(seq, _)| *seq < from).take(limit);
        entries.extend(waiting.map(|(seq, (entry, _))| (seq, Bytes::from(entry.as_slice()))));
        Ok((applied.pack.first, entries, self.trees()?))
    }

    /// The entries of the row that should hold entry `seq`.
    fn pack_with(&self, trees: &Trees, seq: u64) -> Result<Option<Vec<(u64, Bytes)>>, StorageError> {
        let Some((key, row)) = trees.at_or_below(Tree::Audit, &seq.to_be_bytes())? else { return Ok(None) };
        let Ok(first) = <[u8; 8]>::try_from(key.as_ref()).map(u64::from_be_bytes) else { return Ok(None) };
        Ok(match Row::parse(&row) {
            Ok(Row::Inline(pack)) => {
                row::unpack(pack).ok().map(|entries| (first..).zip(entries.into_iter().map(Bytes::from)).collect())
            }
            Ok(Row::Kept(pointer)) => Some(vec![(first, self.library.read(&self.journal, &pointer)?)]),
            Err(_) => None,
        })
    }
}

/// The first key behind all keys with this prefix; none if there is no such key.
fn after_prefix(prefix: &[u8]) -> Option<Vec<u8>> {
    let mut end = prefix.to_vec();
    while let Some(last) = end.pop() {
        if let Some(next) = last.checked_add(1) {
            end.push(next);
            return Some(end);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::storage::tests::{create, entry, open, put};

    #[test]
    fn a_row_that_turns_to_nonsense_after_it_was_compared_is_no_value() {
        let dir = tempfile::tempdir().unwrap();
        let storage = create(dir.path());
        put(&storage, &[(b"a", Some(b"1"))], vec![]);
        storage.inner.trees().unwrap().insert(Tree::Records, b"a", vec![9]).unwrap();
        let read = storage.inner.get(Tree::Records, b"a");
        assert!(matches!(read, Err(StorageError::Trees { doing: "reading", .. })), "{read:?}");
    }

    #[test]
    fn an_entry_that_the_trees_lost_is_named_and_then_had_from_the_journal() {
        let dir = tempfile::tempdir().unwrap();
        let storage = create(dir.path());
        put(&storage, &[], vec![entry(&[6; 5_000], &[]), entry(b"next", &[])]);
        storage.close().unwrap();
        let (storage, _) = open(dir.path());
        let trees = storage.inner.trees().unwrap();
        let (key, _) = trees.at_or_below(Tree::Audit, &[0; 8]).unwrap().unwrap();
        trees.remove(Tree::Audit, &key).unwrap();
        drop(trees);
        assert!(matches!(storage.inner.entries_once(0, 9), Err(StorageError::Missing { seq: 0 })));
        assert_eq!(storage.inner.entries(0, 9).unwrap().len(), 2);
    }
}
