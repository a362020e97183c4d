//! A storage in memory, for tests and fuzzers: the contract of the embedded one, without a disk under it.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::fmt;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use super::embedded::Opened;
use super::embedded::commit::body_len;
use super::fault::{self, FileOp};
use super::{
    Batch, Bytes, CommitError, Head, NewValue, Pending, PreparedWrite, Scan, SealedEntry, Storage, StorageError, Tree,
    check_cut, lock,
};
use crate::format::frame;
use crate::ids::VaultId;

/// Where a vault in memory is kept. It outlives the vaults made and opened in it, as a directory does, and holds at most
/// one. Clones are the same store; what it holds is sealed as it would be on disk.
///
/// Dropping a vault without closing it is a crash: what was acknowledged is there when it is opened again.
#[derive(Clone, Default)]
pub struct MemoryStore(Arc<Mutex<Kept>>);

/// What a disk would hold.
#[derive(Default)]
struct Kept {
    vault: Option<VaultId>,
    header: Option<Vec<u8>>,
    attempts: Option<Vec<u8>>,
    signing_key: Option<Vec<u8>>,
    held: bool,
    clean: bool,
    head: Head,
    header_generation: u64,
    rows: BTreeMap<(Tree, Vec<u8>), Bytes>,
    /// Those that are kept.
    entries: VecDeque<Bytes>,
    /// Number of the first of them.
    first: u64,
    tallies: HashMap<[u8; 16], u64>,
    /// Committed and not settled yet.
    waiting: VecDeque<(u64, Vec<PreparedWrite>)>,
}

impl MemoryStore {
    /// An empty one.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// A store that holds now what this one holds now, and goes its own way: as a copy of a directory, taken while a
    /// vault may be open in it, would be.
    #[must_use]
    pub fn copy(&self) -> Self {
        let kept = lock(&self.0);
        Self(Arc::new(Mutex::new(Kept {
            vault: kept.vault,
            header: kept.header.clone(),
            attempts: kept.attempts.clone(),
            signing_key: kept.signing_key.clone(),
            held: false,
            clean: kept.clean,
            head: kept.head,
            header_generation: kept.header_generation,
            rows: kept.rows.clone(),
            entries: kept.entries.clone(),
            first: kept.first,
            tallies: kept.tallies.clone(),
            waiting: kept.waiting.clone(),
        })))
    }

    /// Everything that is kept, in a fixed order: header, rows with their keys, audit entries. For tests that look for
    /// what must not be readable, or compare two vaults.
    #[must_use]
    pub fn bytes(&self) -> Vec<u8> {
        let kept = lock(&self.0);
        let rows = kept.rows.iter().flat_map(|((_, key), value)| [&key[..], &value[..]]);
        let unsettled = kept
            .waiting
            .iter()
            .flat_map(|(_, writes)| writes)
            .flat_map(|write| [&write.key[..], write.new.as_ref().map_or(&[][..], |new| &new.bytes[..])]);
        let entries = kept.entries.iter().map(|entry| &entry[..]);
        kept.header.as_deref().into_iter().chain(rows).chain(unsettled).chain(entries).collect::<Vec<_>>().concat()
    }

    /// Lets all rows of a tree be changed or, where `edit` says no, taken out.
    pub(crate) fn edit_rows(&self, tree: Tree, edit: &mut dyn FnMut(usize, &mut Vec<u8>) -> bool) {
        let mut kept = lock(&self.0);
        kept.settle(u64::MAX);
        let mut place = 0..;
        kept.rows.retain(|(of, _), value| *of != tree || edited(&mut place, value, edit));
    }

    /// The same for the log.
    pub(crate) fn edit_entries(&self, edit: &mut dyn FnMut(usize, &mut Vec<u8>) -> bool) {
        let mut place = 0..;
        lock(&self.0).entries.retain_mut(|entry| edited(&mut place, entry, edit));
    }

    pub(crate) fn edit_tallies(&self, edit: &mut dyn FnMut(usize, &mut Vec<u8>) -> bool) {
        let mut place = 0..;
        lock(&self.0).tallies.retain(|_, tally| {
            let mut count = tally.to_be_bytes().to_vec();
            let stays = place.next().is_some_and(|place| edit(place, &mut count));
            *tally = count.try_into().map_or(0, u64::from_be_bytes);
            stays
        });
    }

    pub(crate) fn is_empty(&self) -> bool {
        let kept = lock(&self.0);
        kept.vault.is_none() && kept.header.is_none() && kept.attempts.is_none()
    }

    pub(crate) fn header(&self) -> Option<Vec<u8>> {
        lock(&self.0).header.clone()
    }

    pub(crate) fn set_header(&self, header: &[u8]) {
        lock(&self.0).header = Some(header.to_vec());
    }

    pub(crate) fn attempts(&self) -> Option<Vec<u8>> {
        lock(&self.0).attempts.clone()
    }

    pub(crate) fn set_attempts(&self, attempts: Option<Vec<u8>>) {
        lock(&self.0).attempts = attempts;
    }

    pub(crate) fn signing_key(&self) -> Option<Vec<u8>> {
        lock(&self.0).signing_key.clone()
    }

    pub(crate) fn set_signing_key(&self, bytes: &[u8]) {
        lock(&self.0).signing_key = Some(bytes.to_vec());
    }

    /// Takes what a lock file would be; free again when dropped. `None` while somebody has it.
    pub(crate) fn hold(&self) -> Option<MemoryLock> {
        let mut kept = lock(&self.0);
        (!std::mem::replace(&mut kept.held, true)).then(|| MemoryLock(self.clone()))
    }

    pub(crate) fn create_storage(&self, vault: VaultId) -> Result<MemoryStorage, StorageError> {
        let mut kept = lock(&self.0);
        if kept.vault.replace(vault).is_some() {
            return Err(StorageError::AlreadyExists { path: PathBuf::new() });
        }
        Ok(MemoryStorage { store: self.clone(), stop: Mutex::new(None) })
    }

    /// `header_generation` is that of the vault's header.
    pub(crate) fn open_storage(
        &self,
        vault: VaultId,
        header_generation: u64,
    ) -> Result<(MemoryStorage, Opened), StorageError> {
        let mut kept = lock(&self.0);
        match kept.vault {
            None => return Err(StorageError::NotAVault { path: PathBuf::new() }),
            Some(found) if found != vault => return Err(StorageError::OtherVault { path: PathBuf::new() }),
            Some(_) => {}
        }
        if header_generation < kept.header_generation {
            let (header, journal) = (header_generation, kept.header_generation);
            return Err(StorageError::HeaderRolledBack { header, journal });
        }
        let replayed = kept.waiting.len();
        kept.settle(u64::MAX);
        let opened = Opened {
            clean: std::mem::replace(&mut kept.clean, false),
            torn: None,
            replayed_frames: u64::try_from(replayed).unwrap_or(u64::MAX),
            rebuilt: None,
            state_files: 0,
            set_aside: None,
            compacted: None,
            header_generation: kept.header_generation,
        };
        Ok((MemoryStorage { store: self.clone(), stop: Mutex::new(None) }, opened))
    }
}

impl fmt::Debug for MemoryStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kept = lock(&self.0);
        f.debug_struct("MemoryStore").field("vault", &kept.vault).field("head", &kept.head).finish_non_exhaustive()
    }
}

/// Holds a store until dropped.
#[derive(Debug)]
pub(crate) struct MemoryLock(MemoryStore);

impl Drop for MemoryLock {
    fn drop(&mut self) {
        lock(&self.0.0).held = false;
    }
}

impl Kept {
    fn settle(&mut self, through: u64) {
        while let Some((seq, writes)) = self.waiting.pop_front_if(|(seq, _)| *seq <= through) {
            for PreparedWrite { tree, key, new, .. } in writes {
                match new {
                    Some(new) => self.rows.insert((tree, key.to_vec()), new.bytes),
                    None => self.rows.remove(&(tree, key.to_vec())),
                };
            }
            debug_assert!(seq <= self.head.seq);
        }
    }
}

fn edited(
    place: &mut impl Iterator<Item = usize>,
    stored: &mut Bytes,
    edit: &mut dyn FnMut(usize, &mut Vec<u8>) -> bool,
) -> bool {
    let mut bytes = stored.to_vec();
    let stays = place.next().is_some_and(|place| edit(place, &mut bytes));
    *stored = bytes.into();
    stays
}

/// One opening of a [`MemoryStore`].
pub(crate) struct MemoryStorage {
    store: MemoryStore,
    /// Why nothing is done any more; an empty text once closed.
    stop: Mutex<Option<String>>,
}

impl MemoryStorage {
    fn alive(&self) -> Result<(), StorageError> {
        match &*lock(&self.stop) {
            None => Ok(()),
            Some(cause) if cause.is_empty() => Err(StorageError::Closed),
            Some(cause) => Err(StorageError::Poisoned { cause: cause.clone() }),
        }
    }

    /// What a file operation would have answered.
    fn disk(doing: &'static str, op: FileOp) -> Result<(), StorageError> {
        fault::check(op).map_err(|source| match source.kind() {
            std::io::ErrorKind::StorageFull => StorageError::DiskFull { path: PathBuf::new() },
            _ => StorageError::Io { doing, path: PathBuf::new(), source },
        })
    }

    fn poison(&self, cause: &StorageError) {
        lock(&self.stop).get_or_insert_with(|| cause.to_string());
    }

    fn visit(&self, tree: Tree, scan: Scan<'_>) -> Result<Vec<(Vec<u8>, Bytes)>, StorageError> {
        self.alive()?;
        let kept = lock(&self.store.0);
        let from = scan.after.map_or(scan.prefix, |after| after.max(scan.prefix)).to_vec();
        let rows = kept.rows.range((tree, from)..).map(|((of, key), value)| (*of, key, value));
        let rows = rows.take_while(|(of, key, _)| *of == tree && key.starts_with(scan.prefix));
        let rows = rows.filter(|(_, key, _)| scan.after.is_none_or(|after| key.as_slice() > after));
        Ok(rows.take(scan.limit).map(|(_, key, value)| (key.clone(), Bytes::clone(value))).collect())
    }
}

/// The journal's limit, so that what is tested here can be written there.
fn fits_a_frame(body: usize) -> Result<(), CommitError> {
    let [len, limit] = [frame::frame_len(body), frame::MAX_LEN].map(|len| u64::try_from(len).unwrap_or(u64::MAX));
    if len > limit { Err(CommitError::NotCommitted(StorageError::BatchTooLarge { len, limit })) } else { Ok(()) }
}

impl Storage for MemoryStorage {
    fn head(&self) -> Head {
        lock(&self.store.0).head
    }

    /// Nothing is hashed: there is no digest to keep.
    fn prepare(&self, tree: Tree, key: Bytes, value: Option<Bytes>, _: Option<&[u8]>) -> PreparedWrite {
        let new = value.map(|bytes| NewValue { bytes, hash: [0; 32], leaf: [0; 32], inline: true });
        PreparedWrite { tree, key, new, old_leaf: None }
    }

    fn get(&self, tree: Tree, key: &[u8]) -> Result<Option<Bytes>, StorageError> {
        self.alive()?;
        Ok(lock(&self.store.0).rows.get(&(tree, key.to_vec())).map(Bytes::clone))
    }

    fn scan(&self, tree: Tree, scan: Scan<'_>) -> Result<Vec<(Vec<u8>, Bytes)>, StorageError> {
        self.visit(tree, scan)
    }

    fn scan_keys(&self, tree: Tree, scan: Scan<'_>) -> Result<Vec<Vec<u8>>, StorageError> {
        Ok(self.visit(tree, scan)?.into_iter().map(|(key, _)| key).collect())
    }

    fn commit(&self, expected: Head, batch: Batch) -> Result<Pending, CommitError> {
        fits_a_frame(body_len(&batch).map_err(CommitError::NotCommitted)?)?;
        self.alive().map_err(CommitError::NotCommitted)?;
        let mut kept = lock(&self.store.0);
        if kept.head != expected {
            return Err(CommitError::Conflict { actual: kept.head });
        }
        check_cut(&batch, kept.first, kept.head.entries).map_err(CommitError::NotCommitted)?;
        Self::disk("writing", FileOp::Write).map_err(|error| {
            self.poison(&error);
            CommitError::OutcomeUnknown(error)
        })?;
        kept.head.seq = kept.head.seq.saturating_add(1);
        kept.header_generation = kept.header_generation.max(batch.header_generation);
        while batch.cut.is_some_and(|cut| kept.first < cut) {
            kept.entries.pop_front();
            kept.first += 1;
        }
        for SealedEntry { bytes, subjects } in batch.entries {
            kept.head.entries = kept.head.entries.saturating_add(1);
            kept.entries.push_back(bytes.into());
            for subject in subjects {
                *kept.tallies.entry(subject).or_default() += 1;
            }
        }
        let seq = kept.head.seq;
        kept.waiting.push_back((seq, batch.writes));
        // Written, but nobody can say whether it stays: here it does.
        Self::disk("syncing", FileOp::Sync).map_err(|error| {
            self.poison(&error);
            CommitError::OutcomeUnknown(error)
        })?;
        Ok(Pending { seq })
    }

    fn settle(&self, pending: Pending) -> Result<(), StorageError> {
        self.alive()?;
        lock(&self.store.0).settle(pending.seq);
        Ok(())
    }

    fn tally(&self, subject: &[u8; 16]) -> u64 {
        lock(&self.store.0).tallies.get(subject).copied().unwrap_or(0)
    }

    fn first_entry(&self) -> u64 {
        lock(&self.store.0).first
    }

    fn entries(&self, from: u64, limit: usize) -> Result<Vec<(u64, Bytes)>, StorageError> {
        self.alive()?;
        let kept = lock(&self.store.0);
        let before = from.checked_sub(kept.first).ok_or(StorageError::Pruned { first: kept.first })?;
        let entries = (kept.first..).zip(kept.entries.iter());
        let skipped = entries.skip(usize::try_from(before).unwrap_or(usize::MAX));
        Ok(skipped.take(limit).map(|(seq, entry)| (seq, Bytes::clone(entry))).collect())
    }

    fn last_entry(&self) -> Option<Bytes> {
        lock(&self.store.0).entries.back().map(Bytes::clone)
    }

    fn checkpoint(&self) -> Result<(), StorageError> {
        self.alive()?;
        Self::disk("syncing", FileOp::Sync).inspect_err(|error| self.poison(error))?;
        lock(&self.store.0).settle(u64::MAX);
        Ok(())
    }

    fn close(&self) -> Result<(), StorageError> {
        let settled = self.checkpoint();
        *lock(&self.stop) = Some(String::new());
        settled?;
        lock(&self.store.0).clean = true;
        Ok(())
    }
}
