//! What opens a vault.

use std::fmt;

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
/// [`SharedKey`] or a [`KeyProvider`], so that methods take any of them.
#[derive(Clone, Copy)]
pub struct Credential<'a>(pub(super) CredentialKind<'a>);

#[derive(Clone, Copy)]
pub(super) enum CredentialKind<'a> {
    Passphrase(&'a Passphrase),
    RecoveryKey(&'a RecoveryKey),
    RawKey(&'a RawKey),
    KeyFile(&'a KeyFile),
    Provider(&'a dyn KeyProvider),
    SharedKey(&'a SharedKey),
}

impl Credential<'_> {
    /// Whether finding its key takes noticeable time.
    pub(crate) const fn is_costly(&self) -> bool {
        matches!(self.0, CredentialKind::Passphrase(_))
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

impl<'a, P: KeyProvider> From<&'a P> for Credential<'a> {
    fn from(provider: &'a P) -> Self {
        Self(CredentialKind::Provider(provider))
    }
}

impl<'a> From<&'a dyn KeyProvider> for Credential<'a> {
    fn from(provider: &'a dyn KeyProvider) -> Self {
        Self(CredentialKind::Provider(provider))
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
