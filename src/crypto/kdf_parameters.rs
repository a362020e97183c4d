//! How a passphrase becomes a key, as it is chosen and shown.

use std::fmt;

use super::passphrase::PassphraseCost;
use super::pbkdf2::Pbkdf2Iterations;

/// The derivation of a key from a passphrase, with its cost. Made `From` a [`PassphraseCost`] or [`Pbkdf2Iterations`], so
/// that methods take any of them.
///
/// ```
/// use chartvault::{KdfParameters, PassphraseCost};
/// let chosen = KdfParameters::from(PassphraseCost::new(128 * 1024, 3, 1)?);
/// assert_eq!(chosen.to_string(), "Argon2id, 128 MiB, 3 passes, 1 lane");
/// # Ok::<(), chartvault::CostOutOfBounds>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum KdfParameters {
    /// Argon2id (RFC 9106).
    Argon2id(PassphraseCost),
    /// PBKDF2-HMAC-SHA-256 (RFC 8018), for sites that must.
    Pbkdf2(Pbkdf2Iterations),
}

impl KdfParameters {
    /// What is recommended now: Argon2id with 64 MiB, 3 passes and 1 lane. Grows with what machines can do; slots that were
    /// made before keep theirs until they are upgraded ([`Unlocking::upgrade_kdf`](crate::Unlocking::upgrade_kdf)).
    #[must_use]
    pub const fn recommended() -> Self {
        Self::Argon2id(PassphraseCost::RECOMMENDED)
    }

    /// Whether guessing costs less than with `other`: less memory, or less work in all. PBKDF2, which needs no memory, is
    /// weaker than any Argon2id.
    ///
    /// ```
    /// use chartvault::{KdfParameters, PassphraseCost, Pbkdf2Iterations};
    /// let recommended = KdfParameters::recommended();
    /// assert!(KdfParameters::from(PassphraseCost::MINIMUM).is_weaker_than(recommended));
    /// assert!(KdfParameters::from(Pbkdf2Iterations::MAXIMUM).is_weaker_than(recommended));
    /// assert!(!recommended.is_weaker_than(recommended));
    /// ```
    #[must_use]
    pub const fn is_weaker_than(self, other: Self) -> bool {
        match (self, other) {
            (Self::Pbkdf2(_), Self::Argon2id(_)) => true,
            (Self::Argon2id(_), Self::Pbkdf2(_)) => false,
            (Self::Pbkdf2(own), Self::Pbkdf2(other)) => own.get() < other.get(),
            // The bounds keep the product far below what 32 bits hold.
            (Self::Argon2id(own), Self::Argon2id(other)) => {
                own.memory_kib() < other.memory_kib()
                    || own.memory_kib() * own.passes() < other.memory_kib() * other.passes()
            }
        }
    }
}

impl Default for KdfParameters {
    fn default() -> Self {
        Self::recommended()
    }
}

impl From<PassphraseCost> for KdfParameters {
    fn from(cost: PassphraseCost) -> Self {
        Self::Argon2id(cost)
    }
}

impl From<Pbkdf2Iterations> for KdfParameters {
    fn from(iterations: Pbkdf2Iterations) -> Self {
        Self::Pbkdf2(iterations)
    }
}

impl fmt::Display for KdfParameters {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Pbkdf2(iterations) => write!(f, "PBKDF2-HMAC-SHA-256, {} iterations", iterations.get()),
            Self::Argon2id(cost) => {
                let (passes, lanes) = (cost.passes(), cost.lanes());
                match cost.memory_kib() {
                    kib if kib % 1024 == 0 => write!(f, "Argon2id, {} MiB", kib / 1024)?,
                    kib => write!(f, "Argon2id, {kib} KiB")?,
                }
                write!(f, ", {passes} pass{}, {lanes} lane{}", plural(passes, "es"), plural(lanes, "s"))
            }
        }
    }
}

const fn plural(count: u32, ending: &'static str) -> &'static str {
    if count == 1 { "" } else { ending }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weaker_is_less_memory_or_less_work() {
        let argon = |m: u32, t| KdfParameters::from(PassphraseCost::new(m * 1024, t, 1).unwrap());
        let weaker = |own: KdfParameters, other| own.is_weaker_than(other);
        assert!(weaker(argon(19, 2), argon(64, 3)) && weaker(argon(64, 2), argon(64, 3)));
        // Less memory, more passes: weaker either way round.
        assert!(weaker(argon(32, 16), argon(64, 3)) && weaker(argon(64, 3), argon(32, 16)));
        assert!(!weaker(argon(64, 3), argon(64, 3)) && !weaker(argon(1024, 4), argon(64, 3)));
        let pbkdf2 = |iterations| KdfParameters::from(Pbkdf2Iterations::new(iterations).unwrap());
        assert!(weaker(pbkdf2(600_000), pbkdf2(600_001)) && !weaker(pbkdf2(600_001), pbkdf2(600_000)));
        assert!(weaker(pbkdf2(10_000_000), argon(19, 2)) && !weaker(argon(19, 2), pbkdf2(10_000_000)));
        assert_eq!(KdfParameters::default(), KdfParameters::recommended());
    }
}
