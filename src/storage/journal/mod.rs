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

    /// The next segment while it is being made.
    pub(crate) fn successor_path(&self) -> PathBuf {
        self.dir.join("next.tmp")
    }
}
