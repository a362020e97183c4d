//! The two copies of the header on disk, `header.a` and `header.b` (docs/format/header.md, "Copies").
//!
//! A change overwrites the copy that matters less, syncs it and its name, and only then the other: at every moment one
//! whole copy stands, and when the change is answered none holds the old content. Files never shrink; zeros fill what is left over,
//! so that nothing of a longer header before stays behind.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use crate::format::header::{HeaderError, MAX_HEADER, UnverifiedHeader};
use crate::ids::VaultId;
use crate::platform;
use crate::storage::fault::{self, FileOp};

pub(super) const NAME_A: &str = "header.a";
pub(super) const NAME_B: &str = "header.b";

/// Files are a multiple of this long, so that most changes do not change their length.
const BLOCK: usize = 4096;

/// Why the header's copies cannot be used or written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum HeaderFileError {
    /// Neither copy exists.
    #[error("there is no vault in {}: it holds neither header.a nor header.b; check the path", .dir.display())]
    NotAVault {
        /// The directory that was looked into.
        dir: PathBuf,
    },
    /// Neither copy can be used.
    #[error(
        "neither copy of the header in {} can be used; restore one from a backup (header.a: {a}; header.b: {b})",
        .dir.display()
    )]
    BothUnusable {
        /// The vault's directory.
        dir: PathBuf,
        /// What is wrong with `header.a`.
        a: CopyFault,
        /// What is wrong with `header.b`.
        b: CopyFault,
    },
    /// The copies belong to two vaults.
    #[error("header.a in {} belongs to {a}, but header.b to {b}; take away the one that does not belong", .dir.display())]
    DifferentVaults {
        /// The vault's directory.
        dir: PathBuf,
        /// The vault of `header.a`.
        a: VaultId,
        /// The vault of `header.b`.
        b: VaultId,
    },
    /// The vault's header was put elsewhere when the vault was created.
    #[error(
        "the header of the vault in {} is elsewhere; say where, with Options::header{}", .dir.display(),
        .vault.map(|vault| format!(" (it is that of {vault})")).unwrap_or_default()
    )]
    Elsewhere {
        /// The vault's directory.
        dir: PathBuf,
        /// The vault, if the mark that says so is whole.
        vault: Option<VaultId>,
    },
    /// There is no header where it was said to be.
    #[error("there is no header in {}; is its medium there?", .dir.display())]
    NoHeader {
        /// Where it was looked for.
        dir: PathBuf,
    },
    /// A header was given for a vault that has its own.
    #[error("the vault in {} has its header with it; open it without Options::header", .dir.display())]
    NotDetached {
        /// The vault's directory.
        dir: PathBuf,
    },
    /// The header that was given belongs to another vault.
    #[error("the header is that of {found}, but the vault is {vault}; look for its own")]
    HeaderOfAnotherVault {
        /// The vault of the header.
        found: VaultId,
        /// The vault that was to be opened.
        vault: VaultId,
    },
    /// A file stands there already. Nothing was written.
    #[error("{} exists already; choose another place", .path.display())]
    AlreadyExists {
        /// The file that is in the way.
        path: PathBuf,
    },
    /// What was to be written is no header. Nothing was written.
    #[error(transparent)]
    Header(#[from] HeaderError),
    /// A file operation failed.
    #[error("{doing} {} failed: {source}; check the disk and the permissions", .path.display())]
    Io {
        /// What was being done.
        doing: &'static str,
        /// The file or directory.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
}

/// What is wrong with one copy of the header.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CopyFault {
    /// It is not there.
    #[error("it is missing")]
    Missing,
    /// The operating system does not give its bytes.
    #[error("it cannot be read: {0}")]
    Unreadable(io::ErrorKind),
    /// Its bytes are no header that can be used.
    #[error(transparent)]
    Header(#[from] HeaderError),
}

/// The header to unlock with, and what the other copy is.
#[derive(Debug)]
pub(crate) struct HeaderCopies {
    /// The usable copy with the highest generation. The journal knows the generation it must have: when the other copy
    /// is [`OtherCopy::Unusable`], this one may be older, and hold a slot that was removed since.
    pub(crate) chosen: UnverifiedHeader,
    pub(crate) other: OtherCopy,
}

impl HeaderCopies {
    /// Of a header that is kept once, in memory.
    #[cfg(feature = "test-util")]
    pub(crate) fn only(header: &[u8]) -> Result<Self, HeaderFileError> {
        Ok(Self { chosen: UnverifiedHeader::parse_padded(header)?, other: OtherCopy::Same })
    }
}

/// The copy that was not chosen. Anything but [`OtherCopy::Same`] is to be repaired by writing the header again once it
/// has been verified.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum OtherCopy {
    /// Byte for byte the same header.
    Same,
    /// A change was interrupted between the two copies, or one was put back.
    Older(UnverifiedHeader),
    /// The same generation with other content: one of them is forged. Their MACs tell which.
    Differs(UnverifiedHeader),
    /// Damaged, missing or unreadable.
    Unusable(CopyFault),
}

/// Reads both copies. Nothing is trusted yet.
pub(crate) fn read(dir: &Path) -> Result<HeaderCopies, HeaderFileError> {
    match (read_copy(&dir.join(NAME_A)), read_copy(&dir.join(NAME_B))) {
        (Err(CopyFault::Missing), Err(CopyFault::Missing)) => Err(HeaderFileError::NotAVault { dir: dir.to_owned() }),
        (Err(a), Err(b)) => Err(HeaderFileError::BothUnusable { dir: dir.to_owned(), a, b }),
        (Ok(chosen), Err(fault)) | (Err(fault), Ok(chosen)) => {
            Ok(HeaderCopies { chosen, other: OtherCopy::Unusable(fault) })
        }
        (Ok(a), Ok(b)) if a.vault() != b.vault() => {
            Err(HeaderFileError::DifferentVaults { dir: dir.to_owned(), a: a.vault(), b: b.vault() })
        }
        (Ok(a), Ok(b)) if a == b => Ok(HeaderCopies { chosen: a, other: OtherCopy::Same }),
        (Ok(a), Ok(b)) if a.generation() == b.generation() => {
            Ok(HeaderCopies { chosen: a, other: OtherCopy::Differs(b) })
        }
        (Ok(a), Ok(b)) => {
            let (chosen, older) = if a.generation() > b.generation() { (a, b) } else { (b, a) };
            Ok(HeaderCopies { chosen, other: OtherCopy::Older(older) })
        }
    }
}

/// Writes both copies of a new vault's header, durably.
pub(crate) fn create(dir: &Path, header: &[u8]) -> Result<(), HeaderFileError> {
    UnverifiedHeader::parse(header)?;
    for path in [dir.join(NAME_A), dir.join(NAME_B)] {
        match new_file().open(&path) {
            Ok(file) => fill(file, &path, header, 0)?,
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                return Err(HeaderFileError::AlreadyExists { path });
            }
            Err(source) => return Err(HeaderFileError::Io { doing: "creating", path, source }),
        }
    }
    sync_dir(dir)
}

/// Writes a changed header over both copies, durably. After an error either content may be found, each of them whole in
/// at least one copy; what was there is not lost before the new one is safe. Where neither copy exists, or one is that of
/// another vault, nothing is written: it is not the place that was read.
pub(crate) fn write(dir: &Path, header: &[u8]) -> Result<(), HeaderFileError> {
    let vault = UnverifiedHeader::parse(header)?.vault();
    let paths = [dir.join(NAME_A), dir.join(NAME_B)];
    // Held open for as long as it takes, so that their medium is not unmounted meanwhile.
    let _held = paths.each_ref().map(|path| platform::ordinary(path).and_then(|()| File::open(path)));
    let copies = paths.each_ref().map(|path| read_copy(path));
    if copies.iter().all(|copy| matches!(copy, Err(CopyFault::Missing))) {
        return Err(HeaderFileError::NotAVault { dir: dir.to_owned() });
    }
    if let Some(found) = copies.iter().flatten().map(UnverifiedHeader::vault).find(|found| *found != vault) {
        return Err(HeaderFileError::HeaderOfAnotherVault { found, vault });
    }
    for path in in_writing_order(dir) {
        overwrite(&path, header)?;
        // The first copy may be a new file: without its name it would not stand while the other is overwritten.
        sync_dir(dir)?;
    }
    Ok(())
}

/// First the copy whose loss would matter less: one that cannot be used, then the older.
fn in_writing_order(dir: &Path) -> [PathBuf; 2] {
    let [a, b] = [dir.join(NAME_A), dir.join(NAME_B)];
    let worth = |path: &Path| read_copy(path).map_or(0, |header| header.generation());
    if worth(&a) < worth(&b) { [a, b] } else { [b, a] }
}

/// The name of the first copy that cannot be used, if there is one.
pub(crate) fn unusable(dir: &Path) -> Option<&'static str> {
    [NAME_A, NAME_B].into_iter().find(|name| read_copy(&dir.join(name)).is_err())
}

fn read_copy(path: &Path) -> Result<UnverifiedHeader, CopyFault> {
    let unreadable = |error: io::Error| match error.kind() {
        io::ErrorKind::NotFound => CopyFault::Missing,
        kind => CopyFault::Unreadable(kind),
    };
    let mut bytes = Vec::new();
    let most = u64::try_from(MAX_HEADER).unwrap_or(u64::MAX).saturating_add(1);
    let file = platform::ordinary(path).and_then(|()| File::open(path)).map_err(unreadable)?;
    file.take(most).read_to_end(&mut bytes).map_err(unreadable)?;
    if bytes.len() > MAX_HEADER {
        return Err(CopyFault::Header(HeaderError::Corrupt));
    }
    Ok(UnverifiedHeader::parse_padded(&bytes)?)
}

fn overwrite(path: &Path, header: &[u8]) -> Result<(), HeaderFileError> {
    let io = |doing| move |source| HeaderFileError::Io { doing, path: path.to_owned(), source };
    let opened = fault::check(FileOp::Open).and_then(|()| platform::ordinary(path));
    let opened = opened.and_then(|()| OpenOptions::new().write(true).open(path));
    let (file, old_len) = match opened {
        Ok(file) => {
            let len = file.metadata().map_err(io("reading the length of"))?.len();
            (file, len)
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => (new_file().open(path).map_err(io("creating"))?, 0),
        Err(error) => return Err(io("opening")(error)),
    };
    // A file longer than any header is damage; what lies behind the limit is cut off below.
    let old_len = usize::try_from(old_len).unwrap_or(usize::MAX).min(MAX_HEADER);
    fill(file, path, header, old_len)
}

/// Writes header and zeros, at least as long as the file was, in one write; then syncs.
fn fill(mut file: File, path: &Path, header: &[u8], old_len: usize) -> Result<(), HeaderFileError> {
    let io = |doing| move |source| HeaderFileError::Io { doing, path: path.to_owned(), source };
    let len = header.len().max(old_len).next_multiple_of(BLOCK);
    let mut bytes = Vec::with_capacity(len);
    bytes.extend_from_slice(header);
    bytes.resize(len, 0);
    fault::check(FileOp::Write).and_then(|()| file.write_all(&bytes)).map_err(io("writing"))?;
    let set_len = || file.set_len(u64::try_from(len).unwrap_or(u64::MAX));
    fault::check(FileOp::Write).and_then(|()| set_len()).map_err(io("setting the length of"))?;
    fault::check(FileOp::Sync).and_then(|()| file.sync_all()).map_err(io("syncing"))
}

/// Creates, never opens what is there; readable by its owner alone where the platform can say so.
pub(super) fn new_file() -> OpenOptions {
    let mut options = OpenOptions::new();
    platform::private(options.write(true).create_new(true));
    options
}

/// Makes names durable, where the platform can.
pub(super) fn sync_dir(dir: &Path) -> Result<(), HeaderFileError> {
    let synced = fault::check(FileOp::Sync).and_then(|()| platform::sync_dir(dir));
    synced.map_err(|source| HeaderFileError::Io { doing: "syncing", path: dir.to_owned(), source })
}

#[cfg(test)]
mod tests;
