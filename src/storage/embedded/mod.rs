//! The storage of one process and one directory: the journal is the truth, the trees serve it.
//!
//! Locks, always taken in this order: `checkpoints`, `order` (who may append), `applied` (who may change the trees),
//! `front` (what has been committed; held for moments only).

mod check;
mod checkpoint;
pub(super) mod commit;
mod compact;
mod door;
mod open;
mod read;
mod rebuild;
mod room;
mod scrub;
#[cfg(feature = "backup")]
mod ship;

use std::collections::{HashMap, VecDeque};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{self, SyncSender};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::thread::{self, JoinHandle};

pub(crate) use scrub::Scrub;

use super::apply::Applied;
use super::journal::library::Library;
use super::journal::writer::{Room, Writer};
use super::journal::{JournalId, segment::Segment};
use super::pack::OpenPack;
use super::state::StateFiles;
use super::trees::{self, Trees};
use super::{
    Batch, Bytes, CommitError, Head, Pending, PreparedWrite, Scan, Storage, StorageError, StorageKeys, StorageOptions,
    file, lock,
};
use crate::crypto::hash::HmacKey;
use crate::crypto::kdf;
use crate::format::digest::Digest;
use crate::format::keys::Tree;
use crate::format::state::{Place, State};
use crate::ids::VaultId;
use crate::progress::OnProgress;

/// What opening found and did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Opened {
    /// Whether the vault had been closed properly.
    pub(crate) clean: bool,
    /// A last frame that was never acknowledged, and was cut off.
    pub(crate) torn: Option<Torn>,
    /// Frames that were applied to the trees.
    pub(crate) replayed_frames: u64,
    /// Why the trees were rebuilt from the journal, if they were.
    pub(crate) rebuilt: Option<&'static str>,
    /// State files that were written anew, because they were not whole.
    pub(crate) state_files: usize,
    /// Where trees are that turned out wrong.
    pub(crate) set_aside: Option<PathBuf>,
    /// The frame up to which a compaction goes that had been interrupted. Its base is sound; what that covers is to be
    /// removed ([`Storage::remove_compacted`]) once the log has an entry of it.
    pub(crate) compacted: Option<u64>,
    /// Highest header generation in the journal.
    pub(crate) header_generation: u64,
}

/// Where a torn frame was.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Torn {
    pub(crate) segment: PathBuf,
    pub(crate) offset: u64,
    pub(crate) len: u64,
}

/// Journal and trees of one vault.
pub(crate) struct Embedded {
    inner: Arc<Inner>,
    /// Asks the checkpoint thread for a checkpoint.
    requests: Option<SyncSender<()>>,
    checkpointer: Option<JoinHandle<()>>,
}

struct Inner {
    dir: PathBuf,
    options: StorageOptions,
    journal: JournalId,
    /// Makes digest leaves.
    state_key: HmacKey,
    library: Library,
    order: Mutex<Writer>,
    applied: Mutex<Applied>,
    front: Mutex<Front>,
    /// Which digest buckets have been compared with the trees since opening.
    verified: Vec<AtomicBool>,
    trees: RwLock<Option<Arc<Trees>>>,
    checkpoints: Mutex<StateFiles>,
    /// What the journal takes for certain.
    room: Mutex<Room>,
    /// Whether less of the file system is free than should be.
    low: AtomicBool,
    /// The last reading of free space, if it found plenty.
    plenty: Mutex<Option<room::Reading>>,
    /// Whether a frame is being applied: it was taken from the queue, and is in the trees in part.
    applying: AtomicBool,
    /// The last frame that the trees name as applied.
    named: Mutex<Place>,
    /// Held for writing while files that a base covers are removed, for reading while the whole journal is read.
    files: RwLock<()>,
    /// What happened that the log should tell, and has not told yet.
    notice: Mutex<Option<&'static str>>,
    /// Held by the one compaction at a time.
    compacting: Mutex<()>,
    /// Bytes journaled since the last checkpoint.
    journaled: AtomicU64,
    stopped: AtomicBool,
    /// Why; set before `stopped` is.
    stop: Mutex<Option<Stop>>,
}

enum Stop {
    Closed,
    Poisoned(String),
}

/// What has been committed, and what of it is not settled yet.
#[derive(Default)]
struct Front {
    head: Head,
    /// Number of the oldest entry that is kept.
    first_entry: u64,
    header_generation: u64,
    tallies: HashMap<[u8; 16], u64>,
    last_entry: Option<Bytes>,
    /// Committed frames that the trees do not hold yet, in order.
    queue: VecDeque<Work>,
}

/// A committed frame that waits to be applied.
struct Work {
    place: Place,
    header_generation: u64,
    writes: Vec<PreparedWrite>,
    /// Entries below this number go.
    cut: Option<u64>,
    /// With the number of subjects that each names.
    entries: Vec<(Vec<u8>, usize)>,
}

/// All that an open storage starts from.
struct Start {
    journal: JournalId,
    state_key: HmacKey,
    library: Library,
    writer: Writer,
    applied: Applied,
    tallies: HashMap<[u8; 16], u64>,
    last_entry: Vec<u8>,
    trees: Trees,
    files: StateFiles,
    /// Whether the trees were just compared with the digest.
    verified: bool,
    /// Bytes of the journal that the newest state file lacks: without counting them, a process that always ends before
    /// its first checkpoint would have more to replay each time.
    replayed: u64,
}

impl Embedded {
    /// Makes an empty storage in `dir`, all of it durable on return.
    pub(crate) fn create(
        dir: &Path,
        vault: VaultId,
        keys: StorageKeys,
        options: StorageOptions,
    ) -> Result<Self, StorageError> {
        let ours = |name: &String| name == "journal" || name.starts_with("sled-") || name.starts_with("state.");
        if let Some(name) = file::names(dir)?.into_iter().find(ours) {
            return Err(StorageError::AlreadyExists { path: dir.join(name) });
        }
        let options = within_limits(options);
        let journal = JournalId::new(dir, vault, HmacKey::new(keys.journal.expose()));
        file::create_dir(&journal.dir)?;
        let trees = Trees::open(dir, 1, options.cache_bytes)?;
        trees.set_settled(0, &[0; 32])?;
        trees.sync()?;
        let mut files = StateFiles::new(dir, vault, kdf::state_file_mac(&keys.state));
        files.write(State { trees: 1, ..State::default() })?;
        let (writer, segment) = Writer::create(journal.clone(), &options)?;
        file::sync_dir(dir)?;
        file::sync_parent(dir)?;
        let start = Start {
            library: Library::of(&[segment]),
            journal,
            state_key: HmacKey::new(keys.state.expose()),
            writer,
            applied: Applied::default(),
            tallies: HashMap::new(),
            last_entry: Vec::new(),
            trees,
            files,
            verified: true,
            replayed: 0,
        };
        Ok(Self::start(dir, options, start))
    }

    /// Opens what [`Embedded::create`] made. `header_generation` is that of the vault's header.
    pub(crate) fn open(
        dir: &Path,
        vault: VaultId,
        keys: StorageKeys,
        options: StorageOptions,
        header_generation: u64,
        progress: OnProgress<'_>,
    ) -> Result<(Self, Opened), StorageError> {
        open::open(dir, vault, &keys, within_limits(options), header_generation, progress)
    }

    fn start(dir: &Path, options: StorageOptions, start: Start) -> Self {
        let last_entry = (!start.last_entry.is_empty()).then(|| Bytes::from(start.last_entry));
        let front = Front {
            head: Head { seq: start.applied.place.seq, entries: start.applied.pack.next },
            first_entry: start.applied.first_entry,
            header_generation: start.applied.header_generation,
            tallies: start.tallies,
            last_entry,
            queue: VecDeque::new(),
        };
        let inner = Arc::new(Inner {
            dir: dir.to_path_buf(),
            options,
            journal: start.journal,
            state_key: start.state_key,
            library: start.library,
            order: Mutex::new(start.writer),
            verified: (0..start.applied.digest.len()).map(|_| AtomicBool::new(start.verified)).collect(),
            named: Mutex::new(start.applied.place),
            applied: Mutex::new(start.applied),
            front: Mutex::new(front),
            trees: RwLock::new(Some(Arc::new(start.trees))),
            checkpoints: Mutex::new(start.files),
            room: Mutex::default(),
            applying: AtomicBool::new(false),
            low: AtomicBool::new(false),
            plenty: Mutex::default(),
            files: RwLock::default(),
            notice: Mutex::default(),
            compacting: Mutex::default(),
            journaled: AtomicU64::new(start.replayed),
            stopped: AtomicBool::new(false),
            stop: Mutex::new(None),
        });
        let (requests, received) = mpsc::sync_channel(1);
        let background = Arc::clone(&inner);
        let checkpointer = thread::Builder::new()
            .name("chartvault-checkpoint".into())
            .spawn(move || background.checkpoint_when_due(&received));
        // Without the thread, checkpoints happen when asked for and at close.
        Self { inner, requests: Some(requests), checkpointer: checkpointer.ok() }
    }

    #[cfg(test)]
    pub(crate) fn trees_for_tests(&self) -> Arc<Trees> {
        self.inner.trees().unwrap()
    }

    /// Sets the trees aside and builds new ones from the journal.
    #[cfg(test)]
    pub(crate) fn rebuild(&self) -> Result<(), StorageError> {
        self.inner.alive()?;
        self.inner.rebuild(&mut lock(&self.inner.applied))
    }
}

/// Limits without which the trees or the journal would not be safe.
fn within_limits(options: StorageOptions) -> StorageOptions {
    StorageOptions { inline_limit: options.inline_limit.min(StorageOptions::INLINE_MOST), ..options }
}

impl Drop for Embedded {
    fn drop(&mut self) {
        self.requests = None;
        if let Some(thread) = self.checkpointer.take() {
            // It only ends by itself; a panic there changes nothing here.
            let _ = thread.join();
        }
        let mut applied = lock(&self.inner.applied);
        if self.inner.alive().is_ok()
            && let Ok(trees) = self.inner.trees()
        {
            // Not closed, so sled writes what it has. Without the name the next opening knows less, and nothing wrong.
            let _ = self.inner.apply_through(&mut applied, u64::MAX);
            let _ = self.inner.name_applied(&applied, &trees);
        }
    }
}

impl Inner {
    /// An error once the storage was closed or had to stop.
    fn alive(&self) -> Result<(), StorageError> {
        if !self.stopped.load(Ordering::Acquire) {
            return Ok(());
        }
        Err(match &*lock(&self.stop) {
            Some(Stop::Poisoned(cause)) => StorageError::Poisoned { cause: cause.clone() },
            _ => StorageError::Closed,
        })
    }

    /// Stops everything after a failure. The first cause is the one that is told.
    fn poison(&self, cause: &StorageError) {
        self.stop(Stop::Poisoned(cause.to_string()));
    }

    fn stop(&self, why: Stop) {
        let mut stop = lock(&self.stop);
        if stop.is_none() || matches!(why, Stop::Closed) {
            *stop = Some(why);
        }
        self.stopped.store(true, Ordering::Release);
    }

    fn trees(&self) -> Result<Arc<Trees>, StorageError> {
        let trees = self.trees.read().unwrap_or_else(PoisonError::into_inner);
        trees.as_ref().map(Arc::clone).ok_or(StorageError::Closed)
    }

    fn set_trees(&self, trees: Option<Arc<Trees>>) {
        *self.trees.write().unwrap_or_else(PoisonError::into_inner) = trees;
    }
}
