//! Bundles: what an auditor is given of a log, in one file that can be checked by itself (docs/format/bundle.md).

mod format;
mod report;
mod verify;
mod write;

pub use report::{BundleFault, Report, Verdict};
pub use verify::{Trust, verify_bundle};
pub use write::{BundleWriter, EntryWriter};

use std::io;

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
