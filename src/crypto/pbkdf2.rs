//! PBKDF2-HMAC-SHA-256 (RFC 8018), for sites whose rules ask for it, with bounds that are checked before any work.

use sha2::Sha256;

/// Iterations of PBKDF2-HMAC-SHA-256 (RFC 8018) for turning a passphrase into a key: 600,000 to 10,000,000.
///
/// It needs no memory, so whoever guesses with special hardware pays less than for Argon2id
/// ([`PassphraseCost`](crate::PassphraseCost)), which is to be preferred wherever it is allowed.
///
/// ```
/// use chartvault::{KdfParameters, Pbkdf2Iterations};
/// let chosen = KdfParameters::from(Pbkdf2Iterations::new(1_000_000)?);
/// assert_eq!(chosen.to_string(), "PBKDF2-HMAC-SHA-256, 1000000 iterations");
/// assert!(Pbkdf2Iterations::new(100_000).is_err());
/// # Ok::<(), chartvault::IterationsOutOfBounds>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Pbkdf2Iterations(u32);

/// Iterations outside the bounds. Nothing was computed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{iterations} iterations of PBKDF2 are outside the bounds: 600,000 to 10,000,000")]
pub struct IterationsOutOfBounds {
    iterations: u32,
}

impl Pbkdf2Iterations {
    /// The least that is accepted, and what OWASP asks for: 600,000.
    pub const MINIMUM: Self = Self(600_000);
    /// The most that is accepted: 10,000,000.
    pub const MAXIMUM: Self = Self(10_000_000);

    /// Checks and takes a number of iterations.
    ///
    /// # Errors
    /// [`IterationsOutOfBounds`] below 600,000 and above 10,000,000.
    pub const fn new(iterations: u32) -> Result<Self, IterationsOutOfBounds> {
        if iterations < Self::MINIMUM.0 || iterations > Self::MAXIMUM.0 {
            return Err(IterationsOutOfBounds { iterations });
        }
        Ok(Self(iterations))
    }

    /// The number.
    #[must_use]
    pub const fn get(self) -> u32 {
        self.0
    }
}

pub(super) fn pbkdf2_hmac_sha256(password: &[u8], salt: &[u8], iterations: u32, out: &mut [u8]) {
    pbkdf2::pbkdf2_hmac::<Sha256>(password, salt, iterations, out);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bounds_of_iterations_are_exact() {
        let ok = |iterations| Pbkdf2Iterations::new(iterations).is_ok();
        assert!(ok(600_000) && !ok(599_999) && ok(10_000_000) && !ok(10_000_001) && !ok(0) && !ok(u32::MAX));
    }

    /// RFC 7914, section 11.
    #[test]
    fn the_rfcs_test_vectors_hold() {
        let vectors = [
            (&b"passwd"[..], &b"salt"[..], 1, "55ac046e56e3089fec1691c22544b605f94185216dde0465e68b9d57c20dacbc"),
            (b"Password", b"NaCl", 80_000, "4ddcd8f60b98be21830cee5ef22701f9641a4418d04c0414aeff08876b34ab56"),
        ];
        for (password, salt, iterations, expected) in vectors {
            let mut out = [0; 32];
            pbkdf2_hmac_sha256(password, salt, iterations, &mut out);
            assert_eq!(data_encoding::HEXLOWER.encode(&out), expected);
        }
    }
}
