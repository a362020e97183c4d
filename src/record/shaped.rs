//! Which types can be part of a record.

use std::collections::{BTreeMap, BTreeSet};
use std::num::{
    NonZeroI8, NonZeroI16, NonZeroI32, NonZeroI64, NonZeroI128, NonZeroU8, NonZeroU16, NonZeroU32, NonZeroU64,
    NonZeroU128,
};
use std::time::Duration;

use super::Record;
use super::id::{RecordId, RecordRef};
use super::shape::{self, Shape};
use crate::clock::Timestamp;
use crate::ids::{KindId, PatientId, PrincipalId};

/// A type that can be part of a record: its shape is known while compiling.
///
/// Derive it on nested types: `#[derive(Shape)]`. It is there for `bool`, `char`, integers of fixed width and their
/// `NonZero`s, floats, `String`, `Option`, `Vec`, arrays, tuples up to 12, `BTreeMap`, `BTreeSet`, `Box`, `Duration`,
/// [`Timestamp`], [`PatientId`], [`PrincipalId`], [`RecordId`] and [`RecordRef`]. Not for `usize` (its width depends
/// on the machine) nor `HashMap` (its order depends on chance).
///
/// Raw bytes go into `Vec<u8>`. A foreign type goes into a newtype which writes it as one of these and says so:
///
/// ```
/// use chartvault::{Shape, Shaped};
/// # mod foreign { pub struct Date { pub days: i32 } }
///
/// struct Birthday(foreign::Date);
///
/// impl serde::Serialize for Birthday {
///     fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
///         self.0.days.serialize(serializer)
///     }
/// }
///
/// impl<'de> serde::Deserialize<'de> for Birthday {
///     fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
///         Ok(Self(foreign::Date { days: i32::deserialize(deserializer)? }))
///     }
/// }
///
/// impl Shaped for Birthday {
///     const SHAPE: Shape = i32::SHAPE;
/// }
/// ```
///
/// A type that contains itself has no shape and does not compile, since its values could be nested deeper than the
/// stack:
///
/// ```compile_fail,E0391
/// # use serde::{Deserialize, Serialize};
/// #[derive(chartvault::Shape, Serialize, Deserialize)]
/// struct Chicken { laid: Vec<Egg> }
///
/// #[derive(chartvault::Shape, Serialize, Deserialize)]
/// struct Egg { hatched: Option<Box<Chicken>> }
/// ```
///
/// Nor does a collection whose items take no bytes, since a few bytes could claim 2⁶⁴ of them:
///
/// ```compile_fail,E0080
/// # use serde::{Deserialize, Serialize};
/// #[derive(chartvault::Shape, Serialize, Deserialize)]
/// struct Ticks { ticks: Vec<()> }
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be part of a record",
    note = "if it is a type of your own: `#[derive(Shape)]`",
    note = "instead of `usize` use `u64`, instead of `HashMap` use `BTreeMap`, instead of `&str` use `String`"
)]
pub trait Shaped {
    /// The type's shape.
    const SHAPE: Shape;
}

macro_rules! scalars {
    ($($type:ty = $name:literal, $least:literal;)*) => {
        $(impl Shaped for $type {
            const SHAPE: Shape = shape::scalar($name, $least);
        })*
    };
}

scalars! {
    bool = "bool", 1;
    char = "char", 1;
    u8 = "u8", 1;
    u16 = "u16", 2;
    u32 = "u32", 4;
    u64 = "u64", 8;
    u128 = "u128", 16;
    i8 = "i8", 1;
    i16 = "i16", 2;
    i32 = "i32", 4;
    i64 = "i64", 8;
    i128 = "i128", 16;
    f32 = "f32", 4;
    f64 = "f64", 8;
    NonZeroU8 = "nonzero u8", 1;
    NonZeroU16 = "nonzero u16", 2;
    NonZeroU32 = "nonzero u32", 4;
    NonZeroU64 = "nonzero u64", 8;
    NonZeroU128 = "nonzero u128", 16;
    NonZeroI8 = "nonzero i8", 1;
    NonZeroI16 = "nonzero i16", 2;
    NonZeroI32 = "nonzero i32", 4;
    NonZeroI64 = "nonzero i64", 8;
    NonZeroI128 = "nonzero i128", 16;
    () = "unit", 0;
    String = "string", 8;
    Duration = "duration", 12;
    Timestamp = "timestamp", 8;
    PatientId = "patient id", 16;
    PrincipalId = "principal id", 16;
    KindId = "kind id", 16;
    RecordRef = "record ref", 40;
}

impl<T: Shaped> Shaped for Option<T> {
    const SHAPE: Shape = shape::option(T::SHAPE);
}

impl<T: Shaped> Shaped for Box<T> {
    const SHAPE: Shape = T::SHAPE;
}

impl<T: Shaped> Shaped for Vec<T> {
    const SHAPE: Shape = shape::sequence(T::SHAPE);
}

impl<T: Shaped> Shaped for BTreeSet<T> {
    const SHAPE: Shape = shape::set(T::SHAPE);
}

impl<K: Shaped, V: Shaped> Shaped for BTreeMap<K, V> {
    const SHAPE: Shape = shape::map(K::SHAPE, V::SHAPE);
}

impl<T: Shaped, const N: usize> Shaped for [T; N] {
    const SHAPE: Shape = shape::array(T::SHAPE, N);
}

impl<T: Record> Shaped for RecordId<T> {
    const SHAPE: Shape = shape::record_id(T::KIND);
}

macro_rules! tuples {
    ($(($($item:ident)+))*) => {
        $(impl<$($item: Shaped),+> Shaped for ($($item,)+) {
            const SHAPE: Shape = shape::tuple(&[$($item::SHAPE),+]);
        })*
    };
}

tuples! {
    (A)
    (A B)
    (A B C)
    (A B C D)
    (A B C D E)
    (A B C D E F)
    (A B C D E F G)
    (A B C D E F G H)
    (A B C D E F G H I)
    (A B C D E F G H I J)
    (A B C D E F G H I J K)
    (A B C D E F G H I J K L)
}
