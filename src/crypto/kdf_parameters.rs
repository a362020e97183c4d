//! How a passphrase becomes a key, as it is chosen and shown.

use std::fmt;

use super::passphrase::PassphraseCost;

/// The derivation of a key from a passphrase, with its cost. Made `From` a [`PassphraseCost`], so that methods take
/// either.
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

impl fmt::Display for KdfParameters {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
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
