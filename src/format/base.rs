//! A base: everything that is live up to a frame of the journal (docs/format/journal.md, "Base").
//!
//! ```text
//! header [512]       magic "CVB1", format, vault, the last frame covered, header generation, first entry, zeros, checksum
//! data frames        items in the order of the journal, each with its origin
//! index frames       for each data frame: its first item's origin, and where the frame starts
//! seal frame         counts and sums
//! ```
//!
//! The frames have the shape of the journal's, are numbered from 1 and chained, the first to the header's checksum.

use crate::bytes::{Put, Reader, TooLong, Truncated};
use crate::crypto::hash;
use crate::ids::VaultId;

use super::frame::{self, Entry, Frame, FrameError, FrameKind};
use super::keys::Tree;
use super::segment::SegmentError;
use super::state::Place;

/// Bytes before the first frame: one sector.
pub(crate) const HEADER_LEN: usize = 512;
/// Newest format of bases. The one before holds all entries from the first on.
pub(crate) const FORMAT: u16 = 2;
const MAGIC: [u8; 4] = *b"CVB1";
/// Bytes of a seal's fields, and of the whole frame.
const SEAL_BODY: usize = 5 * 8 + 3 * 32;
pub(crate) const SEAL_LEN: usize = frame::frame_len(SEAL_BODY);
/// Bytes of a place in an index frame.
pub(crate) const SIGNPOST_LEN: usize = 8 + 4 + 8;

/// What a base covers. Bound to its frames by its checksum, which the first frame and the seal name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct BaseHeader {
    pub(crate) vault: VaultId,
    /// The last frame covered: the seal of a segment.
    pub(crate) through: Place,
    /// Highest header generation up to there.
    pub(crate) header_generation: u64,
    /// Number of the oldest entry that is kept: what was cut before is counted in items of its own.
    pub(crate) first_entry: u64,
}

impl BaseHeader {
    /// The header, and its checksum.
    pub(crate) fn encode(&self) -> (Vec<u8>, [u8; 32]) {
        let mut out = Vec::with_capacity(HEADER_LEN);
        out.put(&MAGIC);
        out.put_u16(if self.first_entry > 0 { FORMAT } else { 1 });
        out.put(self.vault.as_bytes());
        out.put_u64(self.through.seq);
        out.put(&self.through.hash);
        out.put_u64(self.through.segment);
        out.put_u64(self.through.offset);
        out.put_u64(self.header_generation);
        out.put_u64(self.first_entry);
        out.resize(HEADER_LEN - 32, 0);
        let hash = hash::sha256(&[&out]);
        out.put(&hash);
        (out, hash)
    }

    /// The header, and its checksum.
    pub(crate) fn parse(bytes: &[u8; HEADER_LEN]) -> Result<(Self, [u8; 32]), SegmentError> {
        let mut reader = Reader::new(bytes);
        let checked = reader.take(HEADER_LEN - 32)?;
        let hash = reader.array()?;
        if hash != hash::sha256(&[checked]) {
            return Err(SegmentError::Damaged("the header of a base that does not match its hash"));
        }
        let mut reader = Reader::new(checked);
        if reader.array()? != MAGIC {
            return Err(SegmentError::Damaged("the header of a base without its magic"));
        }
        let format = reader.u16()?;
        if !(1..=FORMAT).contains(&format) {
            return Err(SegmentError::UnknownFormat(format));
        }
        let vault = VaultId::from_bytes(reader.array()?);
        let through =
            Place { seq: reader.u64()?, hash: reader.array()?, segment: reader.u64()?, offset: reader.u64()? };
        let header_generation = reader.u64()?;
        let first_entry = if format > 1 { reader.u64()? } else { 0 };
        let header = Self { vault, through, header_generation, first_entry };
        if format > 1 && first_entry == 0 {
            return Err(SegmentError::Damaged("the header of a base that says it was cut, and not where"));
        }
        if reader.rest().iter().any(|byte| *byte != 0) {
            return Err(SegmentError::Damaged("the header of a base whose reserved bytes are not zero"));
        }
        Ok((header, hash))
    }
}

/// Where in the journal something first stood: number of the frame, and where in it the value or entry starts.
pub(crate) type Origin = (u64, u32);

/// A row, an entry, or how many entries were cut.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Item<'a> {
    Row {
        tree: Tree,
        key: &'a [u8],
        value: &'a [u8],
        /// Whether the trees hold the value itself.
        inline: bool,
    },
    Entry(Entry<'a>),
    /// Entries before the first one that is kept which named this subject.
    Tally {
        subject: [u8; 16],
        entries: u64,
    },
}

impl Item<'_> {
    /// Bytes that it takes in a data frame.
    pub(crate) fn encoded_len(&self) -> usize {
        let len = match self {
            Item::Row { key, value, .. } => (1 + 2 + 4_usize).saturating_add(key.len()).saturating_add(value.len()),
            Item::Entry(entry) => Entry::encoded_len(entry.bytes.len(), entry.subjects.len()),
            Item::Tally { .. } => 16 + 8,
        };
        len.saturating_add(1 + 8 + 4)
    }

    pub(crate) fn encode(&self, (seq, offset): Origin, out: &mut Vec<u8>) -> Result<(), TooLong> {
        out.put_u8(match self {
            Item::Row { inline: true, .. } => 1,
            Item::Row { inline: false, .. } => 2,
            Item::Entry(_) => 3,
            Item::Tally { .. } => 4,
        });
        out.put_u64(seq);
        out.put_u32(offset);
        match self {
            Item::Row { tree, key, value, .. } => {
                out.put_u8(tree.code());
                out.put_len16(key)?;
                out.put_len32(value)
            }
            Item::Entry(entry) => Entry::encode(entry.bytes, &entry.subjects, out),
            Item::Tally { subject, entries } => {
                out.put(subject);
                out.put_u64(*entries);
                Ok(())
            }
        }
    }

    fn decode<'a>(reader: &mut Reader<'a>) -> Result<(Origin, Item<'a>), FrameError> {
        let kind = reader.u8()?;
        let origin = (reader.u64()?, reader.u32()?);
        let item = match kind {
            1 | 2 => {
                let tree = Tree::from_code(reader.u8()?).filter(|tree| *tree != Tree::Audit);
                let tree = tree.ok_or(FrameError("a row of an unknown tree"))?;
                Item::Row { tree, key: reader.len16()?, value: reader.len32()?, inline: kind == 1 }
            }
            3 => Item::Entry(Entry::decode(reader)?),
            4 => Item::Tally { subject: reader.array()?, entries: reader.u64()? },
            _ => return Err(FrameError("an unknown item in a base")),
        };
        Ok((origin, item))
    }
}

/// The items of a data frame, in order; `visit` may end the reading early by saying false.
pub(crate) fn items<'a>(frame: &Frame<'a>, mut visit: impl FnMut(Origin, Item<'a>) -> bool) -> Result<(), FrameError> {
    let (count, mut reader) = start(frame, FrameKind::Base)?;
    for _ in 0..count {
        let (origin, item) = Item::decode(&mut reader)?;
        if !visit(origin, item) {
            return Ok(());
        }
    }
    finish(reader)
}

/// [`items`] of a frame whose hash and authentication code nobody looked at, up to the first that cannot be read.
pub(crate) fn items_unverified<'a>(frame: &'a [u8], mut visit: impl FnMut(Origin, Item<'a>)) {
    let Ok(mut reader) = Frame::body_unverified(frame, FrameKind::Base) else { return };
    let count = reader.u32().unwrap_or(0);
    for (origin, item) in (0..count).map_while(|_| Item::decode(&mut reader).ok()) {
        visit(origin, item);
    }
}

/// Where a data frame starts, and the origin of its first item.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Signpost {
    pub(crate) first: Origin,
    pub(crate) at: u64,
}

impl Signpost {
    pub(crate) fn encode(&self, out: &mut Vec<u8>) {
        out.put_u64(self.first.0);
        out.put_u32(self.first.1);
        out.put_u64(self.at);
    }
}

/// The places in an index frame.
pub(crate) fn signposts(frame: &Frame<'_>) -> Result<Vec<Signpost>, FrameError> {
    let (count, mut reader) = start(frame, FrameKind::BaseIndex)?;
    let posts = (0..count)
        .map(|_| Ok(Signpost { first: (reader.u64()?, reader.u32()?), at: reader.u64()? }))
        .collect::<Result<_, Truncated>>()?;
    finish(reader)?;
    Ok(posts)
}

/// The last frame of a base.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct BaseSeal {
    pub(crate) rows: u64,
    pub(crate) entries: u64,
    /// Number of data frames.
    pub(crate) frames: u64,
    /// Where the index starts.
    pub(crate) index_at: u64,
    /// Bytes of the whole file.
    pub(crate) size: u64,
    /// Checksum of the header.
    pub(crate) header: [u8; 32],
    /// Hash of the state digest's buckets over all rows.
    pub(crate) digest: [u8; 32],
    /// Hash of the newest entry; zeros if there is none.
    pub(crate) newest_entry: [u8; 32],
}

impl BaseSeal {
    pub(crate) fn encode(&self, out: &mut Vec<u8>) {
        for number in [self.rows, self.entries, self.frames, self.index_at, self.size] {
            out.put_u64(number);
        }
        for hash in [&self.header, &self.digest, &self.newest_entry] {
            out.put(hash);
        }
    }

    pub(crate) fn parse(frame: &Frame<'_>) -> Result<Self, FrameError> {
        let (count, mut reader) = start(frame, FrameKind::BaseSeal)?;
        let seal = Self {
            rows: reader.u64()?,
            entries: reader.u64()?,
            frames: reader.u64()?,
            index_at: reader.u64()?,
            size: reader.u64()?,
            header: reader.array()?,
            digest: reader.array()?,
            newest_entry: reader.array()?,
        };
        finish(reader)?;
        if count == 1 { Ok(seal) } else { Err(FrameError("the seal of a base that is not one")) }
    }
}

fn start<'a>(frame: &Frame<'a>, kind: FrameKind) -> Result<(u32, Reader<'a>), FrameError> {
    if frame.link.kind != kind {
        return Err(FrameError("a frame of a base that is not of the kind expected there"));
    }
    let mut reader = frame.body();
    Ok((reader.u32()?, reader))
}

/// No entries, as in a segment's frame, and zeros.
fn finish(mut reader: Reader<'_>) -> Result<(), FrameError> {
    if reader.u32()? != 0 || reader.rest().len() >= 8 || reader.rest().iter().any(|byte| *byte != 0) {
        return Err(FrameError("a frame whose padding is wrong"));
    }
    Ok(())
}

#[cfg(test)]
mod tests;
