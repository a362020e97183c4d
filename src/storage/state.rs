//! State files `state.a` and `state.b`, written in turn, and the marks `clean` and `opening`.

use std::path::{Path, PathBuf};

use super::StorageError;
use super::file::{self, StoredFile};
use crate::crypto::hash::HmacKey;
use crate::format::state::{self, CLEAN_LEN, State, StateError};
use crate::ids::VaultId;

const SLOTS: [&str; 2] = ["state.a", "state.b"];
const CLEAN: &str = "clean";
const OPENING: &str = "opening";
const AGAIN: &[u8] = b"again";

/// The two state files and the marks of one vault.
pub(crate) struct StateFiles {
    dir: PathBuf,
    vault: VaultId,
    key: HmacKey,
    /// Which of [`SLOTS`] holds the newest state.
    newest: usize,
    /// Its generation; 0 if there is none.
    generation: u64,
}

/// What a state file turned out to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum SlotIs {
    Good,
    Bad,
    /// There was none so far.
    Unwritten,
}

impl StateFiles {
    /// Files that are about to be made.
    pub(crate) fn new(vault_dir: &Path, vault: VaultId, key: HmacKey) -> Self {
        Self { dir: vault_dir.to_path_buf(), vault, key, newest: 1, generation: 0 }
    }

    /// The newest state that is whole and genuine. A file of a newer format is an error, not damage.
    pub(crate) fn read(vault_dir: &Path, vault: VaultId, key: HmacKey) -> Result<(Self, Option<State>), StorageError> {
        let mut files = Self::new(vault_dir, vault, key);
        let mut best: Option<State> = None;
        for (slot, name) in SLOTS.iter().enumerate() {
            let path = files.dir.join(name);
            let bytes = match file::read_small(&path, state::MAX_LEN) {
                // The disk lost it: the other one holds, or the journal does.
                Err(StorageError::Io { doing: "reading", .. }) => continue,
                bytes => bytes?,
            };
            let Some(bytes) = bytes else { continue };
            match State::parse(&bytes, vault, &files.key) {
                Ok(state) if best.as_ref().is_none_or(|best| best.generation < state.generation) => {
                    (files.newest, files.generation) = (slot, state.generation);
                    best = Some(state);
                }
                Err(StateError::UnknownFormat(found)) => {
                    return Err(StorageError::UnknownFormat { path, found, newest: state::FORMAT });
                }
                // A file that was being written when the machine stopped; the other one holds, or the journal does.
                Ok(_) | Err(StateError::Damaged | StateError::Foreign) => {}
            }
        }
        Ok((files, best))
    }

    /// Writes a state over the older file, and syncs it.
    pub(crate) fn write(&mut self, mut state: State) -> Result<(), StorageError> {
        state.generation = self.generation.saturating_add(1);
        let slot = 1 - self.newest.min(1);
        let path = self.dir.join(SLOTS.get(slot).copied().unwrap_or(CLEAN));
        let bytes = state
            .encode(self.vault, &self.key)
            .map_err(|_| StorageError::Refused { why: "more subjects than a state file can hold" })?;
        write_whole(&path, &bytes)?;
        (self.newest, self.generation) = (slot, state.generation);
        Ok(())
    }

    /// Reads both files again, and gives those that are not whole. Nothing is changed.
    pub(crate) fn bad(&self) -> Vec<PathBuf> {
        self.look().into_iter().filter_map(|(path, is)| (is == SlotIs::Bad).then_some(path)).collect()
    }

    /// Reads both files again. Nothing is changed.
    fn look(&self) -> Vec<(PathBuf, SlotIs)> {
        let look = |(slot, name): (usize, &&str)| {
            let path = self.dir.join(name);
            let due = slot == self.newest || self.generation > 1;
            let expected = if slot == self.newest { self.generation } else { self.generation.saturating_sub(1) };
            let is = match file::read_small(&path, state::MAX_LEN) {
                Ok(Some(bytes)) => match State::parse(&bytes, self.vault, &self.key) {
                    // The older one may be of before an opening that found the newer one bad.
                    Ok(state)
                        if state.generation == expected || (slot != self.newest && state.generation < expected) =>
                    {
                        SlotIs::Good
                    }
                    _ => SlotIs::Bad,
                },
                _ if due => SlotIs::Bad,
                _ => SlotIs::Unwritten,
            };
            (path, is)
        };
        SLOTS.iter().enumerate().map(look).collect()
    }

    /// The last frame that the clean mark names.
    pub(crate) fn clean(&self) -> Result<Option<(u64, [u8; 32])>, StorageError> {
        let bytes = file::read_small(&self.dir.join(CLEAN), CLEAN_LEN.try_into().unwrap_or(u64::MAX))?;
        Ok(bytes.and_then(|bytes| state::parse_clean(&bytes, self.vault, &self.key)))
    }

    pub(crate) fn mark_clean(&self, seq: u64, hash: &[u8; 32]) -> Result<(), StorageError> {
        write_whole(&self.dir.join(CLEAN), &state::encode_clean(self.vault, seq, hash, &self.key))
    }

    pub(crate) fn remove_clean(&self) -> Result<(), StorageError> {
        self.remove(CLEAN)
    }

    /// How many openings of the trees in a row never came back; 2 stands for more as well.
    pub(crate) fn lost_openings(&self) -> u8 {
        std::fs::metadata(self.dir.join(OPENING)).map_or(0, |mark| if mark.len() == 0 { 1 } else { 2 })
    }

    /// `again`: an opening before did not come back.
    pub(crate) fn mark_opening(&self, again: bool) -> Result<(), StorageError> {
        write_whole(&self.dir.join(OPENING), if again { AGAIN } else { b"" })
    }

    pub(crate) fn remove_opening(&self) -> Result<(), StorageError> {
        self.remove(OPENING)
    }

    fn remove(&self, name: &str) -> Result<(), StorageError> {
        file::remove(&self.dir.join(name))?;
        file::sync_dir(&self.dir)
    }
}

/// In place: the length first, so that the file ends where its contents do.
fn write_whole(path: &Path, bytes: &[u8]) -> Result<(), StorageError> {
    let file = StoredFile::create(path)?;
    file.set_len(u64::try_from(bytes.len()).unwrap_or(u64::MAX))?;
    file.write_at(bytes, 0)?;
    file.sync_all()?;
    file::sync_parent(path)
}
