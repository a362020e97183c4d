//! The callers whose work goes into one frame. However that ends, each of them gets an answer.

use std::mem;
use std::sync::Arc;

use super::queue::Job;
use super::ticket::{Outcome, Ticket};
use super::window::Share;
use super::{CommitFailed, Committer};
use crate::storage::{Bytes, StorageError, Tree};

/// The places of rows that one job shows in the overlay.
pub(super) type Places = Vec<(Tree, Bytes)>;

pub(super) struct Group<'c> {
    committer: &'c Committer,
    tickets: Vec<Arc<Ticket>>,
    rows: Vec<(u64, Places)>,
    /// Bytes of its rows and entries.
    pub(super) size: usize,
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
        let size = jobs.iter().map(|job| job.size).sum();
        let jobs = jobs.iter_mut().filter(|job| !job.keys.is_empty());
        let rows = jobs.map(|job| (job.number, mem::take(&mut job.keys))).collect();
        // What holds if the leader panics: a caller's clock did, or the trees.
        let cause = "the thread that committed panicked".to_owned();
        let outcome = Err(CommitFailed::OutcomeUnknown(Arc::new(StorageError::Poisoned { cause })));
        Self { committer, tickets, rows, size, answered, outcome, panicked: true }
    }

    /// Its jobs with rows.
    pub(super) const fn writing(&self) -> usize {
        self.rows.len()
    }

    /// The leader has done with it all that it does.
    pub(super) const fn done(&mut self) {
        self.panicked = false;
    }

    /// Leaves the rows in the overlay; whoever takes them sees to their removal.
    pub(super) fn take_rows(&mut self) -> Vec<(u64, Places)> {
        mem::take(&mut self.rows)
    }

    /// Tells the callers how it went.
    pub(super) fn answer(&mut self) {
        if self.outcome.is_ok() {
            self.committer.release(mem::take(&mut self.answered));
        }
        for ticket in mem::take(&mut self.tickets) {
            ticket.finish(self.outcome.clone());
        }
    }
}

impl Drop for Group<'_> {
    fn drop(&mut self) {
        if self.panicked {
            self.committer.stop("the thread that committed panicked");
        }
        self.answer();
    }
}
