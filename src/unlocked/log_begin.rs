//! Where the log begins, and what says that it may begin there: the prune entry, and a row that leads to it.

use super::Unlocked;
use crate::audit::{AuditFault, EntryKind, EntryRef, FaultKind, Head, LogPruned, open_entry};
use crate::error::Error;
use crate::format::keys::Tree;
use crate::policy::{LogCut, LogRetentionRow, PolicyRow};

/// Entries looked through at once for the prune entry, which is one of the first.
const CHUNK: usize = 256;

/// Where the log begins.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct LogBegin {
    /// Number of the first entry.
    pub(crate) first: u64,
    /// The one before it, where that was pruned.
    pub(crate) before: Option<Head>,
    /// What says that it was, and the number of the entry that does; `None` where that one was lost before a salvage.
    pub(crate) pruned: Option<(LogPruned, Option<u64>)>,
}

impl Unlocked {
    /// Where the log begins, if an entry of the log says that it may: a prune entry of this vault that opens, and says the same
    /// as the row beside it. Otherwise the fault that it is.
    pub(crate) fn log_begin(&self) -> Result<LogBegin, Error> {
        let (mut first, mut cut) = self.begin_as_stored()?;
        if cut.as_ref().map_or(0, |cut| cut.pruned.end) != first {
            // The row is seen as soon as it is queued, the log is cut once it is durable.
            self.committer.catch_up()?;
            (first, cut) = self.begin_as_stored()?;
        }
        let fault = |what| Err(AuditFault { seq: first, what }.into());
        let Some(cut) = cut else {
            return if first == 0 { Ok(LogBegin::default()) } else { fault(FaultKind::NotPruned) };
        };
        let LogCut { pruned, before, .. } = cut;
        match pruned.end.cmp(&first) {
            std::cmp::Ordering::Greater => return fault(FaultKind::PrunedIsThere { end: pruned.end }),
            std::cmp::Ordering::Less => return fault(FaultKind::NotPruned),
            std::cmp::Ordering::Equal => {}
        }
        match self.prune_entry(before, &pruned)? {
            Some(by) => Ok(LogBegin { first, before: Some(pruned.head()), pruned: Some((pruned, by)) }),
            None => fault(FaultKind::NotPruned),
        }
    }

    /// Where the log begins by what is stored, and what the row says of it. Not to be relied on without the entry.
    pub(crate) fn begin_as_stored(&self) -> Result<(u64, Option<LogCut>), Error> {
        Ok((self.committer.storage().first_entry(), self.log_cut()?))
    }

    /// The row of where the log begins.
    pub(crate) fn log_cut(&self) -> Result<Option<LogCut>, Error> {
        let (what, (table, id)) = ("policy row", PolicyRow::place_of_log_cut());
        let keyring = self.keyring();
        let key = keyring.policy_tag(table, &id);
        let Some(value) = self.committer.get(Tree::Policy, &key)? else { return Ok(None) };
        let body = self.open_row(keyring.policy_sealer(), Tree::Policy, &key, &value, what)?;
        match PolicyRow::parse(&body) {
            Ok(PolicyRow::LogRetention(LogRetentionRow::Cut(cut))) => Ok(Some(cut)),
            _ => Err(Error::TamperedRow { what }),
        }
    }

    /// The number of the entry behind `after` that says just this; nothing within where it was lost, and nothing at all where
    /// there is none.
    fn prune_entry(&self, after: u64, pruned: &LogPruned) -> Result<Option<Option<u64>>, Error> {
        let (keyring, mut next, mut lost) = (self.keyring(), after.saturating_add(1), false);
        loop {
            let entries = self.committer.storage().entries(next, CHUNK)?;
            let Some((last, _)) = entries.last() else { return Ok(lost.then_some(None)) };
            next = last.saturating_add(1);
            for (seq, bytes) in &entries {
                let fault = |what| AuditFault { seq: *seq, what };
                // What is wrong with others is not for here.
                let Ok(entry) = EntryRef::parse(bytes) else { continue };
                lost |= entry.front.kind == EntryKind::Lost;
                if entry.front.kind != EntryKind::Prune {
                    continue;
                }
                if entry.front.vault != self.vault {
                    return Err(fault(FaultKind::WrongVault { found: entry.front.vault }).into());
                }
                let subject = |epoch, tag: &[u8; 16], generation| self.subject_of(epoch, tag, generation);
                let opened =
                    open_entry(&entry, keyring.audit(), subject).map_err(|error| fault(FaultKind::from(error)))?;
                if opened.pruned.as_ref() == Some(pruned) && opened.seq == *seq {
                    return Ok(Some(Some(*seq)));
                }
            }
        }
    }
}
