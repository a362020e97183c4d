//! A new wrap key: all patients' secrets are sealed anew under it, and the keys before it are dropped. Erasing a patient
//! rests on this: a secret that was deleted before stays readable, in old frames and pages, to whoever has the old key.

use super::walk::{Aim, Walk, Walked};
use super::{KeyChange, no_room_for_keys};
use crate::audit::AuditEvent;
use crate::error::Error;
use crate::format::keys::Tree;
use crate::keyring::Credential;
use crate::progress::{OnProgress, Task};
use crate::unlocked::Unlocked;
use crate::vault::Vault;

const PATIENTS: Aim =
    Aim { tree: Tree::Patients, task: Task::RewrapPatients, under: "the newest wrap key", remembers: false };

impl Vault {
    /// Puts a new wrap key in force: when this returns, patients' secrets are sealed under it, and those from before still
    /// open. Whoever deletes a secret first, then calls this and [`Vault::finish_wrap_key`], has made the deletion final.
    pub(in crate::vault) fn begin_wrap_key(
        &self,
        unlocked: &Unlocked,
        credential: Credential<'_>,
    ) -> Result<(), Error> {
        self.change_keys(unlocked, AuditEvent::KeyAdded, credential, |now| {
            let grown = now.keyring.with_new_wrap_key()?.ok_or_else(no_room_for_keys)?;
            let detail = format!("wrap key {}", grown.newest_wrap_sealer().0);
            Ok(Some(KeyChange { keyring: grown, detail, ..now }))
        })?;
        // Somebody may be registering a patient under the key before.
        unlocked.stripes.outlast_writers();
        Ok(())
    }

    /// Seals all patients' secrets under the newest wrap key and drops the keys before it, unless secrets that do not open
    /// need them: see [`Walked::unreadable`]. Goes on where an earlier call was interrupted.
    pub(in crate::vault) fn finish_wrap_key(
        &self,
        unlocked: &Unlocked,
        credential: Credential<'_>,
        progress: &mut OnProgress<'_>,
    ) -> Result<Walked, Error> {
        let go_on = self.goes_on();
        let mut all = Walked::default();
        loop {
            let walked = Walk::new(unlocked, PATIENTS, &go_on, &mut *progress).run()?;
            all.renewed += walked.renewed;
            (all.looked_at, all.unreadable) = (walked.looked_at, walked.unreadable);
            if walked.found_nothing() {
                break;
            }
        }
        if all.unreadable == 0 && unlocked.keyring().wrap_epochs().len() > 1 {
            self.change_keys(unlocked, AuditEvent::KeyDropped, credential, |now| {
                let left = now.keyring.without_older_wrap_keys();
                let newest = now.keyring.newest_wrap_sealer().0;
                let detail = format!("wrap keys before {newest}");
                Ok(left.map(|keyring| KeyChange { keyring, detail, ..now }))
            })?;
        }
        Ok(all)
    }
}
