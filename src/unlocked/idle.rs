//! How long nobody has used the vault, where it is to be sealed after a while.

use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::clock::{Clock, Timestamp};

/// Measured by two clocks, of which the one counts that says more: the system's may be set back, and the other may stand
/// still while the machine sleeps.
pub(crate) struct Idle {
    most: Duration,
    /// A clock that panicked leaves nothing half done here.
    clock: AssertUnwindSafe<Arc<dyn Clock>>,
    used: Mutex<(Instant, Timestamp)>,
    /// How many are inside unasked. Held while one of them comes or goes, so that nobody counts in between.
    looking: Mutex<usize>,
}

/// Somebody who is inside unasked, until this is dropped.
pub(crate) struct Looking<'i, T> {
    idle: &'i Idle,
    inside: Option<Arc<T>>,
}

impl<T> Looking<'_, T> {
    pub(crate) fn inside(&self) -> Option<&T> {
        self.inside.as_deref()
    }
}

impl<T> Drop for Looking<'_, T> {
    fn drop(&mut self) {
        let mut looking = lock(&self.idle.looking);
        self.inside = None;
        *looking = looking.saturating_sub(1);
    }
}

impl Idle {
    pub(crate) fn new(most: Duration, clock: Arc<dyn Clock>) -> Self {
        let used = Mutex::new((Instant::now(), clock.now()));
        Self { most, clock: AssertUnwindSafe(clock), used, looking: Mutex::new(0) }
    }

    /// Whether somebody may enter; then the time starts anew. `inside` is held by the door, by this caller, by everybody
    /// else inside, and by nobody outside.
    pub(crate) fn enter<T>(&self, inside: &Arc<T>) -> bool {
        let mut used = lock(&self.used);
        if !self.is_used(inside) && self.idle(&used) >= self.most {
            return false;
        }
        *used = (Instant::now(), self.clock.now());
        true
    }

    /// How long nobody may enter until it was idle for too long. Whoever is at work uses it.
    pub(crate) fn left<T>(&self, inside: &Arc<T>) -> Duration {
        let mut used = lock(&self.used);
        if self.is_used(inside) {
            *used = (Instant::now(), self.clock.now());
        }
        self.most.saturating_sub(self.idle(&used))
    }

    /// Somebody enters unasked, through `door`.
    pub(crate) fn look_in<T, E>(&self, door: impl FnOnce() -> Result<Arc<T>, E>) -> Result<Looking<'_, T>, E> {
        let mut looking = lock(&self.looking);
        let inside = Some(door()?);
        *looking = looking.saturating_add(1);
        Ok(Looking { idle: self, inside })
    }

    /// Whether anybody is inside beside the door, this caller, and those unasked.
    fn is_used<T>(&self, inside: &Arc<T>) -> bool {
        let looking = lock(&self.looking);
        Arc::strong_count(inside) > looking.saturating_add(2)
    }

    fn idle(&self, (at, time): &(Instant, Timestamp)) -> Duration {
        at.elapsed().max(self.clock.now().saturating_since(*time))
    }
}

fn lock<T>(of: &Mutex<T>) -> MutexGuard<'_, T> {
    of.lock().unwrap_or_else(PoisonError::into_inner)
}
