//! Seals the rows of a tree anew, batch by batch, while others work.
//!
//! A batch is opened and sealed without any lock. Then the charts are held for as long as it takes to see that the rows are
//! still those that were read, and to queue what takes their place; so whoever amends or erases meanwhile is never undone.

use std::collections::BTreeMap;
use std::thread;
use std::time::{Duration, Instant};

use crate::audit::{AuditEvent, Draft, Outcome};
use crate::committer::{Queued, Row, Stamp, Stripe};
use crate::error::Error;
use crate::format::keys::{RecordKey, Tree};
use crate::policy::{DataKeyRow, PolicyRow};
use crate::progress::{OnProgress, Progress, Task};
use crate::storage::{Bytes, Scan};
use crate::unlocked::{Chart, OlderSealer, Renewed, Unlocked};

/// Rows of a batch, and of one while others write.
const ROWS: usize = 500;
const ROWS_AMONG_OTHERS: usize = 64;
/// Stored bytes after which a batch ends.
const BYTES: usize = 1 << 20;
/// The longest pause between two batches while others write.
const LONGEST_PAUSE: Duration = Duration::from_millis(50);

/// What a walk over a tree did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::vault) struct Walked {
    /// Rows that were looked at.
    pub(in crate::vault) looked_at: u64,
    pub(in crate::vault) renewed: u64,
    /// Rows that somebody changed while they were sealed: to be looked at again.
    pub(in crate::vault) changed: u64,
    /// Rows that do not open.
    pub(in crate::vault) unreadable: u64,
}

impl Walked {
    /// Whether all that can be read is sealed as new rows are.
    pub(super) const fn found_nothing(&self) -> bool {
        self.renewed == 0 && self.changed == 0
    }
}

/// What a walk is for.
#[derive(Clone, Copy)]
pub(super) struct Aim {
    pub(super) tree: Tree,
    pub(super) task: Task,
    /// For the log: under what rows are sealed.
    pub(super) under: &'static str,
    /// Keeps in the policy how far it has come.
    pub(super) remembers: bool,
}

/// Rows that were read, and what is to become of them.
struct Batch {
    /// The last key that was looked at.
    last: Vec<u8>,
    /// How their charts stood before they were read.
    stamps: BTreeMap<[u8; 16], Stamp>,
    rows: Vec<(Vec<u8>, Bytes)>,
    /// In the same order.
    renewed: Vec<Renewed>,
    /// Rows that the disk does not give.
    lost: u64,
    /// How long that took.
    took: Duration,
}

pub(super) struct Walk<'w, 'p> {
    unlocked: &'w Unlocked,
    aim: Aim,
    go_on: &'w dyn Fn() -> bool,
    progress: &'w mut OnProgress<'p>,
    after: Option<Vec<u8>>,
    total: Option<u64>,
    /// Others wrote during the batch before.
    among_others: bool,
    walked: Walked,
}

impl<'w, 'p> Walk<'w, 'p> {
    pub(super) fn new(
        unlocked: &'w Unlocked,
        aim: Aim,
        go_on: &'w dyn Fn() -> bool,
        progress: &'w mut OnProgress<'p>,
    ) -> Self {
        let total = unlocked.committer.storage().rows(aim.tree);
        let (after, among_others, walked) = (None, false, Walked::default());
        Self { unlocked, aim, go_on, progress, after, total, among_others, walked }
    }

    /// Goes on where another one ended.
    pub(super) fn from(mut self, row: &DataKeyRow) -> Self {
        if let Some(last) = row.last {
            self.after = Some(last.to_bytes().to_vec());
            self.total = self.total.map(|total| total.saturating_sub(row.passed));
        }
        self
    }

    /// Walks to the end of the tree.
    pub(super) fn run(mut self) -> Result<Walked, Error> {
        let mut next = Batch::read(self.unlocked, self.aim.tree, self.after.as_deref(), ROWS)?;
        while let Some(batch) = next {
            if !(self.go_on)() {
                return Err(Error::Sealed);
            }
            self.walked.looked_at += count(batch.rows.len());
            next = self.put_and_read_on(batch)?;
            let done = self.walked.looked_at;
            (self.progress)(Progress::new(self.aim.task, done, self.total.map(|total| total.max(done))));
        }
        Ok(self.walked)
    }

    /// Replaces the rows of a batch, and makes the next one ready: meanwhile, on a thread of its own, or after a pause where
    /// others write.
    fn put_and_read_on(&mut self, batch: Batch) -> Result<Option<Batch>, Error> {
        let (unlocked, tree, last, took) = (self.unlocked, self.aim.tree, batch.last.clone(), batch.took);
        let (started, before) = (Instant::now(), self.entries());
        let queued = self.replace(batch)?;
        let own = u64::from(queued.is_some());
        let put = || {
            let Some((queued, place)) = queued else { return Ok(()) };
            unlocked.committer.wait(queued)?;
            place.into_iter().for_each(|place| unlocked.policy.apply(PolicyRow::DataKey(place)));
            Ok::<_, Error>(())
        };
        let ahead = if self.among_others {
            put()?;
            thread::sleep(((took + started.elapsed()) / 2).min(LONGEST_PAUSE));
            None
        } else {
            thread::scope(|scope| {
                let read = || Batch::read(unlocked, tree, Some(&last), ROWS);
                let ahead = thread::Builder::new().name("chartvault-reseal".into()).spawn_scoped(scope, read);
                put()?;
                Ok::<_, Error>(ahead.ok().and_then(|ahead| ahead.join().ok()))
            })?
        };
        self.among_others = self.entries() > before.saturating_add(own);
        let limit = if self.among_others { ROWS_AMONG_OTHERS } else { ROWS };
        ahead.unwrap_or_else(|| Batch::read(unlocked, tree, Some(&last), limit))
    }

    /// Entries that are durable: others who work leave some.
    fn entries(&self) -> u64 {
        self.unlocked.committer.newest_entry().map_or(0, |head| head.seq)
    }

    /// Queues what was sealed in the place of what was read, with an entry, and how far the walk has come.
    fn replace(&mut self, batch: Batch) -> Result<Option<(Queued, Option<DataKeyRow>)>, Error> {
        let (unlocked, tree) = (self.unlocked, self.aim.tree);
        let mut ready = Vec::new();
        self.walked.unreadable += batch.lost;
        for ((key, value), renewed) in batch.rows.into_iter().zip(batch.renewed) {
            match renewed {
                Renewed::Current => {}
                Renewed::Unreadable => self.walked.unreadable += 1,
                Renewed::Anew(new) => {
                    ready.push(Row { tree, key: key.into(), value: Some(new), replaces: Some(value) })
                }
            }
        }
        let mut stripes: Vec<Stripe> = ready.iter().filter_map(|row| stripe(tree, &row.key)).collect();
        stripes.extend(self.aim.remembers.then_some(Stripe::Policy));
        let _held = unlocked.stripes.write(&stripes);
        let (found, mut still) = (count(ready.len()), Vec::with_capacity(ready.len()));
        for row in ready {
            let tag = row.key.first_chunk::<16>();
            let unchanged = tag.is_some_and(|tag| batch.stamps.get(tag) == Some(&unlocked.committer.stamp(tag)));
            if unchanged || unlocked.committer.get(tree, &row.key)? == row.replaces {
                still.push(row);
            }
        }
        let renewed = count(still.len());
        self.walked.renewed += renewed;
        self.walked.changed += found - renewed;
        if still.is_empty() {
            return Ok(None);
        }
        let place = self.place(&batch.last);
        if let Some(place) = place {
            still.push(unlocked.policy_row(&PolicyRow::DataKey(place))?);
        }
        let mut draft = Draft::new(AuditEvent::RowsResealed, Outcome::Allowed);
        draft.fields.count = Some(u32::try_from(renewed).unwrap_or(u32::MAX));
        draft.fields.detail = Some(format!("{} of the tree {}", self.aim.under, name(tree)));
        Ok(Some((unlocked.committer.queue(still, vec![draft])?, place)))
    }

    /// How far this has come, to be remembered.
    fn place(&self, last: &[u8]) -> Option<DataKeyRow> {
        let row = self.unlocked.policy.data_key().filter(|_| self.aim.remembers)?;
        let rows = self.unlocked.committer.storage().rows(self.aim.tree).unwrap_or(0);
        let left = self.total.map_or(0, |total| total.saturating_sub(self.walked.looked_at));
        Some(DataKeyRow { passed: rows.saturating_sub(left), last: RecordKey::from_bytes(last).ok(), ..row })
    }
}

/// Patients' secrets that no key of the vault opens, of those that are not sealed as new ones are. Changes nothing.
pub(in crate::vault) fn count_unreadable(unlocked: &Unlocked) -> Result<u64, Error> {
    let (mut unreadable, mut after) = (0, None);
    while let Some(batch) = Batch::read(unlocked, Tree::Patients, after.as_deref(), ROWS)? {
        let here = batch.renewed.iter().filter(|renewed| matches!(renewed, Renewed::Unreadable));
        unreadable += batch.lost + count(here.count());
        after = Some(batch.last);
    }
    Ok(unreadable)
}

impl Batch {
    /// Reads the next rows, and seals them anew as far as that is needed. `None` at the end of the tree.
    fn read(unlocked: &Unlocked, tree: Tree, after: Option<&[u8]>, limit: usize) -> Result<Option<Self>, Error> {
        let (started, committer) = (Instant::now(), &unlocked.committer);
        let (mut bytes, mut last, mut stamps, mut rows, mut lost) = (0, None, BTreeMap::new(), Vec::new(), 0);
        for key in committer.scan_keys(tree, Scan { prefix: &[], after, limit })? {
            if let Some(tag) = key.first_chunk().filter(|_| matches!(tree, Tree::Records | Tree::Patients)) {
                stamps.entry(*tag).or_insert_with(|| committer.stamp(tag));
            }
            let value = match committer.get(tree, &key) {
                Err(error) if error.is_of_one_value() => {
                    lost += u64::from(!needs_no_key(unlocked, &key));
                    None
                }
                value => value?,
            };
            last = Some(key.clone());
            bytes += value.as_ref().map_or(0, |value| value.len());
            rows.extend(value.map(|value| (key, value)));
            if bytes >= BYTES {
                break;
            }
        }
        let Some(last) = last else { return Ok(None) };
        let renewed = renew(unlocked, tree, &rows)?;
        Ok(Some(Self { last, stamps, rows, renewed, lost, took: started.elapsed() }))
    }
}

/// What is to become of rows, which stand in the order of their keys.
fn renew(unlocked: &Unlocked, tree: Tree, rows: &[(Vec<u8>, Bytes)]) -> Result<Vec<Renewed>, Error> {
    let mut at: Option<([u8; 16], Option<Chart>, OlderSealer)> = None;
    let mut of_record = |key: &[u8], value: &[u8]| {
        let Some(tag) = key.first_chunk::<16>() else { return Ok(Renewed::Unreadable) };
        let (_, chart, older) = match &mut at {
            Some(at) if at.0 == *tag => at,
            other => other.insert((*tag, open_chart(unlocked, tag)?, OlderSealer::default())),
        };
        match chart {
            Some(chart) => unlocked.renew_record(chart, older, key, value),
            None if needs_no_key(unlocked, key) => Ok(Renewed::Current),
            None => Ok(Renewed::Unreadable),
        }
    };
    let renew = |(key, value): &(Vec<u8>, Bytes)| match tree {
        Tree::Records => of_record(key, value),
        Tree::Patients => unlocked.renew_patient(key, value),
        tree => unlocked.renew_other(tree, key, value),
    };
    rows.iter().map(renew).collect()
}

/// Whether it is a row of a patient whose secret was destroyed: it goes when the erasure is finished.
fn needs_no_key(unlocked: &Unlocked, key: &[u8]) -> bool {
    key.first_chunk().is_some_and(|tag| unlocked.policy.erased(tag).is_some())
}

/// The chart, unless its key is missing or does not open.
fn open_chart(unlocked: &Unlocked, tag: &[u8; 16]) -> Result<Option<Chart>, Error> {
    match unlocked.chart_of_tag(tag) {
        Err(Error::TamperedRow { .. }) => Ok(None),
        found => found,
    }
}

/// What is held while a row is replaced.
fn stripe(tree: Tree, key: &[u8]) -> Option<Stripe> {
    let tag = key.first_chunk()?;
    match tree {
        Tree::Records | Tree::Patients => Some(Stripe::chart(tag)),
        Tree::Lookup => Some(Stripe::identifier(tag)),
        _ => Some(Stripe::Policy),
    }
}

const fn name(tree: Tree) -> &'static str {
    match tree {
        Tree::Records => "records",
        Tree::Patients => "patients",
        Tree::Lookup => "lookup",
        Tree::Policy => "policy",
        Tree::Audit => "audit",
        Tree::Log => "log",
    }
}

fn count(rows: usize) -> u64 {
    u64::try_from(rows).unwrap_or(u64::MAX)
}
