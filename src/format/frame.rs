//! Journal frames (docs/format/journal.md, "Frame"). One frame is one commit.
//!
//! ```text
//! 0    magic "CVF1"
//! 4    len u32                whole frame, a multiple of 8
//! 8    seq u64
//! 16   head check [8]         first 8 bytes of H(bytes 0..16)
//! 24   previous frame hash [32]
//! 56   header generation u64
//! 64   kind u8                0 commit, 1 seal (last frame of a segment)
//! 65   n u32 ‖ n writes       tree u8 ‖ op u8 ‖ has_old u8 (‖ old leaf [32]) ‖ u16 len ‖ key ‖ u32 len ‖ value
//!                             the last write may be a cut: 5 ‖ 3 ‖ 0 ‖ u16 8 ‖ number of the first entry that stays u64 ‖ u32 0
//!      n u32 ‖ n entries      u16 len ‖ entry ‖ u16 n ‖ n subject tags [16]
//!      zeros                  to a multiple of 8
//!      H [32]                 SHA-256 of everything before: the frame hash
//!      MAC [32]               HMAC(K_journal, bytes 0..24 ‖ H)
//!      end mark "CVF1-END"
//! ```

use crate::bytes::{Put, Reader, TooLong, Truncated};
use crate::crypto::hash::{self, HmacKey};

use super::keys::Tree;

mod kind;

pub(crate) use kind::FrameKind;

pub(crate) const MAGIC: [u8; 4] = *b"CVF1";
/// Bytes that say how long a frame is.
pub(crate) const HEAD_LEN: usize = 24;
/// A frame is at most 16 MiB.
pub(crate) const MAX_LEN: usize = 16 << 20;
/// In a base a frame may be a little longer: what filled a frame of the journal stands there beside its origin.
pub(crate) const BASE_MAX_LEN: usize = MAX_LEN + 4096;
/// Bytes of a `seal` frame, which holds nothing.
pub(crate) const SEAL_LEN: usize = frame_len(0);
/// What stands after the padding: hash, MAC and end mark.
pub(super) const TAIL_LEN: usize = 32 + 32 + END_MARK.len();
/// Nonzero, so that the last sector of a frame cannot be mistaken for one that was never written.
pub(super) const END_MARK: [u8; 8] = *b"CVF1-END";
/// Everything before the first write.
const FIXED_LEN: usize = HEAD_LEN + 32 + 8 + 1 + 4 + 4;

/// Length of a frame whose writes and entries take `body` bytes.
pub(crate) const fn frame_len(body: usize) -> usize {
    (FIXED_LEN + body).next_multiple_of(8) + TAIL_LEN
}

/// Where a frame stands in the chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Link {
    pub(crate) seq: u64,
    pub(crate) previous: [u8; 32],
    pub(crate) header_generation: u64,
    pub(crate) kind: FrameKind,
}

/// What one write does to its key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Op<'a> {
    Delete,
    /// The trees hold the value.
    Inline(&'a [u8]),
    /// The trees hold where the value is in the journal.
    Kept(&'a [u8]),
}

/// One write in a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Write<'a> {
    pub(crate) tree: Tree,
    pub(crate) key: &'a [u8],
    pub(crate) op: Op<'a>,
    pub(crate) old_leaf: Option<[u8; 32]>,
}

/// One audit entry in a frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Entry<'a> {
    pub(crate) bytes: &'a [u8],
    pub(crate) subjects: Vec<[u8; 16]>,
}

impl Write<'_> {
    /// Bytes that it takes in a frame.
    pub(crate) fn encoded_len(key: usize, value: usize, has_old: bool) -> usize {
        let old = if has_old { 32 } else { 0 };
        (3 + old + 2 + 4_usize).saturating_add(key).saturating_add(value)
    }

    pub(crate) fn encode(&self, out: &mut Vec<u8>) -> Result<(), TooLong> {
        let (op, value) = match self.op {
            Op::Delete => (0, &[][..]),
            Op::Inline(value) => (1, value),
            Op::Kept(value) => (2, value),
        };
        out.put_u8(self.tree.code());
        out.put_u8(op);
        out.put_u8(u8::from(self.old_leaf.is_some()));
        if let Some(leaf) = &self.old_leaf {
            out.put(leaf);
        }
        out.put_len16(self.key)?;
        out.put_len32(value)
    }

    fn decode<'a>(reader: &mut Reader<'a>) -> Result<Decoded<'a>, FrameError> {
        let tree = Tree::from_code(reader.u8()?).ok_or(FrameError("an unknown tree"))?;
        let op = reader.u8()?;
        let old_leaf = match reader.u8()? {
            0 => None,
            1 => Some(reader.array()?),
            _ => return Err(FrameError("an unknown flag in a write")),
        };
        let key = reader.len16()?;
        let value = reader.len32()?;
        let op = match op {
            0 if value.is_empty() => Op::Delete,
            1 => Op::Inline(value),
            2 => Op::Kept(value),
            CUT if tree == Tree::Audit && old_leaf.is_none() && value.is_empty() => {
                let first = key.try_into().map_err(|_| FrameError("a cut that names no entry"))?;
                return Ok(Decoded::Cut(u64::from_be_bytes(first)));
            }
            _ => return Err(FrameError("an unknown operation in a write")),
        };
        Ok(Decoded::Write(Write { tree, key, op, old_leaf }))
    }
}

/// What stands where a write may stand.
enum Decoded<'a> {
    Write(Write<'a>),
    /// Entries below this number are gone.
    Cut(u64),
}

/// The operation of a cut.
const CUT: u8 = 3;
/// Bytes that a cut takes in a frame.
pub(crate) const CUT_LEN: usize = 3 + 2 + 8 + 4;

/// Behind all writes: entries below number `first` are gone with this frame. Counts as a write.
pub(crate) fn put_cut(first: u64, out: &mut Vec<u8>) {
    out.put(&[Tree::Audit.code(), CUT, 0]);
    out.put_u16(8);
    out.put_u64(first);
    out.put_u32(0);
}

impl Entry<'_> {
    /// Bytes that it takes in a frame.
    pub(crate) fn encoded_len(entry: usize, subjects: usize) -> usize {
        (2 + 2_usize).saturating_add(entry).saturating_add(subjects.saturating_mul(16))
    }

    pub(crate) fn encode(bytes: &[u8], subjects: &[[u8; 16]], out: &mut Vec<u8>) -> Result<(), TooLong> {
        out.put_len16(bytes)?;
        out.put_u16(u16::try_from(subjects.len()).map_err(|_| TooLong)?);
        subjects.iter().for_each(|tag| out.put(tag));
        Ok(())
    }

    pub(crate) fn decode<'a>(reader: &mut Reader<'a>) -> Result<Entry<'a>, FrameError> {
        let bytes = reader.len16()?;
        let count = reader.u16()?;
        let subjects = (0..count).map(|_| reader.array()).collect::<Result<_, _>>()?;
        Ok(Entry { bytes, subjects })
    }
}

/// Writes one frame into a buffer, front to back.
pub(crate) struct FrameWriter<'a> {
    out: &'a mut Vec<u8>,
    len: usize,
}

impl<'a> FrameWriter<'a> {
    /// Starts a frame whose writes and entries will take `body` bytes. The buffer is cleared.
    pub(crate) fn new(out: &'a mut Vec<u8>, link: &Link, body: usize, writes: usize) -> Result<Self, TooLong> {
        let len = frame_len(body);
        if len > link.kind.max_len() {
            return Err(TooLong);
        }
        out.clear();
        out.reserve(len);
        out.put(&MAGIC);
        out.put_u32(u32::try_from(len).map_err(|_| TooLong)?);
        out.put_u64(link.seq);
        let check: [u8; 8] = hash::sha256_short(&[out]);
        out.put(&check);
        out.put(&link.previous);
        out.put_u64(link.header_generation);
        out.put_u8(link.kind.code());
        out.put_u32(u32::try_from(writes).map_err(|_| TooLong)?);
        Ok(Self { out, len })
    }

    /// Where the writes go, as many as were announced.
    pub(crate) fn writes(&mut self) -> &mut Vec<u8> {
        self.out
    }

    /// After the writes: announces entries, and gives where they go.
    pub(crate) fn entries(&mut self, count: usize) -> Result<&mut Vec<u8>, TooLong> {
        self.out.put_u32(u32::try_from(count).map_err(|_| TooLong)?);
        Ok(self.out)
    }

    /// Pads and authenticates; gives the frame hash.
    pub(crate) fn finish(self, key: &HmacKey) -> Result<[u8; 32], TooLong> {
        let body_end = self.len - TAIL_LEN;
        if self.out.len() > body_end || body_end - self.out.len() >= 8 {
            return Err(TooLong); // the announced length was wrong
        }
        self.out.resize(body_end, 0);
        let hash = hash::sha256(&[self.out]);
        let mac = key.tag(&[self.out.get(..HEAD_LEN).unwrap_or_default(), &hash]);
        self.out.put(&hash);
        self.out.put(&mac);
        self.out.put(&END_MARK);
        Ok(hash)
    }
}

/// A frame of nothing, which ends a segment.
pub(crate) fn seal_frame(seq: u64, previous: [u8; 32], generation: u64, key: &HmacKey) -> (Vec<u8>, [u8; 32]) {
    let mut out = Vec::new();
    let link = Link { seq, previous, header_generation: generation, kind: FrameKind::Seal };
    let hash = FrameWriter::new(&mut out, &link, 0, 0).and_then(|mut writer| {
        writer.entries(0)?;
        writer.finish(key)
    });
    // An empty frame is never too long.
    (out, hash.unwrap_or_default())
}

/// Bytes that are no frame, and why.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct FrameError(pub(crate) &'static str);

impl From<Truncated> for FrameError {
    fn from(_: Truncated) -> Self {
        Self("a frame whose parts do not fit its length")
    }
}

/// The first 24 bytes of a frame. Its check proves that it is whole, not that it is genuine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct FrameHead {
    pub(crate) len: usize,
    pub(crate) seq: u64,
}

impl FrameHead {
    pub(crate) fn parse(bytes: &[u8]) -> Result<Self, FrameError> {
        Self::parse_within(bytes, MAX_LEN)
    }

    /// As [`FrameHead::parse`], for frames of at most `limit` bytes.
    pub(crate) fn parse_within(bytes: &[u8], limit: usize) -> Result<Self, FrameError> {
        let mut reader = Reader::new(bytes);
        let checked = Reader::new(bytes).take(16)?;
        if reader.array()? != MAGIC {
            return Err(FrameError("a frame head without its magic"));
        }
        let len = usize::try_from(reader.u32()?).map_err(|_| Truncated)?;
        let seq = reader.u64()?;
        if reader.array::<8>()? != hash::sha256_short::<8>(&[checked]) {
            return Err(FrameError("a frame head that does not match its check"));
        }
        if len % 8 != 0 || !(SEAL_LEN..=limit).contains(&len) {
            return Err(FrameError("a frame of an impossible length"));
        }
        Ok(Self { len, seq })
    }
}

/// A frame whose hash and MAC were verified.
#[derive(Clone, Copy)]
pub(crate) struct Frame<'a> {
    pub(crate) link: Link,
    pub(crate) hash: [u8; 32],
    body: Reader<'a>,
}

impl<'a> Frame<'a> {
    /// Verifies and parses exactly one frame of a segment or a base.
    pub(crate) fn parse(bytes: &'a [u8], key: &HmacKey) -> Result<Self, FrameError> {
        let head = FrameHead::parse_within(bytes, BASE_MAX_LEN)?;
        if bytes.len() != head.len {
            return Err(Truncated.into());
        }
        let (body, tail) = bytes.split_at_checked(bytes.len() - TAIL_LEN).ok_or(Truncated)?;
        let mut tail = Reader::new(tail);
        let (hash, mac) = (tail.array::<32>()?, tail.array::<32>()?);
        if hash != hash::sha256(&[body]) {
            return Err(FrameError("a frame that does not match its hash"));
        }
        // From here on it cannot be torn.
        if !hash::equal(&mac, &key.tag(&[body.get(..HEAD_LEN).unwrap_or_default(), &hash])) {
            return Err(FrameError("a frame that does not match its authentication code"));
        }
        if tail.array()? != END_MARK {
            return Err(FrameError("a frame without its end mark"));
        }
        let (link, body) = Self::opened(head, body)?;
        Ok(Self { link, hash, body })
    }

    /// As [`Frame::parse`], without the key: the frame is whole, and whoever has no key could have made it.
    #[cfg(feature = "backup")]
    pub(crate) fn parse_whole(bytes: &'a [u8]) -> Result<Self, FrameError> {
        let head = FrameHead::parse_within(bytes, BASE_MAX_LEN)?;
        if bytes.len() != head.len {
            return Err(Truncated.into());
        }
        let (body, tail) = bytes.split_at_checked(bytes.len() - TAIL_LEN).ok_or(Truncated)?;
        let mut tail = Reader::new(tail);
        let hash = tail.array::<32>()?;
        tail.take(32)?;
        if hash != hash::sha256(&[body]) || tail.array()? != END_MARK {
            return Err(FrameError("a frame that does not match its hash"));
        }
        let (link, body) = Self::opened(head, body)?;
        Ok(Self { link, hash, body })
    }

    fn opened(head: FrameHead, body: &'a [u8]) -> Result<(Link, Reader<'a>), FrameError> {
        let mut body = Reader::new(body);
        body.take(HEAD_LEN)?;
        let previous = body.array()?;
        let header_generation = body.u64()?;
        let kind = FrameKind::from_code(body.u8()?).ok_or(FrameError("a frame of an unknown kind"))?;
        if head.len > kind.max_len() {
            return Err(FrameError("a frame of an impossible length"));
        }
        Ok((Link { seq: head.seq, previous, header_generation, kind }, body))
    }

    /// What stands behind the kind of a frame whose hash and authentication code nobody looked at.
    pub(super) fn body_unverified(bytes: &'a [u8], kind: FrameKind) -> Result<Reader<'a>, FrameError> {
        let head = FrameHead::parse_within(bytes, BASE_MAX_LEN)?;
        let body = bytes.get(..head.len - TAIL_LEN).ok_or(Truncated)?;
        let (link, body) = Self::opened(head, body)?;
        if link.kind == kind { Ok(body) } else { Err(FrameError("a frame of another kind")) }
    }

    /// Whether these bytes are a frame that was written wholly, whoever wrote it.
    pub(crate) fn is_whole(bytes: &[u8]) -> bool {
        FrameHead::parse(bytes).is_ok_and(|head| {
            let frame = bytes.get(..head.len).and_then(|frame| frame.split_at_checked(head.len - TAIL_LEN));
            frame.is_some_and(|(body, tail)| tail.starts_with(&hash::sha256(&[body])))
        })
    }

    /// What stands behind its kind.
    pub(super) const fn body(&self) -> Reader<'a> {
        self.body
    }

    /// All that a frame of a segment holds. Takes no memory ahead of the bytes that are really there.
    pub(crate) fn contents(&self) -> Result<Contents<'a>, FrameError> {
        if !self.link.kind.is_of_a_segment() {
            return Err(FrameError("a frame of a base in a segment"));
        }
        let mut reader = self.body;
        let (mut writes, mut cut) = (Vec::new(), None);
        for _ in 0..reader.u32()? {
            if cut.is_some() {
                return Err(FrameError("a write behind a cut"));
            }
            match Write::decode(&mut reader)? {
                Decoded::Write(write) => writes.push(write),
                Decoded::Cut(first) => cut = Some(first),
            }
        }
        let entries = (0..reader.u32()?).map(|_| Entry::decode(&mut reader)).collect::<Result<Vec<_>, _>>()?;
        if reader.rest().len() >= 8 || reader.rest().iter().any(|byte| *byte != 0) {
            return Err(FrameError("a frame whose padding is wrong"));
        }
        if self.link.kind == FrameKind::Seal && !(writes.is_empty() && cut.is_none() && entries.is_empty()) {
            return Err(FrameError("a seal frame that is not empty"));
        }
        Ok(Contents { writes, cut, entries })
    }
}

/// Where values and entries are in their frame, found by going through all of them in order.
pub(crate) struct Offsets(usize);

impl Offsets {
    /// At the first write.
    pub(crate) const fn start() -> Self {
        Self(FIXED_LEN - 4)
    }

    /// Where it is.
    pub(crate) fn first(&self) -> u32 {
        u32::try_from(self.0).unwrap_or(u32::MAX)
    }

    /// Passes a write; gives where its value is.
    pub(crate) fn write(&mut self, key: usize, value: usize, has_old: bool) -> u32 {
        let start = self.0 + Write::encoded_len(key, 0, has_old);
        self.0 = start.saturating_add(value);
        u32::try_from(start).unwrap_or(u32::MAX)
    }

    /// Passes from the writes to the entries, over the cut if there is one.
    pub(crate) fn entries(&mut self, cut: Option<u64>) {
        self.0 = self.0.saturating_add(4 + cut.map_or(0, |_| CUT_LEN));
    }

    /// Passes an entry; gives where it is.
    pub(crate) fn entry(&mut self, entry: usize, subjects: usize) -> u32 {
        let start = self.0 + 2;
        self.0 = self.0.saturating_add(Entry::encoded_len(entry, subjects));
        u32::try_from(start).unwrap_or(u32::MAX)
    }
}

/// Writes and entries of a frame, in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Contents<'a> {
    pub(crate) writes: Vec<Write<'a>>,
    /// Of the entries of frames before this one, those below this number are gone.
    pub(crate) cut: Option<u64>,
    pub(crate) entries: Vec<Entry<'a>>,
}

#[cfg(test)]
mod tests;
