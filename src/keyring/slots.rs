//! Key slots in use: the key that a credential yields, and the root key that it opens.

use super::UnlockError;
use super::credential::{Credential, CredentialKind, RawKey, TwoPersons};
use super::key_file::KeyFile;
use super::provider::{self, KeyProvider, ProviderError};
use super::recovery::RecoveryKey;
use super::shares::SharedKey;
use crate::crypto::kdf::{self, RootKey, SlotKey, SlotSecret};
use crate::crypto::passphrase::{Passphrase, PassphraseCost};
use crate::crypto::pbkdf2::Pbkdf2Iterations;
use crate::crypto::seal::{FLOOR_KEY, Sealer};
use crate::format::header::{HeaderContent, UnverifiedHeader};
use crate::format::slot::{Slot, SlotKind, SlotParams};
use crate::ids::VaultId;
use crate::secret::{Key, Secret};

/// What one of the header's slots yielded, and the header confirmed.
#[derive(Debug)]
pub(crate) struct OpenedHeader<'a> {
    pub(crate) root: RootKey,
    /// Number of the slot that opened.
    pub(crate) slot: u8,
    /// Whether two persons came in the other order than the slot names them.
    pub(crate) turned: bool,
    /// The header's content, now known to be the vault's own.
    pub(crate) content: &'a HeaderContent,
}

/// Tries `credential` on each slot of its kind, and checks the whole header with the root key that comes out.
pub(crate) fn open<'a>(
    header: &'a UnverifiedHeader,
    credential: Credential<'_>,
) -> Result<OpenedHeader<'a>, UnlockError> {
    let kind = credential.kind();
    let mut failed = UnlockError::NoSuchSlotKind { kind };
    let slots = header.slots().iter().filter(|slot| slot.kind() == kind);
    // Two persons may come in either order.
    let turns: &[bool] = if kind == SlotKind::TwoPersons { &[false, true] } else { &[false] };
    for (slot, turned) in slots.flat_map(|slot| turns.iter().map(move |turned| (slot, *turned))) {
        let kek = match derive(header.vault(), &slot.params, credential, turned) {
            Some(Ok(kek)) => kek,
            Some(Err(NoKey::Empty)) => return Err(UnlockError::EmptyPassphrase),
            Some(Err(NoKey::NoMemory { memory_kib })) => {
                failed = UnlockError::OutOfMemory { memory_kib };
                continue;
            }
            Some(Err(NoKey::Provider(source))) => {
                failed = UnlockError::Provider { slot: slot.number, source };
                continue;
            }
            Some(Err(NoKey::OfAnotherVault { vault })) => return Err(UnlockError::KeyFileOfAnotherVault { vault }),
            None => continue,
        };
        if let Some(root) = open_slot(header.vault(), slot, &kek) {
            let content = header.verify(&kdf::header_mac(&root)).ok_or(UnlockError::HeaderTampered)?;
            return Ok(OpenedHeader { root, slot: slot.number, turned, content });
        }
        if !matches!(failed, UnlockError::OutOfMemory { .. } | UnlockError::Provider { .. }) {
            failed = UnlockError::WrongCredential;
        }
    }
    match failed {
        // No slot was looked at, and there are some of the kind: they are of other sets.
        UnlockError::NoSuchSlotKind { kind: SlotKind::SharedKey }
            if header.slots().iter().any(|slot| slot.kind() == kind) =>
        {
            Err(UnlockError::AnotherShareSet)
        }
        failed => Err(failed),
    }
}

fn open_slot(vault: VaultId, slot: &Slot, kek: &SlotKey) -> Option<RootKey> {
    let root = super::open_with_suite(&slot_sealer(kek), &slot.sealed_root, |suite| slot.aad(vault, suite).ok())?;
    Secret::from_slice(&root).map(Key::new)
}

pub(super) fn slot_sealer(kek: &SlotKey) -> Sealer {
    Sealer::new(kdf::slot_prk(kek), kdf::SEAL_SLOT, FLOOR_KEY)
}

/// Why a credential yields no key.
#[derive(Clone, Copy, Debug)]
pub(super) enum NoKey {
    Empty,
    NoMemory { memory_kib: u32 },
    OfAnotherVault { vault: VaultId },
    Provider(ProviderError),
}

/// What a credential yields with a slot's parameters; `None` where they are of another kind. Two persons' credentials are
/// exchanged if `turned`.
fn derive(
    vault: VaultId,
    params: &SlotParams,
    credential: Credential<'_>,
    turned: bool,
) -> Option<Result<SlotKey, NoKey>> {
    match (credential.0, params) {
        (CredentialKind::Passphrase(passphrase), SlotParams::Argon2id { cost, salt }) => {
            Some(from_passphrase(passphrase, *cost, salt))
        }
        (CredentialKind::Passphrase(passphrase), SlotParams::Pbkdf2 { iterations, salt }) => {
            Some(from_passphrase_pbkdf2(passphrase, *iterations, salt))
        }
        (CredentialKind::RecoveryKey(key), SlotParams::RecoveryKey) => Some(Ok(from_recovery_key(vault, key))),
        (CredentialKind::RawKey(key), SlotParams::RawKey) => Some(Ok(from_raw_key(vault, key))),
        (CredentialKind::KeyFile(key_file), SlotParams::KeyFile) => Some(from_key_file(vault, key_file)),
        (CredentialKind::TwoPersons(TwoPersons([one, other])), SlotParams::TwoPersons(partners)) => {
            let (one, other) = if turned { (other, one) } else { (one, other) };
            let [first, second] = &**partners;
            // Neither key is looked at before both are there: what one person brings is never judged alone.
            let first = derive(vault, &first.params, *one, false)?;
            let second = derive(vault, &second.params, *other, false)?;
            Some(first.and_then(|first| second.map(|second| kdf::joint_slot_key(vault.as_bytes(), &first, &second))))
        }
        (CredentialKind::Provider(provider), SlotParams::Provider { name, wrapped })
            if provider::is_named(provider, name) =>
        {
            Some(from_provider(vault, provider, wrapped))
        }
        (CredentialKind::SharedKey(key), SlotParams::SharedKey { set, .. }) if key.set().as_bytes() == set => {
            Some(Ok(from_shared_key(vault, key)))
        }
        _ => None,
    }
}

pub(super) fn from_passphrase(
    passphrase: &Passphrase,
    cost: PassphraseCost,
    salt: &[u8; 32],
) -> Result<SlotKey, NoKey> {
    if passphrase.is_empty() {
        return Err(NoKey::Empty);
    }
    passphrase.derive(cost, salt).ok_or(NoKey::NoMemory { memory_kib: cost.memory_kib() })
}

pub(super) fn from_passphrase_pbkdf2(
    passphrase: &Passphrase,
    iterations: Pbkdf2Iterations,
    salt: &[u8; 32],
) -> Result<SlotKey, NoKey> {
    if passphrase.is_empty() { Err(NoKey::Empty) } else { Ok(passphrase.derive_pbkdf2(iterations, salt)) }
}

pub(super) fn from_recovery_key(vault: VaultId, key: &RecoveryKey) -> SlotKey {
    kdf::slot_key(SlotSecret::Recovery, vault.as_bytes(), key.expose())
}

pub(super) fn from_raw_key(vault: VaultId, key: &RawKey) -> SlotKey {
    kdf::slot_key(SlotSecret::Raw, vault.as_bytes(), key.expose())
}

pub(super) fn from_key_file(vault: VaultId, key_file: &KeyFile) -> Result<SlotKey, NoKey> {
    if key_file.vault() != vault {
        return Err(NoKey::OfAnotherVault { vault: key_file.vault() });
    }
    Ok(kdf::slot_key(SlotSecret::KeyFile, vault.as_bytes(), key_file.expose()))
}

fn from_provider(vault: VaultId, provider: &dyn KeyProvider, wrapped: &[u8]) -> Result<SlotKey, NoKey> {
    let key = provider::unwrap(provider, vault, wrapped).map_err(NoKey::Provider)?;
    Ok(from_provided(vault, key.expose()))
}

/// The KEK of a key that a provider keeps.
pub(super) fn from_provided(vault: VaultId, key: &[u8; 32]) -> SlotKey {
    kdf::slot_key(SlotSecret::Provider, vault.as_bytes(), key)
}

pub(super) fn from_shared_key(vault: VaultId, key: &SharedKey) -> SlotKey {
    kdf::slot_key(SlotSecret::SharedKey, vault.as_bytes(), key.expose())
}

#[cfg(test)]
mod tests;
