//! The logical trees.

/// A logical tree: an ordered table of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Tree {
    Records,
    Patients,
    Lookup,
    Policy,
    Audit,
}

impl Tree {
    /// The byte that stands for it in stored formats.
    pub(crate) const fn code(self) -> u8 {
        match self {
            Self::Records => 1,
            Self::Patients => 2,
            Self::Lookup => 3,
            Self::Policy => 4,
            Self::Audit => 5,
        }
    }

    /// The tree of a stored byte.
    pub(crate) const fn from_code(code: u8) -> Option<Self> {
        match code {
            1 => Some(Self::Records),
            2 => Some(Self::Patients),
            3 => Some(Self::Lookup),
            4 => Some(Self::Policy),
            5 => Some(Self::Audit),
            _ => None,
        }
    }
}
