//! Floor 6: the one order of all commits.
//!
//! Callers prepare everything that needs no order (checks, sealing of values, digest leaves), then queue. Whoever
//! finds nobody leading leads: it takes what is queued as one group, chains and seals the audit entries, writes one
//! journal frame, syncs it, passes leadership to the first caller queued meanwhile, and wakes the group. A lone caller
//! therefore never waits for another thread. The trees are brought up to date afterwards.

mod changes;
mod failed;
mod group;
mod growth;
mod lead;
mod overlay;
mod queue;
mod settle;
mod stripes;
mod ticket;
mod tree;
mod window;

use std::collections::BTreeSet;
use std::mem;
use std::sync::atomic::{AtomicI64, AtomicU8, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

#[cfg(test)]
pub(crate) use changes::Changes;
pub(crate) use changes::Stamp;
pub(crate) use failed::CommitFailed;
pub(crate) use growth::Growth;
pub(crate) use overlay::Row;
pub(crate) use queue::Queued;
pub(crate) use stripes::{Stripe, Stripes};
pub(crate) use tree::LogTree;
pub(crate) use window::Bell;

use crate::audit::{AuditKeys, Chain, Draft, Head, Reads};
use crate::clock::{Clock, Timestamp};
use crate::crypto::aead::Suite;
use crate::observe;
use crate::read_audit::ReadAudit;
use crate::storage::{Bytes, Scan, Storage, StorageError, Tree};
use overlay::{Overlay, page};
use queue::{ENTRY_OVERHEAD, Job, Need, PreparedEntry, Queue, room};
use settle::Unsettled;
use ticket::{Outcome, Woken};
use window::Share;

/// Bytes that one group may put into its frame.
const GROUP_BYTES: usize = 8 << 20;
/// Bytes that may wait in the queue before further callers block.
const QUEUE_BYTES: usize = 32 << 20;
/// The most that one job may bring: it has to fit a frame of 16 MiB together with its entries.
pub(crate) const JOB_BYTES: usize = 12 << 20;
/// What a read that joins an entry can add to it beyond its own size: padding of the entry and of what it says of a patient.
const JOINING: usize = 8 << 10;
/// What a row costs in a frame besides key and value.
const ROW_OVERHEAD: usize = 64;

/// What only the leader touches.
struct Order {
    chain: Chain,
    keys: Arc<AuditKeys>,
}

pub(crate) struct Committer {
    storage: Arc<dyn Storage>,
    /// Code of the suite that seals.
    suite: AtomicU8,
    clock: Arc<dyn Clock>,
    header_generation: AtomicU64,
    overlay: Overlay,
    unsettled: Unsettled,
    queue: Mutex<Queue>,
    room: Condvar,
    bell: Arc<Bell>,
    /// The latest time of an entry that was answered for before it was durable, in microseconds.
    answered: AtomicI64,
    order: Mutex<Order>,
    /// The newest durable entry, known while a leader holds `order`.
    newest: Mutex<Option<Head>>,
    /// The tree over the durable entries, changed while a leader holds `order`.
    tree: Mutex<Option<LogTree>>,
    growth: Arc<Growth>,
}

impl Committer {
    pub(crate) fn new(
        storage: Arc<dyn Storage>,
        suite: Suite,
        clock: Arc<dyn Clock>,
        header_generation: u64,
        chain: Chain,
        keys: Arc<AuditKeys>,
    ) -> Self {
        let growth = Arc::<Growth>::default();
        growth.reaches(chain.head().map_or(0, |head| head.seq.saturating_add(1)));
        Self {
            storage,
            suite: AtomicU8::new(suite.code()),
            clock,
            header_generation: AtomicU64::new(header_generation),
            overlay: Overlay::default(),
            unsettled: Unsettled::default(),
            queue: Mutex::default(),
            room: Condvar::new(),
            bell: Arc::default(),
            answered: AtomicI64::new(i64::MIN),
            newest: Mutex::new(chain.head()),
            tree: Mutex::default(),
            growth,
            order: Mutex::new(Order { chain, keys }),
        }
    }

    pub(crate) fn storage(&self) -> &dyn Storage {
        &*self.storage
    }

    /// What seals entries, and all else that is written.
    pub(crate) fn suite(&self) -> Suite {
        Suite::from_code(self.suite.load(Ordering::SeqCst)).unwrap_or(Suite::ChaCha20Poly1305)
    }

    /// Seals entries with this suite from now on.
    pub(crate) fn seal_with(&self, suite: Suite) {
        self.suite.store(suite.code(), Ordering::SeqCst);
    }

    /// The generation of the header in force.
    pub(crate) fn header_generation(&self) -> u64 {
        self.header_generation.load(Ordering::SeqCst)
    }

    /// A header of this generation was written: frames from now on say that an older one is rolled back.
    pub(crate) fn header_is(&self, generation: u64) {
        self.header_generation.fetch_max(generation, Ordering::SeqCst);
    }

    /// Whether somebody is writing, or waits for it.
    pub(crate) fn is_busy(&self) -> bool {
        let queue = self.lock_queue();
        queue.leading || !queue.jobs.is_empty()
    }

    /// Whether nothing is accepted any more.
    pub(crate) fn is_stopped(&self) -> bool {
        self.lock_queue().stopped.is_some()
    }

    /// The newest entry that is durable: whatever was acknowledged is not behind it.
    pub(crate) fn newest_entry(&self) -> Option<Head> {
        *self.newest.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What tells how far the log has come.
    pub(crate) const fn growth(&self) -> &Arc<Growth> {
        &self.growth
    }

    /// Whether all that was committed is in the trees.
    #[cfg(test)]
    pub(crate) fn nothing_waits(&self) -> bool {
        Tree::ALL.into_iter().all(|tree| self.overlay.range(tree, b"", None).is_empty())
    }

    /// The time of the newest entry that is durable or was answered for: the vault's clock never goes behind it.
    pub(crate) fn newest_time(&self) -> Option<Timestamp> {
        let answered = Timestamp::from_micros(self.answered.load(Ordering::Relaxed));
        self.newest_entry().map(|head| head.time.max(answered))
    }

    /// When entries of reads become durable from now on. What was answered for stays in the queue.
    pub(crate) fn choose(&self, choice: ReadAudit) {
        self.lock_queue().window.choose(choice);
    }

    /// Rings when entries that were answered for are due: then somebody has to call [`Committer::flush`].
    pub(crate) fn bell(&self) -> &Arc<Bell> {
        &self.bell
    }

    /// How a chart stands, by its patient tag: what was found after an equal stamp was taken is what would be
    /// found now. A write changes it as it becomes visible.
    pub(crate) fn stamp(&self, chart: &[u8; 16]) -> Stamp {
        self.overlay.stamp(chart)
    }

    /// The value of a key, waiting or settled.
    pub(crate) fn get(&self, tree: Tree, key: &[u8]) -> Result<Option<Bytes>, StorageError> {
        #[cfg(test)]
        crate::crypto::counted::one("look-up");
        match self.overlay.get(tree, key) {
            Some(waiting) => Ok(waiting),
            None => self.storage.get(tree, key),
        }
    }

    /// Rows, waiting or settled, ascending; fewer than the scan's limit only where there are no more.
    pub(crate) fn scan(&self, tree: Tree, scan: Scan<'_>) -> Result<Vec<(Vec<u8>, Bytes)>, StorageError> {
        #[cfg(test)]
        crate::crypto::counted::one("look-up");
        let waiting = self.overlay.range(tree, scan.prefix, scan.after);
        page(waiting, scan.after, scan.limit, |after, limit| self.storage.scan(tree, Scan { after, limit, ..scan }))
    }

    /// Keys, waiting or settled, ascending; fewer than the scan's limit only where there are no more.
    pub(crate) fn scan_keys(&self, tree: Tree, scan: Scan<'_>) -> Result<Vec<Vec<u8>>, StorageError> {
        #[cfg(test)]
        crate::crypto::counted::one("look-up");
        let waiting = self.overlay.range(tree, scan.prefix, scan.after);
        let waiting = waiting.into_iter().map(|(key, value)| (key, value.map(|_| ()))).collect();
        let keys = page(waiting, scan.after, scan.limit, |after, limit| {
            let keys = self.storage.scan_keys(tree, Scan { after, limit, ..scan })?;
            Ok::<_, StorageError>(keys.into_iter().map(|key| (key, ())).collect())
        })?;
        Ok(keys.into_iter().map(|(key, ())| key).collect())
    }

    /// Queues rows and the entries that stand for them. Its order among all commits is fixed when this returns.
    pub(crate) fn queue(&self, rows: Vec<Row>, drafts: Vec<Draft>) -> Result<Queued, CommitFailed> {
        self.queue_with(rows, drafts, None)
    }

    /// [`Committer::queue`], with which all entries below number `first` go, for good. The caller sees to it that nobody else
    /// cuts meanwhile: what is cut already is not cut twice.
    pub(crate) fn queue_cut(&self, rows: Vec<Row>, draft: Draft, first: u64) -> Result<Queued, CommitFailed> {
        // What is durable now is before it, wherever it goes: so it cannot fail once it is queued.
        let kept = self.storage.first_entry()..=self.storage.head().entries;
        if !kept.contains(&first) {
            let why = "a cut below the first entry that is kept, or above the last one";
            return Err(CommitFailed::NotCommitted(Arc::new(StorageError::Refused { why })));
        }
        self.queue_with(rows, vec![draft], Some(first))
    }

    fn queue_with(&self, rows: Vec<Row>, drafts: Vec<Draft>, cut: Option<u64>) -> Result<Queued, CommitFailed> {
        let job = Job { cut, ..self.job(&rows, drafts)? };
        let mut queue = self.let_in(job.need())?;
        queue.writing += usize::from(!rows.is_empty());
        // Under the queue's lock, so that later jobs overwrite earlier ones here as they do in the journal.
        if !rows.is_empty() {
            self.overlay.show(queue.next_number, rows.into_iter().map(|row| (row.tree, row.key, row.value)));
        }
        Ok(queue.push(job))
    }

    /// Queues the entry of a read. Where the vault chose so and the window has room, it is answered for at once. Not
    /// while a write is under way, which the reader may have seen: what it saw could still be lost.
    pub(crate) fn queue_read(&self, draft: Draft) -> Result<Queued, CommitFailed> {
        if !self.lock_queue().window.is_open() {
            return self.queue(Vec::new(), vec![draft]);
        }
        let now = self.clock.now();
        let size = draft.encoded_len();
        let room = room(size, draft.subjects.len()) + JOINING;
        let mut queue = self.let_in(Need { size, room, entries_only: true })?;
        let share = Share { entries: 1, bytes: size };
        if queue.writing == 0
            && Reads::can_hold(&draft)
            && let Some(delay) = queue.window.admit(share)
        {
            queue.answer(draft, now, share);
            self.answered.fetch_max(now.as_micros(), Ordering::Relaxed);
            self.bell.within(delay);
            return Ok(Queued(None));
        }
        drop(queue);
        self.queue(Vec::new(), vec![draft])
    }

    /// Makes an entry durable that is the first under other keys, as are all behind it. What was prepared under those before
    /// and has not got its place yet is sealed under the new ones.
    pub(crate) fn turn_to(&self, keys: Arc<AuditKeys>, draft: Draft) -> Outcome {
        let mut job = self.job(&[], vec![draft])?;
        if let Some(first) = job.entries.first_mut() {
            first.turns_to = Some(keys);
        }
        let queued = self.let_in(job.need())?.push(job);
        self.wait(queued)
    }

    /// Makes durable whatever was answered for until now.
    pub(crate) fn flush(&self) -> Outcome {
        if self.lock_queue().window.is_empty() {
            return Ok(());
        }
        self.catch_up()
    }

    /// Makes durable whatever was queued until now: all that anybody can have seen.
    pub(crate) fn catch_up(&self) -> Outcome {
        let job = self.job(&[], Vec::new())?;
        let queued = {
            let mut queue = self.lock_queue();
            if let Some(cause) = &queue.stopped {
                return Err(CommitFailed::Stopped(Arc::clone(cause)));
            }
            queue.push(job)
        };
        self.wait(queued)
    }

    /// All of a job but its place.
    fn job(&self, rows: &[Row], drafts: Vec<Draft>) -> Result<Job, CommitFailed> {
        // The digest would count such a row twice, and the trees hold it once.
        let mut seen = BTreeSet::new();
        if rows.len() > 1 && !rows.iter().all(|row| seen.insert((row.tree.code(), &*row.key))) {
            let why = "one commit writes a row twice";
            return Err(CommitFailed::NotCommitted(Arc::new(StorageError::Refused { why })));
        }
        let drafts = drafts.into_iter().flat_map(Draft::split);
        let entries = drafts.map(PreparedEntry::of).collect::<Result<Vec<_>, _>>()?;
        let mut size: usize = entries.iter().map(|entry| entry.prepared.entry_len()).sum();
        let subjects: usize = entries.iter().map(|entry| entry.subjects.len()).sum();
        let mut writes = Vec::with_capacity(rows.len());
        for row in rows {
            size += ROW_OVERHEAD + row.key.len() + row.value.as_ref().map_or(0, |value| value.len());
            let replaces = row.replaces.as_deref();
            writes.push(self.storage.prepare(row.tree, row.key.clone(), row.value.clone(), replaces));
        }
        if size > JOB_BYTES {
            return Err(CommitFailed::TooLarge { len: size });
        }
        let keys = rows.iter().map(|row| (row.tree, row.key.clone())).collect();
        let room = room(size, subjects) + entries.len() * ENTRY_OVERHEAD;
        Ok(Job { size, room, writes, keys, entries, ..Job::default() })
    }

    /// Waits until there is room in the queue, and makes sure of room in the journal: what is queued will not meet a full
    /// disk, and whoever sees its rows meanwhile relies on that.
    fn let_in(&self, Need { size, room, entries_only }: Need) -> Result<MutexGuard<'_, Queue>, CommitFailed> {
        let mut queue = self.lock_queue();
        loop {
            if let Some(cause) = &queue.stopped {
                return Err(CommitFailed::Stopped(Arc::clone(cause)));
            }
            if queue.bytes + size > QUEUE_BYTES && queue.bytes > 0 {
                queue.held_off += 1;
                queue = self.room.wait(queue).unwrap_or_else(PoisonError::into_inner);
                queue.held_off -= 1;
                continue;
            }
            let needed = queue.unwritten + room;
            if self.storage.has_room(needed, entries_only) {
                return Ok(queue);
            }
            drop(queue);
            self.storage
                .make_room(needed, entries_only)
                .map_err(|error| CommitFailed::NotCommitted(Arc::new(error)))?;
            queue = self.lock_queue();
        }
    }

    /// Ends the segment of the journal that is written to, between two commits.
    pub(crate) fn close_segment(&self) -> Result<(), StorageError> {
        let _order = self.order();
        self.storage.close_segment()
    }

    /// Waits until queued work is durable, leading the group if nobody does.
    pub(crate) fn wait(&self, queued: Queued) -> Outcome {
        let Some(ticket) = queued.0 else { return Ok(()) };
        let lead = {
            let mut queue = self.lock_queue();
            !mem::replace(&mut queue.leading, true)
        };
        if lead {
            self.lead();
        }
        loop {
            match ticket.wait() {
                Woken::Lead => self.lead(),
                Woken::Done(outcome) => return outcome,
            }
        }
    }

    /// [`Committer::queue`], then [`Committer::wait`].
    pub(crate) fn commit(&self, rows: Vec<Row>, drafts: Vec<Draft>) -> Outcome {
        self.wait(self.queue(rows, drafts)?)
    }

    /// Refuses all further work.
    pub(crate) fn stop(&self, cause: &str) {
        let mut queue = self.lock_queue();
        self.stop_locked(&mut queue, cause);
    }

    fn stop_locked(&self, queue: &mut Queue, cause: &str) {
        let cause: Arc<str> = cause.into();
        for job in mem::take(&mut queue.jobs) {
            job.ticket.finish(Err(CommitFailed::Stopped(Arc::clone(&cause))));
        }
        observe::unqueued(mem::take(&mut queue.bytes));
        queue.unwritten = 0;
        queue.stopped.get_or_insert(cause);
        queue._seen_stopped.get_or_insert_with(observe::Stopped::new);
        self.room.notify_all();
        // Who follows the log finds out why.
        self.growth.nudge();
    }

    /// Entries that were answered for are durable, or lost because everything stops.
    fn release(&self, share: Share) {
        self.lock_queue().window.release(share);
    }

    fn lock_queue(&self) -> MutexGuard<'_, Queue> {
        // The queue's steps cannot panic half-way, so a poisoned lock guards a whole queue.
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn order(&self) -> MutexGuard<'_, Order> {
        self.order.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests;
