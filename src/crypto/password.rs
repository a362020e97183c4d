//! Passwords of people who sign in, and what is kept to check them: Argon2id (RFC 9106) under a salt of their own.

use std::fmt;

use super::passphrase::{PassphraseCost, argon2id, composed};
use super::{RandomFailed, hash, random};
use crate::secret::{Secret, SecretBytes};

/// The shortest password that can be set, in bytes (NIST SP 800-63B).
pub(crate) const MIN_PASSWORD: usize = 8;
/// The longest password, in bytes.
pub(crate) const MAX_PASSWORD: usize = 1_024;

/// The password of a person who signs in. Normalised to Unicode NFC (RFC 8265), so that it is the same on every keyboard;
/// wiped on drop, never printed. Not a [`Passphrase`](crate::Passphrase), which opens a vault: neither is taken for the other.
///
/// ```
/// use chartvault::Password;
/// let password = Password::new("seven ducks in a row");
/// assert_eq!(format!("{password:?}"), "Password(redacted)");
/// ```
pub struct Password(SecretBytes);

impl Password {
    /// Takes what was typed, of any length. One of less than 8 or more than 1,024 bytes is refused where it is to be set, and
    /// is never right where somebody signs in.
    #[must_use]
    pub fn new(text: &str) -> Self {
        // What is too long stays too long, and no work is done for it.
        let cut = text.floor_char_boundary(MAX_PASSWORD.saturating_add(4));
        Self(composed(text.get(..cut).unwrap_or(text)))
    }

    /// Bytes of its normal form; of one that is too long, at least more than may be.
    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }
}

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Password(redacted)")
    }
}

/// The memory that Argon2id takes could not be had.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct NoMemory {
    pub(crate) kib: u32,
}

/// What is kept of a password: `Argon2id(password, salt, m, t, p, 32)`, version 0x13.
pub(crate) struct Verifier {
    pub(crate) cost: PassphraseCost,
    pub(crate) salt: [u8; 32],
    pub(crate) hash: Secret<32>,
}

impl Verifier {
    /// That of a password that is set now.
    pub(crate) fn of(password: &Password, cost: PassphraseCost) -> Result<Result<Self, NoMemory>, RandomFailed> {
        let salt = random::array()?;
        Ok(derive(password, cost, &salt).map(|hash| Self { cost, salt, hash }))
    }

    /// Whether it is that of this password. Takes the memory and the time of its cost, whatever comes of it.
    pub(crate) fn holds(&self, password: &Password) -> Result<bool, NoMemory> {
        let derived = derive(password, self.cost, &self.salt)?;
        Ok(hash::equal(derived.expose(), self.hash.expose()) && password.len() <= MAX_PASSWORD)
    }
}

/// Does what checking a password costs, where there is none.
pub(crate) fn hold_none(password: &Password, cost: PassphraseCost) -> Result<(), NoMemory> {
    derive(password, cost, &[0; 32]).map(drop)
}

fn derive(password: &Password, cost: PassphraseCost, salt: &[u8; 32]) -> Result<Secret<32>, NoMemory> {
    let no_memory = NoMemory { kib: cost.memory_kib() };
    #[cfg(feature = "test-util")]
    super::scarce::take(super::scarce::Resource::PassphraseMemory).ok_or(no_memory)?;
    #[cfg(test)]
    work::note(cost);
    let mut out = Secret::zeroed();
    argon2id(&password.0, salt, cost, out.expose_mut()).ok_or(no_memory)?;
    Ok(out)
}

impl fmt::Debug for Verifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Verifier").field("cost", &self.cost).finish_non_exhaustive()
    }
}

/// What passwords cost on this thread, so that tests count rather than measure.
#[cfg(test)]
pub(crate) mod work {
    use super::PassphraseCost;
    use std::cell::RefCell;

    thread_local! {
        static DONE: RefCell<Vec<PassphraseCost>> = const { RefCell::new(Vec::new()) };
    }

    pub(super) fn note(cost: PassphraseCost) {
        DONE.with_borrow_mut(|done| done.push(cost));
    }

    /// All since it was last asked.
    pub(crate) fn take() -> Vec<PassphraseCost> {
        DONE.take()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const COST: PassphraseCost = PassphraseCost::MINIMUM;

    #[test]
    fn a_verifier_holds_for_its_password_alone_however_it_was_typed() {
        let verifier = Verifier::of(&Password::new("M\u{fc}ller's dog"), COST).unwrap().unwrap();
        assert_eq!(verifier.holds(&Password::new("Mu\u{308}ller's dog")), Ok(true));
        for other in ["", "Muller's dog", "M\u{fc}ller's dog "] {
            assert_eq!(verifier.holds(&Password::new(other)), Ok(false), "{other:?}");
        }
        let again = Verifier::of(&Password::new("M\u{fc}ller's dog"), COST).unwrap().unwrap();
        assert_ne!((again.salt, again.hash.expose()), (verifier.salt, verifier.hash.expose()));
    }

    #[test]
    fn a_password_that_is_too_long_stays_too_long_and_is_never_another() {
        let longest = "a".repeat(MAX_PASSWORD);
        assert_eq!(Password::new(&longest).len(), MAX_PASSWORD);
        for more in [1, 5, 1 << 20] {
            assert!(Password::new(&"a".repeat(MAX_PASSWORD + more)).len() > MAX_PASSWORD, "{more}");
        }
        // Composing makes it shorter than what may be set, but only where it was as long as that before.
        assert!(Password::new(&"u\u{308}".repeat(1 << 10)).len() <= MAX_PASSWORD);
        let verifier = Verifier::of(&Password::new(&"a".repeat(MAX_PASSWORD + 4)), COST).unwrap().unwrap();
        assert_eq!(verifier.holds(&Password::new(&"a".repeat(MAX_PASSWORD + 9))), Ok(false));
    }

    #[test]
    fn checking_nothing_costs_what_checking_something_costs() {
        let verifier = Verifier::of(&Password::new("correct horse"), COST).unwrap().unwrap();
        work::take();
        assert_eq!(verifier.holds(&Password::new("correct horse")), Ok(true));
        assert_eq!(hold_none(&Password::new("correct horse"), COST), Ok(()));
        assert_eq!(work::take(), [COST, COST]);
    }
}
