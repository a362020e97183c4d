//! A token in someone's hands: as received, and as held by someone who may narrow it.

use std::fmt;
use std::str::FromStr;

use zeroize::Zeroizing;

use super::attenuate::Attenuation;
use super::error::TokenError;
use super::inspect::Rights;
use super::item::Item;
use super::wire::{self, Block, Placed, Proof, Wire};
use crate::clock::Timestamp;
use crate::crypto::hash;
use crate::crypto::sign::SigningSeed;
use crate::ids::{IssuerId, PrincipalId, RevocationId, VaultId};

/// Who can use a token, and who can narrow it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ProofKind {
    /// Whoever has it can use it and narrow it.
    Open,
    /// Whoever has it can use it; nobody can narrow it.
    Sealed,
    /// Only who holds the last block's key can use it and narrow it.
    Bound,
}

impl fmt::Display for ProofKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Open => "open",
            Self::Sealed => "sealed",
            Self::Bound => "bound",
        })
    }
}

/// A token as it was received: its form is checked, but nothing it says is true until a vault has verified it, which
/// happens when a session is opened. What it holds is wiped when dropped, and never printed.
///
/// ```
/// use chartvault::{TokenError, UnverifiedToken};
/// assert!(matches!(UnverifiedToken::from_text("let me in"), Err(TokenError::NotText)));
/// ```
pub struct UnverifiedToken {
    wire: Wire,
}

impl UnverifiedToken {
    /// Reads a token's text form (`cvt1_…`, at most 5,467 characters).
    ///
    /// # Errors
    /// A [`TokenError`] that names the first thing that is not as it must be.
    pub fn from_text(text: &str) -> Result<Self, TokenError> {
        Self::from_bytes(&wire::from_text(text)?)
    }

    /// Reads a token's binary form (at most 4,096 bytes).
    ///
    /// # Errors
    /// A [`TokenError`] that names the first thing that is not as it must be.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, TokenError> {
        Ok(Self { wire: Wire::parse(bytes)? })
    }

    /// Reads a token in whichever form it comes: its bytes, or its text in ASCII. Nothing else is looked at, and nothing
    /// is trusted.
    ///
    /// # Errors
    /// A [`TokenError`] that names the first thing that is not as it must be.
    pub fn parse(token: &[u8]) -> Result<Self, TokenError> {
        match std::str::from_utf8(token) {
            Ok(text) if wire::is_text(text) => Self::from_text(text),
            _ => Self::from_bytes(token),
        }
    }

    /// The vault it claims to be for.
    #[must_use]
    pub const fn vault(&self) -> VaultId {
        self.wire.vault
    }

    /// The issuer it claims to come from.
    #[must_use]
    pub const fn issuer(&self) -> IssuerId {
        self.wire.issuer
    }

    /// Each block's revocation id, the grant's first. Revoking one kills its block and all that was narrowed from it.
    #[must_use]
    pub fn revocation_ids(&self) -> Vec<RevocationId> {
        self.wire.revocation_ids()
    }

    /// The id it claims: the revocation id of its last block.
    #[must_use]
    pub fn id(&self) -> RevocationId {
        self.revocation_ids().last().copied().unwrap_or(RevocationId::from_bytes([0; 16]))
    }

    /// Whom it claims to be granted to.
    #[must_use]
    pub fn subject(&self) -> PrincipalId {
        let subject = |placed: Placed<'_>| if let Item::Subject(id) = placed.item { Some(*id) } else { None };
        self.wire.items().find_map(subject).unwrap_or(PrincipalId::from_bytes([0; 16]))
    }

    /// Who can use it and narrow it, as it claims.
    #[must_use]
    pub const fn proof(&self) -> ProofKind {
        match self.wire.proof {
            Proof::Open(_) => ProofKind::Open,
            Proof::Sealed(_) => ProofKind::Sealed,
            Proof::Bound => ProofKind::Bound,
        }
    }

    /// The first instant at which it is not valid any more, as it claims.
    #[must_use]
    pub fn not_after(&self) -> Timestamp {
        instant(earliest_end(self.wire.items().map(|placed| placed.item)))
    }

    /// What it claims to allow, as a list that a person can read. Nothing of it is verified.
    #[must_use]
    pub fn inspect(&self) -> Rights {
        Rights::of(self)
    }

    pub(super) const fn of(wire: Wire) -> Self {
        Self { wire }
    }

    /// SHA-256 of its bytes, by which proofs of possession name it.
    pub(super) fn digest(&self) -> [u8; 32] {
        hash::sha256(&[&self.wire.to_bytes()])
    }

    pub(super) const fn wire(&self) -> &Wire {
        &self.wire
    }
}

impl AsRef<Self> for UnverifiedToken {
    fn as_ref(&self) -> &Self {
        self
    }
}

impl FromStr for UnverifiedToken {
    type Err = TokenError;

    fn from_str(text: &str) -> Result<Self, TokenError> {
        Self::from_text(text)
    }
}

impl fmt::Debug for UnverifiedToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UnverifiedToken")
            .field("vault", &self.wire.vault)
            .field("issuer", &self.wire.issuer)
            .field("blocks", &self.wire.blocks.len())
            .field("proof", &format_args!("{}, redacted", self.proof()))
            .finish()
    }
}

/// An open token: whoever holds it can use it, and can narrow it, offline. Made by
/// [`Grant::sign`](crate::Grant::sign) or read back from its text. Keep it like a password: wiped when dropped, never
/// printed, no `Clone`.
pub struct Token {
    unverified: UnverifiedToken,
    /// The secret behind the last block's key.
    holder: SigningSeed,
}

impl Token {
    /// Reads a token's text form (`cvt1_…`, at most 5,467 characters).
    ///
    /// # Errors
    /// A [`TokenError`] that names the first thing that is not as it must be; [`TokenError::NotOpen`] for a sealed or
    /// bound token, which [`UnverifiedToken`] reads.
    pub fn from_text(text: &str) -> Result<Self, TokenError> {
        UnverifiedToken::from_text(text)?.try_into()
    }

    /// Its text form. Whoever reads it can use the token.
    #[must_use]
    pub fn expose_text(&self) -> Zeroizing<String> {
        wire::to_text(&self.unverified.wire.to_bytes())
    }

    /// Its binary form. Whoever reads it can use the token.
    #[must_use]
    pub fn expose_bytes(&self) -> Zeroizing<Vec<u8>> {
        self.unverified.wire.to_bytes()
    }

    /// The id of this token: the revocation id of its last block.
    #[must_use]
    pub fn id(&self) -> RevocationId {
        self.unverified.id()
    }

    /// Each block's revocation id, the grant's first. Revoking one kills its block and all that was narrowed from it.
    #[must_use]
    pub fn revocation_ids(&self) -> Vec<RevocationId> {
        self.unverified.revocation_ids()
    }

    /// The vault it is for.
    #[must_use]
    pub const fn vault(&self) -> VaultId {
        self.unverified.vault()
    }

    /// The issuer of its grant.
    #[must_use]
    pub const fn issuer(&self) -> IssuerId {
        self.unverified.issuer()
    }

    /// The first instant at which it is not valid any more.
    #[must_use]
    pub fn not_after(&self) -> Timestamp {
        self.unverified.not_after()
    }

    /// What it allows, as a list that a person can read. Only a vault can say whether it is genuine.
    #[must_use]
    pub fn inspect(&self) -> Rights {
        self.unverified.inspect()
    }

    /// Starts a narrower token, to hand on. Needs neither the vault nor the issuer.
    pub fn attenuate(&self) -> Attenuation<'_> {
        Attenuation::of(self.wire(), &self.holder)
    }

    /// `blocks` must end with one whose key is `holder`'s.
    pub(super) fn new(vault: VaultId, issuer: IssuerId, blocks: Vec<Block>, holder: SigningSeed) -> Self {
        let wire = Wire { vault, issuer, blocks, proof: Proof::Open(holder.seed()) };
        Self { unverified: UnverifiedToken { wire }, holder }
    }

    pub(super) const fn wire(&self) -> &Wire {
        &self.unverified.wire
    }

    pub(super) const fn holder(&self) -> &SigningSeed {
        &self.holder
    }
}

impl TryFrom<UnverifiedToken> for Token {
    type Error = TokenError;

    fn try_from(unverified: UnverifiedToken) -> Result<Self, TokenError> {
        let Proof::Open(seed) = &unverified.wire.proof else { return Err(TokenError::NotOpen) };
        let holder = SigningSeed::from_seed(seed);
        if unverified.wire.last_public() == Some(holder.public()) {
            Ok(Self { unverified, holder })
        } else {
            Err(TokenError::BadProof)
        }
    }
}

impl AsRef<UnverifiedToken> for Token {
    fn as_ref(&self) -> &UnverifiedToken {
        &self.unverified
    }
}

impl FromStr for Token {
    type Err = TokenError;

    fn from_str(text: &str) -> Result<Self, TokenError> {
        Self::from_text(text)
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Token({}, redacted)", self.id())
    }
}

/// The earliest end of validity among `items`.
pub(super) fn earliest_end<'a>(items: impl Iterator<Item = &'a Item>) -> u64 {
    items.filter_map(|item| if let Item::NotAfter(end) = item { Some(*end) } else { None }).min().unwrap_or(0)
}

/// The instant of a second since 1970.
pub(super) fn instant(second: u64) -> Timestamp {
    Timestamp::from_micros(i64::try_from(second).unwrap_or(i64::MAX).saturating_mul(1_000_000))
}
