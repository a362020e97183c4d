//! Seals the rows of a tree anew, batch by batch, while others work.
//!
//! A batch is opened and sealed without any lock. Then the charts are held for as long as it takes to see that the rows are
//! still those that were read, and to queue what takes their place; so whoever amends or erases meanwhile is never undone.

use std::collections::BTreeMap;
use std::thread;
use std::time::{Duration, Instant};

use crate::audit::{AuditEvent, Draft, Outcome};
use crate::committer::{Row, Stamp, Stripe};
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
/// Rows from which on a second thread takes half of them.
const WORTH_A_THREAD: usize = 64;
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

/// A row as it was read.
type Read = (Vec<u8>, Bytes);

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
        loop {
            if !(self.go_on)() {
                return Err(Error::Sealed);
            }
            let (started, before) = (Instant::now(), self.entries());
            let Some((last, stamps, rows)) = self.read()? else { break };
            let renewed = self.seal(&rows)?;
            self.walked.looked_at += count(rows.len());
            let own = self.replace(&last, &stamps, rows, renewed)?;
            self.after = Some(last);
            let done = self.walked.looked_at;
            (self.progress)(Progress::new(self.aim.task, done, self.total.map(|total| total.max(done))));
            self.among_others = self.entries() > before.saturating_add(own);
            if self.among_others {
                thread::sleep(started.elapsed().min(LONGEST_PAUSE));
            }
        }
        Ok(self.walked)
    }

    /// Entries that are durable: others who work leave some.
    fn entries(&self) -> u64 {
        self.unlocked.committer.newest_entry().map_or(0, |head| head.seq)
    }

    /// The next rows, with the last key that was looked at and how their charts stood before. `None` at the end.
    #[allow(clippy::type_complexity)]
    fn read(&self) -> Result<Option<(Vec<u8>, BTreeMap<[u8; 16], Stamp>, Vec<Read>)>, Error> {
        let committer = &self.unlocked.committer;
        let limit = if self.among_others { ROWS_AMONG_OTHERS } else { ROWS };
        let keys = committer.scan_keys(self.aim.tree, Scan { prefix: &[], after: self.after.as_deref(), limit })?;
        let (mut bytes, mut last, mut stamps, mut rows) = (0, None, BTreeMap::new(), Vec::with_capacity(keys.len()));
        for key in keys {
            if let Some(tag) = key.first_chunk() {
                stamps.entry(*tag).or_insert_with(|| committer.stamp(tag));
            }
            let value = committer.get(self.aim.tree, &key)?;
            last = Some(key.clone());
            bytes += value.as_ref().map_or(0, |value| value.len());
            rows.extend(value.map(|value| (key, value)));
            if bytes >= BYTES {
                break;
            }
        }
        Ok(last.map(|last| (last, stamps, rows)))
    }

    /// What is to become of the rows, in their order. Alone in the vault, on two threads.
    fn seal(&self, rows: &[Read]) -> Result<Vec<Renewed>, Error> {
        let (unlocked, tree) = (self.unlocked, self.aim.tree);
        if self.among_others || rows.len() < WORTH_A_THREAD {
            return renew(unlocked, tree, rows);
        }
        let (front, back) = rows.split_at(rows.len() / 2);
        thread::scope(|scope| {
            let work = move || renew(unlocked, tree, front);
            let other = thread::Builder::new().name("chartvault-reseal".into()).spawn_scoped(scope, work);
            let back = renew(unlocked, tree, back);
            let front = other.ok().and_then(|other| other.join().ok()).unwrap_or_else(|| renew(unlocked, tree, front));
            let mut all = front?;
            all.extend(back?);
            Ok(all)
        })
    }

    /// Puts what was sealed in the place of what was read. Gives how many entries that took.
    fn replace(
        &mut self,
        last: &[u8],
        stamps: &BTreeMap<[u8; 16], Stamp>,
        rows: Vec<Read>,
        renewed: Vec<Renewed>,
    ) -> Result<u64, Error> {
        let (unlocked, tree) = (self.unlocked, self.aim.tree);
        let mut ready = Vec::new();
        for ((key, value), renewed) in rows.into_iter().zip(renewed) {
            match renewed {
                Renewed::Current => {}
                Renewed::Unreadable => self.walked.unreadable += 1,
                Renewed::Anew(new) => ready.push(Row { tree, key, value: Some(new), replaces: Some(value) }),
            }
        }
        if ready.is_empty() {
            return Ok(0);
        }
        let mut stripes: Vec<Stripe> = ready.iter().filter_map(|row| stripe(tree, &row.key)).collect();
        stripes.extend(self.aim.remembers.then_some(Stripe::Policy));
        let (queued, place) = {
            let _held = unlocked.stripes.write(&stripes);
            let found = count(ready.len());
            let mut still = Vec::with_capacity(ready.len());
            for row in ready {
                let tag = row.key.first_chunk::<16>();
                let unchanged = tree != Tree::Policy
                    && tree != Tree::Lookup
                    && tag.is_some_and(|tag| stamps.get(tag) == Some(&unlocked.committer.stamp(tag)));
                if unchanged || unlocked.committer.get(tree, &row.key)? == row.replaces {
                    still.push(row);
                }
            }
            let renewed = count(still.len());
            self.walked.renewed += renewed;
            self.walked.changed += found - renewed;
            if still.is_empty() {
                return Ok(0);
            }
            let place = self.place(last);
            if let Some(place) = &place {
                still.push(unlocked.policy_row(&PolicyRow::DataKey(*place))?);
            }
            let mut draft = Draft::new(AuditEvent::RowsResealed, Outcome::Allowed);
            draft.fields.count = Some(u32::try_from(renewed).unwrap_or(u32::MAX));
            draft.fields.detail = Some(format!("{} of the tree {}", self.aim.under, name(tree)));
            (unlocked.committer.queue(still, vec![draft])?, place)
        };
        unlocked.committer.wait(queued)?;
        if let Some(place) = place {
            unlocked.policy.apply(PolicyRow::DataKey(place));
        }
        Ok(1)
    }

    /// How far this has come, to be remembered.
    fn place(&self, last: &[u8]) -> Option<DataKeyRow> {
        let row = self.unlocked.policy.data_key().filter(|_| self.aim.remembers)?;
        let passed = self.unlocked.committer.storage().rows(self.aim.tree).unwrap_or(0);
        let left = self.total.map_or(0, |total| total.saturating_sub(self.walked.looked_at));
        Some(DataKeyRow { passed: passed.saturating_sub(left), last: RecordKey::from_bytes(last).ok(), ..row })
    }
}

/// What is to become of rows, which stand in the order of their keys.
fn renew(unlocked: &Unlocked, tree: Tree, rows: &[Read]) -> Result<Vec<Renewed>, Error> {
    let mut at: Option<([u8; 16], Option<Chart>, OlderSealer)> = None;
    let mut renewed = Vec::with_capacity(rows.len());
    for (key, value) in rows {
        renewed.push(match tree {
            Tree::Records => {
                let Some(tag) = key.first_chunk::<16>() else {
                    renewed.push(Renewed::Unreadable);
                    continue;
                };
                let (_, chart, older) = match &mut at {
                    Some(at) if at.0 == *tag => at,
                    other => other.insert((*tag, open_chart(unlocked, tag)?, OlderSealer::default())),
                };
                match chart {
                    Some(chart) => unlocked.renew_record(chart, older, key, value)?,
                    None => Renewed::Unreadable,
                }
            }
            Tree::Patients => unlocked.renew_patient(key, value)?,
            tree => unlocked.renew_other(tree, key, value)?,
        });
    }
    Ok(renewed)
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
    }
}

fn count(rows: usize) -> u64 {
    u64::try_from(rows).unwrap_or(u64::MAX)
}
