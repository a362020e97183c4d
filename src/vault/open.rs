//! Opening and unlocking a vault.

use std::fmt;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use super::assemble::{Parts, assemble, newest, storage_keys};
use super::attempts::Attempts;
use super::opening::MissingReads;
use super::sinks::{check_given, detach_while_unlocking};
use super::slots::upgrade as upgrade_slot;
use super::{Home, Opening, Options, Vault, operate, signing};
use crate::audit::{AuditEvent, Chain, Draft, EntryKind, Outcome};
use crate::crypto::aead::Suite;
#[cfg(feature = "test-util")]
use crate::crypto::hash::HmacKey;
#[cfg(feature = "test-util")]
use crate::crypto::kdf;
use crate::crypto::kdf_parameters::KdfParameters;
use crate::error::Error;
use crate::format::header::UnverifiedHeader;
use crate::format::slot::{Slot, SlotParams};
use crate::ids::VaultId;
use crate::keyring::copies::OtherCopy;
use crate::keyring::{Credential, Keyring, UnlockError, UnlockedKeyring};
use crate::observe;
use crate::policy::PolicyRow;
use crate::progress::OnProgress;
use crate::secret::wipe_stack;
use crate::storage::Opened;
use crate::unlocked::{DirLock, HeldHeader};

/// A vault whose directory is held and whose header was read, but not one key is known.
pub struct LockedVault {
    pub(super) home: Home,
    pub(super) options: Options,
    /// `None` while a vault unlocked from here holds it.
    pub(super) lock: Mutex<Option<DirLock>>,
}

impl Vault {
    /// Finds a vault and takes its lock. Unlock it next.
    ///
    /// # Errors
    /// [`Error::Header`] when there is no vault or its header cannot be used, [`Error::InUse`], [`Error::Io`].
    pub fn open(path: impl AsRef<Path>) -> Result<LockedVault, Error> {
        Vault::open_with(path, Options::new())
    }

    /// [`Vault::open`] with settings.
    ///
    /// # Errors
    /// As [`Vault::open`].
    pub fn open_with(path: impl AsRef<Path>, options: Options) -> Result<LockedVault, Error> {
        LockedVault::at(Home::dir(path.as_ref()).with_header(options.header.clone()), options)
    }
}

impl LockedVault {
    pub(crate) fn at(home: Home, options: Options) -> Result<Self, Error> {
        home.check_finished()?;
        home.read_header()?;
        let lock = Mutex::new(Some(home.lock()?));
        Ok(Self { home, options, lock })
    }

    /// The vault's id, as its header claims; verified by unlocking.
    ///
    /// # Errors
    /// [`Error::Header`] when the header cannot be read any more.
    pub fn id(&self) -> Result<VaultId, Error> {
        Ok(self.home.read_header()?.chosen.vault())
    }

    /// Unlocks with a passphrase, recovery key or raw key. A wrong credential can be tried again; each failure is
    /// counted, and the count stands in the log after the next success. After a crash this takes longer: what the
    /// journal holds and the trees do not is brought over, and the trees are rebuilt if need be.
    ///
    /// # Errors
    /// [`Error::Unlock`] (wrong credential, damaged header and tampered header told apart), [`Error::InUse`] when a
    /// vault unlocked from here is still open, [`Error::Storage`] when the journal is damaged, cut or older than its
    /// trees, [`Error::RolledBack`], [`Error::Forked`] and [`Error::Anchor`] when the log is not what an anchor holds,
    /// [`Error::Sink`] when the vault requires a sink that was not given,
    /// [`Error::Audit`] when the log's newest entry is not sound, [`Error::Header`], [`Error::Io`],
    /// [`Error::TamperedRow`].
    pub fn unlock<'c>(&self, credential: impl Into<Credential<'c>>) -> Result<Vault, Error> {
        self.unlock_with(credential, &mut |_| ())
    }

    /// [`LockedVault::unlock`], reporting progress.
    ///
    /// # Errors
    /// As [`LockedVault::unlock`].
    pub fn unlock_with<'c>(
        &self,
        credential: impl Into<Credential<'c>>,
        progress: OnProgress<'_>,
    ) -> Result<Vault, Error> {
        self.unlocking().unlock_with(credential, progress)
    }

    /// Starts unlocking with more to say than [`LockedVault::unlock`] takes.
    ///
    /// ```
    /// use chartvault::{KdfParameters, KdfUpgrade, Passphrase, PassphraseCost, Vault};
    /// # let dir = tempfile::tempdir().unwrap();
    /// # let path = dir.path().join("clinic.vault");
    /// # let pass = Passphrase::new("correct horse battery staple");
    /// # let old = PassphraseCost::MINIMUM;
    /// # Vault::create(&path).passphrase(&pass).passphrase_cost(old).finish()?.0.close()?;
    /// let locked = Vault::open(&path)?;
    /// let vault = locked.unlocking().upgrade_kdf(KdfParameters::recommended()).unlock(&pass)?;
    /// assert_eq!(vault.opening().kdf_upgrade, Some(KdfUpgrade::Done { slot: 0 }));
    /// assert_eq!(vault.slots()?[0].kdf, Some(KdfParameters::recommended()));
    /// # Ok::<(), chartvault::Error>(())
    /// ```
    pub const fn unlocking(&self) -> Unlocking<'_> {
        Unlocking { locked: self, upgrade: None, without: &[] }
    }

    fn unlock_and_assemble(
        &self,
        credential: Credential<'_>,
        (upgrade, without): (Option<KdfParameters>, &[&str]),
        progress: OnProgress<'_>,
    ) -> Result<Vault, Error> {
        let mut held = self.lock.lock().unwrap_or_else(PoisonError::into_inner);
        let lock = match held.take() {
            Some(lock) => lock,
            // A vault unlocked from here took the lock along; it is free again once that vault is closed.
            None => self.home.lock()?,
        };
        match self.unlock_keyring(credential) {
            Ok(keyring) => {
                let vault = self.assemble(keyring, lock, credential, (upgrade, without), &mut *progress)?;
                vault.go_on_erasing(credential, progress)?;
                Ok(vault)
            }
            Err(error) => {
                *held = Some(lock);
                Err(error)
            }
        }
    }

    /// Unlocks what a restore brought back, before it is a vault: nobody is asked whether it may be older than it was, and
    /// what was begun waits.
    #[cfg(feature = "backup")]
    pub(super) fn unlock_unfinished(
        &self,
        credential: Credential<'_>,
        progress: OnProgress<'_>,
    ) -> Result<Vault, Error> {
        let mut held = self.lock.lock().unwrap_or_else(PoisonError::into_inner);
        let lock = held.take().map_or_else(|| self.home.lock(), Ok)?;
        let opened = open_header(&self.home, credential)?;
        self.assemble(opened, lock, credential, (None, &[]), progress)
    }

    fn unlock_keyring(&self, credential: Credential<'_>) -> Result<UnlockedKeyring, Error> {
        match open_header(&self.home, credential) {
            Err(Error::Unlock(UnlockError::WrongCredential)) => {
                let now = self.options.clock.now();
                self.home.count_attempt(now)?;
                Err(in_full(&self.home, credential, UnlockError::WrongCredential.into()))
            }
            other => other.map_err(|error| in_full(&self.home, credential, error)),
        }
    }

    fn assemble(
        &self,
        opened: UnlockedKeyring,
        lock: DirLock,
        credential: Credential<'_>,
        (upgrade, without): (Option<KdfParameters>, &[&str]),
        progress: OnProgress<'_>,
    ) -> Result<Vault, Error> {
        let UnlockedKeyring { keyring, slot, mut header, root, mut bytes, .. } = opened;
        let suite = header.suites.first().copied().unwrap_or(Suite::ChaCha20Poly1305);
        let vault = header.vault;
        let keys = storage_keys(&keyring);
        let (storage, found) =
            self.home.open_storage(vault, keys, self.options.storage, header.generation, progress)?;
        if self.home.read_header()?.other != OtherCopy::Same {
            header.generation += 1;
            let slots = header.slots.clone();
            bytes = keyring.new_header(vault, header.generation, &header.suites, slots, &root)?;
            self.home.write_header(&bytes)?;
        }
        let head = newest(&*storage, vault)?;
        let clock = Arc::clone(&self.options.clock);
        let chain = Chain::new(vault, Some(head));
        let held = HeldHeader { generation: header.generation, slots: header.slots.clone(), bytes };
        let password_cost = self.options.password_cost;
        let (record_cache, consent) = (self.options.record_cache, self.options.consent.clone());
        let care = self.options.care.clone();
        let anchors = self.options.anchors.clone();
        let created = held.slots.iter().find(|held| held.number == slot).map(|slot| slot.created);
        let parts = Parts {
            vault,
            suite,
            clock,
            keyring,
            header: held,
            lock,
            chain,
            record_cache,
            consent,
            anchors,
            care,
            password_cost,
        };
        let unlocked = assemble(parts, storage)?;
        unlocked.restore_log_tree(progress)?;
        unlocked.load_policy()?;
        if !self.options.restoring {
            check_given(&unlocked, &self.options, without)?;
        }
        let attempts = self.home.attempts();
        let missing_reads = MissingReads::of(&found, unlocked.policy.read_audit(), head.seq);
        let compared = unlocked.compare_with_anchors()?;
        let signing = signing::at_opening(
            &unlocked,
            signing::place(&self.home, &self.options),
            &head,
            self.options.brought_back,
        )?;
        let mut opening = Opening::of(&found, missing_reads, &signing);
        opening.anchors_unread = compared.unread;
        let used = created.map(|created| PolicyRow::SlotUse { slot, created, used: unlocked.clock.now() });
        let mut rows = used.iter().map(|row| unlocked.policy_row(row)).collect::<Result<Vec<_>, _>>()?;
        rows.extend(signing.row(&unlocked)?);
        // The first entry of an epoch before all else.
        let drafts = signing.draft().into_iter().chain(opening_drafts(attempts, &found, &opening, slot));
        unlocked.commit(rows, drafts.collect())?;
        signing.take(&unlocked);
        if let Some(used) = used {
            unlocked.policy.apply(used);
        }
        detach_while_unlocking(&unlocked, without)?;
        if let Some(through) = found.compacted {
            // Not before its entry is durable.
            unlocked.committer.storage().remove_compacted(through)?;
        }
        self.home.clear_attempts()?;
        if let Some(to) = upgrade {
            opening.kdf_upgrade = Some(upgrade_slot(&self.home, &unlocked, (&root, header, slot), credential, to)?);
        }
        drop(root);
        observe::opened(found.clean, found.replayed_frames, opening.torn_bytes, found.rebuilt);
        Vault::new(self.home.clone(), unlocked, opening, &self.options, &compared.held)
    }
}

/// Unlocking a vault, with what is to be done on the way; see [`LockedVault::unlocking`].
#[must_use = "nothing is unlocked before `unlock`"]
#[derive(Clone, Copy, Debug)]
pub struct Unlocking<'v> {
    locked: &'v LockedVault,
    upgrade: Option<KdfParameters>,
    without: &'v [&'v str],
}

impl<'v> Unlocking<'v> {
    /// If a passphrase opens a slot whose derivation is weaker than this ([`KdfParameters::is_weaker_than`]), gives the slot
    /// these parameters and a new salt, with entries in the log. It takes the time of both derivations once. Where it
    /// fails, the vault is open all the same, and [`Opening::kdf_upgrade`] says why. Slots for two persons stay as they
    /// are.
    pub fn upgrade_kdf(mut self, to: impl Into<KdfParameters>) -> Self {
        self.upgrade = Some(to.into());
        self
    }

    /// Detaches these sinks, which the vault may require; an entry of the log says so for each. Where one of them is not there,
    /// unlocking fails ([`SinkFault::Unknown`](crate::SinkFault::Unknown)).
    pub const fn without_sinks(mut self, names: &'v [&'v str]) -> Self {
        self.without = names;
        self
    }

    /// Unlocks.
    ///
    /// # Errors
    /// As [`LockedVault::unlock`].
    pub fn unlock<'c>(self, credential: impl Into<Credential<'c>>) -> Result<Vault, Error> {
        self.unlock_with(credential, &mut |_| ())
    }

    /// Unlocks, reporting progress.
    ///
    /// # Errors
    /// As [`LockedVault::unlock`].
    pub fn unlock_with<'c>(
        self,
        credential: impl Into<Credential<'c>>,
        progress: OnProgress<'_>,
    ) -> Result<Vault, Error> {
        let (locked, credential) = (self.locked, credential.into());
        let opened = operate(AuditEvent::VaultOpened, || {
            locked.unlock_and_assemble(credential, (self.upgrade, self.without), progress)
        });
        wipe_stack();
        opened
    }
}

impl fmt::Debug for LockedVault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LockedVault").field("home", &self.home).finish_non_exhaustive()
    }
}

/// Opens the header's better copy, or the other one where only that is genuine.
pub(super) fn open_header(home: &Home, credential: Credential<'_>) -> Result<UnlockedKeyring, Error> {
    let copies = home.read_header()?;
    let open = |header: &UnverifiedHeader| Keyring::open(header, credential);
    match (open(&copies.chosen), copies.other) {
        (Err(UnlockError::HeaderTampered), OtherCopy::Differs(other) | OtherCopy::Older(other)) => Ok(open(&other)?),
        // A copy that is whole, and whose slots are not, would look like a wrong credential and hide the genuine one. An
        // older copy that opens is held against the journal, which knows how old the header may be.
        (
            Err(refused @ (UnlockError::WrongCredential | UnlockError::NoSuchSlotKind { .. })),
            OtherCopy::Differs(other) | OtherCopy::Older(other),
        ) => open(&other).map_err(|_| refused.into()),
        (opened, _) => Ok(opened?),
    }
}

/// Says what is missing where a credential opens nothing by itself and belongs to a slot for two. Only what stands in the
/// header for everybody to read goes into it.
pub(super) fn in_full(home: &Home, credential: Credential<'_>, error: Error) -> Error {
    use UnlockError::{NoSuchSlotKind, WrongCredential};
    let (Error::Unlock(WrongCredential | NoSuchSlotKind { .. }), Ok(copies)) = (&error, home.read_header()) else {
        return error;
    };
    let kind = credential.kind();
    let needs = |slot: &Slot| {
        let SlotParams::TwoPersons(partners) = &slot.params else { return None };
        let [first, second] = &**partners;
        let partners = match (first.params.kind() == kind, second.params.kind() == kind) {
            (true, true) => vec![first.label.clone(), second.label.clone()],
            (true, false) => vec![second.label.clone()],
            (false, true) => vec![first.label.clone()],
            (false, false) => return None,
        };
        Some(Error::NeedsPartner { slot: slot.number, label: slot.label.clone(), partners })
    };
    copies.chosen.slots().iter().find_map(needs).unwrap_or(error)
}

/// The vault's id, and the key under which its state files are authenticated.
#[cfg(feature = "test-util")]
pub(crate) fn state_file_key(home: &Home, credential: Credential<'_>) -> Result<(VaultId, HmacKey), Error> {
    let opened = open_header(home, credential)?;
    Ok((opened.header.vault, kdf::state_file_mac(opened.keyring.state_key())))
}

fn opening_drafts(attempts: Option<Attempts>, found: &Opened, opening: &Opening, slot: u8) -> Vec<Draft> {
    let mut drafts = Vec::new();
    if let Some(attempts) = attempts {
        let mut draft = Draft::new(AuditEvent::UnlockFailed, Outcome::Denied);
        draft.fields.count = Some(u32::try_from(attempts.count).unwrap_or(u32::MAX));
        draft.fields.detail = Some(format!("first {}, last {}", attempts.first, attempts.last));
        drafts.push(draft);
    }
    if !found.clean || found.rebuilt.is_some() || found.set_aside.is_some() {
        let mut draft = Draft::new(AuditEvent::Recovered, Outcome::Allowed);
        draft.kind = EntryKind::Recovery;
        draft.fields.detail = Some(opening.to_string());
        drafts.push(draft);
    }
    if let Some(through) = found.compacted {
        let mut draft = Draft::new(AuditEvent::JournalCompacted, Outcome::Allowed);
        draft.fields.detail = Some(format!("interrupted, finished when opening; through frame {through}"));
        drafts.push(draft);
    }
    let mut draft = Draft::new(AuditEvent::VaultOpened, Outcome::Allowed);
    draft.fields.detail = Some(format!("slot {slot}"));
    drafts.push(draft);
    drafts
}
