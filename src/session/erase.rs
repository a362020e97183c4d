//! The part of an erasure that a token decides: from here on the chart is gone.

use super::Session;
use super::access::{Access, Done, Hold};
use crate::audit::{AuditEvent, Outcome};
use crate::committer::Stripe;
use crate::error::Error;
use crate::ids::PatientId;
use crate::policy::{Erasure, PolicyRow};
use crate::terms::Action;
use crate::token::Reach;
use crate::unlocked::Gate;

/// What an erasure is to be entered as in the ledger.
pub(crate) struct Ground<'g> {
    pub(crate) reason: &'g str,
    pub(crate) legal_ground: &'g str,
    pub(crate) identity: bool,
}

impl Session {
    /// Whether it was opened in the vault behind this door.
    pub(crate) fn is_of(&self, gate: &Gate) -> bool {
        self.0.gate.is(gate)
    }

    /// Destroys a patient's secret, with an entry in the log and one in the ledger, if the token allows it, nothing keeps the
    /// chart, and `confirm` has no objection. Gives the entry of the ledger.
    pub(crate) fn begin_erasure(
        &self,
        patient: PatientId,
        ground: &Ground<'_>,
        confirm: impl FnOnce() -> Result<(), Error>,
    ) -> Result<Erasure, Error> {
        let access = Access {
            event: AuditEvent::ErasureBegun,
            action: Action::Erase,
            kind: Reach::Whole,
            patient: Reach::One(patient),
        };
        let op = self.begin(access)?;
        // Before anything is held: opening the header with a passphrase takes long.
        let refused = if patient == PatientId::FACILITY { Err(Error::FacilityChart) } else { confirm() };
        if let Err(error) = refused {
            return Err(op.refuse(Outcome::Denied, error));
        }
        let stripes = [op.stripe(patient), Stripe::Policy];
        op.run(Hold::Write(&stripes), |op| {
            let chart = op.chart(patient)?;
            op.unlocked.check_erasable(&chart, op.now)?;
            let erasure = Erasure {
                patient_tag: chart.tag,
                begun: op.now,
                finished: None,
                by: Some(self.principal()),
                reason: ground.reason.to_owned(),
                legal_ground: ground.legal_ground.to_owned(),
                identity: ground.identity,
                // This one included.
                log_entries: op.unlocked.committer.storage().tally(&chart.tag).saturating_add(1),
            };
            let rows = op.unlocked.rows_of_erasure(&erasure)?;
            let detail = Some(format!("{}; {}", ground.reason, ground.legal_ground));
            let applies = vec![PolicyRow::Erasure(erasure.clone())];
            Ok(Done { applies, detail, ..Done::write(erasure, rows, vec![chart.audited(Vec::new())]) })
        })
    }
}
