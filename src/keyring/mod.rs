//! Floor 5: the keys in use. From a header and a credential to a [`Keyring`], and from an identifier, a patient or a
//! kind to the tags and sealers that stand for them.

pub(crate) mod copies;
pub(crate) mod credential;
pub(crate) mod detached;
pub(crate) mod patient;
pub(crate) mod recovery;
pub(crate) mod slots;

mod error;
mod grouped;
mod identifier;
mod key_file;
mod new_slot;
mod provider;
mod renew;
mod shares;
pub(crate) mod signing_key;
mod slot_info;

pub use copies::{CopyFault, HeaderFileError};
pub use credential::{Credential, RawKey, TwoPersons};
pub use error::{NewSlotError, UnlockError};
pub(crate) use grouped::{bytes_of, text_of};
pub use identifier::IdentifierNotAllowed;
pub(crate) use identifier::normal_form as normal_identifier;
pub use key_file::{KeyFile, KeyFileError};
pub use new_slot::NewSlot;
pub(crate) use new_slot::{PreparedSlot, SlotPlace};
pub(crate) use patient::new_secret as new_patient_secret;
pub use provider::{KeyContext, KeyProvider, ProviderError};
pub use recovery::{InvalidRecoveryKey, RecoveryKey};
pub use shares::{InvalidShare, Share, ShareError, ShareSetId, SharedKey};
pub use slot_info::{ShareGroup, SlotInfo, SlotPartner};

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use crate::audit::AuditKeys;
use crate::bytes::Put;
use crate::crypto::aead::Suite;
use crate::crypto::hash::HmacKey;
use crate::crypto::kdf::{self, JournalKey, PatientSecret, RootKey, StateKey, WrapKey};
use crate::crypto::seal::{FLOOR_KEY, FLOOR_VALUE, SealError, Sealer};
use crate::crypto::{RandomFailed, random};
use crate::format::header::{HeaderContent, UnverifiedHeader};
use crate::format::keyring::KeyMaterial;
use crate::format::slot::Slot;
use crate::ids::{CompartmentId, KindId, PatientId, VaultId};
use crate::secret::{Key, SecretBytes};

/// All keys of an unlocked vault, with the key schedules that are needed often done once. Everything in it is wiped on
/// drop.
pub(crate) struct Keyring {
    keys: KeyMaterial,
    /// The data epoch that seals.
    sealing: u32,
    /// All audit keys, one of which seals.
    audit: Arc<AuditKeys>,
    index: HmacKey,
    lookup: HmacKey,
    policy: HmacKey,
    lookup_sealer: Sealer,
    policy_sealer: Sealer,
    /// Of the newest wrap epoch.
    wrap_sealer: Sealer,
    /// Of the wrap epochs before it.
    older_wrap_sealers: Vec<(u32, Sealer)>,
    /// Which kinds are kept in which compartment; the policy says it.
    kept_apart: Arc<BTreeMap<KindId, CompartmentId>>,
}

/// What unlocking yields.
#[derive(Debug)]
pub(crate) struct UnlockedKeyring {
    pub(crate) keyring: Keyring,
    /// Needed to write another header; to be dropped when none is to be written.
    pub(crate) root: RootKey,
    /// Number of the slot that opened.
    pub(crate) slot: u8,
    /// Whether two persons came in the other order than the slot names them.
    pub(crate) turned: bool,
    /// The verified header.
    pub(crate) header: HeaderContent,
    /// The whole of it.
    pub(crate) bytes: Vec<u8>,
}

/// A new root key.
pub(crate) fn new_root() -> Result<RootKey, RandomFailed> {
    Ok(Key::new(random::secret()?))
}

impl Keyring {
    /// New keys for a new vault.
    pub(crate) fn generate() -> Result<Self, RandomFailed> {
        KeyMaterial::generate().map(Self::new)
    }

    fn new(keys: KeyMaterial) -> Self {
        let wrap_sealer = |wrap: &WrapKey| Sealer::new(kdf::wrap_prk(wrap), kdf::SEAL_PATIENT_SECRET, FLOOR_KEY);
        let newest = keys.wrap.newest();
        let older = keys.wrap.iter().filter(|held| held.epoch != newest.epoch);
        Self {
            index: HmacKey::new(keys.index.expose()),
            lookup: HmacKey::new(keys.lookup.expose()),
            policy: HmacKey::new(keys.policy.expose()),
            lookup_sealer: Sealer::new(kdf::lookup_prk(&keys.lookup), kdf::SEAL_LOOKUP, FLOOR_VALUE),
            policy_sealer: Sealer::new(kdf::policy_prk(&keys.policy), kdf::SEAL_POLICY, FLOOR_VALUE),
            older_wrap_sealers: older.map(|held| (held.epoch, wrap_sealer(&held.key))).collect(),
            wrap_sealer: wrap_sealer(&newest.key),
            // A newer one waits until it is put in force, which the vault remembers (policy.md, table 16).
            sealing: keys.data.oldest(),
            audit: Arc::new(renew::audit_keys(&keys, keys.audit.oldest())),
            kept_apart: Arc::default(),
            keys,
        }
    }

    /// Opens a header with a credential: a slot yields the root key, which confirms the header and opens the keyring.
    pub(crate) fn open(header: &UnverifiedHeader, credential: Credential<'_>) -> Result<UnlockedKeyring, UnlockError> {
        let opened = slots::open(header, credential)?;
        let content = opened.content;
        Ok(UnlockedKeyring {
            keyring: Self::open_content(content, &opened.root)?,
            root: opened.root,
            slot: opened.slot,
            turned: opened.turned,
            header: content.clone(),
            bytes: header.to_bytes(),
        })
    }

    /// Opens the keyring of another header of the same vault, if that is under the same root key.
    #[cfg(feature = "backup")]
    pub(crate) fn open_with_root(header: &UnverifiedHeader, root: &RootKey) -> Option<(Self, HeaderContent)> {
        let content = header.verify(&kdf::header_mac(root))?;
        Some((Self::open_content(content, root).ok()?, content.clone()))
    }

    fn open_content(content: &HeaderContent, root: &RootKey) -> Result<Self, UnlockError> {
        let aad = |suite| Some(HeaderContent::keyring_aad(content.vault, content.generation, suite));
        let plaintext =
            open_with_suite(&keyring_sealer(root), &content.sealed_keyring, aad).ok_or(UnlockError::HeaderTampered)?;
        KeyMaterial::parse(&plaintext).map(Self::new).map_err(UnlockError::Keyring)
    }

    /// The whole header around this keyring, to be written by [`copies`]. `generation` is one above the last header's.
    /// The first of `suites` seals.
    pub(crate) fn new_header(
        &self,
        vault: VaultId,
        generation: u64,
        suites: &[Suite],
        mut slots: Vec<Slot>,
        root: &RootKey,
    ) -> Result<Vec<u8>, NewSlotError> {
        let suite = suites.first().copied().unwrap_or(Suite::ChaCha20Poly1305);
        let aad = HeaderContent::keyring_aad(vault, generation, suite);
        let sealed_keyring = seal_with_suite(&keyring_sealer(root), suite, &aad, &self.keys.to_bytes())?;
        slots.sort_by_key(|slot| slot.number);
        let content = HeaderContent { vault, generation, suites: suites.to_vec(), slots, sealed_keyring };
        Ok(content.encode(&kdf::header_mac(root))?)
    }

    /// A patient's name in sinks that are not to know patients.
    pub(crate) fn sink_pseudonym(&self, patient: PatientId) -> PatientId {
        kdf::sink_pseudonym(&self.index, patient)
    }

    /// Stands for a patient in storage keys.
    pub(crate) fn patient_tag(&self, patient: PatientId) -> [u8; 16] {
        kdf::patient_tag(&self.index, patient)
    }

    /// Stands for a kind in one patient's storage keys.
    pub(crate) fn kind_tag(&self, patient_tag: &[u8; 16], kind: KindId) -> [u8; 8] {
        kdf::kind_tag(&self.index, patient_tag, kind)
    }

    /// Stands for an identifier in lookup keys; see [`identifier::normalised`].
    pub(crate) fn identifier_tag(&self, system: &str, value: &str) -> Result<[u8; 16], IdentifierNotAllowed> {
        let (system, system_len) = identifier::normalised(system)?;
        let (value, value_len) = identifier::normalised(value)?;
        Ok(kdf::identifier_tag(&self.lookup, system.as_bytes(), system_len, value.as_bytes(), value_len))
    }

    /// The storage key of a policy row.
    pub(crate) fn policy_tag(&self, table: u8, id: &[u8]) -> [u8; 16] {
        kdf::policy_tag(&self.policy, table, id)
    }

    /// Seals and opens one patient's records of one data epoch, those of a compartment or those of none. `None` when there
    /// is no such epoch or compartment.
    pub(crate) fn record_sealer(
        &self,
        epoch: u32,
        patient: &PatientSecret,
        compartment: Option<CompartmentId>,
    ) -> Option<Sealer> {
        let record = kdf::record_prk(self.keys.data.get(epoch)?, patient);
        let prk = match compartment {
            None => record,
            Some(id) => kdf::compartment_prk(self.keys.compartments.get(id)?, &record),
        };
        Some(Sealer::new(prk, kdf::SEAL_RECORD, FLOOR_VALUE))
    }

    /// Which kinds are kept in which compartment.
    pub(crate) fn kept_apart(&self) -> &BTreeMap<KindId, CompartmentId> {
        &self.kept_apart
    }

    /// The data epoch that seals: the oldest that is held, unless another one was [put in force](Self::sealing_under).
    pub(crate) const fn data_epoch(&self) -> u32 {
        self.sealing
    }

    /// The wrap epoch that seals new patients' secrets, and its sealer.
    pub(crate) const fn newest_wrap_sealer(&self) -> (u32, &Sealer) {
        (self.keys.wrap.newest().epoch, &self.wrap_sealer)
    }

    /// Opens patients' secrets of one wrap epoch. `None` when there is no such epoch.
    pub(crate) fn wrap_sealer(&self, epoch: u32) -> Option<&Sealer> {
        if epoch == self.keys.wrap.newest().epoch {
            return Some(&self.wrap_sealer);
        }
        self.older_wrap_sealers.iter().find(|(held, _)| *held == epoch).map(|(_, sealer)| sealer)
    }

    pub(crate) const fn lookup_sealer(&self) -> &Sealer {
        &self.lookup_sealer
    }

    pub(crate) const fn policy_sealer(&self) -> &Sealer {
        &self.policy_sealer
    }

    /// Seals erasure ledgers, which leave the vault.
    pub(crate) fn ledger_sealer(&self) -> Sealer {
        Sealer::new(kdf::policy_prk(&self.keys.policy), kdf::SEAL_LEDGER, FLOOR_VALUE)
    }

    /// Seals the keys of signing epochs, which are kept in a file of their own.
    pub(crate) fn signing_key_sealer(&self) -> Sealer {
        Sealer::new(kdf::policy_prk(&self.keys.policy), kdf::SEAL_SIGNING_KEY, FLOOR_KEY)
    }

    /// The keys of the audit log: all of them open, and that of the oldest epoch seals, unless another one was
    /// [put in force](Self::auditing_under).
    pub(crate) const fn audit(&self) -> &Arc<AuditKeys> {
        &self.audit
    }

    /// Every key by itself.
    #[cfg(test)]
    pub(crate) fn key_bytes(&self) -> Vec<(&'static str, &[u8; 32])> {
        let KeyMaterial { data, wrap, audit, index, lookup, state, journal, policy, compartments } = &self.keys;
        let rotated = data.iter().map(|held| ("data key", held.key.expose()));
        let rotated = rotated.chain(wrap.iter().map(|held| ("wrap key", held.key.expose())));
        let rotated = rotated.chain(audit.iter().map(|held| ("audit key", held.key.expose())));
        let rotated = rotated.chain(compartments.keys().map(|key| ("compartment's key", key.expose())));
        rotated
            .chain([("index key", index.expose()), ("lookup key", lookup.expose()), ("state key", state.expose())])
            .chain([("journal key", journal.expose()), ("policy key", policy.expose())])
            .collect()
    }

    pub(crate) const fn journal_key(&self) -> &JournalKey {
        &self.keys.journal
    }

    pub(crate) const fn state_key(&self) -> &StateKey {
        &self.keys.state
    }
}

impl fmt::Debug for Keyring {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Keyring(redacted)")
    }
}

fn keyring_sealer(root: &RootKey) -> Sealer {
    Sealer::new(kdf::keyring_prk(root), kdf::SEAL_KEYRING, FLOOR_KEY)
}

/// `suite u8 ‖ seal`: how root keys and keyrings stand in a header.
fn seal_with_suite(sealer: &Sealer, suite: Suite, aad: &[u8], body: &[u8]) -> Result<Vec<u8>, SealError> {
    let mut sealed = Vec::with_capacity(1 + sealer.sealed_len(body.len()));
    sealed.put_u8(suite.code());
    sealed.put(&sealer.seal(suite, aad, body)?);
    Ok(sealed)
}

fn open_with_suite(sealer: &Sealer, sealed: &[u8], aad: impl FnOnce(Suite) -> Option<Vec<u8>>) -> Option<SecretBytes> {
    let (code, sealed) = sealed.split_first()?;
    let suite = Suite::from_code(*code)?;
    sealer.open(suite, &aad(suite)?, sealed).ok()
}

#[cfg(test)]
mod tests;
#[cfg(test)]
mod worked;
