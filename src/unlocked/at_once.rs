//! How many sessions each principal has open.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use super::Unlocked;
use crate::clock::Timestamp;
use crate::ids::PrincipalId;
use crate::token::{Denial, DenyReason};

/// Something that is open until it says otherwise.
pub(crate) trait Lives: Send + Sync {
    /// Whether it can still be used.
    fn is_alive(&self, unlocked: &Unlocked, now: Timestamp) -> bool;
}

/// Those that are open, by principal.
#[derive(Default)]
pub(crate) struct AtOnce(Mutex<HashMap<PrincipalId, Vec<Weak<dyn Lives>>>>);

impl Unlocked {
    /// Counts a session among those that are open, unless its principal has as many as the rules allow.
    pub(crate) fn let_live(
        &self,
        principal: PrincipalId,
        session: &Arc<impl Lives + 'static>,
        now: Timestamp,
    ) -> Result<(), Denial> {
        let Some(most) = self.policy.rules().most_sessions_at_once() else { return Ok(()) };
        let mut open = self.at_once.0.lock().unwrap_or_else(PoisonError::into_inner);
        open.retain(|_, theirs| {
            theirs.retain(|session| session.upgrade().is_some_and(|session| session.is_alive(self, now)));
            !theirs.is_empty()
        });
        let theirs = open.entry(principal).or_default();
        if theirs.len() >= usize::from(most) {
            return Err(Denial { block: 0, reason: DenyReason::TooManySessions });
        }
        let session = Arc::downgrade(session);
        theirs.push(session);
        Ok(())
    }
}
