//! Key slots (docs/format/header.md, "Slots"): each holds the root key, sealed under one credential.

use std::fmt;

use super::{Fields, ParseError};
use crate::bytes::{Put, Reader, TooLong};
use crate::clock::Timestamp;
use crate::crypto::aead::{Suite, TAG_LEN};
use crate::crypto::passphrase::{CostOutOfBounds, PassphraseCost};
use crate::crypto::pbkdf2::{IterationsOutOfBounds, Pbkdf2Iterations};
use crate::crypto::seal::{FLOOR_KEY, SEALED_HEAD};
use crate::ids::VaultId;

/// Most bytes of a slot's label.
pub(crate) const MAX_LABEL: usize = 64;

/// Most bytes of a key that a provider wrapped.
pub(crate) const MAX_WRAPPED: usize = 4_096;

/// Most shares of a key.
pub(crate) const MAX_SHARES: u8 = 16;
/// Bytes that tell the shares of one key from those of others.
pub(crate) const SHARE_SET_LEN: usize = 6;

/// Iterations of PBKDF2 that count as much work as one pass over a KiB of Argon2id.
pub(crate) const ITERATIONS_A_KIB: u64 = 4;

/// `suite u8 ‖ salt ‖ commitment ‖ padded root key ‖ tag`.
const SEALED_ROOT_LEN: usize = 1 + SEALED_HEAD + FLOOR_KEY + TAG_LEN;

const PASSPHRASE_ARGON2ID: u8 = 1;
const PASSPHRASE_PBKDF2: u8 = 2;
const RECOVERY_KEY: u8 = 3;
const RAW_KEY: u8 = 4;
const KEY_FILE: u8 = 5;
const PROVIDER: u8 = 6;
const SHARED_KEY: u8 = 7;

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
            Self::Unsupported(code) => write!(f, "kind {code} (not supported by this version)"),
        }
    }
}

/// What a credential needs besides its secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum SlotParams {
    /// `m u32 KiB ‖ t u32 ‖ p u32 ‖ salt[32]`, inside the bounds of [`PassphraseCost`].
    Argon2id {
        cost: PassphraseCost,
        salt: [u8; 32],
    },
    /// `iterations u32 ‖ salt[32]`, inside the bounds of [`Pbkdf2Iterations`].
    Pbkdf2 {
        iterations: Pbkdf2Iterations,
        salt: [u8; 32],
    },
    RecoveryKey,
    RawKey,
    KeyFile,
    /// `name len8 ‖ wrapped len16`: 1 to 64 bytes, and 1 to [`MAX_WRAPPED`].
    Provider {
        name: String,
        wrapped: Vec<u8>,
    },
    /// `set id[6] ‖ needed u8 ‖ of u8`.
    SharedKey {
        set: [u8; SHARE_SET_LEN],
        needed: u8,
        of: u8,
    },
    /// Kept as it came, so that the header can be written again without loss.
    Unsupported {
        kind: u8,
        params: Vec<u8>,
    },
}

impl SlotParams {
    pub(crate) const fn kind(&self) -> SlotKind {
        match self {
            Self::Argon2id { .. } | Self::Pbkdf2 { .. } => SlotKind::Passphrase,
            Self::RecoveryKey => SlotKind::RecoveryKey,
            Self::RawKey => SlotKind::RawKey,
            Self::KeyFile => SlotKind::KeyFile,
            Self::Provider { .. } => SlotKind::Provider,
            Self::SharedKey { .. } => SlotKind::SharedKey,
            Self::Unsupported { kind, .. } => SlotKind::Unsupported(*kind),
        }
    }

    const fn code(&self) -> u8 {
        match self {
            Self::Argon2id { .. } => PASSPHRASE_ARGON2ID,
            Self::Pbkdf2 { .. } => PASSPHRASE_PBKDF2,
            Self::RecoveryKey => RECOVERY_KEY,
            Self::RawKey => RAW_KEY,
            Self::KeyFile => KEY_FILE,
            Self::Provider { .. } => PROVIDER,
            Self::SharedKey { .. } => SHARED_KEY,
            Self::Unsupported { kind, .. } => *kind,
        }
    }

    fn to_bytes(&self) -> Result<Vec<u8>, TooLong> {
        Ok(match self {
            Self::Argon2id { cost, salt } => {
                let mut bytes = Vec::with_capacity(44);
                bytes.put_u32(cost.memory_kib());
                bytes.put_u32(cost.passes());
                bytes.put_u32(cost.lanes());
                bytes.put(salt);
                bytes
            }
            Self::Pbkdf2 { iterations, salt } => {
                let mut bytes = Vec::with_capacity(36);
                bytes.put_u32(iterations.get());
                bytes.put(salt);
                bytes
            }
            Self::RecoveryKey | Self::RawKey | Self::KeyFile => Vec::new(),
            Self::Provider { name, wrapped } => {
                let mut bytes = Vec::new();
                put_text(&mut bytes, name)?;
                bytes.put_len16(wrapped)?;
                bytes
            }
            Self::SharedKey { set, needed, of } => [&set[..], &[*needed, *of]].concat(),
            Self::Unsupported { params, .. } => params.clone(),
        })
    }

    fn parse(number: u8, kind: u8, params: &[u8], offset: usize) -> Result<Self, SlotError> {
        let parsed = match kind {
            PASSPHRASE_ARGON2ID => {
                let mut fields = Fields::new(params);
                let memory_kib = fields.read("slot params", Reader::u32)?;
                let passes = fields.read("slot params", Reader::u32)?;
                let lanes = fields.read("slot params", Reader::u32)?;
                let salt = fields.read("slot params", Reader::array)?;
                fields.finish()?;
                let cost = PassphraseCost::new(memory_kib, passes, lanes)
                    .map_err(|source| SlotError::Cost { slot: number, source })?;
                Self::Argon2id { cost, salt }
            }
            PASSPHRASE_PBKDF2 => {
                let mut fields = Fields::new(params);
                let iterations = fields.read("slot params", Reader::u32)?;
                let salt = fields.read("slot params", Reader::array)?;
                fields.finish()?;
                let iterations = Pbkdf2Iterations::new(iterations)
                    .map_err(|source| SlotError::Iterations { slot: number, source })?;
                Self::Pbkdf2 { iterations, salt }
            }
            RECOVERY_KEY if params.is_empty() => Self::RecoveryKey,
            RAW_KEY if params.is_empty() => Self::RawKey,
            KEY_FILE if params.is_empty() => Self::KeyFile,
            PROVIDER => {
                let mut fields = Fields::new(params);
                let name = text(&mut fields, "slot params", is_sound_name)?;
                let fits = |wrapped: &&[u8]| (1..=MAX_WRAPPED).contains(&wrapped.len());
                let wrapped = fields.read_if("slot params", Reader::len16, fits)?.to_vec();
                fields.finish()?;
                Self::Provider { name, wrapped }
            }
            RECOVERY_KEY | RAW_KEY | KEY_FILE => {
                return Err(SlotError::Malformed(ParseError::BadValue { field: "slot params", offset }));
            }
            SHARED_KEY => {
                let mut fields = Fields::new(params);
                let set = fields.read("slot params", Reader::array)?;
                let threshold = |[needed, of]: &[u8; 2]| is_sound_threshold(*needed, *of);
                let [needed, of] = fields.read_if("slot params", Reader::array, threshold)?;
                fields.finish()?;
                Self::SharedKey { set, needed, of }
            }
            _ => Self::Unsupported { kind, params: params.to_vec() },
        };
        Ok(parsed)
    }
}

/// Why a slot is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum SlotError {
    Malformed(ParseError),
    Cost { slot: u8, source: CostOutOfBounds },
    Iterations { slot: u8, source: IterationsOutOfBounds },
}

impl From<ParseError> for SlotError {
    fn from(error: ParseError) -> Self {
        Self::Malformed(error)
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
        !matches!(self.params, SlotParams::Unsupported { .. })
    }

    /// Passes times KiB that one attempt at this slot costs; [`ITERATIONS_A_KIB`] iterations of PBKDF2 count as one.
    pub(crate) fn work(&self) -> u64 {
        match &self.params {
            SlotParams::Argon2id { cost, .. } => u64::from(cost.memory_kib()) * u64::from(cost.passes()),
            SlotParams::Pbkdf2 { iterations, .. } => u64::from(iterations.get()) / ITERATIONS_A_KIB,
            _ => 0,
        }
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

/// Whether a key may be split so: at least two shares needed, and at most 16 made.
pub(crate) const fn is_sound_threshold(needed: u8, of: u8) -> bool {
    needed >= 2 && needed <= of && of <= MAX_SHARES
}

/// Whether a provider may have this name.
pub(crate) fn is_sound_name(name: &str) -> bool {
    !name.is_empty() && is_sound_label(name)
}

fn label(fields: &mut Fields<'_>) -> Result<String, ParseError> {
    text(fields, "slot label", is_sound_label)
}

/// UTF-8 behind its length as u8.
fn text(fields: &mut Fields<'_>, field: &'static str, sound: fn(&str) -> bool) -> Result<String, ParseError> {
    let offset = fields.offset();
    let bytes = fields.read(field, |reader| {
        let len = reader.u8()?;
        reader.take(usize::from(len))
    })?;
    let text = std::str::from_utf8(bytes).ok().filter(|text| sound(text));
    text.map(str::to_owned).ok_or(ParseError::BadValue { field, offset })
}

fn put_text(bytes: &mut Vec<u8>, text: &str) -> Result<(), TooLong> {
    bytes.put_u8(u8::try_from(text.len()).map_err(|_| TooLong)?);
    bytes.put(text.as_bytes());
    Ok(())
}
