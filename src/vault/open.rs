//! Opening and unlocking a vault.

use std::fmt;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use super::attempts::Attempts;
use super::opening::MissingReads;
use super::{Home, Opening, Options, Vault, operate};
use crate::audit::{AuditEvent, AuditKeys, Chain, Draft, EntryKind, EntryRef, Head, Outcome};
use crate::audit::{AuditFault, FaultKind};
use crate::clock::Clock;
use crate::committer::{Committer, Stripes};
use crate::crypto::aead::Suite;
#[cfg(feature = "test-util")]
use crate::crypto::{hash::HmacKey, kdf};
use crate::error::Error;
use crate::format::header::UnverifiedHeader;
use crate::ids::VaultId;
use crate::keyring::copies::OtherCopy;
use crate::keyring::{Credential, Keyring, UnlockError, UnlockedKeyring};
use crate::observe;
use crate::policy::{Policy, PolicyRow};
use crate::progress::OnProgress;
use crate::record::Types;
use crate::secret::wipe_stack;
use crate::storage::{Opened, Storage, StorageKeys};
use crate::unlocked::{Bodies, Challenges, DirLock, HeldHeader, InForce, Latest, Numbers, Unlocked};

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
        LockedVault::at(Home::Dir(path.as_ref().to_owned()), options)
    }
}

impl LockedVault {
    pub(crate) fn at(home: Home, options: Options) -> Result<Self, Error> {
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
    /// trees, [`Error::Audit`] when the log's newest entry is not sound, [`Error::Header`], [`Error::Io`],
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
        let opened = operate(AuditEvent::VaultOpened, || self.unlock_and_assemble(credential.into(), progress));
        wipe_stack();
        opened
    }

    fn unlock_and_assemble(&self, credential: Credential<'_>, progress: OnProgress<'_>) -> Result<Vault, Error> {
        let mut held = self.lock.lock().unwrap_or_else(PoisonError::into_inner);
        let lock = match held.take() {
            Some(lock) => lock,
            // A vault unlocked from here took the lock along; it is free again once that vault is closed.
            None => self.home.lock()?,
        };
        match self.unlock_keyring(credential) {
            Ok(keyring) => {
                let vault = self.assemble(keyring, lock, &mut *progress)?;
                vault.go_on_erasing(credential, progress);
                Ok(vault)
            }
            Err(error) => {
                *held = Some(lock);
                Err(error)
            }
        }
    }

    fn unlock_keyring(&self, credential: Credential<'_>) -> Result<UnlockedKeyring, Error> {
        match open_header(&self.home, credential) {
            Err(Error::Unlock(UnlockError::WrongCredential)) => {
                let now = self.options.clock.now();
                self.home.count_attempt(now)?;
                Err(UnlockError::WrongCredential.into())
            }
            other => other,
        }
    }

    fn assemble(&self, opened: UnlockedKeyring, lock: DirLock, progress: OnProgress<'_>) -> Result<Vault, Error> {
        let UnlockedKeyring { keyring, slot, header, root } = opened;
        let suite = header.suites.first().copied().unwrap_or(Suite::ChaCha20Poly1305);
        let (vault, mut held) = (header.vault, HeldHeader { generation: header.generation, slots: header.slots });
        let keys = storage_keys(&keyring);
        let (storage, found) = self.home.open_storage(vault, keys, self.options.storage, held.generation, progress)?;
        if self.home.read_header()?.other != OtherCopy::Same {
            held.generation += 1;
            let slots = held.slots.clone();
            let repaired = keyring.new_header(vault, held.generation, &header.suites, slots, &root)?;
            self.home.write_header(&repaired)?;
        }
        drop(root);
        let head = newest(&*storage, vault)?;
        let clock = Arc::clone(&self.options.clock);
        let chain = Chain::new(vault, Some(head));
        let record_cache = self.options.record_cache;
        let created = held.slots.iter().find(|held| held.number == slot).map(|slot| slot.created);
        let parts = Parts { vault, suite, clock, keyring, header: held, lock, chain, record_cache };
        let unlocked = assemble(parts, storage)?;
        unlocked.load_policy()?;
        let attempts = self.home.attempts();
        let missing_reads = MissingReads::of(&found, unlocked.policy.read_audit(), head.seq);
        let opening = Opening::of(&found, missing_reads);
        let used = created.map(|created| PolicyRow::SlotUse { slot, created, used: unlocked.clock.now() });
        let rows = used.iter().map(|row| unlocked.policy_row(row)).collect::<Result<_, _>>()?;
        unlocked.commit(rows, opening_drafts(attempts, &found, &opening, slot))?;
        if let Some(used) = used {
            unlocked.policy.apply(used);
        }
        if let Some(through) = found.compacted {
            // Not before its entry is durable.
            unlocked.committer.storage().remove_compacted(through)?;
        }
        self.home.clear_attempts()?;
        observe::opened(found.clean, found.replayed_frames, opening.torn_bytes, found.rebuilt);
        Vault::new(self.home.clone(), unlocked, opening, &self.options)
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

/// The vault's id, and the key under which its state files are authenticated.
#[cfg(feature = "test-util")]
pub(crate) fn state_file_key(home: &Home, credential: Credential<'_>) -> Result<(VaultId, HmacKey), Error> {
    let opened = open_header(home, credential)?;
    Ok((opened.header.vault, kdf::state_file_mac(opened.keyring.state_key())))
}

/// The newest entry of a log that was opened: every vault has its genesis entry at least.
pub(super) fn newest(storage: &dyn Storage, vault: VaultId) -> Result<Head, Error> {
    let seq = storage.head().entries.saturating_sub(1);
    let fault = |what| AuditFault { seq, what };
    let last = storage.last_entry().ok_or_else(|| fault(FaultKind::TruncatedTail { last: seq }))?;
    let entry = EntryRef::parse(&last).map_err(|defect| fault(FaultKind::Malformed(defect)))?;
    if entry.front.vault != vault {
        return Err(fault(FaultKind::WrongVault { found: entry.front.vault }).into());
    }
    if entry.front.seq != seq {
        return Err(fault(FaultKind::Reordered { found: entry.front.seq }).into());
    }
    Ok(Head::of(&entry))
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

/// What an unlocked vault is put together from.
pub(super) struct Parts {
    pub(super) vault: VaultId,
    pub(super) suite: Suite,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) keyring: Keyring,
    pub(super) header: HeldHeader,
    pub(super) lock: DirLock,
    pub(super) chain: Chain,
    /// Bytes of opened records to keep.
    pub(super) record_cache: u64,
}

pub(super) fn assemble(parts: Parts, storage: Arc<dyn Storage>) -> Result<Unlocked, Error> {
    let Parts { vault, suite, clock, keyring, header, lock, chain, record_cache } = parts;
    let (epoch, key) = keyring.newest_audit_key();
    let keys = || AuditKeys::new(epoch, FIRST_AUDIT_KEY, key.duplicate());
    let committer = Committer::new(storage, suite, Arc::clone(&clock), header.generation, chain, keys());
    let audit = keys();
    let (stripes, policy, types) = (Stripes::new(), Policy::default(), Mutex::new(Types::default()));
    let (holders, latest, choosing, challenges) =
        (Mutex::default(), Latest::new(), Mutex::default(), Challenges::default());
    Ok(Unlocked {
        vault,
        clock,
        latest,
        in_force: InForce::new(keyring),
        audit,
        committer,
        stripes,
        policy,
        challenges,
        numbers: Numbers::default(),
        bodies: Bodies::new(record_cache),
        types,
        header: Mutex::new(header),
        changing: Mutex::default(),
        rotating: Mutex::default(),
        choosing,
        holders,
        lock,
    })
}

/// Number of the signing key; there is one until checkpoints are signed.
pub(super) const FIRST_AUDIT_KEY: u32 = 1;

pub(super) fn storage_keys(keyring: &Keyring) -> StorageKeys {
    StorageKeys { journal: keyring.journal_key().duplicate(), state: keyring.state_key().duplicate() }
}
