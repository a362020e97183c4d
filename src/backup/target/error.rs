//! Why a target did not do what it was asked.

use std::io;
use std::path::PathBuf;

/// Why a target did not do what it was asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TargetError {
    /// There is something of this name, and nothing is ever replaced.
    #[error("{name} is there already, and is never replaced; somebody else may be writing backups to this target")]
    Exists {
        /// The object.
        name: String,
    },
    /// There is nothing of this name.
    #[error("{name} is not there; see whether it was removed, or whether this is another target")]
    Absent {
        /// The object.
        name: String,
    },
    /// It is longer than whoever asked for it can take. Nothing of it was read.
    #[error("{name} has {len} bytes, more than the {limit} that it may have; it is not what was put there")]
    TooLarge {
        /// The object.
        name: String,
        /// Its length in bytes.
        len: u64,
        /// The most that it may have.
        limit: usize,
    },
    /// The target does not allow it: the credential may not, the object is locked, the disk is read-only.
    #[error("{name}: the target does not allow it ({why}); see to its credential, its rights or its locks")]
    Refused {
        /// The object, or what was asked for.
        name: String,
        /// What the target says.
        why: String,
    },
    /// There is no room for it.
    #[error("the target is full; make room there, or raise its quota")]
    Full,
    /// It does not answer, or not so that it could be understood.
    #[error("the target cannot be reached ({why}){}", if *.retry { "; try again later" } else { "" })]
    Unreachable {
        /// What happened.
        why: String,
        /// Whether trying again later may help as things stand.
        retry: bool,
    },
    /// No object can have such a name.
    #[error("{name:?} is no name of an object; they consist of parts of a-z and 0-9, joined by /")]
    BadName {
        /// The name.
        name: String,
    },
    /// There is no target here: its disk is not mounted, or none was made.
    #[error("there are no backups in {path}; mount its disk, or make a target there with FolderTarget::create")]
    NoTarget {
        /// Where it was looked for.
        path: PathBuf,
    },
    /// What it was given to be reached with cannot be right.
    #[error("the target cannot be used so: {why}")]
    Settings {
        /// What is wrong.
        why: String,
    },
    /// A file could not be read or written.
    #[error("{what} failed: {source}; see to the disk or its rights")]
    Io {
        /// What was being done, with the path.
        what: String,
        /// The system's error.
        source: io::Error,
    },
}
