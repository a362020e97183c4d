//! The files of a journal, found in order: the newest base, the segments behind it, and what it made superfluous.

use std::path::PathBuf;
use std::sync::Arc;

use super::JournalId;
use super::base::Base;
use super::segment::{self, Segment};
use crate::format::state::Place;
use crate::storage::StorageError;
use crate::storage::file;

/// What a journal consists of.
pub(crate) struct Files {
    pub(crate) base: Option<Arc<Base>>,
    /// The segments that the base does not cover, ascending, without a gap; at least one.
    pub(crate) segments: Vec<Segment>,
    /// Files that the base covers, in the order in which they are to be removed.
    pub(crate) covered_files: Vec<PathBuf>,
}

impl Files {
    /// Finds all files. Each header is checked, and so is that none is missing between them.
    pub(crate) fn list(id: &JournalId) -> Result<Self, StorageError> {
        let (mut numbers, mut bases) = (Vec::new(), Vec::new());
        for name in file::names(&id.dir)? {
            let is = |path: PathBuf| path.file_name().is_some_and(|expected| *expected == *name);
            let Some(stem) = name.strip_suffix(".cvj") else { continue };
            if let Some(through) = stem.strip_prefix("base-").and_then(|digits| digits.parse().ok()) {
                bases.extend(is(id.base_path(through)).then_some(through));
            } else if let Ok(number) = stem.parse() {
                numbers.extend(is(id.segment_path(number)).then_some(number));
            }
        }
        numbers.sort_unstable();
        bases.sort_unstable();
        let base = bases.pop().map(|through| Base::open(id, through)).transpose()?.map(Arc::new);
        let last_covered = base.as_ref().map_or(0, |base| base.header.through.segment);
        let (covered, numbers): (Vec<u64>, Vec<u64>) = numbers.into_iter().partition(|number| *number <= last_covered);
        let covered_files = bases.into_iter().map(|through| id.base_path(through));
        let covered_files = covered_files.chain(covered.into_iter().map(|number| id.segment_path(number))).collect();
        let segments = numbers
            .into_iter()
            .map(|number| segment::read(id, number, id.segment_path(number)))
            .collect::<Result<Vec<_>, _>>()?;
        for (number, segment) in (last_covered.saturating_add(1)..).zip(&segments) {
            if segment.header.number != number {
                return Err(segment.damaged(0, "the segment before this one is missing"));
            }
        }
        match (&base, segments.is_empty()) {
            (None, true) => Err(StorageError::NotAVault { path: id.dir.clone() }),
            (Some(base), true) => Err(base.damaged(0, "the segment that goes on from this base is missing")),
            _ => Ok(Self { base, segments, covered_files }),
        }
    }

    /// The last frame that the base covers; the place before the first frame where there is none.
    pub(crate) fn covered(&self) -> Place {
        self.base.as_ref().map(|base| base.header.through).unwrap_or_default()
    }

    /// Bytes of base and segments.
    pub(crate) fn bytes(&self) -> u64 {
        let segments: u64 = self.segments.iter().map(|segment| segment.header.size).sum();
        segments.saturating_add(self.base.as_ref().map_or(0, |base| base.seal.size))
    }
}
