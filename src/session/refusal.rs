//! How a refusal or a failure is logged, before it is answered.

use std::any::Any;
use std::panic::resume_unwind;

use super::Session;
use super::access::{Access, Op};
use crate::audit::{AuditConsent, Outcome};
use crate::crypto::random;
use crate::error::Error;
use crate::ids::Ticket;
use crate::token::{Denial, DenyReason, Reach};
use crate::unlocked::Unlocked;

impl Session {
    /// Logs an operation that did not happen, and gives back the error to answer with: the original one, or that not
    /// even the log could be written.
    pub(super) fn log_failure(
        &self,
        unlocked: &Unlocked,
        access: Access,
        outcome: Outcome,
        error: Error,
        consent: Vec<AuditConsent>,
    ) -> Error {
        let mut draft = self.refusal(unlocked, access, outcome);
        draft.fields.consent = consent;
        draft.fields.detail = Some(error.word().to_owned());
        if let Error::StepUpNeeded { .. } = error {
            draft.fields.reason = Some(DenyReason::SignIn.code());
        }
        match unlocked.commit(Vec::new(), vec![draft]) {
            Ok(()) => error,
            Err(unlogged) => unlogged,
        }
    }
}

impl Op<'_> {
    /// Everything that refuses what was denied.
    pub(super) fn refusals(&self, denial: Denial) -> Vec<(u8, u16)> {
        let mut refusals = vec![denial];
        if let Some(request) = self.refused.get() {
            let all = self.session.0.token.refusals(&request).into_iter().chain(self.standing.allows(&request).err());
            let all: Vec<Denial> = all.collect();
            // What was refused before may have been something else, which was left out.
            if all.contains(&denial) {
                refusals.extend(all.into_iter().filter(|other| *other != denial));
            }
        }
        refusals.sort_by_key(|denial| denial.block);
        refusals.into_iter().map(|denial| (denial.block, denial.reason.code())).collect()
    }

    /// Of a patient who was erased meanwhile, rows may be missing: that is why.
    pub(super) fn instead_of(&self, error: Error) -> Error {
        match self.asked.get().patient {
            Reach::One(patient) => {
                // Whoever erases shows the rows gone before the ledger says so, and has the chart until both are done.
                let _settled = self.unlocked.stripes.read(self.stripe(patient));
                self.unlocked.erased(patient).map_or(error, |at| Error::Erased { patient, at })
            }
            _ => error,
        }
    }

    /// Logs that an operation that was let in is refused after all; gives the error to answer with.
    pub(super) fn refuse(self, outcome: Outcome, error: Error) -> Error {
        self.watch.refused(self.write_failure(self.access, outcome, error))
    }

    pub(super) fn write_failure(&self, access: Access, outcome: Outcome, error: Error) -> Error {
        self.session.log_failure(&self.unlocked, access, outcome, error, self.sensitive.answers())
    }

    /// Logs that a record's type, or whatever else of the host's ran within, panicked over what it was shown; goes on
    /// unwinding.
    pub(super) fn log_panic(&self, panic: Box<dyn Any + Send>) -> ! {
        let mut draft = self.session.refusal(&self.unlocked, self.asked.get(), Outcome::Failed);
        draft.fields.consent = self.sensitive.answers();
        draft.fields.detail = Some("panicked".to_owned());
        // If it cannot be written the vault stops; the answer is the panic either way.
        let _ = self.unlocked.commit(Vec::new(), vec![draft]);
        resume_unwind(panic)
    }

    pub(super) fn log_denial(&self, denial: Denial) -> Error {
        self.watch.refused(self.write_denial(denial))
    }

    pub(super) fn write_denial(&self, denial: Denial) -> Error {
        let ticket = match random::array() {
            Ok(bytes) => Ticket::from_bytes(bytes),
            Err(error) => return error.into(),
        };
        let mut draft = self.session.refusal(&self.unlocked, self.asked.get(), Outcome::Denied);
        draft.fields.reason = Some(denial.reason.code());
        draft.fields.ticket = Some(ticket);
        draft.fields.detail = Some(format!("block {}", denial.block));
        draft.fields.refusals = self.refusals(denial);
        draft.fields.consent = self.sensitive.answers();
        match self.unlocked.commit(Vec::new(), vec![draft]) {
            Ok(()) => Error::Denied { ticket },
            Err(unlogged) => unlogged,
        }
    }

    /// Logs that a chart was not to be opened; the answer is that of a patient who is not there, without a ticket, which
    /// that one has not.
    pub(super) fn write_hidden(&self, denial: Denial, error: Error) -> Error {
        let mut draft = self.session.refusal(&self.unlocked, self.asked.get(), Outcome::Denied);
        draft.fields.reason = Some(denial.reason.code());
        draft.fields.consent = self.sensitive.answers();
        match self.unlocked.commit(Vec::new(), vec![draft]) {
            Ok(()) => error,
            Err(unlogged) => unlogged,
        }
    }
}
