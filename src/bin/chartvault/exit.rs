//! Exit codes, and which error gives which. docs/cli.md tells of them; scripts rely on them.

use std::process::ExitCode;

use chartvault::{AnchorFault, Error, HeaderFileError, LogProofError, StorageError, UnlockError};

/// How a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Code {
    /// Done, and nothing speaks against it.
    Ok,
    /// Not done.
    Error,
    /// The arguments are wrong; nothing was tried.
    Usage,
    /// A part was done, and the rest was named.
    Partly,
    /// There is no vault where one was looked for.
    NoVault,
    /// The vault is open elsewhere.
    InUse,
    /// What was shown does not open the vault, or the token is refused.
    WrongCredential,
    /// Something is not as it was written.
    Tampering,
    /// Done, with something that somebody should look at.
    Warnings,
    /// Ended by a signal; what was acknowledged stays.
    Interrupted,
}

impl Code {
    /// The number that the process ends with.
    pub const fn number(self) -> u8 {
        match self {
            Self::Ok => 0,
            Self::Error => 1,
            Self::Usage => 2,
            Self::Partly => 3,
            Self::NoVault => 10,
            Self::InUse => 11,
            Self::WrongCredential => 12,
            Self::Tampering => 20,
            Self::Warnings => 21,
            Self::Interrupted => 130,
        }
    }

    /// The word for it in JSON.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Error => "error",
            Self::Usage => "usage",
            Self::Partly => "partly-done",
            Self::NoVault => "no-vault",
            Self::InUse => "in-use",
            Self::WrongCredential => "wrong-credential",
            Self::Tampering => "tampering",
            Self::Warnings => "warnings",
            Self::Interrupted => "interrupted",
        }
    }

    /// The code of an error of the library.
    pub fn of(error: &Error) -> Self {
        match error {
            Error::Header(HeaderFileError::NotAVault { .. } | HeaderFileError::NoHeader { .. })
            | Error::Storage(StorageError::NotAVault { .. }) => Self::NoVault,
            Error::InUse { .. } | Error::Storage(StorageError::InUse { .. }) => Self::InUse,
            Error::Unlock(UnlockError::HeaderTampered | UnlockError::Header(_))
            | Error::Header(HeaderFileError::BothUnusable { .. } | HeaderFileError::DifferentVaults { .. })
            | Error::Tampered { .. }
            | Error::TamperedRow { .. }
            | Error::Missing { .. }
            | Error::Audit(_)
            | Error::RolledBack { .. }
            | Error::Forked { .. }
            | Error::Anchor(
                AnchorFault::UnknownKey { .. } | AnchorFault::NoCheckpoint { .. } | AnchorFault::Ahead { .. },
            )
            | Error::LogProof(LogProofError::OtherRoot { .. } | LogProofError::Ahead { .. })
            | Error::LogEndsBefore { .. }
            | Error::Storage(
                StorageError::Damaged { .. }
                | StorageError::JournalBehind { .. }
                | StorageError::HeaderRolledBack { .. }
                | StorageError::StateDamaged { .. }
                | StorageError::Missing { .. },
            ) => Self::Tampering,
            Error::Unlock(
                UnlockError::WrongCredential
                | UnlockError::NoSuchSlotKind { .. }
                | UnlockError::EmptyPassphrase
                | UnlockError::KeyFileOfAnotherVault { .. }
                | UnlockError::AnotherShareSet,
            )
            | Error::NeedsPartner { .. }
            | Error::Token(_)
            | Error::SessionRefused(_) => Self::WrongCredential,
            _ => Self::Error,
        }
    }
}

impl From<Code> for ExitCode {
    fn from(code: Code) -> Self {
        Self::from(code.number())
    }
}
