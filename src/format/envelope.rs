//! The envelope around every sealed value (docs/format/envelope.md): records, patients' secrets, lookup pointers and
//! policy rows alike. Vault, tree and storage key are bound in from outside, so that a value which was moved, swapped or
//! replayed elsewhere does not open.

use std::iter;
use std::sync::Arc;

use super::keys::Tree;
use super::{Fields, ParseError};
use crate::bytes::{Put, Reader};
use crate::crypto::aead::{Suite, TAG_LEN};
use crate::crypto::random;
use crate::crypto::seal::{FLOOR_KEY, OpenError, SEALED_HEAD, SealError, Sealer};
use crate::ids::VaultId;
use crate::secret::SecretBytes;

/// The newest envelope format, and so far the only one.
const FORMAT: u8 = 1;

/// Bytes before the sealed part.
pub(crate) const HEAD_LEN: usize = 12;

/// No sealed value is shorter: salt, commitment, the smallest padded body and a tag.
const MIN_SEALED: usize = SEALED_HEAD + FLOOR_KEY + TAG_LEN;

/// What an envelope says in clear: `format u8 ‖ suite u8 ‖ flags u16 ‖ epoch u32 ‖ generation u32`. Not to be believed
/// before the value has opened, which binds it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct EnvelopeHead {
    pub(crate) suite: Suite,
    /// Of the data key (records) or wrap key (patients' secrets); 0 where the key has no epochs.
    pub(crate) epoch: u32,
    /// Of the patient's secret; 0 where none takes part.
    pub(crate) generation: u32,
}

impl EnvelopeHead {
    pub(crate) fn to_bytes(self) -> [u8; HEAD_LEN] {
        let [e0, e1, e2, e3] = self.epoch.to_be_bytes();
        let [g0, g1, g2, g3] = self.generation.to_be_bytes();
        [FORMAT, self.suite.code(), 0, 0, e0, e1, e2, e3, g0, g1, g2, g3]
    }
}

/// Where a value stands.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Place<'a> {
    pub(crate) vault: VaultId,
    pub(crate) tree: Tree,
    pub(crate) key: &'a [u8],
}

/// Why an envelope yields no value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum EnvelopeError {
    /// It has not the form of an envelope.
    Malformed(ParseError),
    /// It has the form, but was changed, moved, or sealed under another key.
    DoesNotOpen,
}

impl From<ParseError> for EnvelopeError {
    fn from(error: ParseError) -> Self {
        Self::Malformed(error)
    }
}

impl From<OpenError> for EnvelopeError {
    fn from(_: OpenError) -> Self {
        Self::DoesNotOpen
    }
}

/// Splits an envelope into its head and its sealed part.
pub(crate) fn parse(envelope: &[u8]) -> Result<(EnvelopeHead, &[u8]), ParseError> {
    let mut fields = Fields::new(envelope);
    let format = fields.read_if("format", Reader::u8, |format| *format != 0)?;
    if format > FORMAT {
        return Err(ParseError::UnknownFormat { found: u16::from(format), newest: u16::from(FORMAT) });
    }
    let suite = fields.suite()?;
    fields.read_if("flags", Reader::u16, |flags| *flags == 0)?;
    let epoch = fields.read("epoch", Reader::u32)?;
    let generation = fields.read("generation", Reader::u32)?;
    let sealed = fields.rest();
    fields.read("sealed value", |reader| reader.take(MIN_SEALED))?;
    Ok((EnvelopeHead { suite, epoch, generation }, sealed))
}

/// `head[12] ‖ vault_id[16] ‖ tree u8 ‖ u16 len ‖ storage key`. `None` for a key above 65,535 bytes.
pub(crate) fn aad(head: EnvelopeHead, place: Place<'_>) -> Option<Vec<u8>> {
    let mut aad = Vec::with_capacity(HEAD_LEN + 16 + 1 + 2 + place.key.len());
    aad.put(&head.to_bytes());
    aad.put(place.vault.as_bytes());
    aad.put_u8(place.tree.code());
    aad.put_len16(place.key).ok()?;
    Some(aad)
}

/// Seals `body` for its place: the whole envelope.
pub(crate) fn seal_value(
    sealer: &Sealer,
    head: EnvelopeHead,
    place: Place<'_>,
    body: &[u8],
) -> Result<Arc<[u8]>, SealError> {
    let aad = aad(head, place).ok_or(SealError::TooLarge)?;
    // Where it will stay: records are many, and each copy of one shows.
    let mut envelope: Arc<[u8]> = iter::repeat_n(0, HEAD_LEN + sealer.sealed_len(body.len())).collect();
    let (to_head, sealed) = Arc::get_mut(&mut envelope)
        .and_then(|bytes| bytes.split_at_mut_checked(HEAD_LEN))
        .ok_or(SealError::TooLarge)?;
    to_head.copy_from_slice(&head.to_bytes());
    sealer.seal_into(head.suite, &aad, body, &random::array()?, sealed)?;
    Ok(envelope)
}

/// Opens a parsed envelope in the place where it was found.
pub(crate) fn open_sealed(
    sealer: &Sealer,
    head: EnvelopeHead,
    place: Place<'_>,
    sealed: &[u8],
) -> Result<SecretBytes, OpenError> {
    let aad = aad(head, place).ok_or(OpenError)?;
    sealer.open(head.suite, &aad, sealed)
}

/// Parses and opens, where the key does not depend on the head.
pub(crate) fn open_value(
    sealer: &Sealer,
    place: Place<'_>,
    envelope: &[u8],
) -> Result<(EnvelopeHead, SecretBytes), EnvelopeError> {
    let (head, sealed) = parse(envelope)?;
    Ok((head, open_sealed(sealer, head, place, sealed)?))
}

#[cfg(test)]
mod tests;
