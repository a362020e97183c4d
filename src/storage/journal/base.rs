//! A base in place: opened by its ends, read at one place for a kept value, or walked as a whole.

use std::path::PathBuf;
use std::sync::Arc;

use super::JournalId;
use super::base_frames::{Frames, OpenFrame};
use super::reader::SegmentReader;
use crate::crypto::hash::{self, HmacKey};
use crate::format::base::{self, BaseHeader, BaseSeal, FORMAT, HEADER_LEN, Item, Origin, SEAL_LEN, Signpost};
use crate::format::digest::{self, Digest};
use crate::format::frame::{BASE_MAX_LEN, Frame, FrameError};
use crate::format::row::Pointer;
use crate::format::segment::SegmentError;
use crate::storage::file::StoredFile;
use crate::storage::{Bytes, StorageError};

/// Where the first frame starts.
pub(super) const FIRST_FRAME: u64 = 512;
const _: () = assert!(HEADER_LEN == 512);
/// Bytes of the seal frame.
const SEAL_BYTES: u64 = 288;
const _: () = assert!(SEAL_LEN == 288);

/// A base whose header, index and seal were verified. The frames between are verified by a check; a value that is read has a
/// hash of its own.
pub(crate) struct Base {
    pub(crate) header: BaseHeader,
    pub(crate) seal: BaseSeal,
    pub(crate) path: PathBuf,
    /// Ascending; about one for each 64 KiB of the file.
    index: Vec<Signpost>,
    /// Hash of the frame before the index.
    last_data: [u8; 32],
    key: HmacKey,
    frames: Frames,
}

/// Called with each item and its origin, ascending by origin.
pub(crate) type VisitItem<'a> = &'a mut dyn FnMut(Origin, Item<'_>) -> Result<(), StorageError>;

impl Base {
    /// Opens the base that covers the journal through frame `through`.
    pub(crate) fn open(id: &JournalId, through: u64) -> Result<Self, StorageError> {
        Self::open_at(id, id.base_path(through), through)
    }

    pub(super) fn open_at(id: &JournalId, path: PathBuf, through: u64) -> Result<Self, StorageError> {
        let damaged = |offset, what| StorageError::Damaged { segment: path.clone(), offset, what };
        let file = StoredFile::open(&path)?;
        let size = file.len()?;
        let Some(seal_at) = size.checked_sub(SEAL_BYTES).filter(|at| *at >= FIRST_FRAME) else {
            return Err(damaged(size, "a base that is cut short"));
        };
        let mut bytes = [0; HEADER_LEN];
        file.read_at(&mut bytes, 0)?;
        let (header, checksum) = BaseHeader::parse(&bytes).map_err(|error| match error {
            SegmentError::Damaged(what) => damaged(0, what),
            SegmentError::UnknownFormat(found) => {
                StorageError::UnknownFormat { path: path.clone(), found, newest: FORMAT }
            }
        })?;
        if header.vault != id.vault {
            return Err(StorageError::OtherVault { path });
        }
        let mut reader = SegmentReader::over_base(&path, size)?;
        let at_seal = |error: FrameError| damaged(seal_at, error.0);
        let (seal, sealed) = {
            let frame = Frame::parse(reader.frame_at(seal_at)?.map_err(at_seal)?, &id.key).map_err(at_seal)?;
            (BaseSeal::parse(&frame).map_err(at_seal)?, frame.link)
        };
        if seal.header != checksum || header.through.seq != through || seal.size != size {
            return Err(damaged(seal_at, "the seal of another base"));
        }
        let mut index = Vec::new();
        let (mut at, mut previous, mut seq) = (seal.index_at, None, seal.frames);
        while at < seal_at {
            let broken = |error: FrameError| damaged(at, error.0);
            let bytes = reader.frame_at(at)?.map_err(broken)?;
            let frame = Frame::parse(bytes, &id.key).map_err(broken)?;
            seq = seq.saturating_add(1);
            if frame.link.seq != seq || previous.is_some_and(|(_, hash)| frame.link.previous != hash) {
                return Err(damaged(at, "a genuine frame out of its place"));
            }
            index.extend(base::signposts(&frame).map_err(broken)?);
            previous = Some((previous.map_or(frame.link.previous, |(first, _)| first), frame.hash));
            at = at.saturating_add(u64::try_from(bytes.len()).unwrap_or(u64::MAX));
        }
        let (last_data, last_index) = previous.unwrap_or((sealed.previous, sealed.previous));
        let whole = at == seal_at && sealed.previous == last_index && sealed.seq == seq.saturating_add(1);
        if !whole || u64::try_from(index.len()) != Ok(seal.frames) || !in_order(&index) {
            return Err(damaged(seal.index_at, "an index that does not belong to its base"));
        }
        Ok(Self { header, seal, path, index, last_data, key: id.key.clone(), frames: Frames::default() })
    }

    pub(crate) fn damaged(&self, offset: u64, what: &'static str) -> StorageError {
        StorageError::Damaged { segment: self.path.clone(), offset, what }
    }

    /// Reads all of it, in order, and checks that it is one chain from header to seal.
    pub(crate) fn walk(&self, visit: VisitItem<'_>, passed: &mut dyn FnMut(usize)) -> Result<(), StorageError> {
        let mut reader = SegmentReader::over_base(&self.path, self.seal.size)?;
        let (mut at, mut previous, mut last, mut counted) = (FIRST_FRAME, self.seal.header, None, None);
        let (mut rows, mut entries, mut newest) = (0_u64, 0_u64, [0; 32]);
        for (seq, post) in (1_u64..).zip(&self.index) {
            let broken = |error: FrameError| self.damaged(at, error.0);
            let bytes = reader.frame_at(at)?.map_err(broken)?;
            let frame = Frame::parse(bytes, &self.key).map_err(broken)?;
            if post.at != at || frame.link.seq != seq || frame.link.previous != previous {
                return Err(self.damaged(at, "a genuine frame out of its place"));
            }
            let (mut first, mut ordered, mut done) = (true, true, Ok(()));
            base::items(&frame, |origin, item| {
                ordered &= last < Some(origin) && origin.0 <= self.header.through.seq;
                ordered &= !first || origin == post.first;
                (first, last) = (false, Some(origin));
                match &item {
                    Item::Row { .. } => rows += 1,
                    Item::Entry(entry) => {
                        entries += 1;
                        newest = hash::sha256(&[entry.bytes]);
                    }
                    Item::Tally { subject, .. } => {
                        ordered &= self.header.first_entry > 0 && counted < Some(*subject);
                        counted = Some(*subject);
                    }
                }
                if ordered {
                    done = visit(origin, item);
                }
                ordered && done.is_ok()
            })
            .map_err(broken)?;
            done?;
            if !ordered {
                return Err(self.damaged(at, "items that are not in the order of the journal"));
            }
            previous = frame.hash;
            at = at.saturating_add(u64::try_from(bytes.len()).unwrap_or(u64::MAX));
            passed(bytes.len());
        }
        let (seal, found) = (&self.seal, (rows, entries, newest, at, previous));
        if found != (seal.rows, seal.entries, seal.newest_entry, seal.index_at, self.last_data) {
            return Err(self.damaged(at, "frames that are not those which the seal counts"));
        }
        Ok(())
    }

    /// [`Base::walk`], and a comparison of the rows with the digest that the seal names. Gives that digest.
    pub(crate) fn verify(&self, state_key: &HmacKey, passed: &mut dyn FnMut(usize)) -> Result<Digest, StorageError> {
        let mut digest = Digest::default();
        let mut add = |_: Origin, item: Item<'_>| {
            if let Item::Row { tree, key, value, .. } = item {
                let leaf = digest::leaf(state_key, tree, key, value.len(), &hash::sha256(&[value]));
                let leaf = leaf.map_err(|_| StorageError::Refused { why: "a value is too long" })?;
                digest.replace(tree, key, None, Some(&leaf));
            }
            Ok(())
        };
        self.walk(&mut add, passed)?;
        self.compare(&digest)?;
        Ok(digest)
    }

    /// Refuses rows that have another digest than those that were written.
    pub(crate) fn compare(&self, digest: &Digest) -> Result<(), StorageError> {
        if digest.hash() == self.seal.digest {
            return Ok(());
        }
        Err(self.damaged(FIRST_FRAME, "rows that do not match the digest in the seal"))
    }

    /// The value or entry that stood where a pointer says. Its hash is checked.
    pub(crate) fn read(&self, file: &StoredFile, pointer: &Pointer) -> Result<Bytes, StorageError> {
        let origin = (pointer.seq, pointer.offset);
        let behind = self.index.partition_point(|post| post.first <= origin);
        let post = behind.checked_sub(1).and_then(|at| self.index.get(at));
        let missing = |at| self.damaged(at, "a row points to something that the base does not hold");
        let at = post.ok_or_else(|| missing(FIRST_FRAME))?.at;
        let end = self.index.get(behind).map_or(self.seal.index_at, |next| next.at);
        let frame = match self.frames.get(at) {
            Some(frame) => frame,
            None => self.frame(file, at, end)?,
        };
        let found = frame.item(origin).filter(|found| u64::try_from(found.len()) == Ok(pointer.len.into()));
        match found {
            Some(found) if hash::sha256(&[found]) == pointer.hash => Ok(found.into()),
            found => {
                // The frame as a whole may tell more. Next time it is read anew.
                self.frames.forget();
                frame.verify(&self.key).map_err(|error| self.damaged(at, error.0))?;
                let what = "a value that does not match the hash in its row";
                Err(found.map_or_else(|| missing(at), |_| self.damaged(at, what)))
            }
        }
    }

    fn frame(&self, file: &StoredFile, at: u64, end: u64) -> Result<Arc<OpenFrame>, StorageError> {
        let mut bytes = vec![0; usize::try_from(end.saturating_sub(at)).unwrap_or(0).min(BASE_MAX_LEN)];
        file.read_at(&mut bytes, at)?;
        let frame = Arc::new(OpenFrame::new(bytes));
        self.frames.keep(at, &frame);
        Ok(frame)
    }

    /// What is read from now on comes from the file.
    pub(crate) fn forget_frames(&self) {
        self.frames.forget();
    }
}

/// Frames follow each other without gaps from the first on, none longer than a frame may be.
fn in_order(index: &[Signpost]) -> bool {
    let starts = index.first().is_none_or(|first| first.at == FIRST_FRAME);
    let frame = 1..=u64::try_from(BASE_MAX_LEN).unwrap_or(u64::MAX);
    starts
        && index
            .is_sorted_by(|a, b| a.first < b.first && b.at.checked_sub(a.at).is_some_and(|len| frame.contains(&len)))
}
