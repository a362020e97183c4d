//! Reads the whole journal while it is in use, frame by frame, and goes on past whatever is broken.
//!
//! Opening and rebuilding stop at the first broken frame, because nothing behind it may be used. Here the question is how
//! much is broken: behind a broken frame the next one that has a good head is taken as the place to go on from.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::JournalId;
use super::base::Base;
use super::reader::SegmentReader;
use super::segment::{self, FIRST_FRAME};
use crate::crypto::hash::{self, HmacKey};
use crate::format::base::{self, BaseHeader, HEADER_LEN, Item};
use crate::format::digest::{self, Digest};
use crate::format::frame::{Frame, FrameError, FrameHead, FrameKind, HEAD_LEN, MAGIC, Op};
use crate::storage::StorageError;
use crate::storage::file::StoredFile;
use crate::storage::flaw::{Examined, Flaw};

/// How much is looked through at once for the next frame; so much is passed over where the disk gives nothing.
const CHUNK: u64 = 64 << 10;

/// Up to where the journal is read, and what it must then amount to.
pub(crate) struct Until {
    /// The segment that is written to.
    pub(crate) segment: u64,
    /// Where the next frame would start.
    pub(crate) next: u64,
    /// Where they are known.
    pub(crate) sums: Option<Sums>,
}

/// What all frames together amount to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Sums {
    pub(crate) digest: Digest,
    /// Number of the next audit entry.
    pub(crate) entries: u64,
    /// Number of the oldest entry that is kept.
    pub(crate) first_entry: u64,
}

/// The journal under examination.
pub(crate) struct JournalCheck {
    id: JournalId,
    state_key: HmacKey,
    base: Option<Arc<Base>>,
    until: Until,
    /// The segment to open next; 0: the base.
    coming: u64,
    open: Option<OpenFile>,
    /// The last frame of a segment, as far as it is known.
    tip: Tip,
    sums: Sums,
    whole: bool,
    examined: Examined,
    total: u64,
}

/// Where in the chain of frames.
#[derive(Clone, Copy)]
struct Tip {
    seq: u64,
    /// Unknown behind what is broken.
    hash: Option<[u8; 32]>,
}

/// One file, front to back.
struct OpenFile {
    reader: SegmentReader,
    path: PathBuf,
    at: u64,
    end: u64,
    of_base: bool,
    /// Whether it is the segment that is written to.
    newest: bool,
}

impl JournalCheck {
    pub(crate) fn new(id: &JournalId, state_key: &HmacKey, base: Option<Arc<Base>>, until: Until) -> Self {
        let first = base.as_ref().map_or(0, |base| base.header.through.segment).saturating_add(1);
        let size = |number| std::fs::metadata(id.segment_path(number)).map_or(0, |about| about.len());
        let first_entry = base.as_ref().map_or(0, |base| base.header.first_entry);
        let closed: u64 = (first..until.segment).map(size).sum();
        let segments = closed.saturating_add(until.next);
        let total = segments.saturating_add(base.as_ref().map_or(0, |base| base.seal.size));
        Self {
            id: id.clone(),
            state_key: state_key.clone(),
            coming: if base.is_some() { 0 } else { first },
            base,
            until,
            open: None,
            tip: Tip { seq: 0, hash: Some([0; 32]) },
            sums: Sums { entries: first_entry, first_entry, ..Sums::default() },
            whole: true,
            examined: Examined::default(),
            total,
        }
    }

    /// The last frame that its base covers.
    pub(crate) fn base(&self) -> Option<u64> {
        self.base.as_ref().map(|base| base.header.through.seq)
    }

    /// Bytes of all its files.
    pub(crate) fn total(&self) -> u64 {
        self.total
    }

    pub(crate) fn examined(&self) -> Examined {
        self.examined
    }

    /// Whether nothing was found so far.
    pub(crate) fn is_whole(&self) -> bool {
        self.whole
    }

    /// Reads on for about so many bytes. False at the end.
    pub(crate) fn read_on(&mut self, bytes: u64, found: &mut dyn FnMut(Flaw)) -> bool {
        let stop = self.examined.bytes.saturating_add(bytes);
        let mut whole = self.whole;
        let mut tell = |flaw| {
            whole = false;
            found(flaw);
        };
        let mut more = true;
        while more && self.examined.bytes < stop {
            more = match self.open.take() {
                None => self.open_next(&mut tell),
                Some(mut file) => {
                    if self.step(&mut file, &mut tell) {
                        self.open = Some(file);
                    }
                    true
                }
            };
        }
        self.whole = whole;
        if !more {
            self.examined.bytes = self.total;
        }
        if !more && whole {
            self.compare(found);
        }
        more
    }

    /// Once all was read: what the frames amount to.
    fn compare(&mut self, found: &mut dyn FnMut(Flaw)) {
        if self.until.sums.as_ref().is_some_and(|sums| *sums != self.sums) {
            self.whole = false;
            found(Flaw::at(self.id.dir.clone(), 0, "frames that are sound and do not amount to what the vault holds"));
        }
    }

    /// Opens the next file, and checks its header. False when there is none.
    fn open_next(&mut self, found: &mut dyn FnMut(Flaw)) -> bool {
        if self.coming == 0 {
            if let Some(base) = self.base.clone() {
                self.open = self.open_base(&base, found);
                self.coming = base.header.through.segment.saturating_add(1);
            }
            return true;
        }
        let number = self.coming;
        if number > self.until.segment {
            return false;
        }
        self.coming = number.saturating_add(1);
        let path = self.id.segment_path(number);
        match segment::read(&self.id, number, path.clone()) {
            Ok(segment) => {
                let follows = self.tip.hash.is_none_or(|hash| hash == segment.header.previous);
                if segment.header.first_seq <= self.tip.seq || !follows {
                    found(Flaw::at(path.clone(), 0, "a segment that does not go on from the one before"));
                } else if self.tip.hash.is_none() {
                    self.tip =
                        Tip { seq: segment.header.first_seq.saturating_sub(1), hash: Some(segment.header.previous) };
                }
            }
            Err(error) => found(flaw_of(error, &path, 0)),
        }
        match SegmentReader::over(&path) {
            Ok(reader) => {
                let newest = number == self.until.segment;
                let end = if newest { self.until.next.min(reader.size()) } else { reader.size() };
                self.open = Some(OpenFile { reader, path, at: FIRST_FRAME, end, of_base: false, newest });
            }
            // It was told that there is no segment to be read.
            Err(_) => self.tip.hash = None,
        }
        self.examined.bytes = self.examined.bytes.saturating_add(FIRST_FRAME);
        true
    }

    fn open_base(&mut self, base: &Base, found: &mut dyn FnMut(Flaw)) -> Option<OpenFile> {
        let path = base.path.clone();
        let header = StoredFile::open(&path).and_then(|file| {
            let mut bytes = [0; HEADER_LEN];
            file.read_at(&mut bytes, 0)?;
            Ok((BaseHeader::parse(&bytes).ok(), file.len()?))
        });
        match header {
            Ok((Some((header, checksum)), size))
                if header == base.header && checksum == base.seal.header && size == base.seal.size => {}
            Ok(_) => found(Flaw::at(path.clone(), 0, "a base whose header or size is not the one it was sealed with")),
            Err(error) => found(flaw_of(error, &path, 0)),
        }
        self.tip = Tip { seq: 0, hash: Some(base.seal.header) };
        self.examined.bytes = self.examined.bytes.saturating_add(FIRST_FRAME);
        let Ok(reader) = SegmentReader::over_base(&path, base.seal.size) else {
            self.tip = behind(base);
            return None;
        };
        Some(OpenFile { reader, path, at: FIRST_FRAME, end: base.seal.size, of_base: true, newest: false })
    }

    /// One frame, or what is broken in place of one. False at the end of the file.
    fn step(&mut self, file: &mut OpenFile, found: &mut dyn FnMut(Flaw)) -> bool {
        let start = file.at;
        let going = self.step_inside(file, found);
        self.examined.bytes = self.examined.bytes.saturating_add(file.at.saturating_sub(start));
        if !going && file.of_base {
            self.tip = self.base.as_ref().map_or(self.tip, |base| behind(base));
        }
        going
    }

    fn step_inside(&mut self, file: &mut OpenFile, found: &mut dyn FnMut(Flaw)) -> bool {
        let at = file.at;
        if at >= file.end {
            if !file.newest && !file.of_base {
                found(Flaw::at(file.path.clone(), at, "a closed segment without its seal"));
                self.tip.hash = None;
            }
            return false;
        }
        let bytes = match file.reader.frame_at(at) {
            Ok(Ok(bytes)) => bytes,
            Ok(Err(FrameError(what))) => {
                found(Flaw::at(file.path.clone(), at, what));
                return self.go_on_behind(file, at.saturating_add(8));
            }
            Err(error) => {
                found(flaw_of(error, &file.path, at));
                return self.go_on_behind(file, at.saturating_add(CHUNK));
            }
        };
        let len = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
        let frame = match Frame::parse(bytes, &self.id.key) {
            Ok(frame) => frame,
            Err(FrameError(what)) => {
                found(Flaw::at(file.path.clone(), at, what));
                return self.pass_broken(file, len);
            }
        };
        self.examined.frames = self.examined.frames.saturating_add(1);
        let link = frame.link;
        let expected = self.tip.seq.saturating_add(1);
        let in_place = match self.tip.hash {
            Some(hash) => link.seq == expected && link.previous == hash,
            None => link.seq >= expected,
        };
        if !in_place || link.kind.is_of_a_segment() == file.of_base {
            found(Flaw::at(file.path.clone(), at, "a genuine frame out of its place"));
        }
        self.tip = Tip { seq: link.seq, hash: Some(frame.hash) };
        if let Err(FrameError(what)) = self.sum(&frame) {
            found(Flaw::at(file.path.clone(), at, what));
        }
        file.at = at.saturating_add(len);
        if link.kind != FrameKind::Seal {
            return true;
        }
        if !matches!(super::tail::is_zero(&mut file.reader, file.at), Ok(true)) {
            let flaw = Flaw::at(
                file.path.clone(),
                file.at,
                "bytes behind the seal that were never written; they hold nothing",
            );
            found(flaw.mendable());
        }
        file.at = file.end;
        false
    }

    /// A frame whose head is good and whose rest is not: its length leads to the next one.
    fn pass_broken(&mut self, file: &mut OpenFile, len: u64) -> bool {
        let next = file.at.saturating_add(len);
        let leads_on = match file.reader.frame_at(next) {
            Ok(Ok(bytes)) => FrameHead::parse_within(bytes, usize::MAX).is_ok(),
            _ => next == file.end,
        };
        if !leads_on {
            return self.go_on_behind(file, file.at.saturating_add(8));
        }
        self.tip = Tip { seq: self.tip.seq.saturating_add(1), hash: None };
        file.at = next;
        true
    }

    /// Looks for the next frame from `from` on.
    fn go_on_behind(&mut self, file: &mut OpenFile, from: u64) -> bool {
        self.tip.hash = None;
        let mut at = from;
        while at < file.end {
            // A head may begin at the end of a chunk.
            let ahead = u64::try_from(HEAD_LEN).unwrap_or(0);
            let len = CHUNK.saturating_add(ahead).min(file.end.saturating_sub(at));
            let chunk = match file.reader.bytes(at, usize::try_from(len).unwrap_or(0)) {
                Ok(Some(chunk)) => chunk,
                _ => &[],
            };
            if let Some(head) = next_head(chunk, self.tip.seq) {
                file.at = at.saturating_add(head);
                return true;
            }
            at = at.saturating_add(CHUNK);
        }
        file.at = file.end;
        file.newest |= !file.of_base; // what is missing at its end was told
        false
    }

    /// Adds what a frame holds to what all of them amount to.
    fn sum(&mut self, frame: &Frame<'_>) -> Result<(), FrameError> {
        let too_long = FrameError("a row that is too long");
        let leaf = |tree, key: &[u8], value: &[u8]| {
            digest::leaf(&self.state_key, tree, key, value.len(), &hash::sha256(&[value])).map_err(|_| too_long)
        };
        match frame.link.kind {
            FrameKind::Base => {
                let mut summed = Ok(());
                base::items(frame, |_, item| {
                    match item {
                        Item::Row { tree, key, value, .. } => match leaf(tree, key, value) {
                            Ok(leaf) => self.sums.digest.replace(tree, key, None, Some(&leaf)),
                            Err(error) => summed = Err(error),
                        },
                        Item::Entry(_) => self.sums.entries = self.sums.entries.saturating_add(1),
                        Item::Tally { .. } => {}
                    }
                    true
                })?;
                summed
            }
            FrameKind::Commit | FrameKind::Seal => {
                let contents = frame.contents()?;
                for write in &contents.writes {
                    let new = match write.op {
                        Op::Delete => None,
                        Op::Inline(value) | Op::Kept(value) => Some(leaf(write.tree, write.key, value)?),
                    };
                    self.sums.digest.replace(write.tree, write.key, write.old_leaf.as_ref(), new.as_ref());
                }
                self.sums.first_entry = contents.cut.unwrap_or(self.sums.first_entry);
                let entries = u64::try_from(contents.entries.len()).unwrap_or(u64::MAX);
                self.sums.entries = self.sums.entries.saturating_add(entries);
                Ok(())
            }
            FrameKind::BaseIndex | FrameKind::BaseSeal => Ok(()),
        }
    }
}

/// Behind the last frame that a base covers.
fn behind(base: &Base) -> Tip {
    Tip { seq: base.header.through.seq, hash: Some(base.header.through.hash) }
}

/// Where in a chunk, which starts at a multiple of eight, the next good head of a frame after `seq` is.
fn next_head(chunk: &[u8], seq: u64) -> Option<u64> {
    let mut rest = chunk;
    let mut at = 0;
    while rest.len() >= HEAD_LEN {
        let good = |head| FrameHead::parse_within(head, usize::MAX).is_ok_and(|head| head.seq > seq);
        if rest.starts_with(&MAGIC) && rest.get(..HEAD_LEN).is_some_and(good) {
            return Some(at);
        }
        rest = rest.get(8..).unwrap_or_default();
        at += 8;
    }
    None
}

/// An error of reading, as a finding.
fn flaw_of(error: StorageError, path: &Path, offset: u64) -> Flaw {
    match error {
        StorageError::Damaged { segment, offset, what } => Flaw::at(segment, offset, what),
        StorageError::Io { source, .. } if source.kind() == std::io::ErrorKind::NotFound => {
            Flaw::at(path.to_path_buf(), offset, "a file of the journal that is missing")
        }
        StorageError::Io { .. } => Flaw::at(path.to_path_buf(), offset, "bytes that the disk does not give back"),
        other => Flaw::at(path.to_path_buf(), offset, other.to_string()),
    }
}
