//! What a check of the storage finds.

use std::path::PathBuf;

use crate::format::keys::Tree;

/// How bad a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Severity {
    /// It was put right by the check: nothing is lost, nothing is to be done.
    Mended,
    /// Nothing is lost: a copy is bad whose twin is good, or bytes that hold nothing. The finding says what mends it.
    Mendable,
    /// Something may be lost. Keep all files as they are; restore from a backup, or salvage.
    Grave,
}

impl Severity {
    pub(crate) const fn word(self) -> &'static str {
        match self {
            Self::Mended => "mended",
            Self::Mendable => "nothing is lost",
            Self::Grave => "GRAVE",
        }
    }
}

/// Something that is not as it was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Flaw {
    pub(crate) place: FlawPlace,
    pub(crate) what: String,
    pub(crate) severity: Severity,
}

/// Where it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum FlawPlace {
    File {
        path: PathBuf,
        offset: u64,
    },
    Row {
        tree: Tree,
        key: Vec<u8>,
    },
    /// Among the rows of one bucket of the digest; which of them cannot be told.
    Rows {
        tree: Tree,
    },
}

impl Flaw {
    pub(crate) fn at(path: PathBuf, offset: u64, what: impl Into<String>) -> Self {
        Self { place: FlawPlace::File { path, offset }, what: what.into(), severity: Severity::Grave }
    }

    pub(crate) fn row(tree: Tree, key: &[u8], what: impl Into<String>, severity: Severity) -> Self {
        Self { place: FlawPlace::Row { tree, key: key.to_vec() }, what: what.into(), severity }
    }

    pub(crate) fn mendable(self) -> Self {
        Self { severity: Severity::Mendable, ..self }
    }
}

/// What a check has read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Examined {
    /// Frames of journal and base.
    pub(crate) frames: u64,
    /// Their bytes.
    pub(crate) bytes: u64,
    /// Rows of the trees.
    pub(crate) rows: u64,
}

/// What a check tells while it goes on.
pub(crate) trait Examiner {
    fn found(&mut self, flaw: Flaw);

    /// So much was read, out of so many bytes or rows. Says whether to go on.
    fn passed(&mut self, examined: Examined, total: u64) -> bool;
}

/// What the trees turned out to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TreesAre {
    Right,
    /// They were wrong, and were built anew from the journal.
    Mended,
    /// They are wrong, and the journal does not allow to build them anew.
    Wrong,
}
