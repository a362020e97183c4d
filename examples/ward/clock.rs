//! A clock that this day is played by. In earnest it is the system's, which a vault takes by itself.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use chartvault::{Clock, InvalidId, Timestamp};

pub struct Day(AtomicI64);

impl Day {
    /// Midnight of a Monday.
    pub fn begin() -> Result<Arc<Self>, InvalidId> {
        let midnight: Timestamp = "2026-01-05T00:00:00Z".parse()?;
        Ok(Arc::new(Self(AtomicI64::new(midnight.as_micros()))))
    }

    /// It is so late. Never earlier than it was.
    pub fn turn_to(&self, hour: i64, minute: i64) {
        let day = self.0.load(Ordering::SeqCst).div_euclid(86_400_000_000) * 86_400_000_000;
        self.0.fetch_max(day + (hour * 60 + minute) * 60_000_000, Ordering::SeqCst);
    }
}

impl Clock for Day {
    fn now(&self) -> Timestamp {
        // A second goes by with each look, so that entries tell their order.
        Timestamp::from_micros(self.0.fetch_add(1_000_000, Ordering::SeqCst))
    }
}
