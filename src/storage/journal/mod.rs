//! The journal: append-only segments of frames, each chained to the one before. The point of acknowledgement.

pub(crate) mod base;
mod base_frames;
pub(crate) mod base_writer;
pub(crate) mod check;
pub(crate) mod compact;
pub(crate) mod files;
mod guess;
pub(crate) mod library;
pub(crate) mod reader;
pub(crate) mod segment;
pub(crate) mod tail;
pub(crate) mod walk;
pub(crate) mod writer;

use std::path::{Path, PathBuf};

use crate::crypto::hash::HmacKey;
use crate::ids::VaultId;
use crate::storage::{StorageError, file};

/// Where a journal is, whose it is, and the key of its frames.
#[derive(Clone)]
pub(crate) struct JournalId {
    pub(crate) dir: PathBuf,
    pub(crate) vault: VaultId,
    pub(crate) key: HmacKey,
}

impl JournalId {
    pub(crate) fn new(vault_dir: &Path, vault: VaultId, key: HmacKey) -> Self {
        Self { dir: vault_dir.join("journal"), vault, key }
    }

    /// For whoever moves files and verifies nothing.
    #[cfg(feature = "backup")]
    pub(crate) fn without_key(vault_dir: &Path, vault: VaultId) -> Self {
        Self::new(vault_dir, vault, HmacKey::new(&[0; 32]))
    }

    /// `journal/0000000001.cvj`
    pub(crate) fn segment_path(&self, number: u64) -> PathBuf {
        self.dir.join(format!("{number:010}.cvj"))
    }

    /// `journal/base-0000000042.cvj`: all that is live up to this frame.
    pub(crate) fn base_path(&self, through: u64) -> PathBuf {
        self.dir.join(format!("base-{through:010}.cvj"))
    }

    /// A base while it is being made.
    pub(crate) fn new_base_path(&self) -> PathBuf {
        self.dir.join("base.tmp")
    }

    /// `journal/torn-1-4096.bin`: what stood in a segment from there on, and was cut off.
    pub(crate) fn torn_path(&self, segment: u64, offset: u64) -> PathBuf {
        self.dir.join(format!("torn-{segment}-{offset}.bin"))
    }

    /// Removes what was kept of torn frames.
    pub(crate) fn remove_torn(&self) -> Result<(), StorageError> {
        let numbers = |name: &str| {
            let (segment, offset) = name.strip_prefix("torn-")?.strip_suffix(".bin")?.split_once('-')?;
            Some((segment.parse().ok()?, offset.parse().ok()?))
        };
        let torn = file::names(&self.dir)?.into_iter().filter_map(|name| numbers(&name));
        let torn: Vec<(u64, u64)> = torn.collect();
        torn.iter().try_for_each(|(segment, offset)| file::remove(&self.torn_path(*segment, *offset)))?;
        if torn.is_empty() { Ok(()) } else { file::sync_dir(&self.dir) }
    }

    /// The next segment while it is being made.
    pub(crate) fn successor_path(&self) -> PathBuf {
        self.dir.join("next.tmp")
    }
}
