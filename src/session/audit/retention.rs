//! How long the log is kept, and what keeps it.

use std::time::Duration;

use super::archive::{TILE, whole_tiles};
use super::{AuditView, access, read};
use crate::audit::{AuditEvent, AuditFault, EntryDefect, EntryRef, FaultKind};
use crate::clock::Timestamp;
use crate::error::Error;
use crate::ids::{CaseId, LogHoldId};
use crate::policy::{LogHold, LogRetention};
use crate::session::access::{Done, Hold};
use crate::unlocked::Unlocked;

/// Something because of which entries of the log have to stay.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum LogKept {
    /// The vault keeps its log for ever: [`Vault::set_log_retention`](crate::Vault::set_log_retention) was never called.
    ForEver,
    /// They are not old enough.
    Age,
    /// They are among the newest, of which so many are kept.
    Newest,
    /// A hold on the log.
    Held(LogHoldId),
    /// An emergency that nobody reviewed yet, from when it began.
    Case(CaseId),
    /// A review of grants that is not closed, from when it was opened.
    Review(u32),
}

/// How long the log is kept, and what keeps it now; see [`AuditView::retention`].
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct LogRetentionReport {
    /// The vault's terms.
    pub terms: LogRetention,
    /// Holds that stand on the log, the oldest first.
    pub holds: Vec<LogHold>,
    /// Number of the log's first entry: those before it were pruned.
    pub first: u64,
    /// Entries of the log in whole tiles of 256, those that were pruned among them.
    pub entries: u64,
    /// Nothing keeps the entries below this number, a multiple of 256.
    pub kept_from: u64,
    /// What keeps the entry of that number; nothing where all whole tiles may go.
    pub kept_by: Vec<LogKept>,
}

impl AuditView<'_> {
    /// How long the log is kept, and from which entry on something keeps it: its age, holds on it, emergencies and reviews
    /// that are open. Legal holds of single charts do not count: whoever needs the log for one places a hold on it. What may
    /// go can be archived ([`AuditView::archive`]) and then pruned ([`AuditView::prune`]).
    ///
    /// # Errors
    /// [`Error::Audit`] where an entry that was looked at is missing or was changed, and what [`Session`](crate::Session)
    /// lists.
    pub fn retention(self) -> Result<LogRetentionReport, Error> {
        let op = self.0.begin(access(AuditEvent::AuditQueried))?;
        op.run(Hold::Nothing, |op| {
            let report = report_of(&op.unlocked, op.now)?;
            let detail = Some(format!("the retention of the log: kept from entry {} on", report.kept_from));
            Ok(Done { detail, ..Done::read(report, Vec::new()) })
        })
    }
}

pub(super) fn report_of(unlocked: &Unlocked, now: Timestamp) -> Result<LogRetentionReport, Error> {
    let (policy, first) = (&unlocked.policy, unlocked.committer.storage().first_entry());
    let entries = whole_tiles(unlocked)?.max(first);
    let (terms, holds) = (policy.log_retention(), policy.log_holds());
    let before = |time| whole_before(unlocked, first, entries, time);
    let mut limits = match terms.kept_for() {
        None => vec![(first, LogKept::ForEver)],
        Some(length) => {
            let newest = entries.saturating_sub(terms.newest_kept());
            // What is exactly as old may go.
            let oldest = earlier(now, length).saturating_add(Duration::from_micros(1));
            vec![(before(oldest)?, LogKept::Age), ((newest - newest % TILE).max(first), LogKept::Newest)]
        }
    };
    limits.extend(holds.iter().map(|hold| (first, LogKept::Held(hold.id))));
    if let Some(case) = policy.cases(None, 1, |case| case.review.is_none()).first() {
        limits.push((before(case.at)?, LogKept::Case(case.id)));
    }
    let open = policy.rounds().into_iter().filter(|round| round.closed.is_none());
    if let Some(round) = open.min_by_key(|round| round.opened) {
        limits.push((before(round.opened)?, LogKept::Review(round.number)));
    }
    let kept_from = limits.iter().fold(entries, |least, (limit, _)| least.min(*limit));
    let keeps = |(limit, by): (u64, LogKept)| (limit == kept_from && limit < entries).then_some(by);
    let kept_by = limits.into_iter().filter_map(keeps).collect();
    Ok(LogRetentionReport { terms, holds, first, entries, kept_from, kept_by })
}

fn earlier(time: Timestamp, by: Duration) -> Timestamp {
    let by = i64::try_from(by.as_micros()).unwrap_or(i64::MAX);
    Timestamp::from_micros(time.as_micros().saturating_sub(by))
}

/// The number behind the last whole tile whose entries are all from before a time; times never decrease along the log.
fn whole_before(unlocked: &Unlocked, first: u64, entries: u64, time: Timestamp) -> Result<u64, Error> {
    let (mut low, mut high) = (first / TILE, entries / TILE);
    while low < high {
        let middle = low + (high - low) / 2;
        if time_of(unlocked, middle * TILE + (TILE - 1))? < time { low = middle + 1 } else { high = middle }
    }
    Ok(low * TILE)
}

fn time_of(unlocked: &Unlocked, seq: u64) -> Result<Timestamp, Error> {
    let fault = |what| AuditFault { seq, what: FaultKind::Malformed(what) };
    let found = read(unlocked.committer.storage(), seq, 1)?;
    let (_, bytes) = found.first().ok_or_else(|| fault(EntryDefect::Truncated))?;
    Ok(EntryRef::parse(bytes).map_err(fault)?.front.time)
}
