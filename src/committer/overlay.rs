//! What is queued or durable but not yet settled in the trees. Readers look here first.
//!
//! A reader may see a write before it is acknowledged: the reader's own audit entry stands behind that write in the
//! journal, so by the time the reader gets its answer the write is durable, and if the write fails, so does the reader.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::{PoisonError, RwLock};

use super::changes::{Changes, Stamp};
use crate::storage::{Bytes, Tree};

/// One row to be written.
#[derive(Clone)]
pub(crate) struct Row {
    pub(crate) tree: Tree,
    pub(crate) key: Bytes,
    /// `None` deletes.
    pub(crate) value: Option<Bytes>,
    /// The value that stands there now.
    pub(crate) replaces: Option<Bytes>,
}

impl Row {
    /// A row whose key is new.
    pub(crate) fn new(tree: Tree, key: impl Into<Bytes>, value: impl Into<Bytes>) -> Self {
        Self { tree, key: key.into(), value: Some(value.into()), replaces: None }
    }

    /// Takes a row away.
    pub(crate) fn removal(tree: Tree, key: impl Into<Bytes>, old: Bytes) -> Self {
        Self { tree, key: key.into(), value: None, replaces: Some(old) }
    }
}

struct Waiting {
    value: Option<Bytes>,
    job: u64,
}

#[derive(Default)]
pub(crate) struct Overlay {
    /// By their tree's code and their key.
    rows: RwLock<BTreeMap<u8, BTreeMap<Bytes, Waiting>>>,
    changes: Changes,
}

impl Overlay {
    /// How a chart stands. Take it before looking for the chart's rows: they are then those of this stamp, or newer.
    pub(crate) fn stamp(&self, chart: &[u8; 16]) -> Stamp {
        self.changes.stamp(chart)
    }

    /// Shows the rows of job number `job`.
    pub(crate) fn show(&self, job: u64, rows: impl Iterator<Item = (Tree, Bytes, Option<Bytes>)>) {
        let mut waiting = self.rows.write().unwrap_or_else(PoisonError::into_inner);
        for (tree, key, value) in rows {
            self.changes.count(tree, &key);
            waiting.entry(tree.code()).or_default().insert(key, Waiting { value, job });
        }
    }

    /// Drops a row of job `job` once it is settled, unless a later job wrote it again.
    pub(crate) fn settled(&self, job: u64, keys: &[(Tree, Bytes)]) {
        let mut waiting = self.rows.write().unwrap_or_else(PoisonError::into_inner);
        for (tree, key) in keys {
            if let Some(rows) = waiting.get_mut(&tree.code())
                && rows.get(key).is_some_and(|row| row.job == job)
            {
                rows.remove(key);
            }
        }
    }

    /// The waiting value of a key: `None` when nothing waits, `Some(None)` when a deletion does.
    pub(crate) fn get(&self, tree: Tree, key: &[u8]) -> Option<Option<Bytes>> {
        let waiting = self.rows.read().unwrap_or_else(PoisonError::into_inner);
        waiting.get(&tree.code())?.get(key).map(|row| row.value.clone())
    }

    /// Waiting rows under `prefix` and after `after`, ascending.
    pub(crate) fn range(&self, tree: Tree, prefix: &[u8], after: Option<&[u8]>) -> Vec<(Vec<u8>, Option<Bytes>)> {
        let waiting = self.rows.read().unwrap_or_else(PoisonError::into_inner);
        let Some(rows) = waiting.get(&tree.code()) else { return Vec::new() };
        let from = match after {
            Some(after) if after >= prefix => Bound::Excluded(after),
            _ => Bound::Included(prefix),
        };
        let rows = rows.range::<[u8], _>((from, Bound::Unbounded)).take_while(|(key, _)| key.starts_with(prefix));
        rows.map(|(key, row)| (key.to_vec(), row.value.clone())).collect()
    }
}

/// The most settled rows that are asked for at once to make up for those that wait to be deleted.
const MOST_MORE: usize = 1_024;

/// Rows in the order of their keys, at most `limit`, as they are once those that wait are settled; fewer only where there are
/// no more. `settled` gives settled rows after a key, at most so many, and fewer only where there are no more.
pub(super) fn page<V, E>(
    waiting: Vec<(Vec<u8>, Option<V>)>,
    after: Option<&[u8]>,
    limit: usize,
    mut settled: impl FnMut(Option<&[u8]>, usize) -> Result<Vec<(Vec<u8>, V)>, E>,
) -> Result<Vec<(Vec<u8>, V)>, E> {
    if waiting.is_empty() {
        return settled(after, limit);
    }
    let (mut waiting, mut found) = (waiting.into_iter().peekable(), Vec::new());
    let (mut after, mut asked) = (after.map(<[u8]>::to_vec), limit);
    loop {
        let rows = settled(after.as_deref(), asked)?;
        let last = if rows.len() >= asked { rows.last().map(|(key, _)| key.clone()) } else { None };
        let mut rows: BTreeMap<Vec<u8>, V> = rows.into_iter().collect();
        // Those behind the last settled one belong to what is asked for next.
        while let Some((key, value)) = waiting.next_if(|(key, _)| last.as_ref().is_none_or(|last| key <= last)) {
            match value {
                Some(value) => rows.insert(key, value),
                None => rows.remove(&key),
            };
        }
        found.extend(rows);
        if found.len() >= limit || last.is_none() {
            found.truncate(limit);
            return Ok(found);
        }
        (after, asked) = (last, asked.saturating_mul(2).min(MOST_MORE.max(limit)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(text: &str) -> Bytes {
        text.as_bytes().into()
    }

    #[test]
    fn a_later_job_keeps_its_row_when_an_earlier_one_settles() {
        let overlay = Overlay::default();
        let row = |text: &str| [(Tree::Records, bytes("key"), Some(bytes(text)))].into_iter();
        overlay.show(1, row("one"));
        overlay.show(2, row("two"));
        overlay.settled(1, &[(Tree::Records, bytes("key"))]);
        assert_eq!(overlay.get(Tree::Records, b"key"), Some(Some(bytes("two"))));
        overlay.settled(2, &[(Tree::Records, bytes("key"))]);
        assert_eq!(overlay.get(Tree::Records, b"key"), None);
    }

    #[test]
    fn a_chart_has_another_stamp_once_a_row_of_it_is_shown_and_keeps_it_when_that_is_settled() {
        let overlay = Overlay::default();
        let row = Bytes::from([3; 36]);
        let before = overlay.stamp(&[3; 16]);
        overlay.show(1, [(Tree::Records, row.clone(), Some(bytes("one")))].into_iter());
        let shown = overlay.stamp(&[3; 16]);
        assert_ne!(shown, before);
        overlay.settled(1, &[(Tree::Records, row.clone())]);
        assert_eq!(overlay.stamp(&[3; 16]), shown);
        overlay.show(2, [(Tree::Records, row, None)].into_iter());
        assert!(![before, shown].contains(&overlay.stamp(&[3; 16])), "a row that is deleted is a change");
    }

    #[test]
    fn a_range_stays_inside_its_tree_and_prefix() {
        let overlay = Overlay::default();
        for (tree, key) in
            [(Tree::Records, "ab1"), (Tree::Records, "ab2"), (Tree::Records, "ac"), (Tree::Policy, "ab3")]
        {
            overlay.show(1, [(tree, bytes(key), None)].into_iter());
        }
        let keys = |after: Option<&[u8]>| {
            overlay.range(Tree::Records, b"ab", after).into_iter().map(|(key, _)| key).collect::<Vec<_>>()
        };
        assert_eq!(keys(None), [b"ab1".to_vec(), b"ab2".to_vec()]);
        assert_eq!(keys(Some(b"ab1")), [b"ab2".to_vec()]);
        assert_eq!(keys(Some(b"aa")), [b"ab1".to_vec(), b"ab2".to_vec()]);
    }

    /// Every row, page by page, each from the last key of the one before.
    fn pages(settled: &BTreeMap<u8, char>, waiting: &BTreeMap<u8, Option<char>>, limit: usize) -> Vec<(u8, char)> {
        let (mut all, mut last): (Vec<(u8, char)>, Option<u8>) = (Vec::new(), None);
        loop {
            let behind = |key: &u8, after: Option<u8>| after.is_none_or(|after| *key > after);
            let waiting = waiting.iter().filter(|(key, _)| behind(key, last));
            let waiting = waiting.map(|(key, value)| (vec![*key], *value)).collect();
            let key = last.map(|last| [last]);
            let page = page(waiting, key.as_ref().map(<[u8; 1]>::as_slice), limit, |after, most| {
                let after = after.map(|after| after[0]);
                let rows = settled.iter().filter(|(key, _)| behind(key, after)).take(most);
                Ok::<_, ()>(rows.map(|(key, value)| (vec![*key], *value)).collect())
            });
            let page = page.unwrap();
            assert!(page.len() <= limit);
            all.extend(page.iter().map(|(key, value)| (key[0], *value)));
            match page.last().filter(|_| page.len() == limit) {
                Some((key, _)) => last = Some(key[0]),
                None => return all,
            }
        }
    }

    proptest::proptest! {
        #[test]
        fn a_page_that_is_not_full_is_the_last_whatever_waits(
            settled in proptest::collection::btree_map(0_u8..40, proptest::prelude::Just('s'), 0..30),
            waiting in proptest::collection::btree_map(0_u8..40, proptest::option::of(proptest::prelude::Just('w')), 0..30),
            limit in 1_usize..6,
        ) {
            let mut model = settled.clone();
            for (key, value) in &waiting {
                match value {
                    Some(value) => model.insert(*key, *value),
                    None => model.remove(key),
                };
            }
            proptest::prop_assert_eq!(pages(&settled, &waiting, limit), model.into_iter().collect::<Vec<_>>());
        }
    }

    #[test]
    fn rows_are_found_behind_many_that_wait_to_be_deleted() {
        let settled: BTreeMap<u8, char> = (0..=200).map(|key| (key, 's')).collect();
        let waiting = (0..200).map(|key| (key, None)).collect();
        assert_eq!(pages(&settled, &waiting, 1), [(200, 's')]);
    }
}
