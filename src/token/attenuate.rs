//! Narrowing: a further block, signed by whoever holds an open token, or the key of a bound one.

use std::fmt;

use super::body::{Body, BodyTooLarge};
use super::caveat::Caveat;
use super::closed::BoundToken;
use super::holder::Token;
use super::item::{Item, Scope};
use super::keys::HolderPublicKey;
use super::limits::{LimitError, Limits, limit_steps};
use super::wire::{Block, Wire};
use super::{MAX_BODY_LEN, MAX_TOKEN_LEN};
use crate::clock::{Clock, SystemClock};
use crate::crypto::sign::SigningSeed;
use crate::crypto::{RandomFailed, random};

/// Why a token is not narrowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AttenuateError {
    /// The new block would say more than the token allows. Nobody would get more by it; it is refused because it is a
    /// mistake.
    #[error("`{caveat}` would be wider than what the token allows; a token can only be narrowed")]
    Widening {
        /// What would be wider.
        caveat: Caveat,
    },
    /// The token cannot be narrowed any more.
    #[error("the token cannot be narrowed any more: block {block} does not allow another block behind it")]
    TooDeep {
        /// The block whose limit is reached.
        block: u8,
    },
    /// Something that no block can say.
    #[error(transparent)]
    Limit(#[from] LimitError),
    /// The block would be too large.
    #[error("the block takes {found} bytes; it can take {MAX_BODY_LEN}; list fewer patients or kinds")]
    BlockTooLarge {
        /// Bytes it takes.
        found: usize,
    },
    /// The token would be too large.
    #[error("the token would take {found} bytes; it can take {MAX_TOKEN_LEN}; ask for a new grant instead")]
    TokenTooLarge {
        /// Bytes it would take.
        found: usize,
    },
    /// No random bytes.
    #[error(transparent)]
    Random(#[from] RandomFailed),
}

impl From<BodyTooLarge> for AttenuateError {
    fn from(BodyTooLarge { found }: BodyTooLarge) -> Self {
        Self::BlockTooLarge { found }
    }
}

/// A narrower token in the making; what is not said stays as it is. See [`Token::attenuate`].
#[must_use = "nothing is narrowed until `finish`"]
pub struct Attenuation<'a> {
    wire: &'a Wire,
    /// The secret behind the last block's key.
    signer: &'a SigningSeed,
    limits: Limits,
}

impl<'a> Attenuation<'a> {
    /// `signer` must be the key that the last block names.
    pub(super) fn of(wire: &'a Wire, signer: &'a SigningSeed) -> Self {
        Self { wire, signer, limits: Limits::default() }
    }

    limit_steps!();

    /// Makes the narrower token. The one it was made from stays as it is.
    ///
    /// # Errors
    /// [`AttenuateError`]: it would be wider, too deep or too large, or there were no random bytes.
    pub fn finish(self) -> Result<Token, AttenuateError> {
        self.finish_with(random::array()?, SigningSeed::generate()?)
    }

    /// Binds the narrower token to a key whose secret stays with its holder. Say it last.
    pub const fn bound_to(self, holder: HolderPublicKey) -> BoundAttenuation<'a> {
        BoundAttenuation { attenuation: self, holder }
    }

    /// [`Attenuation::finish`] with given random values.
    pub(super) fn finish_with(self, nonce: [u8; 16], holder: SigningSeed) -> Result<Token, AttenuateError> {
        let (vault, issuer) = (self.wire.vault, self.wire.issuer);
        let narrower = Token::new(vault, issuer, self.blocks(nonce, holder.public())?, holder);
        check_len(narrower.wire().len())?;
        Ok(narrower)
    }

    /// The token's blocks and the new one.
    fn blocks(self, nonce: [u8; 16], next_public: [u8; 32]) -> Result<Vec<Block>, AttenuateError> {
        let now = self.limits.issued_at.unwrap_or_else(|| SystemClock.now());
        let items = self.limits.into_items(now, shortest_session(self.wire))?;
        refuse_widening(self.wire, &items)?;

        let (messages, chain) = self.wire.messages();
        let block = u8::try_from(messages.len()).unwrap_or(u8::MAX);
        let body = Body::new(block, nonce, now.as_secs(), items)?;
        let signature = self.signer.sign(&chain.message(&body, &next_public));
        let mut blocks = self.wire.blocks.clone();
        blocks.push(Block { body, next_public, signature });
        Ok(blocks)
    }
}

impl fmt::Debug for Attenuation<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Attenuation").field("limits", &self.limits).finish_non_exhaustive()
    }
}

/// A narrower token in the making that will be bound to its holder; see [`Attenuation::bound_to`].
#[derive(Debug)]
#[must_use = "nothing is narrowed until `finish`"]
pub struct BoundAttenuation<'a> {
    attenuation: Attenuation<'a>,
    holder: HolderPublicKey,
}

impl BoundAttenuation<'_> {
    /// Makes the narrower token. The one it was made from stays as it is.
    ///
    /// # Errors
    /// As [`Attenuation::finish`].
    pub fn finish(self) -> Result<BoundToken, AttenuateError> {
        self.finish_with(random::array()?)
    }

    /// [`BoundAttenuation::finish`] with a given nonce.
    pub(super) fn finish_with(self, nonce: [u8; 16]) -> Result<BoundToken, AttenuateError> {
        let (vault, issuer) = (self.attenuation.wire.vault, self.attenuation.wire.issuer);
        let blocks = self.attenuation.blocks(nonce, *self.holder.as_bytes())?;
        let narrower = BoundToken::new(vault, issuer, blocks);
        check_len(narrower.wire().len())?;
        Ok(narrower)
    }
}

const fn check_len(found: usize) -> Result<(), AttenuateError> {
    if found > MAX_TOKEN_LEN { Err(AttenuateError::TokenTooLarge { found }) } else { Ok(()) }
}

/// The shortest idle and longest seconds that any block says.
fn shortest_session(wire: &Wire) -> (u32, u32) {
    wire.items().fold((u32::MAX, u32::MAX), |shortest, placed| match placed.item {
        Item::Session { idle, longest } => (shortest.0.min(*idle), shortest.1.min(*longest)),
        _ => shortest,
    })
}

/// Holds every new item against every item of its kind. A depth of 7 at most in the grant also keeps a ninth block out.
pub(super) fn refuse_widening(wire: &Wire, items: &[Item]) -> Result<(), AttenuateError> {
    for placed in wire.items() {
        let behind = placed.below.saturating_add(1);
        if matches!(placed.item, Item::MaxDepth(most) if behind > *most) {
            return Err(AttenuateError::TooDeep { block: placed.block });
        }
        if let Some(wider) = items.iter().find(|item| !item.is_within(placed.item, behind)) {
            return Err(AttenuateError::Widening { caveat: wider.caveat() });
        }
    }
    Ok(())
}

impl Item {
    /// Whether this item, `behind` blocks further down, allows nothing that `earlier` does not. Items about different
    /// things never widen each other.
    fn is_within(&self, earlier: &Self, behind: u8) -> bool {
        match (self, earlier) {
            (Self::NotBefore(new), Self::NotBefore(old)) => new >= old,
            (Self::NotAfter(new), Self::NotAfter(old)) => new <= old,
            (Self::Actions(new), Self::Actions(old)) | (Self::Purposes(new), Self::Purposes(old)) => new & !old == 0,
            (Self::Kinds(new), Self::Kinds(old)) => is_subset(new, old),
            (Self::Patients(new), Self::Patients(old)) => is_subset(new, old),
            (Self::Sensitivity(new), Self::Sensitivity(old)) => new <= old,
            (Self::MaxDepth(new), Self::MaxDepth(old)) => new.saturating_add(behind) <= *old,
            (Self::Session { idle, longest }, Self::Session { idle: old_idle, longest: old_longest }) => {
                idle <= old_idle && longest <= old_longest
            }
            (Self::Mfa { level, oldest }, Self::Mfa { level: old_level, oldest: old_oldest }) => {
                level >= old_level && oldest <= old_oldest
            }
            (Self::MaxUses(new), Self::MaxUses(old)) => new <= old,
            (Self::Facility(new), Self::Facility(old)) => new.iter().all(|one| old.binary_search(one).is_ok()),
            (
                Self::Emergency { actions, sensitivity, longest },
                Self::Emergency { actions: old_actions, sensitivity: old_sensitivity, longest: old_longest },
            ) => actions & !old_actions == 0 && sensitivity <= old_sensitivity && longest <= old_longest,
            // Nobody has two devices at once.
            (Self::Device(new), Self::Device(old)) => new == old,
            // A further attestation is demanded beside those before it.
            // The other items cannot be said when narrowing, and say nothing about what these say.
            _ => true,
        }
    }
}

fn is_subset<T: Ord>(new: &Scope<T>, old: &Scope<T>) -> bool {
    match (new, old) {
        (_, Scope::All) => true,
        (Scope::All, Scope::Only(_)) => false,
        (Scope::Only(new), Scope::Only(old)) => new.iter().all(|one| old.binary_search(one).is_ok()),
    }
}
