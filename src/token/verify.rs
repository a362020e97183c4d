//! From a token as received to one whose signatures are known to be good. What costs little is checked first, so that
//! nobody makes the vault work on signatures for a token that cannot be good anyway. It may be asked for decisions only
//! once it is admitted, with whatever it demands beside itself ([`super::admit`]).

use std::time::Duration;

use super::body::Body;
use super::caveat::Caveat;
use super::chain;
use super::decide::{self, Denial, Request};
use super::error::TokenError;
use super::holder::{UnverifiedToken, earliest_end, instant};
use super::inspect::Rights;
use super::issuer::IssuerPublicKey;
use super::item::{Item, Scope};
use super::revoke::Revocable;
use super::wire::{Placed, Proof, Wire, placed_items};
use crate::clock::Timestamp;
use crate::crypto::kdf;
use crate::crypto::sign::{self, SigningSeed};
use crate::ids::{FacilityId, IssuerId, KindId, PrincipalId, RevocationId, RoleId, VaultId};
use crate::terms::Purpose;

/// The longest validity of a grant, unless a vault sets another: a year.
pub(crate) const DEFAULT_LONGEST_TTL: Duration = Duration::from_secs(366 * 86_400);

/// How far an issuer's clock may be ahead of the vault's.
pub(crate) const CLOCK_TOLERANCE: u64 = 120;

/// A token whose signatures, proof, revocations, validity and depth were found good at one instant. Nobody has shown yet
/// that they hold the key of a bound one.
#[derive(Clone, Debug)]
pub(crate) struct VerifiedToken {
    vault: VaultId,
    /// SHA-256 of its bytes.
    digest: [u8; 32],
    last_public: [u8; 32],
    bound: bool,
    /// Attesters included whose attestations were shown, once it was admitted.
    pub(super) revocable: Revocable,
    blocks: Vec<Body>,
}

impl UnverifiedToken {
    /// Checks a token without a vault, for whoever knows the issuer's public key: a gateway, or an auditor. Everything is
    /// checked that the token itself shows: that it is for this vault, granted by this issuer, whole, unchanged, and valid at
    /// this instant. What only the vault knows is not: whether it was revoked, whether its roles are in force, and what has to
    /// be shown beside it.
    ///
    /// ```
    /// # mod clinic { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/clinic.rs")); }
    /// # use clinic::*;
    /// # let clinic = Clinic::new();
    /// # let (vault, token, issuer) = (&clinic.vault, &clinic.token, &clinic.issuer);
    /// let rights = token.as_ref().check(vault.id(), issuer.public(), SystemClock.now())?;
    /// assert!(rights.effective().actions.contains(&Action::Read));
    /// # Ok::<(), TokenError>(())
    /// ```
    ///
    /// # Errors
    /// A [`TokenError`] that names the first thing that is not as it must be.
    pub fn check(&self, vault: VaultId, issuer: IssuerPublicKey, now: Timestamp) -> Result<Rights, TokenError> {
        let known = |id: IssuerId| (issuer.id() == id).then_some(*issuer.as_bytes());
        self.verify(vault, known, |_| false, now, Duration::MAX)?;
        Ok(self.inspect())
    }

    /// Checks everything that needs no operation, in this order (length and structure were checked when reading):
    /// vault, issuer, signatures, proof, revocation, clock, depth.
    ///
    /// `issuer` gives the public key of a trusted issuer, `revoked` says whether a block was revoked.
    pub(crate) fn verify(
        &self,
        vault: VaultId,
        issuer: impl Fn(IssuerId) -> Option<[u8; 32]>,
        revoked: impl Fn(RevocationId) -> bool,
        now: Timestamp,
        longest_ttl: Duration,
    ) -> Result<VerifiedToken, TokenError> {
        let wire = self.wire();
        if wire.vault != vault {
            return Err(TokenError::WrongVault { named: wire.vault });
        }
        let issuer_key = issuer(wire.issuer)
            .filter(|key| kdf::issuer_id(key) == wire.issuer)
            .ok_or(TokenError::UnknownIssuer { issuer: wire.issuer })?;
        let rids = check_signatures(wire, issuer_key)?;
        if let Some((block, rid)) = (0..).zip(rids.iter().copied()).find(|(_, rid)| revoked(*rid)) {
            return Err(TokenError::Revoked { block, rid });
        }
        check_lifetime(wire, now, longest_ttl)?;
        for placed in wire.items() {
            placed.item.stands(now, placed.below).map_err(|_| refusal(placed))?;
        }
        if !wire.items().any(|placed| matches!(placed.item, Item::Subject(_))) {
            return Err(TokenError::MissingItem { caveat: Caveat::Subject });
        }
        let blocks: Vec<Body> = wire.blocks.iter().map(|block| block.body.clone()).collect();
        let revocable = Revocable::of(wire.issuer, &rids, &blocks);
        let last_public = wire.last_public().ok_or(TokenError::BlockCount { found: 0 })?;
        let (digest, bound) = (self.digest(), matches!(wire.proof, Proof::Bound));
        Ok(VerifiedToken { vault, digest, last_public, bound, revocable, blocks })
    }
}

/// Checks every block's signature and the proof behind the last; yields the revocation ids.
fn check_signatures(wire: &Wire, issuer_key: [u8; 32]) -> Result<Vec<RevocationId>, TokenError> {
    let (messages, _) = wire.messages();
    let mut key = issuer_key;
    for ((number, block), message) in (0..).zip(&wire.blocks).zip(&messages) {
        if !sign::verify(&key, message, &block.signature) {
            return Err(TokenError::BadSignature { block: number });
        }
        key = block.next_public;
    }
    match &wire.proof {
        Proof::Open(seed) if SigningSeed::from_seed(seed).public() == key => {}
        Proof::Sealed(seal) if sign::verify(&key, &wire.seal_message(), seal) => {}
        Proof::Open(_) | Proof::Sealed(_) => return Err(TokenError::BadProof),
        // Whoever presents it has to show possession of the key before a session opens.
        Proof::Bound => {}
    }
    Ok(messages.iter().map(|message| chain::revocation_id(message)).collect())
}

/// A grant may not be valid for longer than the vault allows, counted from when it was issued; nor may it pretend to be
/// issued later than now, which would move that limit.
fn check_lifetime(wire: &Wire, now: Timestamp, longest: Duration) -> Result<(), TokenError> {
    let Some(grant) = wire.blocks.first() else { return Err(TokenError::BlockCount { found: 0 }) };
    let issued_at = grant.body.issued_at();
    if issued_at > now.as_secs().saturating_add(CLOCK_TOLERANCE) {
        return Err(TokenError::NotYetValid { block: 0, from: instant(issued_at) });
    }
    if earliest_end(grant.body.items().iter()) > issued_at.saturating_add(longest.as_secs()) {
        return Err(TokenError::LifetimeTooLong { longest });
    }
    Ok(())
}

fn refusal(placed: Placed<'_>) -> TokenError {
    let block = placed.block;
    match placed.item {
        Item::NotBefore(from) => TokenError::NotYetValid { block, from: instant(*from) },
        Item::NotAfter(end) => TokenError::Expired { block, end: instant(*end) },
        _ => TokenError::TooDeep { block },
    }
}

impl VerifiedToken {
    /// Whom it was granted to.
    pub(crate) const fn subject(&self) -> PrincipalId {
        self.revocable.subject
    }

    /// Who granted it.
    pub(crate) const fn issuer(&self) -> IssuerId {
        self.revocable.issuer
    }

    /// The token's own id: that of its last block.
    pub(crate) fn id(&self) -> RevocationId {
        self.revocable.id()
    }

    /// Each block's revocation id, the grant's first.
    pub(crate) fn rids(&self) -> &[RevocationId] {
        &self.revocable.rids
    }

    /// By what it can be revoked.
    pub(crate) const fn revocable(&self) -> &Revocable {
        &self.revocable
    }

    /// The first instant at which it is not valid any more.
    pub(crate) fn not_after(&self) -> Timestamp {
        self.revocable.not_after
    }

    /// Decides whether a session may open at all: for this purpose, in this facility, and with nothing in the token that
    /// cannot be checked. A token with such an item allows no operation, so it is better said at once.
    pub(crate) fn decide_opening(&self, purpose: Purpose, facility: Option<FacilityId>) -> Result<(), Denial> {
        self.refusals_at_opening(purpose, facility).next().map_or(Ok(()), Err)
    }

    /// All that refuses a session, block by block.
    pub(crate) fn refusals_at_opening(
        &self,
        purpose: Purpose,
        facility: Option<FacilityId>,
    ) -> impl Iterator<Item = Denial> {
        decide::refusals_at_opening(&self.blocks, purpose, facility)
    }

    /// All that refuses an operation, block by block.
    pub(crate) fn refusals(&self, request: &Request) -> Vec<Denial> {
        decide::refusals(&self.blocks, request)
    }

    /// How often it may be used, by each block that says so.
    pub(crate) fn max_uses(&self) -> impl Iterator<Item = UseLimit> {
        let placed = self.placed().filter_map(|(block, item)| match item {
            Item::MaxUses(most) => Some((block, *most)),
            _ => None,
        });
        placed.filter_map(|(block, most)| {
            Some(UseLimit { block, rid: *self.revocable.rids.get(usize::from(block))?, most })
        })
    }

    /// The roles that its grant cites, each at a revision.
    pub(crate) fn roles(&self) -> impl Iterator<Item = (RoleId, u32)> {
        let cited = self.items().filter_map(|item| if let Item::Roles(cited) = item { Some(cited) } else { None });
        cited.flatten().map(|role| (role.id, role.revision))
    }

    pub(super) const fn vault(&self) -> VaultId {
        self.vault
    }

    pub(super) const fn digest(&self) -> &[u8; 32] {
        &self.digest
    }

    /// The key behind the last block.
    pub(super) const fn last_public(&self) -> &[u8; 32] {
        &self.last_public
    }

    pub(super) const fn is_bound(&self) -> bool {
        self.bound
    }

    pub(super) fn blocks(&self) -> &[Body] {
        &self.blocks
    }

    pub(super) fn items(&self) -> impl Iterator<Item = &Item> {
        self.placed().map(|(_, item)| item)
    }

    /// Whether each block that speaks of kinds, and so the grant at least, names this one. "All kinds" names none.
    pub(crate) fn names_kind(&self, kind: KindId) -> bool {
        self.items().all(|item| match item {
            Item::Kinds(Scope::Only(listed)) => listed.binary_search(&kind).is_ok(),
            Item::Kinds(Scope::All) => false,
            _ => true,
        })
    }

    /// Every item behind the number of its block.
    pub(super) fn placed(&self) -> impl Iterator<Item = (u8, &Item)> {
        placed_items(self.blocks.iter()).map(|placed| (placed.block, placed.item))
    }
}

/// A block's limit of uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct UseLimit {
    pub(crate) block: u8,
    /// What the uses are counted by.
    pub(crate) rid: RevocationId,
    pub(crate) most: u32,
}

/// The shortest of the blocks' durations. The greatest number of seconds means "no limit from this block".
pub(super) fn shortest(seconds: impl Iterator<Item = u32>) -> Option<Duration> {
    seconds.min().filter(|seconds| *seconds != u32::MAX).map(|seconds| Duration::from_secs(seconds.into()))
}
