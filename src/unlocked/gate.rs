//! The door through which every handle reaches an unlocked vault, until it is sealed.

use std::io;
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::thread;
use std::time::Duration;

use super::Unlocked;
use super::attendant::Attendant;
use crate::error::Error;
use crate::read_audit::ReadAudit;

/// Shared by the vault's clones and its sessions.
#[derive(Clone)]
pub(crate) struct Gate(Arc<Door>);

// Dropped in this order: nobody but the last handle holds the vault when it goes, so its directory is free then.
struct Door {
    flusher: Mutex<Option<Attendant>>,
    settler: Mutex<Option<Attendant>>,
    inside: RwLock<Option<Arc<Unlocked>>>,
}

impl Gate {
    pub(crate) fn new(unlocked: Unlocked) -> Self {
        let unlocked = Arc::new(unlocked);
        // Without the thread those who commit settle what they commit.
        let slowly = unlocked.committer.storage().settles_slowly();
        let settler = Mutex::new(if slowly { Attendant::settler(&unlocked).ok() } else { None });
        Self(Arc::new(Door { flusher: Mutex::default(), settler, inside: RwLock::new(Some(unlocked)) }))
    }

    /// Enters for the length of one operation.
    pub(crate) fn enter(&self) -> Result<Arc<Unlocked>, Error> {
        self.0.inside.read().unwrap_or_else(PoisonError::into_inner).clone().ok_or(Error::Sealed)
    }

    /// Lets entries of reads wait, or not, from now on. If the thread cannot be had that writes them, none waits.
    pub(crate) fn choose(&self, unlocked: &Arc<Unlocked>, choice: ReadAudit) -> io::Result<()> {
        let mut flusher = self.0.flusher.lock().unwrap_or_else(PoisonError::into_inner);
        match (choice, &*flusher) {
            (ReadAudit::Durable, _) => {
                unlocked.committer.choose(choice);
                *flusher = None;
            }
            (ReadAudit::Windowed { .. }, Some(_)) => {}
            (ReadAudit::Windowed { .. }, None) => *flusher = Some(Attendant::flusher(unlocked)?),
        }
        unlocked.committer.choose(choice);
        Ok(())
    }

    /// Lets nobody in any more, waits until everyone inside has left, and hands over what was behind the door.
    pub(crate) fn seal(&self) -> Result<Unlocked, Error> {
        let taken = self.0.inside.write().unwrap_or_else(PoisonError::into_inner).take();
        let mut last = taken.ok_or(Error::Sealed)?;
        loop {
            match Arc::try_unwrap(last) {
                Ok(unlocked) => {
                    // Only now: a call that was under way may have started one.
                    for attendant in [&self.0.flusher, &self.0.settler] {
                        *attendant.lock().unwrap_or_else(PoisonError::into_inner) = None;
                    }
                    unlocked.committer.attend(false);
                    return Ok(unlocked);
                }
                Err(shared) => last = shared,
            }
            thread::sleep(Duration::from_micros(200));
        }
    }
}
