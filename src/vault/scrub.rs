//! The scrub: reads what nobody reads, slowly, so that damage is known while there is a backup that lacks it.

use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use super::check::{Finding, FindingPlace, MOST_FINDINGS, header_findings, place_of};
use super::{Home, Vault};
use crate::audit::{AuditEvent, Draft, EntryRef, Head, Outcome};
use crate::clock::Timestamp;
use crate::observe;
use crate::storage::flaw::{Examined, Examiner, Flaw};
use crate::storage::{Scrub, Severity, StorageError};
use crate::unlocked::Unlocked;

/// Seconds whose rows may be made up for at once, after others had work to do.
const CATCH_UP: u64 = 10;
/// A round counts as so many rows at least: at the default rate it takes a quarter of an hour.
const SHORTEST_ROUND: u64 = if cfg!(test) { 0 } else { 200_000 };
/// Seconds of rest after an error.
const REST: u64 = 60;

/// What the scrub knows about a vault since it was opened.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Health {
    /// Full rounds since the vault was opened.
    pub rounds: u64,
    /// When the last full round ended.
    pub last_round: Option<Timestamp>,
    /// Rows of the trees that the last full round compared.
    pub rows: u64,
    /// Bytes of the journal that it read.
    pub bytes: u64,
    /// Entries of the log that it followed.
    pub entries: u64,
    /// What is wrong and was not mended, as of the last full round and the one under way; at most 1,000.
    pub findings: Vec<Finding>,
    /// How many wrong things were put right since the vault was opened.
    pub mended: u64,
}

impl Health {
    /// Whether nothing is known to be wrong. Says little before the first full round.
    #[must_use]
    pub const fn is_sound(&self) -> bool {
        self.findings.is_empty()
    }
}

impl Vault {
    /// What the scrub has found since the vault was opened ([`Options::scrub_rate`](crate::Options::scrub_rate)). Costs
    /// nothing, and leaves no log entry: it says nothing about anybody. Answers after [`Vault::close`] as well.
    ///
    /// ```
    /// # mod clinic { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/clinic.rs")); }
    /// # use clinic::*;
    /// # let clinic = Clinic::new();
    /// let health = clinic.vault.health();
    /// assert!(health.is_sound() && health.mended == 0);
    /// ```
    #[must_use]
    pub fn health(&self) -> Health {
        self.0.keeper.health.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// Goes round and round.
pub(super) struct Scrubber {
    home: Home,
    /// Rows a second.
    rate: u64,
    /// Rows that may be read now; what was read too much has to be waited for.
    credit: i64,
    last: Instant,
    /// How often in a row others had work to do.
    yielded: u64,
    scrub: Scrub,
    rows_done: bool,
    chain: Chain,
    /// What was read in this round, in rows.
    spent: u64,
    /// Whether new trees did not mend an entry in this round: then they will not mend the next one.
    unmendable: bool,
    /// Places found in this round, and in the one before.
    now: HashSet<FindingPlace>,
    known: HashSet<FindingPlace>,
    stopping: Arc<AtomicBool>,
    health: Arc<Mutex<Health>>,
}

/// How far the log's chain was followed in this round.
#[derive(Default)]
struct Chain {
    next: u64,
    before: Option<Head>,
}

struct Listener<'l> {
    flaws: Vec<Flaw>,
    stopping: &'l AtomicBool,
}

impl Examiner for Listener<'_> {
    fn found(&mut self, flaw: Flaw) {
        if self.flaws.len() < MOST_FINDINGS {
            self.flaws.push(flaw);
        }
    }

    fn passed(&mut self, _: Examined, _: u64) -> bool {
        !self.stopping.load(Ordering::Relaxed)
    }
}

impl Scrubber {
    /// Nothing where the rate is 0.
    pub(super) fn new(home: &Home, rate: u32, stopping: &Arc<AtomicBool>, health: &Arc<Mutex<Health>>) -> Option<Self> {
        (rate > 0).then(|| Self {
            home: home.clone(),
            rate: rate.into(),
            credit: 0,
            last: Instant::now(),
            yielded: 0,
            scrub: Scrub::default(),
            rows_done: false,
            chain: Chain::default(),
            spent: 0,
            unmendable: false,
            now: HashSet::new(),
            known: HashSet::new(),
            stopping: Arc::clone(stopping),
            health: Arc::clone(health),
        })
    }

    /// Reads what the rate allows since it was called last, unless others have work to do.
    pub(super) fn go_on(&mut self, unlocked: &Unlocked) {
        let micros = u64::try_from(self.last.elapsed().as_micros()).unwrap_or(u64::MAX);
        let earned = micros.saturating_mul(self.rate) / 1_000_000;
        if earned == 0 {
            return;
        }
        self.last = Instant::now();
        let most = i64::try_from(self.rate.saturating_mul(CATCH_UP)).unwrap_or(i64::MAX);
        self.credit = self.credit.saturating_add(i64::try_from(earned).unwrap_or(i64::MAX)).min(most);
        if unlocked.committer.is_busy() && self.yielded + 1 < CATCH_UP {
            self.yielded += 1;
            return;
        }
        self.yielded = 0;
        let Ok(rows) = u64::try_from(self.credit) else { return };
        let spent = match self.read(unlocked, rows) {
            Ok(spent) => spent,
            // The vault stopped or closes, or the disk fails: others tell that.
            Err(_) => self.rate.saturating_mul(REST),
        };
        self.credit = self.credit.saturating_sub(i64::try_from(spent).unwrap_or(i64::MAX));
    }

    fn read(&mut self, unlocked: &Unlocked, rows: u64) -> Result<u64, StorageError> {
        if rows == 0 {
            return Ok(0);
        }
        // Journal and digest are compared only where nothing waits between them.
        unlocked.committer.settle();
        let storage = unlocked.committer.storage();
        let stopping = Arc::clone(&self.stopping);
        let mut listener = Listener { flaws: Vec::new(), stopping: &stopping };
        let mut spent = 0;
        let scrubbed = match self.rows_done {
            true => Ok(None),
            false => storage.scrub(&mut self.scrub, rows, &mut listener),
        };
        let mut flaws = std::mem::take(&mut listener.flaws);
        if let Ok(Some((read, ended))) = scrubbed {
            (spent, self.rows_done) = (read, ended);
        }
        let next = self.chain.next;
        let broken = if scrubbed.is_ok() && storage.is_scrubbed() { self.follow(unlocked, rows) } else { None };
        spent = spent.max(self.chain.next.saturating_sub(next));
        self.spent = self.spent.saturating_add(spent);
        if let Some(seq) = broken {
            // What new trees did not mend they will not mend the next time.
            let told = self.unmendable || self.known.contains(&FindingPlace::Entry { seq });
            let built = !told && storage.mend_trees(None, &mut listener).unwrap_or(false);
            flaws.append(&mut listener.flaws);
            let mended = built && self.is_right_again(unlocked, seq);
            self.unmendable |= !mended;
            let severity = if mended { Severity::Mended } else { Severity::Grave };
            let what = "it is not there, or does not follow from the entry before";
            self.tell(unlocked, vec![Finding::new(FindingPlace::Entry { seq }, what.to_owned(), severity)]);
        }
        // Looking up whose rows they are would touch rows that are wrong.
        let named = flaws.iter().all(|flaw| flaw.severity == Severity::Mended);
        let findings = flaws.into_iter().map(|flaw| {
            let place = place_of(unlocked, self.home.path(), &flaw.place, named);
            Finding::new(place, flaw.what, flaw.severity)
        });
        self.tell(unlocked, findings.collect());
        scrubbed?;
        let newest = unlocked.committer.newest_entry().map_or(0, |head| head.seq.saturating_add(1));
        if self.rows_done && self.chain.next >= newest {
            self.end_round(unlocked);
            // A small vault need not be read all day long.
            spent = spent.saturating_add(SHORTEST_ROUND.saturating_sub(std::mem::take(&mut self.spent)));
        }
        Ok(spent)
    }

    /// Follows the log's chain for so many entries. Gives the number of one that is wrong.
    fn follow(&mut self, unlocked: &Unlocked, entries: u64) -> Option<u64> {
        let first = unlocked.committer.storage().first_entry();
        if self.chain.next < first {
            // What was pruned is not there.
            self.chain = Chain { next: first, before: None };
        }
        let end = unlocked.committer.newest_entry().map_or(0, |head| head.seq.saturating_add(1));
        let limit = entries.min(end.saturating_sub(self.chain.next));
        if limit == 0 {
            return None;
        }
        let next = self.chain.next;
        let limit_as_len = usize::try_from(limit).unwrap_or(usize::MAX);
        let storage = unlocked.committer.storage();
        let (found, missing) = match storage.entries_as_they_are(next, limit_as_len) {
            Ok(found) => (found, None),
            Err(StorageError::Missing { seq }) => {
                let before = usize::try_from(seq.saturating_sub(next)).unwrap_or(0);
                (storage.entries_as_they_are(next, before).unwrap_or_default(), Some(seq))
            }
            // One by one: the next round begins behind it.
            Err(_) => match storage.entries_as_they_are(next, 1) {
                Ok(found) => (found, None),
                Err(_) => (Vec::new(), Some(next)),
            },
        };
        for (seq, bytes) in found {
            let entry = EntryRef::parse(&bytes).ok().filter(|entry| entry.front.seq == seq);
            let follows = |head: &Head| entry.as_ref().is_some_and(|entry| entry.front.prev == head.leaf);
            let right = entry.is_some() && self.chain.before.as_ref().is_none_or(follows);
            self.chain = Chain { next: seq.saturating_add(1), before: entry.as_ref().map(Head::of) };
            if !right {
                return Some(seq);
            }
        }
        let seq = missing?;
        self.chain = Chain { next: seq.saturating_add(1), before: None };
        Some(seq)
    }

    /// Whether an entry follows from the one before, once the trees are new.
    fn is_right_again(&mut self, unlocked: &Unlocked, seq: u64) -> bool {
        let chain = std::mem::replace(&mut self.chain, Chain { next: seq.saturating_sub(1), before: None });
        let right = self.follow(unlocked, 2).is_none();
        self.chain = chain;
        right
    }

    fn end_round(&mut self, unlocked: &Unlocked) {
        self.tell(unlocked, header_findings(unlocked, &self.home));
        let (rows, bytes) = self.scrub.examined();
        {
            let mut health = self.health.lock().unwrap_or_else(PoisonError::into_inner);
            health.rounds = health.rounds.saturating_add(1);
            health.last_round = Some(unlocked.clock.now());
            (health.rows, health.bytes, health.entries) = (rows, bytes, self.chain.next);
            // What this round did not find any more is gone.
            health.findings.retain(|finding| self.now.contains(&finding.place));
        }
        self.known = std::mem::take(&mut self.now);
        (self.scrub, self.rows_done, self.chain) = (Scrub::default(), false, Chain::default());
        self.unmendable = false;
    }

    /// Tells what is new: in the log, to operators, and to whoever asks for the vault's health.
    fn tell(&mut self, unlocked: &Unlocked, findings: Vec<Finding>) {
        let mut new: Vec<Finding> = Vec::new();
        for finding in findings {
            if finding.severity == Severity::Mended {
                new.push(finding);
                continue;
            }
            let first = self.now.len() < MOST_FINDINGS && self.now.insert(finding.place.clone());
            if first && !self.known.contains(&finding.place) {
                new.push(finding);
            }
        }
        let Some(first) = new.first() else { return };
        let mut draft = Draft::new(AuditEvent::DamageFound, Outcome::Allowed);
        draft.fields.count = Some(u32::try_from(new.len()).unwrap_or(u32::MAX));
        draft.fields.detail = Some(first.logged().chars().take(250).collect());
        {
            let mut health = self.health.lock().unwrap_or_else(PoisonError::into_inner);
            for finding in new {
                let mended = finding.severity == Severity::Mended;
                observe::found(mended);
                if mended {
                    health.mended = health.mended.saturating_add(1);
                } else if health.findings.len() < MOST_FINDINGS {
                    health.findings.push(finding);
                }
            }
        }
        // Where the log cannot be written the vault has stopped, and says so itself.
        let _ = unlocked.commit(Vec::new(), vec![draft]);
    }
}
