//! Tells the end of the journal from a torn last frame, and both from damage.
//!
//! A frame is written only after the one before it was synced, into a region of zeros. So behind the last good frame
//! there is nothing, or one frame of which some sectors never reached the disk: within it, the part in at least one
//! 512-byte sector is still all zero (a frame's last word is never zero). Anything else was written once and has
//! changed since, and must not be cut off.

use super::reader::SegmentReader;
use super::segment::Segment;
use crate::crypto::hash::HmacKey;
use crate::format::frame::{Frame, FrameHead, HEAD_LEN, MAGIC, MAX_LEN, SEAL_LEN};
use crate::storage::StorageError;

/// The unit that a disk writes whole or not at all.
const SECTOR: u64 = 512;
/// How much is hashed at most in the search for genuine frames behind a broken one.
const SEARCH_LIMIT: usize = 4 * MAX_LEN;
const CHUNK: u64 = 64 << 10;
const SHORTEST: u64 = 152;
const _: () = assert!(SEAL_LEN == 152);

/// What stands behind the last good frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Tail {
    Zeros,
    /// A frame that was never acknowledged: `len` bytes from `offset` on hold all that is not zero.
    Torn {
        offset: u64,
        len: u64,
    },
}

/// Judges the bytes from `offset`, where frame number `next_seq` would start, to the end of the segment. `broken` says
/// why there is no frame.
pub(crate) fn judge(
    segment: &Segment,
    reader: &mut SegmentReader,
    offset: u64,
    next_seq: u64,
    key: &HmacKey,
    broken: &'static str,
) -> Result<Tail, StorageError> {
    let Some(end) = end_of_nonzero(reader, offset)? else { return Ok(Tail::Zeros) };
    let len = end - offset;
    let Some(region) = usize::try_from(len).ok().filter(|len| *len <= MAX_LEN) else {
        return Err(segment.damaged(offset, broken));
    };
    let size = reader.size();
    // A frame is at least this long; its head may lie in two sectors of which only the first was written.
    let mut frame_end = end.max(offset.saturating_add(SHORTEST)).min(size);
    let bytes = reader.bytes(offset, region)?.unwrap_or_default();
    if let Ok(head) = FrameHead::parse(bytes.get(..HEAD_LEN).unwrap_or(bytes)) {
        frame_end = offset.saturating_add(u64::try_from(head.len).unwrap_or(u64::MAX));
        if head.seq != next_seq || frame_end < end || frame_end > size {
            return Err(segment.damaged(offset, broken));
        }
    }
    // What is whole was written wholly, though maybe not by us, or not with this key.
    if Frame::is_whole(bytes) || !has_zero_sector(bytes, offset, frame_end) {
        return Err(segment.damaged(offset, broken));
    }
    if holds_a_frame(bytes, key) {
        return Err(segment.damaged(offset, "a broken frame with a genuine one behind it"));
    }
    Ok(Tail::Torn { offset, len })
}

/// The first multiple of eight bytes behind the last byte that is not zero.
fn end_of_nonzero(reader: &mut SegmentReader, offset: u64) -> Result<Option<u64>, StorageError> {
    let (mut at, mut end) = (offset, None);
    while at < reader.size() {
        let len = CHUNK.min(reader.size() - at);
        let chunk = reader.bytes(at, usize::try_from(len).unwrap_or(0))?.unwrap_or_default();
        if let Some(last) = chunk.iter().rposition(|byte| *byte != 0) {
            end = Some(at + u64::try_from(last).unwrap_or(0) + 1);
        }
        at += len;
    }
    Ok(end.map(|end| (offset + (end - offset).next_multiple_of(8)).min(reader.size())))
}

/// Whether the part of the frame in some sector is all zero. `bytes` start at `offset`; from their end up to
/// `frame_end` all is zero.
fn has_zero_sector(bytes: &[u8], offset: u64, frame_end: u64) -> bool {
    let mut at = offset;
    let mut rest = bytes;
    while at < frame_end {
        let sector_end = (at + 1).next_multiple_of(SECTOR).min(frame_end);
        let len = usize::try_from(sector_end - at).unwrap_or(usize::MAX).min(rest.len());
        let (part, behind) = rest.split_at_checked(len).unwrap_or((rest, &[]));
        if part.iter().all(|byte| *byte == 0) {
            return true;
        }
        (at, rest) = (sector_end, behind);
    }
    false
}

/// Whether a genuine frame starts somewhere behind the first word. Gives up, and says yes, on bytes that were made to
/// keep it busy.
fn holds_a_frame(bytes: &[u8], key: &HmacKey) -> bool {
    let mut hashed = 0_usize;
    let mut rest = bytes;
    while let Some((_, behind)) = rest.split_at_checked(8) {
        rest = behind;
        if !rest.starts_with(&MAGIC) {
            continue;
        }
        let Ok(head) = FrameHead::parse(rest.get(..HEAD_LEN).unwrap_or(rest)) else { continue };
        let Some(frame) = rest.get(..head.len) else { continue };
        hashed = hashed.saturating_add(head.len);
        if hashed > SEARCH_LIMIT || Frame::parse(frame, key).is_ok() {
            return true;
        }
    }
    false
}

/// Whether all is zero from `offset` to the end of the segment.
pub(crate) fn is_zero(reader: &mut SegmentReader, offset: u64) -> Result<bool, StorageError> {
    Ok(end_of_nonzero(reader, offset)?.is_none())
}
