//! Reads base and segments, whatever is wrong with them: each frame that verifies counts, wherever it stands.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::evidence::States;
use super::gaps::Gaps;
use super::reader::{Next, Reader};
use super::scratch::{EntryAt, Mark, Spot};
use super::{Context, Judge, Pace};
use crate::crypto::hash;
use crate::format::base::{self, BaseHeader, HEADER_LEN, Item};
use crate::format::digest::{self, Digest};
use crate::format::frame::{Contents, Entry, Frame, FrameKind, Offsets, Op, Write};
use crate::format::segment::{SegmentError, SegmentHeader};
use crate::format::state::Place;
use crate::storage::StorageError;
use crate::storage::file::{self, StoredFile};
use crate::storage::journal::base::Base;
use crate::storage::journal::segment::Segment;

const FIRST_FRAME: u64 = 512;
/// No vault comes as far: numbers in names prove nothing, and the new vault must be able to count on behind them.
const MOST: u64 = 1 << 62;

/// How far the journal was read.
#[derive(Default)]
pub(super) struct Walked {
    /// The frame behind which the next one was looked for; number 0 if there is none.
    pub(super) tip: Place,
    /// Highest number of a frame that was found.
    pub(super) highest: u64,
    pub(super) last_segment: u64,
    /// Digest of all rows after `tip`, if nothing is missing that it depends on.
    pub(super) digest: Option<Digest>,
    pub(super) gaps: Gaps,
    /// A base that verified as a whole.
    pub(super) base: Option<Arc<Base>>,
    /// Segments whose headers are whole.
    pub(super) segments: Vec<Segment>,
    /// Whether `tip` is where the reading started: a frame of any number may come next.
    anywhere: bool,
    /// Frames that something else than the journal remembers: number and hash.
    witnesses: Vec<(u64, [u8; 32])>,
    /// Whether another frame stands where one of these should: the journal went another way than what remembers them.
    pub(super) forked: bool,
}

impl Walked {
    /// Whether another frame of this number is remembered.
    fn contradicts(&self, seq: u64, hash: &[u8; 32]) -> bool {
        self.witnesses.iter().any(|(known, of)| *known == seq && of != hash)
    }
}

/// The numbers in the names of the journal's files.
struct Names {
    bases: Vec<u64>,
    segments: Vec<u64>,
}

impl Context<'_> {
    /// Notes all writes and entries of all genuine frames in the scratch trees.
    pub(super) fn read_journal(
        &mut self,
        states: &States,
        witnesses: Vec<(u64, [u8; 32])>,
        judge: &mut dyn Judge,
        pace: &mut Pace<'_, '_>,
    ) -> Result<Walked, StorageError> {
        let names = self.names()?;
        let mut walked = Walked { digest: Some(Digest::default()), witnesses, ..Walked::default() };
        let newest = names.bases.last().copied();
        for through in names.bases.iter().rev() {
            let base = Base::open(&self.journal, *through).and_then(|base| {
                let digest = base.verify(&self.state_key, &mut |_| {})?;
                Ok((base, digest))
            });
            match base {
                Ok((base, digest)) => {
                    let through = base.header.through;
                    walked.forked |= walked.contradicts(through.seq, &through.hash);
                    (walked.tip, walked.digest) = (base.header.through, Some(digest));
                    self.found.header_generation = self.found.header_generation.max(base.header.header_generation);
                    walked.base = Some(Arc::new(base));
                }
                Err(StorageError::UnknownFormat { path, found, newest }) => {
                    return Err(StorageError::UnknownFormat { path, found, newest });
                }
                Err(error) => {
                    self.found.base_damaged |= Some(*through) == newest;
                    self.found.wound(&self.journal.base_path(*through), place_of(&error), what_of(&error));
                    if walked.base.is_none() {
                        (walked.digest, walked.anywhere) = (None, true);
                    }
                }
            }
            self.read_base(*through, judge, pace)?;
            if walked.base.is_some() {
                break;
            }
        }
        let covered = walked.base.as_ref().map_or(0, |base| base.header.through.segment);
        walked.highest = walked.tip.seq.max(newest.unwrap_or(0));
        walked.last_segment = names.segments.last().map_or(covered, |last| covered.max(*last));
        for number in names.segments.into_iter().filter(|number| *number > covered) {
            self.read_segment(number, states, &mut walked, judge, pace)?;
        }
        Ok(walked)
    }

    fn names(&self) -> Result<Names, StorageError> {
        let mut names = Names { bases: Vec::new(), segments: Vec::new() };
        for name in file::names(&self.journal.dir)? {
            let is = |path: PathBuf| path.file_name().is_some_and(|expected| *expected == *name);
            let Some(stem) = name.strip_suffix(".cvj") else { continue };
            let number = |digits: &str| digits.parse().ok().filter(|number| *number < MOST);
            if let Some(through) = stem.strip_prefix("base-").and_then(number) {
                names.bases.extend(is(self.journal.base_path(through)).then_some(through));
            } else if let Some(number) = number(stem) {
                names.segments.extend(is(self.journal.segment_path(number)).then_some(number));
            }
        }
        names.bases.sort_unstable();
        names.segments.sort_unstable();
        Ok(names)
    }

    fn source(&mut self, path: &Path) -> Result<u32, StorageError> {
        self.scratch.files.0.push(StoredFile::open(path)?);
        u32::try_from(self.scratch.files.0.len() - 1).map_err(|_| StorageError::Refused { why: "too many files" })
    }

    /// Notes what a base holds, frame by frame.
    fn read_base(&mut self, through: u64, judge: &mut dyn Judge, pace: &mut Pace<'_, '_>) -> Result<(), StorageError> {
        let path = self.journal.base_path(through);
        let Ok(mut reader) = Reader::open(&path) else { return Ok(()) };
        let file = self.source(&path)?;
        let key = self.journal.key.clone();
        let mut header = None;
        if let Ok(bytes) = reader.bytes(0, HEADER_LEN).try_into()
            && let Ok((found, checksum)) = BaseHeader::parse(bytes)
            && found.vault == self.journal.vault
        {
            header = Some((found, checksum));
            self.found.header_generation = self.found.header_generation.max(found.header_generation);
        }
        // Only what a genuine frame vouches for.
        let sealed = Base::open(&self.journal, through).ok();
        let mut first_entry = sealed.map(|base| base.header.first_entry);
        let mut at = FIRST_FRAME;
        while let Next::Frame { offset, len } = reader.next(at, &key) {
            at = offset.saturating_add(u64::try_from(len).unwrap_or(u64::MAX));
            pace.add(len)?;
            let Ok(frame) = Frame::parse(reader.bytes(offset, len), &key) else { continue };
            if let Some((header, checksum)) = &header
                && (frame.link.seq, &frame.link.previous) == (1, checksum)
            {
                first_entry = Some(header.first_entry);
            }
            if frame.link.kind != FrameKind::Base {
                continue;
            }
            let begins = first_entry.unwrap_or(0);
            self.removed.base(begins);
            let (mut inside, mut noted) = (u64::from(Offsets::start().first()), Ok(()));
            let read = base::items(&frame, |origin, item| {
                let end = inside.saturating_add(u64::try_from(item.encoded_len()).unwrap_or(u64::MAX));
                noted = match &item {
                    Item::Row { tree, key, value, inline } => {
                        let start = end.saturating_sub(u64::try_from(value.len()).unwrap_or(0));
                        let spot = spot(file, offset.saturating_add(start), value);
                        self.scratch.note(*tree, key, &Mark { at: origin, inline: *inline, value: Some(spot) })
                    }
                    Item::Entry(entry) => {
                        self.note_entry(entry, (file, offset.saturating_add(inside + ORIGIN_LEN)), judge)
                    }
                    Item::Tally { subject, entries } => {
                        self.removed.count(*subject, begins, *entries);
                        Ok(())
                    }
                };
                inside = end;
                noted.is_ok()
            });
            noted?;
            if read.is_err() {
                self.found.wound(&path, offset, "a genuine frame that this version cannot read");
            }
        }
        Ok(())
    }

    fn read_segment(
        &mut self,
        number: u64,
        states: &States,
        walked: &mut Walked,
        judge: &mut dyn Judge,
        pace: &mut Pace<'_, '_>,
    ) -> Result<(), StorageError> {
        let path = self.journal.segment_path(number);
        let mut reader = match Reader::open(&path) {
            Ok(reader) => reader,
            Err(StorageError::Io { .. }) => {
                self.found.wound(&path, 0, "a segment that cannot be opened");
                return Ok(());
            }
            Err(error) => return Err(error),
        };
        let file = self.source(&path)?;
        match self.segment_header(&path, number, &mut reader)? {
            Ok(header) => walked.segments.push(Segment { path: path.clone(), header }),
            Err(what) => self.found.wound(&path, 0, what),
        }
        let key = self.journal.key.clone();
        let mut at = FIRST_FRAME;
        loop {
            let (offset, len) = match reader.next(at, &key) {
                Next::Frame { offset, len } => (offset, len),
                Next::End { nonzero } => {
                    // What stands behind the newest frame of all is judged later.
                    if nonzero && number < walked.last_segment {
                        self.found.wound(&path, at, "no frame, where there should be one");
                    }
                    break;
                }
            };
            if offset != at {
                self.found.wound(&path, at, "no frame, where there should be one");
            }
            pace.add(len)?;
            at = offset.saturating_add(u64::try_from(len).unwrap_or(u64::MAX));
            let parsed = Frame::parse(reader.bytes(offset, len), &key);
            let Some((frame, contents)) = parsed.and_then(|frame| Ok((frame, frame.contents()?))).ok() else {
                self.found.wound(&path, offset, "a genuine frame that this version cannot read");
                continue;
            };
            let place = Place { seq: frame.link.seq, hash: frame.hash, segment: number, offset };
            self.frame(&frame, &contents, (place, file), states, walked, judge)?;
        }
        if let Some(offset) = reader.unreadable {
            self.found.wound(&path, offset, "the disk does not give these bytes");
        }
        Ok(())
    }

    fn segment_header(
        &self,
        path: &Path,
        number: u64,
        reader: &mut Reader,
    ) -> Result<Result<SegmentHeader, &'static str>, StorageError> {
        let size = reader.size;
        let Ok(bytes) = reader.bytes(0, HEADER_LEN).try_into() else {
            return Ok(Err("a segment shorter than its header"));
        };
        Ok(match SegmentHeader::parse(bytes) {
            Err(SegmentError::UnknownFormat(found)) => {
                let newest = crate::format::segment::FORMAT;
                return Err(StorageError::UnknownFormat { path: path.to_path_buf(), found, newest });
            }
            Err(SegmentError::Damaged(what)) => Err(what),
            Ok(header) if header.vault != self.journal.vault => Err("a segment of another vault"),
            Ok(header) if header.number != number => Err("a segment under another one's name"),
            Ok(header) if header.size != size => Err("a segment that does not have the size its header says"),
            Ok(header) => Ok(header),
        })
    }

    /// Finds the place of a frame in the chain, and notes what it holds.
    fn frame(
        &mut self,
        frame: &Frame<'_>,
        contents: &Contents<'_>,
        (place, file): (Place, u32),
        states: &States,
        walked: &mut Walked,
        judge: &mut dyn Judge,
    ) -> Result<(), StorageError> {
        let (link, tip) = (&frame.link, walked.tip);
        let next = tip.seq.saturating_add(1);
        if walked.contradicts(link.seq, &frame.hash) {
            walked.forked = true;
            let path = self.journal.segment_path(place.segment);
            self.found.wound(&path, place.offset, "another frame than the one that state files or trees remember");
        }
        let stray = link.seq <= tip.seq && !walked.anywhere;
        if stray {
            self.found.strays += 1;
            self.found.wound(&self.journal.segment_path(place.segment), place.offset, "a frame out of its place");
            if !walked.gaps.fill(link.seq) {
                return Ok(());
            }
        } else {
            if link.seq != next || link.previous != tip.hash {
                walked.digest = None;
                if !walked.anywhere {
                    walked.gaps.push(next, link.seq.saturating_sub(1));
                }
            }
            if walked.digest.is_none() {
                walked.digest = states.digest_at(link.seq.saturating_sub(1), &link.previous);
            }
            (walked.tip, walked.anywhere) = (place, false);
        }
        self.removed.cut(contents.cut.unwrap_or(0));
        self.found.frames += 1;
        self.found.header_generation = self.found.header_generation.max(link.header_generation);
        walked.highest = walked.highest.max(place.seq);
        let mut offsets = Offsets::start();
        for (write, ordinal) in contents.writes.iter().zip(0_u32..) {
            self.write(write, (place, file), ordinal, &mut offsets, walked, !stray)?;
        }
        offsets.entries(contents.cut);
        for entry in &contents.entries {
            let start = offsets.entry(entry.bytes.len(), entry.subjects.len()).saturating_sub(2);
            self.note_entry(entry, (file, place.offset.saturating_add(start.into())), judge)?;
        }
        if walked.digest.is_none() && !stray {
            walked.digest = states.digest_at(place.seq, &place.hash);
        }
        Ok(())
    }

    fn write(
        &self,
        write: &Write<'_>,
        (place, file): (Place, u32),
        ordinal: u32,
        offsets: &mut Offsets,
        walked: &mut Walked,
        in_order: bool,
    ) -> Result<(), StorageError> {
        let (value, inline) = match write.op {
            Op::Delete => (None, false),
            Op::Inline(value) => (Some(value), true),
            Op::Kept(value) => (Some(value), false),
        };
        let start = offsets.write(write.key.len(), value.map_or(0, <[u8]>::len), write.old_leaf.is_some());
        let spot = value.map(|value| spot(file, place.offset.saturating_add(start.into()), value));
        if let Some(digest) = walked.digest.as_mut().filter(|_| in_order) {
            let leaf = spot.map(|spot| self.leaf(write.tree, write.key, &spot)).transpose()?;
            digest.replace(write.tree, write.key, write.old_leaf.as_ref(), leaf.as_ref());
        }
        self.scratch.note(write.tree, write.key, &Mark { at: (place.seq, ordinal), inline, value: spot })
    }

    /// The digest's leaf of a value.
    pub(super) fn leaf(
        &self,
        tree: crate::format::keys::Tree,
        key: &[u8],
        value: &Spot,
    ) -> Result<[u8; 32], StorageError> {
        let len = usize::try_from(value.len).unwrap_or(usize::MAX);
        digest::leaf(&self.state_key, tree, key, len, &value.hash)
            .map_err(|_| StorageError::Refused { why: "a value is too long" })
    }

    /// Notes an entry that stands at `offset` of a file, with its length before it and its subjects behind.
    fn note_entry(
        &mut self,
        entry: &Entry<'_>,
        (file, offset): (u32, u64),
        judge: &mut dyn Judge,
    ) -> Result<(), StorageError> {
        let Some(number) = judge.entry(entry.bytes, true) else { return Ok(()) };
        let mut bytes = Vec::with_capacity(Entry::encoded_len(entry.bytes.len(), entry.subjects.len()));
        if Entry::encode(entry.bytes, &entry.subjects, &mut bytes).is_ok() {
            self.scratch.note_entry(number, &EntryAt::Frame(spot(file, offset, &bytes)))?;
        }
        Ok(())
    }
}

/// Bytes of an item's sort and origin.
const ORIGIN_LEN: u64 = 1 + 8 + 4;

fn spot(file: u32, offset: u64, bytes: &[u8]) -> Spot {
    Spot { file, offset, len: u32::try_from(bytes.len()).unwrap_or(u32::MAX), hash: hash::sha256(&[bytes]) }
}

const fn place_of(error: &StorageError) -> u64 {
    if let StorageError::Damaged { offset, .. } = error { *offset } else { 0 }
}

const fn what_of(error: &StorageError) -> &'static str {
    if let StorageError::Damaged { what, .. } = error { what } else { "a base that cannot be used" }
}
