//! Segment files: made of zeros ahead of need, put in place under a header, found again in order.

use std::path::PathBuf;

use super::JournalId;
use crate::format::segment::{FORMAT, HEADER_LEN, SegmentError, SegmentHeader};
use crate::storage::StorageError;
use crate::storage::file::{self, StoredFile};

/// Where the first frame of a segment starts.
pub(crate) const FIRST_FRAME: u64 = 512;
const _: () = assert!(HEADER_LEN == 512);

/// A segment that is in place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Segment {
    pub(crate) path: PathBuf,
    pub(crate) header: SegmentHeader,
}

impl Segment {
    pub(crate) fn damaged(&self, offset: u64, what: &'static str) -> StorageError {
        StorageError::Damaged { segment: self.path.clone(), offset, what }
    }
}

/// Makes a file of `size` zeros under the successor's temporary name, all of it durable.
pub(crate) fn make_blank(id: &JournalId, size: u64) -> Result<StoredFile, StorageError> {
    let path = id.successor_path();
    let made = StoredFile::create(&path).and_then(|blank| {
        blank.set_len(0)?;
        blank.write_zeros(0, size)?;
        blank.sync_all()?;
        Ok(blank)
    });
    if made.is_err() {
        // Gives back the space; if even that fails, the next attempt or opening removes it.
        let _ = file::remove(&path);
    }
    made
}

/// Writes the header into a blank file and gives it its name. Durable, name included, on return.
pub(crate) fn put_in_place(
    id: &JournalId,
    blank: &StoredFile,
    header: SegmentHeader,
) -> Result<(StoredFile, Segment), StorageError> {
    blank.write_at(&header.encode(), 0)?;
    blank.sync_all()?;
    let path = id.segment_path(header.number);
    file::rename(blank.path(), &path)?;
    Ok((StoredFile::open_to_write(&path)?, Segment { path, header }))
}

/// A segment whose header was checked.
pub(crate) fn read(id: &JournalId, number: u64, path: PathBuf) -> Result<Segment, StorageError> {
    let damaged = |offset, what| StorageError::Damaged { segment: path.clone(), offset, what };
    let file = StoredFile::open(&path)?;
    let len = file.len()?;
    let mut bytes = [0; HEADER_LEN];
    if len < FIRST_FRAME {
        return Err(damaged(len, "a segment shorter than its header"));
    }
    file.read_at(&mut bytes, 0)?;
    let header = SegmentHeader::parse(&bytes).map_err(|error| match error {
        SegmentError::Damaged(what) => damaged(0, what),
        SegmentError::UnknownFormat(found) => StorageError::UnknownFormat { path: path.clone(), found, newest: FORMAT },
    })?;
    if header.vault != id.vault {
        return Err(StorageError::OtherVault { path });
    }
    if header.number != number {
        return Err(damaged(0, "a segment under another one's name"));
    }
    if header.size != len {
        return Err(damaged(len.min(header.size), "a segment that does not have the size its header says"));
    }
    Ok(Segment { path, header })
}
