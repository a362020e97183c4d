//! What waits to be written, in its order.

use std::collections::VecDeque;
use std::sync::Arc;

use super::ticket::Ticket;
use super::window::{Share, Window};
use crate::audit::{AuditKeys, Draft, DraftError, Prepared, Reads};
use crate::clock::Timestamp;
use crate::ids::PatientId;
use crate::observe;
use crate::storage::{Bytes, PreparedWrite, Tree};

/// What an entry costs in a frame besides its bytes and 16 for each subject.
pub(super) const ENTRY_OVERHEAD: usize = 4;
/// What a frame costs besides writes and entries, an entry of the storage's own included, at most.
const FRAME_OVERHEAD: usize = 1_024;
/// Entries that may take in further reads. Callers beyond so many find theirs closed.
const MOST_OPEN: usize = 16;

/// Bytes that a job of this size, about so many patients, takes in the journal at most, but for [`ENTRY_OVERHEAD`].
pub(super) const fn room(size: usize, subjects: usize) -> usize {
    size + subjects * 16 + FRAME_OVERHEAD
}

/// What a job wants before it is let in.
pub(super) struct Need {
    pub(super) size: usize,
    pub(super) room: usize,
    pub(super) entries_only: bool,
}

pub(super) struct Job {
    pub(super) number: u64,
    pub(super) size: usize,
    /// Bytes that it takes in the journal at most.
    pub(super) room: usize,
    pub(super) writes: Vec<PreparedWrite>,
    pub(super) keys: Vec<(Tree, Bytes)>,
    pub(super) entries: Vec<PreparedEntry>,
    /// Entries below this number go with it.
    pub(super) cut: Option<u64>,
    pub(super) ticket: Arc<Ticket>,
    /// Reads that were answered for, and what they take of the window. Nobody waits for them.
    pub(super) answered: Option<(Reads, Share)>,
}

impl Default for Job {
    fn default() -> Self {
        let (writes, keys, entries) = (Vec::new(), Vec::new(), Vec::new());
        let ticket = Arc::new(Ticket::new());
        Self { number: 0, size: 0, room: 0, writes, keys, entries, cut: None, ticket, answered: None }
    }
}

impl Job {
    pub(super) const fn need(&self) -> Need {
        Need { size: self.size, room: self.room, entries_only: self.writes.is_empty() }
    }
}

/// An entry that lacks only its place in the chain.
pub(super) struct PreparedEntry {
    pub(super) prepared: Prepared,
    pub(super) subjects: Vec<(PatientId, [u8; 16])>,
    /// What seals this entry and those behind it, if it is the first of an epoch.
    pub(super) turns_to: Option<Arc<AuditKeys>>,
}

impl PreparedEntry {
    pub(super) fn of(draft: Draft) -> Result<Self, DraftError> {
        let subjects = draft.subjects.iter().map(|subject| (subject.patient, subject.patient_tag)).collect();
        Ok(Self { prepared: draft.prepare()?, subjects, turns_to: None })
    }
}

/// Work that was queued and will be acknowledged by [`Committer::wait`](super::Committer::wait).
#[must_use = "queued work is acknowledged only when waited for"]
pub(crate) struct Queued(pub(super) Option<Arc<Ticket>>);

#[derive(Default)]
pub(super) struct Queue {
    /// Their numbers have no gaps.
    pub(super) jobs: VecDeque<Job>,
    pub(super) bytes: usize,
    /// Bytes that what is queued, or being written, takes in the journal at most.
    pub(super) unwritten: usize,
    pub(super) next_number: u64,
    pub(super) leading: bool,
    /// Callers who wait for room in the queue.
    pub(super) held_off: usize,
    /// Jobs with rows that are not durable yet.
    pub(super) writing: usize,
    pub(super) window: Window,
    /// Numbers of jobs that take in further reads: none behind which somebody waits.
    open: VecDeque<u64>,
    /// Why nothing is accepted any more.
    pub(super) stopped: Option<Arc<str>>,
    pub(super) _seen_stopped: Option<observe::Stopped>,
}

impl Queue {
    pub(super) fn push(&mut self, mut job: Job) -> Queued {
        job.number = self.next_number;
        self.next_number += 1;
        self.count(job.size, job.room);
        let queued = Queued(job.answered.is_none().then(|| Arc::clone(&job.ticket)));
        if job.answered.is_none() {
            self.open.clear();
        }
        self.jobs.push_back(job);
        queued
    }

    /// Takes in a read that is answered for: under the entry of reads before it, if it differs from them in nothing but when,
    /// whose and which records; else under one of its own.
    pub(super) fn answer(&mut self, draft: Draft, now: Timestamp, share: Share) {
        let Some(draft) = self.add(draft, now, share) else { return };
        let reads = Reads::of(draft, now);
        let size = reads.entry_len();
        let room = room(size, reads.subjects()) + ENTRY_OVERHEAD;
        if self.open.len() == MOST_OPEN {
            self.open.pop_back();
        }
        self.open.push_front(self.next_number);
        // Nobody waits for it.
        let _ = self.push(Job { size, room, answered: Some((reads, share)), ..Job::default() });
    }

    /// Gives it back where no entry takes it in.
    fn add(&mut self, mut draft: Draft, now: Timestamp, share: Share) -> Option<Draft> {
        let Some(first) = self.jobs.front().map(|job| job.number) else { return Some(draft) };
        for number in &self.open {
            let at = number.checked_sub(first).and_then(|at| usize::try_from(at).ok());
            let Some(job) = at.and_then(|at| self.jobs.get_mut(at)) else { continue };
            let Some((reads, taken)) = &mut job.answered else { continue };
            draft = match reads.add(draft, now) {
                Some(draft) => draft,
                None => {
                    taken.entries += share.entries;
                    taken.bytes += share.bytes;
                    let size = reads.entry_len();
                    let room = room(size, reads.subjects()) + ENTRY_OVERHEAD;
                    let more = (size.saturating_sub(job.size), room.saturating_sub(job.room));
                    (job.size, job.room) = (job.size + more.0, job.room + more.1);
                    self.count(more.0, more.1);
                    return None;
                }
            };
        }
        Some(draft)
    }

    fn count(&mut self, size: usize, room: usize) {
        self.bytes += size;
        self.unwritten += room;
        observe::queued(size);
    }

    /// Jobs of at most so many bytes together, one at least.
    pub(super) fn take(&mut self, most: usize) -> Vec<Job> {
        let mut size = 0;
        let mut group = Vec::new();
        while let Some(job) = self.jobs.front() {
            if !group.is_empty() && size + job.size > most {
                break;
            }
            size += job.size;
            group.extend(self.jobs.pop_front());
        }
        self.open.clear();
        self.bytes -= size;
        observe::unqueued(size);
        group
    }
}
