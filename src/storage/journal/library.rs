//! Finds a frame by its number, for values that live in the journal only.

use std::collections::{BTreeMap, VecDeque};
use std::ops::Bound;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use super::JournalId;
use super::base::Base;
use super::files::Files;
use super::segment::{FIRST_FRAME, Segment};
use crate::crypto::hash;
use crate::format::frame::{FrameHead, HEAD_LEN};
use crate::format::row::Pointer;
use crate::format::state::Place;
use crate::storage::file::StoredFile;
use crate::storage::{Bytes, StorageError, lock};

/// Bytes of journal between two frames whose places are remembered: some 2 MiB of memory for each GiB.
const STRIDE: u64 = 16 << 10;
/// Bytes read at a time on the way from one to a frame behind it. Not at once: the frame may be the one remembered.
const WALK: u64 = 16 << 10;
/// Segments kept open for reading.
const OPEN_FILES: usize = 32;

/// All segments by the number of their first frame, with some places in each, and the base before them.
pub(crate) struct Library {
    shelves: Mutex<BTreeMap<u64, Shelf>>,
    base: Mutex<Option<(Arc<Base>, Arc<StoredFile>)>>,
    open: Mutex<VecDeque<(u64, Arc<StoredFile>)>>,
}

/// Where a frame is to be looked for.
enum Near {
    Base(Arc<Base>, Arc<StoredFile>),
    /// In a segment, from frame `at` on, which starts at `offset`.
    Segment {
        number: u64,
        file: Arc<StoredFile>,
        at: u64,
        offset: u64,
    },
}

struct Shelf {
    number: u64,
    path: PathBuf,
    /// Frame number to offset, about one in each [`STRIDE`].
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
        let library = Self { shelves: Mutex::default(), base: Mutex::default(), open: Mutex::default() };
        segments.iter().for_each(|segment| library.add(segment));
        library
    }

    /// From now on the base stands for the segments that it covers; whoever reads one has it open.
    pub(crate) fn adopt(&self, base: &Arc<Base>) -> Result<(), StorageError> {
        let file = Arc::new(StoredFile::open(&base.path)?);
        let mut shelves = lock(&self.shelves);
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
        let shelf = Shelf { number: segment.header.number, path: segment.path.clone(), places };
        lock(&self.shelves).insert(segment.header.first_seq, shelf);
    }

    /// A segment that was removed before it held a frame.
    pub(crate) fn remove(&self, number: u64) {
        lock(&self.shelves).retain(|_, shelf| shelf.number != number);
        lock(&self.open).retain(|(open, _)| *open != number);
    }

    /// Remembers where a frame is, if it is far enough from the last one remembered.
    pub(crate) fn note(&self, place: Place) {
        let mut shelves = lock(&self.shelves);
        let Some((_, shelf)) = shelves.range_mut(..=place.seq).next_back() else { return };
        if shelf.number != place.segment {
            return;
        }
        let near = shelf.places.range(..=place.seq).next_back();
        if near.is_none_or(|(_, offset)| place.offset >= offset.saturating_add(STRIDE)) {
            shelf.places.insert(place.seq, place.offset);
        }
    }

    /// The value or entry that a pointer names. Its hash is checked.
    pub(crate) fn read(&self, id: &JournalId, pointer: &Pointer) -> Result<Bytes, StorageError> {
        let (file, frame, len) = match self.near(id, pointer.seq)? {
            Near::Base(base, file) => return base.read(&file, pointer),
            Near::Segment { number, file, at, offset } => self.find(pointer.seq, number, file, (at, offset))?,
        };
        let damaged = |what| StorageError::Damaged { segment: file.path().to_path_buf(), offset: frame, what };
        let end = u64::from(pointer.offset).saturating_add(pointer.len.into());
        let Some(value_len) = usize::try_from(pointer.len).ok().filter(|_| end <= len) else {
            return Err(damaged("a row points beyond its frame"));
        };
        let mut value = vec![0; value_len];
        file.read_at(&mut value, frame.saturating_add(pointer.offset.into()))?;
        if hash::sha256(&[&value]) != pointer.hash {
            return Err(damaged("a value that does not match the hash in its row"));
        }
        Ok(value.into())
    }

    /// Where to look for a frame. The file is opened under the lock: a compaction removes it only after taking it from
    /// its shelf.
    fn near(&self, id: &JournalId, seq: u64) -> Result<Near, StorageError> {
        let shelves = lock(&self.shelves);
        if let Some((base, file)) = &*lock(&self.base)
            && seq <= base.header.through.seq
        {
            return Ok(Near::Base(Arc::clone(base), Arc::clone(file)));
        }
        let near = shelves.range((Bound::Unbounded, Bound::Included(seq))).next_back().and_then(|(_, shelf)| {
            let (at, offset) = shelf.places.range(..=seq).next_back()?;
            Some((shelf.number, &shelf.path, *at, *offset))
        });
        let (number, path, at, offset) = near.ok_or_else(|| StorageError::Damaged {
            segment: id.dir.clone(),
            offset: 0,
            what: "a row points to a frame before the first segment",
        })?;
        Ok(Near::Segment { number, file: self.open(number, path)?, at, offset })
    }

    /// File, offset and length of a frame, looked for from frame `at` on.
    fn find(
        &self,
        seq: u64,
        number: u64,
        file: Arc<StoredFile>,
        (mut at, mut offset): (u64, u64),
    ) -> Result<(Arc<StoredFile>, u64, u64), StorageError> {
        let size = file.len()?;
        let mut window = Window { file: &file, size, start: 0, bytes: Vec::new() };
        let len = loop {
            let damaged = |what| StorageError::Damaged { segment: file.path().to_path_buf(), offset, what };
            let Some(head) = window.head(offset)? else {
                return Err(damaged("a row points to a frame that is not there"));
            };
            let head = FrameHead::parse(head).map_err(|error| damaged(error.0))?;
            let end = offset.saturating_add(u64::try_from(head.len).unwrap_or(u64::MAX));
            if head.seq != at || end > size {
                return Err(damaged("a frame out of its place"));
            }
            self.note(Place { seq: at, hash: [0; 32], segment: number, offset });
            if at == seq {
                break end - offset;
            }
            (at, offset) = (at + 1, end);
        };
        Ok((file, offset, len))
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
        let held = |bytes: &[u8], start| {
            let skip = usize::try_from(offset.checked_sub(start)?).ok()?;
            bytes.get(skip..)?.get(..HEAD_LEN).map(|_| skip)
        };
        if held(&self.bytes, self.start).is_none() {
            let least = u64::try_from(HEAD_LEN).unwrap_or(u64::MAX);
            // The first head may be the one looked for.
            let len = if self.bytes.is_empty() { least } else { WALK };
            let len = len.min(self.size.saturating_sub(offset));
            if len < least {
                return Ok(None);
            }
            self.bytes.resize(usize::try_from(len).unwrap_or(HEAD_LEN), 0);
            self.file.read_at(&mut self.bytes, offset)?;
            self.start = offset;
        }
        let skip = held(&self.bytes, self.start);
        Ok(skip.and_then(|skip| self.bytes.get(skip..)?.get(..HEAD_LEN)))
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
