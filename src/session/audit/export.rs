//! The log written out for other programs.

use std::fmt;
use std::io::{self, Write};
use std::ops::Range;

use data_encoding::HEXLOWER;

use super::{AuditView, CHUNK, Follower, access};
use crate::audit::{AuditEvent, AuditFilter, DraftSubject};
use crate::crypto::hash::Sha256Writer;
use crate::error::Error;
use crate::log_export::LogFormat;
use crate::progress::{OnProgress, Progress, Task};
use crate::session::Session;
use crate::session::access::{Done, Hold, Op};
use crate::sink::Delivered;
use crate::unlocked::Unlocked;

/// Patients to whom one export may be limited: each is named in the entry that says so.
const MAX_PATIENTS: usize = 100;

/// What was written out of the log.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct LogExported {
    /// Entries.
    pub entries: u64,
    /// Number of the first of them; `None` where there was none.
    pub first: Option<u64>,
    /// Number of the last of them.
    pub last: Option<u64>,
    /// Patients who were left out of entries that are about others as well; erased ones, of whom nobody knows who they were,
    /// are among them.
    pub left_out: u64,
    /// Bytes written.
    pub bytes: u64,
    /// SHA-256 of what was written; the log has it.
    pub sha256: [u8; 32],
}

/// Entries of the log about to be written out; see [`AuditView::export`].
#[must_use = "nothing is read before `write`"]
pub struct LogExport<'s, 'p> {
    session: &'s Session,
    filter: AuditFilter,
    format: LogFormat,
    range: Range<u64>,
    progress: Option<OnProgress<'p>>,
}

impl fmt::Debug for LogExport<'_, '_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LogExport").field("format", &self.format).field("range", &self.range).finish_non_exhaustive()
    }
}

impl<'s> AuditView<'s> {
    /// Writes entries of the log out for other programs, oldest first, in one of several forms: all that the filter lets
    /// through. Where the filter names patients, what entries say of others is left out.
    ///
    /// ```
    /// # mod clinic { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/clinic.rs")); }
    /// # use clinic::*;
    /// # let clinic = Clinic::new();
    /// # let session = clinic.session();
    /// let patient = session.register_patient([])?;
    /// let mut file = Vec::new();
    /// let of_one = AuditFilter::new().patient(patient);
    /// let exported = session.audit()?.export(of_one).format(LogFormat::Csv).write(&mut file)?;
    /// assert_eq!((exported.entries, exported.bytes), (1, file.len() as u64));
    /// # Ok::<(), chartvault::Error>(())
    /// ```
    pub const fn export<'p>(self, filter: AuditFilter) -> LogExport<'s, 'p> {
        let (format, range) = (LogFormat::JsonLines, 0..u64::MAX);
        LogExport { session: self.0, filter, format, range, progress: None }
    }
}

impl<'p> LogExport<'_, 'p> {
    /// In which form; [`LogFormat::JsonLines`] if not called.
    pub const fn format(mut self, format: LogFormat) -> Self {
        self.format = format;
        self
    }

    /// Only entries with these numbers; what goes beyond the newest one is not there yet and is no error. From 0 on is from the
    /// log's first entry on, also where that was pruned to begin later; any other number before that is an error.
    pub const fn range(mut self, entries: Range<u64>) -> Self {
        self.range = entries;
        self
    }

    /// Reports progress after each 1,000 entries, in entries looked at: each twice.
    pub fn on_progress(mut self, progress: OnProgress<'p>) -> Self {
        self.progress = Some(progress);
        self
    }

    /// Reads the entries twice: first to know what will be written, so that the log says which entries, in which form and with
    /// which SHA-256 before the first byte is written. Each entry is checked against the one before it. At most 1,000 entries
    /// are in memory.
    ///
    /// # Errors
    /// [`Error::TooMany`] where the filter names more than 100 patients, [`Error::Audit`] when an entry on the way is missing,
    /// was changed or does not open, [`Error::Output`] when it cannot be written, or when a patient was erased meanwhile; and
    /// what [`Session`] lists. After an error, what was written is a part of it, if anything.
    pub fn write(mut self, out: &mut dyn Write) -> Result<LogExported, Error> {
        let len = self.filter.of_patients().len();
        if len > MAX_PATIENTS {
            return Err(Error::TooMany { what: "patients to export the log of", len, limit: MAX_PATIENTS });
        }
        let op = self.session.begin(access(AuditEvent::LogExported))?;
        let (op, (told, to)) = op.prepare(|unlocked| {
            unlocked.committer.flush()?;
            if self.range.start == 0 {
                self.range.start = unlocked.committer.storage().first_entry();
            }
            let to =
                self.range.end.min(unlocked.committer.newest_entry().map_or(0, |newest| newest.seq.saturating_add(1)));
            Ok((self.pass(unlocked, to, 0, &mut io::sink())?, to))
        })?;
        let unlocked = op.run(Hold::Nothing, |op| {
            let (detail, count) = (Some(self.detail(&told, to)), u32::try_from(told.entries).ok());
            Ok(Done { detail, count, ..Done::read(op.unlocked.clone(), self.subjects(op)?) })
        })?;
        let written = self.pass(&unlocked, to, to.saturating_sub(self.range.start), out)?;
        if written == told { Ok(told) } else { Err(Error::Output(io::Error::other("a patient was erased meanwhile"))) }
    }

    /// Writes the entries before `to`, when so many were looked at already.
    fn pass(&mut self, unlocked: &Unlocked, to: u64, done: u64, out: &mut dyn Write) -> Result<LogExported, Error> {
        let mut out = Sha256Writer::new(out);
        let (mut entries, mut left_out, mut first, mut last) = (0_u64, 0_u64, None, None);
        out.write_all(self.format.head().as_bytes()).map_err(Error::Output)?;
        let from = self.range.start.min(to);
        let mut follower = Follower::new(unlocked, from)?;
        let mut lines = String::new();
        while follower.next() < to {
            let found = follower.read(unlocked, CHUNK.min(to.saturating_sub(follower.next())), Some(&self.filter))?;
            for mut followed in found {
                let others = followed.entry.as_mut().map_or(0, |entry| self.filter.narrow(entry));
                left_out = left_out.saturating_add(u64::try_from(others).unwrap_or(u64::MAX));
                let entry = Delivered::new((followed.seq, followed.time, followed.leaf), followed.entry);
                lines.clear();
                self.format.put(unlocked.vault, &entry, &mut lines);
                out.write_all(lines.as_bytes()).map_err(Error::Output)?;
                entries = entries.saturating_add(1);
                first = first.or(Some(entry.seq));
                last = Some(entry.seq);
            }
            if let Some(progress) = &mut self.progress {
                let (done, all) = (done.saturating_add(follower.next() - from), (to - from).saturating_mul(2));
                progress(Progress::new(Task::ExportLog, done, Some(all)));
            }
        }
        out.flush().map_err(Error::Output)?;
        let (bytes, sha256) = out.finish();
        Ok(LogExported { entries, first, last, left_out, bytes, sha256 })
    }

    /// The patients whom the export is limited to, so that the log of each of them says so. Of one who is not there, or was
    /// erased, it cannot.
    fn subjects(&self, op: &Op<'_>) -> Result<Vec<DraftSubject>, Error> {
        let mut subjects: Vec<DraftSubject> = Vec::new();
        for patient in self.filter.of_patients() {
            if subjects.iter().any(|subject| subject.patient == *patient) {
                continue;
            }
            let Some(chart) = op.unlocked.look_up(*patient)? else { continue };
            if op.unlocked.check_not_erased(*patient, &chart.tag).is_ok() {
                subjects.push(chart.audited(Vec::new()));
            }
        }
        Ok(subjects)
    }

    fn detail(&self, told: &LogExported, to: u64) -> String {
        let which = if self.filter == AuditFilter::new() { "all" } else { "chosen ones" };
        let (from, form, hash) = (self.range.start.min(to), self.format.word(), HEXLOWER.encode(&told.sha256));
        format!("{which} of entries {from} up to {to} as {form}, SHA-256 {hash}")
    }
}
