//! Puts a copy of a journal together: part by part, each durable before the next is asked for.

use std::path::{Path, PathBuf};

use super::{JournalFile, Part};
use crate::ids::VaultId;
use crate::storage::StorageError;
use crate::storage::file::{self, StoredFile};
use crate::storage::journal::JournalId;

/// The directory of a journal in the making. No vault opens it before it has a header.
pub(crate) struct JournalCopy {
    id: JournalId,
    /// Where the copy ends: if it is a segment, the vault will append to it.
    last: JournalFile,
    open: Option<(JournalFile, StoredFile)>,
}

impl JournalCopy {
    /// Into a directory of a vault, a copy that ends in the file `last`.
    pub(crate) fn begin(vault_dir: &Path, vault: VaultId, last: JournalFile) -> Result<Self, StorageError> {
        // Nothing is verified with it here.
        let id = JournalId::without_key(vault_dir, vault);
        file::create_dir_durably(&id.dir)?;
        Ok(Self { id, last, open: None })
    }

    /// Removes what was put together so far.
    pub(crate) fn remove(vault_dir: &Path) -> Result<(), StorageError> {
        let dir = vault_dir.join("journal");
        if dir.exists() { file::remove_dir(&dir) } else { Ok(()) }
    }

    fn path(&self, file: JournalFile) -> PathBuf {
        match file {
            JournalFile::Base { through } => self.id.base_path(through),
            JournalFile::Segment { number } => self.id.segment_path(number),
        }
    }

    /// Puts bytes where they belong.
    pub(crate) fn put(&mut self, part: &Part, bytes: &[u8]) -> Result<(), StorageError> {
        self.turn_to(part)?;
        let Some((_, file)) = &self.open else { return Ok(()) };
        file.write_at(bytes, part.offset)
    }

    /// Makes all that was put durable.
    pub(crate) fn sync(&self) -> Result<(), StorageError> {
        self.open.as_ref().map_or(Ok(()), |(_, file)| file.sync_all())
    }

    /// Opens the file of a part, in the size that it is to have.
    fn turn_to(&mut self, part: &Part) -> Result<(), StorageError> {
        if self.open.as_ref().is_some_and(|(file, _)| *file == part.file) {
            return Ok(());
        }
        self.sync()?;
        let path = self.path(part.file);
        let file = StoredFile::create_private(&path)?;
        let len = file.len()?;
        let grows = part.file == self.last && matches!(part.file, JournalFile::Segment { .. });
        if len < part.size && grows {
            // Written, not only announced: later frames must find their room.
            file.write_zeros(len.max(part.end().min(part.size)), part.size)?;
        }
        file.set_len(part.size)?;
        file.sync_all()?;
        file::sync_dir(&self.id.dir)?;
        self.open = Some((part.file, file));
        Ok(())
    }
}
