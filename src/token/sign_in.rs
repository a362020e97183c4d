//! Signing in as a token sees it: how strong, how long ago, and whether that is what item 19 demands.

use std::collections::HashMap;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use super::attestation::{Attestation, Claim};
use super::holder::instant;
use super::proof_error::ProofError;
use super::verify::CLOCK_TOLERANCE;
use crate::clock::Timestamp;
use crate::ids::PrincipalId;

/// How long a proof can be shown.
const LIFETIME: Duration = Duration::from_secs(60);

/// How strongly somebody signed in, after the authenticator assurance levels of NIST SP 800-63B.
///
/// ```
/// use chartvault::SignInLevel;
/// assert!(SignInLevel::OneFactor < SignInLevel::TwoFactors);
/// assert_eq!(SignInLevel::HardwareKey.code(), 3);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum SignInLevel {
    /// 1: with one factor, such as a password.
    OneFactor,
    /// 2: with two, such as a password and a code of an authenticator app.
    TwoFactors,
    /// 3: with two, of which one is a hardware key.
    HardwareKey,
}

impl SignInLevel {
    /// The number that stands for it in tokens.
    #[must_use]
    pub const fn code(self) -> u8 {
        match self {
            Self::OneFactor => 1,
            Self::TwoFactors => 2,
            Self::HardwareKey => 3,
        }
    }

    /// The level of a number.
    #[must_use]
    pub const fn from_code(code: u8) -> Option<Self> {
        match code {
            1 => Some(Self::OneFactor),
            2 => Some(Self::TwoFactors),
            3 => Some(Self::HardwareKey),
            _ => None,
        }
    }
}

impl fmt::Display for SignInLevel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "level {}", self.code())
    }
}

/// That somebody signed in at this vault ([`Vault::sign_in`](crate::Vault::sign_in)): who, how strongly, and when. Good for
/// one session opening or one step up, within 60 seconds by the vault's clock, in the vault that gave it and as long as that is
/// open. It cannot be copied, stored or made by anybody else; whatever looks at it uses it up.
#[must_use = "it is good for 60 seconds"]
pub struct AuthProof {
    /// The same for all proofs of one unlocked vault, and for none of another.
    of: Arc<Opened>,
    principal: PrincipalId,
    level: SignInLevel,
    at: Timestamp,
    /// Its number among the proofs of the vault.
    made: u64,
}

/// One unlocked vault, as its proofs remember it.
#[derive(Debug, Default)]
pub(crate) struct Opened {
    /// Counts proofs, and changes of what others sign in with.
    made: AtomicU64,
    /// When that was changed last, by principal.
    reset: Mutex<HashMap<PrincipalId, u64>>,
}

impl Opened {
    /// Makes worthless whatever a principal was signed in with until now.
    pub(crate) fn reset(&self, principal: PrincipalId) {
        let now = self.made.fetch_add(1, Ordering::SeqCst);
        self.reset.lock().unwrap_or_else(PoisonError::into_inner).insert(principal, now);
    }

    /// Whether what a principal signs in with was changed by somebody else since.
    pub(crate) fn was_reset(&self, principal: PrincipalId, since: u64) -> bool {
        let reset = self.reset.lock().unwrap_or_else(PoisonError::into_inner);
        reset.get(&principal).is_some_and(|changed| *changed > since)
    }
}

impl AuthProof {
    pub(crate) fn new(of: &Arc<Opened>, principal: PrincipalId, level: SignInLevel, at: Timestamp) -> Self {
        let made = of.made.fetch_add(1, Ordering::SeqCst);
        Self { of: Arc::clone(of), principal, level, at, made }
    }

    /// Who signed in.
    #[must_use]
    pub const fn principal(&self) -> PrincipalId {
        self.principal
    }

    /// How strongly.
    #[must_use]
    pub const fn level(&self) -> SignInLevel {
        self.level
    }

    /// When, by the vault's clock.
    #[must_use]
    pub const fn at(&self) -> Timestamp {
        self.at
    }

    /// Its number among the proofs of the vault.
    pub(crate) const fn made(&self) -> u64 {
        self.made
    }

    /// Uses it up: says how strongly and when its principal signed in, if it is good here and now.
    pub(crate) fn look(self, here: &Arc<Opened>, now: Timestamp) -> Result<(SignInLevel, Timestamp), ProofError> {
        if !Arc::ptr_eq(&self.of, here) {
            return Err(ProofError::SignInElsewhere);
        }
        // A clock that went back makes a proof stale rather than longer-lived.
        if now < self.at || now.saturating_since(self.at) >= LIFETIME {
            return Err(ProofError::SignInExpired);
        }
        if here.was_reset(self.principal, self.made) {
            return Err(ProofError::SignInExpired);
        }
        Ok((self.level, self.at))
    }

    /// [`AuthProof::look`] where it has to be that of a token's subject.
    pub(crate) fn look_for(
        self,
        subject: PrincipalId,
        here: &Arc<Opened>,
        now: Timestamp,
    ) -> Result<(SignInLevel, Timestamp), ProofError> {
        let principal = self.principal;
        let seen = self.look(here, now)?;
        if principal == subject { Ok(seen) } else { Err(ProofError::SignInOfAnother) }
    }
}

impl fmt::Debug for AuthProof {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AuthProof")
            .field("principal", &self.principal)
            .field("level", &self.level)
            .finish_non_exhaustive()
    }
}

/// What a session was opened with, and stepped up with since: when each factor was last shown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct SignedIn {
    /// At this vault.
    here: Option<(SignInLevel, Timestamp)>,
    /// As attesters say.
    one_factor: Option<Timestamp>,
    two_factors: Option<Timestamp>,
    hardware_key: Option<Timestamp>,
}

impl SignedIn {
    /// With a proof of this vault, if one was shown, and what good attestations say.
    pub(super) fn of(here: Option<(SignInLevel, Timestamp)>, attestations: &[Attestation]) -> Self {
        let latest = |claim| {
            let fitting = attestations.iter().filter(|attestation| attestation.claim() == claim);
            fitting.map(|attestation| instant(attestation.issued_at)).max()
        };
        Self {
            here,
            one_factor: latest(Claim::SIGNED_IN),
            two_factors: latest(Claim::TWO_FACTORS),
            hardware_key: latest(Claim::HARDWARE_KEY),
        }
    }

    /// With a newer proof of this vault.
    pub(crate) const fn stepped_up(self, level: SignInLevel, at: Timestamp) -> Self {
        Self { here: Some((level, at)), ..self }
    }

    /// When this level was reached last. A hardware key and a password shown here are the third level together, and as old
    /// as the older of them.
    fn reached(&self, level: u8) -> Option<Timestamp> {
        let here = |least: SignInLevel| self.here.filter(|(level, _)| *level >= least).map(|(_, at)| at);
        let third = self.here.zip(self.hardware_key).map(|((_, at), key)| at.min(key));
        let second = here(SignInLevel::TwoFactors).max(self.two_factors).max(third);
        match level {
            0 | 1 => here(SignInLevel::OneFactor).max(self.one_factor).max(self.hardware_key).max(second),
            2 => second,
            3 => third,
            // No level that this version knows.
            _ => None,
        }
    }

    /// The highest level that was reached, however long ago.
    pub(crate) fn highest(&self) -> Option<u8> {
        (1..=3).rev().find(|level| self.reached(*level).is_some())
    }

    /// Whether it is what is demanded.
    pub(crate) fn meets(&self, demand: SignInDemand, now: Timestamp) -> Result<(), ProofError> {
        let SignInDemand { level, oldest } = demand;
        let shown = self.highest().unwrap_or(0);
        let at = self.reached(level).ok_or(ProofError::SignInTooLow { level, shown })?;
        // One that is yet to come is from before a clock that had jumped ahead was set back.
        let is_to_come = at.saturating_since(now) > Duration::from_secs(CLOCK_TOLERANCE);
        let fresh = !is_to_come && now.saturating_since(at) <= Duration::from_secs(oldest.into());
        if fresh { Ok(()) } else { Err(ProofError::SignInTooOld { level, oldest }) }
    }
}

/// What the blocks of a token demand together: the highest level, and the shortest age.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SignInDemand {
    pub(crate) level: u8,
    /// Seconds.
    pub(crate) oldest: u32,
}

impl SignInDemand {
    pub(super) fn of(each: impl Iterator<Item = (u8, u32)>) -> Option<Self> {
        let all = each.map(|(level, oldest)| Self { level, oldest });
        all.reduce(|a, b| Self { level: a.level.max(b.level), oldest: a.oldest.min(b.oldest) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_micros(second * 1_000_000)
    }

    fn reached(signed_in: SignedIn) -> [Option<Timestamp>; 5] {
        [0, 1, 2, 3, 4].map(|level| signed_in.reached(level))
    }

    #[test]
    fn levels_are_what_was_shown_together_and_as_old_as_the_older_part() {
        let none = SignedIn::default();
        assert_eq!((reached(none), none.highest()), ([None; 5], None));
        let (one, two) = (SignInLevel::OneFactor, SignInLevel::TwoFactors);
        let password = none.stepped_up(one, at(5));
        assert_eq!(reached(password), [Some(at(5)), Some(at(5)), None, None, None]);
        let both = none.stepped_up(two, at(5));
        assert_eq!(reached(both), [Some(at(5)), Some(at(5)), Some(at(5)), None, None]);
        let key = SignedIn { hardware_key: Some(at(3)), ..none };
        assert_eq!(reached(key), [Some(at(3)), Some(at(3)), None, None, None]);
        let third = key.stepped_up(one, at(5));
        assert_eq!(reached(third), [Some(at(5)), Some(at(5)), Some(at(3)), Some(at(3)), None]);
        let attested = SignedIn { two_factors: Some(at(7)), one_factor: Some(at(8)), ..none };
        assert_eq!(reached(attested), [Some(at(8)), Some(at(8)), Some(at(7)), None, None]);
        assert_eq!((third.highest(), attested.highest(), key.highest()), (Some(3), Some(2), Some(1)));
    }

    #[test]
    fn an_age_is_met_to_the_second_and_a_level_that_nobody_knows_never() {
        let both = SignedIn::default().stepped_up(SignInLevel::TwoFactors, at(100));
        let meets = |level, oldest, now: i64| both.meets(SignInDemand { level, oldest }, Timestamp::from_micros(now));
        assert_eq!(meets(2, 60, 160_000_000), Ok(()));
        assert_eq!(meets(2, 60, 160_000_001), Err(ProofError::SignInTooOld { level: 2, oldest: 60 }));
        assert_eq!(meets(3, 60, 100_000_000), Err(ProofError::SignInTooLow { level: 3, shown: 2 }));
        assert_eq!(meets(255, u32::MAX, 100_000_000), Err(ProofError::SignInTooLow { level: 255, shown: 2 }));
        assert_eq!(meets(0, 60, 100_000_000), Ok(()));
        assert_eq!(meets(2, 60, -20_000_000), Ok(()));
        assert_eq!(meets(2, 60, -20_000_001), Err(ProofError::SignInTooOld { level: 2, oldest: 60 }));
    }

    #[test]
    fn of_all_blocks_the_highest_level_and_the_shortest_age_count() {
        assert_eq!(SignInDemand::of([].into_iter()), None);
        let demand = SignInDemand::of([(1, 60), (2, 3_600), (1, 600)].into_iter());
        assert_eq!(demand, Some(SignInDemand { level: 2, oldest: 60 }));
    }

    #[test]
    fn a_proof_is_good_for_its_principal_in_its_vault_for_less_than_sixty_seconds() {
        let (here, elsewhere) = (Arc::new(Opened::default()), Arc::new(Opened::default()));
        let [osei, ama] = [7, 8].map(|byte| PrincipalId::from_bytes([byte; 16]));
        let proof = || AuthProof::new(&here, osei, SignInLevel::OneFactor, at(100));
        let seen = (SignInLevel::OneFactor, at(100));
        assert_eq!(proof().look_for(osei, &here, at(100)), Ok(seen));
        assert_eq!(proof().look_for(osei, &here, Timestamp::from_micros(159_999_999)), Ok(seen));
        assert_eq!(proof().look_for(osei, &here, at(160)), Err(ProofError::SignInExpired));
        assert_eq!(proof().look_for(osei, &here, at(99)), Err(ProofError::SignInExpired));
        assert_eq!(proof().look_for(ama, &here, at(100)), Err(ProofError::SignInOfAnother));
        assert_eq!(proof().look_for(osei, &elsewhere, at(100)), Err(ProofError::SignInElsewhere));
        let before = proof();
        here.reset(osei);
        assert_eq!(before.look_for(osei, &here, at(100)), Err(ProofError::SignInExpired));
        assert_eq!(proof().look_for(osei, &here, at(100)), Ok(seen));
    }

    #[test]
    fn levels_come_back_from_their_codes() {
        let codes: Vec<u8> = (0..=u8::MAX).filter(|code| SignInLevel::from_code(*code).is_some()).collect();
        assert_eq!(codes, [1, 2, 3]);
        for code in codes {
            assert_eq!(SignInLevel::from_code(code).map(SignInLevel::code), Some(code));
        }
    }
}
