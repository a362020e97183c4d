//! Reading an archive, one entry in memory at a time.

use std::io::{BufReader, ErrorKind, Read};

use sha2::{Digest, Sha256};

use super::chain::Chain;
use super::{ArchiveError, Archived, FORMAT, MAGIC};
use crate::merkle::Hash;

/// Reads an archive entry by entry and verifies each; that they are all, and as they were written, only
/// [`ArchiveReader::finish`] says.
#[derive(Debug)]
pub struct ArchiveReader<R> {
    input: BufReader<R>,
    hash: Sha256,
    bytes: u64,
    vault: [u8; 16],
    first: u64,
    end: u64,
    chain: Chain,
    entry: Vec<u8>,
}

impl<R: Read> ArchiveReader<R> {
    /// Reads the beginning.
    ///
    /// # Errors
    /// [`ArchiveError::NoArchive`], [`ArchiveError::Newer`], [`ArchiveError::Read`].
    pub fn begin(input: R) -> Result<Self, ArchiveError> {
        let mut reader = Self {
            input: BufReader::new(input),
            hash: Sha256::new(),
            bytes: 0,
            vault: [0; 16],
            first: 0,
            end: 0,
            chain: Chain::new([0; 16], 0, 0),
            entry: Vec::new(),
        };
        let short = |error| match error {
            ArchiveError::Cut { .. } => ArchiveError::NoArchive("it is too short"),
            other => other,
        };
        if reader.take::<8>().map_err(short)? != MAGIC {
            return Err(ArchiveError::NoArchive("it begins with something else"));
        }
        match u16::from_be_bytes(reader.take().map_err(short)?) {
            FORMAT => {}
            0 => return Err(ArchiveError::NoArchive("there is no format 0")),
            newer => return Err(ArchiveError::Newer(newer)),
        }
        reader.vault = reader.take().map_err(short)?;
        reader.first = u64::from_be_bytes(reader.take().map_err(short)?);
        reader.end = u64::from_be_bytes(reader.take().map_err(short)?);
        if reader.first >= reader.end {
            return Err(ArchiveError::NoArchive("it holds no entries"));
        }
        reader.chain = Chain::new(reader.vault, reader.first, reader.end);
        Ok(reader)
    }

    /// Id of the vault whose log it says to be.
    #[must_use]
    pub const fn vault(&self) -> [u8; 16] {
        self.vault
    }

    /// The next entry, with its number; nothing behind the last one.
    ///
    /// # Errors
    /// [`ArchiveError::Entry`] where it does not follow the one before, [`ArchiveError::Cut`], [`ArchiveError::Read`].
    pub fn next_entry(&mut self) -> Result<Option<(u64, &[u8])>, ArchiveError> {
        if self.chain.left() == 0 {
            return Ok(None);
        }
        let seq = self.chain.next;
        let len = u16::from_be_bytes(self.take()?);
        let mut entry = std::mem::take(&mut self.entry);
        entry.resize(usize::from(len), 0);
        self.fill(&mut entry)?;
        self.entry = entry;
        self.chain.push(&self.entry)?;
        Ok(Some((seq, &self.entry)))
    }

    /// Reads the end, and says what the archive holds; entries that were not asked for are verified as well.
    ///
    /// # Errors
    /// [`ArchiveError::End`] where the entries are others than were written, or something follows, and as
    /// [`ArchiveReader::next_entry`].
    pub fn finish(mut self) -> Result<Archived, ArchiveError> {
        while self.next_entry()?.is_some() {}
        let (root, last) = self.chain.end();
        let told: Hash = self.take()?;
        let expected: Hash = self.hash.clone().finalize().into();
        if self.take::<32>()? != expected {
            return Err(ArchiveError::End("hash"));
        }
        if told != root {
            return Err(ArchiveError::End("root"));
        }
        // Whoever reads on would take what follows for part of it.
        match self.input.read_exact(&mut [0]) {
            Err(error) if error.kind() == ErrorKind::UnexpectedEof => {}
            Err(error) => return Err(ArchiveError::Read(error)),
            Ok(()) => return Err(ArchiveError::End("length")),
        }
        let sha256 = self.hash.finalize().into();
        let Self { vault, first, end, bytes, .. } = self;
        Ok(Archived { vault, first, end, root, last, sha256, bytes })
    }

    fn take<const N: usize>(&mut self) -> Result<[u8; N], ArchiveError> {
        let mut bytes = [0; N];
        self.fill(&mut bytes)?;
        Ok(bytes)
    }

    fn fill(&mut self, bytes: &mut [u8]) -> Result<(), ArchiveError> {
        self.input.read_exact(bytes).map_err(|error| match error.kind() {
            ErrorKind::UnexpectedEof => ArchiveError::Cut { seq: self.chain.next },
            _ => ArchiveError::Read(error),
        })?;
        self.hash.update(&*bytes);
        self.bytes = self.bytes.saturating_add(u64::try_from(bytes.len()).unwrap_or(u64::MAX));
        Ok(())
    }
}
