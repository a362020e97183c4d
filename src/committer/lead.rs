//! What the leader does: one group, one frame, in order.

use std::collections::HashMap;
use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};

use super::group::Group;
use super::queue::{Job, PreparedEntry};
use super::tree::Growth;
use super::{CommitFailed, Committer, GROUP_BYTES, Order};
use crate::audit::{AuditEvent, CLOCK_STEP_MICROS, Draft, EntryKind, Outcome};
use crate::clock::Timestamp;
use crate::ids::PatientId;
use crate::observe;
use crate::storage::{Batch, Pending, SealedEntry};

impl Committer {
    /// Writes one group, answers its callers, and sees to it that it is settled.
    pub(super) fn lead(&self) {
        let mut order = self.order();
        let mut jobs = self.take_group();
        if jobs.is_empty() {
            self.pass_on(0);
            return;
        }
        let mut group = Group::of(self, &mut jobs);
        let room: usize = jobs.iter().map(|job| job.room).sum();
        let written = self.write(&mut order, jobs);
        self.written(room);
        match written {
            Ok(pending) => {
                // Durable, and so acknowledged whatever happens to the trees: the journal brings it back.
                group.outcome = Ok(());
                self.pass_on(group.writing());
                drop(order);
                let (rows, bytes) = (group.take_rows(), group.size);
                group.answer();
                self.settle_later(pending.seq, rows, bytes);
            }
            Err(failed) => {
                let mut queue = self.lock_queue();
                self.stop_locked(&mut queue, &failed.to_string());
                queue.leading = false;
                drop(queue);
                group.outcome = Err(failed);
            }
        }
        group.done();
    }

    fn write(&self, order: &mut Order, jobs: Vec<Job>) -> Result<Pending, CommitFailed> {
        let (mut chain, mut keys, suite) = (order.chain, Arc::clone(&order.keys), self.suite());
        let (now, jobs_in_group) = (self.not_before_answered(self.clock.now()), jobs.len());
        let mut tallies: HashMap<[u8; 16], u64> = HashMap::new();
        let mut batch = Batch { header_generation: self.header_generation(), ..Batch::default() };
        // What another one cut meanwhile is gone already.
        let cut = jobs.iter().filter_map(|job| job.cut).max();
        batch.cut = cut.filter(|cut| *cut > self.storage.first_entry());
        let (mut entries, mut notice, mut growth) = (Vec::new(), None, self.log_tree().map(Growth::of));
        if let Some(noticed) = self.storage.take_notice() {
            let mut draft = Draft::new(AuditEvent::Recovered, Outcome::Allowed);
            draft.kind = EntryKind::Recovery;
            draft.fields.detail = Some(noticed.to_owned());
            // Not later than what stands behind it.
            let first = jobs.first().and_then(|job| job.answered.as_ref());
            notice = Some((first.map_or(now, |(reads, _)| reads.time()), PreparedEntry::of(draft)?));
        }
        // Nothing stands between the final checkpoint of an epoch and the first entry of the next one.
        let first = jobs.first().and_then(|job| job.entries.first());
        let behind = first.is_some_and(|first| first.prepared.begins_signing_epoch());
        for job in jobs {
            if let Some((reads, _)) = job.answered {
                entries.push((reads.time(), PreparedEntry::of(reads.into_draft())?));
            }
            entries.extend(job.entries.into_iter().map(|entry| (now, entry)));
            batch.writes.extend(job.writes);
        }
        if let Some(notice) = notice {
            entries.insert(usize::from(behind), notice);
        }
        for (time, PreparedEntry { prepared, subjects, turns_to }) in entries {
            keys = turns_to.unwrap_or(keys);
            let count = |patient: PatientId| {
                let tag = subjects.iter().find(|(named, _)| *named == patient).map_or([0; 16], |(_, tag)| *tag);
                let tally = tallies.entry(tag).or_insert_with(|| self.storage.tally(&tag));
                *tally += 1;
                *tally
            };
            let appended = chain.append(&keys, suite, time, prepared, count);
            let bytes = appended.map_err(|error| CommitFailed::Stopped(error.to_string().into()))?;
            if let (Some(growth), Some(head)) = (&mut growth, chain.head()) {
                growth.push(head.leaf);
            }
            let subjects = subjects.iter().map(|(_, tag)| *tag).collect();
            batch.entries.push(SealedEntry { bytes, subjects });
        }
        batch.writes.extend(self.tiles(growth.as_ref()));
        let head = self.storage.head();
        if batch.writes.is_empty() && batch.entries.is_empty() {
            // Somebody waits for what is durable already.
            return Ok(Pending { seq: head.seq });
        }
        let (took, entries) = (observe::Stopwatch::start(), batch.entries.len());
        let committed = self.storage.commit(head, batch);
        observe::committed(took, jobs_in_group, entries, committed.is_ok());
        let pending = committed?;
        (order.chain, order.keys) = (chain, keys);
        *self.newest.lock().unwrap_or_else(PoisonError::into_inner) = chain.head();
        self.grown(growth);
        self.growth.reaches(chain.head().map_or(0, |head| head.seq.saturating_add(1)));
        Ok(pending)
    }

    /// What follows reads that were answered is not before them, unless the clock was set back for good.
    fn not_before_answered(&self, now: Timestamp) -> Timestamp {
        let answered = self.answered.load(Ordering::Relaxed);
        let set_back = now.as_micros() < answered.saturating_sub(CLOCK_STEP_MICROS);
        if set_back { now } else { now.max(Timestamp::from_micros(answered)) }
    }

    fn written(&self, room: usize) {
        let mut queue = self.lock_queue();
        queue.unwritten = queue.unwritten.saturating_sub(room);
    }

    fn take_group(&self) -> Vec<Job> {
        let mut queue = self.lock_queue();
        let group = queue.take(GROUP_BYTES);
        if queue.held_off > 0 {
            self.room.notify_all();
        }
        group
    }

    /// Makes the first caller who waits the leader, if there is one; so many jobs with rows are durable now.
    fn pass_on(&self, written: usize) {
        let mut queue = self.lock_queue();
        queue.writing = queue.writing.saturating_sub(written);
        match queue.jobs.iter().find(|job| job.answered.is_none()) {
            Some(next) => next.ticket.promote(),
            None => queue.leading = false,
        }
    }
}
