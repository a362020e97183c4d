//! What goes wrong with sinks.

use std::io;
use std::path::PathBuf;

/// Why a sink did not take entries. The vault offers them again.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SinkError {
    /// Writing or sending failed.
    #[error("{doing} failed: {source}")]
    Io {
        /// What was tried.
        doing: &'static str,
        /// Why it failed.
        #[source]
        source: io::Error,
    },
    /// What it wrote is not there any more, or not whole. It takes no more: somebody has to look, and attach it anew.
    #[error(
        "{path:?} is not the file any more that was written: it was removed, replaced or cut; find out by whom, then attach \
         the sink anew"
    )]
    Tampered {
        /// Where it was.
        path: PathBuf,
    },
    /// Something else.
    #[error("{0}")]
    Other(String),
}

impl SinkError {
    /// For `map_err`.
    pub(super) fn io(doing: &'static str) -> impl Fn(io::Error) -> Self {
        move |source| Self::Io { doing, source }
    }
}

/// Why nothing is accessed, or a vault not opened, because of a sink.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SinkFault {
    /// A sink that the vault requires has not taken the log. Nothing was done.
    #[error(
        "the sink {name:?}, without which nothing is accessed, is {entries} entries behind; see to it, and calls go on once \
         it has caught up, or detach it with a credential of the vault"
    )]
    Behind {
        /// Its name.
        name: String,
        /// How many entries it lacks.
        entries: u64,
    },
    /// The vault requires a sink that it was not opened with.
    #[error(
        "the vault requires the sink {name:?}, which was not given; open it with that sink (Options::sink), or detach the \
         sink while unlocking"
    )]
    Missing {
        /// Its name.
        name: String,
    },
    /// The vault has no such sink.
    #[error("the vault has no sink {name:?}; list its sinks to see which there are")]
    Unknown {
        /// The name.
        name: String,
    },
    /// No sink can have this name.
    #[error("a sink's name has 1 to 64 bytes without control characters, and this one has {len} bytes; choose another")]
    Name {
        /// Its length.
        len: usize,
    },
}
