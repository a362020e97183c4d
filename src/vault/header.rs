//! Putting another header in force while the vault is open.
//!
//! The entry about a change is durable before the header is written, so that nothing is there without it. Once both copies
//! are, a second entry says so in a frame that names the new generation: from then on the older header is rolled back.

use std::sync::{MutexGuard, PoisonError};

use super::{Home, Vault, open};
use crate::audit::{AuditEvent, Draft, Outcome};
use crate::crypto::aead::Suite;
use crate::error::Error;
use crate::format::slot::Slot;
use crate::keyring::{Credential, Keyring, UnlockError, UnlockedKeyring};
use crate::observe::Told;
use crate::storage::StorageError;
use crate::unlocked::{HeldHeader, Unlocked};

/// A header about to be written.
pub(super) struct NewHeader {
    /// What changes, for the log.
    pub(super) event: AuditEvent,
    pub(super) detail: String,
    pub(super) generation: u64,
    pub(super) slots: Vec<Slot>,
    pub(super) bytes: Vec<u8>,
    /// Other keys, and what seals, from then on.
    pub(super) keys: Option<(Keyring, Suite)>,
}

impl Vault {
    /// Opens the header on disk, which has to be of this vault and not older than the one in force.
    pub(super) fn reopen(
        &self,
        unlocked: &Unlocked,
        in_force: u64,
        credential: Credential<'_>,
    ) -> Result<UnlockedKeyring, Error> {
        let home = &self.0.home;
        let opened = open::open_header(home, credential).map_err(|error| open::in_full(home, credential, error))?;
        let (header, journal) = (opened.header.generation, in_force);
        if opened.header.vault == unlocked.vault && header < journal {
            return Err(StorageError::HeaderRolledBack { header, journal }.into());
        }
        if opened.header.vault != unlocked.vault || !opened.keyring.agrees(&unlocked.keyring()) {
            return Err(Error::Unlock(UnlockError::HeaderTampered));
        }
        Ok(opened)
    }
}

/// What is kept of the header in force.
pub(super) fn held(unlocked: &Unlocked) -> MutexGuard<'_, HeldHeader> {
    unlocked.header.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Writes a header with an entry before it and one behind it. Nobody else may be changing the header.
pub(super) fn put_in_force(home: &Home, unlocked: &Unlocked, new: NewHeader) -> Result<(), Error> {
    let NewHeader { event, detail, generation, slots, bytes, keys } = new;
    let mut draft = Draft::new(event, Outcome::Allowed);
    draft.fields.detail = Some(format!("{detail}; header {generation}"));
    unlocked.commit(Vec::new(), vec![draft])?;
    let mut draft = Draft::new(AuditEvent::HeaderWritten, Outcome::Allowed);
    draft.fields.detail = Some(format!("header {generation}"));
    let written = {
        // Held while the copies differ, for whoever looks at them.
        let mut in_force = held(unlocked);
        let written = home.write_header(&bytes);
        if written.is_ok() {
            unlocked.committer.header_is(generation);
            *in_force = HeldHeader { generation, slots, bytes };
        }
        written
    };
    match (&written, keys) {
        (Ok(()), Some((keyring, suite))) => {
            unlocked.put_keyring_in_force(keyring);
            unlocked.committer.seal_with(suite);
            unlocked.forget_charts();
        }
        (Ok(()), None) => {}
        (Err(error), _) => {
            draft.fields.outcome = Outcome::Failed;
            draft.fields.detail = Some(format!("header {generation}: {}", error.word()));
        }
    }
    unlocked.commit(Vec::new(), vec![draft])?;
    written
}

/// Logs a change of the header that was refused, or that could not be prepared; gives the error to answer with.
pub(super) fn refused(unlocked: &Unlocked, event: AuditEvent, error: Error) -> Error {
    let outcome = if error.is_denial() { Outcome::Denied } else { Outcome::Failed };
    let mut draft = Draft::new(event, outcome);
    draft.fields.detail = Some(error.word().to_owned());
    match unlocked.commit(Vec::new(), vec![draft]) {
        Ok(()) => error,
        Err(unlogged) => unlogged,
    }
}
