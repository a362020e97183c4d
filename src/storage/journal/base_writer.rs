//! Writes a base front to back under a temporary name, through a buffer of one frame.

use super::JournalId;
use super::base::{Base, FIRST_FRAME};
use crate::bytes::TooLong;
use crate::crypto::hash;
use crate::format::base::{BaseHeader, BaseSeal, Item, Origin, SIGNPOST_LEN, Signpost};
use crate::format::digest::Digest;
use crate::format::frame::{self, FrameKind, FrameWriter, Link};
use crate::storage::StorageError;
use crate::storage::file::{self, StoredFile};

/// Bytes of items in one frame; a longer item has a frame of its own. A kept value is found by reading one frame.
const FRAME_BYTES: usize = 64 << 10;
/// Places in one index frame.
const INDEX_CHUNK: usize = 16 << 10;

/// A base in the making. Dropping it removes what was written.
pub(crate) struct BaseWriter<'a> {
    id: &'a JournalId,
    header: BaseHeader,
    file: StoredFile,
    at: u64,
    seq: u64,
    previous: [u8; 32],
    /// Items of the next frame: how many, the first one's origin, and their bytes.
    count: usize,
    first: Origin,
    items: Vec<u8>,
    index: Vec<Signpost>,
    seal: BaseSeal,
    frame: Vec<u8>,
    placed: bool,
}

impl<'a> BaseWriter<'a> {
    pub(crate) fn create(id: &'a JournalId, header: BaseHeader) -> Result<Self, StorageError> {
        let (bytes, checksum) = header.encode();
        let file = StoredFile::create(&id.new_base_path())?;
        let seal = BaseSeal { header: checksum, ..BaseSeal::default() };
        let (count, first, items, index, frame) = (0, (0, 0), Vec::new(), Vec::new(), Vec::new());
        let (at, seq, previous, placed) = (FIRST_FRAME, 0, checksum, false);
        let new = Self { id, header, file, at, seq, previous, count, first, items, index, seal, frame, placed };
        new.file.set_len(0)?;
        new.file.write_at(&bytes, 0)?;
        Ok(new)
    }

    /// Appends an item. Origins must ascend.
    pub(crate) fn item(&mut self, origin: Origin, item: &Item<'_>) -> Result<(), StorageError> {
        if self.count > 0 && self.items.len().saturating_add(item.encoded_len()) > FRAME_BYTES {
            self.flush()?;
        }
        if self.count == 0 {
            self.first = origin;
        }
        item.encode(origin, &mut self.items).map_err(too_long)?;
        self.count += 1;
        match item {
            Item::Row { .. } => self.seal.rows += 1,
            Item::Entry(entry) => {
                self.seal.entries += 1;
                self.seal.newest_entry = hash::sha256(&[entry.bytes]);
            }
            Item::Tally { .. } => {}
        }
        Ok(())
    }

    /// Index, seal, sync. What is on the disk is then read back and compared with `digest`, and only then given its
    /// name, durably.
    pub(crate) fn finish(
        mut self,
        digest: &Digest,
        verify: &mut dyn FnMut(&Base) -> Result<Digest, StorageError>,
    ) -> Result<Base, StorageError> {
        if self.count > 0 {
            self.flush()?;
        }
        self.seal.frames = self.seq;
        self.seal.index_at = self.at;
        self.seal.digest = digest.hash();
        for posts in std::mem::take(&mut self.index).chunks(INDEX_CHUNK) {
            let mut body = Vec::with_capacity(posts.len().saturating_mul(SIGNPOST_LEN));
            posts.iter().for_each(|post| post.encode(&mut body));
            self.append(FrameKind::BaseIndex, posts.len(), &body)?;
        }
        let mut body = Vec::new();
        self.seal.encode(&mut body);
        let size = self.at.saturating_add(u64::try_from(frame::frame_len(body.len())).unwrap_or(u64::MAX));
        self.seal.size = size;
        body.clear();
        self.seal.encode(&mut body);
        self.append(FrameKind::BaseSeal, 1, &body)?;
        self.file.sync_all()?;
        let through = self.header.through.seq;
        let mut written = Base::open_at(self.id, self.file.path().to_path_buf(), through)?;
        if written.seal != self.seal || written.header != self.header || verify(&written)? != *digest {
            return Err(written.damaged(0, "a base that does not read back as it was written"));
        }
        let path = self.id.base_path(through);
        file::rename(self.file.path(), &path)?;
        self.placed = true;
        written.path = path;
        Ok(written)
    }

    fn flush(&mut self) -> Result<(), StorageError> {
        self.index.push(Signpost { first: self.first, at: self.at });
        let items = std::mem::take(&mut self.items);
        self.append(FrameKind::Base, self.count, &items)?;
        (self.items, self.count) = (items, 0);
        self.items.clear();
        Ok(())
    }

    fn append(&mut self, kind: FrameKind, count: usize, body: &[u8]) -> Result<(), StorageError> {
        self.seq += 1;
        let header_generation = self.header.header_generation;
        let link = Link { seq: self.seq, previous: self.previous, header_generation, kind };
        let framed = FrameWriter::new(&mut self.frame, &link, body.len(), count).and_then(|mut writer| {
            writer.writes().extend_from_slice(body);
            writer.entries(0)?;
            writer.finish(&self.id.key)
        });
        self.previous = framed.map_err(too_long)?;
        self.file.write_at(&self.frame, self.at)?;
        self.at = self.at.saturating_add(u64::try_from(self.frame.len()).unwrap_or(u64::MAX));
        Ok(())
    }
}

impl Drop for BaseWriter<'_> {
    fn drop(&mut self) {
        if !self.placed {
            // Gives back the space; if even that fails, the next attempt or opening does.
            let _ = file::remove(self.file.path());
        }
    }
}

fn too_long(_: TooLong) -> StorageError {
    StorageError::Refused { why: "a key, value or entry is too long" }
}
