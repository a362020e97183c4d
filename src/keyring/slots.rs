//! Key slots in use: making one for a credential, and finding the root key with one.

use super::credential::{Credential, CredentialKind, RawKey};
use super::recovery::RecoveryKey;
use super::{NewSlotError, UnlockError};
use crate::clock::Timestamp;
use crate::crypto::aead::Suite;
use crate::crypto::kdf::{self, RootKey, SlotKey, SlotSecret};
use crate::crypto::passphrase::{Passphrase, PassphraseCost};
use crate::crypto::random;
use crate::crypto::seal::{FLOOR_KEY, Sealer};
use crate::format::header::{HeaderContent, UnverifiedHeader};
use crate::format::slot::{MAX_LABEL, Slot, SlotParams, is_sound_label};
use crate::ids::VaultId;
use crate::secret::{Key, Secret};

/// What a new slot is to be, besides its credential.
#[derive(Clone, Copy, Debug)]
pub(crate) struct NewSlot<'a> {
    pub(crate) number: u8,
    pub(crate) created: Timestamp,
    /// At most 64 bytes, without control characters.
    pub(crate) label: &'a str,
    /// Used by passphrases alone.
    pub(crate) cost: PassphraseCost,
}

/// A slot that opens with `credential` and holds `root`.
pub(crate) fn create_slot(
    vault: VaultId,
    suite: Suite,
    new: NewSlot<'_>,
    credential: Credential<'_>,
    root: &RootKey,
) -> Result<Slot, NewSlotError> {
    if !is_sound_label(new.label) {
        return Err(NewSlotError::LabelNotAllowed { limit: MAX_LABEL });
    }
    let (params, derived) = match credential.0 {
        CredentialKind::Passphrase(passphrase) => {
            let (cost, salt) = (new.cost, random::array()?);
            (SlotParams::Argon2id { cost, salt }, from_passphrase(passphrase, cost, &salt))
        }
        CredentialKind::RecoveryKey(key) => (SlotParams::RecoveryKey, from_recovery_key(vault, key)),
        CredentialKind::RawKey(key) => (SlotParams::RawKey, from_raw_key(vault, key)),
    };
    let kek = match derived {
        Derived::Key(kek) => kek,
        Derived::Empty => return Err(NewSlotError::EmptyPassphrase),
        Derived::NoMemory { memory_kib } => return Err(NewSlotError::OutOfMemory { memory_kib }),
    };
    let label = new.label.to_owned();
    let mut slot = Slot { number: new.number, created: new.created, label, params, sealed_root: Vec::new() };
    let aad = slot.aad(vault, suite).map_err(|_| NewSlotError::LabelNotAllowed { limit: MAX_LABEL })?;
    slot.sealed_root = super::seal_with_suite(&slot_sealer(&kek), suite, &aad, root.expose())?;
    Ok(slot)
}

/// What one of the header's slots yielded, and the header confirmed.
#[derive(Debug)]
pub(crate) struct OpenedHeader<'a> {
    pub(crate) root: RootKey,
    /// Number of the slot that opened.
    pub(crate) slot: u8,
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
    for slot in header.slots().iter().filter(|slot| slot.kind() == kind) {
        let kek = match derive(header.vault(), &slot.params, credential) {
            Some(Derived::Key(kek)) => kek,
            Some(Derived::Empty) => return Err(UnlockError::EmptyPassphrase),
            Some(Derived::NoMemory { memory_kib }) => {
                failed = UnlockError::OutOfMemory { memory_kib };
                continue;
            }
            None => continue,
        };
        if let Some(root) = open_slot(header.vault(), slot, &kek) {
            let content = header.verify(&kdf::header_mac(&root)).ok_or(UnlockError::HeaderTampered)?;
            return Ok(OpenedHeader { root, slot: slot.number, content });
        }
        if !matches!(failed, UnlockError::OutOfMemory { .. }) {
            failed = UnlockError::WrongCredential;
        }
    }
    Err(failed)
}

fn open_slot(vault: VaultId, slot: &Slot, kek: &SlotKey) -> Option<RootKey> {
    let root = super::open_with_suite(&slot_sealer(kek), &slot.sealed_root, |suite| slot.aad(vault, suite).ok())?;
    Secret::from_slice(&root).map(Key::new)
}

fn slot_sealer(kek: &SlotKey) -> Sealer {
    Sealer::new(kdf::slot_prk(kek), kdf::SEAL_SLOT, FLOOR_KEY)
}

enum Derived {
    Key(SlotKey),
    Empty,
    NoMemory { memory_kib: u32 },
}

/// What a credential yields with a slot's parameters; `None` where they are of another kind.
fn derive(vault: VaultId, params: &SlotParams, credential: Credential<'_>) -> Option<Derived> {
    match (credential.0, params) {
        (CredentialKind::Passphrase(passphrase), SlotParams::Argon2id { cost, salt }) => {
            Some(from_passphrase(passphrase, *cost, salt))
        }
        (CredentialKind::RecoveryKey(key), SlotParams::RecoveryKey) => Some(from_recovery_key(vault, key)),
        (CredentialKind::RawKey(key), SlotParams::RawKey) => Some(from_raw_key(vault, key)),
        _ => None,
    }
}

fn from_passphrase(passphrase: &Passphrase, cost: PassphraseCost, salt: &[u8; 32]) -> Derived {
    if passphrase.is_empty() {
        return Derived::Empty;
    }
    passphrase.derive(cost, salt).map_or(Derived::NoMemory { memory_kib: cost.memory_kib() }, Derived::Key)
}

fn from_recovery_key(vault: VaultId, key: &RecoveryKey) -> Derived {
    Derived::Key(kdf::slot_key(SlotSecret::Recovery, vault.as_bytes(), key.expose()))
}

fn from_raw_key(vault: VaultId, key: &RawKey) -> Derived {
    Derived::Key(kdf::slot_key(SlotSecret::Raw, vault.as_bytes(), key.expose()))
}

#[cfg(test)]
mod tests;
