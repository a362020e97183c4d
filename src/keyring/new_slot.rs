//! Making key slots: what one is to be, the key that its credential yields, and the root key sealed under it.

use super::NewSlotError;
use super::credential::{Credential, CredentialKind, TwoPersons};
use super::provider;
use super::slots::{
    NoKey, from_key_file, from_passphrase, from_passphrase_pbkdf2, from_provided, from_raw_key, from_recovery_key,
    from_shared_key, slot_sealer,
};
use crate::clock::Timestamp;
use crate::crypto::aead::Suite;
use crate::crypto::kdf::{self, RootKey, SlotKey};
use crate::crypto::kdf_parameters::KdfParameters;
use crate::crypto::random;
use crate::format::slot::{MAX_LABEL, Partner, Slot, SlotKind, SlotParams, is_sound_label};
use crate::ids::VaultId;

/// A key slot about to be made: the credential that is to open it, and what is said about it.
///
/// ```
/// use chartvault::{NewSlot, Passphrase, PassphraseCost, RawKey, Vault};
/// # let dir = tempfile::tempdir().unwrap();
/// # let path = dir.path().join("clinic.vault");
/// # let key = RawKey::generate()?;
/// # let (vault, _) = Vault::create(&path).raw_key(&key).finish()?;
/// let night = Passphrase::new("four words for the night shift");
/// let new = NewSlot::of(&night).label("night desk").kdf(PassphraseCost::MINIMUM);
/// let number = vault.add_slot(new, &key)?;
/// assert_eq!(vault.slots()?.last().unwrap().label, "night desk");
/// vault.remove_slot(number, &key)?;
/// # Ok::<(), chartvault::Error>(())
/// ```
#[derive(Clone, Copy, Debug)]
#[must_use = "a slot is made by the vault"]
pub struct NewSlot<'a> {
    credential: Credential<'a>,
    label: Option<&'a str>,
    partners: [&'a str; 2],
    kdf: KdfParameters,
}

impl<'a> NewSlot<'a> {
    /// A slot that this credential opens.
    pub fn of(credential: impl Into<Credential<'a>>) -> Self {
        Self { credential: credential.into(), label: None, partners: [""; 2], kdf: KdfParameters::default() }
    }

    /// What the slot is called, at most 64 bytes and no control characters. It stands in the header for everybody to
    /// read. If not called: as the slot that is replaced, else nothing.
    pub const fn label(mut self, label: &'a str) -> Self {
        self.label = Some(label);
        self
    }

    /// What the two credentials of [`TwoPersons`] are called, in their order, each as [`NewSlot::label`]; nothing if not
    /// called. Without meaning for other credentials.
    pub const fn partners(mut self, first: &'a str, second: &'a str) -> Self {
        self.partners = [first, second];
        self
    }

    /// How a passphrase becomes the slot's key; [`KdfParameters::default`] if not called. Without meaning for other
    /// credentials.
    pub fn kdf(mut self, kdf: impl Into<KdfParameters>) -> Self {
        self.kdf = kdf.into();
        self
    }

    pub(crate) fn given_label(&self) -> Option<&'a str> {
        self.label
    }

    /// Whether finding the key takes noticeable time.
    pub(crate) const fn is_costly(&self) -> bool {
        self.credential.is_costly()
    }

    /// Refuses a label before anything is computed.
    pub(crate) fn check(&self) -> Result<(), NewSlotError> {
        let labels = self.partners.into_iter().chain(self.label);
        if !labels.into_iter().all(is_sound_label) {
            return Err(NewSlotError::LabelNotAllowed { limit: MAX_LABEL });
        }
        let nested = |credential: &Credential<'_>| credential.kind() == SlotKind::TwoPersons;
        match self.credential.0 {
            CredentialKind::TwoPersons(TwoPersons(both)) if both.iter().any(nested) => Err(NewSlotError::MoreThanTwo),
            _ => Ok(()),
        }
    }

    /// Draws what is random about the slot and derives its key: the part that takes time.
    pub(crate) fn prepare(&self, vault: VaultId) -> Result<PreparedSlot, NewSlotError> {
        self.check()?;
        self.key_of(self.credential, vault)
    }

    fn key_of(&self, credential: Credential<'_>, vault: VaultId) -> Result<PreparedSlot, NewSlotError> {
        let (params, derived) = match (credential.0, self.kdf) {
            (CredentialKind::Passphrase(passphrase), KdfParameters::Argon2id(cost)) => {
                let salt = random::array()?;
                (SlotParams::Argon2id { cost, salt }, from_passphrase(passphrase, cost, &salt))
            }
            (CredentialKind::Passphrase(passphrase), KdfParameters::Pbkdf2(iterations)) => {
                let salt = random::array()?;
                let derived = from_passphrase_pbkdf2(passphrase, iterations, &salt);
                (SlotParams::Pbkdf2 { iterations, salt }, derived)
            }
            (CredentialKind::RecoveryKey(key), _) => (SlotParams::RecoveryKey, Ok(from_recovery_key(vault, key))),
            (CredentialKind::RawKey(key), _) => (SlotParams::RawKey, Ok(from_raw_key(vault, key))),
            (CredentialKind::KeyFile(key_file), _) => (SlotParams::KeyFile, from_key_file(vault, key_file)),
            (CredentialKind::Provider(provider), _) => {
                let key = random::secret()?;
                let (name, wrapped) = provider::wrap(provider, vault, &key)?;
                (SlotParams::Provider { name, wrapped }, Ok(from_provided(vault, key.expose())))
            }
            (CredentialKind::TwoPersons(TwoPersons([first, second])), _) => {
                let (first, second) = (self.key_of(*first, vault)?, self.key_of(*second, vault)?);
                let kek = kdf::joint_slot_key(vault.as_bytes(), &first.kek, &second.kek);
                let partner = |label: &str, params| Partner { label: label.to_owned(), params };
                let [one, other] = self.partners;
                let partners = [partner(one, first.params), partner(other, second.params)];
                (SlotParams::TwoPersons(Box::new(partners)), Ok(kek))
            }
            (CredentialKind::SharedKey(key), _) => {
                let (needed, of) = key.threshold();
                let params = SlotParams::SharedKey { set: *key.set().as_bytes(), needed, of };
                (params, Ok(from_shared_key(vault, key)))
            }
        };
        let kek = derived.map_err(|failed| match failed {
            NoKey::Empty => NewSlotError::EmptyPassphrase,
            NoKey::OfAnotherVault { vault } => NewSlotError::KeyFileOfAnotherVault { vault },
            NoKey::Provider(source) => NewSlotError::Provider { source },
            NoKey::NoMemory { memory_kib } => NewSlotError::OutOfMemory { memory_kib },
        })?;
        Ok(PreparedSlot { params, kek })
    }
}

/// Where a slot stands and what is said about it.
#[derive(Clone, Debug)]
pub(crate) struct SlotPlace {
    pub(crate) number: u8,
    pub(crate) created: Timestamp,
    /// At most 64 bytes, without control characters.
    pub(crate) label: String,
}

/// The key of a slot to come.
#[derive(Debug)]
pub(crate) struct PreparedSlot {
    params: SlotParams,
    kek: SlotKey,
}

impl PreparedSlot {
    /// The slot, which holds `root`.
    pub(crate) fn seal(
        self,
        vault: VaultId,
        suite: Suite,
        place: SlotPlace,
        root: &RootKey,
    ) -> Result<Slot, NewSlotError> {
        let SlotPlace { number, created, label } = place;
        let mut slot = Slot { number, created, label, params: self.params, sealed_root: Vec::new() };
        let aad = slot.aad(vault, suite).map_err(|_| NewSlotError::LabelNotAllowed { limit: MAX_LABEL })?;
        slot.sealed_root = super::seal_with_suite(&slot_sealer(&self.kek), suite, &aad, root.expose())?;
        Ok(slot)
    }
}
