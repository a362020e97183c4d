//! What a check found, for people and programs.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use super::CheckScope;
use crate::ids::PatientId;
use crate::record::{RecordRef, Version};
use crate::storage::Severity;

/// Findings that a report lists; what is beyond is counted only.
pub(crate) const MOST_FINDINGS: usize = 1_000;

/// Where something is not as it was written.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum FindingPlace {
    /// In a file.
    File {
        /// The file, within the vault's directory.
        path: PathBuf,
        /// Where in it, in bytes.
        offset: u64,
    },
    /// At a record.
    Record {
        /// The record.
        record: RecordRef,
        /// The version, where it is about one.
        version: Option<Version>,
    },
    /// At a patient's chart as a whole.
    Chart {
        /// The patient.
        patient: PatientId,
    },
    /// At an entry of the log.
    Entry {
        /// Its number.
        seq: u64,
    },
    /// Among rows that cannot be named.
    Rows {
        /// What they are.
        of: &'static str,
    },
}

impl fmt::Display for FindingPlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File { path, offset } => write!(f, "{}, byte {offset}", path.display()),
            Self::Record { record, version: Some(version) } => write!(f, "{record}, version {version}"),
            Self::Record { record, version: None } => write!(f, "{record}"),
            Self::Chart { patient } => write!(f, "chart of {patient}"),
            Self::Entry { seq } => write!(f, "log entry {seq}"),
            Self::Rows { of } => write!(f, "rows of {of}"),
        }
    }
}

/// Something that is not as it was written. It holds no value, no identifier of a person and no kind's name.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct Finding {
    /// Where.
    pub place: FindingPlace,
    /// What is wrong there.
    pub what: String,
    /// How bad it is.
    pub severity: Severity,
}

impl Finding {
    pub(crate) const fn new(place: FindingPlace, what: String, severity: Severity) -> Self {
        Self { place, what, severity }
    }

    /// As it stands in the log, outside what is sealed for a patient: without the name of a record or a chart.
    pub(crate) fn logged(&self) -> String {
        let how_bad = self.severity.word();
        let what = &self.what;
        match &self.place {
            FindingPlace::Record { .. } => format!("{how_bad}: a record: {what}"),
            FindingPlace::Chart { .. } => format!("{how_bad}: a chart: {what}"),
            FindingPlace::File { .. } | FindingPlace::Entry { .. } | FindingPlace::Rows { .. } => self.to_string(),
        }
    }
}

/// Where, what, how bad, in one line.
impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}: {}", self.severity.word(), self.place, self.what)
    }
}

/// What [`Vault::check`](crate::Vault::check) read and found.
///
/// `Display` is for the person who keeps the vault: what was read, what was found where, and what to do.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct CheckReport {
    /// What was checked.
    pub scope: CheckScope,
    /// Frames of the journal that were read and authenticated, those of its base included.
    pub frames: u64,
    /// Bytes of the journal's files.
    pub bytes: u64,
    /// Rows of the trees that were compared.
    pub rows: u64,
    /// Versions of records that were opened under their keys.
    pub records: u64,
    /// Entries of the log that were verified.
    pub entries: u64,
    /// How long it took.
    pub took: Duration,
    /// What was found, at most the first 1,000. The numbers below count all.
    pub findings: Vec<Finding>,
    /// Findings that the check put right.
    pub mended: u64,
    /// Findings by which nothing is lost, that something else puts right; they say what.
    pub mendable: u64,
    /// Findings by which something may be lost.
    pub grave: u64,
}

impl CheckReport {
    pub(super) const fn new(scope: CheckScope) -> Self {
        Self {
            scope,
            frames: 0,
            bytes: 0,
            rows: 0,
            records: 0,
            entries: 0,
            took: Duration::ZERO,
            findings: Vec::new(),
            mended: 0,
            mendable: 0,
            grave: 0,
        }
    }

    /// Whether all that was looked at is now as it was written: nothing was found, or all of it was mended.
    #[must_use]
    pub const fn is_sound(&self) -> bool {
        self.mendable == 0 && self.grave == 0
    }

    /// How many findings there were, listed or not.
    #[must_use]
    pub const fn total(&self) -> u64 {
        self.mended.saturating_add(self.mendable).saturating_add(self.grave)
    }

    pub(super) fn add(&mut self, finding: Finding) {
        let count = match finding.severity {
            Severity::Mended => &mut self.mended,
            Severity::Mendable => &mut self.mendable,
            Severity::Grave => &mut self.grave,
        };
        *count = count.saturating_add(1);
        if self.findings.len() < MOST_FINDINGS {
            self.findings.push(finding);
        }
    }

    /// As it stands in the log.
    pub(super) fn detail(&self) -> String {
        let Self { scope, frames, rows, records, entries, mended, mendable, grave, .. } = self;
        format!(
            "{scope}: {frames} frames, {rows} rows, {records} records, {entries} entries; \
             {grave} grave, {mendable} mendable, {mended} mended"
        )
    }
}

impl fmt::Display for CheckReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { scope, frames, bytes, rows, records, entries, mended, mendable, grave, .. } = self;
        let seconds = self.took.as_secs_f64();
        writeln!(f, "Check of {scope}, {seconds:.1} s:")?;
        writeln!(
            f,
            "  {frames} journal frames ({bytes} bytes), {rows} rows, {records} records, {entries} log entries"
        )?;
        if self.total() == 0 {
            return f.write_str("Nothing is wrong. There is nothing to do.");
        }
        writeln!(f, "{} findings: {grave} grave, {mendable} mendable, {mended} mended", self.total())?;
        for finding in &self.findings {
            writeln!(f, "  {finding}")?;
        }
        let listed = u64::try_from(self.findings.len()).unwrap_or(u64::MAX);
        if self.total() > listed {
            writeln!(f, "  … and {} more", self.total() - listed)?;
        }
        f.write_str(match (*grave, *mendable) {
            (0, 0) => {
                "All of it was put right and nothing is lost. If it happens again, have the disk and memory tested."
            }
            (0, _) => "Nothing is lost. Do what the findings say, then check again.",
            _ => {
                "Something may be lost. Keep all files of the vault as they are and copy them elsewhere; have the disk \
                 tested; then restore from a backup, or salvage."
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::KindId;

    #[test]
    fn the_log_hears_of_records_and_charts_without_their_names() {
        let patient = PatientId::from_bytes([7; 16]);
        let record = RecordRef::new(patient, KindId::from_bytes([9; 16]), 3);
        let places = [FindingPlace::Record { record, version: Version::new(2) }, FindingPlace::Chart { patient }];
        for place in places {
            let finding = Finding::new(place, "it does not open".into(), Severity::Grave);
            let name = "07".repeat(16);
            assert!(finding.to_string().contains(&name), "{finding}");
            let logged = finding.logged();
            assert!(logged.contains("it does not open") && !logged.contains(&name), "{logged}");
        }
    }
}
