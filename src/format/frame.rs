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
//!      n u32 ‖ n entries      u16 len ‖ entry ‖ u16 n ‖ n subject tags [16]
//!      zeros                  to a multiple of 8
//!      H [32]                 SHA-256 of everything before: the frame hash
//!      MAC [32]               HMAC(K_journal, bytes 0..24 ‖ H)
//!      end mark "CVF1-END"
//! ```

use crate::bytes::{Put, Reader, TooLong, Truncated};
use crate::crypto::hash::{self, HmacKey};

use super::keys::Tree;

pub(crate) const MAGIC: [u8; 4] = *b"CVF1";
/// Bytes that say how long a frame is.
pub(crate) const HEAD_LEN: usize = 24;
/// A frame is at most 16 MiB.
pub(crate) const MAX_LEN: usize = 16 << 20;
/// Bytes of a `seal` frame, which holds nothing.
pub(crate) const SEAL_LEN: usize = frame_len(0);
/// What stands after the padding: hash, MAC and end mark.
const TAIL_LEN: usize = 32 + 32 + END_MARK.len();
/// Nonzero, so that the last sector of a frame cannot be mistaken for one that was never written.
const END_MARK: [u8; 8] = *b"CVF1-END";
/// Everything before the first write.
const FIXED_LEN: usize = HEAD_LEN + 32 + 8 + 1 + 4 + 4;

/// Length of a frame whose writes and entries take `body` bytes.
pub(crate) const fn frame_len(body: usize) -> usize {
    (FIXED_LEN + body).next_multiple_of(8) + TAIL_LEN
}

/// What a frame is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FrameKind {
    Commit,
    /// The last frame of a segment.
    Seal,
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

    fn decode<'a>(reader: &mut Reader<'a>) -> Result<Write<'a>, FrameError> {
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
            _ => return Err(FrameError("an unknown operation in a write")),
        };
        Ok(Write { tree, key, op, old_leaf })
    }
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

    fn decode<'a>(reader: &mut Reader<'a>) -> Result<Entry<'a>, FrameError> {
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
        if len > MAX_LEN {
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
        out.put_u8(match link.kind {
            FrameKind::Commit => 0,
            FrameKind::Seal => 1,
        });
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
        if len % 8 != 0 || !(SEAL_LEN..=MAX_LEN).contains(&len) {
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
    /// Verifies and parses exactly one frame.
    pub(crate) fn parse(bytes: &'a [u8], key: &HmacKey) -> Result<Self, FrameError> {
        let head = FrameHead::parse(bytes)?;
        if bytes.len() != head.len {
            return Err(Truncated.into());
        }
        let (body, tail) = bytes.split_at_checked(bytes.len() - TAIL_LEN).ok_or(Truncated)?;
        let mut tail = Reader::new(tail);
        let (hash, mac) = (tail.array::<32>()?, tail.array::<32>()?);
        if hash != hash::sha256(&[body]) {
            return Err(FrameError("a frame that does not match its hash"));
        }
        if !hash::equal(&mac, &key.tag(&[body.get(..HEAD_LEN).unwrap_or_default(), &hash])) {
            return Err(FrameError("a frame that does not match its authentication code"));
        }
        if tail.array()? != END_MARK {
            return Err(FrameError("a frame without its end mark"));
        }
        let mut body = Reader::new(body);
        body.take(HEAD_LEN)?;
        let previous = body.array()?;
        let header_generation = body.u64()?;
        let kind = match body.u8()? {
            0 => FrameKind::Commit,
            1 => FrameKind::Seal,
            _ => return Err(FrameError("a frame of an unknown kind")),
        };
        let link = Link { seq: head.seq, previous, header_generation, kind };
        Ok(Self { link, hash, body })
    }

    /// All that it holds.
    pub(crate) fn contents(&self) -> Result<Contents<'a>, FrameError> {
        let mut reader = self.body;
        let count = reader.u32()?;
        let writes = collect(count, &mut reader, Write::decode)?;
        let count = reader.u32()?;
        let entries = collect(count, &mut reader, Entry::decode)?;
        if reader.rest().len() >= 8 || reader.rest().iter().any(|byte| *byte != 0) {
            return Err(FrameError("a frame whose padding is wrong"));
        }
        if self.link.kind == FrameKind::Seal && !(writes.is_empty() && entries.is_empty()) {
            return Err(FrameError("a seal frame that is not empty"));
        }
        Ok(Contents { writes, entries })
    }
}

/// Reads one item of a frame without verifying the frame, for callers who know the item's hash.
pub(crate) struct Peek;

impl Peek {
    pub(crate) fn write(frame: &[u8], index: u32) -> Result<Write<'_>, FrameError> {
        let mut reader = Self::start(frame)?;
        let count = reader.u32()?;
        Self::nth(&mut reader, count, index, Write::decode)
    }

    pub(crate) fn entry(frame: &[u8], index: u32) -> Result<&[u8], FrameError> {
        let mut reader = Self::start(frame)?;
        for _ in 0..reader.u32()? {
            Write::decode(&mut reader)?;
        }
        let count = reader.u32()?;
        Self::nth(&mut reader, count, index, Entry::decode).map(|entry| entry.bytes)
    }

    fn start(frame: &[u8]) -> Result<Reader<'_>, FrameError> {
        let mut reader = Reader::new(frame);
        reader.take(FIXED_LEN - 8)?;
        Ok(reader)
    }

    fn nth<'a, T>(
        reader: &mut Reader<'a>,
        count: u32,
        index: u32,
        decode: impl Fn(&mut Reader<'a>) -> Result<T, FrameError>,
    ) -> Result<T, FrameError> {
        if index >= count {
            return Err(FrameError("a frame without the item that a row points to"));
        }
        for _ in 0..index {
            decode(reader)?;
        }
        decode(reader)
    }
}

/// Writes and entries of a frame, in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Contents<'a> {
    pub(crate) writes: Vec<Write<'a>>,
    pub(crate) entries: Vec<Entry<'a>>,
}

/// Takes no memory ahead of the bytes that are really there.
fn collect<'a, T>(
    count: u32,
    reader: &mut Reader<'a>,
    decode: impl Fn(&mut Reader<'a>) -> Result<T, FrameError>,
) -> Result<Vec<T>, FrameError> {
    (0..count).map(|_| decode(reader)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn key() -> HmacKey {
        HmacKey::new(&[7; 32])
    }

    fn encode(link: &Link, contents: &Contents<'_>) -> (Vec<u8>, [u8; 32]) {
        let body = contents
            .writes
            .iter()
            .map(|write| {
                let value = match write.op {
                    Op::Delete => 0,
                    Op::Inline(value) | Op::Kept(value) => value.len(),
                };
                Write::encoded_len(write.key.len(), value, write.old_leaf.is_some())
            })
            .chain(contents.entries.iter().map(|entry| Entry::encoded_len(entry.bytes.len(), entry.subjects.len())))
            .sum();
        let mut out = Vec::new();
        let mut writer = FrameWriter::new(&mut out, link, body, contents.writes.len()).unwrap();
        contents.writes.iter().for_each(|write| write.encode(writer.writes()).unwrap());
        let entries = writer.entries(contents.entries.len()).unwrap();
        contents.entries.iter().for_each(|entry| Entry::encode(entry.bytes, &entry.subjects, entries).unwrap());
        let hash = writer.finish(&key()).unwrap();
        (out, hash)
    }

    fn sample() -> (Link, Contents<'static>) {
        let link = Link { seq: 3, previous: [1; 32], header_generation: 9, kind: FrameKind::Commit };
        let writes = vec![
            Write { tree: Tree::Records, key: b"key", op: Op::Inline(b"value"), old_leaf: None },
            Write { tree: Tree::Policy, key: b"gone", op: Op::Delete, old_leaf: Some([4; 32]) },
            Write { tree: Tree::Patients, key: b"", op: Op::Kept(&[5; 100]), old_leaf: None },
        ];
        let entries = vec![Entry { bytes: b"entry", subjects: vec![[6; 16], [7; 16]] }];
        (link, Contents { writes, entries })
    }

    #[test]
    fn every_flipped_bit_and_every_cut_is_refused() {
        let (link, contents) = sample();
        let (bytes, hash) = encode(&link, &contents);
        let frame = Frame::parse(&bytes, &key()).unwrap();
        assert_eq!((frame.link, frame.hash, frame.contents().unwrap()), (link, hash, contents));
        for bit in 0..bytes.len() * 8 {
            let mut bad = bytes.clone();
            bad[bit / 8] ^= 1 << (bit % 8);
            assert!(Frame::parse(&bad, &key()).is_err(), "bit {bit}");
        }
        for len in 0..bytes.len() {
            assert!(Frame::parse(&bytes[..len], &key()).is_err(), "length {len}");
        }
        assert!(Frame::parse(&[&bytes[..], &[0; 8]].concat(), &key()).is_err());
        assert!(Frame::parse(&bytes, &HmacKey::new(&[8; 32])).is_err());
    }

    #[test]
    fn a_seal_is_as_long_as_was_reserved_for_it() {
        let (bytes, hash) = seal_frame(5, [2; 32], 1, &key());
        assert_eq!(bytes.len(), SEAL_LEN);
        let frame = Frame::parse(&bytes, &key()).unwrap();
        assert_eq!((frame.link.kind, frame.link.seq, frame.hash), (FrameKind::Seal, 5, hash));
        assert!(frame.contents().unwrap().writes.is_empty());
    }

    #[test]
    fn a_huge_count_takes_no_memory() {
        let (link, _) = sample();
        let mut out = Vec::new();
        let mut writer = FrameWriter::new(&mut out, &link, 0, 0xFFFF_FFFF).unwrap();
        writer.entries(0).unwrap();
        writer.finish(&key()).unwrap();
        assert!(Frame::parse(&out, &key()).unwrap().contents().is_err());
    }

    #[test]
    fn a_wrong_announcement_is_refused() {
        let (link, _) = sample();
        let mut out = Vec::new();
        let mut writer = FrameWriter::new(&mut out, &link, 8, 0).unwrap();
        writer.entries(0).unwrap();
        assert_eq!(writer.finish(&key()), Err(TooLong));
        assert!(FrameWriter::new(&mut out, &link, MAX_LEN, 0).is_err());
    }

    fn op_of(op: u8, value: &[u8]) -> Op<'_> {
        match op {
            0 => Op::Delete,
            1 => Op::Inline(value),
            _ => Op::Kept(value),
        }
    }

    type RawWrite = (u8, u8, Vec<u8>, Vec<u8>, Option<[u8; 32]>);

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn what_was_written_is_read_back(
            seq: u64, previous: [u8; 32], header_generation: u64,
            writes: Vec<RawWrite>,
            entries in proptest::collection::vec(
                (proptest::collection::vec(any::<u8>(), 0..99), proptest::collection::vec(any::<[u8; 16]>(), 0..4)), 0..4),
        ) {
            let link = Link { seq, previous, header_generation, kind: FrameKind::Commit };
            let writes = writes.iter().map(|(tree, op, key, value, old_leaf)| Write {
                tree: Tree::from_code(1 + tree % 5).unwrap(), key, op: op_of(op % 3, value), old_leaf: *old_leaf,
            }).collect();
            let entries = entries.iter()
                .map(|(bytes, subjects)| Entry { bytes, subjects: subjects.clone() }).collect();
            let contents = Contents { writes, entries };
            let (bytes, hash) = encode(&link, &contents);
            let frame = Frame::parse(&bytes, &key()).unwrap();
            prop_assert_eq!(bytes.len() % 8, 0);
            prop_assert_eq!((frame.link, frame.hash), (link, hash));
            prop_assert_eq!(frame.contents().unwrap(), contents);
        }

        #[test]
        fn arbitrary_bytes_are_refused_without_panic(bytes: Vec<u8>) {
            prop_assert!(Frame::parse(&bytes, &key()).is_err());
        }
    }
}
