//! The vault's time: the system clock, but never behind what the log has seen. A clock that jumped ahead would thus stop
//! everything once it is set right; whoever holds a credential of the vault can then reset it.

use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use super::Unlocked;
use crate::clock::Timestamp;
use crate::error::Error;
use crate::policy::PolicyRow;

/// How far the clock may be behind before every access is refused.
const CLOCK_TOLERANCE: Duration = Duration::from_secs(120);

/// The latest time that was read since the vault was opened.
pub(crate) struct Latest(AtomicI64);

impl Latest {
    pub(crate) const fn new() -> Self {
        Self(AtomicI64::new(i64::MIN))
    }
}

impl Unlocked {
    /// The present.
    ///
    /// # Errors
    /// [`Error::ClockRollback`] when the clock is more than two minutes behind what has been seen.
    pub(crate) fn now(&self) -> Result<Timestamp, Error> {
        let now = self.clock.now();
        let newest = self.seen();
        if newest.saturating_since(now) > CLOCK_TOLERANCE {
            return Err(Error::ClockRollback { now, newest });
        }
        self.latest.0.fetch_max(now.as_micros(), Ordering::Relaxed);
        Ok(now.max(newest))
    }

    /// The latest time known: that of the newest log entry. Entries' times never go back, so after a reset they stand
    /// still until the clock has caught up with them; until then what was read since the reset counts.
    fn seen(&self) -> Timestamp {
        let newest = self.committer.newest_time().unwrap_or(Timestamp::MIN);
        match self.policy.clock_reset() {
            Some((jumped_to, reset_to)) if newest <= jumped_to => {
                reset_to.max(Timestamp::from_micros(self.latest.0.load(Ordering::Relaxed)))
            }
            _ => newest,
        }
    }

    /// The row that sets the time seen back to the clock.
    pub(crate) fn clock_reset_row(&self) -> PolicyRow {
        let jumped_to = self.committer.newest_time().unwrap_or(Timestamp::MIN);
        let reset_to = self.clock.now();
        self.latest.0.store(reset_to.as_micros(), Ordering::Relaxed);
        PolicyRow::ClockReset { jumped_to, reset_to }
    }
}
