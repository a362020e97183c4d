//! All that was done, or tried, with one patient's chart.

use std::fmt;
use std::ops::ControlFlow;

use super::about::{AccessGap, ReportPlace, about, one_line};
use super::{AuditView, access};
use crate::audit::{AuditEntry, AuditEvent, AuditFilter};
use crate::clock::Timestamp;
use crate::columns::table;
use crate::error::Error;
use crate::ids::PatientId;
use crate::session::Session;
use crate::session::access::{Done, Hold};
use crate::session::list::page_limit;

/// A report about to be made; see [`AuditView::access_report`].
#[derive(Debug)]
#[must_use = "nothing is read before `page`"]
pub struct AskedAccess<'s> {
    session: &'s Session,
    patient: PatientId,
    filter: AuditFilter,
    limit: usize,
    place: Option<ReportPlace>,
}

/// All that was done, or tried, with one patient's chart, oldest first: a page of it. `Display` is a table.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct AccessReport {
    /// The patient.
    pub patient: PatientId,
    /// The entries; what they say of other patients is left out.
    pub entries: Vec<AuditEntry>,
    /// Entries about the patient that have to be there and are not. None: up to here the report is complete, and with no `next`
    /// all of it is, unless it ends at a time: then nobody knows whether one is missing between its last entry and that time.
    pub gaps: Vec<AccessGap>,
    /// Where to go on with [`AskedAccess::after`]; `None` once all was looked at.
    pub next: Option<ReportPlace>,
}

impl<'s> AuditView<'s> {
    /// All that was ever done with one patient's chart, and what was refused: who, when, what, why and how it ended. Each entry
    /// about a patient holds a count, and the vault keeps its own; so the report says whether one is missing, and which.
    /// That it was made stands in the log as an access to that patient.
    ///
    /// ```
    /// # mod clinic { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/clinic.rs")); }
    /// # use clinic::*;
    /// # let clinic = Clinic::new();
    /// # let session = clinic.session();
    /// let patient = session.register_patient([])?;
    /// session.put(patient, &Note { text: "penicillin: rash".into() })?;
    /// let report = session.audit()?.access_report(patient).page()?;
    /// assert_eq!(report.entries.len(), 2); // registered, put
    /// assert!(report.gaps.is_empty() && report.next.is_none());
    /// println!("{report}");
    /// # Ok::<(), chartvault::Error>(())
    /// ```
    pub fn access_report(self, patient: PatientId) -> AskedAccess<'s> {
        let filter = AuditFilter::new().patient(patient);
        AskedAccess { session: self.0, patient, filter, limit: 1_000, place: None }
    }
}

impl AskedAccess<'_> {
    /// Only what was at this instant or later.
    pub fn from(mut self, from: Timestamp) -> Self {
        self.filter = self.filter.from(from);
        self
    }

    /// Only what was before this instant.
    pub fn to(mut self, to: Timestamp) -> Self {
        self.filter = self.filter.to(to);
        self
    }

    /// At most so many entries a page, 1 to 1,000; 1,000 if not called.
    pub const fn limit(mut self, limit: usize) -> Self {
        self.limit = page_limit(limit);
        self
    }

    /// Goes on where a page ended; with the same times.
    pub const fn after(mut self, place: ReportPlace) -> Self {
        self.place = Some(place);
        self
    }

    /// Makes a page of the report. It looks through a bounded part of the log, so a page can be short although there is more: go
    /// on as long as `next` is there.
    ///
    /// # Errors
    /// [`Error::NoSuchPatient`]; [`Error::Erased`]: what the log said of them stays closed, and the ledger of erasures has how
    /// many entries those were; [`Error::Audit`] when an entry on the way is missing, was changed or does not open; what
    /// [`Session`] lists.
    pub fn page(self) -> Result<AccessReport, Error> {
        let op = self.session.begin(access(AuditEvent::AccessReportRead))?;
        let (op, (chart, report)) = op.prepare(|unlocked| {
            let chart = unlocked.look_up(self.patient)?.ok_or(Error::NoSuchPatient(self.patient))?;
            let mut entries = Vec::new();
            let found = about(unlocked, &chart, (&self.filter, self.place), &mut |mut entry| {
                self.filter.narrow(&mut entry);
                entries.push(entry);
                if entries.len() < self.limit { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
            })?;
            let report = AccessReport { patient: self.patient, entries, gaps: found.gaps, next: found.next };
            Ok((chart, report))
        })?;
        op.run(Hold::Nothing, |op| {
            // They may be erased by now.
            op.unlocked.check_not_erased(self.patient, &chart.tag)?;
            let count = u32::try_from(report.entries.len()).ok();
            Ok(Done { count, ..Done::read(report, vec![chart.audited(Vec::new())]) })
        })
    }
}

impl fmt::Display for AccessReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let rows: Vec<Vec<String>> = self.entries.iter().map(row).collect();
        let title = format!("Access to the chart of {}", self.patient);
        table(f, &title, &["entry", "time", "who", "what", "how it ended", "records", "purpose", "said"], &rows)?;
        self.gaps.iter().try_for_each(|gap| writeln!(f, "  {gap}"))?;
        match (self.next, self.gaps.is_empty()) {
            (Some(_), _) => writeln!(f, "  there is more"),
            (None, true) => writeln!(f, "  no entry is missing"),
            (None, false) => Ok(()),
        }
    }
}

fn row(entry: &AuditEntry) -> Vec<String> {
    let text = |value: Option<String>| value.unwrap_or_else(|| "-".to_owned());
    let records: usize = entry.subjects.iter().map(|subject| subject.records.len()).sum();
    vec![
        entry.seq.to_string(),
        entry.time.to_string(),
        text(entry.actor.map(|actor| actor.to_string())),
        entry.event.to_string(),
        entry.outcome.to_string(),
        records.to_string(),
        text(entry.purpose.map(|purpose| purpose.to_string())),
        text(entry.detail.as_deref().map(one_line)),
    ]
}

impl fmt::Display for AccessGap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let n = self.missing.end.saturating_sub(self.missing.start);
        write!(f, "MISSING: {n} entries")?;
        self.after.map_or(Ok(()), |seq| write!(f, ", behind entry {seq}"))?;
        self.before.map_or(Ok(()), |seq| write!(f, ", before entry {seq}"))
    }
}
