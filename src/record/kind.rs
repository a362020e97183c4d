//! Kinds that are known only at run time.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::de::Error;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::Record;
use crate::crypto::kdf;
use crate::ids::KindId;

/// The longest name of a kind, in bytes.
pub(crate) const MAX_KIND: usize = 64;

/// The name of a kind: 1 to 64 of `A-Z a-z 0-9 . _ -`, upper and lower case told apart.
///
/// ```
/// use chartvault::Kind;
/// let kind = Kind::new("Observation")?;
/// assert_eq!(kind.to_string(), "Observation");
/// assert!(Kind::new("blood pressure").is_err());
/// # Ok::<(), chartvault::InvalidKind>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Kind(Arc<str>);

/// A name that cannot be a kind's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the name of a kind has 1 to 64 characters, each one of A-Z a-z 0-9 . _ -")]
pub struct InvalidKind;

impl Kind {
    /// Checks and takes a name.
    ///
    /// # Errors
    /// [`InvalidKind`] unless it has 1 to 64 characters, each one of `A-Z a-z 0-9 . _ -`.
    pub fn new(name: &str) -> Result<Self, InvalidKind> {
        let sound = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
        let len = name.len();
        if len == 0 || len > MAX_KIND || !name.bytes().all(sound) {
            return Err(InvalidKind);
        }
        Ok(Self(name.into()))
    }

    /// The kind of a record type.
    #[must_use]
    pub fn of<T: Record>() -> Self {
        Self(T::KIND.into())
    }

    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The id which stands for the name in tokens, log entries and record references.
    #[must_use]
    pub fn id(&self) -> KindId {
        kdf::kind_id(&self.0)
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// As its name.
impl Serialize for Kind {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for Kind {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        Self::new(&String::deserialize(from)?).map_err(D::Error::custom)
    }
}

impl FromStr for Kind {
    type Err = InvalidKind;

    fn from_str(name: &str) -> Result<Self, InvalidKind> {
        Self::new(name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_held_to_length_and_letters() {
        for name in ["a", "Observation", "clinic.note_2-b", &"k".repeat(64)] {
            let kind = Kind::new(name).unwrap();
            assert_eq!(kind.to_string().parse(), Ok(kind));
        }
        for name in ["", " ", "a b", "größe", "a/b", "a\0", &"k".repeat(65)] {
            assert_eq!(Kind::new(name), Err(InvalidKind), "{name:?}");
        }
    }

    #[test]
    fn case_tells_kinds_apart() {
        assert_ne!(Kind::new("note").unwrap().id(), Kind::new("Note").unwrap().id());
    }
}
