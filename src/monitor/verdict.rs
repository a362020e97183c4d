//! What comes of a flag, and why looking after flags fails.

use std::fmt;

use crate::clock::Timestamp;
use crate::ids::FlagId;

/// What came of looking at a flag.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum FlagVerdict {
    /// It was right; the log could not know.
    Explained,
    /// Somebody did what they may not.
    Misuse,
    /// It cannot be said.
    Unclear,
    /// The rule, or what the host said, was wrong: change it.
    RuleWrong,
}

impl FlagVerdict {
    /// All of them.
    pub const ALL: &'static [Self] = &[Self::Explained, Self::Misuse, Self::Unclear, Self::RuleWrong];

    pub(crate) const fn code(self) -> u8 {
        match self {
            Self::Explained => 1,
            Self::Misuse => 2,
            Self::Unclear => 3,
            Self::RuleWrong => 4,
        }
    }

    pub(crate) fn from_code(code: u8) -> Option<Self> {
        Self::ALL.iter().copied().find(|verdict| verdict.code() == code)
    }
}

impl fmt::Display for FlagVerdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Explained => "explained",
            Self::Misuse => "misuse",
            Self::Unclear => "unclear",
            Self::RuleWrong => "rule wrong",
        })
    }
}

/// Why looking after flags failed. Nothing was changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FlagError {
    /// There is no such flag.
    #[error("this vault has no {flag}; list the flags to see which there are")]
    NoSuchFlag {
        /// The flag that was asked for.
        flag: FlagId,
    },
    /// It was closed already.
    #[error("{flag} was closed at {at}; there is nothing to do")]
    Closed {
        /// The flag.
        flag: FlagId,
        /// When it was closed.
        at: Timestamp,
    },
    /// Nobody looks into a flag about themselves.
    #[error("{flag} is about the same person; somebody else has to look into it")]
    OwnFlag {
        /// The flag.
        flag: FlagId,
    },
    /// Nobody suppresses flags about themselves.
    #[error("nobody suppresses flags about themselves; have somebody else decide over it")]
    OwnSuppressor,
    /// There is no such suppressor.
    #[error("this vault has no suppressor {number}; list them to see which there are")]
    NoSuchSuppressor {
        /// The number that was asked for.
        number: u32,
    },
}
