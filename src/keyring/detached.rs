//! A header that is not in its vault's directory, but on another medium; and copies of a header as backups.

use std::fs::File;
use std::io::{self, Read, Write};
use std::path::Path;

use super::copies::{self, HeaderCopies, HeaderFileError, NAME_A, NAME_B};
use crate::format::elsewhere::{self, MARK_LEN};
use crate::ids::VaultId;
use crate::platform;
use crate::storage::fault::{self, FileOp};

/// In the directory of a vault, says that its header is elsewhere.
const MARK: &str = "header.elsewhere";

/// Leaves the mark in a new vault's directory, durably.
pub(crate) fn mark(dir: &Path, vault: VaultId) -> Result<(), HeaderFileError> {
    new_file(&dir.join(MARK), &elsewhere::encode(vault))
}

/// Takes the mark away, if there is one.
#[cfg(feature = "backup")]
pub(crate) fn unmark(dir: &Path) -> Result<(), HeaderFileError> {
    let path = dir.join(MARK);
    match fault::check(FileOp::Remove).and_then(|()| std::fs::remove_file(&path)) {
        Err(source) if source.kind() != io::ErrorKind::NotFound => {
            Err(HeaderFileError::Io { doing: "removing", path, source })
        }
        _ => Ok(()),
    }
}

/// What the mark says: nothing if there is none, and nobody's id if it is damaged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mark {
    Absent,
    Damaged,
    Of(VaultId),
}

fn read_mark(dir: &Path) -> Mark {
    let path = dir.join(MARK);
    let Ok(file) = platform::ordinary(&path).and_then(|()| File::open(&path)) else {
        return if path.exists() { Mark::Damaged } else { Mark::Absent };
    };
    let mut bytes = Vec::with_capacity(MARK_LEN + 1);
    let most = u64::try_from(MARK_LEN + 1).unwrap_or(u64::MAX);
    match file.take(most).read_to_end(&mut bytes) {
        Ok(_) => elsewhere::parse(&bytes).map_or(Mark::Damaged, Mark::Of),
        Err(_) => Mark::Damaged,
    }
}

/// Reads the copies in a vault's own directory; says so where they are meant to be elsewhere.
pub(crate) fn read_attached(dir: &Path) -> Result<HeaderCopies, HeaderFileError> {
    match (copies::read(dir), read_mark(dir)) {
        (Err(HeaderFileError::NotAVault { dir }), Mark::Of(vault)) => {
            Err(HeaderFileError::Elsewhere { dir, vault: Some(vault) })
        }
        (Err(HeaderFileError::NotAVault { dir }), Mark::Damaged) => {
            Err(HeaderFileError::Elsewhere { dir, vault: None })
        }
        (read, _) => read,
    }
}

/// Reads the copies in `header`, for the vault in `dir`.
pub(crate) fn read_detached(dir: &Path, header: &Path) -> Result<HeaderCopies, HeaderFileError> {
    if [NAME_A, NAME_B].iter().any(|name| dir.join(name).exists()) {
        return Err(HeaderFileError::NotDetached { dir: dir.to_owned() });
    }
    let read = copies::read(header).map_err(of_a_medium)?;
    match read_mark(dir) {
        Mark::Of(vault) if vault != read.chosen.vault() => {
            Err(HeaderFileError::HeaderOfAnotherVault { found: read.chosen.vault(), vault })
        }
        // The journal names its vault as well.
        _ => Ok(read),
    }
}

/// Writes a changed header over the copies in `header`, as [`copies::write`] does.
pub(crate) fn write(header: &Path, bytes: &[u8]) -> Result<(), HeaderFileError> {
    copies::write(header, bytes).map_err(of_a_medium)
}

/// What it means of a header that is kept apart.
fn of_a_medium(error: HeaderFileError) -> HeaderFileError {
    match error {
        HeaderFileError::NotAVault { dir } => HeaderFileError::NoHeader { dir },
        other => other,
    }
}

/// Makes the directory of a detached header, or finds it without one.
pub(crate) fn make_room(header: &Path) -> Result<(), HeaderFileError> {
    let io = |source| HeaderFileError::Io { doing: "creating", path: header.to_owned(), source };
    std::fs::create_dir_all(header).map_err(io)?;
    match [NAME_A, NAME_B].into_iter().map(|name| header.join(name)).find(|path| path.exists()) {
        Some(path) => Err(HeaderFileError::AlreadyExists { path }),
        None => Ok(()),
    }
}

/// Writes bytes to a new file that is its owner's alone, durably.
pub(crate) fn new_file(path: &Path, bytes: &[u8]) -> Result<(), HeaderFileError> {
    let io = |doing| move |source| HeaderFileError::Io { doing, path: path.to_owned(), source };
    let opened = fault::check(FileOp::Open).and_then(|()| copies::new_file().open(path));
    let mut file = match opened {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            return Err(HeaderFileError::AlreadyExists { path: path.to_owned() });
        }
        opened => opened.map_err(io("creating"))?,
    };
    fault::check(FileOp::Write).and_then(|()| file.write_all(bytes)).map_err(io("writing"))?;
    fault::check(FileOp::Sync).and_then(|()| file.sync_all()).map_err(io("syncing"))?;
    let dir = path.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new("."));
    copies::sync_dir(dir)
}
