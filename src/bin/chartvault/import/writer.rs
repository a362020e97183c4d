//! Resources into commits: 200 at a time, all of a commit or none; what is refused is named.

use std::io::{self, Write};

use chartvault::{Batch, Error, Kind, PatientId, PutOptions, RecordRef, Session, Version};
use serde_json::json;

use super::charts::{Charts, Key, Place, There, hash, key};
use super::fhir::Resource;
use crate::failure::Outcome;
use crate::show::{Show, printable, warn};

/// Records and bytes that one commit takes together.
const RECORDS: usize = 200;
const BYTES: usize = 512 << 10;

/// What came of an import.
#[derive(Clone, Copy, Debug, Default)]
pub struct Counts {
    pub resources: u64,
    pub put: u64,
    pub there: u64,
    pub amended: u64,
    pub refused: u64,
    pub registered: u64,
    pub in_facility: u64,
}

/// A resource that waits for its commit.
struct Waiting {
    line: u64,
    at: Option<u64>,
    patient: PatientId,
    kind: Kind,
    bytes: Vec<u8>,
    options: PutOptions,
    key: Key,
}

pub struct Writer<'s> {
    session: &'s Session,
    charts: Charts<'s>,
    waiting: Vec<Waiting>,
    bytes: usize,
    amend: bool,
    dry_run: bool,
    /// Put by a dry run.
    dry: usize,
    /// The file being read, where there are several.
    file: Option<String>,
    show: Show,
    counts: Counts,
}

impl<'s> Writer<'s> {
    pub fn new(session: &'s Session, amend: bool, dry_run: bool, show: Show) -> Self {
        let charts = Charts::new(session, dry_run);
        let (waiting, counts) = (Vec::new(), Counts::default());
        Self { session, charts, waiting, bytes: 0, amend, dry_run, dry: 0, file: None, show, counts }
    }

    /// Names the file that lines are of from now on.
    pub fn of_file(&mut self, file: String) {
        self.file = Some(file);
    }

    pub fn counts(&self) -> Counts {
        Counts { registered: self.charts.registered, ..self.counts }
    }

    /// Says on standard error that a resource was refused, by its line alone: nothing of what stands in it.
    pub fn refuse(&mut self, line: u64, at: Option<u64>, reason: &str) {
        self.counts.refused = self.counts.refused.saturating_add(1);
        let text = match (self.show.json, at) {
            (true, _) => {
                let refused = json!({ "file": self.file, "line": line, "entry": at, "reason": reason });
                format!("{}\n", json!({ "refused": refused }))
            }
            (false, at) => {
                let file = self.file.as_ref().map(|file| format!("{}, ", printable(file))).unwrap_or_default();
                let entry = at.map(|at| format!(", entry {at}")).unwrap_or_default();
                format!("{file}line {line}{entry}: {}\n", printable(reason))
            }
        };
        // Where nobody reads standard error there is nobody to tell; the count says it all the same.
        drop(io::stderr().write_all(text.as_bytes()));
    }

    /// Takes a resource: puts it, passes it over, or refuses it.
    pub fn take(&mut self, line: u64, at: Option<u64>, resource: &Resource, bytes: &[u8]) -> Outcome<()> {
        self.counts.resources = self.counts.resources.saturating_add(1);
        let show = self.show;
        let disputed = |system: &str| {
            warn(
                show,
                &format!(
                    "line {line}: an identifier of the system {system:?} belongs to another patient; it was left out"
                ),
            );
        };
        let place = match self.charts.place(resource, disputed) {
            Ok(place) => place,
            Err(error) => return self.refuse_or_end(line, at, error),
        };
        let (key, hash) = (key(resource.kind().as_str(), resource.id(), bytes), hash(bytes));
        let (found, withheld) = match self.charts.at(&place) {
            Ok(chart) => (chart.there.get(&key).copied(), chart.withheld),
            Err(error) => return self.refuse_or_end(line, at, error),
        };
        match found {
            Some(there) if there.hash == hash => {
                self.counts.there = self.counts.there.saturating_add(1);
                Ok(())
            }
            Some(_) if self.amend => self.change(line, at, &place, key, bytes),
            Some(_) => {
                self.refuse(
                    line,
                    at,
                    "another resource of its type and id is there, and differs; --amend writes it as a new version",
                );
                Ok(())
            }
            None if withheld > 0 => {
                let why = "the chart holds records that the token may not see, so it cannot be told whether this one is there";
                self.refuse(line, at, &format!("{why}; use a token with more sensitivity"));
                Ok(())
            }
            None => match place {
                Place::Chart(patient) if !self.dry_run => {
                    let (kind, options) = (resource.kind().clone(), resource.options());
                    self.add(Waiting { line, at, patient, kind, bytes: bytes.to_vec(), options, key })
                }
                place => {
                    self.charts.at(&place)?.there.insert(key, There { hash, record: None });
                    self.count_put(place);
                    self.dry = self.dry.saturating_add(1);
                    if self.dry.is_multiple_of(RECORDS) {
                        self.charts.forget_if_full();
                    }
                    Ok(())
                }
            },
        }
    }

    fn add(&mut self, waiting: Waiting) -> Outcome<()> {
        let there = There { hash: hash(&waiting.bytes), record: None };
        self.charts.chart(waiting.patient)?.there.insert(waiting.key.clone(), there);
        self.bytes = self.bytes.saturating_add(waiting.bytes.len());
        self.waiting.push(waiting);
        if self.waiting.len() >= RECORDS || self.bytes >= BYTES { self.flush() } else { Ok(()) }
    }

    fn change(&mut self, line: u64, at: Option<u64>, place: &Place, key: Key, bytes: &[u8]) -> Outcome<()> {
        let patient = match place {
            Place::Chart(patient) if !self.dry_run => *patient,
            place => {
                self.charts.at(place)?.there.insert(key, There { hash: hash(bytes), record: None });
                self.counts.amended = self.counts.amended.saturating_add(1);
                return Ok(());
            }
        };
        // It may be among those that wait.
        self.flush()?;
        let there = self.charts.chart(patient)?.there.get(&key).and_then(|there| there.record);
        let Some((record, version)) = there else {
            self.refuse(line, at, "the resource that it would change was refused");
            return Ok(());
        };
        match self.session.amend_verbatim(record, version, bytes) {
            Ok(version) => {
                let there = There { hash: hash(bytes), record: Some((record, version)) };
                self.charts.chart(patient)?.there.insert(key, there);
                self.counts.amended = self.counts.amended.saturating_add(1);
                Ok(())
            }
            Err(error) => self.refuse_or_end(line, at, error),
        }
    }

    /// Commits what waits.
    pub fn flush(&mut self) -> Outcome<()> {
        let waiting = std::mem::take(&mut self.waiting);
        self.bytes = 0;
        if waiting.is_empty() {
            return Ok(());
        }
        match self.commit(&waiting) {
            Ok(records) => {
                for (waiting, record) in waiting.iter().zip(records) {
                    self.committed(waiting, record)?;
                }
            }
            // One of them, or all: each by itself shows which.
            Err(error) if is_about_one(&error) => self.one_by_one(waiting)?,
            Err(error) => return Err(error.into()),
        }
        self.charts.forget_if_full();
        Ok(())
    }

    fn one_by_one(&mut self, waiting: Vec<Waiting>) -> Outcome<()> {
        for one in waiting {
            match self.session.put_verbatim(one.patient, &one.kind, &one.bytes, one.options.clone()) {
                Ok(record) => self.committed(&one, record)?,
                Err(error) => {
                    self.charts.chart(one.patient)?.there.remove(&one.key);
                    self.refuse_or_end(one.line, one.at, error)?;
                }
            }
        }
        Ok(())
    }

    fn commit(&self, waiting: &[Waiting]) -> Result<Vec<RecordRef>, Error> {
        let mut batch: Batch<'_> = self.session.batch();
        for one in waiting {
            batch.put_verbatim(one.patient, &one.kind, &one.bytes, one.options.clone())?;
        }
        batch.commit()
    }

    fn committed(&mut self, waiting: &Waiting, record: RecordRef) -> Outcome<()> {
        let there = There { hash: hash(&waiting.bytes), record: Some((record, Version::FIRST)) };
        self.charts.chart(waiting.patient)?.there.insert(waiting.key.clone(), there);
        self.count_put(Place::Chart(waiting.patient));
        Ok(())
    }

    fn count_put(&mut self, place: Place) {
        self.counts.put = self.counts.put.saturating_add(1);
        if matches!(place, Place::Chart(PatientId::FACILITY)) {
            self.counts.in_facility = self.counts.in_facility.saturating_add(1);
        }
    }

    /// An error about one resource refuses it; any other ends the import.
    fn refuse_or_end(&mut self, line: u64, at: Option<u64>, error: Error) -> Outcome<()> {
        if !is_about_one(&error) {
            return Err(error.into());
        }
        self.refuse(line, at, &error.to_string());
        Ok(())
    }
}

const fn is_about_one(error: &Error) -> bool {
    matches!(
        error,
        Error::Denied { .. }
            | Error::Encode(_)
            | Error::CommitTooLarge { .. }
            | Error::TooMany { .. }
            | Error::Identifier(_)
            | Error::InvalidText { .. }
            | Error::Erased { .. }
            | Error::Voided(_)
            | Error::Conflict { .. }
    )
}
