//! A clock set by hand.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use crate::clock::{Clock, Timestamp};

/// A clock that stands still until it is moved. Shared by whoever holds the [`Arc`].
///
/// ```
/// use std::time::Duration;
/// use chartvault::test_util::TestClock;
/// use chartvault::{Clock, Options};
///
/// let clock = TestClock::new();
/// let options = Options::new().clock(clock.clone());
/// clock.advance(Duration::from_secs(90));
/// assert_eq!(clock.now().to_string(), "2026-01-05T12:01:30Z");
/// ```
#[derive(Debug)]
pub struct TestClock(AtomicI64);

impl TestClock {
    /// Stands at 2026-01-05T12:00:00Z.
    #[must_use]
    pub fn new() -> Arc<Self> {
        Self::at(Timestamp::from_micros(1_767_614_400_000_000))
    }

    /// Stands at this instant.
    #[must_use]
    pub fn at(now: Timestamp) -> Arc<Self> {
        Arc::new(Self(AtomicI64::new(now.as_micros())))
    }

    /// Sets it, forwards or back.
    pub fn set(&self, now: Timestamp) {
        self.0.store(now.as_micros(), Ordering::SeqCst);
    }

    /// Moves it on.
    pub fn advance(&self, by: Duration) {
        self.step_micros(i64::try_from(by.as_micros()).unwrap_or(i64::MAX));
    }

    /// Moves it by so many seconds, back where they are negative.
    pub fn step(&self, seconds: i64) {
        self.step_micros(seconds.saturating_mul(1_000_000));
    }

    /// Moves it by so many microseconds, back where they are negative.
    pub fn step_micros(&self, micros: i64) {
        let moved = |now: i64| Some(now.saturating_add(micros));
        // The closure always gives a value.
        let _ = self.0.fetch_update(Ordering::SeqCst, Ordering::SeqCst, moved);
    }
}

impl Clock for TestClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_micros(self.0.load(Ordering::SeqCst))
    }
}
