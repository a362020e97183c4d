//! Rotating keys while the vault is in use.
//!
//! Each rotation goes the same way. The header gets the new key, in both copies; from then on it opens, and once it is in
//! force it seals. What was sealed before is sealed anew, in batches. Once nothing is left under the old key, the header
//! loses it. Wherever that breaks off, the header holds all keys that anything stored needs, and a later call goes on.

mod audit;
mod compartment;
mod data;
mod root;
mod suite;
mod walk;
mod wrap;

use std::fmt;
use std::sync::atomic::Ordering;
use std::sync::{MutexGuard, PoisonError, TryLockError};

pub use root::RootRotation;
pub(super) use walk::count_unreadable;

use super::compact::compact;
use super::header::{NewHeader, held, put_in_force, refused};
use super::{Compaction, Vault, operate};
use crate::audit::AuditEvent;
use crate::crypto::aead::Suite;
use crate::crypto::kdf::RootKey;
use crate::error::Error;
use crate::format::keyring::MAX_EPOCHS;
use crate::format::keys::Tree;
use crate::format::slot::Slot;
use crate::keyring::{Credential, Keyring};
use crate::progress::OnProgress;
use crate::unlocked::Unlocked;

/// How the rotation of keys stands; see [`Vault::rotation`].
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Rotation {
    /// What seals values.
    pub suite: Suite,
    /// The data epoch that seals new records.
    pub data_epoch: u32,
    /// Data epochs whose key the vault holds, ascending. One before [`Rotation::data_epoch`] goes once no record is
    /// sealed under it; one behind it does not seal yet.
    pub data_epochs: Vec<u32>,
    /// Wrap epochs whose key the vault holds, ascending. The last seals; the others go once no patient's key is sealed
    /// under them.
    pub wrap_epochs: Vec<u32>,
    /// The epoch under whose key the log's entries are sealed.
    pub audit_epoch: u32,
    /// Epochs of the log whose key the vault holds, ascending: all of them, for good. One behind [`Rotation::audit_epoch`]
    /// does not seal yet.
    pub audit_epochs: Vec<u32>,
    /// Versions of records that were looked at since the data epoch began, out of [`Rotation::versions`]. An estimate.
    pub passed: u64,
    /// Versions of records in all, where that is known.
    pub versions: Option<u64>,
}

impl Rotation {
    /// Whether something is left to do for [`Vault::continue_rotation`].
    #[must_use]
    pub fn is_under_way(&self) -> bool {
        let audit_waits = self.audit_epochs.last() != Some(&self.audit_epoch);
        self.data_epochs.len() > 1 || self.wrap_epochs.len() > 1 || audit_waits
    }
}

/// What a rotation did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Rotated {
    /// Versions of records that were sealed anew.
    pub resealed: u64,
    /// Patients' keys that were sealed anew.
    pub rewrapped: u64,
    /// Other rows (identifiers, issuers, kinds) that were sealed anew, which only another suite needs.
    pub others: u64,
    /// Rows that do not open, and so could not be sealed anew. They keep the old keys in the vault;
    /// [`Vault::check`] names them. With 0, no old key is left.
    pub unreadable: u64,
    /// The compaction of the journal that followed. `None` where none did: there was nothing to do, or the journal is damaged
    /// ([`Vault::check`] names the place) and keeps what is sealed under the old keys.
    pub compaction: Option<Compaction>,
}

impl fmt::Display for Rotated {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { resealed, rewrapped, others, unreadable, .. } = self;
        write!(f, "{resealed} versions of records, {rewrapped} patients' keys and {others} other rows sealed anew")?;
        match unreadable {
            0 => f.write_str("; no old key is left"),
            left => write!(f, "; {left} rows do not open, so old keys stay"),
        }
    }
}

impl Vault {
    /// How the rotation of keys stands. Leaves no log entry: nothing is accessed.
    ///
    /// # Errors
    /// [`Error::Sealed`].
    pub fn rotation(&self) -> Result<Rotation, Error> {
        let unlocked = self.0.gate.enter()?;
        let keyring = unlocked.keyring();
        Ok(Rotation {
            suite: unlocked.suite(),
            data_epoch: keyring.data_epoch(),
            data_epochs: keyring.data_epochs(),
            wrap_epochs: keyring.wrap_epochs(),
            audit_epoch: keyring.audit().epoch(),
            audit_epochs: keyring.audit_epochs(),
            passed: unlocked.policy.data_key().map_or(0, |row| row.passed),
            versions: unlocked.committer.rows(Tree::Records),
        })
    }

    /// Gives the vault a new data key and seals all records under it: [`Vault::begin_data_rotation`], then
    /// [`Vault::continue_rotation`].
    ///
    /// ```
    /// use chartvault::{RawKey, Vault};
    /// # let dir = tempfile::tempdir().unwrap();
    /// # let path = dir.path().join("clinic.vault");
    /// # let key = RawKey::generate()?;
    /// # let (vault, _) = Vault::create(&path).raw_key(&key).finish()?;
    /// let rotated = vault.rotate_data_key(&key, &mut |progress| println!("{} versions", progress.done))?;
    /// assert_eq!(rotated.unreadable, 0);
    /// assert_eq!(vault.rotation()?.data_epochs, [2]);
    /// # Ok::<(), chartvault::Error>(())
    /// ```
    ///
    /// # Errors
    /// As [`Vault::continue_rotation`].
    pub fn rotate_data_key<'c>(
        &self,
        credential: impl Into<Credential<'c>>,
        progress: OnProgress<'_>,
    ) -> Result<Rotated, Error> {
        let credential = credential.into();
        self.begin_data_rotation(credential)?;
        self.continue_rotation(credential, progress)
    }

    /// Gives the vault a new data key. When this returns, new records are sealed under it; those from before are still
    /// sealed under the old one, until [`Vault::continue_rotation`] has been through. Takes as long as the credential does.
    ///
    /// # Errors
    /// As [`Vault::continue_rotation`]; [`Error::TooMany`] when 256 data keys are held, which only rotations make that
    /// were begun and not ended.
    pub fn begin_data_rotation<'c>(&self, credential: impl Into<Credential<'c>>) -> Result<Rotation, Error> {
        let credential = credential.into();
        operate(AuditEvent::KeyAdded, || {
            let unlocked = self.0.gate.enter()?;
            let _rotating = rotating(&unlocked)?;
            takes_writes(&unlocked)?;
            self.begin_data_key(&unlocked, credential)
        })?;
        self.rotation()
    }

    /// Goes on with whatever rotation is under way, to its end: seals anew what is sealed under older keys, in batches of
    /// at most 500 rows and about 1 MiB, while others read and write; sees that nothing is left under them; drops them from
    /// both copies of the header; and compacts the journal, which still holds what was sealed under them. Nothing where no
    /// rotation is under way. Each batch has an entry in the log, which names no patient.
    ///
    /// It can be interrupted anywhere, by closing the vault or by a crash, and called again: it goes on where it was. It
    /// takes room in the journal for all records once more, until they are compacted; the newest segment of the journal is
    /// compacted only once it is closed. Backups, and copies of the header from before, open with the old keys for ever.
    ///
    /// # Errors
    /// [`Error::Unlock`] when the credential does not open the vault, [`Error::DoubtfulReadOnly`],
    /// [`Error::RotationUnderWay`] when another call is at it, [`Error::Header`] when the header cannot be written,
    /// [`Error::NotCommitted`] and [`Error::Storage`] when the disk is full or something cannot be read, [`Error::Sealed`],
    /// also when the vault is closed meanwhile, [`Error::AuditUnavailable`]. Everything reads as before then, and another
    /// call goes on. Where only the compaction fails the rotation has ended ([`Vault::rotation`] says so), and
    /// [`Vault::compact`] makes up for it.
    pub fn continue_rotation<'c>(
        &self,
        credential: impl Into<Credential<'c>>,
        mut progress: OnProgress<'_>,
    ) -> Result<Rotated, Error> {
        let credential = credential.into();
        operate(AuditEvent::RowsResealed, || {
            let unlocked = self.0.gate.enter()?;
            let _rotating = rotating(&unlocked)?;
            takes_writes(&unlocked)?;
            let opened = self.reopen(&unlocked, held(&unlocked).generation, credential);
            let opened = opened.map_err(|error| refused(&unlocked, AuditEvent::RowsResealed, error))?;
            let suites = opened.header.suites.len();
            drop(opened);
            let (mut rotated, go_on) = (Rotated::default(), self.goes_on());
            data::activate(&unlocked)?;
            audit::activate(&unlocked)?;
            if !self.rotation()?.is_under_way() {
                return Ok(rotated);
            }
            if suites > 1 {
                let others = suite::renew_others(&unlocked, &go_on, &mut progress)?;
                (rotated.others, rotated.unreadable) = (others.renewed, others.unreadable);
            }
            if unlocked.keyring().wrap_epochs().len() > 1 {
                let patients = self.finish_wrap_key(&unlocked, credential, &mut progress)?;
                rotated.rewrapped = patients.renewed;
                rotated.unreadable += patients.unreadable;
            }
            if unlocked.keyring().data_epochs().len() > 1 {
                let records = self.finish_data_key(&unlocked, credential, &mut progress)?;
                rotated.resealed = records.renewed;
                rotated.unreadable += records.unreadable;
            }
            rotated.compaction = match compact(&unlocked, progress, &go_on) {
                // Bytes that the disk does not give cannot be moved, so the files that hold them stay.
                Err(Error::Storage(error)) if error.is_of_one_value() => None,
                compacted => compacted?,
            };
            Ok(rotated)
        })
    }

    /// Gives the vault a new wrap key, which seals patients' keys, and seals all of them under it. Others go on working.
    /// A call that was interrupted is finished by [`Vault::continue_rotation`], or by the next one.
    ///
    /// ```
    /// use chartvault::{RawKey, Vault};
    /// # let dir = tempfile::tempdir().unwrap();
    /// # let path = dir.path().join("clinic.vault");
    /// # let key = RawKey::generate()?;
    /// # let (vault, _) = Vault::create(&path).raw_key(&key).finish()?;
    /// let rotated = vault.rotate_wrap_key(&key, &mut |progress| println!("{} patients", progress.done))?;
    /// assert_eq!(rotated.unreadable, 0);
    /// assert_eq!(vault.rotation()?.wrap_epochs, [2]);
    /// # Ok::<(), chartvault::Error>(())
    /// ```
    ///
    /// # Errors
    /// As [`Vault::continue_rotation`].
    pub fn rotate_wrap_key<'c>(
        &self,
        credential: impl Into<Credential<'c>>,
        mut progress: OnProgress<'_>,
    ) -> Result<Rotated, Error> {
        let credential = credential.into();
        operate(AuditEvent::KeyAdded, || {
            let unlocked = self.0.gate.enter()?;
            let _rotating = rotating(&unlocked)?;
            self.begin_wrap_key(&unlocked, credential)?;
            let walked = self.finish_wrap_key(&unlocked, credential, &mut progress)?;
            Ok(Rotated { rewrapped: walked.renewed, unreadable: walked.unreadable, ..Rotated::default() })
        })
    }

    /// Whether a long task is to go on: not once the vault is being closed.
    pub(super) fn goes_on(&self) -> impl Fn() -> bool + '_ {
        || !self.0.keeper.stopping.load(Ordering::Relaxed)
    }

    /// Writes a header with other keys and puts them in force, with an entry before and one behind; nothing where `edit`
    /// answers `None`. The keys in memory are those that count: a header that could only half be written may hold one that
    /// nothing was sealed under.
    fn change_keys(
        &self,
        unlocked: &Unlocked,
        event: AuditEvent,
        credential: Credential<'_>,
        edit: impl FnOnce(KeyChange) -> Result<Option<KeyChange>, Error>,
    ) -> Result<(), Error> {
        let _changing = unlocked.changing.lock().unwrap_or_else(PoisonError::into_inner);
        let plan = || {
            let opened = self.reopen(unlocked, held(unlocked).generation, credential)?;
            let (header, mut suites) = (opened.header, vec![unlocked.suite()]);
            suites.extend(header.suites.into_iter().filter(|suite| *suite != unlocked.suite()));
            let keyring = unlocked.keyring().duplicate();
            let now = KeyChange { keyring, root: opened.root, suites, slots: header.slots, detail: String::new() };
            let Some(KeyChange { keyring, root, suites, slots, detail }) = edit(now)? else { return Ok(None) };
            let generation = header.generation.saturating_add(1);
            let bytes = keyring.new_header(unlocked.vault, generation, &suites, slots.clone(), &root)?;
            let suite = suites.first().copied().unwrap_or_else(|| unlocked.suite());
            Ok(Some(NewHeader { event, detail, generation, slots, bytes, keys: Some((keyring, suite)) }))
        };
        match plan() {
            Ok(None) => Ok(()),
            Ok(Some(header)) => put_in_force(&self.0.home, unlocked, header),
            Err(error) => Err(refused(unlocked, event, error)),
        }
    }
}

/// What a header says beside its generation, before and after a change of keys.
struct KeyChange {
    keyring: Keyring,
    root: RootKey,
    /// The first seals.
    suites: Vec<Suite>,
    slots: Vec<Slot>,
    /// For the log.
    detail: String,
}

/// A vault that is in doubt takes no writes.
fn takes_writes(unlocked: &Unlocked) -> Result<(), Error> {
    match unlocked.policy.doubt() {
        Some((salvaged_at, _)) => Err(Error::DoubtfulReadOnly { salvaged_at }),
        None => Ok(()),
    }
}

/// One rotation at a time.
pub(super) fn rotating(unlocked: &Unlocked) -> Result<MutexGuard<'_, ()>, Error> {
    match unlocked.rotating.try_lock() {
        Ok(held) => Ok(held),
        Err(TryLockError::Poisoned(held)) => Ok(held.into_inner()),
        Err(TryLockError::WouldBlock) => Err(Error::RotationUnderWay),
    }
}

fn no_room_for_keys() -> Error {
    Error::TooMany { what: "keys of one sort in the keyring", len: MAX_EPOCHS.saturating_add(1), limit: MAX_EPOCHS }
}
