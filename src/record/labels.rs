//! Labels: the categories that a record belongs to.

use std::fmt;

/// The most labels a record can have.
pub(crate) const MAX_LABELS: usize = 16;
/// The longest label, in bytes of UTF-8.
pub(crate) const MAX_LABEL: usize = 255;

/// Categories of a record, such as `psychotherapy`: at most 16, each 1 to 255 bytes of UTF-8, kept in ascending
/// order and each once. Encrypted with the record; `Debug` shows only how many there are.
///
/// ```
/// use chartvault::Labels;
/// let labels = Labels::new(["psychotherapy", "minor", "minor"])?;
/// assert!(labels.contains("psychotherapy"));
/// assert_eq!(labels.iter().collect::<Vec<_>>(), ["minor", "psychotherapy"]);
/// # Ok::<(), chartvault::InvalidLabels>(())
/// ```
#[derive(Clone, Default, PartialEq, Eq, Hash)]
pub struct Labels(Vec<String>);

/// Labels that a record cannot have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidLabels {
    /// More than 16.
    #[error("a record has at most 16 labels")]
    TooMany,
    /// One that is empty or longer than 255 bytes.
    #[error("a label has 1 to 255 bytes, this one has {len}")]
    Length {
        /// Its length in bytes.
        len: usize,
    },
}

impl Labels {
    /// No label.
    pub const NONE: Self = Self(Vec::new());

    /// Sorts the labels and drops those that occur twice.
    ///
    /// # Errors
    /// [`InvalidLabels`] for more than 16, or for one that is empty or longer than 255 bytes.
    pub fn new<I>(labels: I) -> Result<Self, InvalidLabels>
    where
        I: IntoIterator,
        I::Item: Into<String>,
    {
        let mut all = Vec::new();
        for label in labels {
            let label = label.into();
            if label.is_empty() || label.len() > MAX_LABEL {
                return Err(InvalidLabels::Length { len: label.len() });
            }
            if let Err(place) = all.binary_search(&label) {
                if all.len() == MAX_LABELS {
                    return Err(InvalidLabels::TooMany);
                }
                all.insert(place, label);
            }
        }
        Ok(Self(all))
    }

    /// The labels, ascending.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &str> {
        self.0.iter().map(String::as_str)
    }

    /// Whether this one is among them.
    #[must_use]
    pub fn contains(&self, label: &str) -> bool {
        self.iter().any(|own| own == label)
    }

    /// Whether there are none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl fmt::Debug for Labels {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Labels({} redacted)", self.0.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_hold_at_n_and_not_at_n_plus_1() {
        let numbered = |count: usize| (0..count).map(|n| format!("label {n}"));
        assert_eq!(Labels::new(numbered(16)).unwrap().iter().len(), 16);
        assert_eq!(Labels::new(numbered(17)), Err(InvalidLabels::TooMany));
        assert!(Labels::new(["x".repeat(255)]).is_ok());
        assert_eq!(Labels::new(["x".repeat(256)]), Err(InvalidLabels::Length { len: 256 }));
        assert_eq!(Labels::new([""]), Err(InvalidLabels::Length { len: 0 }));
    }

    #[test]
    fn a_label_given_again_counts_once() {
        let twice = (0..16).chain(0..16).map(|n| format!("label {n}"));
        assert_eq!(Labels::new(twice).unwrap().iter().len(), 16);
    }

    #[test]
    fn debug_shows_no_label() {
        assert_eq!(format!("{:?}", Labels::new(["psychotherapy"]).unwrap()), "Labels(1 redacted)");
    }
}
