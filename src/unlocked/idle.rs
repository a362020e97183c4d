//! How long nobody has used the vault, where it is to be sealed after a while.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::clock::{Clock, Timestamp};

/// Measured by two clocks, of which the one counts that says more: the system's may be set back, and the other may stand
/// still while the machine sleeps.
pub(crate) struct Idle {
    most: Duration,
    clock: Arc<dyn Clock>,
    used: Mutex<(Instant, Timestamp)>,
    /// Who is inside unasked.
    looking: AtomicUsize,
}

/// Somebody is inside unasked, until this is dropped.
pub(crate) struct Looking<'i>(&'i AtomicUsize);

impl Drop for Looking<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Idle {
    pub(crate) fn new(most: Duration, clock: Arc<dyn Clock>) -> Self {
        let used = Mutex::new((Instant::now(), clock.now()));
        Self { most, clock, used, looking: AtomicUsize::new(0) }
    }

    /// Whether somebody may enter; then the time starts anew. `others`: whether anybody else is inside.
    pub(crate) fn enter(&self, others: bool) -> bool {
        let mut used = self.used();
        if !self.is_used(others) && self.idle(&used) >= self.most {
            return false;
        }
        *used = (Instant::now(), self.clock.now());
        true
    }

    /// How long nobody may enter until it was idle for too long. Whoever is at work uses it.
    pub(crate) fn left(&self, others: bool) -> Duration {
        let mut used = self.used();
        if self.is_used(others) {
            *used = (Instant::now(), self.clock.now());
        }
        self.most.saturating_sub(self.idle(&used))
    }

    /// Somebody enters unasked.
    pub(crate) fn look_in(&self) -> Looking<'_> {
        self.looking.fetch_add(1, Ordering::SeqCst);
        Looking(&self.looking)
    }

    fn is_used(&self, others: bool) -> bool {
        others && self.looking.load(Ordering::SeqCst) == 0
    }

    fn idle(&self, (at, time): &(Instant, Timestamp)) -> Duration {
        at.elapsed().max(self.clock.now().saturating_since(*time))
    }

    fn used(&self) -> MutexGuard<'_, (Instant, Timestamp)> {
        self.used.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
