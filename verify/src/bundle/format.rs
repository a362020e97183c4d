//! A bundle's bytes: `"CVLOGB1" ‖ 0x0A ‖ vault id[16]`, then items `type u8 ‖ len u32 ‖ value`.

use std::io::{self, Read, Write};

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
}

/// Why the next item cannot be had.
pub(super) enum Broken {
    Io(io::Error),
    Malformed(&'static str),
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
        Ok((Self { from, hash, last: Item::Checkpoint }, vault.try_into().map_err(|_| BundleError::NotABundle)?))
    }

    /// The next item, and whether the hash at the end is that of all before.
    pub(super) fn next(&mut self) -> Result<(Item, Vec<u8>), Broken> {
        let (before, mut head) = (self.hash.clone(), [0; 5]);
        self.fill(&mut head)?;
        let [code, len @ ..] = head;
        let item = Item::ALL.into_iter().find(|item| item.code() == code);
        let item = item.ok_or(Broken::Malformed("an item of an unknown type"))?;
        let len = u32::from_be_bytes(len);
        if item < self.last || len > LONGEST {
            return Err(Broken::Malformed("an item out of its place, or too long"));
        }
        self.last = item;
        let mut value = vec![0; usize::try_from(len).unwrap_or(usize::MAX)];
        self.fill(&mut value)?;
        if item == Item::End {
            let hash: Hash = before.finalize().into();
            if value != hash {
                return Err(Broken::Malformed("the hash at the end is not that of the bundle"));
            }
            let mut more = [0];
            match self.from.read(&mut more) {
                Ok(0) => {}
                Ok(_) => return Err(Broken::Malformed("something stands behind the end")),
                Err(error) => return Err(Broken::Io(error)),
            }
        }
        Ok((item, value))
    }

    fn fill(&mut self, bytes: &mut [u8]) -> Result<(), Broken> {
        self.from.read_exact(bytes).map_err(|error| match error.kind() {
            io::ErrorKind::UnexpectedEof => Broken::Malformed("it is cut"),
            _ => Broken::Io(error),
        })?;
        self.hash.update(&*bytes);
        Ok(())
    }
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
