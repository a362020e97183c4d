//! What sinks have to have before anybody may enter: nothing is accessed while a sink that is required does not take the log.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::committer::Growth;
use crate::sink::SinkFault;

/// What is asked of one sink.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Required {
    /// Entries that it may be behind.
    pub(crate) behind: u64,
    /// How long it may take none although there are some, and how long callers wait.
    pub(crate) patience: Duration,
}

struct Held {
    required: Required,
    /// The next entry that it gets.
    next: u64,
    /// Since when it has taken none although there are some.
    stalled: Option<Instant>,
}

enum Verdict {
    Met,
    /// Until when it is worth waiting.
    Wait(Instant),
    Refused(SinkFault),
}

/// Empty in a vault without such sinks, where it costs one look at an atomic.
pub(crate) struct Demand {
    growth: Arc<Growth>,
    any: AtomicBool,
    held: Mutex<BTreeMap<String, Held>>,
    moved: Condvar,
}

impl Demand {
    pub(super) const fn new(growth: Arc<Growth>) -> Self {
        Self { growth, any: AtomicBool::new(false), held: Mutex::new(BTreeMap::new()), moved: Condvar::new() }
    }

    /// Asks this of a sink from now on; `None`: nothing.
    pub(crate) fn ask(&self, name: &str, required: Option<Required>, next: u64) {
        let mut held = self.lock();
        match required {
            Some(required) => {
                let stalled = (self.growth.entries() > next).then(Instant::now);
                held.insert(name.to_owned(), Held { required, next, stalled });
            }
            None => drop(held.remove(name)),
        }
        self.any.store(!held.is_empty(), Ordering::SeqCst);
        self.moved.notify_all();
    }

    /// Somebody looks whether the sink has work.
    pub(crate) fn has_work(&self, name: &str) {
        if let Some(held) = self.lock().get_mut(name) {
            held.stalled.get_or_insert_with(Instant::now);
        }
    }

    /// The sink has taken all before this entry.
    pub(crate) fn took(&self, name: &str, next: u64) {
        let mut all = self.lock();
        if let Some(held) = all.get_mut(name) {
            held.next = next;
            held.stalled = (self.growth.entries() > next).then(Instant::now);
            self.moved.notify_all();
        }
    }

    /// Waits until nothing is in the way, for as long as the sinks' patience lasts.
    pub(super) fn wait_until_met(&self) -> Result<(), SinkFault> {
        if !self.any.load(Ordering::SeqCst) {
            return Ok(());
        }
        let began = Instant::now();
        let mut held = self.lock();
        loop {
            let now = Instant::now();
            match self.judge(&held, began, now) {
                Verdict::Met => return Ok(()),
                Verdict::Refused(fault) => return Err(fault),
                Verdict::Wait(until) => {
                    let left = until.saturating_duration_since(now);
                    held = self.moved.wait_timeout(held, left).unwrap_or_else(PoisonError::into_inner).0;
                }
            }
        }
    }

    fn judge(&self, held: &BTreeMap<String, Held>, began: Instant, now: Instant) -> Verdict {
        let entries = self.growth.entries();
        let mut wait: Option<Instant> = None;
        for (name, Held { required: Required { behind, patience }, next, stalled }) in held {
            let lag = entries.saturating_sub(*next);
            let refused = || Verdict::Refused(SinkFault::Behind { name: name.clone(), entries: lag });
            if lag > 0 && stalled.is_some_and(|since| now.saturating_duration_since(since) >= *patience) {
                return refused();
            }
            if lag > *behind {
                let of = |since: Instant| since.checked_add(*patience);
                match [Some(began), *stalled].into_iter().flatten().filter_map(of).min() {
                    Some(until) if until > now => wait = Some(wait.map_or(until, |other| other.min(until))),
                    _ => return refused(),
                }
            }
        }
        wait.map_or(Verdict::Met, Verdict::Wait)
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Held>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
