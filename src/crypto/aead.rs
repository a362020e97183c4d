//! The two AEADs, each under a key that is used once: ChaCha20-Poly1305 (RFC 8439) and AES-256-GCM (NIST SP 800-38D).

use aes_gcm::Aes256Gcm;
use chacha20poly1305::ChaCha20Poly1305;
use chacha20poly1305::aead::inout::InOutBuf;
use chacha20poly1305::aead::{AeadInOut, KeyInit};

/// Bytes of an authentication tag, in both suites.
pub(crate) const TAG_LEN: usize = 16;

/// Which AEAD seals the vault's values. Chosen when the vault is created; both give 256-bit keys and 128-bit tags.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Suite {
    /// ChaCha20-Poly1305 (RFC 8439): the faster one where the processor has no AES instructions.
    ChaCha20Poly1305,
    /// AES-256-GCM (NIST SP 800-38D): for sites whose rules name AES, and several times as fast where the processor has
    /// instructions for it. Constant time in either case.
    Aes256Gcm,
}

impl Suite {
    /// The faster one on this processor: AES-256-GCM where it has instructions for AES and for carry-less multiplication.
    /// A vault can be taken to any other processor; there the same suite works on, if more slowly.
    ///
    /// ```
    /// use chartvault::Suite;
    /// println!("a vault that is created here seals with {:?}", Suite::fastest());
    /// ```
    #[must_use]
    pub fn fastest() -> Self {
        #[cfg(any(target_arch = "x86_64", target_arch = "x86"))]
        let has_aes = std::arch::is_x86_feature_detected!("aes") && std::arch::is_x86_feature_detected!("pclmulqdq");
        #[cfg(target_arch = "aarch64")]
        let has_aes = std::arch::is_aarch64_feature_detected!("aes");
        #[cfg(not(any(target_arch = "x86_64", target_arch = "x86", target_arch = "aarch64")))]
        let has_aes = false;
        if has_aes { Self::Aes256Gcm } else { Self::ChaCha20Poly1305 }
    }

    /// The byte that stands for it in stored formats.
    pub(crate) const fn code(self) -> u8 {
        match self {
            Self::ChaCha20Poly1305 => 1,
            Self::Aes256Gcm => 2,
        }
    }

    /// The suite of a stored byte.
    pub(crate) const fn from_code(code: u8) -> Option<Self> {
        match code {
            1 => Some(Self::ChaCha20Poly1305),
            2 => Some(Self::Aes256Gcm),
            _ => None,
        }
    }
}

/// Encrypts `buffer` in place and appends the tag. `key` must never be used again: the nonce is always zero.
pub(crate) fn encrypt(suite: Suite, key: &[u8; 32], buffer: &mut Vec<u8>) -> Result<(), AeadFailed> {
    let tag = encrypt_once(suite, key, buffer)?;
    buffer.extend_from_slice(&tag);
    Ok(())
}

/// [`encrypt`], giving the tag.
pub(super) fn encrypt_once(suite: Suite, key: &[u8; 32], buffer: &mut [u8]) -> Result<[u8; TAG_LEN], AeadFailed> {
    encrypt_detached(suite, key, &[], &[0; 12], buffer)
}

/// Checks the tag at the end of `buffer`, removes it, and decrypts the rest in place.
pub(crate) fn decrypt(suite: Suite, key: &[u8; 32], buffer: &mut Vec<u8>) -> Result<(), AeadFailed> {
    let tag: [u8; TAG_LEN] = *buffer.last_chunk().ok_or(AeadFailed)?;
    buffer.truncate(buffer.len() - TAG_LEN);
    decrypt_detached(suite, key, &[], &[0; 12], buffer, &tag)
}

/// The tag does not fit (or more than 64 GiB were given). Says no more on purpose.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct AeadFailed;

pub(super) fn encrypt_detached(
    suite: Suite,
    key: &[u8; 32],
    aad: &[u8],
    nonce: &[u8; 12],
    buffer: &mut [u8],
) -> Result<[u8; TAG_LEN], AeadFailed> {
    #[cfg(test)]
    super::counted::one("encrypt");
    let buffer = InOutBuf::from(buffer);
    let tag = match suite {
        Suite::ChaCha20Poly1305 => ChaCha20Poly1305::new(key.into()).encrypt_inout_detached(nonce.into(), aad, buffer),
        Suite::Aes256Gcm => Aes256Gcm::new(key.into()).encrypt_inout_detached(nonce.into(), aad, buffer),
    };
    tag.map(Into::into).map_err(|_| AeadFailed)
}

pub(super) fn decrypt_detached(
    suite: Suite,
    key: &[u8; 32],
    aad: &[u8],
    nonce: &[u8; 12],
    buffer: &mut [u8],
    tag: &[u8; TAG_LEN],
) -> Result<(), AeadFailed> {
    #[cfg(test)]
    super::counted::one("decrypt");
    let buffer = InOutBuf::from(buffer);
    let opened = match suite {
        Suite::ChaCha20Poly1305 => {
            ChaCha20Poly1305::new(key.into()).decrypt_inout_detached(nonce.into(), aad, buffer, tag.into())
        }
        Suite::Aes256Gcm => Aes256Gcm::new(key.into()).decrypt_inout_detached(nonce.into(), aad, buffer, tag.into()),
    };
    opened.map_err(|_| AeadFailed)
}
