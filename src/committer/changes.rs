//! How often a chart was changed since the vault was opened, so that what was found in it can be used again for as long as
//! it is the same.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::bytes::Reader;
use crate::storage::Tree;

/// One chart in so many shares its count with another: a write into it makes readers of the other look again, in vain.
const COUNTS: usize = 1 << 14;
/// Of 16 bits, the first 14 choose the count. So charts of one count are charts of one stripe, and a chart that is held
/// keeps its stamp.
const UNUSED_BITS: u32 = 2;

/// A chart as it was at one moment: equal as long as no row of it was shown since.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stamp(u64);

/// Counts by the first bytes of patient tags, which are spread evenly because they are keyed hashes.
pub(crate) struct Changes(Vec<AtomicU64>);

impl Default for Changes {
    fn default() -> Self {
        Self(std::iter::repeat_with(AtomicU64::default).take(COUNTS).collect())
    }
}

impl Changes {
    /// Counts a change of the chart to which a row belongs: a record, or the patient's key. To be called while nobody can look for
    /// rows: whoever reads the new count then finds the new row.
    pub(crate) fn count(&self, tree: Tree, key: &[u8]) {
        if matches!(tree, Tree::Records | Tree::Patients)
            && let Some(count) = self.of(key)
        {
            count.fetch_add(1, Ordering::Release);
        }
    }

    pub(crate) fn stamp(&self, chart: &[u8]) -> Stamp {
        Stamp(self.of(chart).map_or(0, |count| count.load(Ordering::Acquire)))
    }

    fn of(&self, key: &[u8]) -> Option<&AtomicU64> {
        let first = Reader::new(key).u16().ok()?;
        self.0.get(usize::from(first >> UNUSED_BITS))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_and_patients_keys_change_the_stamp_of_their_chart_and_other_rows_do_not() {
        let changes = Changes::default();
        let (chart, other) = ([7; 16], [8; 16]);
        let before = (changes.stamp(&chart), changes.stamp(&other));
        let row = [&chart[..], &[1; 20]].concat();
        for tree in [Tree::Lookup, Tree::Policy, Tree::Audit] {
            changes.count(tree, &row);
        }
        assert_eq!(changes.stamp(&chart), before.0);
        changes.count(Tree::Records, &row);
        let amended = changes.stamp(&chart);
        assert_ne!(amended, before.0);
        changes.count(Tree::Patients, &row);
        assert!(![before.0, amended].contains(&changes.stamp(&chart)));
        assert_eq!(changes.stamp(&other), before.1);
    }

    #[test]
    fn every_chart_has_a_count_and_charts_of_one_count_share_a_stripe() {
        let changes = Changes::default();
        let place = |first: u16| {
            let count = changes.of(&first.to_be_bytes()).unwrap();
            changes.0.iter().position(|other| std::ptr::eq(other, count)).unwrap()
        };
        for first in (0..=u16::MAX).step_by(61) {
            assert_eq!(place(first), place(first & !3));
            assert_eq!(place(first) >> 6, usize::from(first.to_be_bytes()[0]));
        }
    }
}
