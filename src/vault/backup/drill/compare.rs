//! Opens records of the copy, and holds it against the vault in use.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};

use super::report::DrillReport;
use super::sample::Places;
use crate::error::Error;
use crate::format::keys::{RecordKey, Tree};
use crate::ids::KindId;
use crate::progress::{OnProgress, Progress, Task};
use crate::record::{Body, Kind, RecordRef, Version};
use crate::secret::SecretBytes;
use crate::storage::{Bytes, Severity};
use crate::unlocked::{Chart, Unlocked};
use crate::vault::{Finding, FindingPlace};

/// Records after which progress is told.
const TOLD_AFTER: u64 = 64;

/// Whether the log of the copy, as far as the backup goes, is the beginning of the vault's.
pub(super) fn logs(live: &Unlocked, copy: &Unlocked, report: &mut DrillReport) -> Result<(), Error> {
    live.committer.catch_up()?;
    let entries = report.entries;
    let now = live.committer.newest_entry().map_or(0, |head| head.seq.saturating_add(1));
    report.missing = now.saturating_sub(entries);
    let Some(last) = entries.checked_sub(1) else { return Ok(()) };
    let differs = |what: &str| Finding::new(FindingPlace::Entry { seq: last }, what.to_owned(), Severity::Grave);
    if now < entries {
        report.add(differs("the vault's log is shorter than that of its backup: an older copy of it was put back"));
    } else if last < live.log_begin()?.first {
        report.add(differs("the backup ends before the first entry that the vault's log still has: make another one"));
    } else if same_log(live, copy, entries, last)? {
        report.matches_live = true;
    } else {
        report.add(differs(
            "the vault's log does not go on from that of its backup: one of them is another's, or was changed",
        ));
    }
    Ok(())
}

fn same_log(live: &Unlocked, copy: &Unlocked, entries: u64, last: u64) -> Result<bool, Error> {
    if live.committer.log_tree().is_some() && copy.committer.log_tree().is_some() {
        return Ok(live.log_root(entries)? == copy.log_root(entries)?);
    }
    // Each entry names the one before by its hash: where the last ones are the same, all are.
    let of = |unlocked: &Unlocked| unlocked.committer.storage().entries_as_they_are(last, 1);
    let (mine, theirs) = (of(live)?, of(copy)?);
    Ok(!mine.is_empty() && mine == theirs)
}

/// Opens the records at these places, and compares them with those of the vault. Ends early when that is being closed.
pub(super) fn records(
    (live, copy): (&Unlocked, &Unlocked),
    places: Places,
    report: &mut DrillReport,
    (stopping, progress): (&AtomicBool, OnProgress<'_>),
) -> Result<(), Error> {
    let total = u64::try_from(places.len()).unwrap_or(u64::MAX);
    let known = copy.policy.kinds();
    let mut chart: Option<([u8; 16], Option<Chart>)> = None;
    let mut kinds = BTreeSet::new();
    for (key, done) in places.iter().filter_map(|key| RecordKey::from_bytes(key).ok()).zip(1_u64..) {
        if stopping.load(Ordering::Relaxed) {
            return Err(Error::Sealed);
        }
        if done.is_multiple_of(TOLD_AFTER) || done == total {
            progress(Progress::new(Task::Drill, done, Some(total)));
        }
        if chart.as_ref().is_none_or(|(tag, _)| *tag != key.patient_tag) {
            chart = Some((key.patient_tag, copy.chart_of_tag(&key.patient_tag).ok().flatten()));
        }
        let Some((_, Some(chart))) = &chart else {
            report.add(unnamed("a record of a patient whose key is missing or does not open"));
            continue;
        };
        match one((live, copy), chart, key, &known) {
            Ok((kind, same)) => {
                kinds.insert(kind);
                report.records_opened = report.records_opened.saturating_add(1);
                report.erased_since = report.erased_since.saturating_add(u64::from(same == Same::Erased));
            }
            Err(Wrong::Found(finding)) => report.add(finding),
            Err(Wrong::Failed(error)) => return Err(error),
        }
    }
    report.kinds = known.into_iter().filter(|kind| kinds.contains(&kind.id())).collect();
    Ok(())
}

/// How a record that opened stands to the vault's.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Same {
    Same,
    /// The patient was erased since.
    Erased,
}

enum Wrong {
    Found(Finding),
    Failed(Error),
}

impl<E: Into<Error>> From<E> for Wrong {
    fn from(error: E) -> Self {
        Self::Failed(error.into())
    }
}

fn one(
    (live, copy): (&Unlocked, &Unlocked),
    chart: &Chart,
    key: RecordKey,
    known: &[Kind],
) -> Result<(KindId, Same), Wrong> {
    let keyring = copy.keyring();
    let kind = known.iter().map(Kind::id).find(|kind| keyring.kind_tag(&key.patient_tag, *kind) == key.kind_tag);
    let kind = kind.ok_or_else(|| Wrong::Found(unnamed("a record of a kind that the vault never saw")))?;
    let record = RecordRef::new(chart.patient, kind, key.number);
    let at = FindingPlace::Record { record, version: Version::new(key.version) };
    let wrong = |what: &str| Wrong::Found(Finding::new(at.clone(), what.to_owned(), Severity::Grave));
    let stored =
        copy.committer.get(Tree::Records, &key.to_bytes())?.ok_or_else(|| wrong("it is missing in the backup"))?;
    let opened = copy.open_record(chart, kind, key, &stored);
    let opened = opened.map_err(|_| wrong("it does not open in the backup: its bytes were changed or moved"))?;
    if !Body::parse(&opened).is_ok_and(|body| body.kind == kind) {
        return Err(wrong("it opens in the backup, but is none of its kind"));
    }
    for _ in 0..2 {
        let Some(mine) = live.committer.get(Tree::Records, &key.to_bytes())? else { break };
        // Where it was sealed anew since, it still says the same.
        if mine == stored || reopened(live, kind, key, &mine).is_some_and(|mine| *mine == *opened) {
            return Ok((kind, Same::Same));
        }
    }
    if live.policy.erased(&key.patient_tag).is_some() {
        return Ok((kind, Same::Erased));
    }
    Err(wrong("the vault lacks it, or has something else in its place"))
}

/// The vault's own version, under the keys in force.
fn reopened(live: &Unlocked, kind: KindId, key: RecordKey, value: &Bytes) -> Option<SecretBytes> {
    let chart = live.chart_of_tag(&key.patient_tag).ok().flatten()?;
    live.open_record(&chart, kind, key, value).ok()
}

fn unnamed(what: &str) -> Finding {
    Finding::new(FindingPlace::Rows { of: "records" }, what.to_owned(), Severity::Grave)
}
