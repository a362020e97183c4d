//! Archives of the log: whole tiles of entries in a file, and such a file compared with the log.

use std::io::{self, Read, Write};
use std::ops::Range;

use chartvault_verify::archive::{ArchiveReader, ArchiveWriter};
use chartvault_verify::merkle::{Range as Leaves, leaf_hash};

use super::{AuditView, CHUNK, access, not_pruned, read};
use crate::audit::{AuditEvent, LogArchive, LogArchiveError};
use crate::error::Error;
use crate::session::access::{Done, Hold};
use crate::storage::Bytes;
use crate::unlocked::Unlocked;

/// The log is archived in whole tiles of the lowest level.
pub(super) use crate::audit::TILE;

impl AuditView<'_> {
    /// Writes entries of the log, by number, to a file that anyone can verify without a key
    /// (`chartvault_verify::archive::verify`): as they are stored, so that it shows no more than the log's own bytes do.
    /// Both ends have to be multiples of 256. The log says which entries and with which SHA-256 before the first byte is
    /// written. To see whether it arrived, read it back with [`AuditView::check_archive`].
    ///
    /// ```
    /// # mod clinic { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/clinic.rs")); }
    /// # use clinic::*;
    /// # let clinic = Clinic::new();
    /// # let session = clinic.session();
    /// # for _ in 0..256 { session.register_patient([])?; }
    /// let mut file = Vec::new();
    /// let archive = session.audit()?.archive(0..256, &mut file)?;
    /// assert_eq!(session.audit()?.check_archive(&mut &file[..])?, archive);
    /// # Ok::<(), chartvault::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::LogArchive`] where these are no whole tiles, the log is not sound there, or the file cannot be written, and
    /// what [`Session`](crate::Session) lists.
    pub fn archive(self, entries: Range<u64>, out: &mut dyn Write) -> Result<LogArchive, Error> {
        let op = self.0.begin(access(AuditEvent::LogExported))?;
        let (told, unlocked) = op.run(Hold::Nothing, |op| {
            // First only to know what it will be: nothing is given out before the log says so.
            let archive = write(&op.unlocked, &entries, &mut io::sink())?;
            let detail = Some(told(&archive));
            let count = u32::try_from(archive.end.saturating_sub(archive.first)).ok();
            Ok(Done { detail, count, ..Done::read((archive, op.unlocked.clone()), Vec::new()) })
        })?;
        let written = write(&unlocked, &entries, out)?;
        if written == told { Ok(told) } else { Err(LogArchiveError::Differs { seq: entries.start }.into()) }
    }

    /// Reads an archive to its end, and compares each entry with the log; those that were pruned since with their hashes, which
    /// the log's tree still has. The log says that it was looked at, and what was found.
    ///
    /// # Errors
    /// [`Error::LogArchive`] where the archive is not sound, is of another vault, or has an entry that is not the log's, and
    /// what [`Session`](crate::Session) lists.
    pub fn check_archive(self, input: &mut dyn Read) -> Result<LogArchive, Error> {
        let op = self.0.begin(access(AuditEvent::AuditVerified))?;
        op.run(Hold::Nothing, |op| {
            let archive = compare(&op.unlocked, input)?;
            let detail = Some(format!("as in the log: {}", told(&archive)));
            Ok(Done { detail, ..Done::read(archive, Vec::new()) })
        })
    }
}

pub(super) fn told(archive: &LogArchive) -> String {
    let hash: String = archive.sha256.iter().map(|byte| format!("{byte:02x}")).collect();
    format!("archive of entries {} up to {}, SHA-256 {hash}", archive.first, archive.end)
}

/// The number behind the last entry of the last whole tile.
pub(super) fn whole_tiles(unlocked: &Unlocked) -> Result<u64, Error> {
    unlocked.committer.flush()?;
    let end = unlocked.committer.newest_entry().map_or(0, |newest| newest.seq.saturating_add(1));
    Ok(end - end % TILE)
}

fn write(unlocked: &Unlocked, entries: &Range<u64>, out: &mut dyn Write) -> Result<LogArchive, Error> {
    let (Range { start: first, end }, whole) = (entries.clone(), whole_tiles(unlocked)?);
    if first % TILE != 0 || end % TILE != 0 || first >= end || end > whole {
        return Err(LogArchiveError::NotWhole { first, end, whole }.into());
    }
    not_pruned(unlocked, first)?;
    let mut writer =
        ArchiveWriter::begin(out, *unlocked.vault.as_bytes(), entries.clone()).map_err(LogArchiveError::from)?;
    let mut next = first;
    while next < end {
        let chunk = read(unlocked.committer.storage(), next, CHUNK.min(end - next))?;
        if chunk.is_empty() {
            break;
        }
        for (seq, bytes) in &chunk {
            writer.push(bytes).map_err(LogArchiveError::from)?;
            next = seq.saturating_add(1);
        }
    }
    Ok(writer.finish().map_err(LogArchiveError::from)?)
}

pub(super) fn compare(unlocked: &Unlocked, input: &mut dyn Read) -> Result<LogArchive, Error> {
    let mut reader = ArchiveReader::begin(input).map_err(LogArchiveError::from)?;
    if reader.vault() != *unlocked.vault.as_bytes() {
        return Err(LogArchiveError::OtherVault.into());
    }
    unlocked.committer.flush()?;
    let mut ahead: std::vec::IntoIter<(u64, Bytes)> = Vec::new().into_iter();
    let (begin, mut gone) = (unlocked.committer.storage().first_entry(), None);
    while let Some((seq, bytes)) = reader.next_entry().map_err(LogArchiveError::from)? {
        if seq < begin {
            gone.get_or_insert_with(|| Leaves::empty(seq)).push(leaf_hash(bytes));
            continue;
        }
        let ours = match ahead.next() {
            Some(ours) => Some(ours),
            None => {
                ahead = read(unlocked.committer.storage(), seq, CHUNK)?.into_iter();
                ahead.next()
            }
        };
        if ours.is_none_or(|(number, ours)| number != seq || *ours != *bytes) {
            return Err(LogArchiveError::Differs { seq }.into());
        }
    }
    let archive = reader.finish().map_err(LogArchiveError::from)?;
    match gone {
        Some(gone) if !unlocked.had(archive.first, &gone)? => {
            Err(LogArchiveError::Differs { seq: archive.first }.into())
        }
        _ => Ok(archive),
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn tiles_are_as_wide_as_those_of_the_tree() {
        assert_eq!(super::TILE, u64::from(chartvault_verify::merkle::TILE_WIDTH));
    }
}
