//! Why a token is not accepted. Told to its holder: it says what is wrong with the token, never what the vault holds.

use std::time::Duration;

use super::caveat::Caveat;
use super::{MAX_BLOCKS, MAX_BODY_LEN, MAX_ITEMS, MIN_BODY_LEN};
use crate::bytes::Truncated;
use crate::clock::Timestamp;
use crate::ids::{AttesterId, IssuerId, PrincipalId, RevocationId, RoleId, VaultId};

/// Why a token is not accepted. Blocks are counted from 0, the grant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TokenError {
    /// More bytes or characters than any token has.
    #[error("the token is {found} long; at most {most} is accepted")]
    TooLong {
        /// Bytes, or characters of text.
        found: usize,
        /// The most that is accepted.
        most: usize,
    },
    /// Not the text form of a token.
    #[error(
        "this is no token: one starts with `cvt1_` and goes on in unpadded base64url; copy it whole, without spaces"
    )]
    NotText,
    /// Not the bytes of a token.
    #[error("these bytes are no token of format CVT1")]
    NotCvt1,
    /// The bytes end too early or go on behind the end.
    #[error("the token ends too early or goes on behind its end; copy it again, whole")]
    WrongLength,
    /// No block, or too many.
    #[error("the token has {found} blocks; 1 to {MAX_BLOCKS} are accepted")]
    BlockCount {
        /// Blocks announced.
        found: u8,
    },
    /// A body with an impossible length.
    #[error("block {block}: a body of {found} bytes; {MIN_BODY_LEN} to {MAX_BODY_LEN} are accepted")]
    BodyLength {
        /// The block.
        block: u8,
        /// Bytes announced.
        found: u16,
    },
    /// A grant that is not the first block, a first block that is no grant, or an unknown kind of block.
    #[error("block {block}: a block of kind {found} cannot stand here")]
    BlockKind {
        /// The block.
        block: u8,
        /// Its kind byte.
        found: u8,
    },
    /// More items than a block can have.
    #[error("block {block}: {found} items; at most {MAX_ITEMS} are accepted")]
    ItemCount {
        /// The block.
        block: u8,
        /// Items announced.
        found: u8,
    },
    /// An item that this version does not know; ignoring it could widen the token.
    #[error("block {block}: unknown item {tag:#04x}; a newer version of the library may know it")]
    UnknownItem {
        /// The block.
        block: u8,
        /// The item's tag.
        tag: u8,
    },
    /// An item twice, or out of order.
    #[error("block {block}: item `{caveat}` stands twice or out of order")]
    ItemOrder {
        /// The block.
        block: u8,
        /// The item.
        caveat: Caveat,
    },
    /// An item with a wrong length, an unknown bit or value, or a list that is not sorted.
    #[error("block {block}: item `{caveat}` has a value that does not exist")]
    BadItem {
        /// The block.
        block: u8,
        /// The item.
        caveat: Caveat,
    },
    /// An item outside the grant that only the grant can have.
    #[error("block {block}: item `{caveat}` can only stand in the grant")]
    MisplacedItem {
        /// The block.
        block: u8,
        /// The item.
        caveat: Caveat,
    },
    /// A grant without something it must say.
    #[error("the grant does not say `{caveat}`")]
    MissingItem {
        /// The item.
        caveat: Caveat,
    },
    /// An unknown kind of proof.
    #[error("unknown kind of proof {found}; a newer version of the library may know it")]
    UnknownProof {
        /// Its kind byte.
        found: u8,
    },
    /// The token was made for another vault.
    #[error("the token is for {named}, not for this vault")]
    WrongVault {
        /// The vault it is for.
        named: VaultId,
    },
    /// This vault does not trust the issuer.
    #[error("this vault does not trust {issuer}; an administrator can trust an issuer's public key")]
    UnknownIssuer {
        /// The issuer it names.
        issuer: IssuerId,
    },
    /// A signature that does not fit: forged, changed, or spliced together.
    #[error("block {block}: the signature does not fit; the token is forged or damaged")]
    BadSignature {
        /// The first block whose signature fails.
        block: u8,
    },
    /// The proof does not belong to the last block: blocks were dropped, or the proof was changed.
    #[error("the proof does not belong to the last block; the token is forged, cut or damaged")]
    BadProof,
    /// Only an open token can be narrowed.
    #[error("only an open token can be narrowed, and this one is sealed or bound")]
    NotOpen,
    /// A sealed token was expected.
    #[error("this token is open or bound, not sealed")]
    NotSealed,
    /// A bound token was expected.
    #[error("this token is open or sealed, not bound to a holder")]
    NotBound,
    /// The token's last block names another key.
    #[error("the token is bound to another holder's key")]
    OtherHolder,
    /// The block, or one it was narrowed from, was revoked.
    #[error("block {block} of the token was revoked ({rid}); ask for a new grant")]
    Revoked {
        /// The block.
        block: u8,
        /// The revocation id.
        rid: RevocationId,
    },
    /// Not valid yet.
    #[error("block {block}: the token is valid from {from} on; check the clocks, or wait")]
    NotYetValid {
        /// The block.
        block: u8,
        /// When its validity starts.
        from: Timestamp,
    },
    /// Not valid any more.
    #[error("block {block}: the token was valid until {end}; ask for a new one")]
    Expired {
        /// The block.
        block: u8,
        /// The first instant at which it is not valid.
        end: Timestamp,
    },
    /// Valid for longer than the vault allows.
    #[error(
        "the token is valid for longer than this vault allows ({} days); ask for a shorter one",
        .longest.as_secs() / 86_400
    )]
    LifetimeTooLong {
        /// The longest validity the vault allows.
        longest: Duration,
    },
    /// More blocks follow than this one allows.
    #[error("more blocks follow than block {block} allows")]
    TooDeep {
        /// The block whose limit is passed.
        block: u8,
    },
    /// All tokens granted to its subject until then were revoked.
    #[error("tokens granted to {principal} until {until} were revoked; ask for a new grant")]
    PrincipalRevoked {
        /// The subject.
        principal: PrincipalId,
        /// Grants issued until then, inclusive, are revoked.
        until: Timestamp,
    },
    /// All tokens that cite one of its roles and were issued until then were revoked.
    #[error("tokens that cite {role} and were issued until {until} were revoked; ask for a new grant")]
    RoleRevoked {
        /// The role.
        role: RoleId,
        /// Grants issued until then, inclusive, are revoked.
        until: Timestamp,
    },
    /// The issuer was revoked, and all its tokens with it.
    #[error("{issuer} was revoked, and all its tokens with it; ask another issuer for a grant")]
    IssuerRevoked {
        /// The issuer.
        issuer: IssuerId,
    },
    /// The token demands what an attester who was revoked would have to attest.
    #[error("the token demands an attestation by {attester}, who was revoked; ask for a grant that demands another")]
    AttesterRevoked {
        /// The attester.
        attester: AttesterId,
    },
    /// Valid for longer than the vault lets this issuer grant.
    #[error(
        "the token is valid for longer than {issuer} may grant here ({} s); ask for a shorter one",
        .longest.as_secs()
    )]
    BeyondCeiling {
        /// The issuer.
        issuer: IssuerId,
        /// The longest validity that it may grant.
        longest: Duration,
    },
}

impl From<Truncated> for TokenError {
    fn from(_: Truncated) -> Self {
        Self::WrongLength
    }
}
