//! Where a vault lives: a directory, or for tests a store in memory. Header, lock, count of failed unlocks and storage
//! are reached through here.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::attempts::Attempts;
use crate::clock::Timestamp;
use crate::error::Error;
use crate::ids::VaultId;
#[cfg(any(feature = "backup", feature = "test-util"))]
use crate::keyring::HeaderFileError;
use crate::keyring::copies::{self, HeaderCopies};
use crate::keyring::detached;
use crate::keyring::signing_key::{self, SigningKeyPlace};
use crate::progress::OnProgress;
#[cfg(feature = "test-util")]
use crate::storage::memory::MemoryStore;
use crate::storage::{Embedded, Opened, Storage, StorageKeys, StorageOptions, file};
use crate::unlocked::DirLock;

/// In a directory in which a restore was not finished.
pub(super) const RESTORING: &str = "restoring";

/// Where a vault lives.
#[derive(Clone, Debug)]
pub(crate) enum Home {
    Dir {
        dir: PathBuf,
        /// The directory of the header, if that is another.
        header: Option<PathBuf>,
    },
    #[cfg(feature = "test-util")]
    Memory(MemoryStore),
}

impl Home {
    /// A vault in a directory, with its header.
    pub(crate) fn dir(dir: &Path) -> Self {
        Self::Dir { dir: dir.to_owned(), header: None }
    }

    /// With the header in another directory.
    pub(super) fn with_header(self, header: Option<PathBuf>) -> Self {
        match self {
            Self::Dir { dir, header: own } => Self::Dir { dir, header: header.or(own) },
            #[cfg(feature = "test-util")]
            memory @ Self::Memory(_) => memory,
        }
    }

    /// Whether the header is kept apart.
    pub(super) const fn is_detached(&self) -> bool {
        matches!(self, Self::Dir { header: Some(_), .. })
    }

    /// The directory; empty for a store in memory.
    pub(super) fn path(&self) -> &Path {
        match self {
            Self::Dir { dir, .. } => dir,
            #[cfg(feature = "test-util")]
            Self::Memory(_) => Path::new(""),
        }
    }

    /// Refuses what a restore has not finished: its charts may be under keys that are gone, and who was erased be there again.
    pub(super) fn check_finished(&self) -> Result<(), Error> {
        let unfinished = !self.path().as_os_str().is_empty() && self.path().join(RESTORING).exists();
        if unfinished { Err(Error::RestoreUnfinished { path: self.path().to_owned() }) } else { Ok(()) }
    }

    pub(super) fn lock(&self) -> Result<DirLock, Error> {
        match self {
            Self::Dir { dir, .. } => DirLock::take(dir),
            #[cfg(feature = "test-util")]
            Self::Memory(store) => {
                store.hold().map(DirLock::memory).ok_or_else(|| Error::InUse { path: PathBuf::new() })
            }
        }
    }

    /// Makes the directory, or finds it empty but for a lock file.
    pub(super) fn make_empty(&self) -> Result<(), Error> {
        match self {
            Self::Dir { dir, header } => {
                empty_dir(dir)?;
                header.as_deref().map_or(Ok(()), detached::make_room).map_err(Error::from)
            }
            #[cfg(feature = "test-util")]
            Self::Memory(store) if store.is_empty() => Ok(()),
            #[cfg(feature = "test-util")]
            Self::Memory(_) => Err(Error::NotEmpty { path: PathBuf::new() }),
        }
    }

    pub(super) fn read_header(&self) -> Result<HeaderCopies, Error> {
        match self {
            Self::Dir { dir, header: None } => Ok(detached::read_attached(dir)?),
            Self::Dir { dir, header: Some(header) } => Ok(detached::read_detached(dir, header)?),
            #[cfg(feature = "test-util")]
            Self::Memory(store) => {
                let header = store.header().ok_or_else(|| HeaderFileError::NotAVault { dir: PathBuf::new() })?;
                Ok(HeaderCopies::only(&header)?)
            }
        }
    }

    /// The name of a copy of the header that cannot be used.
    pub(super) fn unusable_header(&self) -> Option<&'static str> {
        match self {
            Self::Dir { dir, header } => copies::unusable(header.as_ref().unwrap_or(dir)),
            #[cfg(feature = "test-util")]
            Self::Memory(_) => None,
        }
    }

    pub(super) fn create_header(&self, bytes: &[u8], vault: VaultId) -> Result<(), Error> {
        match self {
            Self::Dir { dir, header: None } => Ok(copies::create(dir, bytes)?),
            Self::Dir { dir, header: Some(header) } => {
                // The mark first: whoever finds the header finds the vault marked.
                detached::mark(dir, vault)?;
                Ok(copies::create(header, bytes)?)
            }
            #[cfg(feature = "test-util")]
            Self::Memory(store) => {
                store.set_header(bytes);
                Ok(())
            }
        }
    }

    /// Puts a header that was brought back in its place, once more if that was interrupted before. The vault does not open
    /// while the restore is marked.
    #[cfg(feature = "backup")]
    pub(super) fn bring_header(&self, bytes: &[u8], vault: VaultId) -> Result<(), Error> {
        if let Self::Dir { dir, header: Some(_) } = self {
            detached::unmark(dir)?;
        }
        match (self.read_header(), self) {
            (Err(Error::Header(HeaderFileError::NotAVault { .. })), _) => self.create_header(bytes, vault),
            (Err(Error::Header(HeaderFileError::NoHeader { .. })), Self::Dir { header: Some(header), .. }) => {
                detached::make_room(header)?;
                self.create_header(bytes, vault)
            }
            (_, Self::Dir { dir, header: Some(_) }) => {
                detached::mark(dir, vault)?;
                self.write_header(bytes)
            }
            _ => self.write_header(bytes),
        }
    }

    pub(super) fn write_header(&self, bytes: &[u8]) -> Result<(), Error> {
        match self {
            Self::Dir { dir, header: None } => Ok(copies::write(dir, bytes)?),
            Self::Dir { header: Some(header), .. } => Ok(detached::write(header, bytes)?),
            #[cfg(feature = "test-util")]
            Self::Memory(store) => {
                store.set_header(bytes);
                Ok(())
            }
        }
    }

    /// Where the signing key is kept: here, unless it is kept `elsewhere`.
    pub(super) fn signing_key(&self, elsewhere: Option<&Path>) -> SigningKeyPlace {
        match self {
            Self::Dir { dir, .. } => {
                SigningKeyPlace::File(elsewhere.map_or_else(|| dir.join(signing_key::NAME), Path::to_owned))
            }
            #[cfg(feature = "test-util")]
            Self::Memory(store) => SigningKeyPlace::Memory(store.clone()),
        }
    }

    pub(super) fn attempts(&self) -> Option<Attempts> {
        match self {
            Self::Dir { dir, .. } => Attempts::load(dir),
            #[cfg(feature = "test-util")]
            Self::Memory(store) => store.attempts().as_deref().map(Attempts::from_bytes),
        }
    }

    /// Adds one failed unlock, durably.
    pub(super) fn count_attempt(&self, now: Timestamp) -> Result<(), Error> {
        match self {
            Self::Dir { dir, .. } => Attempts::count_one(dir, now).map_err(|source| {
                let path = dir.clone();
                Error::Io { doing: "counting a failed unlock in", path, source }
            }),
            #[cfg(feature = "test-util")]
            Self::Memory(store) => {
                store.set_attempts(Some(Attempts::after(self.attempts(), now).to_bytes()));
                Ok(())
            }
        }
    }

    /// Forgets the count, once an entry holds it.
    pub(super) fn clear_attempts(&self) -> Result<(), Error> {
        match self {
            Self::Dir { dir, .. } => Attempts::clear(dir).map_err(|source| {
                let path = dir.clone();
                Error::Io { doing: "clearing the count of failed unlocks in", path, source }
            }),
            #[cfg(feature = "test-util")]
            Self::Memory(store) => {
                store.set_attempts(None);
                Ok(())
            }
        }
    }

    pub(super) fn create_storage(
        &self,
        vault: VaultId,
        keys: StorageKeys,
        options: StorageOptions,
    ) -> Result<Arc<dyn Storage>, Error> {
        Ok(match self {
            Self::Dir { dir, .. } => Arc::new(Embedded::create(dir, vault, keys, options)?),
            #[cfg(feature = "test-util")]
            Self::Memory(store) => Arc::new(store.create_storage(vault)?),
        })
    }

    pub(super) fn open_storage(
        &self,
        vault: VaultId,
        keys: StorageKeys,
        options: StorageOptions,
        header_generation: u64,
        progress: OnProgress<'_>,
    ) -> Result<(Arc<dyn Storage>, Opened), Error> {
        match self {
            Self::Dir { dir, .. } => {
                let (storage, opened) = Embedded::open(dir, vault, keys, options, header_generation, progress)?;
                Ok((Arc::new(storage), opened))
            }
            #[cfg(feature = "test-util")]
            Self::Memory(store) => {
                let (storage, opened) = store.open_storage(vault, header_generation)?;
                Ok((Arc::new(storage), opened))
            }
        }
    }
}

fn empty_dir(dir: &Path) -> Result<(), Error> {
    let io = |doing| move |source| Error::Io { doing, path: dir.to_owned(), source };
    match fs::read_dir(dir) {
        Ok(entries) => {
            for entry in entries {
                if entry.map_err(io("reading"))?.file_name() != "lock" {
                    return Err(Error::NotEmpty { path: dir.to_owned() });
                }
            }
            Ok(())
        }
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(file::create_dir_durably(dir)?),
        Err(source) => Err(io("reading")(source)),
    }
}
