//! The entries about one patient, and whether one of them is missing: each counts.

use std::ops::{ControlFlow, Range};

use super::walk::{Order, entries_of, numbers_within};
use crate::audit::{AuditEntry, AuditFilter};
use crate::error::Error;
use crate::ids::PatientId;
use crate::unlocked::{Chart, Unlocked};

/// Entries about a patient that are not there, although others were counted after them or the vault counted more.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct AccessGap {
    /// The counts that are missing; the first entry about a patient is 1.
    pub missing: Range<u64>,
    /// Number of the last entry about the patient before them, if there is one.
    pub after: Option<u64>,
    /// Number of the first one behind them; none where the newest are missing.
    pub before: Option<u64>,
}

/// Where a report of several pages goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReportPlace {
    next: u64,
    count: Count,
}

/// How far the entries about a patient were counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Count {
    /// The last count and the number of its entry.
    last: Option<(u64, u64)>,
    /// Whether the first count that is met may be any: the report begins at a time, or the log was pruned.
    any_first: bool,
}

/// What walking over the entries about a patient came to.
pub(super) struct About {
    pub(super) gaps: Vec<AccessGap>,
    /// Where to go on; nothing once all was looked at.
    pub(super) next: Option<ReportPlace>,
}

/// Walks over what is about a patient, oldest first, and hands over what the filter, which names the patient, lets through
/// until it has enough.
pub(super) fn about(
    unlocked: &Unlocked,
    chart: &Chart,
    (filter, place): (&AuditFilter, Option<ReportPlace>),
    take: &mut dyn FnMut(AuditEntry) -> ControlFlow<()>,
) -> Result<About, Error> {
    // What was counted before the walk begins has to be met by it.
    unlocked.committer.flush()?;
    let counted = unlocked.committer.storage().tally(&chart.tag);
    let (_, to) = filter.bounds();
    let numbers = numbers_within(unlocked, filter)?;
    let (numbers, mut count) = match place {
        Some(place) => (place.next..numbers.end.max(place.next), place.count),
        None => (numbers.clone(), Count { last: None, any_first: numbers.start > 0 }),
    };
    // Counts tell of a gap only where none of them is passed over for its time.
    let whole = AuditFilter::new().patient(chart.patient);
    let (mut gaps, patient) = (Vec::new(), chart.patient);
    let next = entries_of(unlocked, &whole, numbers, Order::OldestFirst, &mut |entry| {
        gaps.extend(count.follow(&entry, patient));
        if filter.matches(&entry) { take(entry) } else { ControlFlow::Continue(()) }
    })?;
    let next = next.map(|next| ReportPlace { next, count });
    let reached = count.last.map_or(0, |(count, _)| count);
    if next.is_none() && to.is_none() && reached < counted && !(count.last.is_none() && count.any_first) {
        let after = count.last.map(|(_, seq)| seq);
        gaps.push(AccessGap { missing: reached.saturating_add(1)..counted.saturating_add(1), after, before: None });
    }
    Ok(About { gaps, next })
}

impl Count {
    /// The gap in front of an entry, if there is one.
    fn follow(&mut self, entry: &AuditEntry, patient: PatientId) -> Option<AccessGap> {
        let about = entry.subjects.iter().find(|subject| subject.patient == Some(patient))?;
        let (found, last) = (about.counter?, self.last.replace((about.counter?, entry.seq)));
        let expected = match last {
            Some((count, _)) => count.saturating_add(1),
            None if self.any_first => found,
            None => 1,
        };
        let gap = AccessGap { missing: expected..found, after: last.map(|(_, seq)| seq), before: Some(entry.seq) };
        (expected < found).then_some(gap)
    }
}

/// What people typed, for a table: no ends of lines, and nothing that a terminal obeys.
pub(super) fn one_line(said: &str) -> String {
    said.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}
