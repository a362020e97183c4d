//! Attestations: what somebody whom the vault trusts says about the holder of one token, such as that they signed in.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use super::holder::{UnverifiedToken, instant};
use super::keys::AttesterKey;
use super::possession::Challenge;
use super::proof_error::InvalidProof;
use super::text;
use crate::bytes::{Put, Reader, Truncated};
use crate::clock::{Clock, SystemClock, Timestamp};
use crate::crypto::kdf::cap;
use crate::crypto::sign::{self, SIGNATURE_LEN};
use crate::crypto::{RandomFailed, random};
use crate::ids::{AttesterId, PrincipalId, RevocationId, VaultId};

const MAGIC: [u8; 4] = *b"CVAT";
const PREFIX: &str = "cvat1_";
const LEN: usize = 150;
const INVALID: InvalidProof = InvalidProof::new("an attestation (150 bytes from `CVAT` on, or `cvat1_…`)");

/// What is attested, as a number of 16 bits. Those without the top bit are about signing in: they answer a challenge of
/// the vault, and so count for one session. Those with it are standing facts, which count until they end.
///
/// ```
/// use chartvault::Claim;
/// assert!(Claim::SIGNED_IN.is_sign_in() && !Claim::ON_DUTY.is_sign_in());
/// assert_eq!(Claim::from_code(0x8001), Claim::ON_DUTY);
/// assert_eq!(Claim::from_code(77).to_string(), "claim-77"); // of one's own
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Claim(u16);

impl Claim {
    /// 1: the subject signed in, in whatever way the attester holds to be sound.
    pub const SIGNED_IN: Self = Self(1);
    /// 2: the subject signed in with a hardware key or passkey (WebAuthn).
    pub const HARDWARE_KEY: Self = Self(2);
    /// 3: the subject signed in with two factors, in whatever way the attester holds to be sound.
    pub const TWO_FACTORS: Self = Self(3);
    /// 0x8001: the subject is on duty.
    pub const ON_DUTY: Self = Self(0x8001);

    const STANDING: u16 = 0x8000;

    /// The claim of a number.
    #[must_use]
    pub const fn from_code(code: u16) -> Self {
        Self(code)
    }

    /// Its number.
    #[must_use]
    pub const fn code(self) -> u16 {
        self.0
    }

    /// Whether it is about signing in, and so must answer a challenge.
    #[must_use]
    pub const fn is_sign_in(self) -> bool {
        self.0 & Self::STANDING == 0
    }
}

impl fmt::Display for Claim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::SIGNED_IN => f.write_str("signed-in"),
            Self::HARDWARE_KEY => f.write_str("hardware-key"),
            Self::TWO_FACTORS => f.write_str("two-factors"),
            Self::ON_DUTY => f.write_str("on-duty"),
            Self(code) => write!(f, "claim-{code}"),
        }
    }
}

/// Why an attestation is not signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AttestError {
    /// It has no end, or ends within the second in which it is made.
    #[error("an attestation needs an end at least a second ahead; say `valid_for`")]
    NeverValid,
    /// A claim about signing in without the challenge it answers, or a standing claim with one.
    #[error("{claim} must answer a challenge if it is about signing in, and cannot if it is not")]
    Challenge {
        /// The claim.
        claim: Claim,
    },
    /// No random bytes.
    #[error(transparent)]
    Random(#[from] RandomFailed),
}

/// An attestation: 150 bytes, shown as `cvat1_` and 200 characters of base64url. Signed by an attester, about one token
/// and its subject, for one vault. Parsing does not verify it; opening a session does.
///
/// ```
/// # mod clinic { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/clinic.rs")); }
/// # use clinic::*;
/// # let Clinic { vault, token, key, dir, .. } = Clinic::new();
/// use std::time::Duration;
/// use chartvault::{Attestation, AttesterKey, Claim};
/// let attester = AttesterKey::generate()?; // a duty roster, on another machine
/// vault.trust_attester(attester.public(), &key)?;
/// let token = token.attenuate().attestation(attester.public().id(), Claim::ON_DUTY, Duration::from_secs(60)).finish()?;
/// let on_duty = Attestation::of(&token, Claim::ON_DUTY).valid_for(Duration::from_secs(3_600)).sign(&attester)?;
/// let received: Attestation = on_duty.to_string().parse()?;
/// let session = vault.session_with(&token, Purpose::Treatment).attestations([received]).open()?;
/// assert!(vault.session(&token, Purpose::Treatment).is_err()); // nothing was shown
/// # drop((session, dir));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct Attestation {
    pub(super) attester: AttesterId,
    pub(super) token: RevocationId,
    pub(super) subject: PrincipalId,
    pub(super) claim: Claim,
    /// Seconds since 1970.
    pub(super) issued_at: u64,
    /// The first second at which it does not count any more.
    pub(super) not_after: u64,
    pub(super) nonce: [u8; 16],
    signature: [u8; SIGNATURE_LEN],
}

impl Attestation {
    /// Starts an attestation about a token that the attester has before it. The token is not verified: an attester
    /// vouches for a person, not for rights.
    pub fn of(token: impl AsRef<UnverifiedToken>, claim: Claim) -> NewAttestation {
        let token = token.as_ref();
        Self::about(token.vault(), token.id(), token.subject(), claim)
    }

    /// Starts an attestation about a token that is known by its id alone (the revocation id of its last block), so that
    /// no attester needs to see it.
    pub const fn about(vault: VaultId, token: RevocationId, subject: PrincipalId, claim: Claim) -> NewAttestation {
        NewAttestation { vault, token, subject, claim, challenge: None, issued_at: None, valid_for: Duration::ZERO }
    }

    /// Reads its 150 bytes.
    ///
    /// # Errors
    /// [`InvalidProof`] for bytes of another form. Whether it holds is found when a session is opened.
    pub fn parse(bytes: &[u8]) -> Result<Self, InvalidProof> {
        Self::read(bytes).map_err(|Truncated| INVALID)
    }

    fn read(bytes: &[u8]) -> Result<Self, Truncated> {
        let mut reader = Reader::new(bytes);
        if reader.array() != Ok(MAGIC) {
            return Err(Truncated);
        }
        let attestation = Self {
            attester: AttesterId::from_bytes(reader.array()?),
            token: RevocationId::from_bytes(reader.array()?),
            subject: PrincipalId::from_bytes(reader.array()?),
            claim: Claim(reader.u16()?),
            issued_at: reader.u64()?,
            not_after: reader.u64()?,
            nonce: reader.array()?,
            signature: reader.array()?,
        };
        reader.finish()?;
        Ok(attestation)
    }

    /// Its 150 bytes.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = self.unsigned();
        bytes.put(&self.signature);
        bytes
    }

    fn unsigned(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(LEN);
        bytes.put(&MAGIC);
        bytes.put(self.attester.as_bytes());
        bytes.put(self.token.as_bytes());
        bytes.put(self.subject.as_bytes());
        bytes.put_u16(self.claim.code());
        bytes.put_u64(self.issued_at);
        bytes.put_u64(self.not_after);
        bytes.put(&self.nonce);
        bytes
    }

    /// `D"attest" ‖ vault id ‖ all bytes before the signature`.
    pub(super) fn message(&self, vault: VaultId) -> Vec<u8> {
        [cap::ATTEST.bytes(), vault.as_bytes(), &self.unsigned()].concat()
    }

    /// Who it claims attests.
    #[must_use]
    pub const fn attester(&self) -> AttesterId {
        self.attester
    }

    /// What it claims is attested.
    #[must_use]
    pub const fn claim(&self) -> Claim {
        self.claim
    }

    /// Which token it claims to be about: the revocation id of the token's last block.
    #[must_use]
    pub const fn token(&self) -> RevocationId {
        self.token
    }

    /// Whom it claims to be about.
    #[must_use]
    pub const fn subject(&self) -> PrincipalId {
        self.subject
    }

    /// When it claims to have been made.
    #[must_use]
    pub fn issued_at(&self) -> Timestamp {
        instant(self.issued_at)
    }

    /// The first instant at which it does not count any more, as it claims.
    #[must_use]
    pub fn not_after(&self) -> Timestamp {
        instant(self.not_after)
    }

    pub(super) fn holds(&self, key: &[u8; 32], vault: VaultId) -> bool {
        sign::verify(key, &self.message(vault), &self.signature)
    }
}

impl fmt::Display for Attestation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        text::write(f, PREFIX, &self.to_bytes())
    }
}

impl fmt::Debug for Attestation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Attestation({} of {} by {})", self.claim, self.token, self.attester)
    }
}

impl FromStr for Attestation {
    type Err = InvalidProof;

    fn from_str(text: &str) -> Result<Self, InvalidProof> {
        let bytes: [u8; LEN] = text::read(PREFIX, text).ok_or(INVALID)?;
        Self::parse(&bytes)
    }
}

/// An attestation in the making; see [`Attestation::of`].
#[derive(Clone, Debug)]
#[must_use = "nothing is attested until `sign`"]
pub struct NewAttestation {
    vault: VaultId,
    token: RevocationId,
    subject: PrincipalId,
    claim: Claim,
    challenge: Option<Challenge>,
    issued_at: Option<Timestamp>,
    valid_for: Duration,
}

impl NewAttestation {
    /// The challenge that a sign-in answers.
    pub const fn answering(mut self, challenge: &Challenge) -> Self {
        self.challenge = Some(*challenge);
        self
    }

    /// How long it counts, in whole seconds.
    pub const fn valid_for(mut self, length: Duration) -> Self {
        self.valid_for = length;
        self
    }

    /// When it is made; without it, the system clock's time.
    pub const fn issued_at(mut self, now: Timestamp) -> Self {
        self.issued_at = Some(now);
        self
    }

    /// Signs it.
    ///
    /// # Errors
    /// [`AttestError`]: without an end, with a challenge missing or out of place, or without random bytes.
    pub fn sign(self, attester: &AttesterKey) -> Result<Attestation, AttestError> {
        let nonce = match (self.claim.is_sign_in(), self.challenge) {
            (true, Some(challenge)) => challenge.nonce(),
            (false, None) => random::array()?,
            _ => return Err(AttestError::Challenge { claim: self.claim }),
        };
        self.sign_with(attester, nonce)
    }

    pub(super) fn sign_with(self, attester: &AttesterKey, nonce: [u8; 16]) -> Result<Attestation, AttestError> {
        let now = self.issued_at.unwrap_or_else(|| SystemClock.now());
        let (issued_at, not_after) = (now.as_secs(), now.saturating_add(self.valid_for).as_secs());
        if not_after <= issued_at {
            return Err(AttestError::NeverValid);
        }
        let Self { vault, token, subject, claim, .. } = self;
        let signature = [0; SIGNATURE_LEN];
        let attester_id = attester.public().id();
        let mut attestation =
            Attestation { attester: attester_id, token, subject, claim, issued_at, not_after, nonce, signature };
        attestation.signature = attester.seed().sign(&attestation.message(vault));
        Ok(attestation)
    }
}
