//! Through the log, from one end of a stretch of it to the other, past what a filter does not want: with the index where that
//! says something, entry by entry where it does not.

use std::ops::{ControlFlow, Range};
use std::time::Duration;

use super::subjects::SubjectKeys;
use super::{CHUNK, read};
use crate::audit::{
    AuditEntry, AuditFault, AuditFilter, EntryDefect, EntryKind, EntryRef, FaultKind, READS_SPAN, STRETCH, Terms,
};
use crate::clock::Timestamp;
use crate::error::Error;
use crate::unlocked::Unlocked;

/// What one walk does at most: an entry that is looked at counts as one.
const MOST_WORK: u64 = 100_000;
/// What a stretch of which the index is asked counts as.
const ASKED: u64 = 64;
/// From so many entries of a stretch on, all of them are read one after the other.
const DENSE: usize = 1_024;
/// Entries that are read first; then more at once.
const FIRST_CHUNK: u64 = 128;

/// In which order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Order {
    #[default]
    NewestFirst,
    OldestFirst,
}

/// What a walk is given: the entries that are wanted, in order, until it breaks.
pub(crate) type Take<'a> = &'a mut dyn FnMut(AuditEntry) -> ControlFlow<()>;

/// Walks over the entries with these numbers. Gives where to go on: for the newest first, the number before which what is left
/// stands; for the oldest first, its first number. Nothing once all was looked at. Every entry that is handed over is
/// linked to the one behind it, and opens.
pub(crate) fn entries_of(
    unlocked: &Unlocked,
    filter: &AuditFilter,
    numbers: Range<u64>,
    order: Order,
    take: Take<'_>,
) -> Result<Option<u64>, Error> {
    unlocked.committer.flush()?;
    let end = unlocked.committer.newest_entry().map_or(0, |head| head.seq.saturating_add(1));
    let mut walk = Walk { unlocked, filter, end, order, keys: SubjectKeys::new(unlocked), work: 0, chunk: FIRST_CHUNK };
    // What was pruned is passed over.
    let first = unlocked.committer.storage().first_entry();
    let numbers = walk.within(numbers.start.max(first)..numbers.end.min(end))?;
    let terms = filter.terms();
    let tags: Vec<[u8; 16]> =
        filter.of_patients().iter().map(|patient| unlocked.keyring().patient_tag(*patient)).collect();
    let mut left = numbers;
    while !left.is_empty() {
        if walk.work >= MOST_WORK {
            return Ok(Some(walk.bound(&left)));
        }
        let part = walk.next_part(&left);
        if let ControlFlow::Break(at) = walk.part(part.clone(), &terms, &tags, take)? {
            let rest = walk.behind(&left, at);
            return Ok((!rest.is_empty()).then(|| walk.bound(&rest)));
        }
        left = match order {
            Order::NewestFirst => left.start..part.start,
            Order::OldestFirst => part.end..left.end,
        };
    }
    Ok(None)
}

/// The numbers of the entries that are of a time which the filter could want.
pub(crate) fn numbers_within(unlocked: &Unlocked, filter: &AuditFilter) -> Result<Range<u64>, Error> {
    unlocked.committer.flush()?;
    let end = unlocked.committer.newest_entry().map_or(0, |head| head.seq.saturating_add(1));
    let (order, keys) = (Order::default(), SubjectKeys::new(unlocked));
    Walk { unlocked, filter, end, order, keys, work: 0, chunk: FIRST_CHUNK }
        .within(unlocked.committer.storage().first_entry()..end)
}

struct Walk<'w> {
    unlocked: &'w Unlocked,
    filter: &'w AuditFilter,
    /// Number behind the newest entry.
    end: u64,
    order: Order,
    keys: SubjectKeys<'w>,
    work: u64,
    chunk: u64,
}

impl Walk<'_> {
    /// Where what is left is to be gone on with.
    const fn bound(&self, left: &Range<u64>) -> u64 {
        match self.order {
            Order::NewestFirst => left.end,
            Order::OldestFirst => left.start,
        }
    }

    /// What is left behind an entry.
    const fn behind(&self, left: &Range<u64>, at: u64) -> Range<u64> {
        match self.order {
            Order::NewestFirst => left.start..at,
            Order::OldestFirst => at.saturating_add(1)..left.end,
        }
    }

    /// Those of them that are of a time that could be wanted: times never decrease along the log.
    fn within(&mut self, numbers: Range<u64>) -> Result<Range<u64>, Error> {
        let (from, to) = self.filter.bounds();
        let mut numbers = numbers;
        if let Some(to) = to {
            numbers.end = self.first(numbers.clone(), |time| time >= to)?;
        }
        if let Some(from) = from {
            // Reads that share an entry may have been later than it says.
            let span = Duration::from_micros(READS_SPAN.into());
            numbers.start = self.first(numbers.clone(), |time| time.saturating_add(span) >= from)?;
        }
        Ok(numbers)
    }

    /// The first of these entries whose time is late enough; the number behind them if none is.
    fn first(&mut self, numbers: Range<u64>, is_late: impl Fn(Timestamp) -> bool) -> Result<u64, Error> {
        let Range { start: mut low, end: mut high } = numbers;
        while low < high {
            let middle = low + (high - low) / 2;
            // Opened, since a changed time would hide entries.
            let (_, time) = self.one(middle)?;
            if is_late(time) { high = middle } else { low = middle + 1 }
        }
        Ok(low)
    }

    /// What is looked at next: the rest of a stretch, or of what stands behind the last full one.
    fn next_part(&self, left: &Range<u64>) -> Range<u64> {
        match self.order {
            Order::NewestFirst => {
                let start = left.end.saturating_sub(1) / STRETCH * STRETCH;
                start.max(left.start)..left.end
            }
            Order::OldestFirst => {
                let end = (left.start / STRETCH).saturating_add(1).saturating_mul(STRETCH);
                left.start..end.min(left.end)
            }
        }
    }

    /// Looks at entries of one stretch; breaks with the number of the one behind which nothing more is wanted.
    fn part(
        &mut self,
        part: Range<u64>,
        terms: &Terms,
        tags: &[[u8; 16]],
        take: Take<'_>,
    ) -> Result<ControlFlow<u64>, Error> {
        let number = part.start / STRETCH;
        if number >= self.end / STRETCH || (terms.is_empty() && tags.is_empty()) {
            return self.scan(part, take);
        }
        self.work = self.work.saturating_add(ASKED);
        let named = if tags.is_empty() { None } else { Some(self.unlocked.index_named(number)?.places(tags)) };
        let places = match named {
            Some(named) if terms.is_empty() || named.is_empty() => named,
            among => self.unlocked.index_columns(number)?.places(among.as_deref(), terms),
        };
        if places.len() > DENSE {
            return self.scan(part, take);
        }
        let start = number.saturating_mul(STRETCH);
        let seqs = places.iter().map(|place| start.saturating_add(u64::from(*place))).filter(|seq| part.contains(seq));
        match self.order {
            Order::NewestFirst => self.pick(seqs.rev(), take),
            Order::OldestFirst => self.pick(seqs, take),
        }
    }

    /// Looks at these entries.
    fn pick(&mut self, seqs: impl Iterator<Item = u64>, take: Take<'_>) -> Result<ControlFlow<u64>, Error> {
        for seq in seqs {
            self.work = self.work.saturating_add(1);
            let (entry, _) = self.one(seq)?;
            if self.filter.matches(&entry) && take(entry).is_break() {
                return Ok(ControlFlow::Break(seq));
            }
        }
        Ok(ControlFlow::Continue(()))
    }

    /// An entry, which the one behind it confirms.
    fn one(&mut self, seq: u64) -> Result<(AuditEntry, Timestamp), Error> {
        let fault = |what| AuditFault { seq, what };
        let found = read(self.unlocked.committer.storage(), seq, 2)?;
        let [(first, bytes), behind @ ..] = found.as_slice() else {
            return Err(fault(FaultKind::Malformed(EntryDefect::Truncated)).into());
        };
        let entry = EntryRef::parse(bytes).map_err(|defect| fault(FaultKind::Malformed(defect)))?;
        let behind_it = |what| AuditFault { seq: seq.saturating_add(1), what: FaultKind::Malformed(what) };
        let behind = behind.first().map(|(_, bytes)| EntryRef::parse(bytes)).transpose().map_err(behind_it)?;
        if behind.is_none() && seq.saturating_add(1) < self.end {
            return Err(behind_it(EntryDefect::Truncated).into());
        }
        if (*first, entry.front.seq) != (seq, seq) || !confirmed(&entry, behind.as_ref()) {
            return Err(fault(FaultKind::LinkBroken).into());
        }
        let opened = self.keys.open(&entry).map_err(|error| fault(FaultKind::from(error)))?;
        Ok((opened, entry.front.time))
    }

    /// Looks at all of them, one after the other.
    fn scan(&mut self, part: Range<u64>, take: Take<'_>) -> Result<ControlFlow<u64>, Error> {
        let mut left = part;
        while !left.is_empty() {
            let some = match self.order {
                Order::NewestFirst => left.end.saturating_sub(self.chunk).max(left.start)..left.end,
                Order::OldestFirst => left.start..left.end.min(left.start.saturating_add(self.chunk)),
            };
            self.chunk = self.chunk.saturating_mul(2).min(CHUNK);
            if let ControlFlow::Break(at) = self.scan_some(some.clone(), take)? {
                return Ok(ControlFlow::Break(at));
            }
            left = match self.order {
                Order::NewestFirst => left.start..some.start,
                Order::OldestFirst => some.end..left.end,
            };
        }
        Ok(ControlFlow::Continue(()))
    }

    /// Looks at these, which are read at once, and at the one behind them, which confirms the last.
    fn scan_some(&mut self, some: Range<u64>, take: Take<'_>) -> Result<ControlFlow<u64>, Error> {
        let count = some.end.saturating_sub(some.start);
        self.work = self.work.saturating_add(count);
        let found = read(self.unlocked.committer.storage(), some.start, count.saturating_add(1))?;
        let mut entries = Vec::with_capacity(found.len());
        for (expected, (seq, bytes)) in (some.start..).zip(&found) {
            let fault = |what| AuditFault { seq: expected, what };
            let entry = EntryRef::parse(bytes).map_err(|defect| fault(FaultKind::Malformed(defect)))?;
            if (*seq, entry.front.seq) != (expected, expected) {
                return Err(fault(FaultKind::LinkBroken).into());
            }
            entries.push(entry);
        }
        let count = usize::try_from(count).unwrap_or(usize::MAX);
        if entries.len() < count {
            let seq = some.start.saturating_add(u64::try_from(entries.len()).unwrap_or(u64::MAX));
            return Err(AuditFault { seq, what: FaultKind::Malformed(EntryDefect::Truncated) }.into());
        }
        let behind = entries.iter().skip(1).map(Some).chain([None]);
        let pairs: Vec<_> = entries.iter().zip(behind).take(count).collect();
        match self.order {
            Order::NewestFirst => self.look_at(pairs.into_iter().rev(), take),
            Order::OldestFirst => self.look_at(pairs.into_iter(), take),
        }
    }

    fn look_at<'e>(
        &mut self,
        pairs: impl Iterator<Item = (&'e EntryRef<'e>, Option<&'e EntryRef<'e>>)>,
        take: Take<'_>,
    ) -> Result<ControlFlow<u64>, Error> {
        for (entry, behind) in pairs {
            let seq = entry.front.seq;
            let fault = |what| AuditFault { seq, what };
            if !confirmed(entry, behind) {
                return Err(fault(FaultKind::LinkBroken).into());
            }
            let opened = self.keys.open(entry).map_err(|error| fault(FaultKind::from(error)))?;
            if self.filter.matches(&opened) && take(opened).is_break() {
                return Ok(ControlFlow::Break(seq));
            }
        }
        Ok(ControlFlow::Continue(()))
    }
}

/// Whether the entry behind one carries its hash. Nobody knows the hash of an entry that was lost, and the newest has none
/// behind it.
fn confirmed(entry: &EntryRef<'_>, behind: Option<&EntryRef<'_>>) -> bool {
    behind.is_none_or(|behind| {
        let lost = entry.front.kind == EntryKind::Lost && behind.front.kind != EntryKind::Lost;
        lost || behind.front.prev == entry.leaf()
    })
}
