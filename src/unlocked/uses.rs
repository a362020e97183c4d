//! Tokens that may be used so many times: each use is counted in the commit of its entry.

use std::sync::{MutexGuard, PoisonError};

use super::Unlocked;
use crate::policy::PolicyRow;
use crate::token::{Denial, DenyReason, UseLimit};

/// Blocks whose uses are counted: beyond, tokens that limit theirs anew are used up from the start.
const MOST_COUNTED: usize = 200_000;

impl Unlocked {
    /// Held from a look at how often a token was used until the next use has its place.
    pub(crate) fn counting(&self) -> MutexGuard<'_, ()> {
        self.counting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The rows that count one more use by each limit, unless one of them is reached.
    pub(crate) fn one_more_use(&self, limits: &[UseLimit]) -> Result<Vec<PolicyRow>, Denial> {
        let one_more = |limit: &UseLimit| {
            let used = self.policy.used(limit.rid);
            let none_left = used == 0 && self.policy.counted() >= MOST_COUNTED;
            if used >= limit.most || none_left {
                return Err(Denial { block: limit.block, reason: DenyReason::Uses });
            }
            Ok(PolicyRow::Uses { rid: limit.rid, used: used.saturating_add(1) })
        };
        limits.iter().map(one_more).collect()
    }
}
