//! Shamir's secret sharing (Shamir 1979) over GF(2⁸), byte by byte, with the field of AES (x⁸ + x⁴ + x³ + x + 1).
//!
//! A share is the value at x = 1, 2, … of a polynomial whose value at 0 is the secret. Every other coefficient is uniform
//! over the whole field, zero included, the highest as well: anything else would tell something about the secret. Field
//! operations take the same time for all values.

use super::{RandomFailed, random};
use crate::secret::Secret;

/// The share at `x`, which is not 0, of a secret; `coefficients` are those of x, x², …, each 32 random bytes.
pub(crate) fn share(secret: &Secret<32>, coefficients: &[Secret<32>], x: u8) -> Secret<32> {
    let mut sum = Secret::zeroed();
    // Horner's rule, from the highest coefficient down.
    for coefficient in coefficients.iter().rev().chain([secret]) {
        for (to, add) in sum.expose_mut().iter_mut().zip(coefficient.expose()) {
            *to = multiply(*to, x) ^ add;
        }
    }
    sum
}

/// Random coefficients for a secret that `needed` shares give back.
pub(crate) fn coefficients(needed: u8) -> Result<Vec<Secret<32>>, RandomFailed> {
    (1..needed).map(|_| random::secret()).collect()
}

/// The value at `at` of the polynomial of the lowest degree through these points, whose x all differ.
pub(crate) fn value_at(at: u8, points: &[(u8, &Secret<32>)]) -> Secret<32> {
    let mut sum = Secret::zeroed();
    for (x, value) in points {
        let others = || points.iter().map(|(other, _)| *other).filter(|other| other != x);
        let above = others().fold(1, |product, other| multiply(product, at ^ other));
        let below = others().fold(1, |product, other| multiply(product, x ^ other));
        let weight = multiply(above, inverse(below));
        for (to, byte) in sum.expose_mut().iter_mut().zip(value.expose()) {
            *to ^= multiply(*byte, weight);
        }
    }
    sum
}

/// The product, without a branch or a table that depends on the factors.
fn multiply(a: u8, b: u8) -> u8 {
    let (mut a, mut product) = (a, 0);
    for bit in 0..8 {
        product ^= a & mask(b >> bit);
        a = (a << 1) ^ (0x1B & mask(a >> 7));
    }
    product
}

/// All bits set where the lowest bit of `bit` is.
const fn mask(bit: u8) -> u8 {
    (bit & 1).wrapping_neg()
}

/// `a²⁵⁴`, which is 1 / a, and 0 for 0.
fn inverse(a: u8) -> u8 {
    // 254 = 2 + 4 + … + 128.
    let mut power = a;
    (0..7).fold(1, |product, _| {
        power = multiply(power, power);
        multiply(product, power)
    })
}

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
        assert_eq!((multiply(0x57, 0x83), multiply(0x57, 0x13)), (0xC1, 0xFE));
        assert_eq!(inverse(0x53), 0xCA);
        for a in 0..=255 {
            assert_eq!(multiply(a, inverse(a)), u8::from(a != 0));
            assert_eq!((multiply(a, 1), multiply(a, 0)), (a, 0));
            for b in 0..=255 {
                assert_eq!(multiply(a, b), multiply(b, a));
            }
        }
    }

    proptest! {
        #[test]
        fn any_shares_that_are_enough_give_the_secret_and_the_other_shares(
            bytes: [u8; 32], needed in 2..=16_u8, order in Just((1..=16_u8).collect::<Vec<_>>()).prop_shuffle(),
        ) {
            let whole = secret(bytes);
            let coefficients = coefficients(needed).unwrap();
            let shares: Vec<_> = order.iter().map(|x| (*x, share(&whole, &coefficients, *x))).collect();
            let points: Vec<_> = shares.iter().map(|(x, value)| (*x, value)).collect();
            let enough = &points[..usize::from(needed)];
            let (back, again) = (value_at(0, enough), value_at(points[15].0, enough));
            prop_assert_eq!(back.expose(), &bytes);
            prop_assert_eq!(again.expose(), points[15].1.expose());
        }
    }

    /// With one share fewer than needed, every secret fits: for each there is one value of the share that is missing.
    #[test]
    fn one_share_fewer_tells_nothing() {
        let shown = (1, secret([0x5A; 32]));
        let mut seen = std::collections::HashSet::new();
        for missing in 0..=255_u8 {
            let other = (2, secret([missing; 32]));
            seen.insert(value_at(0, &[(shown.0, &shown.1), (other.0, &other.1)]).expose()[0]);
        }
        assert_eq!(seen.len(), 256);
    }

    /// The values at one x over many splits of one secret: all of the field, none much oftener than another.
    #[test]
    fn shares_of_one_secret_are_spread_over_the_whole_field() {
        let whole = secret([0; 32]);
        let mut counts = [0_u32; 256];
        for _ in 0..2_000 {
            let coefficients = coefficients(2).unwrap();
            share(&whole, &coefficients, 1).expose().iter().for_each(|byte| counts[usize::from(*byte)] += 1);
        }
        // 64,000 bytes, 250 of each value on average, a standard deviation of 16.
        assert!(counts.iter().all(|count| (130..370).contains(count)), "{counts:?}");
    }
}
