//! Compartments: kinds of record that are sealed under a key of their own as well.

use super::{KeyChange, rotating, takes_writes};
use crate::audit::{AuditEvent, Draft, Outcome};
use crate::committer::Stripe;
use crate::error::Error;
use crate::format::keyring::MAX_COMPARTMENTS;
use crate::keyring::Credential;
use crate::policy::{Compartment, MAX_COMPARTMENT_KINDS, MAX_COMPARTMENT_NAME, PolicyRow};
use crate::record::Kind;
use crate::unlocked::Unlocked;
use crate::vault::header::refused;
use crate::vault::{Vault, operate};

impl Vault {
    /// Makes a compartment: from now on, records of these kinds (1 to 32) are sealed under a key of its own as well, which is
    /// random and in the vault's keyring. Neither that key nor the vault's data key with a patient's secret opens them
    /// alone. A token reaches them only if it names the kind: "all kinds" never does, in no block. Whole-chart reads and
    /// exports leave them out unless the token names them.
    ///
    /// Only kinds that have no record yet can be put into one, and they never leave it; so make it before the first is
    /// written. [`Compartment::PSYCHOTHERAPY`] is a name to begin with. Logged; takes as long as the credential does. Older
    /// versions of this library refuse a vault that has one.
    ///
    /// ```
    /// # mod clinic { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/clinic.rs")); }
    /// # use clinic::*;
    /// # let Clinic { vault, key, dir, .. } = Clinic::new();
    /// let notes = Kind::new("psychotherapy-note").unwrap();
    /// vault.create_compartment(Compartment::PSYCHOTHERAPY, [notes.clone()], &key)?;
    /// assert_eq!(vault.compartments()?[0].kinds, [notes]);
    /// # drop(dir);
    /// # Ok::<(), Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::InvalidText`] for a blank or too long name (1 to 64 bytes), [`Error::TooMany`] for no kind, more than 32, or
    /// a 65th compartment, [`Error::CompartmentExists`], [`Error::KindInUse`] for a kind that has records or is in a
    /// compartment, [`Error::Unlock`] when the credential does not open the vault, [`Error::Header`] when the header cannot
    /// be written (call again then), [`Error::RotationUnderWay`], [`Error::DoubtfulReadOnly`], [`Error::Sealed`],
    /// [`Error::AuditUnavailable`].
    pub fn create_compartment<'c>(
        &self,
        name: &str,
        kinds: impl IntoIterator<Item = Kind>,
        credential: impl Into<Credential<'c>>,
    ) -> Result<(), Error> {
        let credential = credential.into();
        let mut kinds: Vec<Kind> = kinds.into_iter().take(MAX_COMPARTMENT_KINDS.saturating_mul(2)).collect();
        kinds.sort_unstable();
        kinds.dedup();
        let len = if name.trim().is_empty() { 0 } else { name.len() };
        if !(1..=MAX_COMPARTMENT_NAME).contains(&len) {
            return Err(Error::InvalidText { what: "name", len, least: 1, limit: MAX_COMPARTMENT_NAME });
        }
        if !(1..=MAX_COMPARTMENT_KINDS).contains(&kinds.len()) {
            let (what, limit) = ("kinds of a compartment, which has one at least", MAX_COMPARTMENT_KINDS);
            return Err(Error::TooMany { what, len: kinds.len(), limit });
        }
        operate(AuditEvent::CompartmentCreated, || {
            let unlocked = self.0.gate.enter()?;
            let _rotating = rotating(&unlocked)?;
            takes_writes(&unlocked)?;
            let compartment = Compartment { name: name.to_owned(), kinds, created: unlocked.now()? };
            is_free(&unlocked, &compartment)
                .map_err(|error| refused(&unlocked, AuditEvent::CompartmentCreated, error))?;
            self.change_keys(&unlocked, AuditEvent::KeyAdded, credential, |now| {
                // There already where an earlier call was interrupted: it seals nothing until the row is there.
                if now.keyring.has_compartment(compartment.id()) {
                    return Ok(None);
                }
                let (len, limit) = (MAX_COMPARTMENTS.saturating_add(1), MAX_COMPARTMENTS);
                let full = Error::TooMany { what: "compartments", len, limit };
                let keyring = now.keyring.with_new_compartment(compartment.id())?.ok_or(full)?;
                Ok(Some(KeyChange { keyring, detail: format!("key of compartment {name}"), ..now }))
            })?;
            put_to_use(&unlocked, compartment)
        })
    }

    /// The compartments of the vault, by name. Leaves no log entry: nothing is accessed.
    ///
    /// # Errors
    /// [`Error::Sealed`].
    pub fn compartments(&self) -> Result<Vec<Compartment>, Error> {
        let mut all = self.0.gate.enter()?.policy.compartments();
        all.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(all)
    }
}

/// Whether there is no compartment of this name, and none of its kinds is kept anywhere.
fn is_free(unlocked: &Unlocked, new: &Compartment) -> Result<(), Error> {
    let taken = unlocked.policy.compartments();
    if taken.iter().any(|compartment| compartment.name == new.name) {
        return Err(Error::CompartmentExists { name: new.name.clone() });
    }
    let in_use = |kind: &&Kind| unlocked.knows(kind) || taken.iter().any(|other| other.kinds.contains(kind));
    match new.kinds.iter().find(in_use) {
        Some(kind) => Err(Error::KindInUse { kind: kind.clone() }),
        None => Ok(()),
    }
}

/// From here on its kinds are sealed under its key. Whoever puts the first record of a kind holds the policy meanwhile.
fn put_to_use(unlocked: &Unlocked, compartment: Compartment) -> Result<(), Error> {
    let names: Vec<&str> = compartment.kinds.iter().map(Kind::as_str).collect();
    let mut draft = Draft::new(AuditEvent::CompartmentCreated, Outcome::Allowed);
    draft.fields.count = u32::try_from(names.len()).ok();
    // 32 names may be longer than a detail can be; the vault lists them.
    let listed = format!("{}: {}", compartment.name, names.join(", "));
    draft.fields.detail = Some(if listed.len() <= 1_024 { listed } else { compartment.name.clone() });
    let row = PolicyRow::Compartment(compartment.clone());
    let queued = {
        let _held = unlocked.stripes.write(&[Stripe::Policy]);
        is_free(unlocked, &compartment)?;
        let queued = unlocked.committer.queue(vec![unlocked.policy_row(&row)?], vec![draft])?;
        unlocked.policy.apply(row);
        unlocked.keep_apart()?;
        queued
    };
    unlocked.forget_charts();
    unlocked.committer.wait(queued)?;
    Ok(())
}
