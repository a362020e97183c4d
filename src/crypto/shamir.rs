//! Shamir's secret sharing (Shamir 1979) over GF(2⁸), byte by byte, with the field of AES (x⁸ + x⁴ + x³ + x + 1): `vsss-rs`
//! with the random bytes of [`random`].
//!
//! A share is the value at x = 1, 2, … of a polynomial whose value at 0 is the secret. Every other coefficient is uniform
//! over the whole field, zero included, the highest as well: anything else would tell something about the secret. Field
//! operations take the same time for all values.

use std::convert::Infallible;

use rand_core::{CryptoRng, TryCryptoRng, TryRng};
use vsss_rs::{Gf256, IdentifierGf256, Polynomial, ReadableShareSet};
use zeroize::Zeroizing;

use super::{RandomFailed, random};
use crate::secret::Secret;

/// An x and the value there; in a polynomial a coefficient, or at its head the secret.
type Point = (IdentifierGf256, IdentifierGf256);

/// The most that can be needed.
const MOST: usize = 16;

const fn element(byte: u8) -> IdentifierGf256 {
    IdentifierGf256(Gf256(byte))
}

/// The shares at 1 to `of`, of which `needed` give the secret; `None` unless 2 ≤ `needed` ≤ `of` and `needed` ≤ 16.
pub(crate) fn split(secret: &Secret<32>, needed: u8, of: u8) -> Result<Option<Vec<Secret<32>>>, RandomFailed> {
    let mut drawn = Drawn { failed: false };
    let shares = split_with(secret, needed, of, &mut drawn);
    if drawn.failed { Err(RandomFailed) } else { Ok(shares) }
}

/// Splits with coefficients from `random`: those of x, x², … for the first byte, then for the next.
pub(crate) fn split_with(
    secret: &Secret<32>,
    needed: u8,
    of: u8,
    random: &mut impl CryptoRng,
) -> Option<Vec<Secret<32>>> {
    if needed < 2 || needed > of {
        return None;
    }
    let needed = usize::from(needed);
    let mut polynomial = Zeroizing::new([Point::default(); MOST]);
    let mut shares: Vec<Secret<32>> = (0..of).map(|_| Secret::zeroed()).collect();
    for (at, byte) in secret.expose().iter().enumerate() {
        Polynomial::fill(&mut *polynomial, &element(*byte), &mut *random, needed).ok()?;
        for (x, share) in (1..=of).zip(&mut shares) {
            *share.expose_mut().get_mut(at)? = polynomial.evaluate(&element(x), needed).0.0;
        }
    }
    Some(shares)
}

/// The secret of these shares, all of which count; `None` for fewer than two, more than 16, an x given twice, or an x of 0.
pub(crate) fn combine(shares: &[(u8, &Secret<32>)]) -> Option<Secret<32>> {
    let mut points = Zeroizing::new([Point::default(); MOST]);
    let points = points.get_mut(..shares.len())?;
    let mut secret = Secret::zeroed();
    for (at, byte) in secret.expose_mut().iter_mut().enumerate() {
        for (point, (x, value)) in points.iter_mut().zip(shares) {
            *point = (element(*x), element(*value.expose().get(at)?));
        }
        *byte = points.combine().ok()?.0.0;
    }
    Some(secret)
}

/// [`random`] as the library wants it. Its trait knows no failure, so one is kept until the library returns, and what it
/// returns is thrown away then.
struct Drawn {
    failed: bool,
}

impl Drawn {
    fn array<const N: usize>(&mut self) -> [u8; N] {
        random::array().unwrap_or_else(|RandomFailed| {
            self.failed = true;
            [0; N]
        })
    }
}

impl TryRng for Drawn {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        Ok(u32::from_ne_bytes(self.array()))
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        Ok(u64::from_ne_bytes(self.array()))
    }

    fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), Infallible> {
        bytes.fill_with(|| u8::from_ne_bytes(self.array()));
        Ok(())
    }
}

impl TryCryptoRng for Drawn {}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn secret(mut bytes: [u8; 32]) -> Secret<32> {
        Secret::take(&mut bytes)
    }

    #[test]
    fn the_field_is_that_of_aes() {
        // FIPS 197, section 4.2, and the inverse of its example for the S-box.
        assert_eq!((Gf256(0x57) * Gf256(0x83), Gf256(0x57) * Gf256(0x13)), (Gf256(0xC1), Gf256(0xFE)));
        assert_eq!(Gf256(0xFF) / Gf256(0x53), Gf256(0xFF) * Gf256(0xCA));
        for a in 0..=255 {
            assert_eq!((Gf256(a) * Gf256(1), Gf256(a) * Gf256(0)), (Gf256(a), Gf256(0)));
            for b in 1..=255 {
                assert_eq!(Gf256(a) * Gf256(b), Gf256(b) * Gf256(a));
                assert_eq!(Gf256(a) * Gf256(b) / Gf256(b), Gf256(a));
            }
        }
    }

    proptest! {
        #[test]
        fn any_shares_that_are_enough_give_the_secret(
            bytes: [u8; 32], needed in 2..=16_u8, order in Just((1..=16_u8).collect::<Vec<_>>()).prop_shuffle(),
        ) {
            let shares = split(&secret(bytes), needed, 16).unwrap().unwrap();
            let points: Vec<_> = order.iter().map(|x| (*x, &shares[usize::from(*x) - 1])).collect();
            for count in usize::from(needed)..=16 {
                let back = combine(&points[..count]).unwrap();
                prop_assert_eq!(back.expose(), &bytes);
            }
        }
    }

    #[test]
    fn what_no_polynomial_fits_is_refused() {
        let whole = secret([7; 32]);
        for (needed, of) in [(0, 0), (0, 3), (1, 3), (3, 2), (17, 17)] {
            assert!(split(&whole, needed, of).unwrap().is_none(), "{needed} of {of}");
        }
        let refused: [&[u8]; 5] =
            [&[], &[1], &[1, 1], &[0, 1], &[1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17]];
        for numbers in refused {
            let points: Vec<_> = numbers.iter().map(|x| (*x, &whole)).collect();
            assert!(combine(&points).is_none(), "{numbers:?}");
        }
    }

    /// With one share fewer than needed, every secret fits: for each there is one value of the share that is missing.
    #[test]
    fn one_share_fewer_tells_nothing() {
        let shown = secret([0x5A; 32]);
        let mut seen = std::collections::HashSet::new();
        for missing in 0..=255_u8 {
            seen.insert(combine(&[(1, &shown), (2, &secret([missing; 32]))]).unwrap().expose()[0]);
        }
        assert_eq!(seen.len(), 256);
    }

    /// The coefficients over many splits of one secret: all of the field, none much oftener than another. With three needed
    /// and a secret of zeros, those of x and x² follow from the values at 1 and 2.
    #[test]
    fn every_coefficient_is_spread_over_the_whole_field() {
        let whole = secret([0; 32]);
        let mut counts = [[0_u32; 256]; 2];
        for _ in 0..2_000 {
            let shares = split(&whole, 3, 3).unwrap().unwrap();
            for (one, two) in shares[0].expose().iter().zip(shares[1].expose()) {
                let (one, two) = (Gf256(*one), Gf256(*two));
                // one = c1 + c2 and two = 2·c1 + 4·c2, so that 2·one + two = 6·c2.
                let highest = (one * Gf256(2) + two) / Gf256(6);
                for (counts, coefficient) in counts.iter_mut().zip([one - highest, highest]) {
                    counts[usize::from(coefficient.0)] += 1;
                }
            }
        }
        // 64,000 bytes, 250 of each value on average, a standard deviation of 16.
        assert!(counts.as_flattened().iter().all(|count| (130..370).contains(count)), "{counts:?}");
    }
}
