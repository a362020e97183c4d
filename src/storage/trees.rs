//! The trees, in sled: the only file that names it. sled may lose or invent rows, panic, or hang; whoever calls here
//! checks what it gives back, and can rebuild it.
//!
//! What sled stores stays at or under 4 KiB a value, so that it never makes blobs. Its own flusher is off: only a
//! checkpoint makes it durable, by `flush` and our own sync of its files (`flush` alone survives no power cut).

use std::panic::{self, AssertUnwindSafe};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use super::file::{self, StoredFile};
use super::{StorageError, watch};
use crate::bytes::{Put, Reader};
use crate::format::keys::Tree;

/// A row's bytes, shared with sled's cache.
pub(crate) type RowBytes = sled::IVec;

/// How long sled may open or flush without changing a file, and a second more for each 16 MiB it holds.
const PATIENCE: Duration = Duration::from_secs(if cfg!(test) { 10 } else { 60 });
/// How long to wait for a handle of this process that is on its way out.
const LOCK_TIMEOUT: Duration = Duration::from_secs(if cfg!(test) { 3 } else { 5 });
const SETTLED: &[u8] = b"settled";
const GARBAGE: &[u8] = b"garbage";
const CUT: &[u8] = b"cut";

/// One open directory of trees.
pub(crate) struct Trees {
    /// Taken when this is dropped, and not before.
    handles: Option<Handles>,
    dir: PathBuf,
    /// The number of the directory.
    pub(crate) number: u64,
}

struct Handles {
    db: sled::Db,
    records: sled::Tree,
    patients: sled::Tree,
    lookup: sled::Tree,
    policy: sled::Tree,
    audit: sled::Tree,
    log: sled::Tree,
    meta: sled::Tree,
}

/// `sled-1`, `sled-2`, …
pub(crate) fn dir(vault_dir: &Path, number: u64) -> PathBuf {
    vault_dir.join(format!("sled-{number}"))
}

/// The numbers of all directories of trees, ascending.
pub(crate) fn list(vault_dir: &Path) -> Result<Vec<u64>, StorageError> {
    let names = file::names(vault_dir)?;
    let mut numbers: Vec<u64> = names.iter().filter_map(|name| name.strip_prefix("sled-")?.parse().ok()).collect();
    numbers.sort_unstable();
    Ok(numbers)
}

/// What a directory is called once its trees have turned out wrong: kept for whoever wants to know why.
const SUSPECT: &str = ".suspect";
/// In a directory whose trees turned out wrong while they were open.
const SUSPECT_MARK: &str = "suspect";

/// Notes that these trees are not to be trusted, for the next opening to set them aside.
pub(crate) fn mark_suspect(vault_dir: &Path, number: u64) {
    // Without the mark they are removed instead.
    let _ = StoredFile::create(&dir(vault_dir, number).join(SUSPECT_MARK));
}

pub(crate) fn is_suspect(vault_dir: &Path, number: u64) -> bool {
    dir(vault_dir, number).join(SUSPECT_MARK).exists()
}

/// Sets a directory aside as `sled-<n>.suspect`, in the place of one set aside before.
pub(crate) fn set_aside(vault_dir: &Path, number: u64) -> Result<PathBuf, StorageError> {
    remove_set_aside(vault_dir)?;
    let from = dir(vault_dir, number);
    let mut name = from.clone().into_os_string();
    name.push(SUSPECT);
    let to = PathBuf::from(name);
    file::rename(&from, &to)?;
    Ok(to)
}

/// Removes what was set aside.
pub(crate) fn remove_set_aside(vault_dir: &Path) -> Result<(), StorageError> {
    let ours = |name: &String| name.starts_with("sled-") && name.ends_with(SUSPECT);
    file::names(vault_dir)?
        .iter()
        .filter(|name| ours(name))
        .try_for_each(|name| file::remove_dir(&vault_dir.join(name)))
}

impl Trees {
    /// Opens, or makes, a directory of trees. If sled does not come back the directory must not be used again.
    pub(crate) fn open(vault_dir: &Path, number: u64, cache_bytes: u64) -> Result<Self, StorageError> {
        let dir = dir(vault_dir, number);
        file::create_dir(&dir)?;
        remove_unfinished_snapshots(&dir)?;
        let patience = PATIENCE + Duration::from_secs(file::dir_bytes(&dir) >> 24);
        let opened = dir.clone();
        watch::watched("opening", &dir, patience, move || Self::open_now(opened, number, cache_bytes))
    }

    fn open_now(dir: PathBuf, number: u64, cache_bytes: u64) -> Result<Self, StorageError> {
        let config = sled::Config::new().path(&dir).cache_capacity(cache_bytes).flush_every_ms(None);
        let started = Instant::now();
        let db = loop {
            match guard("opening", || config.open()) {
                Err(StorageError::Trees { reason, .. }) if reason.contains("could not acquire lock") => {
                    if started.elapsed() >= LOCK_TIMEOUT {
                        return Err(StorageError::InUse { path: dir });
                    }
                    thread::sleep(Duration::from_millis(20));
                }
                opened => break opened?,
            }
        };
        let tree = |name: &str| guard("opening", || db.open_tree(name));
        let handles = Handles {
            records: tree("records")?,
            patients: tree("patients")?,
            lookup: tree("lookup")?,
            policy: tree("policy")?,
            audit: tree("audit")?,
            log: tree("log")?,
            meta: tree("meta")?,
            db,
        };
        Ok(Self { handles: Some(handles), dir, number })
    }

    pub(crate) fn dir(&self) -> &Path {
        &self.dir
    }

    fn handles(&self) -> Result<&Handles, StorageError> {
        self.handles.as_ref().ok_or(StorageError::Closed)
    }

    fn tree(&self, tree: Tree) -> Result<&sled::Tree, StorageError> {
        let handles = self.handles()?;
        Ok(match tree {
            Tree::Records => &handles.records,
            Tree::Patients => &handles.patients,
            Tree::Lookup => &handles.lookup,
            Tree::Policy => &handles.policy,
            Tree::Audit => &handles.audit,
            Tree::Log => &handles.log,
        })
    }

    pub(crate) fn get(&self, tree: Tree, key: &[u8]) -> Result<Option<RowBytes>, StorageError> {
        let tree = self.tree(tree)?;
        guard("reading", || tree.get(key))
    }

    /// Gives the row that stood there.
    pub(crate) fn insert(
        &self,
        tree: Tree,
        key: &[u8],
        row: impl Into<RowBytes>,
    ) -> Result<Option<RowBytes>, StorageError> {
        let tree = self.tree(tree)?;
        guard("writing", || tree.insert(key, row.into()))
    }

    /// Gives the row that stood there.
    pub(crate) fn remove(&self, tree: Tree, key: &[u8]) -> Result<Option<RowBytes>, StorageError> {
        let tree = self.tree(tree)?;
        guard("writing", || tree.remove(key))
    }

    /// Rows with `from` ≤ key < `to`, ascending, until `visit` says false.
    pub(crate) fn visit(
        &self,
        tree: Tree,
        from: &[u8],
        to: Option<&[u8]>,
        mut visit: impl FnMut(&[u8], &[u8]) -> bool,
    ) -> Result<(), StorageError> {
        let tree = self.tree(tree)?;
        guard("reading", || {
            let rows = match to {
                Some(to) if from >= to => return Ok(()),
                Some(to) => tree.range(from..to),
                None => tree.range(from..),
            };
            for row in rows {
                let (key, value) = row?;
                if !visit(&key, &value) {
                    break;
                }
            }
            Ok(())
        })
    }

    /// The last row at or below a key.
    pub(crate) fn at_or_below(&self, tree: Tree, key: &[u8]) -> Result<Option<(RowBytes, RowBytes)>, StorageError> {
        let tree = self.tree(tree)?;
        guard("reading", || tree.range(..=key).next_back().transpose())
    }

    /// Notes the last frame that has been applied.
    pub(crate) fn set_settled(&self, seq: u64, hash: &[u8; 32]) -> Result<(), StorageError> {
        let mut row = Vec::with_capacity(40);
        row.put_u64(seq);
        row.put(hash);
        let meta = &self.handles()?.meta;
        guard("writing", || meta.insert(SETTLED, row)).map(drop)
    }

    /// The last frame noted.
    pub(crate) fn settled(&self) -> Result<Option<(u64, [u8; 32])>, StorageError> {
        let meta = &self.handles()?.meta;
        let row = guard("reading", || meta.get(SETTLED))?;
        Ok(row.and_then(|row| {
            let mut reader = Reader::new(&row);
            Some((reader.u64().ok()?, reader.array().ok()?))
        }))
    }

    /// Notes how many bytes of the journal a compaction would free.
    pub(crate) fn set_garbage(&self, bytes: u64) -> Result<(), StorageError> {
        let meta = &self.handles()?.meta;
        guard("writing", || meta.insert(GARBAGE, &bytes.to_be_bytes())).map(drop)
    }

    /// What was noted at the last checkpoint; 0 where nothing was. Only a hint: nothing checks it.
    pub(crate) fn garbage(&self) -> u64 {
        let row = self.handles().and_then(|handles| guard("reading", || handles.meta.get(GARBAGE))).ok().flatten();
        row.and_then(|row| Reader::new(&row).u64().ok()).unwrap_or(0)
    }

    /// Notes that rows of entries that were cut have been here: sled may keep their bytes for long.
    pub(crate) fn note_cut(&self) -> Result<(), StorageError> {
        let meta = &self.handles()?.meta;
        guard("writing", || meta.insert(CUT, &[])).map(drop)
    }

    /// Whether [`Trees::note_cut`] was called. Where that cannot be read nothing is said of it.
    pub(crate) fn had_cut(&self) -> bool {
        self.handles().and_then(|handles| guard("reading", || handles.meta.contains_key(CUT))).unwrap_or(false)
    }

    /// Makes everything durable that was written before the call.
    pub(crate) fn sync(&self) -> Result<(), StorageError> {
        let db = self.handles()?.db.clone();
        let patience = PATIENCE + Duration::from_secs(file::dir_bytes(&self.dir) >> 24);
        watch::watched("flushing", &self.dir, patience, move || guard("flushing", || db.flush()).map(drop))?;
        let blobs = self.dir.join("blobs");
        for dir in [&self.dir, &blobs] {
            for name in file::names(dir)? {
                let path = dir.join(name);
                if path.is_file() {
                    sync_if_there(&path)?;
                }
            }
            if dir.is_dir() {
                file::sync_dir(dir)?;
            }
        }
        file::sync_parent(&self.dir)
    }
}

#[cfg(test)]
thread_local! {
    /// Lets sled's own last sync fail, once, for trees that go on this thread.
    pub(crate) static LAST_SYNC_FAILS: std::cell::Cell<bool> = const { std::cell::Cell::new(false) };
}

#[cfg(test)]
impl Drop for Handles {
    fn drop(&mut self) {
        assert!(!LAST_SYNC_FAILS.take(), "as sled does");
    }
}

impl Drop for Trees {
    /// When the last handle goes sled syncs its file once more, and panics if that fails. Nobody relies on that sync.
    fn drop(&mut self) {
        let handles = self.handles.take();
        let _ = guard("closing", || {
            drop(handles);
            Ok(())
        });
    }
}

/// sled removes its old snapshots itself, maybe just now. Windows syncs only what is open for writing.
fn sync_if_there(path: &Path) -> Result<(), StorageError> {
    match StoredFile::open_to_write(path).and_then(|file| file.sync_all()) {
        Err(StorageError::Io { source, .. }) if source.kind() == std::io::ErrorKind::NotFound => Ok(()),
        synced => synced,
    }
}

/// A snapshot that sled was writing when it was killed makes every later opening fail.
fn remove_unfinished_snapshots(dir: &Path) -> Result<(), StorageError> {
    for name in file::names(dir)? {
        if name.starts_with("snap.") && name.ends_with(".generating") {
            file::remove(&dir.join(name))?;
        }
    }
    Ok(())
}

fn trees_error(doing: &'static str, reason: String) -> StorageError {
    StorageError::Trees { doing, reason }
}

/// Calls sled, and turns its errors and its panics into ours.
fn guard<T>(doing: &'static str, call: impl FnOnce() -> Result<T, sled::Error>) -> Result<T, StorageError> {
    match panic::catch_unwind(AssertUnwindSafe(call)) {
        Ok(done) => done.map_err(|error| trees_error(doing, error.to_string())),
        Err(_) => Err(trees_error(doing, "it panicked".into())),
    }
}
