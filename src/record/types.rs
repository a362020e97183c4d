//! The record types that a program has used with a vault since it was opened.

use std::any::{TypeId, type_name};
use std::collections::{BTreeMap, HashSet};

use super::past::declare;
use super::{EncodeError, Record, Shape};

/// A version of a kind, as one type declares it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Declared {
    kind: &'static str,
    version: u16,
    shape: Shape,
    /// The type's path, for the message.
    by: &'static str,
}

impl Declared {
    pub(crate) fn of<T: Record>() -> Self {
        Self { kind: T::KIND, version: T::VERSION, shape: T::SHAPE, by: type_name::<T>() }
    }
}

/// Types whose values may be written: shown to come back whole, and at one about the shape of each version.
#[derive(Default)]
pub(crate) struct Types {
    proven: HashSet<TypeId>,
    declared: BTreeMap<(&'static str, u16), Declared>,
}

impl Types {
    /// Whether values of this type were shown to come back whole. Not asked of the kind: each type of a kind is written
    /// by code of its own.
    pub(crate) fn is_proven<T: Record>(&self) -> bool {
        self.proven.contains(&TypeId::of::<T>())
    }

    /// Takes in a type whose values came back whole, and the versions before it, unless a type that came earlier gives
    /// one of them another shape.
    pub(crate) fn admit<T: Record>(&mut self) -> Result<(), EncodeError> {
        let mut versions = Vec::new();
        declare::<T>(&mut versions);
        for Declared { kind, version, shape, by } in &versions {
            if let Some(first) = self.declared.get(&(*kind, *version)).filter(|first| first.shape != *shape) {
                return Err(EncodeError::DeclaredTwice { kind, version: *version, first: first.by, second: by });
            }
        }
        for declared in versions {
            self.declared.entry((declared.kind, declared.version)).or_insert(declared);
        }
        self.proven.insert(TypeId::of::<T>());
        Ok(())
    }
}
