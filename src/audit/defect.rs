//! What can be wrong with the bytes of one entry.

use crate::bytes::Truncated;

/// Why bytes are not an audit entry, or the payload inside one is not readable.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum EntryDefect {
    /// The bytes end before the entry does.
    #[error("the bytes end too early")]
    Truncated,
    /// Bytes follow after the end of the entry.
    #[error("bytes follow after its end")]
    Trailing,
    /// It does not begin with `CVA1`.
    #[error("it does not begin with CVA1")]
    Magic,
    /// Its kind byte is none that this version knows.
    #[error("its kind byte {0} is unknown")]
    UnknownKind(u8),
    /// A reserved flag is set.
    #[error("a reserved flag is set")]
    ReservedFlag,
    /// Its suite code is none that this version knows.
    #[error("its suite code {0} is unknown")]
    UnknownSuite(u8),
    /// The first entry is not the genesis entry, has something before it, or a later entry claims to be the genesis.
    #[error("the genesis entry must be the first one, and it alone")]
    Genesis,
    /// The length of its ciphertext is none that padding gives.
    #[error("its ciphertext has a length that padding never gives")]
    Size,
    /// A payload field does not ascend from the one before.
    #[error("payload field {0:#06x} is out of order")]
    FieldOrder(u16),
    /// A payload field that must be understood is not known: a newer version wrote it.
    #[error("payload field {0:#06x} is unknown and must not be ignored; a newer version wrote it")]
    UnknownField(u16),
    /// A payload field's value has a wrong length or a value outside its bounds.
    #[error("payload field {0:#06x} has a wrong value")]
    FieldValue(u16),
    /// A mandatory payload field is missing.
    #[error("payload field {0:#06x} is missing")]
    MissingField(u16),
}

impl From<Truncated> for EntryDefect {
    fn from(_: Truncated) -> Self {
        Self::Truncated
    }
}
