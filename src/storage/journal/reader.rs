//! Reads the frames of one segment, front to back, through a window of memory.

use std::path::Path;

use super::segment::Segment;
use crate::format::frame::{BASE_MAX_LEN, FrameError, FrameHead, HEAD_LEN, MAX_LEN};
use crate::storage::StorageError;
use crate::storage::file::StoredFile;

/// Bytes read at a time; a longer frame takes more.
const WINDOW: u64 = 256 << 10;

/// A window onto a segment.
pub(crate) struct SegmentReader {
    file: StoredFile,
    size: u64,
    /// No frame may be longer.
    limit: usize,
    window: Vec<u8>,
    start: u64,
}

impl SegmentReader {
    pub(crate) fn open(segment: &Segment) -> Result<Self, StorageError> {
        let file = StoredFile::open(&segment.path)?;
        Ok(Self { file, size: segment.header.size, limit: MAX_LEN, window: Vec::new(), start: 0 })
    }

    /// As long as the file is.
    pub(crate) fn over(path: &Path) -> Result<Self, StorageError> {
        let file = StoredFile::open(path)?;
        Ok(Self { size: file.len()?, file, limit: MAX_LEN, window: Vec::new(), start: 0 })
    }

    /// Over a base of `size` bytes.
    pub(crate) fn over_base(path: &Path, size: u64) -> Result<Self, StorageError> {
        let file = StoredFile::open(path)?;
        Ok(Self { size, file, limit: BASE_MAX_LEN, window: Vec::new(), start: 0 })
    }

    /// The bytes of the frame that starts at `offset`, as far as its head says; not verified.
    pub(crate) fn frame_at(&mut self, offset: u64) -> Result<Result<&[u8], FrameError>, StorageError> {
        let limit = self.limit;
        let Some(head) = self.bytes(offset, HEAD_LEN)? else {
            return Ok(Err(FrameError("no room for a frame")));
        };
        let len = match FrameHead::parse_within(head, limit) {
            Ok(head) => head.len,
            Err(error) => return Ok(Err(error)),
        };
        Ok(self.bytes(offset, len)?.ok_or(FrameError("a frame that leaves its segment")))
    }

    /// `len` bytes from `offset` on; nothing if the segment ends before.
    pub(crate) fn bytes(&mut self, offset: u64, len: usize) -> Result<Option<&[u8]>, StorageError> {
        let wanted = u64::try_from(len).unwrap_or(u64::MAX);
        if offset.saturating_add(wanted) > self.size {
            return Ok(None);
        }
        let loaded = u64::try_from(self.window.len()).unwrap_or(u64::MAX);
        if offset < self.start || offset.saturating_add(wanted) > self.start.saturating_add(loaded) {
            let take = wanted.max(WINDOW).min(self.size - offset);
            self.window.clear();
            self.window.resize(usize::try_from(take).unwrap_or(len), 0);
            self.file.read_at(&mut self.window, offset)?;
            self.start = offset;
        }
        let from = usize::try_from(offset - self.start).unwrap_or(usize::MAX);
        Ok(self.window.get(from..).and_then(|rest| rest.get(..len)))
    }

    pub(crate) fn size(&self) -> u64 {
        self.size
    }
}
