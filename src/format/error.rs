//! What can be wrong with the form of stored bytes.

/// Stored bytes that do not have the form their format prescribes. Offsets count bytes from the start of the item.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ParseError {
    /// The bytes end inside a field.
    #[error("the bytes end at {offset}, inside the field `{field}`")]
    CutShort {
        /// The field that could not be read.
        field: &'static str,
        /// Where that field begins.
        offset: usize,
    },
    /// Bytes go on after the last field.
    #[error("bytes go on at {offset}, after the last field")]
    Trailing {
        /// Where the item should have ended.
        offset: usize,
    },
    /// A field holds what the format does not allow there: a reserved bit, a value outside its bounds, a wrong order.
    #[error("the field `{field}` at {offset} holds a value that the format does not allow")]
    BadValue {
        /// The field.
        field: &'static str,
        /// Where it begins.
        offset: usize,
    },
    /// Written by a newer version of the library.
    #[error("format {found} is newer than {newest}, the newest this version can read; use a newer version")]
    UnknownFormat {
        /// The format number found.
        found: u16,
        /// The newest that can be read.
        newest: u16,
    },
    /// Sealed with a suite that this version does not know.
    #[error("suite {found} is not known to this version; use a newer version")]
    UnknownSuite {
        /// The suite code found.
        found: u8,
    },
}
