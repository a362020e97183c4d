//! The one way to seal (docs/format.md, "Seal"). No key meets a nonce twice, because no key is used twice: each value's
//! key is derived from a salt that depends on the value, on its context and on fresh random bytes. The derivation also
//! yields a commitment, so that no ciphertext opens under two keys or in two places.

use super::aead::{self, Suite, TAG_LEN};
use super::hash::{self, HmacKey, Prk};
use super::kdf::SealLabel;
use super::{RandomFailed, pad, random};
use crate::secret::SecretBytes;
use zeroize::{Zeroize, Zeroizing};

/// Smallest padded size of a value.
pub(crate) const FLOOR_VALUE: usize = 256;
/// Smallest padded size of a key or an audit entry.
pub(crate) const FLOOR_KEY: usize = 64;

/// Bytes of salt and commitment before the ciphertext.
pub(crate) const SEALED_HEAD: usize = 64;

/// What [`Sealer::seal`] yields: `salt[32] ‖ commitment[32] ‖ ciphertext ‖ tag[16]`.
pub(crate) type SealedBytes = Vec<u8>;

/// Nothing opened: wrong key, wrong place, changed, moved or cut. Says no more on purpose.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct OpenError;

/// Nothing sealed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SealError {
    /// The plaintext does not fit a u32 length.
    TooLarge,
    Random,
}

impl From<RandomFailed> for SealError {
    fn from(_: RandomFailed) -> Self {
        Self::Random
    }
}

/// A key to seal and open with, having done once the derivations that do not depend on the value.
#[derive(Clone)]
pub(crate) struct Sealer {
    prk: Prk,
    hedge: HmacKey,
    label: SealLabel,
    floor: usize,
}

impl Sealer {
    pub(crate) fn new(prk: Prk, label: SealLabel, floor: usize) -> Self {
        let hedge = HmacKey::new(prk.expand32(&[label.hedge.bytes()]).expose());
        Self { prk, hedge, label, floor }
    }

    /// Size of the sealed form of a body of `len` bytes.
    pub(crate) const fn sealed_len(&self, len: usize) -> usize {
        SEALED_HEAD + pad::padded_len(len, self.floor) + TAG_LEN
    }

    /// Seals `body`, bound to `aad`.
    pub(crate) fn seal(&self, suite: Suite, aad: &[u8], body: &[u8]) -> Result<SealedBytes, SealError> {
        self.seal_with(suite, aad, body, &random::array()?)
    }

    /// [`Sealer::seal`] with given random bytes. The result stays safe when they repeat: other values give other keys.
    pub(crate) fn seal_with(
        &self,
        suite: Suite,
        aad: &[u8],
        body: &[u8],
        random: &[u8; 32],
    ) -> Result<SealedBytes, SealError> {
        let mut sealed = vec![0; self.sealed_len(body.len())];
        self.seal_into(suite, aad, body, random, &mut sealed)?;
        Ok(sealed)
    }

    /// [`Sealer::seal_with`] over all of `sealed`, which has [`Sealer::sealed_len`] bytes.
    pub(crate) fn seal_into(
        &self,
        suite: Suite,
        aad: &[u8],
        body: &[u8],
        random: &[u8; 32],
        sealed: &mut [u8],
    ) -> Result<(), SealError> {
        let done = self.try_seal_into(suite, aad, body, random, sealed);
        if done.is_none() {
            // The body may stand there.
            sealed.zeroize();
        }
        done.ok_or(SealError::TooLarge)
    }

    fn try_seal_into(&self, suite: Suite, aad: &[u8], body: &[u8], random: &[u8; 32], sealed: &mut [u8]) -> Option<()> {
        let (to_salt, rest) = sealed.split_first_chunk_mut::<32>()?;
        let (to_commitment, rest) = rest.split_first_chunk_mut::<32>()?;
        let (padded, to_tag) = rest.split_last_chunk_mut::<TAG_LEN>()?;
        pad::pad_into(body, padded)?;
        let aad_len = len_u64(aad).ok()?.to_be_bytes();
        let salt = self.hedge.tag(&[random, &aad_len, aad, padded]);
        let (key, commitment) = self.derive(&aad_len, aad, &salt);
        *to_tag = aead::encrypt_once(suite, key.expose(), padded).ok()?;
        (*to_salt, *to_commitment) = (salt, commitment);
        Some(())
    }

    /// Opens what [`Sealer::seal`] made with the same key, label, suite and `aad`.
    pub(crate) fn open(&self, suite: Suite, aad: &[u8], sealed: &[u8]) -> Result<SecretBytes, OpenError> {
        let (salt, rest) = sealed.split_first_chunk::<32>().ok_or(OpenError)?;
        let (commitment, ciphertext) = rest.split_first_chunk::<32>().ok_or(OpenError)?;
        let aad_len = len_u64(aad).map_err(|_| OpenError)?.to_be_bytes();
        let (key, expected) = self.derive(&aad_len, aad, salt);
        if !hash::equal(commitment, &expected) {
            return Err(OpenError);
        }
        let mut buffer = Zeroizing::new(ciphertext.to_vec());
        aead::decrypt(suite, key.expose(), &mut buffer).map_err(|_| OpenError)?;
        let body = pad::unpad(&buffer, self.floor).ok_or(OpenError)?;
        let len = body.len();
        buffer.copy_within(body, 0);
        buffer.truncate(len);
        Ok(buffer)
    }

    /// `k ‖ c = Expand(PRK, L(label) ‖ H(u64 len(AAD) ‖ AAD ‖ salt), 64)`.
    pub(super) fn derive(
        &self,
        aad_len: &[u8; 8],
        aad: &[u8],
        salt: &[u8; 32],
    ) -> (crate::secret::Secret<32>, [u8; 32]) {
        let context = hash::sha256(&[aad_len, aad, salt]);
        self.prk.expand64(&[self.label.seal.bytes(), &context])
    }
}

fn len_u64(bytes: &[u8]) -> Result<u64, SealError> {
    u64::try_from(bytes.len()).map_err(|_| SealError::TooLarge)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crypto::kdf::{SEAL_LOOKUP, SEAL_RECORD};
    use proptest::prelude::*;

    const SUITES: [Suite; 2] = [Suite::ChaCha20Poly1305, Suite::Aes256Gcm];

    fn sealer(key: u8) -> Sealer {
        Sealer::new(Prk::from_key(&[key; 32]), SEAL_RECORD, FLOOR_VALUE)
    }

    proptest! {
        #[test]
        fn open_inverts_seal(body in proptest::collection::vec(any::<u8>(), 0..3000), aad in proptest::collection::vec(any::<u8>(), 0..80)) {
            for suite in SUITES {
                let sealed = sealer(1).seal(suite, &aad, &body).unwrap();
                prop_assert_eq!(sealed.len(), sealer(1).sealed_len(body.len()));
                prop_assert_eq!(&sealer(1).open(suite, &aad, &sealed).unwrap()[..], &body[..]);
            }
        }
    }

    #[test]
    fn every_flipped_bit_and_every_cut_is_refused() {
        for suite in SUITES {
            let sealed = sealer(1).seal(suite, b"place", b"body").unwrap();
            for bit in 0..sealed.len() * 8 {
                let mut bad = sealed.clone();
                bad[bit / 8] ^= 1 << (bit % 8);
                assert_eq!(sealer(1).open(suite, b"place", &bad), Err(OpenError), "bit {bit}");
            }
            for len in 0..sealed.len() {
                assert_eq!(sealer(1).open(suite, b"place", &sealed[..len]), Err(OpenError), "length {len}");
            }
            let mut longer = sealed.clone();
            longer.push(0);
            assert_eq!(sealer(1).open(suite, b"place", &longer), Err(OpenError));
        }
    }

    #[test]
    fn another_key_label_place_or_suite_does_not_open() {
        let sealed = sealer(1).seal(SUITES[0], b"place", b"body").unwrap();
        let other_label = Sealer::new(Prk::from_key(&[1; 32]), SEAL_LOOKUP, FLOOR_VALUE);
        let other_floor = Sealer::new(Prk::from_key(&[1; 32]), SEAL_RECORD, FLOOR_KEY);
        assert!(sealer(1).open(SUITES[0], b"place", &sealed).is_ok());
        assert!(sealer(2).open(SUITES[0], b"place", &sealed).is_err());
        assert!(sealer(1).open(SUITES[0], b"other", &sealed).is_err());
        assert!(sealer(1).open(SUITES[1], b"place", &sealed).is_err());
        assert!(other_label.open(SUITES[0], b"place", &sealed).is_err());
        assert!(other_floor.open(SUITES[0], b"place", &sealed).is_err());
    }

    #[test]
    fn a_repeating_random_generator_still_gives_other_salts_for_other_values() {
        let seal =
            |aad: &[u8], body: &[u8]| sealer(1).seal_with(SUITES[0], aad, body, &[9; 32]).unwrap()[..32].to_vec();
        assert_ne!(seal(b"a", b"one"), seal(b"a", b"two"));
        assert_ne!(seal(b"a", b"one"), seal(b"b", b"one"));
        assert_eq!(seal(b"a", b"one"), seal(b"a", b"one"));
    }

    /// Someone who knows the key makes a ciphertext whose padding is not canonical.
    #[test]
    fn wrong_padding_under_a_valid_tag_is_refused() {
        let sealer = sealer(1);
        for break_it in [|padded: &mut Vec<u8>| padded[255] = 1, |padded: &mut Vec<u8>| padded.push(0)] {
            let salt = [3; 32];
            let (key, commitment) = sealer.derive(&5u64.to_be_bytes(), b"place", &salt);
            let mut buffer = pad::pad(b"body", FLOOR_VALUE, TAG_LEN).unwrap();
            break_it(&mut buffer);
            aead::encrypt(SUITES[0], key.expose(), &mut buffer).unwrap();
            let sealed = [&salt[..], &commitment, &buffer].concat();
            assert_eq!(sealer.open(SUITES[0], b"place", &sealed), Err(OpenError));
        }
    }
}
