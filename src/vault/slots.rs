//! Key slots of an open vault: listing, adding, removing, replacing. Others go on working meanwhile.

use std::path::Path;
use std::sync::PoisonError;
use std::thread;

use super::header::{NewHeader, held, put_in_force, refused};
use super::opening::KdfUpgrade;
use super::{Home, Vault, operate};
use crate::audit::{AuditEvent, Draft, Outcome};
use crate::crypto::kdf::RootKey;
use crate::crypto::kdf_parameters::KdfParameters;
use crate::error::Error;
use crate::format::header::{HeaderContent, HeaderError, MAX_SLOTS};
use crate::format::slot::Slot;
use crate::keyring::detached;
use crate::keyring::{Credential, NewSlot, NewSlotError, PreparedSlot, SlotInfo, SlotPlace, UnlockedKeyring};
use crate::secret::wipe_stack;
use crate::unlocked::{HeldHeader, Unlocked};

impl Vault {
    /// The key slots, ascending by number. Leaves no log entry: nothing is accessed.
    ///
    /// # Errors
    /// [`Error::Sealed`].
    pub fn slots(&self) -> Result<Vec<SlotInfo>, Error> {
        let unlocked = self.0.gate.enter()?;
        let held = held(&unlocked);
        let info = |slot: &Slot| SlotInfo::of(slot, unlocked.policy.slot_use(slot.number, slot.created));
        Ok(held.slots.iter().map(info).collect())
    }

    /// Adds a key slot, of 32 at most, and answers its number. Asks for a credential of the vault. Others go on working.
    ///
    /// # Errors
    /// [`Error::Slot`] when the slot cannot be made (too many, an empty passphrase, a label that is not allowed),
    /// [`Error::Unlock`] when the credential does not open the vault, [`Error::Header`] when the header cannot be written
    /// (then the slot may be there or not), [`Error::Sealed`], [`Error::AuditUnavailable`].
    pub fn add_slot<'c>(&self, new: NewSlot<'_>, credential: impl Into<Credential<'c>>) -> Result<u8, Error> {
        self.change_slots(credential.into(), Edit::Add(new))
    }

    /// Removes a key slot. When it returns, no copy of the header in the vault's directory holds it. A copy that somebody
    /// took before still opens with its credential, as far as that copy goes: where a credential may be in wrong hands,
    /// that is not undone by removing its slot.
    ///
    /// # Errors
    /// [`Error::NoSuchSlot`], [`Error::LastSlot`] when nothing else would open the vault by itself, otherwise as
    /// [`Vault::add_slot`].
    pub fn remove_slot<'c>(&self, number: u8, credential: impl Into<Credential<'c>>) -> Result<(), Error> {
        self.change_slots(credential.into(), Edit::Remove(number)).map(drop)
    }

    /// Gives a key slot another credential, and maybe another kind and label, at the same number. Takes the same time
    /// whatever the vault holds.
    ///
    /// # Errors
    /// [`Error::NoSuchSlot`], otherwise as [`Vault::add_slot`].
    pub fn replace_slot<'c>(
        &self,
        number: u8,
        new: NewSlot<'_>,
        credential: impl Into<Credential<'c>>,
    ) -> Result<(), Error> {
        self.change_slots(credential.into(), Edit::Replace(Some(number), new)).map(drop)
    }

    /// Changes a credential: the slot that `old` opens is opened by the new one from then on. Answers its number.
    ///
    /// ```
    /// use chartvault::{NewSlot, Passphrase, PassphraseCost, Vault};
    /// # let dir = tempfile::tempdir().unwrap();
    /// # let path = dir.path().join("clinic.vault");
    /// # let cost = PassphraseCost::MINIMUM;
    /// # let old = Passphrase::new("the old one");
    /// # let (vault, _) = Vault::create(&path).passphrase(&old).passphrase_cost(cost).finish()?;
    /// let new = Passphrase::new("a new one that nobody has seen");
    /// vault.change_credential(&old, NewSlot::of(&new).kdf(cost))?;
    /// # vault.close()?;
    /// assert!(Vault::open(&path)?.unlock(&old).is_err());
    /// assert!(Vault::open(&path)?.unlock(&new).is_ok());
    /// # Ok::<(), chartvault::Error>(())
    /// ```
    ///
    /// # Errors
    /// As [`Vault::add_slot`].
    pub fn change_credential<'c>(&self, old: impl Into<Credential<'c>>, new: NewSlot<'_>) -> Result<u8, Error> {
        self.change_slots(old.into(), Edit::Replace(None, new))
    }

    /// Writes a copy of the header in force to a new file, durably and for its owner alone. Where both copies in the vault's
    /// directory are lost, it takes their place under their names, `header.a` and `header.b`; an outdated one is refused then
    /// ([`HeaderRolledBack`](crate::StorageError::HeaderRolledBack)). It holds the key slots of now, and opens with their
    /// credentials for ever: what is removed later is still in it.
    ///
    /// # Errors
    /// [`Error::Header`] when the file exists or cannot be written, [`Error::Sealed`], [`Error::AuditUnavailable`].
    pub fn back_up_header(&self, path: impl AsRef<Path>) -> Result<(), Error> {
        operate(AuditEvent::HeaderBackedUp, || {
            let unlocked = self.0.gate.enter()?;
            let HeldHeader { generation, bytes, .. } = held(&unlocked).clone();
            let say = |outcome| {
                let mut draft = Draft::new(AuditEvent::HeaderBackedUp, outcome);
                draft.fields.detail = Some(format!("header {generation}"));
                unlocked.commit(Vec::new(), vec![draft])
            };
            say(Outcome::Allowed)?;
            let written = detached::new_file(path.as_ref(), &bytes);
            if written.is_err() {
                say(Outcome::Failed)?;
            }
            Ok(written?)
        })
    }

    fn change_slots(&self, credential: Credential<'_>, edit: Edit<'_>) -> Result<u8, Error> {
        let changed = operate(edit.event(), || {
            let unlocked = self.0.gate.enter()?;
            let _changing = unlocked.changing.lock().unwrap_or_else(PoisonError::into_inner);
            let held = held(&unlocked).clone();
            match self.plan(&unlocked, &held, credential, edit) {
                Ok((number, header)) => put_in_force(&self.0.home, &unlocked, header).map(|()| number),
                Err(error) => Err(refused(&unlocked, edit.event(), error)),
            }
        });
        wipe_stack();
        changed
    }

    /// The header as it is to be. Nothing is written yet.
    fn plan(
        &self,
        unlocked: &Unlocked,
        held: &HeldHeader,
        credential: Credential<'_>,
        edit: Edit<'_>,
    ) -> Result<(u8, NewHeader), Error> {
        // What is in force tells early, and without the time that a passphrase takes, what cannot be.
        edit.check(&held.slots)?;
        let (opened, prepared) = both(
            edit.new_slot().is_some_and(|new| new.is_costly()) && credential.is_costly(),
            &|| self.reopen(unlocked, held.generation, credential),
            || edit.new_slot().map(|new| new.prepare(unlocked.vault)).transpose(),
        );
        let (opened, prepared) = (opened?, prepared?);
        edit.check(&opened.header.slots)?;
        let UnlockedKeyring { root, slot, header, .. } = opened;
        new_header(unlocked, &root, header, slot, edit, prepared)
    }
}

/// What is to be done to the slots.
#[derive(Clone, Copy)]
enum Edit<'a> {
    Add(NewSlot<'a>),
    Remove(u8),
    /// The slot of a number, or the one that opened.
    Replace(Option<u8>, NewSlot<'a>),
    /// The same credential with other parameters, in the slot of a number.
    Upgrade(u8, NewSlot<'a>),
}

impl<'a> Edit<'a> {
    const fn event(&self) -> AuditEvent {
        match self {
            Self::Add(_) => AuditEvent::SlotAdded,
            Self::Remove(_) => AuditEvent::SlotRemoved,
            Self::Replace(..) | Self::Upgrade(..) => AuditEvent::SlotChanged,
        }
    }

    const fn new_slot(&self) -> Option<&NewSlot<'a>> {
        match self {
            Self::Add(new) | Self::Replace(_, new) | Self::Upgrade(_, new) => Some(new),
            Self::Remove(_) => None,
        }
    }

    /// Whether it can be done to these slots.
    fn check(&self, slots: &[Slot]) -> Result<(), Error> {
        if let Some(new) = self.new_slot() {
            new.check()?;
        }
        let there = |number: u8| slots.iter().any(|slot| slot.number == number);
        match *self {
            Self::Add(_) if slots.len() >= MAX_SLOTS => {
                let (slots, limit) = (slots.len().saturating_add(1), MAX_SLOTS);
                Err(NewSlotError::Header(HeaderError::TooManySlots { slots, limit }).into())
            }
            Self::Remove(slot) | Self::Replace(Some(slot), _) if !there(slot) => Err(Error::NoSuchSlot { slot }),
            _ => Ok(()),
        }
    }
}

/// The slot's number, and the header as it is to be.
fn new_header(
    unlocked: &Unlocked,
    root: &RootKey,
    header: HeaderContent,
    opened: u8,
    edit: Edit<'_>,
    prepared: Option<PreparedSlot>,
) -> Result<(u8, NewHeader), Error> {
    let number = match edit {
        Edit::Add(_) => free_number(&header.slots),
        Edit::Remove(number) | Edit::Replace(Some(number), _) | Edit::Upgrade(number, _) => number,
        Edit::Replace(None, _) => opened,
    };
    let old = header.slots.iter().find(|slot| slot.number == number);
    let made = match (prepared, edit.new_slot()) {
        (Some(prepared), Some(new)) => {
            let kept = old.map_or("", |slot| slot.label.as_str());
            let label = new.given_label().unwrap_or(kept).to_owned();
            let created = match (edit, old) {
                (Edit::Upgrade(..), Some(old)) => old.created,
                _ => unlocked.clock.now(),
            };
            let place = SlotPlace { number, created, label };
            Some(prepared.seal(unlocked.vault, unlocked.suite(), place, root)?)
        }
        _ => None,
    };
    let detail = match (old, &made) {
        (Some(old), Some(new)) => format!("slot {number}: {} becomes {}", called(old), called(new)),
        (Some(slot), None) | (None, Some(slot)) => format!("slot {number}: {}", called(slot)),
        (None, None) => return Err(Error::NoSuchSlot { slot: number }),
    };
    let mut slots: Vec<Slot> = header.slots.iter().filter(|slot| slot.number != number).cloned().collect();
    slots.extend(made);
    slots.sort_by_key(|slot| slot.number);
    if !slots.iter().any(Slot::opens_alone) {
        return Err(Error::LastSlot { slot: number });
    }
    let generation = header.generation.saturating_add(1);
    let (vault, suites) = (unlocked.vault, &header.suites);
    let bytes = unlocked.keyring().new_header(vault, generation, suites, slots.clone(), root)?;
    Ok((number, NewHeader { event: edit.event(), detail, generation, slots, bytes, keys: None }))
}

/// One above the highest, so that a number in the log means one slot for as long as can be; then the lowest free one.
fn free_number(slots: &[Slot]) -> u8 {
    let above = slots.last().map_or(Some(0), |slot| slot.number.checked_add(1));
    let free = || (0..=u8::MAX).find(|number| slots.iter().all(|slot| slot.number != *number));
    above.or_else(free).unwrap_or(u8::MAX)
}

/// A slot as the log names it.
fn called(slot: &Slot) -> String {
    match SlotInfo::of(slot, None).kdf {
        Some(kdf) => format!("{} {:?} ({kdf})", slot.kind(), slot.label),
        None => format!("{} {:?}", slot.kind(), slot.label),
    }
}

/// Upgrades the slot that opened, if its passphrase became a key with less than `to`. What stands in the way of it stands
/// in the answer; only what stops the vault is an error.
pub(super) fn upgrade(
    home: &Home,
    unlocked: &Unlocked,
    (root, header, slot): (&RootKey, HeaderContent, u8),
    credential: Credential<'_>,
    to: KdfParameters,
) -> Result<KdfUpgrade, Error> {
    let kdf = header.slots.iter().find(|held| held.number == slot).and_then(|slot| SlotInfo::of(slot, None).kdf);
    if !kdf.is_some_and(|kdf| kdf.is_weaker_than(to)) {
        return Ok(KdfUpgrade::NotNeeded);
    }
    let new = NewSlot::of(credential).kdf(to);
    let plan = || {
        let prepared = new.prepare(unlocked.vault)?;
        new_header(unlocked, root, header, slot, Edit::Upgrade(slot, new), Some(prepared))
    };
    match plan().and_then(|(_, header)| put_in_force(home, unlocked, header)) {
        Ok(()) => Ok(KdfUpgrade::Done { slot }),
        Err(error @ (Error::Slot(_) | Error::Header(_))) => Ok(KdfUpgrade::Failed { slot, why: error.to_string() }),
        Err(error) => Err(error),
    }
}

/// Both results; worked out at once where that is worth a thread and one can be had.
fn both<A: Send, B>(at_once: bool, a: &(impl Fn() -> A + Sync), b: impl FnOnce() -> B) -> (A, B) {
    if !at_once {
        return (a(), b());
    }
    thread::scope(|scope| {
        let other = thread::Builder::new().name("chartvault-unlock".into()).spawn_scoped(scope, a);
        let b = b();
        let a = other.ok().and_then(|other| other.join().ok()).unwrap_or_else(a);
        (a, b)
    })
}
