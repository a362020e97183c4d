//! Parts of messages, and where errors of the storage go.

use super::Error;
use crate::ids::PatientId;
use crate::record::RecordRef;
use crate::storage::StorageError;

pub(super) fn revision_of(revision: Option<u32>) -> String {
    revision.map(|revision| format!(" of revision {revision}")).unwrap_or_default()
}

/// A record, or else the whole chart, as a message names it.
pub(super) fn of(patient: &PatientId, record: &Option<RecordRef>) -> String {
    record.map_or_else(|| format!("the chart of {patient}"), |record| record.to_string())
}

impl From<StorageError> for Error {
    fn from(error: StorageError) -> Self {
        match error {
            StorageError::Closed => Self::Sealed,
            StorageError::Poisoned { cause } => Self::AuditUnavailable { cause: cause.into() },
            other => Self::Storage(other),
        }
    }
}
