//! The body of a block: what the block says, in the bytes that are signed.

use super::caveat::Caveat;
use super::error::TokenError;
use super::item::Item;
use super::{MAX_BODY_LEN, MAX_ITEMS, MIN_BODY_LEN};
use crate::bytes::{Put, Reader};

const GRANT: u8 = 0;
const NARROWING: u8 = 1;

/// A block's statements, together with the bytes they were read from or written as.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Body {
    /// `u16 len ‖ body`.
    framed: Vec<u8>,
    issued_at: u64,
    /// Ascending by tag.
    items: Vec<Item>,
}

/// The statements do not fit a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct BodyTooLarge {
    pub(super) found: usize,
}

impl Body {
    /// Writes a body; block 0 is the grant. Items may come in any order, each tag once.
    pub(super) fn new(block: u8, nonce: [u8; 16], issued_at: u64, mut items: Vec<Item>) -> Result<Self, BodyTooLarge> {
        items.sort_by_key(Item::caveat);
        let mut written = Vec::new();
        let mut count: u8 = 0;
        for item in &items {
            item.put(&mut written).map_err(|_| BodyTooLarge { found: usize::MAX })?;
            count = count.saturating_add(1);
        }
        let found = usize::from(MIN_BODY_LEN).saturating_add(written.len());
        let len = u16::try_from(found).ok().filter(|len| *len <= MAX_BODY_LEN).ok_or(BodyTooLarge { found })?;
        let mut framed = Vec::with_capacity(found.saturating_add(2));
        framed.put_u16(len);
        framed.put_u8(kind_of(block));
        framed.put(&nonce);
        framed.put_u64(issued_at);
        framed.put_u8(count);
        framed.put(&written);
        Ok(Self { framed, issued_at, items })
    }

    /// Takes `u16 len ‖ body` off the front; `block` says where in the token it stands.
    pub(super) fn read(block: u8, token: &mut Reader<'_>) -> Result<Self, TokenError> {
        let mut ahead = *token;
        let len = ahead.u16()?;
        if !(MIN_BODY_LEN..=MAX_BODY_LEN).contains(&len) {
            return Err(TokenError::BodyLength { block, found: len });
        }
        let mut body = Reader::new(ahead.take(usize::from(len))?);
        let framed = token.take(usize::from(len).saturating_add(2))?.to_vec();

        let kind = body.u8()?;
        if kind != kind_of(block) {
            return Err(TokenError::BlockKind { block, found: kind });
        }
        let _nonce: [u8; 16] = body.array()?;
        let issued_at = body.u64()?;
        let items = read_items(block, &mut body)?;
        body.finish()?;
        if block == 0 {
            require_mandatory(&items)?;
        }
        Ok(Self { framed, issued_at, items })
    }

    /// `u16 len ‖ body`, as it stands in the token and under the signature.
    pub(super) fn framed(&self) -> &[u8] {
        &self.framed
    }

    /// Seconds since 1970, as the maker of the block claims.
    pub(super) const fn issued_at(&self) -> u64 {
        self.issued_at
    }

    pub(super) fn items(&self) -> &[Item] {
        &self.items
    }
}

const fn kind_of(block: u8) -> u8 {
    if block == 0 { GRANT } else { NARROWING }
}

fn read_items(block: u8, body: &mut Reader<'_>) -> Result<Vec<Item>, TokenError> {
    let count = body.u8()?;
    if count > MAX_ITEMS {
        return Err(TokenError::ItemCount { block, found: count });
    }
    let mut items: Vec<Item> = Vec::new();
    for _ in 0..count {
        let tag = body.u8()?;
        let value = body.len16()?;
        let caveat = Caveat::from_tag(tag).ok_or(TokenError::UnknownItem { block, tag })?;
        if items.last().is_some_and(|last| last.caveat() >= caveat) {
            return Err(TokenError::ItemOrder { block, caveat });
        }
        if block > 0 && caveat.is_for_grants() {
            return Err(TokenError::MisplacedItem { block, caveat });
        }
        items.push(Item::parse(caveat, value).map_err(|_| TokenError::BadItem { block, caveat })?);
    }
    Ok(items)
}

fn require_mandatory(items: &[Item]) -> Result<(), TokenError> {
    match Caveat::MANDATORY.into_iter().find(|caveat| items.iter().all(|item| item.caveat() != *caveat)) {
        Some(caveat) => Err(TokenError::MissingItem { caveat }),
        None => Ok(()),
    }
}
