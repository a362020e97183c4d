//! A new root key, for when somebody must be kept out who may have a copy of the header and a credential of then.

use super::data::activate;
use super::{KeyChange, no_room_for_keys, rotating};
use crate::audit::AuditEvent;
use crate::crypto::kdf::RootKey;
use crate::error::Error;
use crate::format::slot::Slot;
use crate::keyring::{self, Credential, NewSlot, SlotInfo, SlotPlace, UnlockError};
use crate::unlocked::Unlocked;
use crate::vault::header::{held, refused};
use crate::vault::{Vault, operate};

/// What became of the key slots when the root key was rotated.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct RootRotation {
    /// Numbers of the slots that still open the vault: those whose credential was shown.
    pub kept: Vec<u8>,
    /// The slots that are gone, because nobody showed their credential. Add them again, with new credentials where the old
    /// ones may be in wrong hands.
    pub dropped: Vec<SlotInfo>,
}

impl Vault {
    /// Gives the vault a new root key, and with it a new data key and a new wrap key, so that records and patients' keys that
    /// are written from now on open with none of the keys from before. (The log has [`Vault::rotate_audit_key`]; identifiers,
    /// kinds and policy stay under keys that are not rotated.) That is for when somebody leaves who may have kept a copy of the header with
    /// a credential, or of a key. Of the key slots those stay whose credentials are shown here, each the first that its
    /// credential opens; **all others are dropped**, and named in the answer. One of those that stay must open the vault by
    /// itself.
    ///
    /// Takes as long as the credentials do. What was written before is still sealed under the old keys:
    /// [`Vault::continue_rotation`] seals it anew, and is to be called next; [`Vault::rotate_audit_key`] closes the log's
    /// later entries to them as well.
    ///
    /// ```
    /// use chartvault::{NewSlot, RawKey, Vault};
    /// # let dir = tempfile::tempdir().unwrap();
    /// # let path = dir.path().join("clinic.vault");
    /// # let [key, leaving] = [RawKey::generate()?, RawKey::generate()?];
    /// # let (vault, recovery) = Vault::create(&path).raw_key(&key).finish()?;
    /// vault.add_slot(NewSlot::of(&leaving).label("dr.mertens"), &key)?;
    /// let slots = vault.rotate_root_key(&[(&key).into(), (&recovery).into()])?;
    /// assert_eq!(slots.dropped[0].label, "dr.mertens");
    /// vault.continue_rotation(&key, &mut |_| ())?;
    /// # vault.close()?;
    /// assert!(Vault::open(&path)?.unlock(&leaving).is_err());
    /// # Ok::<(), chartvault::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::NoCredential`] where none is shown, [`Error::Unlock`] where one of them opens no slot, or none any more,
    /// [`Error::LastSlot`] where none of the slots that would stay opens the vault by itself, [`Error::Slot`],
    /// [`Error::Header`] when the header cannot be written (then either root key may be in force),
    /// [`Error::RotationUnderWay`], [`Error::Sealed`], [`Error::AuditUnavailable`]. Nothing is dropped then, but for
    /// [`Error::Header`].
    pub fn rotate_root_key(&self, credentials: &[Credential<'_>]) -> Result<RootRotation, Error> {
        operate(AuditEvent::RootKeyChanged, || {
            let unlocked = self.0.gate.enter()?;
            let _rotating = rotating(&unlocked)?;
            let first = credentials.first().copied().ok_or(Error::NoCredential)?;
            let in_force = held(&unlocked).generation;
            let slot_of = |credential| {
                let opened = self.reopen(&unlocked, in_force, credential)?;
                let slot = opened.header.slots.into_iter().find(|slot| slot.number == opened.slot);
                Ok(Shown { slot: slot.ok_or(UnlockError::WrongCredential)?, turned: opened.turned, credential })
            };
            let shown: Result<Vec<_>, Error> = credentials.iter().copied().map(slot_of).collect();
            let shown = shown.map_err(|error| refused(&unlocked, AuditEvent::RootKeyChanged, error))?;
            let mut answer = RootRotation { kept: Vec::new(), dropped: Vec::new() };
            self.change_keys(&unlocked, AuditEvent::RootKeyChanged, first, |now| {
                let root = keyring::new_root()?;
                let (mut kept, mut dropped) = (Vec::new(), Vec::new());
                // Nobody held the header while the credentials were tried, and one of them may open nothing any more.
                if shown.iter().any(|shown| !now.slots.contains(&shown.slot)) {
                    return Err(UnlockError::WrongCredential.into());
                }
                for slot in now.slots {
                    match shown.iter().find(|shown| shown.slot == slot) {
                        Some(shown) => kept.push(shown.anew(&unlocked, slot, &root)?),
                        None => dropped.push(slot),
                    }
                }
                if !kept.iter().any(Slot::opens_alone) {
                    let slot = kept.first().map_or(0, |slot| slot.number);
                    return Err(Error::LastSlot { slot });
                }
                answer.kept = kept.iter().map(|slot| slot.number).collect();
                let info = |slot: &Slot| SlotInfo::of(slot, unlocked.policy.slot_use(slot.number, slot.created));
                answer.dropped = dropped.iter().map(info).collect();
                let numbers: Vec<String> = dropped.iter().map(|slot| slot.number.to_string()).collect();
                let detail = match numbers.as_slice() {
                    [] => "no slot is dropped".to_owned(),
                    numbers => format!("slots dropped: {}", numbers.join(", ")),
                };
                let grown = now.keyring.with_new_wrap_key()?.ok_or_else(no_room_for_keys)?;
                let keyring = grown.with_new_data_key()?.ok_or_else(no_room_for_keys)?;
                Ok(Some(KeyChange { keyring, root, suites: now.suites, slots: kept, detail }))
            })?;
            activate(&unlocked)?;
            Ok(answer)
        })
    }
}

/// A credential, and the slot that it opens.
struct Shown<'c> {
    slot: Slot,
    /// Two persons came in the other order than the slot names them.
    turned: bool,
    credential: Credential<'c>,
}

impl Shown<'_> {
    /// The same slot over another root key. Whatever is drawn for a slot is drawn anew.
    fn anew(&self, unlocked: &Unlocked, slot: Slot, root: &RootKey) -> Result<Slot, Error> {
        let is = SlotInfo::of(&slot, None);
        let mut new = NewSlot::of(self.credential);
        if let [first, second] = is.partners.as_slice() {
            let (first, second) = if self.turned { (second, first) } else { (first, second) };
            new = new.partners(&first.label, &second.label);
        }
        if let Some(kdf) = is.kdf.or_else(|| is.partners.iter().find_map(|partner| partner.kdf)) {
            new = new.kdf(kdf);
        }
        let Slot { number, created, label, .. } = slot;
        let prepared = new.prepare(unlocked.vault)?;
        Ok(prepared.seal(unlocked.vault, unlocked.suite(), SlotPlace { number, created, label }, root)?)
    }
}
