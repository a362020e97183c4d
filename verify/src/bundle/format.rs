//! A bundle's bytes: `"CVLOGB1" ‖ 0x0A ‖ vault id[16]`, then items `type u8 ‖ len u32 ‖ value`.

use std::io::{self, Read, Write};
use std::ops::Range;

use sha2::{Digest, Sha256};

use super::BundleError;
use crate::merkle::Hash;

pub(super) const MAGIC: [u8; 8] = *b"CVLOGB1\n";
/// The longest value of an item.
const LONGEST: u32 = 1 << 17;

/// What an item is; they stand in this order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Item {
    /// A signed note: what all is proved against.
    Checkpoint = 1,
    /// A signed note that closed an epoch, with the proof that it is a beginning of the checkpoint.
    Final = 2,
    /// A signed note of earlier, with such a proof.
    Earlier = 3,
    /// The key of an entry.
    Key = 4,
    /// Which entries follow, and the hashes beside them.
    Range = 5,
    /// An entry.
    Entry = 6,
    /// The hash of all before.
    End = 7,
}

impl Item {
    const ALL: [Self; 7] =
        [Self::Checkpoint, Self::Final, Self::Earlier, Self::Key, Self::Range, Self::Entry, Self::End];

    const fn code(self) -> u8 {
        match self {
            Self::Checkpoint => 1,
            Self::Final => 2,
            Self::Earlier => 3,
            Self::Key => 4,
            Self::Range => 5,
            Self::Entry => 6,
            Self::End => 7,
        }
    }
}

/// Writes items, and hashes what it writes.
pub(super) struct Out<W> {
    to: W,
    hash: Sha256,
}

impl<W: Write> Out<W> {
    pub(super) fn begin(to: W, vault: &[u8; 16]) -> io::Result<Self> {
        let mut out = Self { to, hash: Sha256::new() };
        out.put(&MAGIC)?;
        out.put(vault)?;
        Ok(out)
    }

    fn put(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.hash.update(bytes);
        self.to.write_all(bytes)
    }

    pub(super) fn item(&mut self, item: Item, value: &[&[u8]]) -> io::Result<()> {
        let len: usize = value.iter().map(|part| part.len()).sum();
        let len = u32::try_from(len).ok().filter(|len| *len <= LONGEST);
        let len = len.ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "an item of a bundle is too long"))?;
        self.put(&[item.code()])?;
        self.put(&len.to_be_bytes())?;
        value.iter().try_for_each(|part| self.put(part))
    }

    /// Ends the bundle; gives the hash of all before its last item.
    pub(super) fn end(mut self) -> io::Result<Hash> {
        let hash: Hash = self.hash.clone().finalize().into();
        self.item(Item::End, &[&hash])?;
        self.to.flush()?;
        Ok(hash)
    }
}

/// Reads items, and hashes what it reads.
pub(super) struct In<R> {
    from: R,
    hash: Sha256,
    last: Item,
    /// The head of an item that was read beyond the entries.
    ahead: Option<[u8; HEAD]>,
}

/// Type and length of an item.
const HEAD: usize = 5;
/// Bytes behind which a batch of entries ends.
const BATCH_BYTES: usize = 256 << 10;
/// Entries of a batch at most: a power of two, so that most are one node of the tree.
pub(super) const BATCH: usize = 1_024;

/// Why the next item cannot be had.
pub(super) enum Broken {
    Io(io::Error),
    Malformed(&'static str),
}

/// Entries as they stand in a bundle.
#[derive(Default)]
pub(super) struct Batch {
    /// With the heads of their items.
    bytes: Vec<u8>,
    places: Vec<Range<usize>>,
}

impl Batch {
    pub(super) fn entries(&self) -> impl Iterator<Item = &[u8]> {
        self.places.iter().map(|place| self.bytes.get(place.clone()).unwrap_or_default())
    }

    pub(super) fn len(&self) -> u64 {
        u64::try_from(self.places.len()).unwrap_or(u64::MAX)
    }

    pub(super) fn hash(&self, into: &mut Sha256) {
        into.update(&self.bytes);
    }
}

impl<R: Read> In<R> {
    pub(super) fn begin(mut from: R) -> Result<(Self, [u8; 16]), BundleError> {
        let mut head = [0; 24];
        from.read_exact(&mut head).map_err(|error| match error.kind() {
            io::ErrorKind::UnexpectedEof => BundleError::NotABundle,
            _ => BundleError::Io(error),
        })?;
        let (magic, vault) = head.split_first_chunk::<8>().ok_or(BundleError::NotABundle)?;
        if *magic != MAGIC {
            return Err(BundleError::NotABundle);
        }
        let hash = Sha256::new_with_prefix(head);
        let vault = vault.try_into().map_err(|_| BundleError::NotABundle)?;
        Ok((Self { from, hash, last: Item::Checkpoint, ahead: None }, vault))
    }

    /// The item that comes next, and the length of its value.
    fn head(&mut self) -> Result<(Item, usize, [u8; HEAD]), Broken> {
        let head = match self.ahead.take() {
            Some(head) => head,
            None => {
                let mut head = [0; HEAD];
                fill(&mut self.from, &mut head)?;
                head
            }
        };
        let [code, len @ ..] = head;
        let item = Item::ALL.into_iter().find(|item| item.code() == code);
        let item = item.ok_or(Broken::Malformed("an item of an unknown type"))?;
        let len = u32::from_be_bytes(len);
        if item < self.last || len > LONGEST {
            return Err(Broken::Malformed("an item out of its place, or too long"));
        }
        self.last = item;
        Ok((item, usize::try_from(len).unwrap_or(usize::MAX), head))
    }

    /// The next item that is neither an entry nor the end, whose value stands in `value` then; nothing before these.
    pub(super) fn next(&mut self, value: &mut Vec<u8>) -> Result<Option<Item>, Broken> {
        let (item, len, head) = self.head()?;
        if item >= Item::Entry {
            self.ahead = Some(head);
            return Ok(None);
        }
        value.clear();
        value.resize(len, 0);
        fill(&mut self.from, value)?;
        self.hash.update(head);
        self.hash.update(&*value);
        Ok(Some(item))
    }

    /// The next entries, which are hashed elsewhere; none before the end. Behind an error, those that were read before it
    /// stand in `batch`.
    pub(super) fn entries(&mut self, batch: &mut Batch) -> Result<(), Broken> {
        batch.bytes.clear();
        batch.places.clear();
        while batch.places.len() < BATCH && batch.bytes.len() < BATCH_BYTES {
            let (item, len, head) = self.head()?;
            if item != Item::Entry {
                self.ahead = Some(head);
                break;
            }
            batch.bytes.extend(head);
            let start = batch.bytes.len();
            let end = start.saturating_add(len);
            batch.bytes.resize(end, 0);
            fill(&mut self.from, batch.bytes.get_mut(start..).unwrap_or_default())?;
            batch.places.push(start..end);
        }
        Ok(())
    }

    /// The hash of what was read, to go on with elsewhere.
    pub(super) fn take_hash(&mut self) -> Sha256 {
        std::mem::take(&mut self.hash)
    }

    /// The end, behind all entries, against the hash of all before.
    pub(super) fn end(mut self, hash: Sha256) -> Result<(), Broken> {
        let (item, len, _) = self.head()?;
        let mut told = [0; 32];
        if item != Item::End || len != told.len() {
            return Err(Broken::Malformed("the hash at the end is none"));
        }
        fill(&mut self.from, &mut told)?;
        if told != Hash::from(hash.finalize()) {
            return Err(Broken::Malformed("the hash at the end is not that of the bundle"));
        }
        match self.from.read_exact(&mut [0]) {
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(()),
            Err(error) => Err(Broken::Io(error)),
            Ok(()) => Err(Broken::Malformed("something stands behind the end")),
        }
    }
}

fn fill(from: &mut impl Read, bytes: &mut [u8]) -> Result<(), Broken> {
    from.read_exact(bytes).map_err(|error| match error.kind() {
        io::ErrorKind::UnexpectedEof => Broken::Malformed("it is cut"),
        _ => Broken::Io(error),
    })
}

/// Hashes one behind the other.
pub(super) fn hashes(bytes: &[u8]) -> Option<Vec<Hash>> {
    let (hashes, rest) = bytes.as_chunks::<32>();
    (rest.is_empty() && hashes.len() <= 128).then(|| hashes.to_vec())
}

/// A note behind its length, then hashes.
pub(super) fn note_and_proof(value: &[u8]) -> Option<(&str, Vec<Hash>)> {
    let (len, rest) = value.split_first_chunk::<4>()?;
    let (note, proof) = rest.split_at_checked(usize::try_from(u32::from_be_bytes(*len)).ok()?)?;
    Some((std::str::from_utf8(note).ok()?, hashes(proof)?))
}
