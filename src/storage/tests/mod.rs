//! Tests of the whole storage, by what they do to it.

mod basics;
mod compaction;
mod concurrency;
mod contract;
mod cut_forms;
mod cuts;
mod damaged_bases;
mod faults;
mod model;
mod rolls;
mod suspect_trees;
#[cfg(unix)]
mod tails;

use std::path::Path;
use std::sync::Arc;

use super::embedded::{Embedded, Opened};
use super::memory::MemoryStore;
use super::*;
use crate::ids::VaultId;
use crate::secret::{Key, Secret};

pub(super) const VAULT: VaultId = VaultId::from_bytes([7; 16]);

pub(super) fn keys() -> StorageKeys {
    StorageKeys { journal: Key::new(Secret::take(&mut [1; 32])), state: Key::new(Secret::take(&mut [2; 32])) }
}

pub(super) fn options() -> StorageOptions {
    StorageOptions {
        segment_first: 64 << 10,
        segment_max: 64 << 10,
        inline_limit: 4096,
        cache_bytes: 8 << 20,
        checkpoint_bytes: u64::MAX,
        checkpoint_idle: std::time::Duration::from_secs(3_600),
        keep_free: 1 << 20,
        compact_share: 50,
        compact_least: 200_000,
    }
}

pub(super) fn create(dir: &Path) -> Embedded {
    Embedded::create(dir, VAULT, keys(), options()).unwrap()
}

pub(super) fn try_open(dir: &Path) -> Result<(Embedded, Opened), StorageError> {
    Embedded::open(dir, VAULT, keys(), options(), 1, &mut |_| {})
}

pub(super) fn open(dir: &Path) -> (Embedded, Opened) {
    try_open(dir).unwrap()
}

pub(super) fn entry(bytes: &[u8], subjects: &[u8]) -> SealedEntry {
    SealedEntry { bytes: bytes.to_vec(), subjects: subjects.iter().map(|subject| [*subject; 16]).collect() }
}

/// Commits puts (or deletes) in `records` and one entry, and settles.
pub(super) fn put(storage: &dyn Storage, rows: &[(&[u8], Option<&[u8]>)], entries: Vec<SealedEntry>) -> Head {
    let writes = rows
        .iter()
        .map(|(key, value)| {
            let old = storage.get(Tree::Records, key).unwrap();
            storage.prepare(Tree::Records, key.to_vec().into(), value.map(Arc::from), old.as_deref())
        })
        .collect();
    let pending =
        storage.commit(storage.head(), Batch { writes, entries, header_generation: 1, ..Batch::default() }).unwrap();
    storage.settle(pending).unwrap();
    storage.head()
}

/// Commits a cut and one entry, and settles.
pub(super) fn cut(storage: &dyn Storage, first: u64, entry: SealedEntry) {
    let batch = Batch { entries: vec![entry], cut: Some(first), ..Batch::default() };
    let pending = storage.commit(storage.head(), batch).unwrap();
    storage.settle(pending).unwrap();
}

pub(super) fn get(storage: &dyn Storage, key: &[u8]) -> Option<Vec<u8>> {
    storage.get(Tree::Records, key).unwrap().map(|value| value.to_vec())
}

pub(super) fn all(storage: &dyn Storage) -> Vec<(Vec<u8>, Vec<u8>)> {
    let scan = Scan { prefix: b"", after: None, limit: usize::MAX };
    let rows = storage.scan(Tree::Records, scan).unwrap();
    rows.into_iter().map(|(key, value)| (key, value.to_vec())).collect()
}

/// A place for one storage: what holds for a directory holds for a store in memory.
pub(super) trait Place {
    fn create(&mut self) -> Box<dyn Storage>;
    /// Opens what was closed.
    fn reopen(&mut self) -> (Box<dyn Storage>, Opened);
    /// Opens what is there while `storage` is still open, as after a power cut.
    fn crash(&mut self, storage: Box<dyn Storage>) -> (Box<dyn Storage>, Opened);
    /// As [`Place::crash`], and the trees are gone, where there are any.
    fn lose_trees(&mut self, storage: Box<dyn Storage>) -> (Box<dyn Storage>, Opened) {
        self.crash(storage)
    }
}

/// Directories, the last of which is in use.
#[derive(Default)]
pub(super) struct OnDisk(Vec<tempfile::TempDir>);

impl Place for OnDisk {
    fn create(&mut self) -> Box<dyn Storage> {
        self.0.push(tempfile::tempdir().unwrap());
        Box::new(create(self.0.last().unwrap().path()))
    }

    fn reopen(&mut self) -> (Box<dyn Storage>, Opened) {
        let (storage, opened) = open(self.0.last().unwrap().path());
        (Box::new(storage), opened)
    }

    fn crash(&mut self, storage: Box<dyn Storage>) -> (Box<dyn Storage>, Opened) {
        let dir = tempfile::tempdir().unwrap();
        copy_dir(self.0.last().unwrap().path(), dir.path());
        drop(storage);
        self.0.push(dir);
        self.reopen()
    }

    fn lose_trees(&mut self, storage: Box<dyn Storage>) -> (Box<dyn Storage>, Opened) {
        let dir = tempfile::tempdir().unwrap();
        copy_dir(self.0.last().unwrap().path(), dir.path());
        drop(storage);
        for name in file::names(dir.path()).unwrap().iter().filter(|name| name.starts_with("sled-")) {
            std::fs::remove_dir_all(dir.path().join(name)).unwrap();
        }
        self.0.push(dir);
        let (storage, opened) = self.reopen();
        assert!(opened.rebuilt.is_some());
        (storage, opened)
    }
}

#[derive(Default)]
pub(super) struct InMemory(MemoryStore);

impl Place for InMemory {
    fn create(&mut self) -> Box<dyn Storage> {
        Box::new(self.0.create_storage(VAULT).unwrap())
    }

    fn reopen(&mut self) -> (Box<dyn Storage>, Opened) {
        let (storage, opened) = self.0.open_storage(VAULT, 1).unwrap();
        (Box::new(storage), opened)
    }

    fn crash(&mut self, storage: Box<dyn Storage>) -> (Box<dyn Storage>, Opened) {
        self.0 = self.0.copy();
        drop(storage);
        self.reopen()
    }
}

/// Copies a live vault, as a crash would leave it.
pub(super) fn copy_dir(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for file in std::fs::read_dir(from).unwrap() {
        let file = file.unwrap();
        let target = to.join(file.file_name());
        if file.file_type().unwrap().is_dir() {
            copy_dir(&file.path(), &target);
        } else {
            std::fs::copy(file.path(), target).unwrap();
        }
    }
}
