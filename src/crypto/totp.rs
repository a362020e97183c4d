//! Time-based one-time passwords (RFC 6238) as authenticator apps make them: HMAC-SHA-1, 30 seconds, six digits.

use std::fmt;

use totp_rs::{Algorithm, Builder, Totp};

use super::{RandomFailed, random};
use crate::clock::Timestamp;
use crate::secret::Secret;

/// Bytes of a secret (RFC 4226, requirement R6).
pub(crate) const TOTP_SECRET: usize = 20;
/// Seconds of a step.
const STEP: u64 = 30;
const DIGITS: u8 = 6;
/// Steps before and after the present one whose codes count as well.
const SKEW: u64 = 1;

/// What an authenticator app and the vault share.
pub(crate) struct TotpSecret(Secret<TOTP_SECRET>);

impl TotpSecret {
    pub(crate) fn generate() -> Result<Self, RandomFailed> {
        random::secret().map(Self)
    }

    pub(crate) const fn new(secret: Secret<TOTP_SECRET>) -> Self {
        Self(secret)
    }

    pub(crate) fn expose(&self) -> &[u8; TOTP_SECRET] {
        self.0.expose()
    }

    /// A second copy, named so that copies stand out when reading.
    pub(crate) fn duplicate(&self) -> Self {
        let mut copy = Secret::zeroed();
        *copy.expose_mut() = *self.0.expose();
        Self(copy)
    }

    /// The step whose code this is, if it is that of the present step, the one before or the one after, and later than
    /// `used`. All of them are looked at, whichever fits.
    pub(crate) fn step_of(&self, code: &str, now: Timestamp, used: u64) -> Option<u64> {
        let present = now.as_secs() / STEP;
        let totp = self.totp();
        let fits = |step: &u64| totp.check(code, step.saturating_mul(STEP)).is_some() && *step > used;
        (present.saturating_sub(SKEW)..=present.saturating_add(SKEW)).filter(fits).fold(None, |_, step| Some(step))
    }

    /// The code of one step and no other.
    fn totp(&self) -> Totp {
        let builder = Builder::new().with_algorithm(Algorithm::SHA1).with_digits(DIGITS).with_step_duration(STEP);
        // What `build` checks besides is the length of the secret, and is given by its type.
        builder.with_skew(0).with_secret(totp_rs::Secret::new_stack(*self.0.expose())).build_noncompliant()
    }
}

impl fmt::Debug for TotpSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TotpSecret(redacted)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rfc_secret() -> TotpSecret {
        TotpSecret::new(Secret::take(&mut b"12345678901234567890".to_owned()))
    }

    fn at(second: u64) -> Timestamp {
        Timestamp::from_micros(i64::try_from(second).unwrap() * 1_000_000)
    }

    /// RFC 6238, appendix B, SHA-1: of its eight digits, the last six.
    const APPENDIX_B: [(u64, &str); 6] = [
        (59, "287082"),
        (1_111_111_109, "081804"),
        (1_111_111_111, "050471"),
        (1_234_567_890, "005924"),
        (2_000_000_000, "279037"),
        (20_000_000_000, "353130"),
    ];

    #[test]
    fn the_codes_of_rfc_6238_appendix_b_fit() {
        for (second, code) in APPENDIX_B {
            assert_eq!(rfc_secret().step_of(code, at(second), 0), Some(second / 30), "{second}");
        }
    }

    #[test]
    fn a_code_counts_from_one_step_early_to_one_step_late_to_the_second() {
        let (step, code) = (2_000_000_000 / 30, "279037");
        let found = |second| rfc_secret().step_of(code, at(second), 0);
        assert_eq!(found((step - 1) * 30 - 1), None);
        assert_eq!(found((step - 1) * 30), Some(step));
        assert_eq!(found((step + 2) * 30 - 1), Some(step));
        assert_eq!(found((step + 2) * 30), None);
    }

    #[test]
    fn a_step_that_was_used_and_those_before_it_count_no_more() {
        let (step, code) = (2_000_000_000 / 30, "279037");
        let found = |used| rfc_secret().step_of(code, at(step * 30), used);
        assert_eq!((found(step - 1), found(step), found(step + 1)), (Some(step), None, None));
    }

    #[test]
    fn what_is_no_code_fits_nothing() {
        for code in ["", "27903", "2790370", "27903a", "+79037", " 279037", "２７９０３７", "279 037", "279038"] {
            assert_eq!(rfc_secret().step_of(code, at(2_000_000_000), 0), None, "{code:?}");
        }
        assert_eq!(rfc_secret().step_of("279037", Timestamp::MIN, 0), None);
        assert_eq!(rfc_secret().step_of("279037", Timestamp::MAX, 0), None);
    }
}
