//! Proof, at session opening, that whoever presents a token has a key: the holder's for a bound token, a device's where
//! the token demands one. Each answers a challenge of the vault, once, for one purpose and one host.

use std::fmt;
use std::str::FromStr;

use super::error::TokenError;
use super::holder::UnverifiedToken;
use super::keys::{DeviceKey, DevicePublicKey, HolderKey};
use super::proof_error::InvalidProof;
use super::text;
use crate::bytes::{Put, Reader, Truncated};
use crate::crypto::kdf::cap;
use crate::crypto::sign::{self, SIGNATURE_LEN};
use crate::crypto::{RandomFailed, random};
use crate::ids::VaultId;
use crate::terms::Purpose;

/// What a vault gives out to be answered: 32 random bytes, good for one session opening within 60 seconds. No secret.
/// Shown as `cvch1_` and 43 characters of base64url.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Challenge([u8; 32]);

impl Challenge {
    const EXPECTED: &'static str = "a challenge (`cvch1_` and 43 characters of unpadded base64url)";
    const PREFIX: &'static str = "cvch1_";

    pub(crate) fn generate() -> Result<Self, RandomFailed> {
        random::array().map(Self)
    }

    /// From its 32 bytes.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// Its 32 bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// Its first 16 bytes, which are the nonce of sign-in attestations that answer it.
    pub(crate) fn nonce(&self) -> [u8; 16] {
        crate::crypto::hash::truncate(&self.0)
    }
}

impl fmt::Display for Challenge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        text::write(f, Self::PREFIX, &self.0)
    }
}

impl fmt::Debug for Challenge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Challenge {
    type Err = InvalidProof;

    fn from_str(text: &str) -> Result<Self, InvalidProof> {
        text::read(Self::PREFIX, text).map(Self).ok_or(InvalidProof::new(Self::EXPECTED))
    }
}

/// What a proof is for; only a vault that is asked for exactly this accepts it.
#[derive(Clone, Copy)]
pub(super) struct Occasion<'a> {
    pub(super) vault: VaultId,
    /// SHA-256 of the token's bytes.
    pub(super) token: &'a [u8; 32],
    pub(super) purpose: Purpose,
    /// What the host and its peer agree on about their connection; zeros where they do not.
    pub(super) transcript: &'a [u8; 32],
}

impl Occasion<'_> {
    /// `P = D"pop" ‖ vault id ‖ challenge ‖ H(token bytes) ‖ purpose u32 ‖ host transcript`.
    pub(super) fn message(&self, challenge: &Challenge) -> Vec<u8> {
        let mut message = Vec::new();
        message.put(cap::POP.bytes());
        message.put(self.vault.as_bytes());
        message.put(challenge.as_bytes());
        message.put(self.token);
        message.put_u32(self.purpose.bit());
        message.put(self.transcript);
        message
    }
}

/// The message that holder and device sign.
fn message(token: &UnverifiedToken, challenge: &Challenge, purpose: Purpose, transcript: &[u8; 32]) -> Vec<u8> {
    Occasion { vault: token.vault(), token: &token.digest(), purpose, transcript }.message(challenge)
}

impl HolderKey {
    /// Proves possession of this key for one session opening: with this token, for this purpose, answering this
    /// challenge. `transcript` is what the host and the holder agree on about their connection, such as a TLS exporter
    /// (RFC 9266), so that nobody in between can pass the proof on; zeros where there is nothing to agree on.
    ///
    /// # Errors
    /// [`TokenError::OtherHolder`] when the token's last block does not name this key.
    pub fn prove(
        &self,
        token: impl AsRef<UnverifiedToken>,
        challenge: &Challenge,
        purpose: Purpose,
        transcript: &[u8; 32],
    ) -> Result<Possession, TokenError> {
        let token = token.as_ref();
        if token.wire().last_public() != Some(self.seed().public()) {
            return Err(TokenError::OtherHolder);
        }
        let signature = self.seed().sign(&message(token, challenge, purpose, transcript));
        Ok(Possession { challenge: *challenge, signature })
    }
}

impl DeviceKey {
    /// Proves that a session is opened on this device; see [`HolderKey::prove`] for what the proof is bound to.
    pub fn prove(
        &self,
        token: impl AsRef<UnverifiedToken>,
        challenge: &Challenge,
        purpose: Purpose,
        transcript: &[u8; 32],
    ) -> DeviceProof {
        let signature = self.seed().sign(&message(token.as_ref(), challenge, purpose, transcript));
        DeviceProof { challenge: *challenge, device: self.public(), signature }
    }
}

/// Proof of possession of a bound token's key, made by [`HolderKey::prove`]. 100 bytes, shown as `cvpp1_` and base64url.
/// Of no use to whoever steals it: it opens one session at most, with the token and on the connection it was made for.
#[derive(Clone, PartialEq, Eq)]
pub struct Possession {
    pub(super) challenge: Challenge,
    signature: [u8; SIGNATURE_LEN],
}

impl Possession {
    const LEN: usize = 100;
    const MAGIC: [u8; 4] = *b"CVPP";
    const PREFIX: &'static str = "cvpp1_";
    const INVALID: InvalidProof = InvalidProof::new("a proof of possession (100 bytes from `CVPP` on, or `cvpp1_…`)");

    /// Reads its 100 bytes.
    ///
    /// # Errors
    /// [`InvalidProof`] for bytes of another form. Whether the proof holds is found when a session is opened.
    pub fn parse(bytes: &[u8]) -> Result<Self, InvalidProof> {
        read(bytes, Self::MAGIC, |reader| {
            Ok(Self { challenge: Challenge(reader.array()?), signature: reader.array()? })
        })
        .map_err(|Truncated| Self::INVALID)
    }

    /// Its 100 bytes.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        [&Self::MAGIC[..], self.challenge.as_bytes(), &self.signature].concat()
    }

    pub(super) fn holds(&self, key: &[u8; 32], occasion: &Occasion<'_>) -> bool {
        sign::verify(key, &occasion.message(&self.challenge), &self.signature)
    }
}

/// Proof that a session is opened on a device, made by [`DeviceKey::prove`]. 132 bytes, shown as `cvdp1_` and base64url.
#[derive(Clone, PartialEq, Eq)]
pub struct DeviceProof {
    pub(super) challenge: Challenge,
    pub(super) device: DevicePublicKey,
    signature: [u8; SIGNATURE_LEN],
}

impl DeviceProof {
    const LEN: usize = 132;
    const MAGIC: [u8; 4] = *b"CVDP";
    const PREFIX: &'static str = "cvdp1_";
    const INVALID: InvalidProof = InvalidProof::new("a device's proof (132 bytes from `CVDP` on, or `cvdp1_…`)");

    /// Reads its 132 bytes.
    ///
    /// # Errors
    /// [`InvalidProof`] for bytes of another form. Whether the proof holds is found when a session is opened.
    pub fn parse(bytes: &[u8]) -> Result<Self, InvalidProof> {
        read(bytes, Self::MAGIC, |reader| {
            let challenge = Challenge(reader.array()?);
            let device = DevicePublicKey::from_bytes(reader.array()?).map_err(|_| Truncated)?;
            Ok(Self { challenge, device, signature: reader.array()? })
        })
        .map_err(|Truncated| Self::INVALID)
    }

    /// Its 132 bytes.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        [&Self::MAGIC[..], self.challenge.as_bytes(), self.device.as_bytes(), &self.signature].concat()
    }

    /// The key it was made with.
    #[must_use]
    pub const fn device(&self) -> DevicePublicKey {
        self.device
    }

    pub(super) fn holds(&self, occasion: &Occasion<'_>) -> bool {
        sign::verify(self.device.as_bytes(), &occasion.message(&self.challenge), &self.signature)
    }
}

fn read<T>(
    bytes: &[u8],
    magic: [u8; 4],
    fields: impl FnOnce(&mut Reader<'_>) -> Result<T, Truncated>,
) -> Result<T, Truncated> {
    let mut reader = Reader::new(bytes);
    if reader.array() != Ok(magic) {
        return Err(Truncated);
    }
    let proof = fields(&mut reader)?;
    reader.finish()?;
    Ok(proof)
}

macro_rules! proof_text {
    ($proof:ident) => {
        impl fmt::Display for $proof {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                text::write(f, Self::PREFIX, &self.to_bytes())
            }
        }

        impl fmt::Debug for $proof {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}(answers {})", stringify!($proof), self.challenge)
            }
        }

        impl FromStr for $proof {
            type Err = InvalidProof;

            fn from_str(text: &str) -> Result<Self, InvalidProof> {
                let bytes: [u8; Self::LEN] = text::read(Self::PREFIX, text).ok_or(Self::INVALID)?;
                Self::parse(&bytes)
            }
        }
    };
}

proof_text!(Possession);
proof_text!(DeviceProof);
