//! Values ⇄ bytes. Codec 1 is bincode 1.3.3, which does not describe itself: the bytes are decoded only as the type
//! whose version and shape they carry (docs/format.md, "Values").

use bincode::{ErrorKind, Options};
use zeroize::Zeroizing;

use super::past::UpgradeReason;
use super::{MAX_REASON, MAX_VALUE, Record};
use crate::ids::KindId;
use crate::secret::SecretBytes;

/// A value of codec 1 as it is stored.
#[derive(Clone, Copy)]
pub(crate) struct Stored<'a> {
    pub(super) version: u16,
    pub(super) shape: [u8; 8],
    bytes: &'a [u8],
}

/// How the bytes of a value were made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Coding {
    /// By codec 1, from a type of this version and shape.
    Typed { version: u16, shape: [u8; 8] },
    /// Codec 2: kept as they came.
    Verbatim,
}

impl Coding {
    /// What values of `T` are written with.
    pub(crate) const fn of<T: Record>() -> Self {
        Self::Typed { version: T::VERSION, shape: T::SHAPE.to_bytes() }
    }
}

/// A value that cannot be stored. Nothing was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum EncodeError {
    /// Larger than [`MAX_VALUE`] once encoded.
    #[error("the value takes {len} bytes and may take {limit}; split it, or keep large attachments outside the vault")]
    TooLarge {
        /// Its length in bytes.
        len: usize,
        /// The limit in bytes.
        limit: usize,
    },
    /// Longer than [`MAX_REASON`].
    #[error("the reason takes {len} bytes and may take {limit}")]
    ReasonTooLong {
        /// Its length in bytes.
        len: usize,
        /// The limit in bytes.
        limit: usize,
    },
    /// The type's `Serialize` gave up.
    #[error("the value of kind `{kind}` cannot be written: {reason}")]
    Refused {
        /// Kind of the value.
        kind: &'static str,
        /// What was wrong, without any content.
        reason: &'static str,
    },
    /// What was written cannot be read back.
    #[error("values of kind `{kind}` can be written but not read back ({reason}); mend Serialize and Deserialize")]
    NotReadBack {
        /// Kind of the value.
        kind: &'static str,
        /// What was wrong, without any content.
        reason: &'static str,
    },
    /// Two types of the program have the same kind and version, and different shapes.
    #[error(
        "version {version} of kind `{kind}` is declared by `{first}` and, with another shape, by `{second}`; \
         give one of them another version, or another kind"
    )]
    DeclaredTwice {
        /// Kind of both.
        kind: &'static str,
        /// Version of both.
        version: u16,
        /// The type that was used first.
        first: &'static str,
        /// The type that was refused.
        second: &'static str,
    },
    /// Read back and written again, the bytes are others.
    #[error("values of kind `{kind}` change when read back and written again; mend Serialize and Deserialize")]
    NotRepeatable {
        /// Kind of the value.
        kind: &'static str,
    },
}

/// A stored value that cannot be had as the type asked for. The stored bytes are authentic.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DecodeError {
    /// Written in a version above the newest that this program declares.
    #[error("kind `{kind}` was written in version {found}, this program knows up to {newest}; update the program")]
    NewerRecord {
        /// Kind asked for.
        kind: &'static str,
        /// Version of the stored value.
        found: u16,
        /// Version of the type at hand.
        newest: u16,
    },
    /// Written in a version below the oldest that this program declares.
    #[error(
        "kind `{kind}` was written in version {found}, this program knows from {oldest} on; \
         declare the older types with `previous = …`"
    )]
    OlderRecord {
        /// Kind asked for.
        kind: &'static str,
        /// Version of the stored value.
        found: u16,
        /// The oldest version at hand.
        oldest: u16,
    },
    /// The version is declared, but by a type of another shape: it was changed without a new version.
    #[error(
        "kind `{kind}` was written in version {version} with shape {:016x}, but this program declares that version with \
         another shape; undo the change to the type and make it in a new version",
        u64::from_be_bytes(*.shape)
    )]
    UnknownShape {
        /// Kind asked for.
        kind: &'static str,
        /// Version of the stored value.
        version: u16,
        /// Shape of the stored value.
        shape: [u8; 8],
    },
    /// A value of an older version has no successor in the next. It is stored as it was, and the older type still reads it.
    #[error(
        "kind `{kind}`, written in version {stored}, cannot be upgraded from version {from} to {to}: {reason}; \
         read it as the older type and amend the record"
    )]
    Upgrade {
        /// Kind asked for.
        kind: &'static str,
        /// Version of the stored value.
        stored: u16,
        /// Where the step that failed begins.
        from: u16,
        /// Where it ends.
        to: u16,
        /// What `TryFrom` said.
        #[source]
        reason: UpgradeReason,
    },
    /// A value of another kind.
    #[error("the record holds {found}, not {wanted}")]
    OtherKind {
        /// Kind of the stored value.
        found: KindId,
        /// Kind asked for.
        wanted: KindId,
    },
    /// Verbatim bytes, asked for as a type.
    #[error("the record of kind `{kind}` holds verbatim bytes; read them as such")]
    Verbatim {
        /// Kind asked for.
        kind: &'static str,
    },
    /// A typed value, asked for as verbatim bytes.
    #[error("the record of {kind} holds a typed value; read it as its type")]
    NotVerbatim {
        /// Kind of the stored value.
        kind: KindId,
    },
    /// Larger than [`MAX_VALUE`].
    #[error("the value takes {len} bytes and may take {limit}")]
    TooLarge {
        /// Its length in bytes.
        len: usize,
        /// The limit in bytes.
        limit: usize,
    },
    /// Version and shape fit, the bytes do not.
    #[error("the value does not follow the shape of kind `{kind}`: {reason}")]
    Malformed {
        /// Kind asked for.
        kind: &'static str,
        /// What was wrong, without any content.
        reason: &'static str,
    },
}

fn codec_1() -> impl Options {
    bincode::DefaultOptions::new().with_fixint_encoding().with_little_endian().reject_trailing_bytes()
}

/// The bytes of a value, in a buffer which never moved, so that no copy stays behind.
pub(crate) fn encode<T: Record>(value: &T) -> Result<SecretBytes, EncodeError> {
    let refused = |error: bincode::Error| EncodeError::Refused { kind: T::KIND, reason: reason(&error) };
    let len = usize::try_from(codec_1().serialized_size(value).map_err(refused)?).unwrap_or(usize::MAX);
    check_value_len(len).map_err(|limit| EncodeError::TooLarge { len, limit })?;
    let mut bytes = Zeroizing::new(Vec::with_capacity(len));
    codec_1().serialize_into(&mut *bytes, value).map_err(refused)?;
    if bytes.len() != len {
        return Err(EncodeError::NotRepeatable { kind: T::KIND });
    }
    Ok(bytes)
}

/// The value that the bytes hold, if `T` or one of its earlier versions wrote them.
pub(crate) fn decode<T: Record>(coding: Coding, bytes: &[u8]) -> Result<T, DecodeError> {
    check_not_newer::<T>(coding)?;
    let Coding::Typed { version, shape } = coding else {
        return Err(DecodeError::Verbatim { kind: T::KIND });
    };
    read(&Stored { version, shape, bytes })
}

/// Refuses values of a version above that of `T`: whoever does not know all that one says must not replace it either.
pub(super) const fn check_not_newer<T: Record>(coding: Coding) -> Result<(), DecodeError> {
    match coding {
        Coding::Typed { version, .. } if version > T::VERSION => {
            Err(DecodeError::NewerRecord { kind: T::KIND, found: version, newest: T::VERSION })
        }
        _ => Ok(()),
    }
}

/// Decodes bytes as the one type that has their version and shape, and brings the value up to `T`.
pub(super) fn read<T: Record>(stored: &Stored<'_>) -> Result<T, DecodeError> {
    let (kind, Stored { version, shape, bytes }) = (T::KIND, *stored);
    if version < T::VERSION {
        return (T::PAST.read)(stored);
    }
    if version > T::VERSION || shape != T::SHAPE.to_bytes() {
        return Err(DecodeError::UnknownShape { kind, version, shape });
    }
    // The length is bounded here: bincode ignores its own limit when it reads from a slice.
    check_value_len(bytes.len()).map_err(|limit| DecodeError::TooLarge { len: bytes.len(), limit })?;
    codec_1().deserialize(bytes).map_err(|error| DecodeError::Malformed { kind, reason: reason(&error) })
}

/// Encodes a value as [`encode`] does, after showing that it can be read back and then written to the same bytes.
pub(crate) fn prove_round_trip<T: Record>(value: &T) -> Result<SecretBytes, EncodeError> {
    let kind = T::KIND;
    let bytes = encode(value)?;
    let back: T = decode(Coding::of::<T>(), &bytes).map_err(|error| match error {
        DecodeError::Malformed { reason, .. } => EncodeError::NotReadBack { kind, reason },
        _ => EncodeError::NotReadBack { kind, reason: "it has another version, shape or length" },
    })?;
    match encode(&back) {
        Ok(again) if *again == *bytes => Ok(bytes),
        _ => Err(EncodeError::NotRepeatable { kind }),
    }
}

/// Refuses a value that is too large, before anything is done with it.
pub(crate) const fn check_len(len: usize) -> Result<(), EncodeError> {
    match check_value_len(len) {
        Ok(()) => Ok(()),
        Err(limit) => Err(EncodeError::TooLarge { len, limit }),
    }
}

/// The limit, where `len` is over it.
pub(super) const fn check_value_len(len: usize) -> Result<(), usize> {
    if len > MAX_VALUE { Err(MAX_VALUE) } else { Ok(()) }
}

pub(super) const fn check_reason_len(len: usize) -> Result<(), usize> {
    if len > MAX_REASON { Err(MAX_REASON) } else { Ok(()) }
}

/// What bincode found, never in serde's own words: those can quote the value.
const fn reason(error: &ErrorKind) -> &'static str {
    match error {
        ErrorKind::Io(_) => "the bytes end too early",
        ErrorKind::InvalidUtf8Encoding(_) => "a text is not UTF-8",
        ErrorKind::InvalidBoolEncoding(_) => "a bool is neither 0 nor 1",
        ErrorKind::InvalidCharEncoding => "a char is not UTF-8",
        ErrorKind::InvalidTagEncoding(_) => "an option is neither 0 nor 1",
        ErrorKind::DeserializeAnyNotSupported => "Deserialize asks for a format that describes itself",
        ErrorKind::SizeLimit => "a length is too large",
        ErrorKind::SequenceMustHaveLength => "Serialize does not say beforehand how many items or fields there are",
        ErrorKind::Custom(_) => "an item was refused, or bytes are left over",
    }
}

#[cfg(test)]
#[path = "codec_tests.rs"]
mod tests;
