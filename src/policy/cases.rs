//! The emergencies of a vault, in memory.

use std::collections::BTreeMap;

use super::Policy;
use super::case::CaseRow;
use crate::clock::Timestamp;
use crate::ids::CaseId;

/// By id, and by when they were.
#[derive(Default)]
pub(super) struct Cases {
    rows: BTreeMap<CaseId, CaseRow>,
    by_time: BTreeMap<(Timestamp, CaseId), ()>,
}

impl Cases {
    pub(super) fn put(&mut self, row: CaseRow) {
        self.by_time.insert((row.at, row.id), ());
        self.rows.insert(row.id, row);
    }
}

impl Policy {
    /// A case.
    pub(crate) fn case(&self, id: CaseId) -> Option<CaseRow> {
        self.read().cases.rows.get(&id).cloned()
    }

    /// The first cases behind a place that are wanted, in the order in which they were.
    pub(crate) fn cases(
        &self,
        after: Option<(Timestamp, CaseId)>,
        limit: usize,
        wanted: impl Fn(&CaseRow) -> bool,
    ) -> Vec<CaseRow> {
        use std::ops::Bound::{Excluded, Unbounded};
        let known = self.read();
        let places = known.cases.by_time.range((after.map_or(Unbounded, Excluded), Unbounded));
        let rows = places.filter_map(|((_, id), ())| known.cases.rows.get(id));
        rows.filter(|row| wanted(row)).take(limit).cloned().collect()
    }
}
