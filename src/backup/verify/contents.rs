//! Reads the journal that pieces make up, in order, without a key: that each frame is whole and goes on from the one before, and
//! each log entry likewise. Holds a piece and a frame at most.

use chartvault_verify::chain::{Chain, ChainFault};
use chartvault_verify::merkle::Frontier;

use super::findings::BackupFlaw;
use crate::backup::manifest::Tip;
use crate::format::base::{self, BaseHeader, Item};
use crate::format::frame::{Frame, FrameError, FrameHead, FrameKind, HEAD_LEN, MAX_LEN};
use crate::format::segment::{HEADER_LEN, SegmentError, SegmentHeader};
use crate::ids::VaultId;
use crate::storage::copy::{JournalFile, Part};

/// A journal being read.
pub(super) struct Contents {
    vault: VaultId,
    file: Option<(JournalFile, u64)>,
    /// What comes next in the file.
    next: Next,
    /// Bytes that were not understood yet, and where the first of them is in the file.
    waiting: Vec<u8>,
    at: u64,
    /// Number and hash of the last frame of a segment, or of the last one that the base covers.
    tip: (u64, [u8; 32]),
    /// Number of the segment that has to come next, where that is known.
    coming: Option<u64>,
    log: Chain,
    /// The tree over the log, where all of it was seen.
    tree: Option<Frontier>,
    begun: bool,
}

enum Next {
    Header,
    /// In a base: number and hash of its last frame.
    BaseFrame(u64, [u8; 32]),
    Frame,
    /// Nothing but zeros.
    Nothing,
}

impl Contents {
    pub(super) fn new(vault: VaultId) -> Self {
        let log = Chain::new(*vault.as_bytes(), 0);
        let tree = Some(Frontier::default());
        let (waiting, next) = (Vec::new(), Next::Header);
        let tip = (0, [0; 32]);
        Self { vault, file: None, next, waiting, at: 0, tip, coming: None, log, tree, begun: false }
    }

    /// Takes the next piece.
    pub(super) fn take(&mut self, part: &Part, bytes: &[u8]) -> Result<(), BackupFlaw> {
        if self.file.is_none_or(|(file, _)| file != part.file) {
            self.begin(part)?;
        }
        let end = self.at.saturating_add(u64::try_from(self.waiting.len()).unwrap_or(u64::MAX));
        // What a piece leaves out at the end of a closed segment are zeros.
        let goes_on = part.offset == end || (part.offset > end && matches!(self.next, Next::Nothing));
        if !goes_on {
            return Err(self.broken("a piece that does not go on from the one before"));
        }
        self.waiting.extend_from_slice(bytes);
        self.read()
    }

    fn begin(&mut self, part: &Part) -> Result<(), BackupFlaw> {
        if self.file.is_some() && !matches!(self.next, Next::Nothing) {
            return Err(self.broken("a file that ends before its last frame"));
        }
        self.file = Some((part.file, part.size));
        (self.next, self.at) = (Next::Header, 0);
        self.waiting.clear();
        let fits = match part.file {
            JournalFile::Base { .. } => !self.begun,
            JournalFile::Segment { number } => match self.coming {
                Some(coming) => coming == number,
                None => !self.begun && number == 1,
            },
        };
        if part.offset != 0 || !fits {
            return Err(self.broken("a file that does not follow the one before"));
        }
        self.begun = true;
        Ok(())
    }

    fn read(&mut self) -> Result<(), BackupFlaw> {
        let waiting = std::mem::take(&mut self.waiting);
        let mut used = 0;
        let read = self.read_from(&waiting, &mut used);
        self.waiting = waiting.get(used..).unwrap_or_default().to_vec();
        read
    }

    fn read_from(&mut self, waiting: &[u8], used: &mut usize) -> Result<(), BackupFlaw> {
        loop {
            let rest = waiting.get(*used..).unwrap_or_default();
            let taken = match self.next {
                Next::Header => match rest.first_chunk::<HEADER_LEN>() {
                    Some(header) => {
                        self.header(header)?;
                        HEADER_LEN
                    }
                    None => return Ok(()),
                },
                Next::Nothing => {
                    if rest.iter().any(|byte| *byte != 0) {
                        return Err(self.broken("something behind the last frame of a file"));
                    }
                    rest.len()
                }
                Next::Frame | Next::BaseFrame(..) => {
                    let Some(head) = rest.get(..HEAD_LEN) else { return Ok(()) };
                    let limit = crate::format::frame::BASE_MAX_LEN;
                    let len = FrameHead::parse_within(head, limit).map_err(|error| self.broken(error.0))?.len;
                    let Some(bytes) = rest.get(..len) else { return Ok(()) };
                    self.frame(bytes)?;
                    len
                }
            };
            *used = used.saturating_add(taken);
            self.at = self.at.saturating_add(u64::try_from(taken).unwrap_or(u64::MAX));
            if taken == 0 {
                return Ok(());
            }
        }
    }

    fn header(&mut self, bytes: &[u8; HEADER_LEN]) -> Result<(), BackupFlaw> {
        let Some((file, size)) = self.file else { return Ok(()) };
        let damaged = |error| match error {
            SegmentError::Damaged(what) => what,
            SegmentError::UnknownFormat(_) => "a file of a format that this version does not know",
        };
        match file {
            JournalFile::Base { through } => {
                let (header, checksum) = BaseHeader::parse(bytes).map_err(|error| self.broken(damaged(error)))?;
                if header.vault != self.vault || header.through.seq != through {
                    return Err(self.broken("another base than the manifest names"));
                }
                self.tip = (header.through.seq, header.through.hash);
                self.coming = header.through.segment.checked_add(1);
                if header.first_entry > 0 {
                    self.log = Chain::new(*self.vault.as_bytes(), header.first_entry);
                    self.tree = None;
                }
                self.next = Next::BaseFrame(0, checksum);
            }
            JournalFile::Segment { number } => {
                let header = SegmentHeader::parse(bytes).map_err(|error| self.broken(damaged(error)))?;
                if (header.vault, header.number, header.size) != (self.vault, number, size) {
                    return Err(self.broken("another segment than the manifest names"));
                }
                if (Some(header.first_seq), header.previous) != (self.tip.0.checked_add(1), self.tip.1) {
                    return Err(self.broken("a segment that does not go on from the one before"));
                }
                self.coming = number.checked_add(1);
                self.next = Next::Frame;
            }
        }
        Ok(())
    }

    fn frame(&mut self, bytes: &[u8]) -> Result<(), BackupFlaw> {
        let frame = Frame::parse_whole(bytes).map_err(|error| self.broken(error.0))?;
        if let Next::BaseFrame(seq, previous) = self.next {
            if Some(frame.link.seq) != seq.checked_add(1) || frame.link.previous != previous {
                return Err(self.broken("a frame out of its place"));
            }
            self.next = match frame.link.kind {
                FrameKind::Base => {
                    self.items(&frame)?;
                    Next::BaseFrame(frame.link.seq, frame.hash)
                }
                FrameKind::BaseIndex => Next::BaseFrame(frame.link.seq, frame.hash),
                FrameKind::BaseSeal => Next::Nothing,
                FrameKind::Commit | FrameKind::Seal => return Err(self.broken("a frame of a segment in a base")),
            };
            return Ok(());
        }
        if bytes.len() > MAX_LEN || !frame.link.kind.is_of_a_segment() {
            return Err(self.broken("a frame of a base in a segment"));
        }
        if Some(frame.link.seq) != self.tip.0.checked_add(1) || frame.link.previous != self.tip.1 {
            return Err(self.broken("a frame out of its place"));
        }
        self.tip = (frame.link.seq, frame.hash);
        if frame.link.kind == FrameKind::Seal {
            self.next = Next::Nothing;
            return Ok(());
        }
        let contents = frame.contents().map_err(|error| self.broken(error.0))?;
        contents.entries.iter().try_for_each(|entry| self.entry(entry.bytes)).map_err(BackupFlaw::Log)
    }

    fn items(&mut self, frame: &Frame<'_>) -> Result<(), BackupFlaw> {
        let mut followed = Ok(());
        let read: Result<(), FrameError> = base::items(frame, |_, item| {
            if let Item::Entry(entry) = item {
                followed = self.entry(entry.bytes);
            }
            followed.is_ok()
        });
        followed.map_err(BackupFlaw::Log)?;
        read.map_err(|error| self.broken(error.0))
    }

    fn entry(&mut self, bytes: &[u8]) -> Result<(), ChainFault> {
        let (_, leaf) = self.log.follow(bytes)?;
        if let Some(tree) = &mut self.tree {
            tree.push(leaf, &mut |_, _| ());
        }
        Ok(())
    }

    /// Compares with what a whole manifest says, once all its pieces were taken.
    pub(super) fn ends_as(&self, tip: &Tip) -> Result<(), BackupFlaw> {
        if !self.waiting.is_empty() || self.tip != (tip.frame, tip.hash) || self.log.next() != tip.entries {
            return Err(BackupFlaw::OtherEnd);
        }
        match (&self.tree, tip.root) {
            (Some(tree), Some(root)) if tree.root() != root => Err(BackupFlaw::OtherRoot),
            _ => Ok(()),
        }
    }

    fn broken(&self, what: &'static str) -> BackupFlaw {
        let file = self.file.map_or_else(|| "at its beginning".to_owned(), |(file, _)| format!("in {file}"));
        BackupFlaw::Journal { place: format!("{file} at byte {}", self.at), what }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::crypto::hash::HmacKey;
    use crate::format::frame::{Entry, FrameWriter, Link};

    const VAULT: VaultId = VaultId::from_bytes([7; 16]);
    const SIZE: u64 = 4_096;

    /// The beginning of a segment: its header, and a frame with this entry.
    fn segment(entry: &[u8]) -> Vec<u8> {
        let header = SegmentHeader { vault: VAULT, number: 1, first_seq: 1, previous: [0; 32], size: SIZE };
        let mut bytes = header.encode();
        let link = Link { seq: 1, previous: [0; 32], header_generation: 1, kind: FrameKind::Commit };
        let mut frame = Vec::new();
        let mut writer = FrameWriter::new(&mut frame, &link, Entry::encoded_len(entry.len(), 0), 0).unwrap();
        Entry::encode(entry, &[], writer.entries(1).unwrap()).unwrap();
        writer.finish(&HmacKey::new(&[1; 32])).unwrap();
        bytes.extend_from_slice(&frame);
        bytes
    }

    fn part(offset: u64, len: usize) -> Part {
        let len = u64::try_from(len).unwrap();
        Part { file: JournalFile::Segment { number: 1 }, size: SIZE, offset, len }
    }

    #[test]
    fn a_frame_that_is_whole_with_an_entry_that_is_none_is_found() {
        let bytes = segment(b"no entry");
        let mut contents = Contents::new(VAULT);
        let flaw = contents.take(&part(0, bytes.len()), &bytes);
        assert!(matches!(flaw, Err(BackupFlaw::Log(fault)) if fault.seq == 0), "{flaw:?}");
    }

    #[test]
    fn every_flipped_bit_of_a_frame_is_found_however_the_pieces_are_cut() {
        let bytes = segment(b"no entry");
        for at in HEADER_LEN..bytes.len() {
            // The authentication code is what nobody sees without the key.
            if (bytes.len() - 40..bytes.len() - 8).contains(&at) {
                continue;
            }
            let mut bad = bytes.clone();
            bad[at] ^= 1;
            let cut = at - 100;
            let mut contents = Contents::new(VAULT);
            let (one, two) = bad.split_at(cut);
            let flaw = contents
                .take(&part(0, one.len()), one)
                .and_then(|()| contents.take(&part(u64::try_from(cut).unwrap(), two.len()), two));
            let waits = flaw.is_ok() && !contents.waiting.is_empty();
            assert!(waits || matches!(flaw, Err(BackupFlaw::Journal { .. })), "byte {at}: {flaw:?}");
        }
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..900), at in 0_usize..800, base: bool) {
            let mut given = segment(b"no entry");
            given.truncate(at);
            given.extend_from_slice(&bytes);
            let file = if base { JournalFile::Base { through: 3 } } else { JournalFile::Segment { number: 1 } };
            let mut contents = Contents::new(VAULT);
            let _ = contents.take(&Part { file, ..part(0, given.len()) }, &given);
            let _ = contents.take(&Part { file, ..part(u64::try_from(given.len()).unwrap(), bytes.len()) }, &bytes);
        }
    }
}
