//! Every row opened under its key: records without a gap in numbers and versions, patients' keys, identifiers, policy.

use super::join::{Singles, Written};
use super::log::LogRead;
use super::{Check, FindingPlace, is_of_one, rows_of};
use crate::audit::Head;
use crate::clock::Timestamp;
use crate::committer::Stripe;
use crate::error::Error;
use crate::format::keys::{LookupRowKey, PatientKey, RecordKey, Tree, record_prefix};
use crate::ids::PatientId;
use crate::policy::PolicyRow;
use crate::progress::Task;
use crate::record::{Body, Kind, RecordRef, Version};
use crate::storage::{Bytes, Scan, StorageError};
use crate::unlocked::Chart;

/// Rows read at once.
const CHUNK: usize = 256;

/// A row, or why it cannot be read.
type Row = (Vec<u8>, Result<Bytes, StorageError>);

/// Called with each version that counts for the moment looked at.
type Visit<'v> = &'v mut dyn FnMut(&Written);

/// The chart that is walked through, and the last version seen in it.
struct Place {
    chart: Option<Chart>,
    kinds: Vec<([u8; 8], Kind)>,
    tag: [u8; 16],
    last: Option<RecordKey>,
}

impl Check<'_, '_> {
    /// All rows of a tree, in order; a value that cannot be read does not hide the others.
    fn rows(&mut self, tree: Tree, visit: &mut dyn FnMut(&mut Self, Row) -> Result<(), Error>) -> Result<(), Error> {
        let mut after: Option<Vec<u8>> = None;
        loop {
            self.go_on()?;
            let committer = &self.unlocked.committer;
            let scan = Scan { prefix: &[], after: after.as_deref(), limit: CHUNK };
            let rows: Vec<Row> = match committer.scan(tree, scan) {
                Ok(rows) => rows.into_iter().map(|(key, value)| (key, Ok(value))).collect(),
                Err(error) if !is_of_one(&error) => return Err(error.into()),
                Err(_) => {
                    let one = |key: Vec<u8>| match committer.get(tree, &key) {
                        Ok(Some(value)) => Some((key, Ok(value))),
                        Ok(None) => None, // deleted meanwhile
                        Err(error) => Some((key, Err(error))),
                    };
                    committer.scan_keys(tree, scan)?.into_iter().filter_map(one).collect()
                }
            };
            let Some((last, _)) = rows.last() else { return Ok(()) };
            after = Some(last.clone());
            for row in rows {
                if let Err(error) = &row.1
                    && !is_of_one(error)
                {
                    return Err(Error::Sealed);
                }
                visit(self, row)?;
            }
        }
    }

    /// Every patient's key, and whether the log has as many entries about each as were counted.
    pub(super) fn check_charts(&mut self, read: &LogRead, head: Head, faulty: bool) -> Result<(), Error> {
        self.rows(Tree::Patients, &mut |check, (key, value)| {
            let unlocked = check.unlocked;
            let mut opened = value.ok().and_then(|value| unlocked.chart_at(&key, &value).ok());
            if opened.is_none() {
                // Wrapped anew since it was read, maybe.
                let now = unlocked.committer.get(Tree::Patients, &key).ok().flatten();
                let erased =
                    PatientKey::from_bytes(&key).is_ok_and(|key| unlocked.policy.erased(&key.patient_tag).is_some());
                if now.is_none() && erased {
                    return Ok(());
                }
                opened = now.and_then(|value| unlocked.chart_at(&key, &value).ok());
            }
            let Some(chart) = opened else {
                let what = "a patient's key does not open: the chart cannot be read";
                check.found(rows_of(Tree::Patients), what);
                return Ok(());
            };
            if unlocked.policy.erased(&chart.tag).is_some() && unlocked.committer.get(Tree::Patients, &key)?.is_some() {
                check.found(rows_of(Tree::Patients), "a patient who was erased has a key again");
            }
            if faulty {
                return Ok(());
            }
            let logged = read.counters.get(&chart.patient).copied();
            // All entries about it may have been pruned.
            let Some(logged) = logged.or((read.begin == 0).then_some(0)) else { return Ok(()) };
            let storage = unlocked.committer.storage();
            let counted = storage.tally(&chart.tag);
            // Others may have read the chart since; nobody takes an entry away.
            let still = storage.head().entries == head.seq.saturating_add(1);
            if counted < logged || (still && counted != logged) {
                let place = FindingPlace::Chart { patient: chart.patient };
                check.found(place, format!("the log has {logged} entries about it, and {counted} were counted"));
            }
            Ok(())
        })
    }

    /// Every version of every record; those recorded up to `newest` are shown, because later ones have later entries.
    pub(super) fn check_records(&mut self, newest: Timestamp, visit: Visit<'_>) -> Result<(), Error> {
        let total = self.unlocked.committer.storage().rows(Tree::Records);
        let mut place = Place { chart: None, kinds: Vec::new(), tag: [0; 16], last: None };
        let mut done = 0_u64;
        self.rows(Tree::Records, &mut |check, (key, value)| {
            done = done.saturating_add(1);
            if done.is_multiple_of(64) {
                check.tell(Task::CheckRecords, done, total.map(|total| total.max(done.saturating_add(1))));
            }
            match RecordKey::from_bytes(&key) {
                Ok(key) => check.version(key, value, &mut place, newest, visit),
                Err(_) => {
                    check.found(rows_of(Tree::Records), "a row whose key is none");
                    Ok(())
                }
            }
        })?;
        self.leave(&place, None)?;
        self.report.records = done;
        self.tell(Task::CheckRecords, done, Some(done));
        Ok(())
    }

    fn version(
        &mut self,
        key: RecordKey,
        value: Result<Bytes, StorageError>,
        place: &mut Place,
        newest: Timestamp,
        visit: Visit<'_>,
    ) -> Result<(), Error> {
        if place.last.is_none() || place.tag != key.patient_tag {
            self.leave(place, None)?;
            *place = self.enter(key.patient_tag);
        } else {
            self.leave(place, Some(key))?;
        }
        place.last = Some(key);
        let Some(chart) = &place.chart else { return Ok(()) };
        let Some((_, kind)) = place.kinds.iter().find(|(tag, _)| *tag == key.kind_tag) else {
            self.found(FindingPlace::Chart { patient: chart.patient }, "a record of a kind that the vault never saw");
            return Ok(());
        };
        let record = RecordRef::new(chart.patient, kind.id(), key.number);
        let at = FindingPlace::Record { record, version: Version::new(key.version) };
        let value = match value {
            Ok(value) => value,
            Err(error) => {
                self.found(at, format!("it cannot be read: {error}"));
                return Ok(());
            }
        };
        let open = |value: &Bytes| self.unlocked.open_record(chart, kind.id(), key, value).ok();
        // Where it does not open, it was sealed anew since it was read, maybe, and the old key is gone.
        let again = || self.unlocked.committer.get(Tree::Records, &key.to_bytes()).ok().flatten();
        let Some(bytes) = open(&value).or_else(|| open(&again()?)) else {
            self.found(at, "it does not open: its bytes were changed or moved");
            return Ok(());
        };
        match Body::parse(&bytes) {
            Ok(body) if body.kind == kind.id() => {
                if body.recorded_at <= newest {
                    let tag = chart.subject.version_tag(chart.patient, kind.id(), key.number, key.version, &bytes);
                    let old = self.pruned_until.is_some_and(|until| body.recorded_at <= until);
                    visit(&Written { record, version: key.version, tag, old });
                }
            }
            Ok(_) => self.found(at, "it is of another kind than its place"),
            Err(error) => self.found(at, format!("it opens, but {error}")),
        }
        Ok(())
    }

    fn enter(&mut self, tag: [u8; 16]) -> Place {
        let unlocked = self.unlocked;
        let chart = unlocked.chart_of_tag(&tag).ok().flatten();
        // What is left of a patient who was erased is still to be removed.
        if chart.is_none() && unlocked.policy.erased(&tag).is_none() {
            self.found(rows_of(Tree::Records), "records of a patient whose key is missing or does not open");
        }
        let (kinds, keyring) = (unlocked.policy.kinds().into_iter(), unlocked.keyring());
        let kinds = kinds.map(|kind| (keyring.kind_tag(&tag, kind.id()), kind)).collect();
        Place { chart, kinds, tag, last: None }
    }

    /// Numbers of a kind count down to 1, and so do the versions of a record: nothing may be missing between the last one
    /// seen and the next, or the end.
    fn leave(&mut self, place: &Place, next: Option<RecordKey>) -> Result<(), Error> {
        let (Some(last), Some(chart)) = (place.last, &place.chart) else { return Ok(()) };
        let same_kind = next.filter(|next| next.kind_tag == last.kind_tag);
        let same_record = same_kind.filter(|next| next.number == last.number);
        let lowest = match same_record {
            Some(next) => next.version.saturating_add(1),
            None => 1,
        };
        for version in lowest..last.version.min(lowest.saturating_add(1_000)) {
            self.missing(chart, place, RecordKey { version, ..last }, Some(version))?;
        }
        if same_record.is_none() {
            let lowest = same_kind.map_or(1, |next| next.number.saturating_add(1));
            for number in lowest..last.number.min(lowest.saturating_add(1_000)) {
                self.missing(chart, place, RecordKey { number, ..last }, None)?;
            }
        }
        Ok(())
    }

    /// Looks again, while nobody writes the chart, before it says that something is missing.
    fn missing(&mut self, chart: &Chart, place: &Place, key: RecordKey, version: Option<u32>) -> Result<(), Error> {
        let unlocked = self.unlocked;
        let _held = unlocked.stripes.read(Stripe::chart(&key.patient_tag));
        let prefix = match version {
            Some(_) => key.to_bytes().to_vec(),
            None => record_prefix(&key.patient_tag, &key.kind_tag, key.number).to_vec(),
        };
        let found = unlocked.committer.scan_keys(Tree::Records, Scan { prefix: &prefix, after: None, limit: 1 })?;
        if !found.is_empty() || unlocked.policy.erased(&key.patient_tag).is_some() {
            return Ok(());
        }
        let kind = place.kinds.iter().find(|(tag, _)| *tag == key.kind_tag);
        let at = kind.map_or(FindingPlace::Chart { patient: chart.patient }, |(_, kind)| FindingPlace::Record {
            record: RecordRef::new(chart.patient, kind.id(), key.number),
            version: version.and_then(Version::new),
        });
        self.found(at, "it is missing, and later ones are there");
        Ok(())
    }

    /// Identifiers and policy.
    pub(super) fn check_other_rows(&mut self) -> Result<(), Error> {
        self.rows(Tree::Lookup, &mut |check, (key, value)| {
            let unlocked = check.unlocked;
            let opened = value.ok().and_then(|value| {
                unlocked.open_row(unlocked.keyring().lookup_sealer(), Tree::Lookup, &key, &value, "identifier").ok()
            });
            let patient = opened.and_then(|body| <[u8; 16]>::try_from(body.as_slice()).ok()).map(PatientId::from_bytes);
            let tag = LookupRowKey::from_bytes(&key).map(|key| key.patient_tag);
            if !patient.is_some_and(|patient| tag == Ok(unlocked.keyring().patient_tag(patient))) {
                check.found(
                    rows_of(Tree::Lookup),
                    "an identifier does not open, or leads to another patient than its place",
                );
            }
            Ok(())
        })?;
        self.rows(Tree::Policy, &mut |check, (key, value)| {
            let unlocked = check.unlocked;
            let row = value.ok().and_then(|value| {
                unlocked.open_row(unlocked.keyring().policy_sealer(), Tree::Policy, &key, &value, "policy row").ok()
            });
            if row.is_none_or(|body| PolicyRow::parse(&body).is_err()) {
                check.found(rows_of(Tree::Policy), "a policy row does not open");
            }
            Ok(())
        })
    }

    /// Names the versions that have no entry, and the entries whose version is not there. Both sides are read once more,
    /// and what others write meanwhile is followed up.
    pub(super) fn check_singles(&mut self, mut singles: Singles) -> Result<(), Error> {
        let committer = &self.unlocked.committer;
        committer.flush()?;
        let Some(head) = committer.newest_entry() else { return Ok(()) };
        let until = head.seq.saturating_add(1);
        self.note_singles(committer.storage().first_entry(), until, &mut singles)?;
        let records = self.report.records;
        self.again = true;
        self.check_records(head.time, &mut |written| singles.met(written, None))?;
        (self.again, self.report.records) = (false, records);
        // Versions are seen as soon as they are queued, entries once they are durable.
        committer.catch_up()?;
        let newest = committer.newest_entry().map_or(until, |head| head.seq.saturating_add(1));
        self.note_singles(until, newest, &mut singles)?;
        for (Written { record, version, .. }, seq) in singles.alone() {
            if self.unlocked.erased(record.patient()).is_some() {
                continue; // since both were read
            }
            let at = FindingPlace::Record { record, version: Version::new(version) };
            match seq {
                // Written since both were read.
                Some(seq) if seq >= until => {}
                Some(seq) => {
                    self.found(at, format!("log entry {seq} says that it was written, and it is not there as written"))
                }
                None => self.found(at, "it stands in the chart, and the log has no entry that it was written"),
            }
        }
        if singles.full {
            self.found(
                rows_of(Tree::Records),
                "more versions without entries, or entries without versions, than can be listed",
            );
        }
        Ok(())
    }
}
