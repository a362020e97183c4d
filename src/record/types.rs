//! The record types that a program has used with a vault since it was opened.

use std::any::{TypeId, type_name};
use std::collections::{BTreeMap, HashSet};

use super::{EncodeError, Record, Shape};

/// A version of a kind, as one type declares it.
#[derive(Clone, Copy)]
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

    /// Takes in a type whose values came back whole, unless an earlier one gives the same version another shape.
    pub(crate) fn admit<T: Record>(&mut self) -> Result<(), EncodeError> {
        let declared = Declared::of::<T>();
        let Declared { kind, version, .. } = declared;
        match self.declared.get(&(kind, version)) {
            Some(first) if first.shape != declared.shape => {
                return Err(EncodeError::DeclaredTwice { kind, version, first: first.by, second: declared.by });
            }
            _ => {}
        }
        self.declared.entry((kind, version)).or_insert(declared);
        self.proven.insert(TypeId::of::<T>());
        Ok(())
    }
}
