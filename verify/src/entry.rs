//! Entries of the log as somebody without keys sees them (chartvault's docs/format/audit.md, "Audit entry").

use crate::merkle::{Hash, leaf_hash};

/// Bytes of an entry in front of its ciphertext.
const HEAD: usize = 128;
const TAG: usize = 16;
/// The longest ciphertext.
const LONGEST: usize = 63_488;
const SHORTEST: usize = 64;

/// What sort of entry it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum EntryKind {
    /// The first of the log.
    Genesis,
    /// Something that happened.
    Event,
    /// The first of an audit epoch, or of a signing epoch.
    Epoch,
    /// What stood before was pruned.
    Prune,
    /// The log goes on after an unclean end.
    Recovery,
    /// Stands in the place of an entry that was lost.
    Lost,
}

/// The front of an entry. Nothing of it is confidential, and nothing is confirmed but by what follows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Entry<'a> {
    /// What sort of entry it is.
    pub kind: EntryKind,
    /// Whether the clock had been set back.
    pub clock_step: bool,
    /// What it is sealed with: 1 ChaCha20-Poly1305, 2 AES-256-GCM.
    pub suite: u8,
    /// The vault.
    pub vault: [u8; 16],
    /// Its number.
    pub seq: u64,
    /// When, in microseconds since 1970.
    pub time: i64,
    /// Its audit epoch.
    pub epoch: u32,
    /// Its signing epoch.
    pub key_id: u32,
    /// The leaf of the entry before.
    pub prev: Hash,
    /// All of it.
    pub bytes: &'a [u8],
}

/// Why bytes are no entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("these bytes are no entry: {0}")]
pub struct EntryDefect(&'static str);

impl<'a> Entry<'a> {
    /// Reads an entry.
    ///
    /// # Errors
    /// [`EntryDefect`].
    pub fn parse(bytes: &'a [u8]) -> Result<Self, EntryDefect> {
        let mut rest = bytes;
        let [a, b, c, d, kind, flags] = take(&mut rest)?;
        if [a, b, c, d] != *b"CVA1" {
            return Err(EntryDefect("they do not begin with CVA1"));
        }
        let kind = match kind {
            1 => EntryKind::Genesis,
            2 => EntryKind::Event,
            3 => EntryKind::Epoch,
            4 => EntryKind::Prune,
            5 => EntryKind::Recovery,
            60 => EntryKind::Lost,
            _ => return Err(EntryDefect("their kind is unknown; a newer version may know it")),
        };
        let (suite, unused) = (flags >> 4, flags & 0b1110);
        if unused != 0 || !(1..=2).contains(&suite) {
            return Err(EntryDefect("their flags are unknown; a newer version may know them"));
        }
        let entry = Self {
            kind,
            clock_step: flags & 1 == 1,
            suite,
            vault: take(&mut rest)?,
            seq: u64::from_be_bytes(take(&mut rest)?),
            time: i64::from_be_bytes(take(&mut rest)?),
            epoch: u32::from_be_bytes(take(&mut rest)?),
            key_id: u32::from_be_bytes(take(&mut rest)?),
            prev: take(&mut rest)?,
            bytes,
        };
        let _salt_and_commitment: [u8; 48] = take(&mut rest)?;
        let len = usize::from(u16::from_be_bytes(take(&mut rest)?));
        if !(SHORTEST..=LONGEST).contains(&len) || padme(len) != len {
            return Err(EntryDefect("their ciphertext has a length that no entry has"));
        }
        if rest.len() != len + TAG {
            return Err(EntryDefect("they are cut, or longer than they say"));
        }
        if (entry.seq == 0) != (kind == EntryKind::Genesis) && !(entry.seq == 0 && kind == EntryKind::Lost) {
            return Err(EntryDefect("the first entry is the genesis entry, and no other one is"));
        }
        if entry.seq == 0 && entry.prev != [0; 32] {
            return Err(EntryDefect("the first entry has none before it"));
        }
        Ok(entry)
    }

    /// Its leaf: `SHA-256(0x00 ‖ entry)`.
    #[must_use]
    pub fn leaf(&self) -> Hash {
        leaf_hash(self.bytes)
    }

    /// The commitment to the key that opens it.
    #[must_use]
    pub fn commitment(&self) -> &[u8] {
        self.bytes.get(94..126).unwrap_or_default()
    }

    /// Ciphertext and tag.
    #[must_use]
    pub fn sealed(&self) -> &[u8] {
        self.bytes.get(HEAD..).unwrap_or_default()
    }
}

fn take<const N: usize>(bytes: &mut &[u8]) -> Result<[u8; N], EntryDefect> {
    let (taken, rest) = bytes.split_first_chunk::<N>().ok_or(EntryDefect("they are cut"))?;
    *bytes = rest;
    Ok(*taken)
}

/// The length that Padmé gives a text (Nikitin et al., PETS 2019, section 4).
pub(crate) fn padme(len: usize) -> usize {
    let Some(exponent) = len.checked_ilog2().filter(|exponent| *exponent > 0) else { return len };
    let mask = (1_usize << (exponent - (exponent.ilog2() + 1)).min(usize::BITS - 1)) - 1;
    (len + mask) & !mask
}
