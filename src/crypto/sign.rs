//! Ed25519 (RFC 8032), verified strictly: canonical encodings only, no small-order keys, no malleable signatures.

use ed25519_dalek::{Signer, SigningKey, VerifyingKey};

use super::{RandomFailed, random};
use crate::secret::Secret;

/// Bytes of a signature.
pub(crate) const SIGNATURE_LEN: usize = 64;

/// Signs. The seed is wiped on drop.
pub(crate) struct SigningSeed(SigningKey);

impl SigningSeed {
    pub(crate) fn generate() -> Result<Self, RandomFailed> {
        Ok(Self::from_seed(&random::secret()?))
    }

    pub(crate) fn from_seed(seed: &Secret<32>) -> Self {
        Self(SigningKey::from_bytes(seed.expose()))
    }

    /// The 32-byte secret from which everything follows (RFC 8032, section 5.1.5).
    pub(crate) fn seed(&self) -> Secret<32> {
        Secret::take(&mut self.0.to_bytes())
    }

    pub(crate) fn public(&self) -> [u8; 32] {
        self.0.verifying_key().to_bytes()
    }

    pub(crate) fn sign(&self, message: &[u8]) -> [u8; SIGNATURE_LEN] {
        self.0.sign(message).to_bytes()
    }
}

/// Whether these bytes are a public key worth trusting: a canonical point that is not of small order.
pub(crate) fn is_sound_key(public: &[u8; 32]) -> bool {
    // `VerifyingKey` keeps the bytes it was given; only the point, compressed again, tells whether they are canonical.
    VerifyingKey::from_bytes(public)
        .is_ok_and(|key| !key.is_weak() && key.to_edwards().compress().to_bytes() == *public)
}

/// Whether `signature` over `message` was made by the holder of `public`; false for unsound keys.
pub(crate) fn verify(public: &[u8; 32], message: &[u8], signature: &[u8; SIGNATURE_LEN]) -> bool {
    let signature = ed25519_dalek::Signature::from_bytes(signature);
    is_sound_key(public)
        && VerifyingKey::from_bytes(public).is_ok_and(|key| key.verify_strict(message, &signature).is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// y = 3 and y = p + 3 are the same point, of large order; only the first is canonical.
    #[test]
    fn a_key_is_sound_in_its_canonical_form_only() {
        let mut three = [0; 32];
        three[0] = 3;
        let mut three_and_p = [0xFF; 32];
        (three_and_p[0], three_and_p[31]) = (0xF0, 0x7F);
        let points = [three, three_and_p].map(|key| VerifyingKey::from_bytes(&key).unwrap().to_edwards());
        assert_eq!(points[0], points[1]);
        assert!(is_sound_key(&three) && !is_sound_key(&three_and_p));
    }
}
