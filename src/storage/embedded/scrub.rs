//! The scrub: rows and journal a little at a time, round and round.

use std::sync::TryLockError;

use super::super::journal::check::JournalCheck;
use super::check::Wrong;
use super::*;
use crate::format::digest;
use crate::storage::flaw::{Examined, Examiner, TreesAre};

/// Bytes of the journal that are read for each row: rounds of both take about as long in a vault of usual records.
const BYTES_PER_ROW: u64 = 4 << 10;

/// How far a round has come.
#[derive(Default)]
pub(crate) struct Scrub {
    /// The next bucket among all.
    place: usize,
    rows: u64,
    bytes: u64,
    journal: Option<JournalCheck>,
    journal_done: bool,
    /// Set once something could not be mended: in this round nothing else will be, and to find that out again takes the
    /// whole journal.
    unmendable: bool,
}

impl Scrub {
    /// Rows and bytes of the journal that were read in this round.
    pub(crate) const fn examined(&self) -> (u64, u64) {
        (self.rows, self.bytes)
    }
}

impl Inner {
    /// Goes on for about so many rows, an empty bucket counting as one, or as much of the journal; gives how many, and whether
    /// the round ended.
    pub(super) fn scrub(
        &self,
        scrub: &mut Scrub,
        rows: u64,
        examiner: &mut dyn Examiner,
    ) -> Result<(u64, bool), StorageError> {
        let (mut done, mut wrong) = (0_u64, Wrong::default());
        while done < rows
            && let Some((tree, bucket)) = digest::Digest::at(scrub.place)
        {
            let read = self.check_bucket(tree, bucket, &mut wrong)?;
            // A row whose value is in the journal counts twice.
            let kept = std::mem::take(&mut wrong.kept);
            scrub.place += 1;
            scrub.rows = scrub.rows.saturating_add(read);
            done = done.saturating_add(read.max(1)).saturating_add(kept);
            if !examiner.passed(Examined { rows: scrub.rows, ..Examined::default() }, 0) {
                return Err(StorageError::Closed);
            }
        }
        let bytes = scrub.bytes;
        if !scrub.journal_done {
            self.scrub_journal(scrub, rows.saturating_mul(BYTES_PER_ROW), examiner);
        }
        // The two go on beside each other, and the longer one alone.
        done = done.max(scrub.bytes.saturating_sub(bytes) / BYTES_PER_ROW);
        let found = !wrong.is_empty();
        let are = self.mend(wrong, scrub.unmendable.then_some(false), examiner)?;
        if are == TreesAre::Mended {
            // What was compared before is gone.
            (scrub.place, scrub.rows) = (0, 0);
        } else {
            scrub.unmendable |= found;
        }
        let ended = scrub.journal_done && digest::Digest::at(scrub.place).is_none();
        if ended {
            self.check_state_files(examiner)?;
        }
        Ok((done, ended))
    }

    /// Not while files may be removed: then a compaction or a check reads them anyway.
    fn scrub_journal(&self, scrub: &mut Scrub, bytes: u64, examiner: &mut dyn Examiner) {
        let _files = match self.compacting.try_lock() {
            Ok(files) => files,
            Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
            Err(TryLockError::WouldBlock) => return,
        };
        let base = self.library.base().map(|base| base.header.through.seq);
        let same = |check: &JournalCheck| check.base() == base;
        let mut check = scrub.journal.take().filter(same).unwrap_or_else(|| self.journal_check(false));
        scrub.journal_done = !check.read_on(bytes, &mut |flaw| examiner.found(flaw));
        scrub.bytes = check.examined().bytes;
        if !scrub.journal_done {
            scrub.journal = Some(check);
        }
    }
}
