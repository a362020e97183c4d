//! Bundles: what an auditor is given of a log, in one file that can be checked by itself (docs/format/bundle.md).

mod format;
mod pipeline;
mod report;
mod stretch;
mod verify;
mod write;

pub use report::{Before, BundleFault, Report, Verdict};
pub use verify::{BundleCheck, Trust, verify_bundle};
pub use write::{BundleWriter, EntryWriter};

use std::io;

use sha2::{Digest, Sha256};

use crate::merkle::Hash;

/// What stands at the end of a bundle whose bytes before are these: their SHA-256. It shows a damaged file, and no forger.
#[must_use]
pub fn hash_of(bytes: &[u8]) -> Hash {
    Sha256::digest(bytes).into()
}

/// Why nothing can be said about a file.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BundleError {
    /// It does not begin as a bundle does.
    #[error("this is no bundle of a chartvault log; check the file")]
    NotABundle,
    /// It cannot be read.
    #[error("the bundle cannot be read: {0}")]
    Io(#[from] io::Error),
}
