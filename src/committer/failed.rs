//! Why work that was handed in was not acknowledged.

use std::fmt;
use std::sync::Arc;

use super::JOB_BYTES;
use crate::audit::DraftError;
use crate::storage::{CommitError, StorageError};

/// Why work was not acknowledged.
#[derive(Clone, Debug)]
pub(crate) enum CommitFailed {
    /// Nothing of it was written.
    NotCommitted(Arc<StorageError>),
    /// It may or may not be found after reopening.
    OutcomeUnknown(Arc<StorageError>),
    /// An earlier failure stopped the log; nothing was written.
    Stopped(Arc<str>),
    /// More than a frame holds; nothing was written.
    TooLarge { len: usize },
    /// An entry cannot be made of what it shall say; nothing was written.
    Draft(DraftError),
}

impl From<DraftError> for CommitFailed {
    fn from(error: DraftError) -> Self {
        Self::Draft(error)
    }
}

impl fmt::Display for CommitFailed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotCommitted(error) | Self::OutcomeUnknown(error) => write!(f, "{error}"),
            Self::Stopped(cause) => f.write_str(cause),
            Self::Draft(error) => write!(f, "{error}"),
            Self::TooLarge { len } => write!(f, "a commit of {len} bytes is above the limit of {JOB_BYTES}"),
        }
    }
}

impl From<CommitError> for CommitFailed {
    fn from(error: CommitError) -> Self {
        match error {
            CommitError::NotCommitted(error) => Self::NotCommitted(Arc::new(error)),
            CommitError::OutcomeUnknown(error) => Self::OutcomeUnknown(Arc::new(error)),
            CommitError::Conflict { .. } => Self::Stopped("another writer moved the journal's head".into()),
        }
    }
}
