//! Verification of the log, entry by entry, and the exact place of the first fault.

use std::collections::HashMap;
use std::fmt;

use super::chain::Head;
use super::defect::EntryDefect;
use super::entry::{EntryKind, EntryRef, Front};
use super::event::AuditEvent;
use super::view::{AuditEntry, OpenEntryError};
use crate::clock::Timestamp;
use crate::ids::{PatientId, VaultId};
use crate::progress::{OnProgress, Progress, Task};

/// The first place where the log is not what was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the audit log is not sound at entry {seq}: {what}. Keep the vault as it is, as evidence; go on with a backup")]
#[non_exhaustive]
pub struct AuditFault {
    /// Number of the entry.
    pub seq: u64,
    /// What is wrong with it.
    pub what: FaultKind,
}

/// What is wrong with an entry of the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FaultKind {
    /// It is not there, though later ones are.
    #[error("it is missing; the next one there is {found}")]
    Missing {
        /// The next entry that is there.
        found: u64,
    },
    /// Another entry stands in its place, and it may stand elsewhere.
    #[error("entry {found} stands in its place")]
    Reordered {
        /// The entry that stands there.
        found: u64,
    },
    /// Instead of it, the entry before is there a second time.
    #[error("instead of it, the entry before is there a second time")]
    Duplicated,
    /// Its bytes are no entry.
    #[error("{0}")]
    Malformed(EntryDefect),
    /// It belongs to another vault.
    #[error("it belongs to {found}")]
    WrongVault {
        /// The vault that it names.
        found: VaultId,
    },
    /// It does not carry the hash of the entry before it: one of the two was changed.
    #[error("it does not follow from the entry before; one of the two was changed")]
    LinkBroken,
    /// Its time lies before that of the entry before it.
    #[error("its time {found} lies before that of the entry before, {before}")]
    TimeWentBack {
        /// Its time.
        found: Timestamp,
        /// The time of the entry before.
        before: Timestamp,
    },
    /// Its epoch or key lies before that of the entry before it.
    #[error("its epoch or key lies before that of the entry before")]
    EpochWentBack,
    /// Its signing epoch does not follow from that of the entry before: it is neither the same, nor is this the first entry
    /// of the next one.
    #[error("its signing epoch {found} does not follow from that of the entry before, {before}")]
    SigningEpoch {
        /// The signing epoch that it names.
        found: u32,
        /// That of the entry before.
        before: u32,
    },
    /// There is no key for its epoch.
    #[error("there is no key for its epoch {epoch}, key {key_id}")]
    NoKey {
        /// The epoch that it names.
        epoch: u32,
        /// The key that it names.
        key_id: u32,
    },
    /// It does not open under its key: it was changed, or made by someone without the key.
    #[error("it does not open under its key; it was changed, or made without the key")]
    CannotOpen,
    /// It opens, but what it says about a patient does not open under the patient's key.
    #[error("what it says about its patient number {index} does not open")]
    CannotOpenSubject {
        /// Which patient of the entry, from 0.
        index: u16,
    },
    /// Its number in the sequence of entries about one patient is wrong: entries about the patient are missing.
    #[error("it says to be entry {found} about {patient}, where {expected} was expected")]
    CounterGap {
        /// The patient.
        patient: PatientId,
        /// The number that had to come.
        expected: u64,
        /// The number that it carries.
        found: u64,
    },
    /// The log ends before it, though it was written.
    #[error("the log ends before it, though entries up to {last} were written")]
    TruncatedTail {
        /// The newest entry known to have been written.
        last: u64,
    },
    /// It was lost before the vault was salvaged, and an entry that says so stands in its place. Everything else was
    /// verified: nothing else is wrong.
    #[error(
        "it is one of {entries} entries that were lost, in {gaps} places, before the vault was salvaged; all others are \
         sound"
    )]
    Lost {
        /// How many entries were lost in all.
        entries: u64,
        /// In how many places of the log.
        gaps: u64,
    },
    /// It lies after the newest entry that was written.
    #[error("it lies after the newest entry that was written, {last}")]
    BeyondHead {
        /// The newest entry known to have been written.
        last: u64,
    },
    /// The chain is sound in itself, but its newest entry is another one than was written: rewritten or forked.
    #[error("the chain is sound in itself, but this is another newest entry than was written; it was rewritten")]
    OtherHead,
    /// The chain is sound in itself, but the Merkle tree over its entries has another root than the tree that the vault signs and
    /// proves from.
    #[error("the chain up to here is sound in itself, but the tree that the vault proves from has another root")]
    OtherRoot,
    /// The log begins with it, and no entry says that those before it were pruned: somebody removed them.
    #[error("the log begins with it, and no entry says that those before it were pruned; somebody removed them")]
    NotPruned,
    /// It was pruned, and is there again: an older copy was put back in part.
    #[error("it was pruned, as were all before {end}, and is there again; an older copy was put back in part")]
    PrunedIsThere {
        /// Where the log should begin.
        end: u64,
    },
}

/// What was found sound.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Verified {
    /// Entries verified.
    pub(crate) entries: u64,
    /// The newest entry; `None` for an empty log.
    pub(crate) head: Option<Head>,
    /// Entries that were lost, with others in their places.
    pub(crate) lost: Lost,
    /// The first places where a patient's count has a gap, where that did not end it.
    pub(crate) gaps: Vec<AuditFault>,
    /// How many entries about each patient there are, where they were opened.
    pub(crate) counters: HashMap<PatientId, u64>,
}

/// What is known to be missing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Lost {
    pub(crate) entries: u64,
    pub(crate) gaps: u64,
    first: u64,
    last: Option<u64>,
}

impl Lost {
    fn add(&mut self, seq: u64) {
        if self.entries == 0 {
            self.first = seq;
        }
        if self.last.is_none_or(|last| last.checked_add(1) != Some(seq)) {
            self.gaps += 1;
        }
        self.entries += 1;
        self.last = Some(seq);
    }

    /// The fault that they are to whoever wants a whole log.
    pub(crate) fn fault(&self) -> Option<AuditFault> {
        let what = FaultKind::Lost { entries: self.entries, gaps: self.gaps };
        (self.entries > 0).then_some(AuditFault { seq: self.first, what })
    }
}

/// Patients, with the number of entries about each.
type Counted = Vec<(PatientId, u64)>;

/// An entry as it stands by itself: what many threads can find out at once.
#[derive(Debug)]
pub(crate) struct Examined {
    seq: u64,
    found: Result<Found, EntryDefect>,
}

#[derive(Debug)]
struct Found {
    front: Front,
    leaf: [u8; 32],
    /// What it says that happened, and the patients whom it is about with their counters, where it was to be opened.
    opened: Option<Result<Opened, FaultKind>>,
}

#[derive(Debug)]
struct Opened {
    event: AuditEvent,
    counted: Counted,
    /// Where the log has to begin since.
    pruned_to: Option<u64>,
}

impl Examined {
    /// What was stored under `seq`; opened if there is something to open it with.
    pub(crate) fn of(seq: u64, entry: &[u8], open: Option<Opener<'_>>) -> Self {
        let found = EntryRef::parse(entry).map(|entry| {
            let says = |entry: AuditEntry| {
                let subjects = entry.subjects.iter();
                let counted = subjects.filter_map(|subject| subject.patient.zip(subject.counter)).collect();
                Opened { event: entry.event, counted, pruned_to: entry.pruned.map(|pruned| pruned.end) }
            };
            let opened = open.map(|open| open(&entry).map(says).map_err(FaultKind::from));
            Found { front: entry.front, leaf: entry.leaf(), opened }
        });
        Self { seq, found }
    }

    /// Its leaf, if it is an entry.
    pub(crate) fn leaf(&self) -> Option<[u8; 32]> {
        self.found.as_ref().ok().map(|found| found.leaf)
    }
}

impl Found {
    const fn head(&self) -> Head {
        let Front { seq, time, epoch, key_id, .. } = self.front;
        Head { seq, leaf: self.leaf, time, epoch, key_id }
    }
}

/// Opens entries that are to be verified.
pub(crate) type Opener<'a> = &'a mut dyn FnMut(&EntryRef<'_>) -> Result<AuditEntry, OpenEntryError>;

/// Gaps that are told.
const MOST_GAPS: usize = 100;
/// Entries between two reports of progress.
const REPORT_EVERY: u64 = 1_024;

/// Verifies a log that is pushed entry by entry. After a fault, what is pushed further has no meaning.
pub(crate) struct Verifier<'a> {
    vault: VaultId,
    head: Option<Head>,
    next: u64,
    entries: u64,
    /// The last counter seen of each patient, and the entry that had it.
    counters: HashMap<PatientId, (u64, u64)>,
    lost: Lost,
    /// Where a gap in a patient's count does not end it.
    gaps: Option<Vec<AuditFault>>,
    from_genesis: bool,
    /// Where the log begins.
    begin: u64,
    progress: Option<(OnProgress<'a>, Option<u64>)>,
}

impl fmt::Debug for Verifier<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Verifier").field("next", &self.next).finish_non_exhaustive()
    }
}

impl<'a> Verifier<'a> {
    /// From the genesis entry on.
    pub(crate) fn new(vault: VaultId) -> Self {
        Self {
            vault,
            head: None,
            next: 0,
            entries: 0,
            counters: HashMap::new(),
            lost: Lost::default(),
            gaps: None,
            from_genesis: true,
            begin: 0,
            progress: None,
        }
    }

    /// From the entry after `head` on, which the caller trusts.
    pub(crate) fn after(vault: VaultId, head: Head) -> Self {
        Self { head: Some(head), next: head.seq.saturating_add(1), from_genesis: false, ..Self::new(vault) }
    }

    /// The log begins with this entry: none may say that it was pruned.
    pub(crate) fn of_log_from(self, begin: u64) -> Self {
        Self { begin, ..self }
    }

    /// Goes on past gaps in what is counted for patients, and tells the first of them at the end.
    pub(crate) fn past_gaps(self) -> Self {
        Self { gaps: Some(Vec::new()), ..self }
    }

    /// Reports progress, in entries out of `total`.
    pub(crate) fn reporting(self, progress: OnProgress<'a>, total: Option<u64>) -> Self {
        Self { progress: Some((progress, total)), ..self }
    }

    /// Verifies the next entry, which was stored under `seq`, without a key.
    #[cfg(test)]
    pub(crate) fn push(&mut self, seq: u64, entry: &[u8]) -> Result<(), AuditFault> {
        self.push_examined(Examined::of(seq, entry, None))
    }

    /// Verifies the next entry. Where it was opened as well, that finds what was changed with all hashes recomputed, and
    /// gaps in patients' counters.
    pub(crate) fn push_examined(&mut self, examined: Examined) -> Result<(), AuditFault> {
        let Examined { seq, found } = examined;
        if seq != self.next {
            return Err(self.fault(misplaced(self.next, seq)));
        }
        let found = found.map_err(|defect| self.fault(FaultKind::Malformed(defect)))?;
        self.check_link(&found).map_err(|what| self.fault(what))?;
        if let Some(opened) = &found.opened {
            let opened = opened.as_ref().map_err(|what| self.fault(*what))?;
            self.check_opened(&found.front, opened).map_err(|what| self.fault(what))?;
            if let Some(end) = opened.pruned_to.filter(|end| *end > self.begin) {
                return Err(AuditFault { seq: self.begin, what: FaultKind::PrunedIsThere { end } });
            }
        }
        self.head = Some(found.head());
        if found.front.kind == EntryKind::Lost {
            self.lost.add(seq);
        }
        self.entries += 1;
        self.next = self.next.saturating_add(1);
        if self.entries.is_multiple_of(REPORT_EVERY) {
            self.report();
        }
        Ok(())
    }

    fn check_link(&self, entry: &Found) -> Result<(), FaultKind> {
        let front = &entry.front;
        if front.vault != self.vault {
            return Err(FaultKind::WrongVault { found: front.vault });
        }
        if front.seq != self.next {
            let again = self.head.is_some_and(|head| head.seq == front.seq && head.leaf == entry.leaf);
            return Err(if again { FaultKind::Duplicated } else { misplaced(self.next, front.seq) });
        }
        let Some(head) = self.head else { return Ok(()) };
        // Behind an entry that was lost stands one which carries the hash of the lost one, which nobody knows.
        let behind_a_gap = self.lost.last == Some(head.seq) && front.kind != EntryKind::Lost;
        if front.prev != head.leaf && !behind_a_gap {
            return Err(FaultKind::LinkBroken);
        }
        if front.time < head.time {
            return Err(FaultKind::TimeWentBack { found: front.time, before: head.time });
        }
        epochs_follow(&head, front, behind_a_gap)
    }

    fn check_opened(&mut self, front: &Front, opened: &Opened) -> Result<(), FaultKind> {
        // Behind an entry that was lost it is not known whether that one began an epoch.
        let before = self.head.filter(|head| self.lost.last != Some(head.seq));
        begins_as_it_says(before.as_ref(), front, opened.event)?;
        self.check_counters(front.seq, &opened.counted)
    }

    /// Counters run without gaps; after a trusted head the first one seen of a patient is taken as it is.
    fn check_counters(&mut self, seq: u64, counted: &[(PatientId, u64)]) -> Result<(), FaultKind> {
        for (patient, found) in counted.iter().copied() {
            let before = self.counters.insert(patient, (found, seq));
            let first = if self.from_genesis { 1 } else { found };
            let expected = before.map_or(first, |(before, _)| before.saturating_add(1));
            // Some of them may be among the lost ones.
            let gap = self.lost.last.is_some_and(|lost| before.is_none_or(|(_, at)| at < lost)) && found > expected;
            if found == expected || gap {
                continue;
            }
            let what = FaultKind::CounterGap { patient, expected, found };
            let gaps = self.gaps.as_mut().ok_or(what)?;
            if gaps.len() < MOST_GAPS {
                gaps.push(AuditFault { seq, what });
            }
        }
        Ok(())
    }

    /// Compares with the newest entry that is known to have been written, where one is known.
    pub(crate) fn finish(mut self, expected: Option<&Head>) -> Result<Verified, AuditFault> {
        self.report();
        if let Some(expected) = expected {
            self.check_head(expected)?;
        }
        let counters = self.counters.into_iter().map(|(patient, (counter, _))| (patient, counter)).collect();
        let (entries, head, lost, gaps) = (self.entries, self.head, self.lost, self.gaps.unwrap_or_default());
        Ok(Verified { entries, head, lost, gaps, counters })
    }

    fn check_head(&self, expected: &Head) -> Result<(), AuditFault> {
        let last = expected.seq;
        let Some(head) = self.head.filter(|head| head.seq >= last) else {
            return Err(self.fault(FaultKind::TruncatedTail { last }));
        };
        if head.seq > last {
            return Err(AuditFault { seq: last.saturating_add(1), what: FaultKind::BeyondHead { last } });
        }
        let same = head.leaf == expected.leaf;
        if same { Ok(()) } else { Err(AuditFault { seq: last, what: FaultKind::OtherHead }) }
    }

    const fn fault(&self, what: FaultKind) -> AuditFault {
        AuditFault { seq: self.next, what }
    }

    fn report(&mut self) {
        if let Some((progress, total)) = &mut self.progress {
            progress(Progress::new(Task::VerifyAudit, self.entries, *total));
        }
    }
}

/// The rule of epochs, as far as anyone can check it. `behind_a_gap`: entries between the two were lost.
pub(crate) fn epochs_follow(before: &Head, front: &Front, behind_a_gap: bool) -> Result<(), FaultKind> {
    if front.epoch < before.epoch || front.key_id < before.key_id {
        return Err(FaultKind::EpochWentBack);
    }
    let next = before.key_id.checked_add(1) == Some(front.key_id) && front.kind == EntryKind::Epoch;
    if front.key_id == before.key_id || next || behind_a_gap {
        Ok(())
    } else {
        Err(FaultKind::SigningEpoch { found: front.key_id, before: before.key_id })
    }
}

/// What only the payload shows: an entry says that a signing epoch begins exactly where the number grows.
pub(crate) fn begins_as_it_says(before: Option<&Head>, front: &Front, event: AuditEvent) -> Result<(), FaultKind> {
    let Some(before) = before else { return Ok(()) };
    let says = front.kind == EntryKind::Epoch && event == AuditEvent::SigningEpochBegun;
    if front.kind != EntryKind::Epoch || says == (front.key_id != before.key_id) {
        Ok(())
    } else {
        Err(FaultKind::SigningEpoch { found: front.key_id, before: before.key_id })
    }
}

/// A later entry leaves a gap; an earlier one stands where it does not belong.
const fn misplaced(expected: u64, found: u64) -> FaultKind {
    if found > expected { FaultKind::Missing { found } } else { FaultKind::Reordered { found } }
}

impl From<OpenEntryError> for FaultKind {
    fn from(error: OpenEntryError) -> Self {
        match error {
            OpenEntryError::OtherKey { epoch, key_id } => Self::NoKey { epoch, key_id },
            OpenEntryError::Sealed => Self::CannotOpen,
            OpenEntryError::Subject { index } => Self::CannotOpenSubject { index },
            OpenEntryError::Defect(defect) => Self::Malformed(defect),
        }
    }
}
