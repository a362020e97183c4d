//! The journal as it is durable at one moment, with its files open: what is compacted meanwhile can still be read.

use super::{JournalFile, Part};
use crate::format::frame::{FrameHead, HEAD_LEN};
use crate::format::state::Place;
use crate::storage::StorageError;
use crate::storage::file::StoredFile;

/// The journal up to its last frame.
pub(crate) struct Shipment {
    /// The base, if there is one, and the segments behind it, in order.
    pub(crate) files: Vec<ShipFile>,
    /// The last frame.
    pub(crate) tip: Place,
    /// Audit entries through that frame.
    pub(crate) entries: u64,
    /// Number of the oldest that is kept.
    pub(crate) first_entry: u64,
}

/// One of its files.
pub(crate) struct ShipFile {
    /// The durable part of it, from its first byte on.
    pub(crate) part: Part,
    file: StoredFile,
}

impl ShipFile {
    pub(crate) fn new(file: JournalFile, stored: StoredFile, len: u64) -> Result<Self, StorageError> {
        let size = stored.len()?;
        Ok(Self { part: Part { file, size, offset: 0, len }, file: stored })
    }

    /// The bytes of a part of it.
    pub(crate) fn read(&self, part: &Part) -> Result<Vec<u8>, StorageError> {
        let mut bytes = vec![0; usize::try_from(part.len).unwrap_or(usize::MAX)];
        self.file.read_at(&mut bytes, part.offset)?;
        Ok(bytes)
    }
}

impl Shipment {
    /// Bytes of all files.
    pub(crate) fn bytes(&self) -> u64 {
        self.files.iter().map(|file| file.part.len).sum()
    }
}

impl ShipFile {
    /// Whether the frame at `offset` goes on from another one; nothing where no frame stands there yet.
    pub(crate) fn follows(&self, offset: u64, (seq, hash): (u64, &[u8; 32])) -> Result<Option<bool>, StorageError> {
        const LINK: usize = HEAD_LEN + 32;
        if offset.saturating_add(u64::try_from(LINK).unwrap_or(u64::MAX)) > self.part.len {
            return Ok(None);
        }
        let mut bytes = [0; LINK];
        self.file.read_at(&mut bytes, offset)?;
        let is_next = FrameHead::parse(&bytes).is_ok_and(|head| head.seq == seq.saturating_add(1));
        Ok(Some(is_next && bytes.ends_with(hash)))
    }
}
