//! Entries of a log in one file, to be kept elsewhere: written, read back and verified without any key.
//!
//! ```text
//! 0    "CVLOGARC" ‖ format u16 (1) ‖ vault id [16]
//! 26   number of the first entry u64 ‖ number behind the last one u64
//! 42   for each entry: u16 len ‖ entry
//!      root [32]      of the tree (RFC 6962) whose leaves are these entries and no others
//!      H [32]         SHA-256 of everything before
//! ```
//!
//! All integers are big-endian. The entries follow each other without a gap, and each names the leaf hash of the one before.

mod chain;
mod read;
mod write;

use std::io;

pub use read::ArchiveReader;
pub use write::ArchiveWriter;

use crate::merkle::Hash;

const MAGIC: [u8; 8] = *b"CVLOGARC";
const FORMAT: u16 = 1;

/// What an archive holds, once all of it was written, or read and found sound.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Archived {
    /// Id of the vault whose log it is.
    pub vault: [u8; 16],
    /// Number of the first entry.
    pub first: u64,
    /// Number behind the last entry.
    pub end: u64,
    /// Root of the tree (RFC 6962) whose leaves are these entries. Where `first` is a multiple of a power of two, and the
    /// archive holds just so many, this is a node of the log's own tree.
    pub root: Hash,
    /// Leaf hash of the last entry, which entry `end` names as the one before it.
    pub last: Hash,
    /// SHA-256 of the whole file.
    pub sha256: Hash,
    /// Bytes of the whole file.
    pub bytes: u64,
}

/// Why entries are no archive, or could not become one.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ArchiveError {
    /// It could not be read.
    #[error("the archive could not be read ({0}); see to where it is, and read it again")]
    Read(#[source] io::Error),
    /// It could not be written.
    #[error("the archive could not be written ({0}); see to where it goes, and write it again")]
    Write(#[source] io::Error),
    /// It ends too early.
    #[error("the archive ends before entry {seq} is whole; take another copy")]
    Cut {
        /// Number of the entry; the one behind the last where only the end is missing.
        seq: u64,
    },
    /// It does not begin as an archive does.
    #[error("this is no archive of a log: {0}; take the file that was written as one")]
    NoArchive(&'static str),
    /// A later version wrote it.
    #[error("the archive has format {0}, and this version reads 1; use a newer one")]
    Newer(u16),
    /// An entry is not what it should be.
    #[error("entry {seq} of the archive {why}; take another copy")]
    Entry {
        /// Its number.
        seq: u64,
        /// What is wrong with it.
        why: &'static str,
    },
    /// The number of entries is not the one that was announced.
    #[error("{expected} entries were announced, and {found} came; write the archive anew")]
    Count {
        /// Announced.
        expected: u64,
        /// Came.
        found: u64,
    },
    /// The end does not agree with the entries.
    #[error("the archive's {0} is not that of its entries; take another copy")]
    End(&'static str),
}

/// Reads an archive to its end and verifies it: the entries are of one vault, follow each other, and are those that were
/// written. Whether they are those of the vault's log, a signed checkpoint with a proof says, or the vault itself.
///
/// # Errors
/// [`ArchiveError`], with the number of the first entry that is not sound.
pub fn verify(input: impl io::Read) -> Result<Archived, ArchiveError> {
    let mut archive = ArchiveReader::begin(input)?;
    while archive.next_entry()?.is_some() {}
    archive.finish()
}

#[cfg(test)]
mod tests;
