//! SHA-256 (FIPS 180-4), HMAC-SHA-256 (RFC 2104) and HKDF-SHA-256 (RFC 5869).

use std::io::{self, Write};

use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use crate::secret::Secret;

/// `H(part ‖ part ‖ …)`.
pub(crate) fn sha256(parts: &[&[u8]]) -> [u8; 32] {
    #[cfg(test)]
    super::counted::one("hash");
    let mut hasher = Sha256::new();
    for part in parts {
        hasher.update(part);
    }
    hasher.finalize().into()
}

/// Hashes and counts what goes through it.
pub(crate) struct Sha256Writer<'w> {
    out: &'w mut dyn Write,
    hasher: Sha256,
    bytes: u64,
}

impl<'w> Sha256Writer<'w> {
    pub(crate) fn new(out: &'w mut dyn Write) -> Self {
        Self { out, hasher: Sha256::new(), bytes: 0 }
    }

    /// How many bytes went through, and their hash.
    pub(crate) fn finish(self) -> (u64, [u8; 32]) {
        (self.bytes, self.hasher.finalize().into())
    }
}

impl Write for Sha256Writer<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let taken = self.out.write(bytes)?;
        self.hasher.update(bytes.get(..taken).unwrap_or(bytes));
        self.bytes = self.bytes.saturating_add(u64::try_from(taken).unwrap_or(u64::MAX));
        Ok(taken)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

/// The first `N` bytes of `H(part ‖ part ‖ …)`, `N` at most 32.
pub(crate) fn sha256_short<const N: usize>(parts: &[&[u8]]) -> [u8; N] {
    truncate(&sha256(parts))
}

/// The first `N` bytes of a 32-byte hash, `N` at most 32.
pub(crate) fn truncate<const N: usize>(hash: &[u8; 32]) -> [u8; N] {
    const { assert!(N <= 32) };
    let mut short = [0; N];
    for (to, from) in short.iter_mut().zip(hash) {
        *to = *from;
    }
    short
}

/// Compares in time that does not depend on the contents.
pub(crate) fn equal(a: &[u8], b: &[u8]) -> bool {
    a.ct_eq(b).into()
}

/// An HMAC-SHA-256 key with its key schedule done, for keys that are used often. The state is wiped on drop.
#[derive(Clone)]
pub(crate) struct HmacKey(Hmac<Sha256>);

impl HmacKey {
    pub(crate) fn new(key: &[u8; 32]) -> Self {
        #[cfg(test)]
        super::counted::one("key schedule");
        // A 32-byte key is always accepted; the array form of the constructor cannot fail.
        Self(Hmac::new(&pad_to_block(key).into()))
    }

    /// `HMAC(key, part ‖ part ‖ …)`.
    pub(crate) fn tag(&self, parts: &[&[u8]]) -> [u8; 32] {
        #[cfg(test)]
        super::counted::one("tag");
        let mut mac = self.0.clone();
        for part in parts {
            mac.update(part);
        }
        mac.finalize().into_bytes().into()
    }
}

/// HMAC pads a shorter key with zeros to the hash's block (RFC 2104, section 2); doing so beforehand changes nothing.
fn pad_to_block(key: &[u8; 32]) -> [u8; 64] {
    let mut block = [0; 64];
    for (to, from) in block.iter_mut().zip(key) {
        *to = *from;
    }
    block
}

/// `HMAC(key, part ‖ part ‖ …)` for a key used once.
pub(crate) fn hmac(key: &[u8; 32], parts: &[&[u8]]) -> [u8; 32] {
    HmacKey::new(key).tag(parts)
}

/// A pseudorandom key of HKDF (the formats need one and two blocks of Expand, which cannot fail), ready to expand; its key schedule is done once. Wiped on drop.
#[derive(Clone)]
pub(crate) struct Prk(HmacKey);

impl Prk {
    /// A uniformly random key is a pseudorandom key already (RFC 5869, section 3.3).
    pub(crate) fn from_key(key: &[u8; 32]) -> Self {
        Self(HmacKey::new(key))
    }

    /// `HKDF-Extract(salt, ikm)`.
    pub(crate) fn extract(salt: &[u8; 32], ikm: &[u8]) -> Self {
        let mut prk = hmac(salt, &[ikm]);
        let key = Self::from_key(&prk);
        zeroize::Zeroize::zeroize(&mut prk);
        key
    }

    /// `HKDF-Expand(self, info, 32)`: one block, `HMAC(self, info ‖ 0x01)`.
    pub(crate) fn expand32(&self, info: &[&[u8]]) -> Secret<32> {
        let mut block = self.block(&[], info, 1);
        Secret::take(&mut block)
    }

    /// `HKDF-Expand(self, info, 64)`, as its two halves.
    pub(crate) fn expand64(&self, info: &[&[u8]]) -> (Secret<32>, [u8; 32]) {
        let mut first = self.block(&[], info, 1);
        let second = self.block(&first, info, 2);
        (Secret::take(&mut first), second)
    }

    fn block(&self, previous: &[u8], info: &[&[u8]], counter: u8) -> [u8; 32] {
        #[cfg(test)]
        super::counted::one("block of a derivation");
        let mut mac = self.0.0.clone();
        mac.update(previous);
        for part in info {
            mac.update(part);
        }
        mac.update(&[counter]);
        mac.finalize().into_bytes().into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// The derivations here unroll the one and two blocks that the formats use; the library's general form agrees.
        #[test]
        fn hkdf_agrees_with_its_library(salt: [u8; 32], ikm: [u8; 32], info in proptest::collection::vec(any::<u8>(), 0..100)) {
            let library = hkdf::Hkdf::<Sha256>::new(Some(&salt), &ikm);
            let prk = Prk::extract(&salt, &ikm);
            let mut expected = [0; 64];
            library.expand(&info, &mut expected).unwrap();
            let (first, second) = prk.expand64(&[&info]);
            let short = prk.expand32(&[&info]);
            prop_assert_eq!(short.expose(), first.expose());
            prop_assert_eq!([*first.expose(), second].concat(), &expected[..]);
        }
    }
}
