//! Going on with a session whose sign-in has become too old.

use std::sync::Arc;

use super::Session;
use crate::audit::{AuditEvent, Outcome};
use crate::error::Error;
use crate::observe;
use crate::token::{AuthProof, SignedIn};

impl Session {
    /// Shows a new proof of a sign-in, so that the session goes on where it answered [`Error::StepUpNeeded`], or before it
    /// does. The log has an entry either way. What attesters say cannot be renewed: where the token demands a hardware key,
    /// open a new session.
    ///
    /// # Errors
    /// [`Error::Proof`] when the proof is of another vault or another principal, too old, or not what the token demands;
    /// [`Error::SessionEnded`], [`Error::ClockRollback`], [`Error::Sealed`], [`Error::AuditUnavailable`].
    pub fn step_up(&self, proof: AuthProof) -> Result<(), Error> {
        observe::operation(AuditEvent::SteppedUp.word(), "none", || {
            let unlocked = self.0.gate.enter()?;
            let looked = unlocked.now().and_then(|now| {
                let standing = self.0.standing.now(&unlocked, self.0.token.verified());
                let standing = standing.unwrap_or_else(|_| Arc::default());
                match self.stay_alive(&unlocked, &standing, now) {
                    // That is what it is for.
                    Ok(()) | Err(Error::StepUpNeeded { .. }) => {}
                    Err(error) => return Err(error),
                }
                let (level, at) = proof.look_for(self.principal(), &unlocked.sign_ins.opened, now)?;
                let stepped = self.life().signed_in.stepped_up(level, at);
                self.0.sign_in.map_or(Ok(()), |demand| stepped.meets(demand, now))?;
                Ok((level, stepped))
            });
            let mut draft = self.draft(AuditEvent::SteppedUp, Outcome::Allowed);
            match looked {
                Ok((level, stepped)) => {
                    draft.fields.detail = Some(level.to_string());
                    unlocked.commit(Vec::new(), vec![draft])?;
                    self.life().signed_in = stepped;
                    Ok(())
                }
                Err(error) => {
                    draft.fields.outcome = Outcome::Denied;
                    draft.fields.reason = if let Error::Proof(why) = &error { Some(why.code()) } else { None };
                    draft.fields.detail = Some(error.word().to_owned());
                    unlocked.commit(Vec::new(), vec![draft])?;
                    Err(error)
                }
            }
        })
    }

    /// How its principal signed in, at the highest level that was ever shown for it: 0 where nothing was.
    #[must_use]
    pub fn sign_in_level(&self) -> u8 {
        let signed_in: SignedIn = self.life().signed_in;
        signed_in.highest().unwrap_or(0)
    }
}
