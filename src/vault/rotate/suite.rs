//! Another suite for a vault in use: a new data key and a new wrap key under it, and everything else sealed anew as well.

use std::sync::PoisonError;

use super::data::activate;
use super::walk::{Aim, Walk, Walked};
use super::{KeyChange, Rotated, no_room_for_keys, rotating, takes_writes};
use crate::audit::AuditEvent;
use crate::crypto::aead::Suite;
use crate::error::Error;
use crate::format::keys::Tree;
use crate::keyring::Credential;
use crate::progress::{OnProgress, Task};
use crate::unlocked::Unlocked;
use crate::vault::{Vault, operate};

impl Vault {
    /// Seals with another suite from now on, and seals everything anew that was sealed before: a rotation of data key and
    /// wrap key, and of the rows beside them. Others go on working. The log's entries from before stay as they are, so the
    /// header goes on listing the suite that they are sealed with. Where the call is interrupted,
    /// [`Vault::continue_rotation`] goes on. Nothing where the vault seals with this suite already.
    ///
    /// ```
    /// use chartvault::{RawKey, Suite, Vault};
    /// # let dir = tempfile::tempdir().unwrap();
    /// # let path = dir.path().join("clinic.vault");
    /// # let key = RawKey::generate()?;
    /// let (vault, _) = Vault::create(&path).raw_key(&key).suite(Suite::ChaCha20Poly1305).finish()?;
    /// vault.change_suite(Suite::Aes256Gcm, &key, &mut |_| ())?;
    /// assert_eq!(vault.suite(), Suite::Aes256Gcm);
    /// # Ok::<(), chartvault::Error>(())
    /// ```
    ///
    /// # Errors
    /// As [`Vault::continue_rotation`].
    pub fn change_suite<'c>(
        &self,
        suite: Suite,
        credential: impl Into<Credential<'c>>,
        progress: OnProgress<'_>,
    ) -> Result<Rotated, Error> {
        let credential = credential.into();
        operate(AuditEvent::SuiteChanged, || {
            let unlocked = self.0.gate.enter()?;
            let _rotating = rotating(&unlocked)?;
            takes_writes(&unlocked)?;
            self.change_keys(&unlocked, AuditEvent::SuiteChanged, credential, |now| {
                let before = unlocked.suite();
                if before == suite {
                    return Ok(None);
                }
                let grown = now.keyring.with_new_wrap_key()?.ok_or_else(no_room_for_keys)?;
                let keyring = grown.with_new_data_key()?.ok_or_else(no_room_for_keys)?;
                let mut suites = vec![suite];
                suites.extend(now.suites.iter().filter(|held| **held != suite));
                let detail = format!("{before:?} becomes {suite:?}");
                Ok(Some(KeyChange { keyring, suites, detail, ..now }))
            })?;
            *self.0.suite.lock().unwrap_or_else(PoisonError::into_inner) = unlocked.suite();
            activate(&unlocked)
        })?;
        self.continue_rotation(credential, progress)
    }
}

/// Seals identifiers and policy anew that are sealed with another suite. Their keys are never rotated.
pub(super) fn renew_others(
    unlocked: &Unlocked,
    go_on: &dyn Fn() -> bool,
    progress: &mut OnProgress<'_>,
) -> Result<Walked, Error> {
    let mut all = Walked::default();
    for tree in [Tree::Lookup, Tree::Policy] {
        let aim = Aim { tree, task: Task::ResealRows, under: "the suite in force", remembers: false };
        loop {
            let walked = Walk::new(unlocked, aim, go_on, &mut *progress).run()?;
            all.renewed += walked.renewed;
            if walked.found_nothing() {
                all.unreadable += walked.unreadable;
                break;
            }
        }
    }
    Ok(all)
}
