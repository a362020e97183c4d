//! Finds a frame by its number, for values that live in the journal only.

use std::collections::{BTreeMap, VecDeque};
use std::ops::Bound;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use super::JournalId;
use super::base::Base;
use super::files::Files;
use super::guess;
use super::segment::{FIRST_FRAME, Segment};
use crate::crypto::hash;
use crate::format::frame::{self, FrameHead, HEAD_LEN};
use crate::format::row::Pointer;
use crate::format::state::Place;
use crate::storage::file::StoredFile;
use crate::storage::{Bytes, StorageError, lock};

/// Bytes of journal between two frames whose places are remembered: some 2 MiB of memory for each GiB, or 4 where all
/// frames are large.
const STRIDE: u64 = 16 << 10;
/// A frame of so many bytes is remembered wherever it is: it holds many values.
const LARGE: u64 = 8 << 10;
/// Bytes read at a time on the way from one to a frame behind it.
const WALK: u64 = 16 << 10;
/// Segments kept open for reading.
const OPEN_FILES: usize = 32;

/// All segments by the number of their first frame, with some places in each, and the base before them.
pub(crate) struct Library {
    shelves: RwLock<Shelves>,
    base: Mutex<Option<(Arc<Base>, Arc<StoredFile>)>>,
    open: Mutex<VecDeque<(u64, Arc<StoredFile>)>>,
}

/// By the number of each segment's first frame.
type Shelves = BTreeMap<u64, Shelf>;

/// Where a frame is to be looked for.
enum Near {
    Base(Arc<Base>, Arc<StoredFile>),
    Segment(Spot),
}

/// In a segment, from frame `at` on, which starts at `offset`.
#[derive(Clone)]
struct Spot {
    number: u64,
    file: Arc<StoredFile>,
    size: u64,
    at: u64,
    offset: u64,
    /// Whether the frame only seems to start there.
    guessed: bool,
}

struct Shelf {
    number: u64,
    path: PathBuf,
    /// Bytes of the file.
    size: u64,
    /// Frame number to offset: about one in each [`STRIDE`], and large frames.
    places: BTreeMap<u64, u64>,
}

impl Library {
    pub(crate) fn new(files: &Files) -> Result<Self, StorageError> {
        let library = Self::of(&files.segments);
        if let Some(base) = &files.base {
            library.adopt(base)?;
        }
        Ok(library)
    }

    /// Of segments alone.
    pub(crate) fn of(segments: &[Segment]) -> Self {
        let library = Self { shelves: RwLock::default(), base: Mutex::default(), open: Mutex::default() };
        segments.iter().for_each(|segment| library.add(segment));
        library
    }

    /// From now on the base stands for the segments that it covers; whoever reads one has it open.
    pub(crate) fn adopt(&self, base: &Arc<Base>) -> Result<(), StorageError> {
        let file = Arc::new(StoredFile::open(&base.path)?);
        let mut shelves = self.change();
        *lock(&self.base) = Some((Arc::clone(base), file));
        let covered = base.header.through.segment;
        shelves.retain(|_, shelf| shelf.number > covered);
        lock(&self.open).retain(|(number, _)| *number > covered);
        Ok(())
    }

    /// The base that stands for the oldest segments, if there is one.
    pub(crate) fn base(&self) -> Option<Arc<Base>> {
        lock(&self.base).as_ref().map(|(base, _)| Arc::clone(base))
    }

    /// A new segment.
    pub(crate) fn add(&self, segment: &Segment) {
        let places = BTreeMap::from([(segment.header.first_seq, FIRST_FRAME)]);
        let size = segment.header.size;
        let shelf = Shelf { number: segment.header.number, path: segment.path.clone(), size, places };
        self.change().insert(segment.header.first_seq, shelf);
    }

    /// A segment that was removed before it held a frame.
    pub(crate) fn remove(&self, number: u64) {
        self.change().retain(|_, shelf| shelf.number != number);
        lock(&self.open).retain(|(open, _)| *open != number);
    }

    /// Remembers where a frame of `len` bytes is, if it is large, or far enough from the last one remembered.
    pub(crate) fn note(&self, place: Place, len: u64) {
        if !self.shelves().range(..=place.seq).next_back().is_some_and(|(_, shelf)| shelf.lacks(place, len)) {
            return;
        }
        if let Some((_, shelf)) = self.change().range_mut(..=place.seq).next_back()
            && shelf.lacks(place, len)
        {
            shelf.places.insert(place.seq, place.offset);
        }
    }

    /// The value or entry that a pointer names. Its hash is checked.
    pub(crate) fn read(&self, id: &JournalId, pointer: &Pointer) -> Result<Bytes, StorageError> {
        match self.near(id, pointer.seq)? {
            Near::Base(base, file) => base.read(&file, pointer),
            Near::Segment(spot) => {
                if spot.at == pointer.seq
                    && let Some(value) = value_at(&spot.file, spot.offset, pointer)
                {
                    return Ok(value);
                }
                // A guess is good if it leads to the value; if not, the way there is walked from a place that is known.
                let near = guess::near(&spot.file, spot.size, (spot.at, spot.offset), pointer.seq);
                let guessed = near.and_then(|(at, offset)| {
                    self.find(pointer, &Spot { at, offset, guessed: true, ..spot.clone() }).ok()
                });
                guessed.map_or_else(|| self.find(pointer, &spot), Ok)
            }
        }
    }

    /// What is read from now on comes from the files.
    pub(crate) fn forget_frames(&self) {
        if let Some((base, _)) = &*lock(&self.base) {
            base.forget_frames();
        }
    }

    fn shelves(&self) -> RwLockReadGuard<'_, Shelves> {
        self.shelves.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn change(&self) -> RwLockWriteGuard<'_, Shelves> {
        self.shelves.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// Where to look for a frame. The file is opened under the lock: a compaction removes it only after taking it from
    /// its shelf.
    fn near(&self, id: &JournalId, seq: u64) -> Result<Near, StorageError> {
        let shelves = self.shelves();
        if let Some((base, file)) = &*lock(&self.base)
            && seq <= base.header.through.seq
        {
            return Ok(Near::Base(Arc::clone(base), Arc::clone(file)));
        }
        let near = shelves.range((Bound::Unbounded, Bound::Included(seq))).next_back().and_then(|(_, shelf)| {
            let (at, offset) = shelf.places.range(..=seq).next_back()?;
            Some((shelf, *at, *offset))
        });
        let (shelf, at, offset) = near.ok_or_else(|| StorageError::Damaged {
            segment: id.dir.clone(),
            offset: 0,
            what: "a row points to a frame before the first segment",
        })?;
        let file = self.open(shelf.number, &shelf.path)?;
        Ok(Near::Segment(Spot { number: shelf.number, file, size: shelf.size, at, offset, guessed: false }))
    }

    /// The value that a pointer names, in a frame looked for from a spot on.
    fn find(&self, pointer: &Pointer, spot: &Spot) -> Result<Bytes, StorageError> {
        let (file, size) = (&*spot.file, spot.size);
        let (mut at, mut offset, mut passed) = (spot.at, spot.offset, Vec::new());
        let mut window = Window { file, size, start: 0, bytes: Vec::new() };
        loop {
            let damaged = |what| StorageError::Damaged { segment: file.path().to_path_buf(), offset, what };
            let Some(head) = window.head(offset)? else {
                return Err(damaged("a row points to a frame that is not there"));
            };
            let head = FrameHead::parse(head).map_err(|error| damaged(error.0))?;
            let len = u64::try_from(head.len).unwrap_or(u64::MAX);
            let end = offset.saturating_add(len);
            if head.seq != at || end > size {
                return Err(damaged("a frame out of its place"));
            }
            passed.push((Place { seq: at, hash: [0; 32], segment: spot.number, offset }, len));
            if at < pointer.seq {
                (at, offset) = (at + 1, end);
                continue;
            }
            if u64::from(pointer.offset).saturating_add(pointer.len.into()) > len {
                return Err(damaged("a row points beyond its frame"));
            }
            let value = match window.slice(offset.saturating_add(pointer.offset.into()), pointer.len) {
                Some(value) => value.into(),
                None => bytes_at(file, offset, pointer).map_err(|error| match file.len() {
                    Ok(len) if len < size => damaged("a row points beyond the end of a file that was cut"),
                    _ => error,
                })?,
            };
            if hash::sha256(&[&value]) != pointer.hash {
                return Err(damaged("a value that does not match the hash in its row"));
            }
            // Of a way that began with a guess only the end is known to be right.
            let known = if spot.guessed { passed.len().saturating_sub(1) } else { 0 };
            passed.into_iter().skip(known).for_each(|(place, len)| self.note(place, len));
            return Ok(value);
        }
    }

    fn open(&self, number: u64, path: &Path) -> Result<Arc<StoredFile>, StorageError> {
        let mut open = lock(&self.open);
        if let Some((_, file)) = open.iter().find(|(of, _)| *of == number) {
            return Ok(Arc::clone(file));
        }
        let file = Arc::new(StoredFile::open(path)?);
        if open.len() >= OPEN_FILES {
            open.pop_front();
        }
        open.push_back((number, Arc::clone(&file)));
        Ok(file)
    }
}

impl Shelf {
    /// Whether the place of a frame is worth remembering, and is not.
    fn lacks(&self, place: Place, len: u64) -> bool {
        let near = self.places.range(..=place.seq).next_back();
        let far = |(seq, offset): (&u64, &u64)| {
            place.offset >= offset.saturating_add(STRIDE) || (len >= LARGE && *seq != place.seq)
        };
        self.number == place.segment && near.is_none_or(far)
    }
}

/// A value in a frame whose place is known: the hash says whether these are its bytes. Where they are not, or cannot be read,
/// a closer look at the frame says why.
fn value_at(file: &StoredFile, frame: u64, pointer: &Pointer) -> Option<Bytes> {
    if u64::from(pointer.len) > u64::try_from(frame::MAX_LEN).unwrap_or(u64::MAX) {
        return None;
    }
    let value = bytes_at(file, frame, pointer).ok()?;
    (hash::sha256(&[&value]) == pointer.hash).then_some(value)
}

fn bytes_at(file: &StoredFile, frame: u64, pointer: &Pointer) -> Result<Bytes, StorageError> {
    let len = usize::try_from(pointer.len).unwrap_or(usize::MAX);
    let mut value: Bytes = std::iter::repeat_n(0, len).collect();
    if let Some(into) = Arc::get_mut(&mut value) {
        file.read_at(into, frame.saturating_add(pointer.offset.into()))?;
    }
    Ok(value)
}

/// Reads the heads of frames that stand one behind the other.
struct Window<'f> {
    file: &'f StoredFile,
    size: u64,
    start: u64,
    bytes: Vec<u8>,
}

impl Window<'_> {
    /// The head of the frame at `offset`; nothing where the file ends before it does.
    fn head(&mut self, offset: u64) -> Result<Option<&[u8]>, StorageError> {
        let head = u32::try_from(HEAD_LEN).unwrap_or(u32::MAX);
        if self.slice(offset, head).is_none() {
            let len = WALK.min(self.size.saturating_sub(offset));
            if len < head.into() {
                return Ok(None);
            }
            self.bytes.resize(usize::try_from(len).unwrap_or(HEAD_LEN), 0);
            self.start = offset;
            if let Err(error) = self.file.read_at(&mut self.bytes, offset) {
                self.bytes.clear();
                let size = self.file.len()?;
                if size >= self.size {
                    return Err(error);
                }
                // It was cut: what is left of it is as good as before.
                self.size = size;
                return self.head(offset);
            }
        }
        Ok(self.slice(offset, head))
    }

    /// Bytes that were read on the way.
    fn slice(&self, offset: u64, len: u32) -> Option<&[u8]> {
        let skip = usize::try_from(offset.checked_sub(self.start)?).ok()?;
        self.bytes.get(skip..)?.get(..usize::try_from(len).ok()?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::storage::Storage;
    use crate::storage::tests::{create, put};

    #[test]
    fn a_value_is_found_behind_small_and_large_frames_wherever_the_walk_begins() {
        let dir = tempfile::tempdir().unwrap();
        let storage = create(dir.path());
        let value = |key: u8| vec![key; if key.is_multiple_of(9) { 40_000 } else { 5_000 }];
        for key in 0..60_u8 {
            put(&storage, &[(&[key], Some(&value(key)))], vec![]);
            // Smaller than what is read at a time.
            for filler in 0..5 {
                put(&storage, &[(&[key, filler], Some(b"in the trees"))], vec![]);
            }
        }
        for key in (0..60_u8).rev().chain(0..60) {
            let found = storage.get(crate::storage::Tree::Records, &[key]).unwrap().unwrap();
            assert!(found[..] == value(key)[..], "{key}");
        }
    }

    #[test]
    fn heads_are_read_up_to_the_end_of_the_file_and_not_beyond() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file");
        let len = usize::try_from(WALK).unwrap() + 100;
        let bytes: Vec<u8> = (0..=250_u8).cycle().take(len).collect();
        std::fs::write(&path, &bytes).unwrap();
        let (file, size) = (StoredFile::open(&path).unwrap(), u64::try_from(len).unwrap());
        let mut window = Window { file: &file, size, start: 0, bytes: Vec::new() };
        for offset in [0, 7, 40, len - HEAD_LEN, 3, len - HEAD_LEN - 1] {
            let head = window.head(u64::try_from(offset).unwrap()).unwrap();
            assert_eq!(head, Some(&bytes[offset..offset + HEAD_LEN]), "{offset}");
        }
        assert_eq!(window.head(size - 23).unwrap(), None);
        assert_eq!(window.head(size + 1).unwrap(), None);
    }
}
