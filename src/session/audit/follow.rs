//! Reading the log forwards, as it grows, with each entry checked against the one before it.

use super::subjects::SubjectKeys;
use super::{not_pruned, read};
use crate::audit::{AuditEntry, AuditFault, AuditFilter, EntryDefect, EntryKind, EntryRef, FaultKind};
use crate::clock::Timestamp;
use crate::error::Error;
use crate::unlocked::Unlocked;

/// One entry of the log, and its link in the chain.
pub(crate) struct Followed {
    pub(crate) time: Timestamp,
    pub(crate) seq: u64,
    pub(crate) leaf: [u8; 32],
    /// `None` where nobody asked for it to be opened.
    pub(crate) entry: Option<AuditEntry>,
}

/// A place in the log, from which it is read on.
pub(crate) struct Follower {
    next: u64,
    /// The leaf of the entry before the next one, and whether the one behind it carries that: not where it stands in
    /// the place of one that was lost. `None` until one was read.
    before: Option<([u8; 32], bool)>,
}

impl Follower {
    /// Goes on with this entry, which may be the next one that is written.
    pub(crate) fn new(unlocked: &Unlocked, next: u64) -> Result<Self, Error> {
        let entries = unlocked.committer.growth().entries();
        if next > entries {
            return Err(Error::LogEndsBefore { from: next, entries });
        }
        not_pruned(unlocked, next)?;
        Ok(Self { next, before: None })
    }

    /// The next entry that is read.
    pub(crate) const fn next(&self) -> u64 {
        self.next
    }

    /// The next entries, at most so many, none where there are none yet. Those that the filter keeps out are checked and passed
    /// over; without a filter none is opened.
    pub(crate) fn read(
        &mut self,
        unlocked: &Unlocked,
        most: u64,
        filter: Option<&AuditFilter>,
    ) -> Result<Vec<Followed>, Error> {
        let end = unlocked.committer.growth().entries().min(self.next.saturating_add(most));
        if end <= self.next {
            return Ok(Vec::new());
        }
        // Also where it was pruned since: nothing is passed over unsaid.
        not_pruned(unlocked, self.next)?;
        let first = unlocked.committer.storage().first_entry();
        let from = if self.before.is_none() { self.next.saturating_sub(1).max(first) } else { self.next };
        let chunk = read(unlocked.committer.storage(), from, end - from)?;
        if chunk.len() != usize::try_from(end - from).unwrap_or(usize::MAX) {
            return Err(AuditFault { seq: from, what: FaultKind::Malformed(EntryDefect::Truncated) }.into());
        }
        let mut keys = SubjectKeys::new(unlocked);
        let (mut found, mut before) = (Vec::new(), self.before);
        for (expected, (seq, bytes)) in (from..).zip(&chunk) {
            let fault = |what| AuditFault { seq: *seq, what };
            let entry = EntryRef::parse(bytes).map_err(|defect| fault(FaultKind::Malformed(defect)))?;
            let front = entry.front;
            let lost = front.kind == EntryKind::Lost;
            // Nobody knows the hash of an entry that was lost, which the one behind it carries.
            let follows = before.is_none_or(|(leaf, known)| leaf == front.prev || (!known && !lost));
            if *seq != expected || front.seq != expected || !follows {
                return Err(fault(FaultKind::LinkBroken).into());
            }
            let leaf = entry.leaf();
            before = Some((leaf, !lost));
            // With a filter all are opened: a time that nobody vouches for would hide entries.
            if expected < self.next {
                continue;
            }
            let opened = match filter {
                None => None,
                Some(filter) => {
                    let opened = keys.open(&entry).map_err(|error| fault(FaultKind::from(error)))?;
                    if !filter.matches(&opened) {
                        continue;
                    }
                    Some(opened)
                }
            };
            found.push(Followed { time: front.time, seq: expected, leaf, entry: opened });
        }
        (self.next, self.before) = (end, before);
        Ok(found)
    }
}
