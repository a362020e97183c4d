//! Labels: what a record is said to belong to, in the host's own words or in sensitive categories.

use std::fmt;

use crate::terms::{Categories, Category};

/// The most labels a record can have.
pub(crate) const MAX_LABELS: usize = 16;
/// The longest label, in bytes of UTF-8.
pub(crate) const MAX_LABEL: usize = 255;
/// How the label of a sensitive category begins; its code follows.
const RESERVED: &str = "v3-ActCode|";

/// Labels of a record, such as `minor`: at most 16, each 1 to 255 bytes of UTF-8, kept in ascending
/// order and each once. Encrypted with the record; `Debug` shows only how many there are.
///
/// Those in the words of the host mean nothing to the vault. A [`Category`] is a label, too, and one that counts: a record
/// that has it is given only to whom a role allows it or the host's [`Consent`](crate::Consent) does. Its text is
/// `v3-ActCode|` and the category's code; no other label begins so.
///
/// ```
/// use chartvault::{Category, Labels};
/// let labels = Labels::new(["follow-up", "minor", "minor"])?;
/// assert!(labels.contains("minor"));
/// assert_eq!(labels.iter().collect::<Vec<_>>(), ["follow-up", "minor"]);
/// let sensitive = labels.with(Category::Hiv)?;
/// assert!(sensitive.contains("v3-ActCode|HIV") && sensitive.categories().contains(Category::Hiv));
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
    /// One that begins like that of a category, and is none.
    #[error("a label that begins with `{RESERVED}` names a category, and this version knows none of that code")]
    UnknownCategory,
}

impl Labels {
    /// No label.
    pub const NONE: Self = Self(Vec::new());

    /// Sorts the labels and drops those that occur twice.
    ///
    /// # Errors
    /// [`InvalidLabels`] for more than 16, for one that is empty or longer than 255 bytes, or for one that begins like that
    /// of a category and is none.
    pub fn new<I>(labels: I) -> Result<Self, InvalidLabels>
    where
        I: IntoIterator,
        I::Item: Into<String>,
    {
        let all = Self::stored(labels)?;
        if all.categories().has_unknown() { Err(InvalidLabels::UnknownCategory) } else { Ok(all) }
    }

    /// These and a category.
    ///
    /// # Errors
    /// [`InvalidLabels::TooMany`] where there are 16 others.
    pub fn with(self, category: Category) -> Result<Self, InvalidLabels> {
        Self::stored(self.0.into_iter().chain([category.into()]))
    }

    /// Labels as a record has them, those of newer versions included.
    pub(crate) fn stored<I>(labels: I) -> Result<Self, InvalidLabels>
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

    /// The sensitive categories among them.
    #[must_use]
    pub fn categories(&self) -> Categories {
        let codes = self.iter().filter_map(|label| label.strip_prefix(RESERVED));
        codes.fold(Categories::NONE, |all, code| code.parse().map_or(all.with_unknown(), |one| all.with(one)))
    }

    /// Whether there are none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// The label of a category.
impl From<Category> for String {
    fn from(category: Category) -> Self {
        [RESERVED, category.word()].concat()
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
    fn a_category_is_a_label_and_a_label_like_one_is_a_category_that_nobody_knows() {
        let labels = Labels::new([Category::Hiv, Category::Psychiatry]).unwrap();
        assert_eq!(labels.iter().collect::<Vec<_>>(), ["v3-ActCode|HIV", "v3-ActCode|PSY"]);
        assert_eq!(labels.categories(), [Category::Hiv, Category::Psychiatry].into_iter().collect());
        for unknown in ["v3-ActCode|", "v3-ActCode|hiv", "v3-ActCode|HIV "] {
            assert_eq!(Labels::new([unknown]), Err(InvalidLabels::UnknownCategory));
            assert!(Labels::stored([unknown]).unwrap().categories().has_unknown());
        }
        for free in ["HIV", "psychotherapy", "V3-ActCode|HIV", " v3-ActCode|HIV"] {
            assert!(Labels::new([free]).unwrap().categories().is_empty());
        }
        let full = Labels::new((0..16).map(|n| format!("label {n}"))).unwrap();
        assert_eq!(full.with(Category::Hiv), Err(InvalidLabels::TooMany));
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
