//! What must have been there: state files, clean mark, the old trees, and where the journal ended.

use std::path::Path;

use super::Context;
use super::journal::Walked;
use crate::crypto::hash::HmacKey;
use crate::crypto::kdf;
use crate::format::digest::Digest;
use crate::format::state::{self, Place, State, StateError};
use crate::ids::VaultId;
use crate::storage::journal::files::Files;
use crate::storage::journal::library::Library;
use crate::storage::journal::walk;
use crate::storage::state::StateFiles;
use crate::storage::trees::{self, Trees};
use crate::storage::{StorageError, file};

/// All state files that are whole and genuine, newest first.
pub(super) struct States(pub(super) Vec<State>);

/// Reads both state files.
pub(super) fn states(dir: &Path, vault: VaultId, key: &HmacKey) -> Result<States, StorageError> {
    let mut states = Vec::new();
    for name in ["state.a", "state.b"] {
        let path = dir.join(name);
        let Ok(Some(bytes)) = file::read_small(&path, state::MAX_LEN) else { continue };
        match State::parse(&bytes, vault, key) {
            Ok(state) => states.push(state),
            Err(StateError::UnknownFormat(found)) => {
                return Err(StorageError::UnknownFormat { path, found, newest: state::FORMAT });
            }
            Err(StateError::Damaged | StateError::Foreign) => {}
        }
    }
    states.sort_by_key(|state| std::cmp::Reverse(state.generation));
    Ok(States(states))
}

impl States {
    pub(super) fn highest(&self) -> u64 {
        self.0.iter().map(|state| state.applied.seq).max().unwrap_or(0)
    }

    pub(super) fn highest_segment(&self) -> u64 {
        self.0.iter().map(|state| state.applied.segment).max().unwrap_or(0)
    }

    /// Entries that are known to have been written.
    pub(super) fn entries(&self) -> u64 {
        self.0.iter().map(|state| state.entries).max().unwrap_or(0)
    }

    /// What the trees had to hold after this frame, if a state file says so.
    pub(super) fn digest_at(&self, seq: u64, hash: &[u8; 32]) -> Option<Digest> {
        let state = self.0.iter().find(|state| (state.applied.seq, &state.applied.hash) == (seq, hash));
        state.map(|state| state.digest.clone())
    }
}

impl Context<'_> {
    /// Opens a copy of the old trees: sled overwrites what it drops.
    pub(super) fn old_trees(&mut self, states: &States) -> Result<Option<Trees>, StorageError> {
        match self.copy_and_open(states) {
            Err(error) if !matches!(error, StorageError::DiskFull { .. }) => {
                self.found.trees_failed = Some(error.to_string());
                Ok(None)
            }
            opened => opened,
        }
    }

    fn copy_and_open(&self, states: &States) -> Result<Option<Trees>, StorageError> {
        let numbers = trees::list(self.salvage.from)?;
        let named = states.0.iter().map(|state| state.trees).find(|number| numbers.contains(number));
        let Some(number) = named.or(numbers.last().copied()) else { return Ok(None) };
        let copy = self.salvage.work.join("old");
        file::create_dir(&copy)?;
        let from = trees::dir(self.salvage.from, number);
        let needed = file::dir_bytes(&from).saturating_add(self.salvage.options.keep_free);
        if file::free_bytes(&copy).is_some_and(|free| free < needed) {
            return Err(StorageError::DiskFull { path: copy });
        }
        file::copy_dir(&from, &trees::dir(&copy, number))?;
        Trees::open(&copy, number, self.salvage.options.cache_bytes).map(Some)
    }

    /// What the clean mark remembers.
    fn clean(&self) -> Option<(u64, [u8; 32])> {
        let (dir, keys) = (self.salvage.from, self.salvage.keys);
        StateFiles::new(dir, self.salvage.vault, kdf::state_file_mac(&keys.state)).clean().unwrap_or_default()
    }

    /// Frames that state files, clean mark and trees remember: number and hash.
    pub(super) fn witnesses(&self, states: &States, old: Option<&Trees>) -> Vec<(u64, [u8; 32])> {
        let settled = old.and_then(|trees| trees.settled().ok().flatten());
        let noted = states.0.iter().map(|state| (state.applied.seq, state.applied.hash));
        noted.chain(self.clean()).chain(settled).filter(|(seq, _)| *seq > 0).collect()
    }

    /// The digest of all that was ever acknowledged, if there is a proof that nothing came later, or otherwise.
    pub(super) fn proof(
        &mut self,
        states: &States,
        walked: &Walked,
        old: Option<&Trees>,
    ) -> Result<Option<Digest>, StorageError> {
        let clean = self.clean();
        let remembered = self.witnesses(states, old).into_iter().map(|(seq, _)| seq).max().unwrap_or(0);
        let generation = states.0.iter().map(|state| state.header_generation).max().unwrap_or(0);
        self.found.header_generation = self.found.header_generation.max(generation);
        let mut gaps = walked.gaps.clone();
        gaps.push(walked.highest.saturating_add(1), remembered);
        self.found.lost_frames = gaps.into_runs();
        if walked.forked {
            self.found.open_end = true;
            return Ok(None);
        }
        // The mark is removed before anything is written again.
        if let Some((seq, hash)) = clean.filter(|(seq, _)| *seq >= walked.highest && *seq == remembered)
            && let Some(digest) = states.digest_at(seq, &hash)
        {
            return Ok(Some(digest));
        }
        let ends = remembered <= walked.tip.seq && walked.tip.seq == walked.highest;
        if !ends || !self.ends_there(walked)? {
            self.found.open_end = true;
            return Ok(None);
        }
        Ok(walked.digest.clone())
    }

    /// Whether the journal ends behind the last frame, as ordinary opening would judge.
    fn ends_there(&mut self, walked: &Walked) -> Result<bool, StorageError> {
        let base = walked.base.clone().filter(|base| base.header.through == walked.tip);
        let from = if base.is_some() { Place::default() } else { walked.tip };
        let first = if base.is_some() { walked.tip.segment.saturating_add(1) } else { walked.tip.segment };
        let segments: Vec<_> = walked.segments.iter().filter(|found| found.header.number >= first).cloned().collect();
        if segments.first().is_none_or(|found| found.header.number != first) {
            return Ok(false);
        }
        let files = Files { base, segments, covered_files: Vec::new() };
        let library = Library::of(&files.segments);
        let mut beyond = false;
        let walk = walk::to_the_end(&self.journal, &files, &library, from, &mut |_, _, _| {
            beyond = true;
            Ok(())
        });
        match walk {
            Ok(walk) => {
                let unused = u64::from(walk.unused_successor.is_some());
                let last = walk.segment.header.number.saturating_add(unused);
                Ok(!beyond && walk.tip == walked.tip && walked.last_segment <= last)
            }
            Err(StorageError::Damaged { segment, offset, what }) => {
                self.found.wound(&segment, offset, what);
                Ok(false)
            }
            Err(_) => Ok(false),
        }
    }
}
