//! Walks the journal frame by frame, verifying each and its link to the one before.

use std::path::PathBuf;

use super::JournalId;
use super::files::Files;
use super::library::Library;
use super::reader::SegmentReader;
use super::segment::{FIRST_FRAME, Segment};
use super::tail::{self, Tail};
use crate::format::frame::{Frame, FrameError, FrameKind};
use crate::format::state::Place;
use crate::storage::StorageError;

/// What a walk to the end of the journal found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Walk {
    /// The last frame; `seq` 0 if there is none.
    pub(crate) tip: Place,
    /// The segment that the next frame goes to, and where.
    pub(crate) segment: Segment,
    pub(crate) next: u64,
    /// Highest header generation of the frames seen.
    pub(crate) header_generation: u64,
    pub(crate) tail: Tail,
    /// A segment that was made when the tip's segment was about to be sealed, and never used.
    pub(crate) unused_successor: Option<PathBuf>,
}

/// Called with each frame, where it stands, and its length in bytes.
pub(crate) type Visit<'a> = &'a mut dyn FnMut(&Frame<'_>, Place, usize) -> Result<(), StorageError>;

/// Walks from the frame behind `from` (which is verified as well, if there is one) to the end.
pub(crate) fn to_the_end(
    id: &JournalId,
    files: &Files,
    library: &Library,
    from: Place,
    visit: Visit<'_>,
) -> Result<Walk, StorageError> {
    let mut walker = Walker::start(id, files, library, from)?;
    loop {
        match walker.step(visit)? {
            Step::Frame => {}
            Step::End(broken) => return walker.finish(broken),
        }
    }
}

/// Walks from the frame behind `from` through `until`, which must be found just there.
pub(crate) fn between(
    id: &JournalId,
    files: &Files,
    library: &Library,
    (from, until): (Place, Place),
    visit: Visit<'_>,
) -> Result<(), StorageError> {
    let mut walker = Walker::start(id, files, library, from)?;
    while walker.tip.seq < until.seq {
        match walker.step(visit)? {
            Step::Frame => {}
            Step::End(broken) => return Err(walker.segment()?.damaged(walker.next, broken)),
        }
    }
    if walker.tip == until {
        Ok(())
    } else {
        Err(walker.segment()?.damaged(walker.tip.offset, "a frame that is not the one which was applied"))
    }
}

/// Walks from the end of the base, or from the first frame, through the seal that has this number and hash. Gives
/// where it stands, and the highest header generation up to there.
pub(crate) fn through_seal(
    id: &JournalId,
    files: &Files,
    library: &Library,
    (seq, hash): (u64, [u8; 32]),
    visit: Visit<'_>,
) -> Result<(Place, u64), StorageError> {
    let mut walker = Walker::start(id, files, library, Place::default())?;
    let mut seal = walker.tip;
    while walker.tip.seq < seq {
        let sealed = walker.segment()?;
        match walker.step(visit)? {
            Step::Frame => seal = walker.tip,
            Step::End(broken) => return Err(sealed.damaged(walker.next, broken)),
        }
    }
    if (seal.seq, seal.hash) == (seq, hash) {
        Ok((seal, walker.header_generation))
    } else {
        Err(walker.segment()?.damaged(0, "a segment that does not go on from the one before"))
    }
}

enum Step {
    Frame,
    /// There is no frame here, and why.
    End(&'static str),
}

struct Walker<'a> {
    id: &'a JournalId,
    files: &'a Files,
    library: &'a Library,
    /// Index of the present segment.
    at: usize,
    reader: SegmentReader,
    next: u64,
    tip: Place,
    header_generation: u64,
}

impl<'a> Walker<'a> {
    fn start(id: &'a JournalId, files: &'a Files, library: &'a Library, from: Place) -> Result<Self, StorageError> {
        let no_journal = || StorageError::NotAVault { path: id.dir.clone() };
        let covered = files.covered();
        if from.seq <= covered.seq {
            let first = files.segments.first().ok_or_else(no_journal)?;
            if first.header.first_seq != covered.seq.saturating_add(1) || first.header.previous != covered.hash {
                return Err(first.damaged(0, "a first segment that does not start where the journal does"));
            }
            let reader = SegmentReader::open(first)?;
            let header_generation = files.base.as_ref().map_or(0, |base| base.header.header_generation);
            return Ok(Self { id, files, library, at: 0, reader, next: FIRST_FRAME, tip: covered, header_generation });
        }
        let segments = &files.segments;
        let last = segments.last().ok_or_else(no_journal)?;
        let Some((at, segment)) =
            segments.iter().enumerate().find(|(_, segment)| segment.header.number == from.segment)
        else {
            let journal = last.header.first_seq.saturating_sub(1);
            return Err(StorageError::JournalBehind { journal, evidence: from.seq, witness: "the state file" });
        };
        let mut reader = SegmentReader::open(segment)?;
        let bytes = reader.frame_at(from.offset)?.map_err(|error| segment.damaged(from.offset, error.0))?;
        let frame = Frame::parse(bytes, &id.key).map_err(|error| segment.damaged(from.offset, error.0))?;
        if frame.link.seq != from.seq || frame.hash != from.hash {
            return Err(segment.damaged(from.offset, "a frame that is not the one the state file names"));
        }
        let next = from.offset.saturating_add(u64::try_from(bytes.len()).unwrap_or(u64::MAX));
        let sealed = frame.link.kind == FrameKind::Seal;
        let header_generation = frame.link.header_generation;
        let mut walker = Self { id, files, library, at, reader, next, tip: from, header_generation };
        if sealed {
            walker.next_segment()?;
        }
        Ok(walker)
    }

    fn segment(&self) -> Result<&'a Segment, StorageError> {
        self.files.segments.get(self.at).ok_or_else(|| StorageError::NotAVault { path: self.id.dir.clone() })
    }

    fn step(&mut self, visit: Visit<'_>) -> Result<Step, StorageError> {
        let segment = self.segment()?;
        let bytes = match self.reader.frame_at(self.next)? {
            Ok(bytes) => bytes,
            Err(FrameError(broken)) => return Ok(Step::End(broken)),
        };
        let frame = match Frame::parse(bytes, &self.id.key) {
            Ok(frame) => frame,
            Err(FrameError(broken)) => return Ok(Step::End(broken)),
        };
        let link = &frame.link;
        if link.seq != self.tip.seq.saturating_add(1) || link.previous != self.tip.hash || !link.kind.is_of_a_segment()
        {
            return Err(segment.damaged(self.next, "a genuine frame out of its place"));
        }
        let place = Place { seq: frame.link.seq, hash: frame.hash, segment: segment.header.number, offset: self.next };
        visit(&frame, place, bytes.len())?;
        let len = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
        self.library.note(place, len);
        self.tip = place;
        self.header_generation = self.header_generation.max(frame.link.header_generation);
        self.next = self.next.saturating_add(len);
        if frame.link.kind == FrameKind::Seal {
            self.next_segment()?;
        }
        Ok(Step::Frame)
    }

    /// After a seal: the next segment must be there and go on from it.
    fn next_segment(&mut self) -> Result<(), StorageError> {
        let sealed = self.segment()?;
        let Some(segment) = self.files.segments.get(self.at + 1) else {
            return Err(sealed.damaged(self.tip.offset, "a sealed segment whose successor is missing"));
        };
        if segment.header.first_seq != self.tip.seq.saturating_add(1) || segment.header.previous != self.tip.hash {
            return Err(segment.damaged(0, "a segment that does not go on from the one before"));
        }
        self.reader = SegmentReader::open(segment)?;
        self.at += 1;
        self.next = FIRST_FRAME;
        Ok(())
    }

    /// Judges what stands where no frame is.
    fn finish(mut self, broken: &'static str) -> Result<Walk, StorageError> {
        let segment = self.segment()?;
        let next_seq = self.tip.seq.saturating_add(1);
        let unused_successor = match self.files.segments.get(self.at + 1..).unwrap_or_default() {
            [] => None,
            [successor] if self.is_unused(successor)? => Some(successor.path.clone()),
            _ => return Err(segment.damaged(self.next, broken)),
        };
        let tail = tail::judge(segment, &mut self.reader, self.next, next_seq, &self.id.key, broken)?;
        Ok(Walk {
            tip: self.tip,
            segment: segment.clone(),
            next: self.next,
            header_generation: self.header_generation,
            tail,
            unused_successor,
        })
    }

    /// The successor is put in place before the seal is written. A crash between leaves it empty, and it names the
    /// frame that would have followed the seal.
    fn is_unused(&self, successor: &Segment) -> Result<bool, StorageError> {
        if successor.header.first_seq != self.tip.seq.saturating_add(2) {
            return Ok(false);
        }
        let mut reader = SegmentReader::open(successor)?;
        tail::is_zero(&mut reader, FIRST_FRAME)
    }
}
