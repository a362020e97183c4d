//! What a slot's credential needs besides its secret, by kind (docs/format/header.md, "Slots").

use super::{SlotKind, is_sound_label};
use crate::bytes::{Put, Reader, TooLong};
use crate::crypto::passphrase::{CostOutOfBounds, PassphraseCost};
use crate::crypto::pbkdf2::{IterationsOutOfBounds, Pbkdf2Iterations};
use crate::format::{Fields, ParseError};

/// Most bytes of a key that a provider wrapped.
pub(crate) const MAX_WRAPPED: usize = 4_096;

/// Most shares of a key.
pub(crate) const MAX_SHARES: u8 = 16;
/// Bytes that tell the shares of one key from those of others.
pub(crate) const SHARE_SET_LEN: usize = 6;

/// Iterations of PBKDF2 that count as much work as one pass over a KiB of Argon2id.
const ITERATIONS_A_KIB: u64 = 4;

const PASSPHRASE_ARGON2ID: u8 = 1;
const PASSPHRASE_PBKDF2: u8 = 2;
const RECOVERY_KEY: u8 = 3;
const RAW_KEY: u8 = 4;
const KEY_FILE: u8 = 5;
const PROVIDER: u8 = 6;
const SHARED_KEY: u8 = 7;
const TWO_PERSONS: u8 = 8;

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
    /// Twice `kind u8 ‖ label len8 ‖ params len16`: the kinds from 1 to 7, in the order in which their keys are joined.
    TwoPersons(Box<[Partner; 2]>),
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
            Self::TwoPersons(_) => SlotKind::TwoPersons,
            Self::Unsupported { kind, .. } => SlotKind::Unsupported(*kind),
        }
    }

    pub(super) const fn code(&self) -> u8 {
        match self {
            Self::Argon2id { .. } => PASSPHRASE_ARGON2ID,
            Self::Pbkdf2 { .. } => PASSPHRASE_PBKDF2,
            Self::RecoveryKey => RECOVERY_KEY,
            Self::RawKey => RAW_KEY,
            Self::KeyFile => KEY_FILE,
            Self::Provider { .. } => PROVIDER,
            Self::SharedKey { .. } => SHARED_KEY,
            Self::TwoPersons(_) => TWO_PERSONS,
            Self::Unsupported { kind, .. } => *kind,
        }
    }

    /// Passes times KiB that one attempt costs; [`ITERATIONS_A_KIB`] iterations of PBKDF2 count as one. Two credentials
    /// are tried in either order.
    pub(super) fn work(&self) -> u64 {
        match self {
            Self::Argon2id { cost, .. } => u64::from(cost.memory_kib()) * u64::from(cost.passes()),
            Self::Pbkdf2 { iterations, .. } => u64::from(iterations.get()) / ITERATIONS_A_KIB,
            Self::TwoPersons(partners) => partners.iter().map(|partner| 2 * partner.params.work()).sum(),
            _ => 0,
        }
    }

    pub(super) fn to_bytes(&self) -> Result<Vec<u8>, TooLong> {
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
            Self::TwoPersons(partners) => {
                let mut bytes = Vec::new();
                partners.iter().try_for_each(|partner| partner.encode(&mut bytes))?;
                bytes
            }
            Self::Unsupported { params, .. } => params.clone(),
        })
    }

    pub(super) fn parse(number: u8, kind: u8, params: &[u8], offset: usize) -> Result<Self, SlotError> {
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
            TWO_PERSONS => {
                let mut fields = Fields::new(params);
                let partners = [Partner::parse(number, &mut fields)?, Partner::parse(number, &mut fields)?];
                fields.finish()?;
                // Of a kind to come: kept, as any slot that this version cannot open.
                let is_known = |partner: &Partner| !matches!(partner.params, Self::Unsupported { .. });
                match partners.iter().all(is_known) {
                    true => Self::TwoPersons(Box::new(partners)),
                    false => Self::Unsupported { kind, params: params.to_vec() },
                }
            }
            _ => Self::Unsupported { kind, params: params.to_vec() },
        };
        Ok(parsed)
    }
}

/// One of the two credentials of a slot that needs both.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Partner {
    pub(crate) label: String,
    pub(crate) params: SlotParams,
}

impl Partner {
    fn encode(&self, bytes: &mut Vec<u8>) -> Result<(), TooLong> {
        bytes.put_u8(self.params.code());
        put_text(bytes, &self.label)?;
        bytes.put_len16(&self.params.to_bytes()?)
    }

    fn parse(number: u8, fields: &mut Fields<'_>) -> Result<Self, SlotError> {
        // Two persons within two persons are none: no depth to be afraid of.
        let kind = fields.read_if("slot params", Reader::u8, |kind| !matches!(*kind, 0 | TWO_PERSONS))?;
        let label = text(fields, "slot params", is_sound_label)?;
        let offset = fields.offset();
        let params = fields.read("slot params", Reader::len16)?;
        Ok(Self { label, params: SlotParams::parse(number, kind, params, offset)? })
    }
}

/// Why a slot is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::format) enum SlotError {
    Malformed(ParseError),
    Cost { slot: u8, source: CostOutOfBounds },
    Iterations { slot: u8, source: IterationsOutOfBounds },
}

impl From<ParseError> for SlotError {
    fn from(error: ParseError) -> Self {
        Self::Malformed(error)
    }
}

/// Whether a key may be split so: at least two shares needed, and at most 16 made.
pub(crate) const fn is_sound_threshold(needed: u8, of: u8) -> bool {
    needed >= 2 && needed <= of && of <= MAX_SHARES
}

/// Whether a provider may have this name.
pub(crate) fn is_sound_name(name: &str) -> bool {
    !name.is_empty() && is_sound_label(name)
}

/// UTF-8 behind its length as u8.
pub(super) fn text(
    fields: &mut Fields<'_>,
    field: &'static str,
    sound: fn(&str) -> bool,
) -> Result<String, ParseError> {
    let offset = fields.offset();
    let bytes = fields.read(field, |reader| {
        let len = reader.u8()?;
        reader.take(usize::from(len))
    })?;
    let text = std::str::from_utf8(bytes).ok().filter(|text| sound(text));
    text.map(str::to_owned).ok_or(ParseError::BadValue { field, offset })
}

pub(super) fn put_text(bytes: &mut Vec<u8>, text: &str) -> Result<(), TooLong> {
    bytes.put_u8(u8::try_from(text.len()).map_err(|_| TooLong)?);
    bytes.put(text.as_bytes());
    Ok(())
}
