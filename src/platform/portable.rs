//! What the standard library offers everywhere.

use std::fs::{File, Metadata, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// A file that is read and written at named places, by any number of threads, one at a time.
#[derive(Debug)]
pub(crate) struct PlacedFile {
    file: File,
    cursor: Mutex<()>,
}

impl PlacedFile {
    pub(crate) const fn new(file: File) -> Self {
        Self { file, cursor: Mutex::new(()) }
    }

    #[cfg_attr(unix, allow(dead_code))] // the tests do without
    pub(crate) const fn file(&self) -> &File {
        &self.file
    }

    /// Fills `buffer` from `offset` on.
    pub(crate) fn read_exact_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        let _held = self.seek(offset)?;
        (&self.file).read_exact(buffer)
    }

    /// Writes all of `bytes` from `offset` on.
    pub(crate) fn write_all_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        let _held = self.seek(offset)?;
        (&self.file).write_all(bytes)
    }

    fn seek(&self, offset: u64) -> io::Result<MutexGuard<'_, ()>> {
        let held = self.cursor.lock().unwrap_or_else(PoisonError::into_inner);
        (&self.file).seek(SeekFrom::Start(offset))?;
        Ok(held)
    }
}

/// Windows cannot sync a directory: there a name is as durable as NTFS makes it.
#[allow(clippy::unnecessary_wraps)] // the same signature as where it can fail
pub(crate) const fn sync_dir(_: &Path) -> io::Result<()> {
    Ok(())
}

/// The standard library cannot tell.
pub(crate) const fn free_bytes(_: &Path) -> Option<u64> {
    None
}

/// Who may read a new file is what its directory says.
pub(crate) const fn private(options: &mut OpenOptions) -> &mut OpenOptions {
    options
}

/// Who may look into a new directory is what the one around it says.
#[cfg(feature = "backup")]
pub(crate) fn private_dir(path: &Path) -> io::Result<()> {
    std::fs::create_dir(path)
}

/// The standard library cannot tell.
pub(crate) const fn open_to_others(_: &Metadata) -> Option<u32> {
    None
}

/// The standard library cannot do it.
#[cfg_attr(unix, allow(dead_code))] // it concerns the process, so the tests do without
pub(crate) const fn lock_memory() -> Result<(), &'static str> {
    Err("this version cannot lock memory on this platform; encrypt swap or turn it off")
}

/// The standard library cannot do it.
#[cfg_attr(unix, allow(dead_code))] // it concerns the process, so the tests do without
pub(crate) const fn refuse_core_dumps() -> Result<(), &'static str> {
    Err("this version cannot refuse core dumps on this platform; turn them off")
}

/// Whether both are about the same file, as far as its time of creation tells.
#[cfg_attr(unix, allow(dead_code))] // the tests do without
pub(crate) fn same_file(a: &Metadata, b: &Metadata) -> bool {
    a.created().ok() == b.created().ok()
}

/// Moves a file to a name that nothing has yet; one that is taken stays as it is. Both names are there for a moment.
#[cfg(feature = "backup")]
pub(crate) fn rename_new(from: &Path, to: &Path) -> io::Result<()> {
    std::fs::hard_link(from, to)?;
    std::fs::remove_file(from)
}

/// The standard library follows links; whoever opens has looked before.
#[cfg(feature = "backup")]
pub(crate) const fn unfollowed(options: &mut OpenOptions) -> &mut OpenOptions {
    options
}

/// A datagram socket of this machine, which only Unix has.
#[derive(Debug)]
#[cfg_attr(unix, allow(dead_code))] // the tests do without
pub(crate) struct LocalSocket;

#[cfg_attr(unix, allow(dead_code))] // the tests do without
impl LocalSocket {
    pub(crate) fn connect(_: &Path, _: Duration) -> io::Result<Self> {
        Err(io::ErrorKind::Unsupported.into())
    }

    pub(crate) fn send(&self, _: &[u8]) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }
}
