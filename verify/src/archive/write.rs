//! Writing an archive.

use std::io::Write;
use std::ops::Range;

use sha2::{Digest, Sha256};

use super::chain::Chain;
use super::{ArchiveError, Archived, FORMAT, MAGIC};
use crate::merkle::Hash;

/// Writes an archive entry by entry, and refuses entries that no archive may hold.
#[derive(Debug)]
pub struct ArchiveWriter<W> {
    out: W,
    hash: Sha256,
    bytes: u64,
    vault: [u8; 16],
    entries: Range<u64>,
    chain: Chain,
}

impl<W: Write> ArchiveWriter<W> {
    /// Begins an archive of these entries, by number, of the vault with this id.
    ///
    /// # Errors
    /// [`ArchiveError::Write`].
    pub fn begin(out: W, vault: [u8; 16], entries: Range<u64>) -> Result<Self, ArchiveError> {
        let chain = Chain::new(vault, entries.start, entries.end);
        let mut writer = Self { out, hash: Sha256::new(), bytes: 0, vault, chain, entries };
        writer.put(&MAGIC)?;
        writer.put(&FORMAT.to_be_bytes())?;
        writer.put(&vault)?;
        writer.put(&writer.entries.start.to_be_bytes())?;
        writer.put(&writer.entries.end.to_be_bytes())?;
        Ok(writer)
    }

    /// The next entry.
    ///
    /// # Errors
    /// [`ArchiveError::Entry`] where it is not the next one of this vault, [`ArchiveError::Write`].
    pub fn push(&mut self, entry: &[u8]) -> Result<(), ArchiveError> {
        let seq = self.chain.next;
        let len = u16::try_from(entry.len()).map_err(|_| ArchiveError::Entry { seq, why: "is too long" })?;
        if self.chain.left() == 0 {
            return Err(ArchiveError::Entry { seq, why: "was not announced" });
        }
        self.chain.push(entry)?;
        self.put(&len.to_be_bytes())?;
        self.put(entry)
    }

    /// Ends the archive, and flushes it.
    ///
    /// # Errors
    /// [`ArchiveError::Count`] where entries are missing that were announced, [`ArchiveError::Write`].
    pub fn finish(mut self) -> Result<Archived, ArchiveError> {
        let Range { start: first, end } = self.entries;
        let expected = end.saturating_sub(first);
        if self.chain.left() > 0 {
            return Err(ArchiveError::Count { expected, found: expected.saturating_sub(self.chain.left()) });
        }
        let (root, last) = self.chain.end();
        self.put(&root)?;
        let hash: Hash = self.hash.clone().finalize().into();
        self.put(&hash)?;
        self.out.flush().map_err(ArchiveError::Write)?;
        let sha256 = self.hash.finalize().into();
        Ok(Archived { vault: self.vault, first, end, root, last, sha256, bytes: self.bytes })
    }

    fn put(&mut self, bytes: &[u8]) -> Result<(), ArchiveError> {
        self.hash.update(bytes);
        self.bytes = self.bytes.saturating_add(u64::try_from(bytes.len()).unwrap_or(u64::MAX));
        self.out.write_all(bytes).map_err(ArchiveError::Write)
    }
}
