//! A new data key: records are sealed under it from then on, and those from before are sealed anew.

use super::walk::{Aim, Walk, Walked};
use super::{KeyChange, no_room_for_keys};
use crate::audit::{AuditEvent, Draft, Outcome};
use crate::committer::Stripe;
use crate::error::Error;
use crate::format::keys::Tree;
use crate::keyring::Credential;
use crate::policy::{DataKeyRow, PolicyRow};
use crate::progress::{OnProgress, Task};
use crate::unlocked::Unlocked;
use crate::vault::Vault;

const RECORDS: Aim =
    Aim { tree: Tree::Records, task: Task::ResealRecords, under: "the data key in force", remembers: true };
/// Once more from the beginning: what is not looked at again cannot be said to be nowhere.
const COUNT: Aim = Aim { task: Task::CountResealed, remembers: false, ..RECORDS };

impl Vault {
    /// Puts a new data key in force; or one that the header has got already, where an earlier call was interrupted.
    pub(super) fn begin_data_key(&self, unlocked: &Unlocked, credential: Credential<'_>) -> Result<(), Error> {
        self.change_keys(unlocked, AuditEvent::KeyAdded, credential, |now| {
            if now.keyring.has_waiting_data_key() {
                return Ok(None);
            }
            let grown = now.keyring.with_new_data_key()?.ok_or_else(no_room_for_keys)?;
            let detail = format!("data key {}", grown.newest_data_epoch());
            Ok(Some(KeyChange { keyring: grown, detail, ..now }))
        })?;
        activate(unlocked)
    }

    /// Seals all records anew that are not sealed as new ones are, then drops the data keys that nothing needs any more.
    pub(super) fn finish_data_key(
        &self,
        unlocked: &Unlocked,
        credential: Credential<'_>,
        progress: &mut OnProgress<'_>,
    ) -> Result<Walked, Error> {
        let go_on = self.goes_on();
        let begun = unlocked.policy.data_key().unwrap_or(DataKeyRow { epoch: 0, passed: 0, last: None });
        let mut all = Walk::new(unlocked, RECORDS, &go_on, &mut *progress).from(&begun).run()?;
        loop {
            let walked = Walk::new(unlocked, COUNT, &go_on, &mut *progress).run()?;
            all.renewed += walked.renewed;
            (all.looked_at, all.unreadable) = (walked.looked_at, walked.unreadable);
            if walked.found_nothing() {
                break;
            }
        }
        if all.unreadable == 0 {
            self.change_keys(unlocked, AuditEvent::KeyDropped, credential, |now| {
                if now.keyring.data_epochs().first() == Some(&now.keyring.data_epoch()) {
                    return Ok(None);
                }
                let detail = format!("data keys before {}", now.keyring.data_epoch());
                let left = now.keyring.without_older_data_keys();
                Ok(left.map(|keyring| KeyChange { keyring, detail, ..now }))
            })?;
        }
        Ok(all)
    }
}

/// Seals new records under the newest data key that the header has, if that is not so already.
pub(super) fn activate(unlocked: &Unlocked) -> Result<(), Error> {
    let (keyring, newest) = (unlocked.keyring(), unlocked.keyring().newest_data_epoch());
    if keyring.has_waiting_data_key() {
        let row = PolicyRow::DataKey(DataKeyRow { epoch: newest, passed: 0, last: None });
        let mut draft = Draft::new(AuditEvent::KeyActivated, Outcome::Allowed);
        draft.fields.detail = Some(format!("data key {newest}"));
        let queued = {
            let _held = unlocked.stripes.write(&[Stripe::Policy]);
            unlocked.committer.queue(vec![unlocked.policy_row(&row)?], vec![draft])?
        };
        unlocked.committer.wait(queued)?;
        unlocked.policy.apply(row);
        let in_force = keyring.duplicate().sealing_under(newest);
        unlocked.put_keyring_in_force(in_force.ok_or(Error::TamperedRow { what: "keyring" })?);
        unlocked.forget_charts();
    }
    // Somebody may be writing with the keys before.
    unlocked.stripes.outlast_writers();
    Ok(())
}
