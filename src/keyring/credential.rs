//! What opens a vault.

use std::fmt;
use std::panic::{RefUnwindSafe, UnwindSafe};

use zeroize::Zeroizing;

use super::key_file::KeyFile;
use super::provider::KeyProvider;
use super::recovery::RecoveryKey;
use super::shares::SharedKey;
use crate::crypto::passphrase::Passphrase;
use crate::crypto::{RandomFailed, random};
use crate::format::slot::SlotKind;
use crate::secret::Secret;

/// A 256-bit key that opens a vault and is kept by other means: a secret store, a key file on a separate medium.
/// It must be uniformly random; a text that a person made up is a [`Passphrase`].
///
/// ```
/// use chartvault::RawKey;
/// let key = RawKey::generate()?;
/// let same = RawKey::from_bytes(*key.expose_bytes());
/// assert_eq!(format!("{same:?}"), "RawKey(redacted)");
/// # Ok::<(), chartvault::RandomFailed>(())
/// ```
pub struct RawKey(Secret<32>);

impl RawKey {
    /// Draws a new key.
    ///
    /// # Errors
    /// [`RandomFailed`] when the operating system gives no random bytes.
    pub fn generate() -> Result<Self, RandomFailed> {
        random::secret().map(Self)
    }

    /// Takes 32 random bytes. The caller's own copy is the caller's to wipe.
    #[must_use]
    pub fn from_bytes(mut bytes: [u8; 32]) -> Self {
        Self(Secret::take(&mut bytes))
    }

    /// The 32 bytes, to be stored; this copy is wiped when it is dropped.
    #[must_use]
    pub fn expose_bytes(&self) -> Zeroizing<[u8; 32]> {
        Zeroizing::new(*self.expose())
    }

    pub(crate) fn expose(&self) -> &[u8; 32] {
        self.0.expose()
    }
}

impl fmt::Debug for RawKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RawKey(redacted)")
    }
}

/// What opens a vault: made `From` a reference to a [`Passphrase`], a [`RecoveryKey`], a [`RawKey`], a [`KeyFile`], a
/// [`SharedKey`], a [`KeyProvider`] or [`TwoPersons`], so that methods take any of them.
#[derive(Clone, Copy)]
pub struct Credential<'a>(pub(super) CredentialKind<'a>);

// What a provider does is caught where it is called, if it panics.
impl UnwindSafe for Credential<'_> {}
impl RefUnwindSafe for Credential<'_> {}

#[derive(Clone, Copy)]
pub(super) enum CredentialKind<'a> {
    Passphrase(&'a Passphrase),
    RecoveryKey(&'a RecoveryKey),
    RawKey(&'a RawKey),
    KeyFile(&'a KeyFile),
    Provider(&'a dyn KeyProvider),
    SharedKey(&'a SharedKey),
    TwoPersons(&'a TwoPersons<'a>),
}

impl<'a> Credential<'a> {
    /// What a key provider unwraps.
    ///
    /// ```
    /// # use chartvault::{Credential, KeyProvider};
    /// fn credential(server: &impl KeyProvider) -> Credential<'_> {
    ///     Credential::provider(server)
    /// }
    /// ```
    #[must_use]
    pub const fn provider(provider: &'a dyn KeyProvider) -> Self {
        Self(CredentialKind::Provider(provider))
    }

    /// Whether finding its key takes noticeable time.
    pub(crate) const fn is_costly(&self) -> bool {
        match self.0 {
            CredentialKind::Passphrase(_) => true,
            CredentialKind::TwoPersons(TwoPersons([first, second])) => first.is_costly() || second.is_costly(),
            _ => false,
        }
    }

    /// The kind of slot that it opens.
    #[must_use]
    pub const fn kind(&self) -> SlotKind {
        match self.0 {
            CredentialKind::Passphrase(_) => SlotKind::Passphrase,
            CredentialKind::RecoveryKey(_) => SlotKind::RecoveryKey,
            CredentialKind::RawKey(_) => SlotKind::RawKey,
            CredentialKind::KeyFile(_) => SlotKind::KeyFile,
            CredentialKind::Provider(_) => SlotKind::Provider,
            CredentialKind::SharedKey(_) => SlotKind::SharedKey,
            CredentialKind::TwoPersons(_) => SlotKind::TwoPersons,
        }
    }
}

impl fmt::Debug for Credential<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Credential({}, redacted)", self.kind())
    }
}

impl<'a> From<&'a Passphrase> for Credential<'a> {
    fn from(passphrase: &'a Passphrase) -> Self {
        Self(CredentialKind::Passphrase(passphrase))
    }
}

impl<'a> From<&'a RecoveryKey> for Credential<'a> {
    fn from(key: &'a RecoveryKey) -> Self {
        Self(CredentialKind::RecoveryKey(key))
    }
}

impl<'a> From<&'a RawKey> for Credential<'a> {
    fn from(key: &'a RawKey) -> Self {
        Self(CredentialKind::RawKey(key))
    }
}

impl<'a> From<&'a KeyFile> for Credential<'a> {
    fn from(key_file: &'a KeyFile) -> Self {
        Self(CredentialKind::KeyFile(key_file))
    }
}

impl<'a> From<&'a SharedKey> for Credential<'a> {
    fn from(key: &'a SharedKey) -> Self {
        Self(CredentialKind::SharedKey(key))
    }
}

/// The credentials of two persons, for a slot that needs both.
///
/// ```
/// use chartvault::{Error, NewSlot, Passphrase, PassphraseCost, RawKey, TwoPersons, Vault};
/// # let dir = tempfile::tempdir().unwrap();
/// # let path = dir.path().join("clinic.vault");
/// # let key = RawKey::generate()?;
/// # let (vault, _) = Vault::create(&path).raw_key(&key).finish()?;
/// let [chief, deputy] = ["the chief's words", "the deputy's words"].map(Passphrase::new);
/// let both = TwoPersons::new(&chief, &deputy);
/// let new = NewSlot::of(&both).label("archive").partners("chief", "deputy").kdf(PassphraseCost::MINIMUM);
/// vault.add_slot(new, &key)?;
/// vault.close()?;
/// let locked = Vault::open(&path)?;
/// assert!(matches!(locked.unlock(&chief), Err(Error::NeedsPartner { .. })));
/// let vault = locked.unlock(&TwoPersons::new(&deputy, &chief))?; // in any order
/// # Ok::<(), chartvault::Error>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct TwoPersons<'a>(pub(super) [Credential<'a>; 2]);

impl<'a> TwoPersons<'a> {
    /// Puts two credentials together, each of any kind but this one.
    #[must_use]
    pub fn new(first: impl Into<Credential<'a>>, second: impl Into<Credential<'a>>) -> Self {
        Self([first.into(), second.into()])
    }
}

impl<'a> From<&'a TwoPersons<'a>> for Credential<'a> {
    fn from(both: &'a TwoPersons<'a>) -> Self {
        Self(CredentialKind::TwoPersons(both))
    }
}

impl<'a> From<&'a dyn KeyProvider> for Credential<'a> {
    fn from(provider: &'a dyn KeyProvider) -> Self {
        Self(CredentialKind::Provider(provider))
    }
}

impl<'a> From<&'a Box<dyn KeyProvider>> for Credential<'a> {
    fn from(provider: &'a Box<dyn KeyProvider>) -> Self {
        Self::provider(&**provider)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_shows_no_secret() {
        let (raw, pass) = (RawKey::from_bytes([0xAB; 32]), Passphrase::new("abracadabra"));
        let recovery: RecoveryKey = RecoveryKey::generate().unwrap();
        let shown = format!(
            "{raw:?} {recovery:?} {:?} {:?} {:?}",
            Credential::from(&raw),
            Credential::from(&pass),
            Credential::from(&recovery)
        );
        let expected = "RawKey(redacted) RecoveryKey(redacted) Credential(raw key, redacted) \
                        Credential(passphrase, redacted) Credential(recovery key, redacted)";
        assert_eq!(shown, expected);
    }
}
