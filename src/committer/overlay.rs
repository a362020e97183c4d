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

/// Lays waiting rows over settled ones. `settled` holds at most `limit` rows; when it is full, waiting rows behind its
/// last key wait for the next page.
pub(crate) fn merge<V>(
    settled: Vec<(Vec<u8>, V)>,
    waiting: Vec<(Vec<u8>, Option<V>)>,
    limit: usize,
) -> Vec<(Vec<u8>, V)> {
    if waiting.is_empty() {
        return settled;
    }
    let last = if settled.len() >= limit { settled.last().map(|(key, _)| key.clone()) } else { None };
    let mut merged: BTreeMap<Vec<u8>, V> = settled.into_iter().collect();
    for (key, value) in waiting {
        if last.as_ref().is_some_and(|last| key > *last) {
            break;
        }
        match value {
            Some(value) => {
                merged.insert(key, value);
            }
            None => {
                merged.remove(&key);
            }
        }
    }
    merged.into_iter().take(limit).collect()
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

    #[test]
    fn merging_keeps_order_limit_and_deletions() {
        let settled = |keys: &[u8]| keys.iter().map(|key| (vec![*key], 's')).collect::<Vec<_>>();
        let waiting = vec![(vec![1], Some('w')), (vec![2], None), (vec![9], Some('w'))];
        assert_eq!(merge(settled(&[2, 3]), waiting.clone(), 5), [(vec![1], 'w'), (vec![3], 's'), (vec![9], 'w')]);
        assert_eq!(merge(settled(&[2, 3]), waiting, 2), [(vec![1], 'w'), (vec![3], 's')]);
    }
}
