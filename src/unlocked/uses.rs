//! Tokens that may be used so many times: each use is counted in the commit of its entry.

use std::sync::{MutexGuard, PoisonError};

use super::Unlocked;
use crate::policy::PolicyRow;
use crate::token::{Denial, DenyReason, UseLimit};

impl Unlocked {
    /// Held from a look at how often a token was used until the next use has its place.
    pub(crate) fn counting(&self) -> MutexGuard<'_, ()> {
        self.counting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The rows that count one more use by each limit, unless one of them is reached.
    pub(crate) fn one_more_use(&self, limits: &[UseLimit]) -> Result<Vec<PolicyRow>, Denial> {
        let one_more = |limit: &UseLimit| {
            let used = self.policy.used(limit.rid);
            if used >= limit.most {
                return Err(Denial { block: limit.block, reason: DenyReason::Uses });
            }
            Ok(PolicyRow::Uses { rid: limit.rid, used: used.saturating_add(1) })
        };
        limits.iter().map(one_more).collect()
    }
}
