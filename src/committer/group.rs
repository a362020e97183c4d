//! The callers whose work goes into one frame. However that ends, each of them gets an answer.

use std::collections::BTreeMap;
use std::mem;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::overlay::Overlay;
use super::queue::Job;
use super::ticket::{Outcome, Ticket};
use super::window::Share;
use super::{CommitFailed, Committer};
use crate::storage::{StorageError, Tree};

/// The places of rows that one job shows in the overlay.
pub(super) type Places = Vec<(Tree, Vec<u8>)>;

pub(super) struct Group<'c> {
    committer: &'c Committer,
    tickets: Vec<Arc<Ticket>>,
    rows: Vec<(u64, Places)>,
    /// What the group's reads take of the window.
    answered: Share,
    /// What the callers are told when this is dropped.
    pub(super) outcome: Outcome,
    /// Until the leader is through. Whether the thread unwinds says less: a caller may commit while it does.
    panicked: bool,
}

impl<'c> Group<'c> {
    pub(super) fn of(committer: &'c Committer, jobs: &mut [Job]) -> Self {
        let tickets = jobs.iter().map(|job| Arc::clone(&job.ticket)).collect();
        let mut answered = Share::default();
        for (_, share) in jobs.iter().filter_map(|job| job.answered.as_ref()) {
            answered.entries += share.entries;
            answered.bytes += share.bytes;
        }
        let jobs = jobs.iter_mut().filter(|job| !job.keys.is_empty());
        let rows = jobs.map(|job| (job.number, mem::take(&mut job.keys))).collect();
        // What holds if the leader panics: a caller's clock did, or the trees.
        let cause = "the thread that committed panicked".to_owned();
        let outcome = Err(CommitFailed::OutcomeUnknown(Arc::new(StorageError::Poisoned { cause })));
        Self { committer, tickets, rows, answered, outcome, panicked: true }
    }

    /// Its jobs with rows.
    pub(super) const fn writing(&self) -> usize {
        self.rows.len()
    }

    /// The leader has done with it all that it does.
    pub(super) const fn done(&mut self) {
        self.panicked = false;
    }

    /// Takes the group's rows from the overlay: the trees have them.
    pub(super) fn settled(&mut self) {
        remove(&self.committer.overlay, self.take_rows());
    }

    /// Leaves the rows in the overlay; whoever takes them sees to their removal.
    pub(super) fn take_rows(&mut self) -> Vec<(u64, Places)> {
        mem::take(&mut self.rows)
    }
}

fn remove(overlay: &Overlay, rows: Vec<(u64, Places)>) {
    for (number, keys) in rows {
        overlay.settled(number, keys.into_iter());
    }
}

/// Rows of groups that are durable, but could not be settled yet because the disk was full: by their frame's number.
#[derive(Default)]
pub(super) struct Late(Mutex<BTreeMap<u64, Vec<(u64, Places)>>>);

impl Late {
    pub(super) fn put_off(&self, frame: u64, rows: Vec<(u64, Places)>) {
        // A group without entries of its own waits for the frame of another.
        self.lock().entry(frame).or_default().extend(rows);
    }

    /// Everything through this frame is settled now.
    pub(super) fn settled(&self, overlay: &Overlay, frame: u64) {
        let mut late = self.lock();
        while let Some(first) = late.first_entry().filter(|first| *first.key() <= frame) {
            remove(overlay, first.remove());
        }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<u64, Vec<(u64, Places)>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Group<'_> {
    fn drop(&mut self) {
        if self.panicked {
            self.committer.stop("the thread that committed panicked");
        }
        if self.outcome.is_ok() {
            self.committer.release(self.answered);
        }
        for ticket in mem::take(&mut self.tickets) {
            ticket.finish(self.outcome.clone());
        }
    }
}
