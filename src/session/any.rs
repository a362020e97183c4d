//! Records read without saying beforehand as what type.

use super::read::Opened;
use crate::clock::Timestamp;
use crate::error::Error;
use crate::record::{Body, Entry, Kind, Record, RecordRef, Status, VerbatimEntry, Version};

/// One version of a record of whatever kind, opened but not decoded.
pub struct AnyEntry {
    kind: Kind,
    opened: Opened,
    time: Timestamp,
    status: Status,
    schema: Option<u16>,
}

impl AnyEntry {
    pub(super) fn new(kind: Kind, opened: Opened) -> Result<Self, Error> {
        let body = opened.body()?;
        let (time, status, schema) = (event_time(&body), body.status, body.schema());
        Ok(Self { kind, opened, time, status, schema })
    }

    /// Its kind.
    #[must_use]
    pub const fn kind(&self) -> &Kind {
        &self.kind
    }

    /// Which record it is.
    #[must_use]
    pub const fn record(&self) -> RecordRef {
        self.opened.record
    }

    /// Which version of it.
    #[must_use]
    pub const fn version(&self) -> Version {
        self.opened.version
    }

    /// The version of the type in which it is stored; `None` for verbatim bytes.
    #[must_use]
    pub const fn schema(&self) -> Option<u16> {
        self.schema
    }

    /// When it happened: its clinical time, or else when it was recorded.
    #[must_use]
    pub const fn time(&self) -> Timestamp {
        self.time
    }

    /// Whether it was voided.
    #[must_use]
    pub const fn status(&self) -> Status {
        self.status
    }

    /// Whether it comes from a place that is in doubt; see [`Entry::is_doubtful`].
    #[must_use]
    pub const fn is_doubtful(&self) -> bool {
        self.opened.doubtful
    }

    /// As a record of type `T`, upgraded where it is stored in an older version.
    ///
    /// # Errors
    /// [`Error::Decode`] when it is none, or has no successor in the version of `T`.
    pub fn decode<T: Record>(&self) -> Result<Entry<T>, Error> {
        self.opened.typed()
    }

    /// As the bytes that were put.
    ///
    /// # Errors
    /// [`Error::Decode`] when it was not put verbatim.
    pub fn verbatim(&self) -> Result<VerbatimEntry, Error> {
        self.opened.verbatim()
    }
}

/// Leaves the value out.
impl std::fmt::Debug for AnyEntry {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("AnyEntry").field("kind", &self.kind).field("record", &self.record()).finish_non_exhaustive()
    }
}

/// When a record's event happened: its clinical time, or else when it was recorded.
pub(super) fn event_time(body: &Body<'_>) -> Timestamp {
    body.clinical_time.unwrap_or(body.recorded_at)
}
