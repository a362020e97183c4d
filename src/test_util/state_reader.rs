//! The reader of state files by itself, for those who show it every bit of one (`torture/`).

use std::fmt;
use std::path::Path;

use crate::crypto::hash::HmacKey;
use crate::error::Error;
use crate::format::state::State;
use crate::ids::VaultId;
use crate::keyring::Credential;
use crate::vault::{Home, state_file_key};

/// Reads the state files of one vault as opening does, and tells only whether it takes them.
pub struct StateReader {
    vault: VaultId,
    key: HmacKey,
}

impl StateReader {
    /// Of the vault in a directory; it is not opened, and its lock is not taken.
    ///
    /// # Errors
    /// [`Error::Header`] when there is no vault, [`Error::Unlock`] when the credential does not open it.
    pub fn unlock<'c>(path: &Path, credential: impl Into<Credential<'c>>) -> Result<Self, Error> {
        let (vault, key) = state_file_key(&Home::dir(path), credential.into())?;
        Ok(Self { vault, key })
    }

    /// Whether opening would take these bytes for a state file of the vault.
    #[must_use]
    pub fn accepts(&self, bytes: &[u8]) -> bool {
        State::parse(bytes, self.vault, &self.key).is_ok()
    }
}

impl fmt::Debug for StateReader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StateReader").field("vault", &self.vault).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::RawKey;

    #[test]
    fn it_takes_what_a_vault_wrote_and_nothing_else() {
        let dir = tempfile::tempdir().unwrap();
        let key = RawKey::from_bytes([7; 32]);
        let (vault, _) = crate::Vault::create(dir.path().join("v")).raw_key(&key).finish().unwrap();
        vault.close().unwrap();
        let reader = StateReader::unlock(&dir.path().join("v"), &key).unwrap();
        let mut bytes = std::fs::read(dir.path().join("v/state.a")).unwrap();
        assert!(reader.accepts(&bytes));
        bytes[100] ^= 1;
        assert!(!reader.accepts(&bytes) && !reader.accepts(&[]));
        let other = RawKey::from_bytes([8; 32]);
        assert!(matches!(StateReader::unlock(&dir.path().join("v"), &other), Err(Error::Unlock(_))));
    }
}
