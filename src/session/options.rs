//! What can be said about a record besides its value.

use crate::clock::Timestamp;
use crate::record::Labels;
use crate::terms::Confidentiality;

/// What to store with a value. The default: no clinical time, confidentiality normal, no labels.
///
/// ```
/// use chartvault::{Confidentiality, PutOptions};
/// let options = PutOptions::new()
///     .clinical_time("2026-01-05T12:00:00Z".parse()?)
///     .confidentiality(Confidentiality::Restricted);
/// # Ok::<(), chartvault::InvalidId>(())
/// ```
#[derive(Clone, Debug, Default)]
#[must_use]
pub struct PutOptions {
    pub(super) clinical_time: Option<Timestamp>,
    pub(super) confidentiality: Confidentiality,
    pub(super) labels: Labels,
}

impl PutOptions {
    /// The defaults.
    pub fn new() -> Self {
        Self::default()
    }

    /// When what the record tells of happened.
    pub const fn clinical_time(mut self, time: Timestamp) -> Self {
        self.clinical_time = Some(time);
        self
    }

    /// How confidential the record is.
    pub const fn confidentiality(mut self, level: Confidentiality) -> Self {
        self.confidentiality = level;
        self
    }

    /// The categories it belongs to.
    pub fn labels(mut self, labels: Labels) -> Self {
        self.labels = labels;
        self
    }
}
