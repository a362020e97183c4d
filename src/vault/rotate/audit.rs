//! A new key for the log: entries are sealed under it from one entry on, which says so. Those before stay as they are, with
//! their keys, so nothing is sealed anew.

use std::sync::{Arc, PoisonError};

use super::{KeyChange, no_room_for_keys, rotating};
use crate::audit::{AuditEvent, Draft, EntryKind, Outcome};
use crate::error::Error;
use crate::keyring::Credential;
use crate::unlocked::Unlocked;
use crate::vault::{Vault, operate};

impl Vault {
    /// Gives the log a new key, and answers the number of the epoch that begins. When this returns, entries are sealed under
    /// the new key; the first of them, of kind *epoch*, says so. Those from before stay as they are and verify as before:
    /// the chain goes on unbroken, and their keys stay in the header for good. That is for when somebody may have a copy of
    /// the header with a credential from before, after [`Vault::rotate_root_key`]: what is logged from then on stays closed
    /// to them. Others go on working. Where it was interrupted, the next call uses the key that the header has got already,
    /// and [`Vault::continue_rotation`] puts it in force. A vault whose log has several keys is refused by versions of this
    /// crate that do not know of them.
    ///
    /// Takes as long as the credential does.
    ///
    /// ```
    /// use chartvault::{RawKey, Vault};
    /// # let dir = tempfile::tempdir().unwrap();
    /// # let path = dir.path().join("clinic.vault");
    /// # let key = RawKey::generate()?;
    /// # let (vault, _) = Vault::create(&path).raw_key(&key).finish()?;
    /// assert_eq!(vault.rotate_audit_key(&key)?, 2);
    /// assert_eq!(vault.rotation()?.audit_epochs, [1, 2]);
    /// # Ok::<(), chartvault::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Unlock`] when the credential does not open the vault, [`Error::RotationUnderWay`], [`Error::Header`] when the
    /// header cannot be written, [`Error::TooMany`] when the header holds 256 audit keys, [`Error::Sealed`],
    /// [`Error::AuditUnavailable`].
    pub fn rotate_audit_key<'c>(&self, credential: impl Into<Credential<'c>>) -> Result<u32, Error> {
        let credential = credential.into();
        operate(AuditEvent::KeyAdded, || {
            let unlocked = self.0.gate.enter()?;
            let _rotating = rotating(&unlocked)?;
            self.change_keys(&unlocked, AuditEvent::KeyAdded, credential, |now| {
                if now.keyring.has_waiting_audit_key() {
                    return Ok(None);
                }
                let grown = now.keyring.with_new_audit_key()?.ok_or_else(no_room_for_keys)?;
                let detail = format!("audit key {}", grown.newest_audit_epoch());
                Ok(Some(KeyChange { keyring: grown, detail, ..now }))
            })?;
            activate(&unlocked)
        })
    }
}

/// Seals entries under the newest audit key that the header has, if that is not so already. The entry that begins the epoch
/// is what puts it in force: an opened vault goes on under the epoch of its newest entry.
pub(super) fn activate(unlocked: &Unlocked) -> Result<u32, Error> {
    let _changing = unlocked.changing.lock().unwrap_or_else(PoisonError::into_inner);
    let (keyring, newest) = (unlocked.keyring(), unlocked.keyring().newest_audit_epoch());
    if keyring.has_waiting_audit_key() {
        let turned = keyring.duplicate().auditing_under(newest).ok_or(Error::TamperedRow { what: "keyring" })?;
        let mut draft = Draft::new(AuditEvent::KeyActivated, Outcome::Allowed);
        draft.kind = EntryKind::Epoch;
        draft.fields.detail = Some(format!("audit key {newest}"));
        unlocked.committer.turn_to(Arc::clone(turned.audit()), draft)?;
        unlocked.put_keyring_in_force(turned);
        unlocked.forget_charts();
    }
    Ok(newest)
}
