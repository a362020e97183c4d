//! Compacting the journal: by hand, and by a thread that looks now and then whether it is due.

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use super::Vault;
use crate::audit::{AuditEvent, Draft, Outcome};
use crate::error::Error;
use crate::progress::OnProgress;
use crate::storage::Compacted;
use crate::unlocked::{Gate, Unlocked};

/// How often the thread looks; after a compaction that failed it waits longer and longer.
const LOOK_EVERY: Duration = if cfg!(test) { Duration::from_millis(20) } else { Duration::from_secs(60) };
const LOOK_AT_LEAST_EVERY: Duration = Duration::from_secs(6 * 60 * 60);

/// What a compaction of the journal did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Compaction {
    /// The last journal frame that was compacted.
    pub through_frame: u64,
    /// Rows that were kept.
    pub rows: u64,
    /// Log entries that were kept: all of them, always.
    pub entries: u64,
    /// Bytes of the files that were replaced.
    pub bytes_before: u64,
    /// Bytes of the file that replaced them.
    pub bytes_after: u64,
}

impl From<Compacted> for Compaction {
    fn from(compacted: Compacted) -> Self {
        let Compacted { through, rows, entries, bytes_before, bytes_after } = compacted;
        Self { through_frame: through, rows, entries, bytes_before, bytes_after }
    }
}

impl fmt::Display for Compaction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { through_frame, rows, entries, bytes_before, bytes_after } = self;
        write!(
            f,
            "through frame {through_frame}: {rows} rows, {entries} entries, {bytes_before} to {bytes_after} bytes"
        )
    }
}

impl Vault {
    /// Compacts the journal: makes one file of all closed segments, without the values that were overwritten or deleted
    /// since, and removes the segments. No log entry is ever dropped. Others go on reading and writing meanwhile. It reads
    /// the closed journal four times and needs free space for what is left of it; happens by itself when it pays
    /// ([`Options::compact_share`](crate::Options::compact_share)). Nothing where no segment was closed since the last
    /// time. The log has an entry.
    ///
    /// # Errors
    /// [`Error::Storage`] when the disk is full or the journal is damaged: then nothing was removed, and the vault goes
    /// on. [`Error::Sealed`], also when the vault is closed meanwhile; [`Error::AuditUnavailable`].
    pub fn compact(&self) -> Result<Option<Compaction>, Error> {
        self.compact_with(&mut |_| ())
    }

    /// [`Vault::compact`], reporting progress.
    ///
    /// # Errors
    /// As [`Vault::compact`].
    pub fn compact_with(&self, progress: OnProgress<'_>) -> Result<Option<Compaction>, Error> {
        let stopping = &self.0.keeper.stopping;
        compact(&*self.0.gate.enter()?, progress, &|| !stopping.load(Ordering::Relaxed))
    }
}

/// The entry is durable before anything is removed.
fn compact(
    unlocked: &Unlocked,
    progress: OnProgress<'_>,
    go_on: &dyn Fn() -> bool,
) -> Result<Option<Compaction>, Error> {
    let storage = unlocked.committer.storage();
    let Some(compaction) = storage.compact(progress, go_on)?.map(Compaction::from) else { return Ok(None) };
    let mut draft = Draft::new(AuditEvent::JournalCompacted, Outcome::Allowed);
    draft.fields.detail = Some(compaction.to_string());
    unlocked.commit(Vec::new(), vec![draft])?;
    storage.remove_compacted()?;
    Ok(Some(compaction))
}

/// The thread that compacts when it is due. Ends, and is waited for, when dropped.
pub(super) struct Keeper {
    pub(super) stopping: Arc<AtomicBool>,
    /// Dropping it wakes the thread.
    bell: Mutex<Option<Sender<()>>>,
    thread: Option<JoinHandle<()>>,
}

impl Keeper {
    /// Where no thread can be had, compacting is left to [`Vault::compact`].
    pub(super) fn start(gate: &Gate) -> Self {
        let (bell, rung) = mpsc::channel::<()>();
        let stopping = Arc::new(AtomicBool::new(false));
        let (gate, stop) = (gate.clone(), Arc::clone(&stopping));
        let run = move || {
            let mut wait = LOOK_EVERY;
            while rung.recv_timeout(wait) == Err(RecvTimeoutError::Timeout) {
                let Ok(unlocked) = gate.enter() else { return };
                let due = unlocked.committer.storage().compaction_due().unwrap_or(false);
                let done = !due || compact(&unlocked, &mut |_| (), &|| !stop.load(Ordering::Relaxed)).is_ok();
                wait = if done { LOOK_EVERY } else { wait.saturating_mul(4).min(LOOK_AT_LEAST_EVERY) };
            }
        };
        let thread = thread::Builder::new().name("chartvault-compact".into()).spawn(run).ok();
        Self { stopping, bell: Mutex::new(Some(bell)), thread }
    }

    /// Ends a compaction that is under way, and begins no other.
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
