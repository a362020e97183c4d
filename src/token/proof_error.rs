//! Why a good token opens no session all the same: what it demands beside itself was not shown, or does not hold.

use super::MAX_SHOWN;
use super::attestation::Claim;
use crate::clock::Timestamp;
use crate::ids::{AttesterId, DeviceId};

/// These bytes or this text are no proof, challenge or attestation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("this is not {expected}; copy it whole, without spaces")]
pub struct InvalidProof {
    expected: &'static str,
}

impl InvalidProof {
    pub(super) const fn new(expected: &'static str) -> Self {
        Self { expected }
    }
}

/// What a token demands at session opening was not shown, or what was shown does not hold. Blocks are counted from 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ProofError {
    /// The proofs and sign-in attestations do not all answer one challenge.
    #[error("what was shown answers different challenges; answer one challenge with all of it")]
    ChallengesDiffer,
    /// This vault gave out no such challenge since it was unlocked, or it was used already.
    #[error("the challenge was not given out by this vault, or was used already; ask for a new one")]
    UnknownChallenge,
    /// The challenge is older than a minute.
    #[error("the challenge is older than 60 seconds; ask for a new one")]
    ChallengeExpired,
    /// The token is bound to a holder's key, and nothing shows that whoever presents it has that key.
    #[error("the token is bound to a holder's key; show a proof of possession that answers a challenge")]
    PossessionMissing,
    /// The proof of possession was made with another key, or for another token, vault, purpose or host.
    #[error("the proof of possession does not fit this token, purpose and host; prove again")]
    PossessionInvalid,
    /// The token is for one device, and no device was shown.
    #[error("block {block}: the token is for {device}; show a proof by that device")]
    DeviceMissing {
        /// The first block that demands it.
        block: u8,
        /// The device it demands.
        device: DeviceId,
    },
    /// The token is for another device than the one shown.
    #[error("block {block}: the token is for {demanded}, not for {shown}")]
    OtherDevice {
        /// The first block that demands another device.
        block: u8,
        /// The device it demands.
        demanded: DeviceId,
        /// The device shown.
        shown: DeviceId,
    },
    /// The device's proof was made with another key, or for another token, vault, purpose or host.
    #[error("the device's proof does not fit this token, purpose and host; prove again")]
    DeviceInvalid,
    /// More attestations than any token can demand.
    #[error("{found} attestations were shown; at most {MAX_SHOWN} are looked at")]
    TooManyAttestations {
        /// How many were shown.
        found: usize,
    },
    /// This vault does not trust the attester.
    #[error("this vault does not trust {attester}; an administrator can trust an attester's public key")]
    UnknownAttester {
        /// The attester.
        attester: AttesterId,
    },
    /// The attestation is about another token, or another block of it.
    #[error("the attestation of {claim} by {attester} is about another token")]
    AttestedOtherToken {
        /// The attester.
        attester: AttesterId,
        /// The claim.
        claim: Claim,
    },
    /// The attestation is about somebody else.
    #[error("the attestation of {claim} by {attester} is about somebody else")]
    AttestedOtherSubject {
        /// The attester.
        attester: AttesterId,
        /// The claim.
        claim: Claim,
    },
    /// The attestation's signature does not fit: forged, changed, or for another vault.
    #[error("the attestation of {claim} by {attester} is forged, damaged, or for another vault")]
    AttestationForged {
        /// The attester.
        attester: AttesterId,
        /// The claim.
        claim: Claim,
    },
    /// The attestation pretends to be made more than two minutes after now.
    #[error("the attestation of {claim} by {attester} is dated {issued_at}; check the clocks")]
    AttestedInTheFuture {
        /// The attester.
        attester: AttesterId,
        /// The claim.
        claim: Claim,
        /// When it says it was made.
        issued_at: Timestamp,
    },
    /// The attestation is not valid any more.
    #[error("the attestation of {claim} by {attester} was valid until {end}; ask for a new one")]
    AttestationExpired {
        /// The attester.
        attester: AttesterId,
        /// The claim.
        claim: Claim,
        /// The first instant at which it is not valid.
        end: Timestamp,
    },
    /// The token demands an attestation that was not shown.
    #[error("block {block}: the token demands that {attester} attests {claim}; show that attestation")]
    AttestationMissing {
        /// The first block that demands it.
        block: u8,
        /// The attester.
        attester: AttesterId,
        /// The claim.
        claim: Claim,
    },
    /// The attestation is older than the token allows.
    #[error(
        "block {block}: the attestation of {claim} by {attester} is older than {oldest} seconds; ask for a new one"
    )]
    AttestationTooOld {
        /// The first block that demands a newer one.
        block: u8,
        /// The attester.
        attester: AttesterId,
        /// The claim.
        claim: Claim,
        /// The oldest age it allows, in seconds.
        oldest: u32,
    },
    /// The proof of a sign-in is one of another vault, or of this one before it was opened again.
    #[error("the proof of a sign-in was given by another vault, or before this one was opened again; sign in here")]
    SignInElsewhere,
    /// The proof of a sign-in is older than a minute.
    #[error("the proof of a sign-in is older than 60 seconds; sign in again")]
    SignInExpired,
    /// Somebody else signed in than the subject of the token.
    #[error("somebody else signed in than the one for whom the token was granted; show the token of whoever signed in")]
    SignInOfAnother,
    /// What was shown is less than what is demanded: by the token, or for a change of one's own account.
    #[error("signing in at level {level} is demanded, and {shown} was shown (0 is nothing); sign in with more factors")]
    SignInTooLow {
        /// The level that is demanded; see [`SignInLevel`](crate::SignInLevel).
        level: u8,
        /// The level that was shown.
        shown: u8,
    },
    /// Whoever shows the token signed in longer ago than it allows.
    #[error("signing in at level {level} is demanded within the last {oldest} seconds; sign in again")]
    SignInTooOld {
        /// The level that is demanded.
        level: u8,
        /// The oldest age, in seconds.
        oldest: u32,
    },
}

/// Added to the tag of the item whose demand was not met; alone where the token's own proof is what is missing.
const NOT_SHOWN: u16 = 0x0200;

impl ProofError {
    /// The number that stands for it in log entries: 0x200 and the tag of the item that demands it, or 0x200 alone for
    /// possession and challenges. Never changes its meaning.
    #[must_use]
    pub const fn code(self) -> u16 {
        match self {
            Self::ChallengesDiffer
            | Self::UnknownChallenge
            | Self::ChallengeExpired
            | Self::PossessionMissing
            | Self::PossessionInvalid => NOT_SHOWN,
            Self::DeviceMissing { .. } | Self::OtherDevice { .. } | Self::DeviceInvalid => NOT_SHOWN | 0x1A,
            Self::SignInElsewhere
            | Self::SignInExpired
            | Self::SignInOfAnother
            | Self::SignInTooLow { .. }
            | Self::SignInTooOld { .. } => NOT_SHOWN | 0x19,
            Self::TooManyAttestations { .. }
            | Self::UnknownAttester { .. }
            | Self::AttestedOtherToken { .. }
            | Self::AttestedOtherSubject { .. }
            | Self::AttestationForged { .. }
            | Self::AttestedInTheFuture { .. }
            | Self::AttestationExpired { .. }
            | Self::AttestationMissing { .. }
            | Self::AttestationTooOld { .. } => NOT_SHOWN | 0x1C,
        }
    }
}
