//! Public keys of those who sign notes.

use std::fmt;
use std::str::FromStr;

use data_encoding::BASE64;
use ed25519_dalek::{Signature, VerifyingKey};
use sha2::{Digest, Sha256};

use super::{from_base64, is_name};

/// What a signature is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum SignatureKind {
    /// Ed25519 over the note's text (type `01`).
    Ed25519,
    /// A witness's cosignature over a checkpoint and the time at which it was seen (type `04`).
    Cosignature,
}

impl SignatureKind {
    const fn code(self) -> u8 {
        match self {
            Self::Ed25519 => 1,
            Self::Cosignature => 4,
        }
    }
}

/// A public key with the name under which it signs; in text `name+hash+key`, a *vkey*.
///
/// ```
/// use chartvault_verify::note::VerifierKey;
/// let vkey = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW";
/// let key: VerifierKey = vkey.parse()?;
/// assert_eq!((key.name(), key.to_string().as_str()), ("PeterNeumann", vkey));
/// # Ok::<(), chartvault_verify::note::KeyError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VerifierKey {
    name: String,
    kind: SignatureKind,
    key: VerifyingKey,
}

/// Why a text is no vkey.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum KeyError {
    /// It is not `name+hash+key`, or the hash is not that of the key.
    #[error("this is no verifier key of the form name+hash+key; copy it whole")]
    Malformed,
    /// Its type is not one that this version knows.
    #[error("the key is of type {0:#04x}; Ed25519 (0x01) and cosignatures (0x04) are known")]
    UnknownKind(u8),
    /// Its name is empty, or has blanks or `+`.
    #[error("the name of a key must not be empty, and has no blanks and no +")]
    Name,
    /// Its bytes are no Ed25519 key that can be relied on.
    #[error("the key is no valid Ed25519 public key")]
    Weak,
}

impl VerifierKey {
    /// The key of somebody who signs under this name.
    ///
    /// # Errors
    /// [`KeyError::Name`], [`KeyError::Weak`].
    pub fn new(name: &str, kind: SignatureKind, key: &[u8; 32]) -> Result<Self, KeyError> {
        if !is_name(name) {
            return Err(KeyError::Name);
        }
        let key = VerifyingKey::from_bytes(key).ok().filter(|key| !key.is_weak()).ok_or(KeyError::Weak)?;
        Ok(Self { name: name.to_owned(), kind, key })
    }

    /// The name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What its signatures are over.
    #[must_use]
    pub const fn kind(&self) -> SignatureKind {
        self.kind
    }

    /// The 32 bytes of the Ed25519 key.
    #[must_use]
    pub fn bytes(&self) -> [u8; 32] {
        self.key.to_bytes()
    }

    /// `SHA-256(name ‖ 0x0A ‖ type ‖ key)[..4]`: tells keys of one name apart, and is no proof of anything.
    #[must_use]
    pub fn hash(&self) -> [u8; 4] {
        key_hash(&self.name, self.kind, self.key.as_bytes())
    }

    /// Whether `signature` (without the key's hash) is this key's over a note's text; of a cosignature, at which time, in
    /// seconds since 1970.
    pub(super) fn verify(&self, text: &str, signature: &[u8]) -> Option<Option<u64>> {
        let signed = |message: &[u8], signature: &[u8]| {
            let signature = Signature::from_slice(signature).ok()?;
            self.key.verify_strict(message, &signature).ok()
        };
        match self.kind {
            SignatureKind::Ed25519 => signed(text.as_bytes(), signature).map(|()| None),
            SignatureKind::Cosignature => {
                let (time, signature) = signature.split_first_chunk::<8>()?;
                let time = u64::from_be_bytes(*time);
                let message = format!("cosignature/v1\ntime {time}\n{text}");
                signed(message.as_bytes(), signature).map(|()| Some(time))
            }
        }
    }
}

/// The hash that stands before a signature by a key: `SHA-256(name ‖ 0x0A ‖ type ‖ key)[..4]`.
#[must_use]
pub fn key_hash(name: &str, kind: SignatureKind, key: &[u8; 32]) -> [u8; 4] {
    let hash = Sha256::new_with_prefix(name).chain_update(b"\n").chain_update(typed(kind, key)).finalize();
    hash.first_chunk().copied().unwrap_or_default()
}

/// A key as those who verify notes pin it, `name+hash+key`. Whether it can be relied on is not looked at: [`VerifierKey`] does
/// that when it reads it.
#[must_use]
pub fn vkey(name: &str, kind: SignatureKind, key: &[u8; 32]) -> String {
    let hash = u32::from_be_bytes(key_hash(name, kind, key));
    format!("{name}+{hash:08x}+{}", BASE64.encode(&typed(kind, key)))
}

fn typed(kind: SignatureKind, key: &[u8; 32]) -> [u8; 33] {
    let mut typed = [kind.code(); 33];
    typed.iter_mut().skip(1).zip(key).for_each(|(to, from)| *to = *from);
    typed
}

impl fmt::Display for VerifierKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&vkey(&self.name, self.kind, self.key.as_bytes()))
    }
}

impl FromStr for VerifierKey {
    type Err = KeyError;

    fn from_str(vkey: &str) -> Result<Self, KeyError> {
        let (name, rest) = vkey.split_once('+').ok_or(KeyError::Malformed)?;
        let (hash, key) = rest.split_once('+').ok_or(KeyError::Malformed)?;
        let key = from_base64(key).ok_or(KeyError::Malformed)?;
        let (code, key) = key.split_first().ok_or(KeyError::Malformed)?;
        let kind = match code {
            1 => SignatureKind::Ed25519,
            4 => SignatureKind::Cosignature,
            other => return Err(KeyError::UnknownKind(*other)),
        };
        let key = Self::new(name, kind, key.try_into().map_err(|_| KeyError::Malformed)?)?;
        if hash != format!("{:08x}", u32::from_be_bytes(key.hash())) {
            return Err(KeyError::Malformed);
        }
        Ok(key)
    }
}
