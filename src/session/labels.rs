//! How charts are labelled as a whole.

use super::Session;
use super::access::{Access, Done, Hold, Refused};
use crate::audit::AuditEvent;
use crate::committer::Stripe;
use crate::error::Error;
use crate::ids::PatientId;
use crate::policy::{ChartLabel, ChartLabelRow, MAX_LABEL_REASON, PolicyRow};
use crate::terms::Action;
use crate::token::Reach;

impl Session {
    /// Labels a chart as a whole: every record of it, those included that come later, is at least so confidential, and has
    /// these categories. [`ChartLabel::NONE`] takes the label away. It holds in every session from its next call on. Gives
    /// the label that the chart had before.
    ///
    /// Needs the review action for all kinds, and nobody labels a chart as more confidential than their own token allows:
    /// they could not take it back. The log has the level, the number of categories, and the reason (1 to 256 bytes; let it
    /// name a rule and no person, since the log stays readable when the patient was erased).
    ///
    /// **A restricted chart** ([`ChartLabel::is_restricted`]) is there only for who may open it: whose token allows its
    /// level, and whom the host's [`Consent`](crate::Consent), if there is one, permits. All others get the answers that
    /// they would get about somebody who was never registered. That goes for reviewers, too.
    ///
    /// ```
    /// # mod clinic { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/clinic.rs")); }
    /// # use clinic::*;
    /// # let clinic = Clinic::new();
    /// # let session = clinic.session();
    /// let patient = session.register_patient([])?;
    /// session.label_chart(patient, ChartLabel::new().staff(), "policy 7: employees")?;
    /// assert!(session.chart_label(patient)?.staff);
    /// # Ok::<(), Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::InvalidText`] for a blank or too long reason, [`Error::NoSuchPatient`], and what [`Session`] lists.
    pub fn label_chart(&self, patient: PatientId, label: ChartLabel, reason: &str) -> Result<ChartLabel, Error> {
        let len = if reason.trim().is_empty() { 0 } else { reason.len() };
        if !(1..=MAX_LABEL_REASON).contains(&len) {
            return Err(Error::InvalidText { what: "reason", len, least: 1, limit: MAX_LABEL_REASON });
        }
        let op = self.begin(access(AuditEvent::ChartLabelled, patient))?;
        let stripes = [op.stripe(patient), Stripe::Policy];
        op.run(Hold::Write(&stripes), |op| {
            let chart = op.chart(patient)?;
            op.decide(Reach::Whole, Reach::One(patient), Some(label.confidentiality)).map_err(Refused::Denied)?;
            let before = op.unlocked.policy.chart_label(&chart.tag);
            let rows = op.unlocked.chart_label_row(chart.tag, label)?.into_iter().collect();
            let applies = vec![PolicyRow::ChartLabel(ChartLabelRow { patient_tag: chart.tag, label })];
            let said = |label: ChartLabel| {
                let what = if label.is_restricted() { "restricted" } else { "open" };
                format!("{what} {}, {} categories", label.confidentiality, label.categories.len())
            };
            let detail = Some(format!("{} -> {}: {reason}", said(before), said(label)));
            Ok(Done { applies, detail, ..Done::write(before, rows, vec![chart.audited(Vec::new())]) })
        })
    }

    /// How a chart is labelled; [`ChartLabel::NONE`] where it is not. Needs the review action for all kinds.
    ///
    /// # Errors
    /// [`Error::NoSuchPatient`], and what [`Session`] lists.
    pub fn chart_label(&self, patient: PatientId) -> Result<ChartLabel, Error> {
        let op = self.begin(access(AuditEvent::ChartLabelRead, patient))?;
        let stripe = op.stripe(patient);
        op.run(Hold::Read(stripe), |op| {
            let chart = op.chart(patient)?;
            Ok(Done::read(op.unlocked.policy.chart_label(&chart.tag), vec![chart.audited(Vec::new())]))
        })
    }
}

const fn access(event: AuditEvent, patient: PatientId) -> Access {
    Access { event, action: Action::Review, kind: Reach::Whole, patient: Reach::One(patient) }
}
