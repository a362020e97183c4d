//! Brings the journal back, and ends it where the wanted state ends.

use std::path::Path;

use super::choose::Chosen;
use super::mark::Mark;
use super::packed::Opened;
use super::{BackupFault, RestorePoint};
use crate::audit::{self, AuditKeys, EntryRef, SubjectKey};
use crate::backup::BackupIdentity;
use crate::backup::manifest::{Manifest, Piece};
use crate::backup::shelf::Shelf;
use crate::clock::Timestamp;
use crate::crypto::hash;
use crate::error::Error;
use crate::keyring::Keyring;
use crate::progress::{OnProgress, Progress, Task};
use crate::storage::StorageError;
use crate::storage::copy::{self, Part};

/// Pieces after which it is noted how far the copy came.
const NOTED_AFTER: u64 = 8;

/// Puts all pieces in their places that are not there yet; gives their bytes.
pub(super) fn copy(
    path: &Path,
    (shelf, chosen, identities): (Shelf<'_>, &Chosen, &[BackupIdentity]),
    mark: &mut Mark,
    progress: OnProgress<'_>,
) -> Result<u64, Error> {
    let all = || chosen.manifests().flat_map(|of| of.pieces.iter().map(|piece| (of.number, piece)));
    let held = all().take(usize::try_from(mark.pieces).unwrap_or(usize::MAX));
    let (held, copied) = held.fold((0_u64, [0; 32]), |(count, hash), (_, piece)| (count + 1, and(&hash, piece)));
    let begin = Some(chosen.begin());
    if mark.chain == begin && held < mark.pieces {
        // More of this copy was here already: manifests were taken away since.
        return Err(BackupFault::Broken { number: chosen.last().manifest.number }.into());
    }
    if mark.chain != begin || mark.copied != copied {
        // What is there is of another copy, and nothing counts that is being removed.
        (mark.chain, mark.pieces, mark.copied) = (None, 0, [0; 32]);
        mark.write(path)?;
        copy::JournalCopy::remove(path)?;
        mark.chain = begin;
        mark.write(path)?;
    }
    let Manifest { vault, end, .. } = &chosen.last().manifest;
    let mut journal = copy::JournalCopy::begin(path, *vault, end.file)?;
    let total: u64 = all().map(|(_, piece)| piece.part.len).sum();
    let (mut done, mut count, mut copied, mut so_far) = (0_u64, 0_u64, 0_u64, mark.copied);
    for (number, piece) in all() {
        count = count.saturating_add(1);
        done = done.saturating_add(piece.part.len);
        if count <= mark.pieces {
            continue;
        }
        let bytes = Shelf::opened(piece, number, shelf.stored(piece, number)?, identities)?;
        journal.put(&piece.part, &bytes)?;
        so_far = and(&so_far, piece);
        copied = copied.saturating_add(piece.part.len);
        progress(Progress::new(Task::Restore, done, Some(total)));
        if count.is_multiple_of(NOTED_AFTER) {
            journal.sync()?;
            (mark.pieces, mark.copied) = (count, so_far);
            mark.write(path)?;
        }
    }
    journal.sync()?;
    (mark.pieces, mark.copied) = (count, so_far);
    mark.write(path)?;
    Ok(copied)
}

/// The hash over some pieces and one more.
fn and(before: &[u8; 32], piece: &Piece) -> [u8; 32] {
    let Part { file, size, offset, len } = piece.part;
    hash::sha256(&[before, &piece.sha256, format!("{file} {size} {offset} {len}").as_bytes()])
}

/// When entries were made, by the system clock of then.
struct Times<'k> {
    keyring: &'k Keyring,
    /// Of the epoch that was looked at last.
    keys: Option<AuditKeys>,
}

impl Times<'_> {
    fn of(&mut self, entry: &[u8]) -> Result<Timestamp, StorageError> {
        let refused = || StorageError::Refused { why: "an entry of the log that does not have its form" };
        let entry = EntryRef::parse(entry).map_err(|_| refused())?;
        if !entry.front.clock_step {
            return Ok(entry.front.time);
        }
        // The clock had been ahead and was set right: the entry's own time is no earlier than that of the one before.
        if self.keys.as_ref().is_none_or(|keys| !entry.is_under(keys)) {
            self.keys = self.keyring.audit_keys_under(entry.front.epoch);
        }
        let keys = self.keys.as_ref().ok_or_else(refused)?;
        let opened = audit::open_entry(&entry, keys, |_, _, _| None::<SubjectKey>).map_err(|_| refused())?;
        Ok(opened.clock.unwrap_or(opened.time))
    }
}

/// Cuts the journal behind the wanted state; gives its log's entries.
pub(super) fn cut(path: &Path, pack: &Opened, point: RestorePoint, chosen: &Chosen) -> Result<u64, Error> {
    let mut times = Times { keyring: &pack.keyring, keys: None };
    let mut keep = |first: u64, entries: &[&[u8]]| match point {
        RestorePoint::Newest | RestorePoint::Manifest(_) => Ok(true),
        RestorePoint::Entry(seq) => Ok(first <= seq),
        RestorePoint::Time(time) => entries.first().map_or(Ok(true), |entry| Ok(times.of(entry)? <= time)),
    };
    if matches!(point, RestorePoint::Newest | RestorePoint::Manifest(_)) {
        return Ok(chosen.last().manifest.tip.entries);
    }
    let held = copy::cut(path, pack.vault, &pack.keys, &mut keep)?;
    let oldest = chosen.manifests().find(|manifest| manifest.whole).map_or(0, |manifest| manifest.tip.entries);
    held.map(|cut| cut.entries).ok_or_else(|| BackupFault::TooEarly { point: point.to_string(), oldest }.into())
}
