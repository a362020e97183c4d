//! Floor 2: records. What a record is, how its type is recognised again years later, and how its value becomes bytes.
//! Knows no keys and no storage.

pub(crate) mod body;
pub(crate) mod codec;
pub(crate) mod entry;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzzing;
pub(crate) mod id;
pub(crate) mod kind;
pub(crate) mod labels;
pub(crate) mod past;
pub(crate) mod shape;
mod shaped;
#[cfg(test)]
pub(crate) mod test_types;
pub(crate) mod types;

use serde::Serialize;
use serde::de::DeserializeOwned;

pub(crate) use body::Body;
pub(crate) use codec::{Coding, check_len as check_value, encode, prove_round_trip};
pub(crate) use past::Past;
pub(crate) use types::Types;

pub use body::Status;
pub use codec::{DecodeError, EncodeError};
pub use entry::{Entry, VerbatimEntry};
pub use id::{RecordId, RecordRef, Version, WrongKind};
pub use kind::{InvalidKind, Kind};
pub use labels::{InvalidLabels, Labels};
pub use past::{NoPrevious, UpgradeReason};
pub use shape::Shape;
pub use shaped::Shaped;

/// The largest value of a record once encoded, in bytes: 1 MiB. The smallest is 0.
pub const MAX_VALUE: usize = 1 << 20;

/// The longest reason for an amendment or a void, in bytes of UTF-8.
pub const MAX_REASON: usize = 1024;

/// A type whose values are kept in charts. Always derived, never written by hand: `#[derive(Record)]`.
///
/// A record has a kind (1 to 64 of `A-Z a-z 0-9 . _ -`, such as `allergy` or FHIR's `Observation`) and a version
/// (1 to 65,535), which is raised whenever the type changes. Stored values carry the version and the
/// [shape](Shaped) of the type that wrote them, so that bytes of another type are refused and never misread.
///
/// ```
/// use chartvault::{Record, Shape};
/// use serde::{Deserialize, Serialize};
///
/// #[derive(Record, Serialize, Deserialize)]
/// #[record(kind = "allergy", version = 1)]
/// struct Allergy {
///     substance: String,
///     severity: Severity,
/// }
///
/// #[derive(Shape, Serialize, Deserialize)]
/// enum Severity {
///     Mild,
///     Severe { since: Option<u16> },
/// }
///
/// assert_eq!((Allergy::KIND, Allergy::VERSION), ("allergy", 1));
/// ```
///
/// # When the type changes
///
/// The old type stays, under another name, and the new one names it. A `From` leads from one to the other, or a
/// `TryFrom` where some values have no successor. Stored values are brought up to the newest version whenever they are
/// read, and stay as they are; an amendment writes the newest version. `docs/records.md` tells how to change a type safely.
///
/// ```
/// # use chartvault::{Record, Shape};
/// # use serde::{Deserialize, Serialize};
/// #[derive(Record, Serialize, Deserialize)]
/// #[record(kind = "weight", version = 1, shape = 0xafa5ea530b9c6793)]
/// struct WeightV1 {
///     pounds: u32,
/// }
///
/// #[derive(Record, Serialize, Deserialize)]
/// #[record(kind = "weight", version = 2, previous = WeightV1)]
/// struct Weight {
///     grams: u32,
/// }
///
/// impl TryFrom<WeightV1> for Weight {
///     type Error = &'static str;
///
///     fn try_from(old: WeightV1) -> Result<Self, Self::Error> {
///         let micrograms = u64::from(old.pounds) * 453_592_370;
///         let grams = u32::try_from(micrograms / 1_000_000).map_err(|_| "nobody weighs so much")?;
///         Ok(Self { grams })
///     }
/// }
/// ```
///
/// `shape = …`, which may always be left out, holds a type to the [shape](Shaped) that it had when values of it were
/// stored: whoever changes it, or a type inside it, is told so by the compiler.
///
/// What cannot be read back is refused while compiling: generic types, unions, types that contain themselves,
/// collections of items that take no bytes, and serde attributes that change what is written (`skip`, `flatten`,
/// `tag`, `untagged`, `with`, …).
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a record",
    note = "derive it: `#[derive(Record)]` with `#[record(kind = \"…\", version = 1)]`"
)]
pub trait Record: Shaped + Serialize + DeserializeOwned + 'static {
    /// Name of the kind.
    const KIND: &'static str;
    /// Version of the type, from 1.
    const VERSION: u16;
    /// The type of the version before this one, as `previous = …` names it; [`NoPrevious`] where the chain begins.
    /// Of the same kind, and its version is one less.
    type Previous;
    /// The way from older versions to this one.
    #[doc(hidden)]
    const PAST: Past<Self>;
    /// Says that the derive wrote this, so that items may be added to the trait.
    #[doc(hidden)]
    const DERIVED: Derived;
}

/// See [`Record::DERIVED`].
#[doc(hidden)]
#[derive(Clone, Copy, Debug)]
pub struct Derived;
