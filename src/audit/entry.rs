//! One entry as bytes (docs/format.md, "Audit entry"): a front that anyone can read and chain, and a payload that only
//! the epoch's key opens.

use zeroize::Zeroizing;

use super::defect::EntryDefect;
use super::keys::AuditKeys;
use crate::bytes::{Put, Reader};
use crate::clock::Timestamp;
use crate::crypto::aead::{self, Suite, TAG_LEN};
use crate::crypto::seal::{FLOOR_KEY, OpenError, SealError};
use crate::crypto::{hash, kdf, pad};
use crate::ids::VaultId;
use crate::secret::{Secret, SecretBytes};

const MAGIC: &[u8; 4] = b"CVA1";
const FLAG_CLOCK_STEP: u8 = 1;
const FLAGS_RESERVED: u8 = 0b1110;
/// Several bits from every other kind: no flipped bit makes a lost entry, behind which no link is checked, of another one.
const LOST: u8 = 60;

/// Bytes 0..78, which the salt and the key depend on.
const FRONT_LEN: usize = 78;
const SALT_LEN: usize = 16;
/// Bytes of an entry around its ciphertext: front, salt, commitment, `ct_len`, tag.
pub(super) const OVERHEAD: usize = FRONT_LEN + SALT_LEN + 32 + 2 + TAG_LEN;
/// Bytes of the largest entry.
pub(crate) const MAX_ENTRY: usize = 65_535;
/// Bytes of the largest payload whose padded form fits an entry.
pub(crate) const MAX_PAYLOAD: usize = 63_484;

/// Size of the entry around a payload of `len` bytes.
pub(super) const fn entry_len(len: usize) -> usize {
    OVERHEAD + pad::padded_len(len, FLOOR_KEY)
}

/// `H(0x00 ‖ entry)`: the link of the chain, and a leaf as RFC 6962 hashes it.
pub(crate) fn leaf_hash(entry: &[u8]) -> [u8; 32] {
    hash::sha256(&[&[0], entry])
}

/// What kind of link an entry is in the chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum EntryKind {
    /// The first entry of a vault, and never another.
    Genesis,
    /// Something happened.
    Event,
    /// An epoch was closed and the next one opened.
    Epoch,
    /// Entries were pruned after export.
    Prune,
    /// The vault was opened after an unclean end.
    Recovery,
    /// Stands in the place of an entry that was lost, written when the vault was salvaged.
    Lost,
}

impl EntryKind {
    /// Whether an entry of this kind may be the first one, or a later one.
    pub(super) const fn may_stand(self, first: bool) -> bool {
        match self {
            Self::Genesis => first,
            Self::Lost => true,
            Self::Event | Self::Epoch | Self::Prune | Self::Recovery => !first,
        }
    }

    const fn code(self) -> u8 {
        match self {
            Self::Genesis => 1,
            Self::Event => 2,
            Self::Epoch => 3,
            Self::Prune => 4,
            Self::Recovery => 5,
            Self::Lost => LOST,
        }
    }

    const fn from_code(code: u8) -> Option<Self> {
        match code {
            1 => Some(Self::Genesis),
            2 => Some(Self::Event),
            3 => Some(Self::Epoch),
            4 => Some(Self::Prune),
            5 => Some(Self::Recovery),
            LOST => Some(Self::Lost),
            _ => None,
        }
    }
}

/// Bytes 0..78 of an entry: what can be read without a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Front {
    pub(crate) kind: EntryKind,
    /// The clock stood more than two minutes behind the entry before; `time` repeats that entry's.
    pub(crate) clock_step: bool,
    pub(crate) suite: Suite,
    pub(crate) vault: VaultId,
    pub(crate) seq: u64,
    pub(crate) time: Timestamp,
    pub(crate) epoch: u32,
    pub(crate) key_id: u32,
    /// Leaf hash of the entry before; zeros in the genesis entry.
    pub(crate) prev: [u8; 32],
}

impl Front {
    fn put(&self, out: &mut Vec<u8>) {
        out.put(MAGIC);
        out.put_u8(self.kind.code());
        out.put_u8(self.suite.code() << 4 | if self.clock_step { FLAG_CLOCK_STEP } else { 0 });
        out.put(self.vault.as_bytes());
        out.put_u64(self.seq);
        out.put_i64(self.time.as_micros());
        out.put_u32(self.epoch);
        out.put_u32(self.key_id);
        out.put(&self.prev);
    }

    fn read(reader: &mut Reader<'_>) -> Result<Self, EntryDefect> {
        if reader.array()? != *MAGIC {
            return Err(EntryDefect::Magic);
        }
        let kind = reader.u8()?;
        let kind = EntryKind::from_code(kind).ok_or(EntryDefect::UnknownKind(kind))?;
        let flags = reader.u8()?;
        if flags & FLAGS_RESERVED != 0 {
            return Err(EntryDefect::ReservedFlag);
        }
        let front = Self {
            kind,
            clock_step: flags & FLAG_CLOCK_STEP != 0,
            suite: Suite::from_code(flags >> 4).ok_or(EntryDefect::UnknownSuite(flags >> 4))?,
            vault: VaultId::from_bytes(reader.array()?),
            seq: reader.u64()?,
            time: Timestamp::from_micros(reader.i64()?),
            epoch: reader.u32()?,
            key_id: reader.u32()?,
            prev: reader.array()?,
        };
        let first = front.seq == 0;
        if !front.kind.may_stand(first) || (first && front.prev != [0; 32]) {
            return Err(EntryDefect::Genesis);
        }
        Ok(front)
    }

    /// Seals `payload` behind this front. `random` may repeat: another front or payload still gives another key.
    pub(super) fn seal(&self, keys: &AuditKeys, payload: &[u8], random: &[u8; 32]) -> Result<Vec<u8>, SealError> {
        let mut padded = Zeroizing::new(pad::pad(payload, FLOOR_KEY, TAG_LEN).ok_or(SealError::TooLarge)?);
        if padded.len() > MAX_ENTRY - OVERHEAD {
            return Err(SealError::TooLarge);
        }
        let ct_len = u16::try_from(padded.len()).map_err(|_| SealError::TooLarge)?;
        let mut entry = Vec::with_capacity(OVERHEAD + padded.len());
        self.put(&mut entry);
        let salt = keys.salt(random, &entry, &padded);
        let (key, commitment) = kdf::audit_open(&keys.entry_key(&[&entry, &salt]));
        aead::encrypt(self.suite, key.expose(), &mut padded).map_err(|_| SealError::TooLarge)?;
        entry.put(&salt);
        entry.put(&commitment);
        entry.put_u16(ct_len);
        entry.put(&padded);
        Ok(entry)
    }
}

/// An entry whose structure was checked, but nothing else: not its place in the chain, and not that it opens.
#[derive(Clone, Copy)]
pub(crate) struct EntryRef<'a> {
    pub(crate) front: Front,
    bytes: &'a [u8],
    /// Bytes 0..94.
    bound: &'a [u8],
    commitment: [u8; 32],
    /// Ciphertext and tag.
    sealed: &'a [u8],
}

impl<'a> EntryRef<'a> {
    /// Checks the structure of exactly one entry.
    pub(crate) fn parse(bytes: &'a [u8]) -> Result<Self, EntryDefect> {
        let mut reader = Reader::new(bytes);
        let front = Front::read(&mut reader)?;
        let bound = Reader::new(bytes).take(FRONT_LEN + SALT_LEN)?;
        reader.take(SALT_LEN)?;
        let commitment = reader.array()?;
        let ct_len = usize::from(reader.u16()?);
        if !(FLOOR_KEY..=MAX_ENTRY - OVERHEAD).contains(&ct_len) || pad::padme(ct_len) != ct_len {
            return Err(EntryDefect::Size);
        }
        let sealed = reader.take(ct_len + TAG_LEN)?;
        reader.finish().map_err(|_| EntryDefect::Trailing)?;
        Ok(Self { front, bytes, bound, commitment, sealed })
    }

    /// Its bytes, made anew from its parts.
    #[cfg(any(test, fuzzing))]
    pub(super) fn to_bytes(self) -> Vec<u8> {
        let mut entry = Vec::new();
        self.front.put(&mut entry);
        entry.put(&self.bound[FRONT_LEN..]);
        entry.put(&self.commitment);
        entry.put_u16(u16::try_from(self.sealed.len() - TAG_LEN).unwrap());
        entry.put(self.sealed);
        entry
    }

    /// Its link in the chain.
    pub(crate) fn leaf(&self) -> [u8; 32] {
        leaf_hash(self.bytes)
    }

    /// Whether `keys` has what it says it was sealed under.
    pub(crate) fn is_under(&self, keys: &AuditKeys) -> bool {
        keys.of(self.front.epoch).is_some()
    }

    /// The payload in clear.
    pub(super) fn open(&self, keys: &AuditKeys) -> Result<SecretBytes, OpenError> {
        let keys = keys.of(self.front.epoch).ok_or(OpenError)?;
        self.open_with_entry_key(&keys.entry_key(&[self.bound]))
    }

    /// Its key `EK`, which opens it and no other; nothing where its epoch's key is not held.
    pub(crate) fn entry_key(&self, keys: &AuditKeys) -> Option<Secret<32>> {
        keys.of(self.front.epoch).map(|keys| keys.entry_key(&[self.bound]))
    }

    /// The payload in clear, for someone who holds this entry's key alone.
    pub(crate) fn open_with_entry_key(&self, entry_key: &Secret<32>) -> Result<SecretBytes, OpenError> {
        let (key, commitment) = kdf::audit_open(entry_key);
        if !hash::equal(&self.commitment, &commitment) {
            return Err(OpenError);
        }
        let mut buffer = Zeroizing::new(self.sealed.to_vec());
        aead::decrypt(self.front.suite, key.expose(), &mut buffer).map_err(|_| OpenError)?;
        let body = pad::unpad(&buffer, FLOOR_KEY).ok_or(OpenError)?;
        let len = body.len();
        buffer.copy_within(body, 0);
        buffer.truncate(len);
        Ok(buffer)
    }
}
