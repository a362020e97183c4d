//! How often and when a store is asked again.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::thread;
use std::time::{Duration, Instant};

/// Attempts in all. With the pauses between them, a store may be away for half a minute.
const MOST: u32 = 8;
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(10);

/// The attempts that one call still has.
pub(super) struct Attempts {
    left: u32,
    until: Instant,
    pause: Duration,
}

impl Attempts {
    /// The first one is under way.
    pub(super) fn new(patience: Duration) -> Self {
        let now = Instant::now();
        Self { left: MOST - 1, until: now.checked_add(patience).unwrap_or(now), pause: FIRST_PAUSE }
    }

    /// Pauses, and says whether there is another attempt.
    pub(super) fn again(&mut self) -> bool {
        // Those who failed together do not come back together.
        let part = u32::try_from(RandomState::new().build_hasher().finish() % 1000).unwrap_or(0);
        let pause = self.pause / 2 + self.pause / 2 * part / 1000;
        let left = self.until.saturating_duration_since(Instant::now());
        if self.left == 0 || left <= pause {
            return false;
        }
        thread::sleep(pause);
        self.left -= 1;
        self.pause = (self.pause * 2).min(LONGEST_PAUSE);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attempts_end() {
        let mut attempts = Attempts { left: 3, until: Instant::now() + Duration::from_secs(60), pause: Duration::ZERO };
        assert_eq!([(); 5].map(|()| attempts.again()), [true, true, true, false, false]);
        assert!(!Attempts::new(Duration::ZERO).again(), "no patience, no second attempt");
        assert!(!Attempts::new(Duration::from_millis(10)).again(), "none that would begin too late");
    }
}
