//! The door through which every handle reaches an unlocked vault, until it is sealed.

use std::sync::{Arc, PoisonError, RwLock};
use std::thread;
use std::time::Duration;

use super::Unlocked;
use crate::error::Error;

/// Shared by the vault's clones and its sessions.
#[derive(Clone)]
pub(crate) struct Gate(Arc<RwLock<Option<Arc<Unlocked>>>>);

impl Gate {
    pub(crate) fn new(unlocked: Unlocked) -> Self {
        Self(Arc::new(RwLock::new(Some(Arc::new(unlocked)))))
    }

    /// Enters for the length of one operation.
    pub(crate) fn enter(&self) -> Result<Arc<Unlocked>, Error> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).clone().ok_or(Error::Sealed)
    }

    /// Lets nobody in any more, waits until everyone inside has left, and hands over what was behind the door.
    pub(crate) fn seal(&self) -> Result<Unlocked, Error> {
        let taken = self.0.write().unwrap_or_else(PoisonError::into_inner).take();
        let mut last = taken.ok_or(Error::Sealed)?;
        loop {
            match Arc::try_unwrap(last) {
                Ok(unlocked) => return Ok(unlocked),
                Err(shared) => last = shared,
            }
            thread::sleep(Duration::from_micros(200));
        }
    }
}
