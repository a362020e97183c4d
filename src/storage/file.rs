//! Every file operation of the storage, so that each error names its file and each can be made to fail in a test.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};

use super::StorageError;
use super::fault::{self, FileOp};
use crate::platform::{self, PlacedFile};

/// Zeros are written in pieces of this size.
static ZEROS: [u8; 64 << 10] = [0; 64 << 10];

fn error(doing: &'static str, path: &Path, source: io::Error) -> StorageError {
    match source.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            StorageError::DiskFull { path: path.to_path_buf() }
        }
        _ => StorageError::Io { doing, path: path.to_path_buf(), source },
    }
}

/// An open file that knows its name. Reads and writes name their position, so that it can be shared.
#[derive(Debug)]
pub(crate) struct StoredFile {
    file: PlacedFile,
    path: PathBuf,
}

impl StoredFile {
    fn new(file: File, path: &Path) -> Self {
        Self { file: PlacedFile::new(file), path: path.to_path_buf() }
    }

    /// An existing file, to be read.
    pub(crate) fn open(path: &Path) -> Result<Self, StorageError> {
        fault::check(FileOp::Open)
            .and_then(|()| platform::ordinary(path))
            .and_then(|()| File::open(path))
            .map(|file| Self::new(file, path))
            .map_err(|source| error("opening", path, source))
    }

    /// An existing file, to be read and written.
    pub(crate) fn open_to_write(path: &Path) -> Result<Self, StorageError> {
        fault::check(FileOp::Open)
            .and_then(|()| platform::ordinary(path))
            .and_then(|()| OpenOptions::new().read(true).write(true).open(path))
            .map(|file| Self::new(file, path))
            .map_err(|source| error("opening", path, source))
    }

    /// A file to be read and written, made if there is none; what it held stays.
    pub(crate) fn create(path: &Path) -> Result<Self, StorageError> {
        fault::check(FileOp::Open)
            .and_then(|()| platform::ordinary(path))
            .and_then(|()| OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path))
            .map(|file| Self::new(file, path))
            .map_err(|source| error("creating", path, source))
    }

    /// As [`StoredFile::create`], for its owner alone.
    pub(crate) fn create_private(path: &Path) -> Result<Self, StorageError> {
        fault::check(FileOp::Open)
            .and_then(|()| platform::ordinary(path))
            .and_then(|()| {
                let mut options = OpenOptions::new();
                platform::private(options.read(true).write(true).create(true).truncate(false)).open(path)
            })
            .map(|file| Self::new(file, path))
            .map_err(|source| error("creating", path, source))
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) fn len(&self) -> Result<u64, StorageError> {
        self.file.file().metadata().map(|about| about.len()).map_err(|source| error("reading", &self.path, source))
    }

    pub(crate) fn set_len(&self, len: u64) -> Result<(), StorageError> {
        fault::check(FileOp::Write)
            .and_then(|()| self.file.file().set_len(len))
            .map_err(|source| error("resizing", &self.path, source))
    }

    /// Fills `buffer` from `offset` on.
    pub(crate) fn read_at(&self, buffer: &mut [u8], offset: u64) -> Result<(), StorageError> {
        fault::check(FileOp::Read)
            .and_then(|()| self.file.read_exact_at(buffer, offset))
            .map_err(|source| error("reading", &self.path, source))
    }

    /// Writes all of `bytes` from `offset` on.
    pub(crate) fn write_at(&self, bytes: &[u8], offset: u64) -> Result<(), StorageError> {
        fault::check(FileOp::Write)
            .and_then(|()| self.file.write_all_at(bytes, offset))
            .map_err(|source| error("writing", &self.path, source))
    }

    /// Writes zeros from `offset` up to, not including, `end`.
    pub(crate) fn write_zeros(&self, mut offset: u64, end: u64) -> Result<(), StorageError> {
        while offset < end {
            let len = usize::try_from(end - offset).unwrap_or(usize::MAX).min(ZEROS.len());
            self.write_at(ZEROS.get(..len).unwrap_or(&ZEROS), offset)?;
            offset = offset.saturating_add(u64::try_from(len).unwrap_or(u64::MAX));
        }
        Ok(())
    }

    /// Makes contents durable. If it fails, what is on the disk is unknown, and trying again would not tell.
    pub(crate) fn sync_data(&self) -> Result<(), StorageError> {
        fault::check(FileOp::Sync)
            .and_then(|()| self.file.file().sync_data())
            .map_err(|source| error("syncing", &self.path, source))
    }

    /// Makes contents and length durable.
    pub(crate) fn sync_all(&self) -> Result<(), StorageError> {
        fault::check(FileOp::Sync)
            .and_then(|()| self.file.file().sync_all())
            .map_err(|source| error("syncing", &self.path, source))
    }
}

/// Makes the names in a directory durable, where the platform can.
pub(crate) fn sync_dir(path: &Path) -> Result<(), StorageError> {
    fault::check(FileOp::Sync).and_then(|()| platform::sync_dir(path)).map_err(|source| error("syncing", path, source))
}

pub(crate) fn create_dir(path: &Path) -> Result<(), StorageError> {
    fault::check(FileOp::Open).and_then(|()| fs::create_dir_all(path)).map_err(|source| error("creating", path, source))
}

/// Makes a directory and what is missing above it; all these names are durable on return.
pub(crate) fn create_dir_durably(path: &Path) -> Result<(), StorageError> {
    let missing: Vec<&Path> = path.ancestors().take_while(|dir| !dir.as_os_str().is_empty() && !dir.exists()).collect();
    create_dir(path)?;
    missing.into_iter().rev().try_for_each(sync_parent)
}

/// Renames within a directory, and makes that durable.
pub(crate) fn rename(from: &Path, to: &Path) -> Result<(), StorageError> {
    fault::check(FileOp::Rename)
        .and_then(|()| fs::rename(from, to))
        .map_err(|source| error("renaming", from, source))?;
    sync_parent(to)
}

/// Removes a file, if it is there.
pub(crate) fn remove(path: &Path) -> Result<(), StorageError> {
    match fault::check(FileOp::Remove).and_then(|()| fs::remove_file(path)) {
        Err(source) if source.kind() != io::ErrorKind::NotFound => Err(error("removing", path, source)),
        _ => Ok(()),
    }
}

/// Removes a directory with all it holds, if it is there.
pub(crate) fn remove_dir(path: &Path) -> Result<(), StorageError> {
    match fault::check(FileOp::Remove).and_then(|()| fs::remove_dir_all(path)) {
        Err(source) if source.kind() != io::ErrorKind::NotFound => Err(error("removing", path, source)),
        _ => Ok(()),
    }
}

/// Copies a directory with all it holds; nothing of the copy is synced.
pub(crate) fn copy_dir(from: &Path, to: &Path) -> Result<(), StorageError> {
    create_dir(to)?;
    for name in names(from)? {
        let (source, target) = (from.join(&name), to.join(&name));
        if source.is_dir() {
            copy_dir(&source, &target)?;
        } else {
            fault::check(FileOp::Write)
                .and_then(|()| fs::copy(&source, &target))
                .map_err(|source| error("copying to", &target, source))?;
        }
    }
    Ok(())
}

/// Syncs the directory that a file is in.
pub(crate) fn sync_parent(path: &Path) -> Result<(), StorageError> {
    match path.parent() {
        None => Ok(()),
        Some(here) if here.as_os_str().is_empty() => sync_dir(Path::new(".")),
        Some(parent) => sync_dir(parent),
    }
}

/// The names in a directory; empty if there is none. Names that are not UTF-8 are none of ours.
pub(crate) fn names(dir: &Path) -> Result<Vec<String>, StorageError> {
    let failed = |source| error("listing", dir, source);
    let listing = match fault::check(FileOp::Read).and_then(|()| fs::read_dir(dir)) {
        Err(source) if source.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        listing => listing.map_err(failed)?,
    };
    let mut names = Vec::new();
    for entry in listing {
        names.extend(entry.map_err(failed)?.file_name().into_string());
    }
    names.sort();
    Ok(names)
}

/// A whole file of at most `max` bytes; nothing if it is absent or larger.
pub(crate) fn read_small(path: &Path, max: u64) -> Result<Option<Vec<u8>>, StorageError> {
    let file = match StoredFile::open(path) {
        Err(StorageError::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => return Ok(None),
        file => file?,
    };
    let len = file.len()?;
    if len > max {
        return Ok(None);
    }
    let mut bytes = vec![0; usize::try_from(len).unwrap_or(0)];
    file.read_at(&mut bytes, 0)?;
    Ok(Some(bytes))
}

/// Bytes of all files right inside a directory; 0 where that cannot be told.
pub(crate) fn dir_bytes(dir: &Path) -> u64 {
    fs::read_dir(dir)
        .map_or(0, |listing| listing.flatten().filter_map(|entry| entry.metadata().ok()).map(|about| about.len()).sum())
}

/// Bytes that may still be written beside a file or into a directory; nothing where that cannot be told.
pub(crate) fn free_bytes(dir: &Path) -> Option<u64> {
    #[cfg(test)]
    if let Some(free) = fault::free() {
        return Some(free);
    }
    platform::free_bytes(dir)
}
