//! Key files: a credential on a medium of its own, such as a stick that is locked away.

use std::fmt;
use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

use crate::crypto::{RandomFailed, random};
use crate::format::key_file::{self, FORMAT, KEY_FILE_LEN, KeyFileFault};
use crate::ids::VaultId;
use crate::platform;
use crate::secret::Secret;

/// A 256-bit key of one vault in a file of its own (docs/format/key-file.md), to be kept on another medium than the vault.
///
/// ```
/// use chartvault::{KeyFile, NewSlot, RawKey, Vault};
/// # let dir = tempfile::tempdir()?;
/// # let path = dir.path().join("clinic.vault");
/// # let stick = dir.path().join("clinic.key");
/// # let key = RawKey::generate()?;
/// # let (vault, _) = Vault::create(&path).raw_key(&key).finish()?;
/// let key_file = KeyFile::create(&stick, vault.id())?;
/// vault.add_slot(NewSlot::of(&key_file).label("stick in the safe"), &key)?;
/// vault.close()?;
/// let vault = Vault::open(&path)?.unlock(&KeyFile::read(&stick)?)?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct KeyFile {
    vault: VaultId,
    key: Secret<32>,
}

/// Why a key file cannot be read or made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum KeyFileError {
    /// There is nothing under this name.
    #[error("there is no key file {}; is its medium there?", .path.display())]
    Missing {
        /// The file.
        path: PathBuf,
    },
    /// Another sort of file.
    #[error("{} is no key file of this library; choose another", .path.display())]
    NotAKeyFile {
        /// The file.
        path: PathBuf,
    },
    /// It was a key file, and is cut, prolonged or changed.
    #[error("the key file {} is damaged; use a copy of it, or another credential", .path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
    },
    /// Written by a newer version.
    #[error("the key file has format {found}, and {newest} is the newest this version can read; use a newer version")]
    UnknownFormat {
        /// The format found.
        found: u16,
        /// The newest that can be read.
        newest: u16,
    },
    /// Others than its owner may read or write it.
    #[error(
        "others than its owner may open the key file {} (mode {mode:03o}); make it private (chmod 600), or read it with \
         read_shared if its file system knows no permissions",
        .path.display()
    )]
    TooOpen {
        /// The file.
        path: PathBuf,
        /// Its permissions.
        mode: u32,
    },
    /// A file is there already. Nothing was written.
    #[error("{} exists already; choose another name for the key file", .path.display())]
    AlreadyExists {
        /// The file.
        path: PathBuf,
    },
    /// A file operation failed.
    #[error("{doing} the key file {} failed: {source}; check the medium and the permissions", .path.display())]
    Io {
        /// What was being done.
        doing: &'static str,
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
    /// No random bytes.
    #[error(transparent)]
    Random(#[from] RandomFailed),
}

impl KeyFile {
    /// Draws a key for a vault and writes it to a new file, durably: its owner alone may open it, where the file system
    /// knows permissions. It opens the vault once a slot was made for it.
    ///
    /// # Errors
    /// [`KeyFileError::AlreadyExists`], [`KeyFileError::Io`] (then a part of the file may be there), [`KeyFileError::Random`].
    pub fn create(path: impl AsRef<Path>, vault: VaultId) -> Result<Self, KeyFileError> {
        let path = path.as_ref();
        let io = |doing| move |source| KeyFileError::Io { doing, path: path.to_owned(), source };
        let made = Self { vault, key: random::secret()? };
        let mut options = OpenOptions::new();
        let mut file = match platform::private(options.write(true).create_new(true)).open(path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                return Err(KeyFileError::AlreadyExists { path: path.to_owned() });
            }
            Err(error) => return Err(io("creating")(error)),
        };
        file.write_all(&key_file::encode(vault, made.key.expose())).map_err(io("writing"))?;
        file.sync_all().map_err(io("syncing"))?;
        let dir = path.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new("."));
        platform::sync_dir(dir).map_err(io("syncing the directory of"))?;
        Ok(made)
    }

    /// Reads a key file that its owner alone may open.
    ///
    /// # Errors
    /// [`KeyFileError::TooOpen`] where others may open it (on systems with Unix permissions), [`KeyFileError::Missing`],
    /// [`KeyFileError::NotAKeyFile`], [`KeyFileError::Damaged`], [`KeyFileError::UnknownFormat`], [`KeyFileError::Io`].
    pub fn read(path: impl AsRef<Path>) -> Result<Self, KeyFileError> {
        Self::read_if(path.as_ref(), platform::open_to_others)
    }

    /// Reads a key file whoever else may open it: for file systems that know no permissions, such as FAT on a stick.
    ///
    /// # Errors
    /// As [`KeyFile::read`], but for [`KeyFileError::TooOpen`].
    pub fn read_shared(path: impl AsRef<Path>) -> Result<Self, KeyFileError> {
        Self::read_if(path.as_ref(), |_| None)
    }

    fn read_if(path: &Path, too_open: impl Fn(&std::fs::Metadata) -> Option<u32>) -> Result<Self, KeyFileError> {
        let path_buf = || path.to_owned();
        let failed = |doing| {
            move |source: io::Error| match source.kind() {
                io::ErrorKind::NotFound => KeyFileError::Missing { path: path.to_owned() },
                _ => KeyFileError::Io { doing, path: path.to_owned(), source },
            }
        };
        let file = platform::ordinary(path).and_then(|()| File::open(path)).map_err(failed("opening"))?;
        let about = file.metadata().map_err(failed("reading"))?;
        if let Some(mode) = too_open(&about) {
            return Err(KeyFileError::TooOpen { path: path_buf(), mode });
        }
        let mut bytes = Zeroizing::new(Vec::with_capacity(KEY_FILE_LEN + 1));
        let most = u64::try_from(KEY_FILE_LEN + 1).unwrap_or(u64::MAX);
        file.take(most).read_to_end(&mut bytes).map_err(failed("reading"))?;
        match key_file::parse(&bytes) {
            Ok((vault, key)) => Ok(Self { vault, key }),
            Err(KeyFileFault::Another) => Err(KeyFileError::NotAKeyFile { path: path_buf() }),
            Err(KeyFileFault::Damaged) => Err(KeyFileError::Damaged { path: path_buf() }),
            Err(KeyFileFault::UnknownFormat(found)) => Err(KeyFileError::UnknownFormat { found, newest: FORMAT }),
        }
    }

    /// The vault that it is for.
    #[must_use]
    pub const fn vault(&self) -> VaultId {
        self.vault
    }

    pub(super) fn expose(&self) -> &[u8; 32] {
        self.key.expose()
    }
}

impl fmt::Debug for KeyFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyFile").field("vault", &self.vault).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    const VAULT: VaultId = VaultId::from_bytes([0xA1; 16]);

    fn stick() -> (tempfile::TempDir, PathBuf) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("clinic.key");
        (dir, path)
    }

    #[test]
    fn what_was_made_is_read_and_nothing_is_overwritten() {
        let (_dir, path) = stick();
        let made = KeyFile::create(&path, VAULT).unwrap();
        let read = KeyFile::read(&path).unwrap();
        assert_eq!((read.vault(), read.expose()), (VAULT, made.expose()));
        let again = KeyFile::create(&path, VAULT);
        assert!(matches!(&again, Err(KeyFileError::AlreadyExists { path: named }) if *named == path), "{again:?}");
        assert_eq!(KeyFile::read(&path).unwrap().expose(), made.expose());
        let shown = format!("{made:?}");
        assert!(shown.starts_with("KeyFile { vault:") && shown.ends_with(", .. }"), "{shown}");
    }

    #[test]
    fn what_is_wrong_with_a_key_file_is_named() {
        let (dir, path) = stick();
        assert!(matches!(KeyFile::read(&path), Err(KeyFileError::Missing { path: named }) if named == path));
        let nowhere = KeyFile::create(dir.path().join("absent/clinic.key"), VAULT);
        assert!(matches!(nowhere, Err(KeyFileError::Io { doing: "creating", .. })), "{nowhere:?}");
        KeyFile::create(&path, VAULT).unwrap();
        let good = fs::read(&path).unwrap();
        fs::write(&path, &good[..40]).unwrap();
        assert!(matches!(KeyFile::read(&path), Err(KeyFileError::Damaged { .. })));
        fs::write(&path, [&good[..], &[0; 1000]].concat()).unwrap();
        assert!(matches!(KeyFile::read(&path), Err(KeyFileError::Damaged { .. })));
        fs::write(&path, "a shopping list").unwrap();
        assert!(matches!(KeyFile::read(&path), Err(KeyFileError::NotAKeyFile { .. })));
        let mut newer = good[..58].to_vec();
        newer[9] = 9;
        let hash = crate::crypto::hash::sha256(&[&newer]);
        fs::write(&path, [&newer[..], &hash].concat()).unwrap();
        assert!(matches!(KeyFile::read(&path), Err(KeyFileError::UnknownFormat { found: 9, newest: 1 })));
    }
}
