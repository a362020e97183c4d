//! Sealing an open vault: when it is closed, and when nobody has used it for a while.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use super::anchors::Anchors;
use super::keeper::Keeper;
use super::signing::close_epoch;
use super::{Vault, operate};
use crate::audit::{AuditEvent, Draft, Outcome};
use crate::error::Error;
use crate::secret::wipe_stack;
use crate::unlocked::Gate;

/// How often it is looked at least whether the vault is idle: a machine may have slept meanwhile.
const LOOK_EVERY: Duration = Duration::from_secs(1);

impl Vault {
    /// Closes the vault: waits for calls under way (so do not call it from inside one, such as a progress report), writes
    /// the closing entry, closes the log's signing epoch and destroys its key, makes the trees durable and wipes the keys. Clones and sessions that still live then answer [`Error::Sealed`]. The next opening is quick.
    ///
    /// # Errors
    /// [`Error::Sealed`] when it was closed already; [`Error::AuditUnavailable`] or [`Error::Storage`] when the last
    /// writes fail, or the file of the signing key cannot be written; the epoch then goes on at the next opening. It is closed all the same, and what was acknowledged is safe.
    pub fn close(&self) -> Result<(), Error> {
        self.0.keeper.stop();
        self.0.sinks.stop();
        seal(&self.0.gate, &self.0.anchors, None)
    }

    /// Ends it as when the process is killed: nothing is written, the directory is free.
    #[cfg(feature = "test-util")]
    pub(crate) fn abandon(&self) {
        self.0.keeper.stop();
        self.0.sinks.abandon();
        if let Ok(unlocked) = self.0.gate.seal() {
            unlocked.let_go();
            // Entries of reads that still wait are lost as well.
            unlocked.committer.stop("abandoned");
        }
    }
}

fn seal(gate: &Gate, anchors: &Anchors, why: Option<String>) -> Result<(), Error> {
    let sealed = operate(AuditEvent::VaultClosed, || {
        let unlocked = gate.seal()?;
        unlocked.let_go();
        let mut draft = Draft::new(AuditEvent::VaultClosed, Outcome::Allowed);
        draft.fields.detail = why;
        // Without its last entry the log may lack others, too: then the vault counts as not closed, and the next
        // opening says what may be missing.
        unlocked.commit(Vec::new(), vec![draft])?;
        let epoch = close_epoch(&unlocked);
        unlocked.committer.storage().close()?;
        // Its keys and its directory are free before an anchor is waited for.
        drop(unlocked);
        if let Some(checkpoint) = epoch? {
            anchors.finish(&checkpoint);
        }
        Ok(())
    });
    wipe_stack();
    sealed
}

/// Seals the vault once nobody has used it for long. Ends, and is waited for, when dropped.
pub(super) struct IdleSeal {
    /// Dropping it wakes the thread.
    bell: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl IdleSeal {
    pub(super) fn start(gate: &Gate, keeper: &Keeper, anchors: &Arc<Anchors>, most: Duration) -> io::Result<Self> {
        let (bell, rung) = mpsc::channel::<()>();
        let (gate, anchors) = (gate.clone(), Arc::clone(anchors));
        let stopping: Arc<AtomicBool> = Arc::clone(&keeper.stopping);
        let run = move || {
            let mut wait = most;
            while rung.recv_timeout(wait.min(LOOK_EVERY)) == Err(RecvTimeoutError::Timeout) {
                let Some(left) = gate.idle_left() else { return };
                if left.is_zero() {
                    stopping.store(true, Ordering::Relaxed);
                    // Nobody waits for an answer. What was acknowledged is safe, and the next opening says how this went.
                    let _ = seal(&gate, &anchors, Some(format!("idle for {} s", most.as_secs_f64())));
                    return;
                }
                wait = left;
            }
        };
        let thread = Some(thread::Builder::new().name("chartvault-idle".into()).spawn(run)?);
        Ok(Self { bell: Some(bell), thread })
    }
}

impl Drop for IdleSeal {
    fn drop(&mut self) {
        self.bell = None;
        if let Some(thread) = self.thread.take() {
            // A panic there changes nothing here.
            let _ = thread.join();
        }
    }
}
