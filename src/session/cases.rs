//! Emergencies and their review.

use super::Session;
use super::access::{Access, Done, Hold, Op, Refused};
use crate::audit::AuditEvent;
use crate::clock::Timestamp;
use crate::committer::Stripe;
use crate::error::Error;
use crate::ids::{CaseId, PatientId, PrincipalId, RevocationId, SessionId};
use crate::policy::{CaseRow, EmergencyReason, MAX_CASE_TEXT, PolicyRow, Review, Verdict};
use crate::terms::Action;
use crate::token::Reach;

/// Cases that one page can hold.
const PAGE: usize = 1_000;

/// The emergencies that were invoked; see [`Session::cases`].
#[derive(Clone, Copy, Debug)]
pub struct Cases<'s> {
    session: &'s Session,
}

/// An emergency that was invoked ([`Session::break_glass`]), and its review.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ReviewCase {
    /// Its id.
    pub id: CaseId,
    /// Whose chart was opened; `None` where the patient was erased since, and to whom the token or a label of the chart does not
    /// let in.
    pub patient: Option<PatientId>,
    /// Who broke the glass.
    pub actor: PrincipalId,
    /// The session that was opened; the log has what was done in it.
    pub session: SessionId,
    /// The token with which it was done.
    pub token: RevocationId,
    /// When it began.
    pub at: Timestamp,
    /// When it ended at the latest.
    pub until: Timestamp,
    /// Why.
    pub reason: EmergencyReason,
    /// Why, in words.
    pub text: String,
    /// Who is to review it, and since when.
    pub assigned: Option<(PrincipalId, Timestamp)>,
    /// How it was reviewed, once it was.
    pub review: Option<Review>,
    /// Until when it should have been reviewed.
    pub due: Timestamp,
    /// When the log was told that it is overdue.
    pub escalated: Option<Timestamp>,
}

/// Which cases are wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum CaseState {
    /// All.
    Any,
    /// Those not reviewed yet.
    Open,
    /// Those not reviewed in time.
    Overdue,
    /// Those reviewed.
    Closed,
}

impl Session {
    /// The emergencies that were invoked, to be reviewed by somebody else. All calls need the review action.
    ///
    /// ```
    /// # mod clinic { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/clinic.rs")); }
    /// # use clinic::*;
    /// # let clinic = Clinic::new();
    /// # let session = clinic.session();
    /// for case in session.cases().list(CaseState::Open, None)? {
    ///     session.cases().close(case.id, Verdict::Justified, "talked with the ward")?;
    /// }
    /// # Ok::<(), Error>(())
    /// ```
    #[must_use]
    pub const fn cases(&self) -> Cases<'_> {
        Cases { session: self }
    }
}

impl Cases<'_> {
    /// The first thousand cases of a state behind `after`, the oldest first.
    ///
    /// # Errors
    /// What [`Session`] lists.
    pub fn list(&self, state: CaseState, after: Option<&ReviewCase>) -> Result<Vec<ReviewCase>, Error> {
        let op = self.session.begin(access(AuditEvent::CasesListed))?;
        op.run(Hold::Nothing, |op| {
            let policy = &op.unlocked.policy;
            let within = policy.rules().time_for_review();
            let wanted = |row: &CaseRow| match state {
                CaseState::Any => true,
                CaseState::Open => row.review.is_none(),
                CaseState::Overdue => row.review.is_none() && row.at.saturating_add(within) <= op.now,
                CaseState::Closed => row.review.is_some(),
            };
            let rows = policy.cases(after.map(|case| (case.at, case.id)), PAGE, wanted);
            let cases: Vec<ReviewCase> = rows.into_iter().map(|row| op.told(row)).collect();
            let count = u32::try_from(cases.len()).ok();
            Ok(Done { count, ..Done::read(cases, Vec::new()) })
        })
    }

    /// One case.
    ///
    /// # Errors
    /// [`Error::NoSuchCase`], and what [`Session`] lists.
    pub fn get(&self, id: CaseId) -> Result<ReviewCase, Error> {
        let op = self.session.begin(access(AuditEvent::CasesListed))?;
        op.run(Hold::Nothing, |op| {
            let case = op.told(op.unlocked.policy.case(id).ok_or(Error::NoSuchCase { case: id })?);
            Ok(Done { detail: Some(id.to_string()), ..Done::read(case, Vec::new()) })
        })
    }

    /// Gives an open case to a principal to review, instead of whomever it was given to before.
    ///
    /// # Errors
    /// [`Error::NoSuchCase`], [`Error::CaseClosed`], [`Error::OwnCase`] where either of them broke the glass, and what
    /// [`Session`] lists.
    pub fn assign(&self, id: CaseId, to: PrincipalId) -> Result<ReviewCase, Error> {
        let (by, said) = (self.session.principal(), format!("{id} to {to}"));
        self.change(id, AuditEvent::CaseAssigned, said, |row, now| {
            if row.actor == to || row.actor == by {
                return Err(Error::OwnCase { case: id });
            }
            row.assigned = Some((to, now));
            Ok(())
        })
    }

    /// Closes a case with a verdict and a note (1 to 512 bytes that are not all blank). Nobody closes a case of their own.
    ///
    /// # Errors
    /// [`Error::NoSuchCase`], [`Error::CaseClosed`], [`Error::OwnCase`], [`Error::InvalidText`], and what [`Session`]
    /// lists.
    pub fn close(&self, id: CaseId, verdict: Verdict, note: &str) -> Result<ReviewCase, Error> {
        let len = if note.trim().is_empty() { 0 } else { note.len() };
        if !(1..=MAX_CASE_TEXT).contains(&len) {
            return Err(Error::InvalidText { what: "note", len, least: 1, limit: MAX_CASE_TEXT });
        }
        let by = self.session.principal();
        let said = format!("{id} {verdict}: {note}");
        self.change(id, AuditEvent::CaseClosed, said, |row, at| {
            if row.actor == by {
                return Err(Error::OwnCase { case: id });
            }
            row.review = Some(Review { by, at, verdict, note: note.to_owned() });
            Ok(())
        })
    }

    fn change(
        &self,
        id: CaseId,
        event: AuditEvent,
        said: String,
        change: impl Fn(&mut CaseRow, Timestamp) -> Result<(), Error>,
    ) -> Result<ReviewCase, Error> {
        let op = self.session.begin(access(event))?;
        op.run(Hold::Write(&[Stripe::Policy]), |op| {
            let mut row = op.unlocked.policy.case(id).ok_or(Error::NoSuchCase { case: id })?;
            if let Some(review) = &row.review {
                return Err(Refused::Failed(Error::CaseClosed { case: id, at: review.at }));
            }
            change(&mut row, op.now)?;
            let case = op.told(row.clone());
            let row = PolicyRow::Case(row);
            let rows = vec![op.unlocked.policy_row(&row)?];
            Ok(Done { detail: Some(said), applies: vec![row], ..Done::write(case, rows, Vec::new()) })
        })
    }
}

impl Op<'_> {
    /// The patient is named to whom the token and the rules would let into that chart. No lock is taken: the policy's may be held.
    fn told(&self, row: CaseRow) -> ReviewCase {
        let CaseRow { id, patient_tag, actor, session, token, at, until, reason, text, assigned, review, escalated } =
            row;
        let level = self.unlocked.policy.chart_label(&patient_tag).confidentiality;
        let named = |patient: &PatientId| self.would_allow(Reach::Filtered, Reach::One(*patient), Some(level));
        // A patient's row that is gone or damaged does not stand in the way of a review.
        let patient = self.unlocked.patient_of(&patient_tag).ok().flatten().filter(named);
        let due = at.saturating_add(self.unlocked.policy.rules().time_for_review());
        ReviewCase { id, patient, actor, session, token, at, until, reason, text, assigned, review, due, escalated }
    }
}

/// About no chart, and so about everybody.
const fn access(event: AuditEvent) -> Access {
    Access { event, action: Action::Review, kind: Reach::Whole, patient: Reach::Whole }
}
