//! Appends frames: one write and one sync each, into a segment that was filled with zeros beforehand.

use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use super::JournalId;
use super::library::Library;
use super::segment::{self, FIRST_FRAME, Segment};
use crate::bytes::TooLong;
use crate::format::frame::{self, FrameKind, FrameWriter, Link, MAX_LEN, SEAL_LEN};
use crate::format::segment::SegmentHeader;
use crate::format::state::Place;
use crate::observe;
use crate::storage::file::{self, StoredFile};
use crate::storage::{StorageError, StorageOptions};

/// Room that is kept for the seal at the end of each segment.
const SEAL_ROOM: u64 = 152;
const _: () = assert!(SEAL_LEN == 152);

/// At the end of each segment this much at most is for commits of entries alone, where no successor can be made; a
/// quarter of smaller segments.
const RESERVE_MOST: u64 = 4 << 20;
/// How long to wait after a successor could not be made, before trying again unasked.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// Bytes that can be appended without asking the file system for more.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Room {
    /// In this segment.
    pub(crate) here: u64,
    /// Of these, for entries alone.
    pub(crate) reserve: u64,
    /// In a successor that is ready.
    pub(crate) blank: u64,
}

impl Room {
    pub(crate) const fn takes(&self, len: u64, entries_only: bool) -> bool {
        let reserve = if entries_only { 0 } else { self.reserve };
        len <= self.blank || len.saturating_add(reserve) <= self.here
    }
}

/// How far an append came before it failed.
#[derive(Debug)]
pub(crate) enum AppendError {
    /// Nothing was written, and the journal can go on.
    Refused(StorageError),
    /// The batch was not written, but the journal cannot go on.
    Stuck(StorageError),
    /// The frame may or may not be on the disk; the journal cannot go on.
    Unknown(StorageError),
}

/// The only place that writes to the journal. Owned by whoever holds the order lock.
pub(crate) struct Writer {
    id: JournalId,
    first_size: u64,
    max_size: u64,
    file: StoredFile,
    segment: Segment,
    next: u64,
    tip: Place,
    successor: Option<JoinHandle<Result<StoredFile, StorageError>>>,
    /// A successor that was made ahead.
    ready: Option<StoredFile>,
    /// When making one failed last.
    failed: Option<Instant>,
    /// Free bytes that making one must leave.
    keep_free: u64,
    buffer: Vec<u8>,
}

impl Writer {
    /// Starts a journal: its first segment, empty.
    pub(crate) fn create(id: JournalId, options: &StorageOptions) -> Result<(Self, Segment), StorageError> {
        let size = options.segment_first.clamp(4096, options.segment_max.max(4096));
        let blank = segment::make_blank(&id, size)?;
        let header = SegmentHeader { vault: id.vault, number: 1, first_seq: 1, previous: [0; 32], size };
        let (file, segment) = segment::put_in_place(&id, &blank, header)?;
        Ok((Self::resume(id, options, file, segment.clone(), FIRST_FRAME, Place::default()), segment))
    }

    /// Goes on behind `tip`.
    pub(crate) fn resume(
        id: JournalId,
        options: &StorageOptions,
        file: StoredFile,
        segment: Segment,
        next: u64,
        tip: Place,
    ) -> Self {
        let (first_size, max_size, keep_free) = (options.segment_first, options.segment_max, options.keep_free);
        let (successor, ready, failed, buffer) = (None, None, None, Vec::new());
        Self { id, first_size, max_size, file, segment, next, tip, successor, ready, failed, keep_free, buffer }
    }

    /// Appends one commit, whose writes and entries take `body` bytes. Durable on return.
    pub(crate) fn append(
        &mut self,
        library: &Library,
        header_generation: u64,
        body: usize,
        writes: usize,
        fill: impl FnOnce(&mut FrameWriter<'_>) -> Result<(), TooLong>,
    ) -> Result<Place, AppendError> {
        let too_large = StorageError::BatchTooLarge { len: to_u64(body), limit: to_u64(MAX_LEN) };
        if body > MAX_LEN || frame::frame_len(body) > MAX_LEN {
            return Err(AppendError::Refused(too_large));
        }
        let len = to_u64(frame::frame_len(body));
        if self.next.saturating_add(len).saturating_add(SEAL_ROOM) > self.segment.header.size {
            self.roll(library, len, header_generation)?;
        }
        let link = Link {
            seq: self.tip.seq.saturating_add(1),
            previous: self.tip.hash,
            header_generation,
            kind: FrameKind::Commit,
        };
        let hash = FrameWriter::new(&mut self.buffer, &link, body, writes)
            .and_then(|mut writer| {
                fill(&mut writer)?;
                writer.finish(&self.id.key)
            })
            .map_err(|_| AppendError::Refused(StorageError::Refused { why: "a key, value or entry is too long" }))?;
        self.file.write_at(&self.buffer, self.next).map_err(AppendError::Unknown)?;
        self.file.sync_data().map_err(AppendError::Unknown)?;
        self.tip = Place { seq: link.seq, hash, segment: self.segment.header.number, offset: self.next };
        self.next = self.next.saturating_add(len);
        library.note(self.tip, len);
        self.prepare_successor();
        Ok(self.tip)
    }

    /// The last frame, which may be a seal.
    pub(crate) fn tip(&self) -> Place {
        self.tip
    }

    /// The segment that the next frame goes to, and where it would start.
    pub(crate) fn next(&self) -> (u64, u64) {
        (self.segment.header.number, self.next)
    }

    /// The segment that the next frame goes to, by its number, and where.
    #[cfg(feature = "backup")]
    pub(crate) fn next_place(&self) -> (u64, u64) {
        (self.segment.header.number, self.next)
    }

    /// Number and hash of the seal of the last closed segment; number 0 if there is none.
    pub(crate) fn last_seal(&self) -> (u64, [u8; 32]) {
        (self.segment.header.first_seq.saturating_sub(1), self.segment.header.previous)
    }

    /// Ends this segment, unless it is empty, and starts the next.
    pub(crate) fn close_segment(&mut self, library: &Library, header_generation: u64) -> Result<(), AppendError> {
        if self.next == FIRST_FRAME { Ok(()) } else { self.roll(library, 0, header_generation) }
    }

    /// Ends this segment and starts the next, with room for a frame of `len` bytes. The successor is in place, and
    /// durable, before the seal is written.
    fn roll(&mut self, library: &Library, len: u64, header_generation: u64) -> Result<(), AppendError> {
        let needed = FIRST_FRAME.saturating_add(len).saturating_add(SEAL_ROOM).next_multiple_of(4096);
        let blank = self.blank(needed).map_err(AppendError::Refused)?;
        let size = blank.len().map_err(AppendError::Refused)?;
        let seal_seq = self.tip.seq.saturating_add(1);
        let (seal, hash) = frame::seal_frame(seal_seq, self.tip.hash, header_generation, &self.id.key);
        let header = SegmentHeader {
            vault: self.id.vault,
            number: self.segment.header.number.saturating_add(1),
            first_seq: seal_seq.saturating_add(1),
            previous: hash,
            size,
        };
        let (file, segment) = segment::put_in_place(&self.id, &blank, header).map_err(AppendError::Stuck)?;
        self.file.write_at(&seal, self.next).map_err(AppendError::Stuck)?;
        self.file.sync_data().map_err(AppendError::Stuck)?;
        self.tip = Place { seq: seal_seq, hash, segment: self.segment.header.number, offset: self.next };
        library.add(&segment);
        (self.file, self.segment, self.next) = (file, segment, FIRST_FRAME);
        observe::rolled(size);
        Ok(())
    }

    /// The successor that was made ahead, or else one made now.
    fn blank(&mut self, needed: u64) -> Result<StoredFile, StorageError> {
        self.collect(true);
        if self.ready.as_ref().is_some_and(|blank| blank.len().is_ok_and(|len| len >= needed))
            && let Some(blank) = self.ready.take()
        {
            return Ok(blank);
        }
        let size = self.next_size().max(needed);
        // One that is too small is kept where there is no space for a larger one; both have the same name.
        self.check_space(size)?;
        self.ready = None;
        segment::make_blank(&self.id, size)
    }

    /// Takes over the successor that another thread made; waits for it if asked to.
    fn collect(&mut self, wait: bool) {
        if !wait && self.successor.as_ref().is_some_and(|thread| !thread.is_finished()) {
            return;
        }
        match self.successor.take().map(JoinHandle::join) {
            None => {}
            Some(Ok(Ok(blank))) => self.ready = Some(blank),
            Some(_) => self.failed = Some(Instant::now()),
        }
    }

    /// What can be appended for certain: into this segment, and into the successor that is ready.
    pub(crate) fn room(&mut self) -> Room {
        self.collect(false);
        let used = self.next.saturating_add(SEAL_ROOM);
        let blank = self.ready.as_ref().and_then(|blank| blank.len().ok()).unwrap_or(0);
        let reserve = (self.segment.header.size / 4).min(RESERVE_MOST);
        let here = self.segment.header.size.saturating_sub(used);
        Room { here, reserve, blank: blank.saturating_sub(FIRST_FRAME + SEAL_ROOM) }
    }

    /// Makes a successor that takes `len` bytes, if there is none yet.
    pub(crate) fn make_room(&mut self, len: u64) -> Result<(), StorageError> {
        let needed = FIRST_FRAME.saturating_add(len).saturating_add(SEAL_ROOM).next_multiple_of(4096);
        self.ready = Some(self.blank(needed)?);
        Ok(())
    }

    fn check_space(&self, size: u64) -> Result<(), StorageError> {
        match file::free_bytes(&self.id.dir) {
            Some(free) if free < size.saturating_add(self.keep_free) => {
                Err(StorageError::DiskFull { path: self.id.successor_path() })
            }
            _ => Ok(()),
        }
    }

    fn next_size(&self) -> u64 {
        self.segment.header.size.saturating_mul(2).max(self.first_size).min(self.max_size).max(4096)
    }

    /// Has the next segment made by another thread once this one is half full. If that fails it is made when needed.
    fn prepare_successor(&mut self) {
        self.collect(false);
        let tried = self.failed.is_some_and(|failed| failed.elapsed() < RETRY_AFTER);
        let none = self.successor.is_none() && self.ready.is_none();
        if none && !tried && self.next > self.segment.header.size / 2 {
            if self.check_space(self.next_size()).is_err() {
                self.failed = Some(Instant::now());
                return;
            }
            let (id, size) = (self.id.clone(), self.next_size());
            self.successor = thread::Builder::new()
                .name("chartvault-segment".into())
                .spawn(move || segment::make_blank(&id, size))
                .ok();
        }
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.collect(true);
        if let Some(blank) = self.ready.take() {
            // Opening removes it otherwise.
            let _ = file::remove(blank.path());
        }
    }
}

fn to_u64(len: usize) -> u64 {
    u64::try_from(len).unwrap_or(u64::MAX)
}
