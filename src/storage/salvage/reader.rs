//! Reads a damaged file: what the disk does not give counts as zeros, and behind what is no frame the next one is looked
//! for.

use std::path::Path;

use crate::crypto::hash::HmacKey;
use crate::format::frame::{BASE_MAX_LEN, Frame, FrameHead, HEAD_LEN, MAGIC};
use crate::storage::StorageError;
use crate::storage::file::StoredFile;

const WINDOW: usize = 256 << 10;
/// What a disk gives or does not give at once.
const BLOCK: usize = 4 << 10;
/// Bytes that may be hashed in vain, beside a multiple of the file's length: bytes can be made to keep us busy.
const VAIN: u64 = 64 << 20;

/// A window onto a damaged file.
pub(super) struct Reader {
    file: StoredFile,
    pub(super) size: u64,
    window: Vec<u8>,
    start: u64,
    vain: u64,
    /// Where the disk gave nothing, first.
    pub(super) unreadable: Option<u64>,
}

/// What stands at a place.
pub(super) enum Next {
    /// A genuine frame of so many bytes; [`Reader::bytes`] has it.
    Frame { offset: u64, len: usize },
    /// Nothing more; whether anything but zeros was passed.
    End { nonzero: bool },
}

impl Reader {
    pub(super) fn open(path: &Path) -> Result<Self, StorageError> {
        let file = StoredFile::open(path)?;
        let size = file.len()?;
        let vain = size.saturating_mul(4).saturating_add(VAIN);
        Ok(Self { file, size, window: Vec::new(), start: 0, vain, unreadable: None })
    }

    /// `len` bytes, as many as there are.
    pub(super) fn bytes(&mut self, offset: u64, len: usize) -> &[u8] {
        let there = usize::try_from(self.size.saturating_sub(offset)).unwrap_or(usize::MAX);
        let wanted = len.min(there);
        let at = offset.checked_sub(self.start).and_then(|at| usize::try_from(at).ok());
        let inside = at.is_some_and(|at| at.saturating_add(wanted) <= self.window.len());
        if !inside {
            self.load(offset, wanted.max(WINDOW).min(there));
        }
        let at = usize::try_from(offset.saturating_sub(self.start)).unwrap_or(usize::MAX);
        self.window.get(at..).and_then(|rest| rest.get(..wanted)).unwrap_or_default()
    }

    fn load(&mut self, offset: u64, len: usize) {
        self.window.clear();
        self.window.resize(len, 0);
        self.start = offset;
        if self.file.read_at(&mut self.window, offset).is_ok() {
            return;
        }
        let mut at = offset;
        for block in self.window.chunks_mut(BLOCK) {
            if self.file.read_at(block, at).is_err() {
                block.fill(0);
                self.unreadable.get_or_insert(at);
            }
            at = at.saturating_add(u64::try_from(block.len()).unwrap_or(0));
        }
    }

    /// The first genuine frame at `from` or at a multiple of eight bytes behind it.
    pub(super) fn next(&mut self, from: u64, key: &HmacKey) -> Next {
        let (mut at, mut nonzero) = (from, false);
        loop {
            match self.magic(at, &mut nonzero) {
                None => return Next::End { nonzero },
                Some(offset) => at = offset,
            }
            let head = FrameHead::parse_within(self.bytes(at, HEAD_LEN), BASE_MAX_LEN).ok();
            if let Some(head) = head {
                let len = u64::try_from(head.len).unwrap_or(u64::MAX);
                if len > self.vain {
                    return Next::End { nonzero: true };
                }
                if Frame::parse(self.bytes(at, head.len), key).is_ok() {
                    return Next::Frame { offset: at, len: head.len };
                }
                self.vain -= len;
            }
            nonzero = true;
            at = at.saturating_add(8);
        }
    }

    /// Where the next magic of a frame stands.
    fn magic(&mut self, from: u64, nonzero: &mut bool) -> Option<u64> {
        let mut at = from;
        while at < self.size {
            let chunk = self.bytes(at, 64 << 10);
            let len = u64::try_from(chunk.len()).unwrap_or(0);
            for (word, offset) in chunk.chunks(8).zip((at..).step_by(8)) {
                if word.starts_with(&MAGIC) {
                    return Some(offset);
                }
                *nonzero |= word.iter().any(|byte| *byte != 0);
            }
            at = at.saturating_add(len.max(1));
        }
        None
    }
}
