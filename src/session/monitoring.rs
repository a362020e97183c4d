//! The log read from one end to the other for monitoring: live, as the vault does by itself, and over the past.

use std::sync::PoisonError;
use std::time::Duration;

use super::audit::SubjectKeys;
use crate::audit::{AuditEntry, AuditEvent, Draft, EntryRef, Outcome};
use crate::clock::Timestamp;
use crate::error::Error;
use crate::monitor::{Monitor, RaisedFlag, Tally};
use crate::policy::MonitoringRow;
use crate::unlocked::{Known, RunEnd, Unlocked};

/// Entries read from storage at once.
const CHUNK: usize = 1_000;
/// Entries after which the live run saves what it remembers although nothing was raised: as many are looked at again at most
/// when the vault was not closed.
const SAVE_AFTER: u64 = 4_096;
/// How far before its beginning a run over the past looks, to know what was usual.
const LOOK_BACK: Duration = Duration::from_secs(14 * 86_400);

/// What a run of the rules over a part of the log came to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct MonitorReport {
    /// Entries that the rules were run over.
    pub entries: u64,
    /// What they raised and what was held back, by rule.
    pub tally: Tally,
    /// How many of the flags are new; the others were raised before.
    pub new: u64,
    /// Entries that do not open: verify the log ([`AuditView::verify`](crate::AuditView::verify)).
    pub unreadable: u64,
}

/// Entries from a number on, opened, until `visit` has enough: with their numbers, and `None` for one that does not open.
pub(super) fn each_entry(
    unlocked: &Unlocked,
    from: u64,
    go_on: &dyn Fn() -> bool,
    mut visit: impl FnMut(u64, Option<&AuditEntry>) -> bool,
) -> Result<(), Error> {
    let mut keys = SubjectKeys::new(unlocked);
    // What was pruned is not looked at.
    let mut next = from.max(unlocked.committer.storage().first_entry());
    loop {
        let chunk = unlocked.committer.storage().entries(next, CHUNK)?;
        let Some((last, _)) = chunk.last() else { return Ok(()) };
        next = last.saturating_add(1);
        for (seq, bytes) in &chunk {
            // One that was put in the place of another opens as well.
            let entry = EntryRef::parse(bytes).ok().filter(|entry| entry.front.seq == *seq);
            let opened = entry.and_then(|entry| keys.open(&entry).ok());
            if !visit(*seq, opened.as_ref()) {
                return Ok(());
            }
        }
        if !go_on() {
            return Err(Error::Sealed);
        }
    }
}

/// The number of the first entry at this time or later; one behind the last where there is none. Times never decrease.
pub(super) fn first_at(unlocked: &Unlocked, time: Timestamp) -> Result<u64, Error> {
    let (storage, mut keys) = (unlocked.committer.storage(), SubjectKeys::new(unlocked));
    let (mut low, mut high) =
        (storage.first_entry(), unlocked.committer.newest_entry().map_or(0, |head| head.seq.saturating_add(1)));
    while low < high {
        let middle = low + (high - low) / 2;
        let found = storage.entries(middle, 1)?;
        // Opened, since a changed time would hide entries.
        let at = found.first().and_then(|(_, bytes)| {
            let entry = EntryRef::parse(bytes).ok().filter(|entry| entry.front.seq == middle)?;
            keys.open(&entry).ok().map(|opened| opened.time)
        });
        match at {
            Some(at) if at < time => low = middle.saturating_add(1),
            // What cannot be read is looked at from before.
            _ => high = middle,
        }
    }
    Ok(low)
}

/// Runs the rules over what came since the last time, and raises what they find. A run that raises something stands in the
/// log, and one that has seen many entries: otherwise each would be followed by the next.
pub(crate) fn watch(unlocked: &Unlocked, go_on: &dyn Fn() -> bool) -> Result<(), Error> {
    let Some(row) = unlocked.policy.monitoring() else { return Ok(()) };
    let mut watching = unlocked.watching.lock().unwrap_or_else(PoisonError::into_inner);
    // Taken: where something fails, it goes on from what was saved.
    let (mut monitor, mut since) = match watching.take() {
        Some((monitor, since)) if monitor.has_rules(&row.rules) => (monitor, since),
        Some((monitor, since)) => (resumed(&row, Some(&monitor.save())), since),
        None => (resumed(&row, unlocked.policy.monitor_state().as_deref()), 0),
    };
    monitor.suppress(unlocked.suppressors());
    unlocked.committer.flush()?;
    let known = Known(unlocked);
    loop {
        let (mut flags, mut fed, mut unreadable) = (Vec::<RaisedFlag>::new(), 0_u64, 0_u64);
        each_entry(unlocked, monitor.next(), go_on, |seq, entry| {
            if fed >= SAVE_AFTER || flags.len() > CHUNK {
                return false;
            }
            fed = fed.saturating_add(1);
            match entry {
                Some(entry) => flags.extend(monitor.feed(entry, &known)),
                None => {
                    monitor.pass_over(seq);
                    unreadable = unreadable.saturating_add(1);
                }
            }
            true
        })?;
        since = since.saturating_add(fed);
        if !flags.is_empty() || unreadable > 0 || since >= SAVE_AFTER {
            let tally = monitor.take_tally();
            let outcome = if unreadable > 0 { Outcome::Failed } else { Outcome::Allowed };
            let mut draft = Draft::new(AuditEvent::LogMonitored, outcome);
            draft.fields.count = u32::try_from(tally.raised()).ok();
            let to = monitor.next().saturating_sub(1);
            draft.fields.detail = Some(format!("live, to entry {to}: {tally}{}", not_opened(unreadable)));
            unlocked.raise_flags(flags, Some(RunEnd { draft, state: monitor.save() }))?;
            since = 0;
        }
        if fed == 0 {
            break;
        }
    }
    *watching = Some((monitor, since));
    Ok(())
}

pub(super) fn not_opened(unreadable: u64) -> String {
    if unreadable > 0 { format!("; {unreadable} entries do not open") } else { String::new() }
}

fn resumed(row: &MonitoringRow, state: Option<&[u8]>) -> Monitor {
    let saved = state.and_then(|state| Monitor::resume(row.rules.clone(), state).ok());
    saved.unwrap_or_else(|| Monitor::new(row.rules.clone()).starting_at(row.from))
}

/// Runs the rules over a part of the past, and raises what was not raised before.
pub(super) fn over_the_past(unlocked: &Unlocked, from: Timestamp, to: Timestamp) -> Result<MonitorReport, Error> {
    unlocked.committer.flush()?;
    let rules = unlocked.policy.monitoring().map(|row| row.rules.clone()).unwrap_or_default();
    let before = i64::try_from(LOOK_BACK.as_micros()).unwrap_or(i64::MAX);
    let start = first_at(unlocked, Timestamp::from_micros(from.as_micros().saturating_sub(before)))?;
    let mut monitor = Monitor::new(rules).starting_at(start);
    monitor.suppress(unlocked.suppressors());
    let (known, mut report, mut flags) = (Known(unlocked), MonitorReport::default(), Vec::new());
    let (mut failed, mut begun) = (None, false);
    each_entry(unlocked, start, &|| true, |_, entry| {
        let Some(entry) = entry else {
            report.unreadable = report.unreadable.saturating_add(1);
            return true;
        };
        if entry.time >= to {
            return false;
        }
        if !begun && entry.time >= from {
            // What was found before only shows what was known then.
            drop(monitor.take_tally());
            begun = true;
        }
        let raised = monitor.feed(entry, &known);
        if begun {
            report.entries = report.entries.saturating_add(1);
            flags.extend(raised);
        }
        if flags.len() >= CHUNK {
            match unlocked.raise_flags(std::mem::take(&mut flags), None) {
                Ok(new) => report.new = report.new.saturating_add(new),
                Err(error) => failed = Some(error),
            }
        }
        failed.is_none()
    })?;
    if let Some(error) = failed {
        return Err(error);
    }
    report.new = report.new.saturating_add(unlocked.raise_flags(flags, None)?);
    if begun {
        report.tally = monitor.take_tally();
    }
    Ok(report)
}
