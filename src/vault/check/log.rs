//! The log from its first entry to its newest: what is wrong with one entry does not hide the next.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use super::join::{Join, Singles, writes_of};
use super::{Check, FindingPlace, Listener, is_of_one};
use crate::audit::{
    AuditEntry, EntryRef, FaultKind, Head, OpenEntryError, SubjectKey, begins_as_it_says, epochs_follow, open_entry,
};
use crate::error::Error;
use crate::ids::PatientId;
use crate::keyring::Keyring;
use crate::progress::Task;
use crate::storage::flaw::{Examined, TreesAre};
use crate::storage::{Bytes, Severity, StorageError};
use crate::unlocked::Unlocked;
use crate::vault::check::Finding;

/// Entries read at once.
const CHUNK: u64 = 1_000;
/// Faults held at once; more are counted.
const MOST_FAULTS: usize = 10_000;
/// Keys of patients held at once.
const SUBJECT_KEYS: usize = 4_096;

/// What a reading of the log gave.
#[derive(Default)]
pub(super) struct LogRead {
    pub(super) faults: BTreeMap<u64, String>,
    more: u64,
    /// Entries about each patient, as the last one counts them.
    pub(super) counters: HashMap<PatientId, u64>,
    /// Where the log begins.
    pub(super) begin: u64,
}

impl LogRead {
    fn fault(&mut self, seq: u64, what: String) {
        if self.faults.len() < MOST_FAULTS {
            self.faults.entry(seq).or_insert(what);
        } else {
            self.more = self.more.saturating_add(1);
        }
    }
}

impl Check<'_, '_> {
    pub(super) fn check_log_and_records(
        &mut self,
        keyed: bool,
        whole: Option<bool>,
        trees: TreesAre,
    ) -> Result<(), Error> {
        self.unlocked.committer.flush()?;
        let Some(head) = self.unlocked.committer.newest_entry() else { return Ok(()) };
        let mut join = Join::new()?;
        let mut read = self.read_log(head, keyed, &mut |entry| note(&mut join, entry))?;
        if !read.faults.is_empty() && trees == TreesAre::Right {
            let mut listener = Listener { check: self, task: Task::CheckJournal, seen: Examined::default() };
            let mended = listener.check.unlocked.committer.storage().mend_trees(whole, &mut listener)?;
            self.name_flaws(true);
            if mended {
                join.read_log_again();
                let again = self.read_log(head, keyed, &mut |entry| note(&mut join, entry))?;
                for (seq, what) in std::mem::take(&mut read.faults) {
                    if !again.faults.contains_key(&seq) {
                        self.add(Finding::new(FindingPlace::Entry { seq }, what, Severity::Mended));
                    }
                }
                read = again;
            }
        }
        self.report.entries = head.seq.saturating_add(1);
        let faulty = !read.faults.is_empty();
        for (seq, what) in std::mem::take(&mut read.faults) {
            self.found(FindingPlace::Entry { seq }, what);
        }
        self.report.grave = self.report.grave.saturating_add(read.more);
        if !faulty {
            self.check_tiles()?;
        }
        if !keyed {
            return Ok(());
        }
        if !faulty {
            self.check_index()?;
        }
        self.check_charts(&read, head, faulty)?;
        self.check_records(head.time, &mut |written| join.stored(written))?;
        self.check_other_rows()?;
        match join.differences() {
            // Entries that do not open say nothing about what they stand for.
            Some(singles) if !faulty => self.check_singles(singles),
            _ => Ok(()),
        }
    }

    /// The log without the records that it tells of.
    #[cfg(feature = "backup")]
    pub(super) fn check_log_alone(&mut self) -> Result<(), Error> {
        self.unlocked.committer.flush()?;
        let Some(head) = self.unlocked.committer.newest_entry() else { return Ok(()) };
        let read = self.read_log(head, true, &mut |_| ())?;
        self.report.entries = head.seq.saturating_add(1);
        let sound = read.faults.is_empty();
        for (seq, what) in read.faults {
            self.found(FindingPlace::Entry { seq }, what);
        }
        self.report.grave = self.report.grave.saturating_add(read.more);
        if sound { self.check_tiles() } else { Ok(()) }
    }

    /// Reads the log up to `head`.
    pub(super) fn read_log(
        &mut self,
        head: Head,
        keyed: bool,
        visit: &mut dyn FnMut(&AuditEntry),
    ) -> Result<LogRead, Error> {
        let (mut read, mut before) = (LogRead::default(), None);
        let mut keys = SubjectKeys::new(self.unlocked);
        let total = head.seq.saturating_add(1);
        match self.unlocked.log_begin() {
            Ok(begin) => {
                (read.begin, before) = (begin.first, begin.before);
                self.pruned_until = begin.before.map(|last| last.time);
            }
            Err(Error::Audit(fault)) => {
                read.begin = self.unlocked.committer.storage().first_entry();
                read.fault(fault.seq, fault.what.to_string());
            }
            Err(error) => return Err(error),
        }
        let mut next = read.begin;
        while next < total {
            self.go_on()?;
            let (entries, until) = self.some_entries(next, total, &mut read)?;
            for (seq, bytes) in entries {
                before = match self.entry(seq, &bytes, before, keyed, &mut keys, &mut read, visit) {
                    Ok(head) => Some(head),
                    Err(what) => {
                        read.fault(seq, what.to_string());
                        None
                    }
                };
            }
            next = until;
            self.tell(Task::CheckLog, next, Some(total));
        }
        if before.is_some_and(|last| last.leaf != head.leaf) {
            read.fault(head.seq, FaultKind::OtherHead.to_string());
        }
        Ok(read)
    }

    /// Entries from `next` on, as far as they can be read, and where to go on. Where a run of entries cannot be read as
    /// one, each is tried.
    fn some_entries(
        &self,
        next: u64,
        total: u64,
        read: &mut LogRead,
    ) -> Result<(Vec<(u64, Bytes)>, u64), StorageError> {
        let storage = self.unlocked.committer.storage();
        let until = total.min(next.saturating_add(CHUNK));
        let limit = usize::try_from(until - next).unwrap_or(usize::MAX);
        match storage.entries_as_they_are(next, limit) {
            Ok(entries) if entries.len() == limit => return Ok((entries, until)),
            Err(error) if !is_of_one(&error) => return Err(error),
            _ => {}
        }
        let mut entries = Vec::new();
        for seq in next..until {
            match storage.entries_as_they_are(seq, 1).map(|mut found| found.pop()) {
                Ok(Some(entry)) => entries.push(entry),
                Ok(None) => read.fault(seq, "it is missing".to_owned()),
                Err(error) if is_of_one(&error) => read.fault(seq, format!("it cannot be read: {error}")),
                Err(error) => return Err(error),
            }
        }
        Ok((entries, until))
    }

    #[allow(clippy::too_many_arguments)]
    fn entry(
        &self,
        seq: u64,
        bytes: &[u8],
        before: Option<Head>,
        keyed: bool,
        keys: &mut SubjectKeys,
        read: &mut LogRead,
        visit: &mut dyn FnMut(&AuditEntry),
    ) -> Result<Head, FaultKind> {
        let entry = EntryRef::parse(bytes).map_err(FaultKind::Malformed)?;
        let (front, unlocked) = (entry.front, self.unlocked);
        if front.vault != unlocked.vault {
            return Err(FaultKind::WrongVault { found: front.vault });
        }
        if front.seq != seq {
            return Err(FaultKind::Reordered { found: front.seq });
        }
        let mut event = None;
        if keyed {
            let opened = keys.open(unlocked, &entry)?;
            for subject in &opened.subjects {
                let (Some(patient), Some(found)) = (subject.patient, subject.counter) else { continue };
                let before = read.counters.insert(patient, found);
                // Those before it may have been pruned.
                let first = if read.begin > 0 { found } else { 1 };
                let expected = before.map_or(first, |before| before.saturating_add(1));
                if found != expected {
                    read.fault(seq, FaultKind::CounterGap { patient, expected, found }.to_string());
                }
            }
            if let Some(end) = opened.pruned.map(|pruned| pruned.end).filter(|end| *end > read.begin) {
                read.fault(read.begin, FaultKind::PrunedIsThere { end }.to_string());
            }
            visit(&opened);
            event = Some(opened.event);
        }
        if let Some(before) = before.filter(|before| before.seq.checked_add(1) == Some(seq)) {
            let what = if front.prev != before.leaf {
                Some(FaultKind::LinkBroken)
            } else if front.time < before.time {
                Some(FaultKind::TimeWentBack { found: front.time, before: before.time })
            } else {
                epochs_follow(&before, &front, false)
                    .and_then(|()| event.map_or(Ok(()), |event| begins_as_it_says(Some(&before), &front, event)))
                    .err()
            };
            if let Some(what) = what {
                read.fault(seq, what.to_string());
            }
        }
        Ok(Head::of(&entry))
    }

    /// Reads the log once more for single versions, up to `until`, from `from` on.
    pub(super) fn note_singles(&mut self, from: u64, until: u64, singles: &mut Singles) -> Result<(), Error> {
        let mut keys = SubjectKeys::new(self.unlocked);
        let (mut next, mut ignored) = (from, LogRead::default());
        while next < until {
            self.go_on()?;
            let (entries, end) = self.some_entries(next, until, &mut ignored)?;
            let unlocked = self.unlocked;
            for (seq, bytes) in entries {
                let Ok(entry) = EntryRef::parse(&bytes) else { continue };
                let Ok(opened) = keys.open(unlocked, &entry) else { continue };
                writes_of(&opened).for_each(|written| singles.met(&written, Some(seq)));
            }
            next = end;
        }
        Ok(())
    }
}

fn note(join: &mut Join, entry: &AuditEntry) {
    writes_of(entry).for_each(|written| join.logged(&written));
}

/// Keys of the patients whom a run of entries is about.
struct SubjectKeys {
    /// Taken once the last entry of the run was known: it has the keys of them all.
    keyring: Arc<Keyring>,
    known: HashMap<(u32, [u8; 16], u32), Option<Arc<SubjectKey>>>,
}

impl SubjectKeys {
    fn new(unlocked: &Unlocked) -> Self {
        Self { keyring: unlocked.keyring(), known: HashMap::new() }
    }

    fn open(&mut self, unlocked: &Unlocked, entry: &EntryRef<'_>) -> Result<AuditEntry, OpenEntryError> {
        let Self { keyring, known } = self;
        open_entry(entry, keyring.audit(), |epoch, tag, generation| {
            if known.len() >= SUBJECT_KEYS {
                known.clear();
            }
            let open = || unlocked.subject_of(epoch, tag, generation).map(Arc::new);
            known.entry((epoch, *tag, generation)).or_insert_with(open).clone()
        })
    }
}
