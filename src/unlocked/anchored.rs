//! What anchors hold against what the log is.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use super::Unlocked;
use crate::anchor::{Anchor, AnchorError, AnchorFault, AnchorPolicy};
use crate::audit::{note, origin};
use crate::error::Error;
use crate::policy::EpochRow;

/// Anchors, and what is expected of each.
pub(crate) type Registered = Vec<(Arc<dyn Anchor>, AnchorPolicy)>;

/// What came of asking the anchors.
#[derive(Default)]
pub(crate) struct Compared {
    /// Those that could not be read, and why.
    pub(crate) unread: Vec<String>,
    /// Entries that each one holds, in their order.
    pub(crate) held: Vec<Option<u64>>,
}

impl Unlocked {
    /// Compares with all anchors: the log is at least as long as each of them says, and has the same root there. Writes nothing.
    pub(crate) fn compare_with_anchors(&self) -> Result<Compared, Error> {
        let mut compared = Compared::default();
        for (anchor, policy) in &self.anchors {
            let held = match self.compare_with(anchor, policy) {
                Err(Error::Anchor(AnchorFault::Unread { source, .. })) if !policy.required => {
                    compared.unread.push(format!("{}: {source}", anchor.name()));
                    None
                }
                held => held?,
            };
            compared.held.push(held);
        }
        Ok(compared)
    }

    /// Compares with one: entries of the checkpoint that it holds, if it holds one.
    pub(crate) fn compare_with(&self, anchor: &Arc<dyn Anchor>, policy: &AnchorPolicy) -> Result<Option<u64>, Error> {
        let unread = |source| AnchorFault::Unread { anchor: anchor.name().to_owned(), source };
        let (vault, asked) = (self.vault, Arc::clone(anchor));
        let held = within(policy.patience, move || asked.last(vault)).map_err(unread)?;
        let held = held.map(|text| self.judge_anchored(anchor.name(), &text)).transpose()?;
        // Only now: what it holds is to be looked at, whether or not it answers further.
        let asked = Arc::clone(anchor);
        let seen = within(policy.patience, move || asked.seen(vault)).map_err(unread)?;
        self.judge_seen(anchor.name(), seen)?;
        Ok(held)
    }

    /// Compares with what an anchor gave: entries of the checkpoint that it holds.
    pub(crate) fn judge_anchored(&self, anchor: &str, text: &str) -> Result<u64, Error> {
        judge(self, anchor, text)
    }

    /// Compares with what an anchor says to have seen.
    pub(crate) fn judge_seen(&self, anchor: &str, seen: Option<u64>) -> Result<(), Error> {
        let found = self.committer.newest_entry().map_or(0, |head| head.seq.saturating_add(1));
        match seen.filter(|seen| *seen > found) {
            Some(seen) => Err(AnchorFault::Ahead { anchor: anchor.to_owned(), seen, found }.into()),
            None => Ok(()),
        }
    }
}

/// Calls the host on a thread of its own, and waits no longer than is allowed: one that hangs is left to itself.
fn within<T: Send + 'static>(
    most: Duration,
    call: impl FnOnce() -> Result<T, AnchorError> + Send + 'static,
) -> Result<T, AnchorError> {
    let (send, answer) = mpsc::channel();
    let run = move || {
        let _ = send.send(guarded(call));
    };
    let failed = |error| AnchorError::Failed { why: format!("no thread can be had to ask it: {error}") };
    thread::Builder::new().name("chartvault-anchor".into()).spawn(run).map_err(failed)?;
    answer.recv_timeout(most).unwrap_or(Err(AnchorError::TimedOut { after: most }))
}

/// A panic of the host is a failure like others.
pub(crate) fn guarded<T>(call: impl FnOnce() -> Result<T, AnchorError>) -> Result<T, AnchorError> {
    let panicked = |_| Err(AnchorError::Failed { why: "it panicked".to_owned() });
    catch_unwind(AssertUnwindSafe(call)).unwrap_or_else(panicked)
}

/// Entries that an anchor holds, of a log that goes on from there.
fn judge(unlocked: &Unlocked, anchor: &str, text: &str) -> Result<u64, Error> {
    let newest = unlocked.committer.newest_entry();
    let (found, epoch) = newest.map_or((0, 0), |head| (head.seq.saturating_add(1), head.key_id));
    let anchor = anchor.to_owned();
    let claimed = match note::Claimed::parse(text) {
        Ok(claimed) if claimed.origin == origin(unlocked.vault) => claimed,
        _ => return Err(AnchorFault::NoCheckpoint { anchor }.into()),
    };
    let anchored = claimed.size;
    // The signature before all else: whoever can write the anchor and nothing more must not look like a log brought back.
    let row = epoch_of(unlocked, anchored, epoch)?;
    let signed = |public: &[u8; 32]| claimed.is_signed_by(unlocked.vault, public);
    // The final checkpoint of the newest epoch names the next key: where that signed, its epoch began, and is not in this log.
    let next = row.as_ref().filter(|_| anchored > found).and_then(|row| row.closed.as_ref());
    let later = next.is_some_and(|closed| signed(&closed.next));
    if !later && !row.as_ref().is_some_and(|row| signed(&row.public)) {
        return Err(AnchorFault::UnknownKey { anchor, anchored, found }.into());
    }
    if anchored > found {
        return Err(Error::RolledBack { anchor, anchored, found });
    }
    if unlocked.log_root(anchored)? != claimed.root {
        return Err(Error::Forked { anchor, anchored });
    }
    Ok(anchored)
}

/// The signing epoch whose key signs checkpoints of this size: the last one with an entry before it.
fn epoch_of(unlocked: &Unlocked, size: u64, newest: u32) -> Result<Option<EpochRow>, Error> {
    let (mut low, mut high, mut found) = (1_u32, newest, None);
    while low <= high {
        let middle = low + (high - low) / 2;
        match unlocked.epoch_row(middle)? {
            Some(row) if row.first >= size => match middle.checked_sub(1) {
                Some(below) => high = below,
                None => break,
            },
            // Those without a row are of before the vault signed.
            row => {
                found = row.or(found);
                low = middle.saturating_add(1);
            }
        }
    }
    Ok(found)
}

impl From<AnchorFault> for Error {
    fn from(fault: AnchorFault) -> Self {
        Self::Anchor(fault)
    }
}
