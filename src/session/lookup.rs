//! Charts by their patients. Where a caller is not to learn whether a patient exists, the work is the same for one who does
//! not.

use std::sync::Arc;

use super::Session;
use super::access::{Access, Op, Refused};
use crate::audit::{Draft, Outcome};
use crate::error::Error;
use crate::ids::PatientId;
use crate::token::{Denial, DenyReason, Reach};
use crate::unlocked::{Chart, Unlocked};

impl Session {
    /// An entry about an operation that did not happen. Neither what it reads nor what it seals depends on whether there is
    /// such a patient, and the session's charts are not asked: they hold nobody who does not exist.
    pub(super) fn refusal(&self, unlocked: &Unlocked, access: Access, outcome: Outcome) -> Draft {
        let mut draft = self.draft_of(access, outcome);
        let Reach::One(patient) = access.patient else { return draft };
        match unlocked.look_up(patient) {
            Ok(Some(chart)) => draft.subjects = vec![chart.audited(Vec::new())],
            found => {
                unlocked.seal_decoy_subject();
                // The log outlasts the patient.
                let erased = matches!(found, Err(Error::Erased { .. }));
                draft.fields.requested = Some(patient).filter(|_| !erased);
            }
        }
        draft
    }
}

impl Op<'_> {
    /// The chart of a patient who must exist. To whom a restricted chart may not open there is no such patient, and finding
    /// that out takes the same work.
    pub(super) fn chart(&self, patient: PatientId) -> Result<Arc<Chart>, Refused> {
        let (session, unlocked) = (self.session, &self.unlocked);
        let kept = session.charts().get(patient);
        if let Some(chart) = kept.filter(|chart| chart.is_up_to_date(&unlocked.keyring())) {
            unlocked.check_not_erased(patient, &chart.tag)?;
            return match self.may_open(&chart) {
                Ok(()) => Ok(chart),
                Err(reason) => {
                    // From the next time on it is looked up, as somebody who does not exist is.
                    session.charts().let_go_of(patient);
                    Err(hidden(reason, chart))
                }
            };
        }
        let chart = Arc::new(unlocked.look_up(patient)?.ok_or(Error::NoSuchPatient(patient))?);
        self.may_open(&chart).map_err(|reason| hidden(reason, Arc::clone(&chart)))?;
        let may_be =
            |chart: &Chart| chart.is_up_to_date(&unlocked.keyring()) && unlocked.policy.erased(&chart.tag).is_none();
        session.charts().keep(Arc::clone(&chart), may_be);
        unlocked.check_not_erased(patient, &chart.tag)?;
        Ok(chart)
    }
}

const fn hidden(reason: DenyReason, chart: Arc<Chart>) -> Refused {
    Refused::Hidden(Denial { block: 0, reason }, chart)
}
