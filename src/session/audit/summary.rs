//! A part of the log summed up.

use super::{AuditView, access};
use crate::audit::AuditEvent;
use crate::clock::Timestamp;
use crate::error::Error;
use crate::policy::{CaseRow, FlagRow};
use crate::session::access::{Done, Hold};
use crate::session::monitoring::{each_entry, first_at};
use crate::summary::{EmergencySummary, Gatherer, Summary};
use crate::unlocked::Unlocked;

/// Emergencies, and flags, that are read at once.
const PAGE: usize = 1_000;

impl AuditView<'_> {
    /// Sums up the entries from `from` on and before `to`, for a weekly review: who was in charts most, when, what was refused,
    /// which emergencies there were, and what was flagged. Shown as text tables (`Display`) or as a page
    /// ([`Summary::to_html`]).
    ///
    /// Takes as long as reading that part of the log does; other work goes on meanwhile. It holds the patients in whose charts
    /// somebody was: let it go once it was shown.
    ///
    /// ```
    /// # mod clinic { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/clinic.rs")); }
    /// # use clinic::*;
    /// # let clinic = Clinic::new();
    /// # let session = clinic.session();
    /// let summary = session.audit()?.summary("2026-01-05T00:00:00Z".parse().unwrap(), Timestamp::MAX)?;
    /// println!("{summary}");
    /// assert_eq!(summary.accesses, 0);
    /// # Ok::<(), Error>(())
    /// ```
    ///
    /// # Errors
    /// What [`Session`](crate::Session) lists.
    pub fn summary(self, from: Timestamp, to: Timestamp) -> Result<Summary, Error> {
        let op = self.0.begin(access(AuditEvent::LogSummarised))?;
        let now = op.now;
        let (op, summary) = op.prepare(|unlocked| sum_up(unlocked, (from, to), now))?;
        op.run(Hold::Nothing, |_| {
            let (detail, count) = (Some(format!("{from} to {to}")), u32::try_from(summary.entries).ok());
            Ok(Done { detail, count, ..Done::read(summary, Vec::new()) })
        })
    }
}

fn sum_up(unlocked: &Unlocked, (from, to): (Timestamp, Timestamp), now: Timestamp) -> Result<Summary, Error> {
    unlocked.committer.flush()?;
    let policy = &unlocked.policy;
    let rules = policy.monitoring().map(|row| row.rules.clone()).unwrap_or_default();
    let mut gatherer = Gatherer::new((from, to), now, rules.hours().cloned());
    let pruned_until = unlocked.log_begin()?.before.map(|last| last.time).filter(|last| *last >= from);
    each_entry(unlocked, first_at(unlocked, from)?, &|| true, |_, entry| {
        match entry {
            Some(entry) if entry.time >= to => return false,
            Some(entry) => gatherer.add(entry),
            None => gatherer.unreadable(),
        }
        true
    })?;
    let within = |at: Timestamp| at >= from && at < to;
    let mut after = None;
    loop {
        let cases = policy.cases(after, PAGE, |row| within(row.at));
        let Some(last) = cases.last() else { break };
        after = Some((last.at, last.id));
        for CaseRow { id, at, actor, patient_tag, reason, text, review, .. } in cases {
            // A patient's row that is gone or damaged does not stand in the way.
            let patient = unlocked.patient_of(&patient_tag).ok().flatten();
            let verdict = review.map(|review| review.verdict);
            gatherer.emergency(EmergencySummary { case: id, at, actor, patient, reason, text, verdict });
        }
    }
    let mut after = None;
    loop {
        let flags = policy.flags(after, PAGE, |row| within(row.raised));
        let Some(last) = flags.last() else { break };
        after = Some((last.raised, last.id));
        for FlagRow { rule, raised, closed, .. } in flags {
            let overdue = closed.is_none() && raised.saturating_add(rules.time_to_close()) <= now;
            gatherer.flag(rule, overdue, closed.map(|closed| closed.verdict));
        }
    }
    let summary = gatherer.finish(|principal| policy.principal_name(principal));
    Ok(Summary { pruned_until, ..summary })
}
