//! What keeps charts and records from being erased: dates and legal holds.

use super::Session;
use super::access::{Access, Done, Hold, Op};
use crate::audit::{AuditEvent, AuditRecord};
use crate::clock::Timestamp;
use crate::committer::Stripe;
use crate::error::Error;
use crate::format::keys::{Tree, record_prefix};
use crate::ids::PatientId;
use crate::policy::{LegalHold, MAX_HOLD_REASON, MAX_RETAINED, Retention, RetentionOf, RetentionRow};
use crate::record::RecordRef;
use crate::storage::Scan;
use crate::terms::Action;
use crate::token::Reach;
use crate::unlocked::Chart;

/// What keeps a chart from being erased; see [`Session::retention`].
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ChartRetention {
    /// The chart as a whole.
    pub chart: Retention,
    /// Records that have terms of their own.
    pub records: Vec<(RecordRef, Retention)>,
}

impl Session {
    /// Sets until when a chart or a record has to be kept: until then the patient cannot be erased. `None` lets go of it.
    /// Needs the review action, and is in the log with the date and the reason (1 to 256 bytes; let it name a rule and no
    /// person, since the log stays readable when the patient was erased). Records can be read, amended and voided as before.
    ///
    /// ```
    /// # mod clinic { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/clinic.rs")); }
    /// # use clinic::*;
    /// # let clinic = Clinic::new();
    /// # let session = clinic.session();
    /// let patient = session.register_patient([])?;
    /// let until = "2056-01-01T00:00:00Z".parse().unwrap();
    /// session.retain_until(patient, Some(until), "30 years from the last treatment")?;
    /// assert_eq!(session.retention(patient)?.chart.retain_until, Some(until));
    /// # Ok::<(), chartvault::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::InvalidText`] for a blank or too long reason, [`Error::NoSuchPatient`], [`Error::NoSuchRecord`],
    /// [`Error::TooMany`] for more than 1,000 records of a chart with terms of their own, and what [`Session`] lists.
    pub fn retain_until(
        &self,
        of: impl Into<RetentionOf>,
        until: Option<Timestamp>,
        reason: &str,
    ) -> Result<(), Error> {
        let said = until.map_or_else(|| format!("no longer: {reason}"), |until| format!("until {until}: {reason}"));
        self.change_retention(of.into(), AuditEvent::RetentionChanged, reason, &said, |terms, _| {
            terms.retain_until = until;
        })
    }

    /// Places a legal hold on a chart or a record: the patient cannot be erased until it is lifted. Needs the review
    /// action, and is in the log with the reason (1 to 256 bytes; let it name a case and no person). One that stands
    /// already is replaced.
    ///
    /// # Errors
    /// As [`Session::retain_until`].
    pub fn place_legal_hold(&self, of: impl Into<RetentionOf>, reason: &str) -> Result<(), Error> {
        self.change_retention(of.into(), AuditEvent::HoldPlaced, reason, reason, |terms, now| {
            let (by, reason) = (self.principal(), reason.to_owned());
            terms.legal_hold = Some(LegalHold { since: now, by, reason });
        })
    }

    /// Lifts a legal hold; no error where none stands. Needs the review action, and is in the log with the reason.
    ///
    /// # Errors
    /// As [`Session::retain_until`].
    pub fn lift_legal_hold(&self, of: impl Into<RetentionOf>, reason: &str) -> Result<(), Error> {
        self.change_retention(of.into(), AuditEvent::HoldLifted, reason, reason, |terms, _| terms.legal_hold = None)
    }

    /// What keeps a chart from being erased, records with terms of their own included. Needs the review action.
    ///
    /// # Errors
    /// [`Error::NoSuchPatient`], and what [`Session`] lists.
    pub fn retention(&self, patient: PatientId) -> Result<ChartRetention, Error> {
        let op = self.begin(access(AuditEvent::RetentionRead, RetentionOf::Chart(patient)))?;
        let stripe = op.stripe(patient);
        op.run(Hold::Read(stripe), |op| {
            let chart = op.chart(patient)?;
            let RetentionRow { chart: of_chart, records, .. } = op.unlocked.retention(&chart.tag)?;
            let named = |((kind, number), terms)| (RecordRef::new(patient, kind, number), terms);
            let found = ChartRetention { chart: of_chart, records: records.into_iter().map(named).collect() };
            Ok(Done::read(found, vec![chart.audited(Vec::new())]))
        })
    }

    fn change_retention(
        &self,
        of: RetentionOf,
        event: AuditEvent,
        reason: &str,
        said: &str,
        change: impl Fn(&mut Retention, Timestamp),
    ) -> Result<(), Error> {
        if reason.trim().is_empty() || reason.len() > MAX_HOLD_REASON {
            let len = if reason.trim().is_empty() { 0 } else { reason.len() };
            return Err(Error::InvalidText { what: "reason", len, least: 1, limit: MAX_HOLD_REASON });
        }
        let op = self.begin(access(event, of))?;
        let stripes = [op.stripe(of.patient()), Stripe::Policy];
        op.run(Hold::Write(&stripes), |op| {
            let chart = op.chart(of.patient())?;
            let records = op.retained(&chart, of)?;
            let mut row = op.unlocked.retention(&chart.tag)?;
            row.change(of, |terms| change(terms, op.now));
            if row.records.len() > MAX_RETAINED {
                let (len, limit) = (row.records.len(), MAX_RETAINED);
                return Err(Error::TooMany { what: "records of one chart with terms of their own", len, limit }.into());
            }
            let rows = op.unlocked.retention_row(row)?.into_iter().collect();
            Ok(Done { detail: Some(said.to_owned()), ..Done::write((), rows, vec![chart.audited(records)]) })
        })
    }
}

const fn access(event: AuditEvent, of: RetentionOf) -> Access {
    let kind = match of {
        // Of a chart, all kinds are kept.
        RetentionOf::Chart(_) => Reach::Whole,
        RetentionOf::Record(record) => Reach::One(record.kind()),
    };
    Access { event, action: Action::Review, kind, patient: Reach::One(of.patient()) }
}

impl Op<'_> {
    /// The record that is meant, as the log names it; it has to be there.
    fn retained(&self, chart: &Chart, of: RetentionOf) -> Result<Vec<AuditRecord>, Error> {
        let RetentionOf::Record(record) = of else { return Ok(Vec::new()) };
        let prefix = record_prefix(&chart.tag, &self.kind_tag(chart, record.kind()), record.number());
        let scan = Scan { prefix: &prefix, after: None, limit: 1 };
        if self.unlocked.committer.scan_keys(Tree::Records, scan)?.is_empty() {
            return Err(Error::NoSuchRecord(record));
        }
        // No version of it was touched.
        Ok(vec![AuditRecord::new(record.kind(), record.number(), 0, [0; 16])])
    }
}
