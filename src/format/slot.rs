//! Key slots (docs/format/header.md, "Slots"): each holds the root key, sealed under one credential.

mod params;

use std::fmt;

pub(super) use params::SlotError;
pub(crate) use params::{
    MAX_SHARES, MAX_WRAPPED, Partner, SHARE_SET_LEN, SlotParams, is_sound_name, is_sound_threshold,
};
use params::{put_text, text};

use super::{Fields, ParseError};
use crate::bytes::{Put, Reader, TooLong};
use crate::clock::Timestamp;
use crate::crypto::aead::{Suite, TAG_LEN};
use crate::crypto::seal::{FLOOR_KEY, SEALED_HEAD};
use crate::ids::VaultId;

/// Most bytes of a slot's label.
pub(crate) const MAX_LABEL: usize = 64;

/// `suite u8 ‖ salt ‖ commitment ‖ padded root key ‖ tag`.
const SEALED_ROOT_LEN: usize = 1 + SEALED_HEAD + FLOOR_KEY + TAG_LEN;

/// What opens a key slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum SlotKind {
    /// A passphrase, through Argon2id or PBKDF2.
    Passphrase,
    /// The recovery key that was shown once.
    RecoveryKey,
    /// A 256-bit key kept elsewhere.
    RawKey,
    /// A key file on a medium of its own.
    KeyFile,
    /// A key that a [`KeyProvider`](crate::KeyProvider) unwraps.
    Provider,
    /// A key that several people hold together, each a share.
    SharedKey,
    /// Two credentials, of two persons, that open it together.
    TwoPersons,
    /// A kind, by its code, that this version cannot open. Other slots are not affected.
    Unsupported(u8),
}

impl fmt::Display for SlotKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Passphrase => f.write_str("passphrase"),
            Self::RecoveryKey => f.write_str("recovery key"),
            Self::RawKey => f.write_str("raw key"),
            Self::KeyFile => f.write_str("key file"),
            Self::Provider => f.write_str("key provider"),
            Self::SharedKey => f.write_str("shared key"),
            Self::TwoPersons => f.write_str("two persons"),
            Self::Unsupported(code) => write!(f, "kind {code} (not supported by this version)"),
        }
    }
}

/// `number u8 ‖ kind u8 ‖ created i64 us ‖ label len8 ‖ params len16 ‖ sealed root key len16`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Slot {
    pub(crate) number: u8,
    pub(crate) created: Timestamp,
    pub(crate) label: String,
    pub(crate) params: SlotParams,
    /// `suite u8 ‖ seal` in every kind that is supported.
    pub(crate) sealed_root: Vec<u8>,
}

impl Slot {
    pub(crate) const fn kind(&self) -> SlotKind {
        self.params.kind()
    }

    /// What the sealed root key is bound to: the vault, this slot's other fields, and the suite.
    pub(crate) fn aad(&self, vault: VaultId, suite: Suite) -> Result<Vec<u8>, TooLong> {
        let mut aad = Vec::new();
        aad.put(vault.as_bytes());
        self.encode_head(&mut aad)?;
        aad.put_u8(suite.code());
        Ok(aad)
    }

    /// Whether its credential opens the vault without that of another slot. A kind that this version does not know may not.
    pub(crate) const fn opens_alone(&self) -> bool {
        !matches!(self.params, SlotParams::TwoPersons(_) | SlotParams::Unsupported { .. })
    }

    /// Passes times KiB that one attempt at this slot costs.
    pub(crate) fn work(&self) -> u64 {
        self.params.work()
    }

    pub(super) fn encode(&self, bytes: &mut Vec<u8>) -> Result<(), TooLong> {
        self.encode_head(bytes)?;
        bytes.put_len16(&self.sealed_root)
    }

    fn encode_head(&self, bytes: &mut Vec<u8>) -> Result<(), TooLong> {
        bytes.put_u8(self.number);
        bytes.put_u8(self.params.code());
        bytes.put_i64(self.created.as_micros());
        put_text(bytes, &self.label)?;
        bytes.put_len16(&self.params.to_bytes()?)
    }

    pub(super) fn parse(fields: &mut Fields<'_>) -> Result<Self, SlotError> {
        let number = fields.read("slot number", Reader::u8)?;
        let kind = fields.read_if("slot kind", Reader::u8, |kind| *kind != 0)?;
        let created = Timestamp::from_micros(fields.read("slot created", Reader::i64)?);
        let label = label(fields)?;
        let params_at = fields.offset();
        let params = fields.read("slot params", Reader::len16)?;
        let params = SlotParams::parse(number, kind, params, params_at)?;
        let supported = !matches!(params, SlotParams::Unsupported { .. });
        let sealed_root = fields.read_if("slot sealed root key", Reader::len16, |sealed| {
            let known_suite = sealed.first().is_some_and(|code| Suite::from_code(*code).is_some());
            !supported || (sealed.len() == SEALED_ROOT_LEN && known_suite)
        })?;
        Ok(Self { number, created, label, params, sealed_root: sealed_root.to_vec() })
    }
}

/// Whether a label may stand in a slot: at most 64 bytes, and nothing that could steer a terminal.
pub(crate) fn is_sound_label(label: &str) -> bool {
    label.len() <= MAX_LABEL && !label.chars().any(char::is_control)
}

fn label(fields: &mut Fields<'_>) -> Result<String, ParseError> {
    text(fields, "slot label", is_sound_label)
}
