//! Where the key that signs is kept: a file of its own, outside header, journal and trees.
//!
//! A key that was destroyed must not be found again, so the file that goes is overwritten. That is as far as a file system
//! allows: one that copies on write, snapshots, and flash that spreads its wear may keep it.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

use crate::crypto::aead::Suite;
use crate::crypto::seal::{SealError, Sealer};
use crate::format::signing_key::{MAX_LEN, NoKey, SigningKeys};
use crate::ids::VaultId;
#[cfg(feature = "test-util")]
use crate::storage::memory::MemoryStore;
use crate::storage::{StorageError, file};

/// Its name in the directory of a vault.
pub(crate) const NAME: &str = "signing.key";
/// A new one on its way.
const NEW: &str = ".new";
/// Another vault's, that was found in its place.
const FOREIGN: &str = ".foreign";

/// Where one vault's signing key is kept.
#[derive(Clone, Debug)]
pub(crate) enum SigningKeyPlace {
    File(PathBuf),
    #[cfg(feature = "test-util")]
    Memory(MemoryStore),
}

/// What is in the place of a signing key.
pub(crate) enum FoundKey {
    Keys(Box<SigningKeys>),
    Missing,
    Bad(NoKey),
    /// The disk does not give it.
    Unreadable,
}

/// Why a signing key could not be kept.
#[derive(Debug, thiserror::Error)]
pub(crate) enum KeepError {
    #[error(transparent)]
    Storage(#[from] StorageError),
    #[error("it could not be sealed")]
    Seal(SealError),
}

impl From<SealError> for KeepError {
    fn from(error: SealError) -> Self {
        Self::Seal(error)
    }
}

impl SigningKeyPlace {
    /// Whether something is there.
    pub(crate) fn is_taken(&self) -> bool {
        match self {
            Self::File(path) => path.symlink_metadata().is_ok(),
            #[cfg(feature = "test-util")]
            Self::Memory(store) => store.signing_key().is_some(),
        }
    }

    /// Reads it. Changes nothing.
    pub(crate) fn find(&self, vault: VaultId, sealer: &Sealer) -> FoundKey {
        let read = match self {
            Self::File(path) if !self.is_taken() => return FoundKey::missing(path),
            Self::File(path) => file::read_small(path, MAX_LEN),
            #[cfg(feature = "test-util")]
            Self::Memory(store) => match store.signing_key() {
                None => return FoundKey::Missing,
                bytes => Ok(bytes),
            },
        };
        match read {
            Err(_) => FoundKey::Unreadable,
            // Larger than any.
            Ok(None) => FoundKey::Bad(NoKey::Damaged),
            Ok(Some(bytes)) => SigningKeys::parse(&bytes, vault, sealer)
                .map_or_else(FoundKey::Bad, |keys| FoundKey::Keys(Box::new(keys))),
        }
    }

    /// Puts keys in the place of those that are there, durably, and overwrites the old ones.
    pub(crate) fn keep(
        &self,
        keys: &SigningKeys,
        vault: VaultId,
        suite: Suite,
        sealer: &Sealer,
    ) -> Result<(), KeepError> {
        let bytes = keys.encode(vault, suite, sealer)?;
        match self {
            Self::File(path) => replace(path, &bytes)?,
            #[cfg(feature = "test-util")]
            Self::Memory(store) => store.set_signing_key(&bytes),
        }
        Ok(())
    }

    /// Overwrites and removes what a write left behind that was interrupted.
    pub(crate) fn clear_unfinished(&self) {
        match self {
            Self::File(path) => {
                let new = beside(path, NEW);
                overwrite(&new);
                let _ = file::remove(&new);
            }
            #[cfg(feature = "test-util")]
            Self::Memory(_) => {}
        }
    }

    /// Moves another vault's key out of the way: it may have come here by mistake.
    pub(crate) fn set_foreign_aside(&self) {
        match self {
            Self::File(path) => {
                // Where that does not work, the place is written over.
                let _ = file::rename(path, &beside(path, FOREIGN));
            }
            #[cfg(feature = "test-util")]
            Self::Memory(_) => {}
        }
    }
}

impl FoundKey {
    /// Where nothing can be put either, the directory is not there.
    fn missing(path: &Path) -> Self {
        match path.parent().filter(|dir| !dir.as_os_str().is_empty()).map(Path::symlink_metadata) {
            Some(Err(_)) => Self::Unreadable,
            _ => Self::Missing,
        }
    }
}

fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.file_name().map_or_else(OsString::new, OsString::from);
    name.push(suffix);
    path.with_file_name(name)
}

fn replace(path: &Path, bytes: &[u8]) -> Result<(), StorageError> {
    let new = beside(path, NEW);
    overwrite(&new);
    let file = file::StoredFile::create_private(&new)?;
    file.set_len(u64::try_from(bytes.len()).unwrap_or(u64::MAX))?;
    file.write_at(bytes, 0)?;
    file.sync_all()?;
    // Held across the renaming: then it has no name any more, and is overwritten all the same.
    let old = file::StoredFile::open_to_write(path).ok();
    file::rename(&new, path)?;
    if let Some(old) = old {
        wipe(&old);
    }
    Ok(())
}

/// As far as it works: what could not be overwritten is said in SECURITY.md to be possible.
fn overwrite(path: &Path) {
    if let Ok(file) = file::StoredFile::open_to_write(path) {
        wipe(&file);
    }
}

fn wipe(file: &file::StoredFile) {
    let len = file.len().unwrap_or(0).min(MAX_LEN);
    let zeros = Zeroizing::new(vec![0; usize::try_from(len).unwrap_or(0)]);
    let _ = file.write_at(&zeros, 0).and_then(|()| file.sync_data());
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::crypto::sign::SigningSeed;
    use crate::keyring::Keyring;

    const VAULT: VaultId = VaultId::from_bytes([0x11; 16]);
    const SUITE: Suite = Suite::ChaCha20Poly1305;

    fn keys(epoch: u32) -> SigningKeys {
        SigningKeys { epoch, current: SigningSeed::generate().unwrap(), next: None }
    }

    #[test]
    fn what_was_replaced_is_overwritten_and_nothing_else_lies_beside() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(NAME);
        let (place, sealer) = (SigningKeyPlace::File(path.clone()), Keyring::generate().unwrap().signing_key_sealer());
        place.keep(&keys(1), VAULT, SUITE, &sealer).unwrap();
        // A second name for the same bytes shows what becomes of them.
        let before = dir.path().join("before");
        fs::hard_link(&path, &before).unwrap();
        place.keep(&keys(2), VAULT, SUITE, &sealer).unwrap();
        assert!(fs::read(&before).unwrap().iter().all(|byte| *byte == 0));
        fs::remove_file(&before).unwrap();
        assert!(matches!(place.find(VAULT, &sealer), FoundKey::Keys(found) if found.epoch == 2));
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    }

    #[test]
    fn what_is_in_its_place_is_told_apart() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(NAME);
        let (place, sealer) = (SigningKeyPlace::File(path.clone()), Keyring::generate().unwrap().signing_key_sealer());
        assert!(matches!(place.find(VAULT, &sealer), FoundKey::Missing));
        let nowhere = SigningKeyPlace::File(dir.path().join("unplugged").join(NAME));
        assert!(matches!(nowhere.find(VAULT, &sealer), FoundKey::Unreadable));
        fs::create_dir(&path).unwrap();
        assert!(matches!(place.find(VAULT, &sealer), FoundKey::Unreadable));
        fs::remove_dir(&path).unwrap();
        fs::write(&path, vec![0; 1 << 20]).unwrap();
        assert!(matches!(place.find(VAULT, &sealer), FoundKey::Bad(NoKey::Damaged)));
        place.keep(&keys(3), VAULT, SUITE, &sealer).unwrap();
        let other = VaultId::from_bytes([0x22; 16]);
        assert!(matches!(place.find(other, &sealer), FoundKey::Bad(NoKey::OtherVault)));
        place.set_foreign_aside();
        assert!(!place.is_taken() && dir.path().join("signing.key.foreign").exists());
    }

    #[test]
    fn an_unfinished_write_is_cleared() {
        let dir = tempfile::tempdir().unwrap();
        let place = SigningKeyPlace::File(dir.path().join(NAME));
        fs::write(dir.path().join("signing.key.new"), b"half of it").unwrap();
        place.clear_unfinished();
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
    }
}
