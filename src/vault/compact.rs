//! Compacting the journal: by hand, and by the keeper when it is due.

use std::fmt;
use std::sync::PoisonError;
use std::sync::atomic::Ordering;

use super::Vault;
use crate::audit::{AuditEvent, Draft, Outcome};
use crate::error::Error;
use crate::progress::OnProgress;
use crate::storage::Compacted;
use crate::unlocked::Unlocked;

/// What a compaction of the journal did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Compaction {
    /// The last journal frame that was compacted.
    pub through_frame: u64,
    /// Rows that were kept.
    pub rows: u64,
    /// Log entries that were kept: all that were not pruned.
    pub entries: u64,
    /// Bytes of the files that were replaced.
    pub bytes_before: u64,
    /// Bytes of the file that replaced them.
    pub bytes_after: u64,
}

impl From<Compacted> for Compaction {
    fn from(compacted: Compacted) -> Self {
        let Compacted { through, rows, entries, bytes_before, bytes_after } = compacted;
        Self { through_frame: through, rows, entries, bytes_before, bytes_after }
    }
}

impl fmt::Display for Compaction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { through_frame, rows, entries, bytes_before, bytes_after } = self;
        write!(
            f,
            "through frame {through_frame}: {rows} rows, {entries} entries, {bytes_before} to {bytes_after} bytes"
        )
    }
}

impl Vault {
    /// Compacts the journal: makes one file of all closed segments, without the values that were overwritten or deleted
    /// since and without pruned log entries, and removes the segments. No other log entry is ever dropped. Where entries were pruned
    /// since the last time, it closes the segment in use first, and builds the trees anew at the end, so that no file holds
    /// their bytes any more; reading the log waits for the latter. Others go on reading and writing meanwhile. It reads
    /// the closed journal four times and needs free space for what is left of it; happens by itself when it pays
    /// ([`Options::compact_share`](crate::Options::compact_share)). Nothing where no segment was closed since the last
    /// time. The log has an entry.
    ///
    /// # Errors
    /// [`Error::Storage`] when the disk is full or the journal is damaged: then nothing was removed, and the vault goes
    /// on. [`Error::Sealed`], also when the vault is closed meanwhile; [`Error::AuditUnavailable`].
    pub fn compact(&self) -> Result<Option<Compaction>, Error> {
        self.compact_with(&mut |_| ())
    }

    /// [`Vault::compact`], reporting progress.
    ///
    /// # Errors
    /// As [`Vault::compact`].
    pub fn compact_with(&self, progress: OnProgress<'_>) -> Result<Option<Compaction>, Error> {
        let stopping = &self.0.keeper.stopping;
        compact(&*self.0.gate.enter()?, progress, &|| !stopping.load(Ordering::Relaxed))
    }
}

/// The entry is durable before anything is removed.
pub(super) fn compact(
    unlocked: &Unlocked,
    progress: OnProgress<'_>,
    go_on: &dyn Fn() -> bool,
) -> Result<Option<Compaction>, Error> {
    // From the first look to the last removal: whoever is told of a compaction finds no file left that it covers.
    let _one = unlocked.compacting.lock().unwrap_or_else(PoisonError::into_inner);
    let storage = unlocked.committer.storage();
    let cut = storage.holds_cut();
    if cut {
        // Where the log says that entries go nothing of them is to be left: so the segment that says it is compacted, too.
        unlocked.committer.catch_up()?;
        unlocked.committer.settle();
        unlocked.committer.close_segment()?;
    }
    let compaction = compact_closed(unlocked, progress, go_on)?;
    if cut {
        storage.renew_trees()?;
    }
    Ok(compaction)
}

fn compact_closed(
    unlocked: &Unlocked,
    progress: OnProgress<'_>,
    go_on: &dyn Fn() -> bool,
) -> Result<Option<Compaction>, Error> {
    let storage = unlocked.committer.storage();
    let Some(compaction) = storage.compact(progress, go_on)?.map(Compaction::from) else { return Ok(None) };
    let mut draft = Draft::new(AuditEvent::JournalCompacted, Outcome::Allowed);
    draft.fields.detail = Some(compaction.to_string());
    unlocked.commit(Vec::new(), vec![draft])?;
    storage.remove_compacted(compaction.through_frame)?;
    Ok(Some(compaction))
}
