//! Why a vault does not unlock, and why a key slot cannot be made.

use super::provider::{ProviderError, WrapFault};
use crate::crypto::RandomFailed;
use crate::crypto::seal::SealError;
use crate::format::ParseError;
use crate::format::header::{HeaderError, MAX_HEADER};
use crate::format::slot::{MAX_LABEL, MAX_WRAPPED, SlotKind};
use crate::ids::VaultId;

/// Why a vault does not unlock.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum UnlockError {
    /// No slot of the credential's kind opens with it.
    #[error("the credential opens no key slot of this vault; check it and try again")]
    WrongCredential,
    /// A slot opened, but the rest of the header is not what was written with the same key.
    #[error(
        "the credential is right, but the header was changed without the vault's key; do not trust this copy: use the \
         other one, or restore the header from a backup"
    )]
    HeaderTampered,
    /// The header has no slot of the credential's kind.
    #[error("this vault has no key slot for a {kind}; use another credential")]
    NoSuchSlotKind {
        /// The kind that was looked for.
        kind: SlotKind,
    },
    /// The passphrase is empty.
    #[error("the passphrase is empty; type it in")]
    EmptyPassphrase,
    /// The memory that Argon2id needs could not be had.
    #[error(
        "{memory_kib} KiB of memory are needed to check the passphrase and cannot be had; free memory and try again"
    )]
    OutOfMemory {
        /// What the slot asks for.
        memory_kib: u32,
    },
    /// The key file was made for another vault.
    #[error("the key file belongs to {vault}; use that of this vault")]
    KeyFileOfAnotherVault {
        /// The vault that it is for.
        vault: VaultId,
    },
    /// The shared key is of a set that has no slot here.
    #[error("these shares belong to a set that opens no key slot of this vault; look for the shares of its own set")]
    AnotherShareSet,
    /// A key provider gave no key for its slot.
    #[error("key slot {slot}: {source}")]
    Provider {
        /// The slot that it was asked about.
        slot: u8,
        /// What it said.
        source: ProviderError,
    },
    /// The header cannot be used, whatever the credential.
    #[error(transparent)]
    Header(#[from] HeaderError),
    /// The header is authentic, but its keyring cannot be read by this version.
    #[error("the header is authentic, but its keyring cannot be read ({0}); use a newer version")]
    Keyring(ParseError),
}

/// Why a key slot, or a header with new slots, cannot be made. Nothing was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NewSlotError {
    /// The passphrase is empty.
    #[error("an empty passphrase protects nothing; choose one")]
    EmptyPassphrase,
    /// The label is too long or holds control characters.
    #[error("a slot's label has at most {limit} bytes and no control characters")]
    LabelNotAllowed {
        /// Most bytes of a label.
        limit: usize,
    },
    /// The memory that Argon2id needs could not be had.
    #[error("{memory_kib} KiB of memory are needed to prepare the passphrase and cannot be had; lower the cost")]
    OutOfMemory {
        /// What was asked for.
        memory_kib: u32,
    },
    /// The key file was made for another vault.
    #[error("the key file belongs to {vault}; use that of this vault")]
    KeyFileOfAnotherVault {
        /// The vault that it is for.
        vault: VaultId,
    },
    /// Two persons' credentials were put together with a third one.
    #[error("a slot takes the credentials of two persons; share a key among more of them")]
    MoreThanTwo,
    /// The key provider did not wrap the slot's key, or did not unwrap it again.
    #[error(transparent)]
    Provider {
        /// What it said.
        source: ProviderError,
    },
    /// The key provider's name is empty, too long or holds control characters.
    #[error("a key provider's name has 1 to {limit} bytes and no control characters; give it another")]
    ProviderName {
        /// Most bytes of a name.
        limit: usize,
    },
    /// The key provider's answer has a length that no slot holds.
    #[error("the key provider wrapped the key into {len} bytes; 1 to {limit} are possible: use another provider")]
    WrappedSize {
        /// Bytes that it gave.
        len: usize,
        /// The most that are possible.
        limit: usize,
    },
    /// The key provider unwrapped what it had wrapped into another key.
    #[error("the key provider unwraps another key than it wrapped; do not rely on it")]
    ProviderDisagrees,
    /// The header would break one of its limits.
    #[error(transparent)]
    Header(#[from] HeaderError),
    /// No random bytes.
    #[error(transparent)]
    Random(#[from] RandomFailed),
}

impl From<SealError> for NewSlotError {
    fn from(error: SealError) -> Self {
        match error {
            SealError::Random => Self::Random(RandomFailed),
            SealError::TooLarge => Self::Header(HeaderError::TooLarge { len: usize::MAX, limit: MAX_HEADER }),
        }
    }
}

impl From<WrapFault> for NewSlotError {
    fn from(fault: WrapFault) -> Self {
        match fault {
            WrapFault::Provider(source) => Self::Provider { source },
            WrapFault::Name => Self::ProviderName { limit: MAX_LABEL },
            WrapFault::Size(len) => Self::WrappedSize { len, limit: MAX_WRAPPED },
            WrapFault::Disagrees => Self::ProviderDisagrees,
        }
    }
}
