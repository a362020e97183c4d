//! Questions to the log, page by page.

use super::subjects::SubjectKeys;
use super::{CHUNK, access, read};
use crate::audit::{AuditEntry, AuditEvent, AuditFault, AuditFilter, EntryDefect, EntryKind, EntryRef, FaultKind};
use crate::error::Error;
use crate::session::Session;
use crate::session::access::{Done, Hold, Op};
use crate::session::list::page_limit;
use crate::unlocked::Unlocked;

/// Entries that one page looks through at most; a page can end early because of it.
const SCAN_LIMIT: u64 = 100_000;

/// Log entries that a filter lets through, newest first.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct AuditPage {
    /// The entries.
    pub entries: Vec<AuditEntry>,
    /// Where to go on with [`AuditQuery::before`]; `None` when the log's first entry was reached.
    pub next: Option<u64>,
    /// Number of the log's first entry; those before it were pruned.
    pub first: u64,
}

/// A query of the log; see [`AuditView::query`](crate::AuditView::query).
#[derive(Debug)]
#[must_use = "a query does nothing before `page`"]
pub struct AuditQuery<'s> {
    session: &'s Session,
    filter: AuditFilter,
    limit: usize,
    before: Option<u64>,
}

impl<'s> AuditQuery<'s> {
    /// For whoever was let in already.
    pub(in crate::session) const fn new(session: &'s Session, filter: AuditFilter, before: Option<u64>) -> Self {
        Self { session, filter, limit: 100, before }
    }

    /// At most so many entries a page, 1 to 1,000; 100 if not called. More counts as 1,000, and 0 as 1.
    pub const fn limit(mut self, limit: usize) -> Self {
        self.limit = page_limit(limit);
        self
    }

    /// Only entries before this number.
    pub const fn before(mut self, seq: u64) -> Self {
        self.before = Some(seq);
        self
    }

    /// Reads the page. It looks through at most 100,000 entries, so a page with a rare match can be short although
    /// there are more: go on as long as `next` is there. Each entry is checked against the one after it.
    ///
    /// # Errors
    /// [`Error::Audit`] when an entry on the way is missing, was changed or does not open, and what [`Session`] lists.
    pub fn page(self) -> Result<AuditPage, Error> {
        let op = self.session.begin(access(AuditEvent::AuditQueried))?;
        op.run(Hold::Nothing, |op| {
            let page = self.collect(op)?;
            let mut done = Done::read(page, Vec::new());
            done.count = u32::try_from(done.value.entries.len()).ok();
            Ok(done)
        })
    }

    pub(in crate::session) fn collect(&self, op: &Op<'_>) -> Result<AuditPage, Error> {
        page_of(&op.unlocked, &self.filter, self.limit, self.before)
    }
}

/// A page, for whoever may read the log.
pub(crate) fn page_of(
    unlocked: &Unlocked,
    filter: &AuditFilter,
    limit: usize,
    before: Option<u64>,
) -> Result<AuditPage, Error> {
    unlocked.committer.flush()?;
    let end = unlocked.committer.newest_entry().map_or(0, |head| head.seq.saturating_add(1));
    let mut end = before.map_or(end, |before| before.min(end));
    let first = unlocked.committer.storage().first_entry();
    let lowest = end.saturating_sub(SCAN_LIMIT).max(first);
    let mut keys = SubjectKeys::new(unlocked);
    let mut found = Vec::new();
    let mut after: Option<([u8; 32], bool)> = None;
    while end > lowest {
        let start = end.saturating_sub(CHUNK).max(lowest);
        let chunk = read(unlocked.committer.storage(), start, end - start)?;
        for (seq, bytes) in chunk.iter().rev() {
            let fault = |what| AuditFault { seq: *seq, what };
            let entry = EntryRef::parse(bytes).map_err(|defect| fault(FaultKind::Malformed(defect)))?;
            let lost = entry.front.kind == EntryKind::Lost;
            let unlinked = after.is_some_and(|(prev, is_lost)| prev != entry.leaf() && (is_lost || !lost));
            if unlinked || entry.front.seq != *seq {
                return Err(fault(FaultKind::LinkBroken).into());
            }
            after = Some((entry.front.prev, lost));
            if !filter.covers(entry.front.time) {
                continue;
            }
            let opened = keys.open(&entry).map_err(|error| fault(FaultKind::from(error)))?;
            if filter.matches(&opened) {
                found.push(opened);
            }
            if found.len() >= limit {
                return Ok(AuditPage { entries: found, next: Some(*seq).filter(|seq| *seq > first), first });
            }
        }
        if chunk.len() != usize::try_from(end - start).unwrap_or(usize::MAX) {
            return Err(AuditFault { seq: start, what: FaultKind::Malformed(EntryDefect::Truncated) }.into());
        }
        end = start;
    }
    Ok(AuditPage { entries: found, next: Some(end).filter(|end| *end > first), first })
}
