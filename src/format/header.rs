//! The header (docs/format/header.md): the vault's id, its slots and its sealed keyring.
//!
//! What was parsed is an [`UnverifiedHeader`]: well-formed, but anyone could have written it. It becomes a
//! [`HeaderContent`] when a key that came out of one of its own slots confirms its MAC.

use super::slot::{Slot, SlotError};
use super::{Fields, ParseError};
use crate::bytes::{Put, Reader, TooLong};
use crate::crypto::aead::Suite;
use crate::crypto::hash::{HmacKey, equal, sha256};
use crate::crypto::passphrase::CostOutOfBounds;
use crate::crypto::pbkdf2::IterationsOutOfBounds;
use crate::ids::VaultId;

const MAGIC: [u8; 8] = *b"CVHDR1\0\0";

/// The newest vault format, and so far the only one.
pub(crate) const FORMAT: u16 = 1;

/// Most bytes of a header.
pub(crate) const MAX_HEADER: usize = 65_536;

/// Most slots of a header.
pub(crate) const MAX_SLOTS: usize = 32;

/// Most suites that a header may list.
const MAX_SUITES: usize = 8;

/// Most Argon2id work of all slots together, in KiB times passes: 16 GiB, about eighty slots at the default cost.
/// Bounds how long a wrong passphrase, or a forged header, keeps the machine busy.
pub(crate) const MAX_WORK: u64 = 16 * 1024 * 1024;

/// Magic, format and length: the same in every format to come, as is H at the end.
const PREFIX_LEN: usize = 8 + 2 + 4;
const MAC_LEN: usize = 32;
const HASH_LEN: usize = 32;

/// Why bytes are no header that can be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum HeaderError {
    /// The header does not match its own checksum: damaged, or cut.
    #[error("the header does not match its own checksum; use its other copy, or restore it from a backup")]
    Corrupt,
    /// Written by a newer version of the library.
    #[error("the vault has format {found}, and {newest} is the newest this version can read; use a newer version")]
    UnknownFormat {
        /// The format found.
        found: u16,
        /// The newest that can be read.
        newest: u16,
    },
    /// The checksum is right, but the content is not what the format prescribes: not made by this library.
    #[error("the header was not made by this library ({0}); use its other copy, or restore it from a backup")]
    Malformed(ParseError),
    /// A slot asks for more, or less, work than is allowed. Nothing was computed.
    #[error("key slot {slot} was refused before any memory was taken: {source}")]
    SlotCost {
        /// Number of the slot.
        slot: u8,
        /// What is wrong with its parameters.
        source: CostOutOfBounds,
    },
    /// A slot asks for more, or fewer, iterations of PBKDF2 than are allowed. Nothing was computed.
    #[error("key slot {slot} was refused before any work: {source}")]
    SlotIterations {
        /// Number of the slot.
        slot: u8,
        /// What is wrong with its parameters.
        source: IterationsOutOfBounds,
    },
    /// All slots together ask for more work than is allowed. Nothing was computed.
    #[error(
        "the passphrase slots ask for as much work as {} MiB of Argon2id passes in all, and {} are allowed; remove slots or lower costs",
        .work / 1024,
        .limit / 1024
    )]
    TooMuchWork {
        /// Memory in KiB times passes, summed; four iterations of PBKDF2 count as one.
        work: u64,
        /// The most that is allowed.
        limit: u64,
    },
    /// More slots than a header may have.
    #[error("the header would have {slots} key slots, and {limit} are allowed; remove one first")]
    TooManySlots {
        /// Slots found or wanted.
        slots: usize,
        /// The most that is allowed.
        limit: usize,
    },
    /// Longer than a header may be.
    #[error("the header would have {len} bytes, and {limit} are allowed; remove slots or old keys first")]
    TooLarge {
        /// Bytes found or wanted.
        len: usize,
        /// The most that is allowed.
        limit: usize,
    },
}

impl From<ParseError> for HeaderError {
    fn from(error: ParseError) -> Self {
        match error {
            ParseError::UnknownFormat { found, newest } => Self::UnknownFormat { found, newest },
            other => Self::Malformed(other),
        }
    }
}

impl From<SlotError> for HeaderError {
    fn from(error: SlotError) -> Self {
        match error {
            SlotError::Malformed(error) => error.into(),
            SlotError::Cost { slot, source } => Self::SlotCost { slot, source },
            SlotError::Iterations { slot, source } => Self::SlotIterations { slot, source },
        }
    }
}

/// Everything in a header but its MAC and checksum.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct HeaderContent {
    pub(crate) vault: VaultId,
    /// Counts the changes of the header, from 1.
    pub(crate) generation: u64,
    /// The first seals new values; the others may be met in older ones.
    pub(crate) suites: Vec<Suite>,
    /// Ascending by number.
    pub(crate) slots: Vec<Slot>,
    /// `suite u8 ‖ seal`.
    pub(crate) sealed_keyring: Vec<u8>,
}

impl HeaderContent {
    /// The whole header, authenticated. What it returns can be parsed: every limit is checked by doing so.
    pub(crate) fn encode(&self, mac: &HmacKey) -> Result<Vec<u8>, HeaderError> {
        if self.slots.len() > MAX_SLOTS {
            return Err(HeaderError::TooManySlots { slots: self.slots.len(), limit: MAX_SLOTS });
        }
        let body = self.encode_body().map_err(|TooLong| too_large(usize::MAX))?;
        let len = PREFIX_LEN + body.len() + MAC_LEN + HASH_LEN;
        let mut bytes = Vec::with_capacity(len);
        bytes.put(&MAGIC);
        bytes.put_u16(FORMAT);
        bytes.put_u32(u32::try_from(len).map_err(|_| too_large(len))?);
        bytes.put(&body);
        let tag = mac.tag(&[&bytes]);
        bytes.put(&tag);
        let hash = sha256(&[&bytes]);
        bytes.put(&hash);
        UnverifiedHeader::parse(&bytes)?;
        Ok(bytes)
    }

    fn encode_body(&self) -> Result<Vec<u8>, TooLong> {
        let mut body = Vec::new();
        body.put(self.vault.as_bytes());
        body.put_u64(self.generation);
        body.put_u8(u8::try_from(self.suites.len()).map_err(|_| TooLong)?);
        self.suites.iter().for_each(|suite| body.put_u8(suite.code()));
        body.put_u8(u8::try_from(self.slots.len()).map_err(|_| TooLong)?);
        self.slots.iter().try_for_each(|slot| slot.encode(&mut body))?;
        body.put_len16(&self.sealed_keyring)?;
        Ok(body)
    }

    /// What the sealed keyring is bound to: the vault, the generation and the suite.
    pub(crate) fn keyring_aad(vault: VaultId, generation: u64, suite: Suite) -> Vec<u8> {
        let mut aad = Vec::with_capacity(16 + 8 + 2 + 1);
        aad.put(vault.as_bytes());
        aad.put_u64(generation);
        aad.put_u16(FORMAT);
        aad.put_u8(suite.code());
        aad
    }
}

/// A header that has the right form and checksum, which anyone can make. Only [`UnverifiedHeader::verify`] tells whether
/// it is the vault's own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct UnverifiedHeader {
    content: HeaderContent,
    authenticated: Vec<u8>,
    mac: [u8; MAC_LEN],
}

impl UnverifiedHeader {
    /// Parses a header that ends where `bytes` ends. The checksum is judged first, so that damage has a name of its own.
    pub(crate) fn parse(bytes: &[u8]) -> Result<Self, HeaderError> {
        if bytes.len() > MAX_HEADER {
            return Err(too_large(bytes.len()));
        }
        let (hashed, hash) = bytes.split_last_chunk::<HASH_LEN>().ok_or(HeaderError::Corrupt)?;
        if sha256(&[hashed]) != *hash {
            return Err(HeaderError::Corrupt);
        }
        let mut prefix = Fields::new(hashed);
        prefix.read_if("magic", Reader::array, |magic| *magic == MAGIC)?;
        let format = prefix.read_if("format", Reader::u16, |format| *format != 0)?;
        if format > FORMAT {
            return Err(HeaderError::UnknownFormat { found: format, newest: FORMAT });
        }
        let right_len = u32::try_from(bytes.len()).ok();
        prefix.read_if("length", Reader::u32, |len| Some(*len) == right_len)?;
        let (authenticated, mac) = hashed.split_last_chunk::<MAC_LEN>().ok_or(HeaderError::Corrupt)?;
        let mut fields = Fields::new(authenticated);
        fields.read("length", |reader| reader.take(PREFIX_LEN))?;
        let content = parse_body(fields)?;
        Ok(Self { content, authenticated: authenticated.to_vec(), mac: *mac })
    }

    /// Parses a header with zeros behind it, as it stands in its file.
    pub(crate) fn parse_padded(file: &[u8]) -> Result<Self, HeaderError> {
        let mut prefix = Reader::new(file);
        let len = prefix.take(PREFIX_LEN - 4).and_then(|_| prefix.u32()).map_err(|_| HeaderError::Corrupt)?;
        let len = usize::try_from(len).map_err(|_| HeaderError::Corrupt)?;
        let (header, padding) = file.split_at_checked(len).ok_or(HeaderError::Corrupt)?;
        if padding.iter().any(|byte| *byte != 0) {
            return Err(HeaderError::Corrupt);
        }
        Self::parse(header)
    }

    /// As it came, without what was behind it.
    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = [&self.authenticated[..], &self.mac].concat();
        let hash = sha256(&[&bytes]);
        bytes.put(&hash);
        bytes
    }

    /// The vault this header claims to belong to.
    pub(crate) const fn vault(&self) -> VaultId {
        self.content.vault
    }

    pub(crate) const fn generation(&self) -> u64 {
        self.content.generation
    }

    /// The slots, which are to be tried; each is bound to vault and place by its own seal.
    pub(crate) fn slots(&self) -> &[Slot] {
        &self.content.slots
    }

    /// The content, if the MAC is right under a key from one of this header's own slots.
    pub(crate) fn verify(&self, mac: &HmacKey) -> Option<&HeaderContent> {
        equal(&mac.tag(&[&self.authenticated]), &self.mac).then_some(&self.content)
    }
}

fn parse_body(mut fields: Fields<'_>) -> Result<HeaderContent, HeaderError> {
    let vault = VaultId::from_bytes(fields.read("vault id", Reader::array)?);
    let generation = fields.read_if("generation", Reader::u64, |generation| *generation != 0)?;
    let suites = parse_suites(&mut fields)?;
    let slots = parse_slots(&mut fields)?;
    let sealed_keyring = fields.read("sealed keyring", Reader::len16)?.to_vec();
    fields.finish()?;
    Ok(HeaderContent { vault, generation, suites, slots, sealed_keyring })
}

fn parse_suites(fields: &mut Fields<'_>) -> Result<Vec<Suite>, ParseError> {
    let count = fields.read_if("suites", Reader::u8, |count| (1..=MAX_SUITES).contains(&usize::from(*count)))?;
    let mut suites = Vec::new();
    for _ in 0..count {
        let offset = fields.offset();
        let suite = fields.suite()?;
        if suites.contains(&suite) {
            return Err(ParseError::BadValue { field: "suites", offset });
        }
        suites.push(suite);
    }
    Ok(suites)
}

fn parse_slots(fields: &mut Fields<'_>) -> Result<Vec<Slot>, HeaderError> {
    let count = usize::from(fields.read_if("slots", Reader::u8, |count| *count != 0)?);
    if count > MAX_SLOTS {
        return Err(HeaderError::TooManySlots { slots: count, limit: MAX_SLOTS });
    }
    let mut slots: Vec<Slot> = Vec::with_capacity(count);
    for _ in 0..count {
        let offset = fields.offset();
        let slot = Slot::parse(fields)?;
        if slots.last().is_some_and(|before| before.number >= slot.number) {
            return Err(HeaderError::Malformed(ParseError::BadValue { field: "slot number", offset }));
        }
        slots.push(slot);
    }
    let work = slots.iter().map(Slot::work).sum();
    if work > MAX_WORK { Err(HeaderError::TooMuchWork { work, limit: MAX_WORK }) } else { Ok(slots) }
}

const fn too_large(len: usize) -> HeaderError {
    HeaderError::TooLarge { len, limit: MAX_HEADER }
}

#[cfg(test)]
mod tests;
