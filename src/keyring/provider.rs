//! Keys that are wrapped elsewhere: by a key management service, a hardware security module, a TPM. The vault gives out 32
//! random bytes, keeps what comes back in a slot, and asks for the bytes again when it is unlocked.

use std::panic::{AssertUnwindSafe, catch_unwind};

use super::credential::RawKey;
use crate::format::slot::{MAX_WRAPPED, is_sound_name};
use crate::ids::VaultId;
use crate::secret::Secret;

/// Wraps and unwraps the key of a slot outside this process: a key management service, a hardware security module, a TPM.
/// [`Credential::provider`](crate::Credential::provider) makes a credential of one.
///
/// The calls are made on the thread that unlocks or changes slots, and may take as long as they like: **timeouts are the
/// provider's**. Sessions of a vault that is open go on meanwhile; other changes of its slots wait. A panic is caught and
/// is an error. `examples/provider.rs` asks another process over a pipe, with a timeout.
///
/// ```
/// use chartvault::{Credential, KeyContext, KeyProvider, NewSlot, ProviderError, RawKey, Vault};
///
/// /// No protection at all, but short.
/// struct Xor(u8);
///
/// impl KeyProvider for Xor {
///     fn name(&self) -> &str {
///         "xor"
///     }
///     fn wrap(&self, _: &KeyContext, key: &[u8; 32]) -> Result<Vec<u8>, ProviderError> {
///         Ok(key.iter().map(|byte| byte ^ self.0).collect())
///     }
///     fn unwrap(&self, _: &KeyContext, wrapped: &[u8]) -> Result<RawKey, ProviderError> {
///         let mut key: [u8; 32] = wrapped.try_into().map_err(|_| ProviderError::Garbled)?;
///         key.iter_mut().for_each(|byte| *byte ^= self.0);
///         Ok(RawKey::from_bytes(key))
///     }
/// }
///
/// # let dir = tempfile::tempdir().unwrap();
/// # let path = dir.path().join("clinic.vault");
/// # let key = RawKey::generate()?;
/// # let (vault, _) = Vault::create(&path).raw_key(&key).finish()?;
/// vault.add_slot(NewSlot::of(Credential::provider(&Xor(7))).label("server"), &key)?;
/// vault.close()?;
/// assert!(Vault::open(&path)?.unlock(Credential::provider(&Xor(8))).is_err());
/// let vault = Vault::open(&path)?.unlock(Credential::provider(&Xor(7)))?;
/// # Ok::<(), chartvault::Error>(())
/// ```
pub trait KeyProvider: Send + Sync {
    /// Tells its slots from those of other providers: 1 to 64 bytes without control characters, the same for ever. Stands
    /// in the header for everybody to read.
    fn name(&self) -> &str;

    /// Wraps a key, into 1 to 4,096 bytes that only this provider can unwrap. They stand in the header. The vault has them
    /// unwrapped again at once, and makes no slot unless the same key comes back.
    ///
    /// # Errors
    /// [`ProviderError`]: no slot is made.
    fn wrap(&self, context: &KeyContext, key: &[u8; 32]) -> Result<Vec<u8>, ProviderError>;

    /// Unwraps a key. The bytes come from the header and may be anybody's: they are not verified before.
    ///
    /// # Errors
    /// [`ProviderError`]: the slot does not open.
    fn unwrap(&self, context: &KeyContext, wrapped: &[u8]) -> Result<RawKey, ProviderError>;
}

/// What a provider may bind a wrapped key to (the encryption context of a key management service).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeyContext {
    vault: VaultId,
}

impl KeyContext {
    /// Of a vault; for tests of a provider by itself.
    #[must_use]
    pub const fn new(vault: VaultId) -> Self {
        Self { vault }
    }

    /// The vault whose key it is, as its header says.
    #[must_use]
    pub const fn vault(&self) -> VaultId {
        self.vault
    }
}

/// Why a provider gave no key. It holds no text of the moment, so that nothing secret gets into an error by accident; a
/// provider tells the rest to its own log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ProviderError {
    /// It cannot be reached.
    #[error("the key provider cannot be reached; see to it and try again")]
    Unavailable,
    /// It was reached and said no.
    #[error("the key provider refuses; see whether this machine may still use its key")]
    Refused,
    /// It took too long, by its own measure.
    #[error("the key provider did not answer in time; try again")]
    TimedOut,
    /// Its answer, or what it was asked to unwrap, is not what it must be.
    #[error(
        "the key provider does not understand, or is not understood; see whether it is the one that wrapped the key"
    )]
    Garbled,
    /// It panicked.
    #[error("the key provider panicked; this is a fault in the program, tell its makers")]
    Panicked,
    /// Something else, in words known when the program was compiled.
    #[error("the key provider failed: {0}; see its own log")]
    Other(&'static str),
}

/// Why a provider does not make a slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum WrapFault {
    Provider(ProviderError),
    Name,
    Size(usize),
    Disagrees,
}

impl From<ProviderError> for WrapFault {
    fn from(error: ProviderError) -> Self {
        Self::Provider(error)
    }
}

/// The provider's name and a key wrapped by it, which it was seen to unwrap.
pub(super) fn wrap(
    provider: &dyn KeyProvider,
    vault: VaultId,
    key: &Secret<32>,
) -> Result<(String, Vec<u8>), WrapFault> {
    let name = calling(|| Ok(provider.name().to_owned()))?;
    if !is_sound_name(&name) {
        return Err(WrapFault::Name);
    }
    let wrapped = calling(|| provider.wrap(&KeyContext::new(vault), key.expose()))?;
    if wrapped.is_empty() || wrapped.len() > MAX_WRAPPED {
        return Err(WrapFault::Size(wrapped.len()));
    }
    let back = unwrap(provider, vault, &wrapped)?;
    if !crate::crypto::hash::equal(back.expose(), key.expose()) {
        return Err(WrapFault::Disagrees);
    }
    Ok((name, wrapped))
}

pub(super) fn unwrap(provider: &dyn KeyProvider, vault: VaultId, wrapped: &[u8]) -> Result<RawKey, ProviderError> {
    calling(|| provider.unwrap(&KeyContext::new(vault), wrapped))
}

/// Whether a slot of this name is the provider's.
pub(super) fn is_named(provider: &dyn KeyProvider, name: &str) -> bool {
    calling(|| Ok(provider.name() == name)).unwrap_or(false)
}

/// What is called is not ours: its panic must not leave the vault half-way.
fn calling<T>(call: impl FnOnce() -> Result<T, ProviderError>) -> Result<T, ProviderError> {
    catch_unwind(AssertUnwindSafe(call)).unwrap_or(Err(ProviderError::Panicked))
}
