//! Challenges given out and not answered yet. In memory only: those of an earlier opening are unknown here.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::Unlocked;
use crate::clock::Timestamp;
use crate::error::Error;
use crate::token::{Challenge, ProofError};

/// How long a challenge can be answered.
const LIFETIME: Duration = Duration::from_secs(60);

/// Most challenges outstanding at a time.
const MOST: usize = 4_096;

/// By nonce, with the time at which each was given out.
#[derive(Default)]
pub(crate) struct Challenges(Mutex<HashMap<[u8; 16], (Challenge, Timestamp)>>);

impl Challenges {
    fn outstanding(&self) -> MutexGuard<'_, HashMap<[u8; 16], (Challenge, Timestamp)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn keep(&self, challenge: Challenge, now: Timestamp) -> Result<(), Error> {
        let mut outstanding = self.outstanding();
        if outstanding.len() >= MOST {
            outstanding.retain(|_, (_, given_out)| is_fresh(*given_out, now));
        }
        // Refused rather than pushing out an older one: whoever asks for many must not stop others from answering.
        if outstanding.len() >= MOST {
            return Err(Error::TooManyChallenges { limit: MOST });
        }
        outstanding.insert(challenge.nonce(), (challenge, now));
        Ok(())
    }

    fn take(&self, nonce: [u8; 16], now: Timestamp) -> Result<Challenge, ProofError> {
        let (challenge, given_out) = self.outstanding().remove(&nonce).ok_or(ProofError::UnknownChallenge)?;
        if is_fresh(given_out, now) { Ok(challenge) } else { Err(ProofError::ChallengeExpired) }
    }
}

/// A clock that went back makes a challenge stale rather than longer-lived.
fn is_fresh(given_out: Timestamp, now: Timestamp) -> bool {
    now >= given_out && now.saturating_since(given_out) < LIFETIME
}

impl Unlocked {
    /// Gives out a challenge.
    pub(crate) fn challenge(&self) -> Result<Challenge, Error> {
        let now = self.now()?;
        let challenge = Challenge::generate()?;
        self.challenges.keep(challenge, now)?;
        Ok(challenge)
    }

    /// The challenge with this nonce, which nobody can answer again after this, whatever comes of it.
    pub(crate) fn take_challenge(&self, nonce: [u8; 16], now: Timestamp) -> Result<Challenge, ProofError> {
        self.challenges.take(nonce, now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_micros(1_000_000_000);

    fn challenge(number: usize) -> Challenge {
        let mut bytes = [0; 32];
        bytes[..8].copy_from_slice(&number.to_be_bytes());
        Challenge::from_bytes(bytes)
    }

    fn later(micros: i64) -> Timestamp {
        Timestamp::from_micros(NOW.as_micros() + micros)
    }

    #[test]
    fn a_challenge_is_good_once_and_for_less_than_sixty_seconds() {
        let challenges = Challenges::default();
        for (micros, expected) in [
            (0, Ok(challenge(1))),
            (59_999_999, Ok(challenge(1))),
            (60_000_000, Err(ProofError::ChallengeExpired)),
            (-1, Err(ProofError::ChallengeExpired)),
        ] {
            challenges.keep(challenge(1), NOW).unwrap();
            assert_eq!(challenges.take(challenge(1).nonce(), later(micros)), expected, "{micros}");
            assert_eq!(challenges.take(challenge(1).nonce(), NOW), Err(ProofError::UnknownChallenge));
        }
    }

    #[test]
    fn the_4097th_outstanding_challenge_is_refused_until_older_ones_expire() {
        let challenges = Challenges::default();
        (0..MOST).for_each(|number| challenges.keep(challenge(number), NOW).unwrap());
        let refused = challenges.keep(challenge(MOST), later(59_999_999));
        assert!(matches!(refused, Err(Error::TooManyChallenges { limit: 4_096 })), "{refused:?}");
        assert_eq!(challenges.take(challenge(0).nonce(), NOW), Ok(challenge(0)), "nobody was pushed out");
        challenges.keep(challenge(MOST), NOW).unwrap();
        challenges.keep(challenge(MOST + 1), later(60_000_000)).unwrap();
        assert_eq!(challenges.outstanding().len(), 1);
    }
}
