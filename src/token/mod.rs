//! Floor 3: capability tokens (docs/format/token.md). A token is a signed chain of blocks. The first block grants; each
//! later one narrows, and whoever holds an open token can add one, offline. An action is allowed if and only if every
//! block allows it, so no block can ever widen what stands before it. Pure: no storage, and the time is given.
//!
//! Read in this order: [`caveat`] (what a block can say), [`item`] and [`body`] (how it says it), [`chain`] (what is
//! signed), [`wire`] (the whole token), [`grant`], [`attenuate`] and [`closed`] (making), [`verify`],
//! [`admit`] and [`decide`] (judging), [`possession`], [`attestation`] and [`sign_in`] (what is shown beside a token), [`statement`] and
//! [`inspect`] (for people to read).

mod admit;
mod attenuate;
mod attestation;
mod body;
mod caveat;
mod ceiling;
mod chain;
mod clinical;
mod closed;
mod decide;
mod error;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzzing;
mod grant;
mod holder;
mod inspect;
mod issuer;
mod item;
mod keys;
mod limits;
mod narrower;
mod possession;
mod proof_error;
mod reason;
mod revoke;
mod role;
mod sign_in;
mod statement;
mod stored;
mod text;
mod verify;
mod wire;

#[cfg(test)]
mod tests;

pub(crate) use admit::{Admission, AdmittedToken, Proven, Shown};
pub use attenuate::{AttenuateError, Attenuation, BoundAttenuation};
pub use attestation::{AttestError, Attestation, Claim, NewAttestation};
pub use caveat::Caveat;
pub use ceiling::Ceiling;
pub(crate) use ceiling::{CeilingRights, MAX_CEILING_KINDS};
pub use closed::{BoundToken, SealedToken};
pub use decide::Denial;
pub(crate) use decide::{Reach, Request};
pub use error::TokenError;
pub use grant::{BoundGrant, Grant, GrantError};
pub use holder::{ProofKind, Token, UnverifiedToken};
pub use inspect::{BlockRights, EffectiveRights, EmergencyRights, Rights};
pub use issuer::{InvalidIssuerKey, IssuerKey, IssuerPublicKey};
pub use keys::{
    AttesterKey, AttesterPublicKey, DeviceKey, DevicePublicKey, HolderKey, HolderPublicKey, InvalidPublicKey,
};
pub use limits::LimitError;
pub use possession::{Challenge, DeviceProof, Possession};
pub use proof_error::{InvalidProof, ProofError};
pub use reason::DenyReason;
pub(crate) use revoke::Revocable;
pub use revoke::Revoke;
pub(crate) use role::RoleRights;
pub use role::{InvalidRole, Role, RoleRevision};
pub use sign_in::{AuthProof, SignInLevel};
pub(crate) use sign_in::{Opened, SignInDemand, SignedIn};
pub use statement::{Listed, Statement};
pub(crate) use stored::StoredGrant;
pub(crate) use verify::{CLOCK_TOLERANCE, DEFAULT_LONGEST_TTL, UseLimit, VerifiedToken};

/// Most bytes of a token.
pub(crate) const MAX_TOKEN_LEN: usize = 4096;
/// Most characters of a token's text form: 5 and four for every three bytes.
pub(crate) const MAX_TEXT_LEN: usize = 5467;
/// Most blocks of a token, the grant included.
pub(crate) const MAX_BLOCKS: u8 = 8;
/// Fewest bytes of a block's body: one without items.
pub(crate) const MIN_BODY_LEN: u16 = 26;
/// Most bytes of a block's body.
pub(crate) const MAX_BODY_LEN: u16 = 1024;
/// Most items of a block.
pub(crate) const MAX_ITEMS: u8 = 24;
/// Most attestations that one block can demand.
pub(crate) const MAX_WANTED: usize = 4;
/// Most attestations looked at when a session is opened: as many as all blocks together can demand.
pub(crate) const MAX_SHOWN: usize = 32;
/// Most roles that a grant can cite.
pub(crate) const MAX_ROLES: usize = 8;
/// Most facilities that one block can list.
pub(crate) const MAX_FACILITIES: usize = 16;
/// Most kinds, and most patients, that one block can list.
pub(crate) const MAX_LISTED: usize = 32;
