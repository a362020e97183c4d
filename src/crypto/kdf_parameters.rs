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

impl Default for KdfParameters {
    fn default() -> Self {
        Self::Argon2id(PassphraseCost::default())
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
