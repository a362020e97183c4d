//! The fingerprint of a type, computed while compiling (docs/format.md, "Shapes").

use std::fmt;

/// What a type looks like when written: an 8-byte hash over the names and types of its fields and variants.
///
/// FNV-1a with 64 bits. It recognises types that changed by mistake; it protects against no attacker, and need not:
/// it is read only from authenticated bytes.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Shape {
    hash: u64,
    /// The fewest bytes any value takes.
    least: usize,
}

impl Shape {
    /// Its 8 bytes.
    #[must_use]
    pub const fn to_bytes(self) -> [u8; 8] {
        self.hash.to_be_bytes()
    }

    /// The fewest bytes that a value of the type takes when written.
    #[cfg(test)]
    pub(crate) const fn least(self) -> usize {
        self.least
    }
}

impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.hash)
    }
}

impl fmt::Debug for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Shape({self})")
    }
}

/// The fields of a struct or variant, as the derive hands them over.
#[derive(Clone, Copy, Debug)]
pub enum Fields<'a> {
    /// None and no brackets.
    Unit,
    /// `(A, B)`.
    Tuple(&'a [Shape]),
    /// `{ a: A, b: B }`.
    Named(&'a [(&'a str, Shape)]),
}

// First byte of every description.
const SCALAR: u8 = 1;
const OPTION: u8 = 2;
const SEQUENCE: u8 = 3;
const SET: u8 = 4;
const MAP: u8 = 5;
const ARRAY: u8 = 6;
const TUPLE: u8 = 7;
const STRUCT: u8 = 8;
const ENUM: u8 = 9;
const RECORD_ID: u8 = 10;

// First byte of fields.
const UNIT_FIELDS: u8 = 0;
const TUPLE_FIELDS: u8 = 1;
const NAMED_FIELDS: u8 = 2;

// What bincode writes in front.
const OPTION_FLAG: usize = 1;
const LENGTH: usize = 8;
const VARIANT_INDEX: usize = 4;

/// A type with a name of its own and at least `least` bytes.
pub(super) const fn scalar(name: &str, least: usize) -> Shape {
    Description::new(SCALAR).text(name).shape(least)
}

pub(super) const fn option(item: Shape) -> Shape {
    Description::new(OPTION).nested(item).shape(OPTION_FLAG)
}

pub(super) const fn sequence(item: Shape) -> Shape {
    refuse_bomb(item.least);
    Description::new(SEQUENCE).nested(item).shape(LENGTH)
}

pub(super) const fn set(item: Shape) -> Shape {
    refuse_bomb(item.least);
    Description::new(SET).nested(item).shape(LENGTH)
}

pub(super) const fn map(key: Shape, value: Shape) -> Shape {
    refuse_bomb(key.least.saturating_add(value.least));
    Description::new(MAP).nested(key).nested(value).shape(LENGTH)
}

pub(super) const fn array(item: Shape, len: usize) -> Shape {
    Description::new(ARRAY).count(len).nested(item).shape(item.least.saturating_mul(len))
}

pub(super) const fn tuple(items: &[Shape]) -> Shape {
    let (description, least) = Description::new(TUPLE).fields(Fields::Tuple(items));
    description.shape(least)
}

/// A reference to a record of one kind. Not made of the record's own shape, so that a record can refer to another
/// of its own kind.
pub(super) const fn record_id(kind: &str) -> Shape {
    Description::new(RECORD_ID).text(kind).shape(24)
}

/// A struct. Its own name does not count, so renaming a type changes nothing.
#[must_use]
pub const fn structure(fields: Fields<'_>) -> Shape {
    let (description, least) = Description::new(STRUCT).fields(fields);
    description.shape(least)
}

/// An enum: names and fields of its variants, in order.
#[must_use]
pub const fn enumeration(variants: &[(&str, Fields<'_>)]) -> Shape {
    let mut description = Description::new(ENUM).count(variants.len());
    let mut least = usize::MAX;
    let mut rest = variants;
    while let [(name, fields), others @ ..] = rest {
        let (longer, variant) = description.text(name).fields(*fields);
        description = longer;
        if variant < least {
            least = variant;
        }
        rest = others;
    }
    description.shape(least.saturating_add(VARIANT_INDEX))
}

/// A decoder told that a collection has 2⁶⁴ items of no bytes would never come back.
const fn refuse_bomb(least: usize) {
    assert!(least > 0, "a record cannot hold a collection of items that take no bytes: keep their number instead");
}

/// A description while it is hashed.
#[derive(Clone, Copy)]
struct Description(u64);

impl Description {
    const fn new(tag: u8) -> Self {
        Self(0xCBF2_9CE4_8422_2325).bytes(&[tag])
    }

    const fn bytes(self, bytes: &[u8]) -> Self {
        let mut hash = self.0;
        let mut rest = bytes;
        while let [byte, others @ ..] = rest {
            hash = (hash ^ u64::from_be_bytes([0, 0, 0, 0, 0, 0, 0, *byte])).wrapping_mul(0x0000_0100_0000_01B3);
            rest = others;
        }
        Self(hash)
    }

    /// A number as `u64`, whatever the width of `usize`.
    #[allow(clippy::as_conversions)] // widens; `From` is not const
    const fn count(self, count: usize) -> Self {
        self.bytes(&(count as u64).to_be_bytes())
    }

    /// `u64 len ‖ UTF-8`.
    const fn text(self, text: &str) -> Self {
        self.count(text.len()).bytes(text.as_bytes())
    }

    const fn nested(self, shape: Shape) -> Self {
        self.bytes(&shape.to_bytes())
    }

    /// The fields, and the fewest bytes they take together.
    const fn fields(self, fields: Fields<'_>) -> (Self, usize) {
        let mut least = 0_usize;
        match fields {
            Fields::Unit => (self.bytes(&[UNIT_FIELDS]), least),
            Fields::Tuple(shapes) => {
                let mut description = self.bytes(&[TUPLE_FIELDS]).count(shapes.len());
                let mut rest = shapes;
                while let [shape, others @ ..] = rest {
                    description = description.nested(*shape);
                    least = least.saturating_add(shape.least);
                    rest = others;
                }
                (description, least)
            }
            Fields::Named(named) => {
                let mut description = self.bytes(&[NAMED_FIELDS]).count(named.len());
                let mut rest = named;
                while let [(name, shape), others @ ..] = rest {
                    description = description.text(name).nested(*shape);
                    least = least.saturating_add(shape.least);
                    rest = others;
                }
                (description, least)
            }
        }
    }

    const fn shape(self, least: usize) -> Shape {
        Shape { hash: self.0, least }
    }
}

#[cfg(test)]
#[path = "shape_tests.rs"]
mod tests;
