//! One shape of progress for everything that can take longer than a second.

/// How far a long task has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Progress {
    /// What is being done.
    pub task: Task,
    /// Units done so far (see [`Task`]).
    pub done: u64,
    /// Units in all, where known beforehand.
    pub total: Option<u64>,
}

impl Progress {
    pub(crate) const fn new(task: Task, done: u64, total: Option<u64>) -> Self {
        Self { task, done, total }
    }
}

/// Tasks that report progress, and the unit they count in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Task {
    /// Reading the journal when opening; bytes.
    ReadJournal,
    /// Rebuilding the trees from the journal; bytes.
    Rebuild,
    /// Compacting the journal; bytes read or verified, over several readings.
    Compact,
    /// Reading the files of the journal for a check; bytes.
    CheckJournal,
    /// Comparing the rows of the trees for a check; rows.
    CheckTrees,
    /// Verifying the log for a check; entries.
    CheckLog,
    /// Opening records for a check; versions.
    CheckRecords,
    /// Verifying the audit log; entries.
    VerifyAudit,
    /// Taking records out in bulk; records.
    Export,
    /// Salvaging a damaged vault; bytes of its journal, then rows and log entries.
    Salvage,
    /// Sealing patients' keys anew under another wrap key; patients.
    RewrapPatients,
    /// Sealing records anew under another data key; versions looked at.
    ResealRecords,
    /// Sealing identifiers and policy anew with another suite; rows.
    ResealRows,
    /// Looking whether anything is left under a data key that is to be dropped; versions looked at.
    CountResealed,
    /// Building the Merkle tree over the log when opening; entries.
    BuildTree,
    /// Writing entries of the log out for other programs; entries, each read twice.
    ExportLog,
    /// Copying the journal to where backups are kept; bytes of the journal.
    Backup,
    /// Verifying a backup; bytes as they are kept.
    VerifyBackup,
    /// Bringing a backup back; bytes of the journal.
    Restore,
    /// Opening records of a restored copy; records.
    Drill,
}

/// Called now and then during a long task, from the thread that called the library.
pub type OnProgress<'a> = &'a mut dyn FnMut(Progress);
