//! What verifying a backup found.

use std::fmt;

use chartvault_verify::chain::ChainFault;

/// Findings that are listed; more are counted.
pub(super) const MOST: usize = 1_000;

/// What is wrong with a backup, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct BackupFinding {
    /// The manifest that it is about.
    pub manifest: u64,
    /// The object of that manifest, by its name.
    pub object: Option<String>,
    /// What is wrong.
    pub flaw: BackupFlaw,
}

/// What can be wrong with a part of a backup.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BackupFlaw {
    /// A manifest is missing between two others.
    #[error("the manifest is missing, though there are later ones that go on from it")]
    MissingManifest,
    /// A manifest is no manifest.
    #[error("the manifest cannot be read: {0}")]
    Unreadable(String),
    /// A manifest is not signed by the key that is pinned.
    #[error("the manifest is not signed by the key of this vault's backups")]
    Unsigned,
    /// A manifest does not name the one before as it is.
    #[error("the manifest does not go on from the one before: one of the two was exchanged")]
    NotNext,
    /// An object is missing, or its bytes are not those that were put there.
    #[error("the object is not what was put there: {0}")]
    Object(String),
    /// The bytes of the objects are whole, and the journal that they make up is not.
    #[error("the journal is broken {place}: {what}")]
    Journal {
        /// Where: a file of the journal and a byte of it.
        place: String,
        /// What is wrong.
        what: &'static str,
    },
    /// The log in the backup is broken.
    #[error("the log is broken: {0}")]
    Log(ChainFault),
    /// The journal does not end where the manifest says.
    #[error("the journal does not end in the frame that the manifest names")]
    OtherEnd,
    /// The log's entries are not those that the manifest was signed over.
    #[error("the log has another root than the manifest names: entries were exchanged")]
    OtherRoot,
    /// The vault's own log does not go on from the one of this backup.
    #[error("the log of this backup is not the beginning of the vault's: one of the two was brought back or forged")]
    NotTheVaults,
}

impl fmt::Display for BackupFinding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "manifest {}", self.manifest)?;
        if let Some(object) = &self.object {
            write!(f, ", {object}")?;
        }
        write!(f, ": {}", self.flaw)
    }
}

/// Findings, of which only so many are listed.
#[derive(Debug, Default)]
pub(super) struct Findings {
    pub(super) listed: Vec<BackupFinding>,
    pub(super) more: u64,
}

impl Findings {
    pub(super) fn add(&mut self, manifest: u64, object: Option<&str>, flaw: BackupFlaw) {
        if self.listed.len() >= MOST {
            self.more = self.more.saturating_add(1);
            return;
        }
        self.listed.push(BackupFinding { manifest, object: object.map(str::to_owned), flaw });
    }
}
