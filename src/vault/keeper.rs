//! The one thread that looks after an open vault: it compacts the journal when that is due, tells the log of reviews that
//! are overdue, runs the rules of monitoring, keeps the index of the log up to its end, and scrubs.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use super::compact::compact;
use super::scrub::{Health, Scrubber};
use super::{Home, Options};
use crate::session::watch;
use crate::unlocked::Gate;

/// How often it looks whether compacting is due; after a compaction that failed it waits longer and longer.
const LOOK_EVERY: Duration = if cfg!(test) { Duration::from_millis(20) } else { Duration::from_secs(60) };
const LOOK_AT_LEAST_EVERY: Duration = Duration::from_secs(6 * 60 * 60);
/// Stretches of the log that are looked at for the index each time.
const INDEXED: u64 = 64;
/// How often it scrubs a little.
const SCRUB_EVERY: Duration = if cfg!(test) { Duration::from_millis(20) } else { Duration::from_secs(1) };

/// Ends, and is waited for, when dropped.
pub(super) struct Keeper {
    pub(super) stopping: Arc<AtomicBool>,
    pub(super) health: Arc<Mutex<Health>>,
    /// Dropping it wakes the thread.
    bell: Mutex<Option<Sender<()>>>,
    thread: Option<JoinHandle<()>>,
}

impl Keeper {
    /// Where no thread can be had, compacting is left to [`Vault::compact`](super::Vault::compact), and looking for damage to
    /// [`Vault::check`](super::Vault::check).
    pub(super) fn start(gate: &Gate, home: &Home, options: &Options) -> Self {
        let (bell, rung) = mpsc::channel::<()>();
        let (stopping, health) = (Arc::new(AtomicBool::new(false)), Arc::new(Mutex::new(Health::default())));
        let (gate, stop) = (gate.clone(), Arc::clone(&stopping));
        let mut scrubber = Scrubber::new(home, options.scrub_rate, &stopping, &health);
        let run = move || {
            let (mut wait, mut looked, mut indexed) = (LOOK_EVERY, Instant::now(), 0);
            let pause = if scrubber.is_some() { SCRUB_EVERY } else { LOOK_EVERY };
            while rung.recv_timeout(pause.min(wait)) == Err(RecvTimeoutError::Timeout) {
                let seen_to = gate.look_in(|unlocked| {
                    if looked.elapsed() >= wait {
                        // What cannot be told now is told later.
                        let _ = unlocked.escalate_overdue();
                        let _ = unlocked.tell_of_overdue_reviews();
                        let _ = unlocked.escalate_flags();
                        let _ = watch(unlocked, &|| !stop.load(Ordering::Relaxed));
                        // A query makes what is missing.
                        indexed = unlocked.index_ahead(indexed, INDEXED).unwrap_or(indexed);
                        let due = unlocked.committer.storage().compaction_due().unwrap_or(false);
                        let done = !due || compact(unlocked, &mut |_| (), &|| !stop.load(Ordering::Relaxed)).is_ok();
                        wait = if done { LOOK_EVERY } else { wait.saturating_mul(4).min(LOOK_AT_LEAST_EVERY) };
                        looked = Instant::now();
                    }
                    if let Some(scrubber) = &mut scrubber {
                        scrubber.go_on(unlocked);
                    }
                });
                if seen_to.is_err() {
                    return;
                }
            }
        };
        let thread = thread::Builder::new().name("chartvault-keeper".into()).spawn(run).ok();
        Self { stopping, health, bell: Mutex::new(Some(bell)), thread }
    }

    /// Ends what is under way, and begins nothing else.
    pub(super) fn stop(&self) {
        self.stopping.store(true, Ordering::Relaxed);
        drop(self.bell.lock().unwrap_or_else(PoisonError::into_inner).take());
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        self.stop();
        if let Some(thread) = self.thread.take() {
            // A panic there changes nothing here.
            let _ = thread.join();
        }
    }
}
