//! What an erasure did, and how far it reaches.

use std::fmt;

use super::finish::Finished;
use crate::clock::Timestamp;
use crate::policy::Erasure;
use crate::vault::Compaction;

/// How far an erasure reaches. Neither level reaches a copy of the vault's header that somebody kept from before, together
/// with a credential of then: see [`ErasureLevel::explanation`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum ErasureLevel {
    /// No key of the vault opens anything of the chart. Sealed bytes of it are still in the journal and the trees.
    Unreadable,
    /// And the sealed bytes are gone from the files of the vault.
    Removed,
}

impl ErasureLevel {
    /// What it means, in words for whoever has to answer for it.
    #[must_use]
    pub const fn explanation(self) -> &'static str {
        match self {
            Self::Unreadable => {
                "The patient's secret was destroyed and the key above it replaced. Nothing of the chart can be read with any \
                 credential that opens the vault now, neither from the vault's files nor from copies of its journal and trees \
                 that were made before. Sealed bytes of the chart stay in the journal until it is compacted; with the vault's \
                 keys the patient's id, a random number, can be read from them, and which records were under a hold, but no \
                 content. The log still says when, by whom and with which kinds of records a patient without a name was \
                 treated. Whoever kept a copy of the \
                 header from before, and has a credential that opened it then, can read copies of the chart that were made \
                 before: erase again what is restored from a backup, and replace or destroy such headers. A header that is kept \
                 apart, and slots whose key a provider destroys, leave no such copy. What was exported, printed or sent is \
                 not reached."
            }
            Self::Removed => {
                "The patient's secret was destroyed and the key above it replaced. Nothing of the chart can be read with any \
                 credential that opens the vault now, neither from the vault's files nor from copies of its journal and trees \
                 that were made before. The sealed bytes of the chart and of the identifiers are gone from the vault's files; \
                 what the disk keeps of files that were removed is beyond the vault. The log still says when, by whom and with \
                 which kinds of records a patient without a name was treated. Whoever kept a copy of the header from before, \
                 and has a credential that opened it then, can read copies of the chart that were made before: erase again what is restored from a \
                 backup, and replace or destroy such headers. A header that is kept apart, and slots whose key a provider \
                 destroys, leave no such copy. What was exported, printed or sent is not reached."
            }
        }
    }
}

impl fmt::Display for ErasureLevel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Unreadable => "unreadable",
            Self::Removed => "unreadable and removed",
        })
    }
}

/// What erasing a patient did; see [`Vault::erase_patient`](crate::Vault::erase_patient). Where earlier erasures had been
/// interrupted they were finished along with it, and are counted with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ErasureReport {
    /// Stands for the patient in ledger and log.
    pub patient_tag: [u8; 16],
    /// Since when nobody gets anything of the chart.
    pub at: Timestamp,
    /// Versions of records that were removed.
    pub versions: u64,
    /// Identifiers that led to the patient, and lead to nobody now.
    pub identifiers: u64,
    /// Entries of the log that closed: they say what was done, and not to whom.
    pub log_entries: u64,
    /// Rows that could not be removed because the disk does not give them any more. Nobody could open them.
    pub left: u64,
    /// Other patients' keys that were sealed anew.
    pub rewrapped: u64,
    /// The compaction of the journal, where one was made.
    pub compaction: Option<Compaction>,
    /// How far it reaches.
    pub level: ErasureLevel,
}

impl ErasureReport {
    pub(super) fn of(begun: &Erasure, finished: &Finished) -> Self {
        let left = finished.records.left.saturating_add(finished.identifiers.left);
        let removed = finished.purged && left == 0;
        Self {
            patient_tag: begun.patient_tag,
            at: begun.begun,
            versions: finished.records.rows,
            identifiers: finished.identifiers.rows,
            log_entries: begun.log_entries,
            left,
            rewrapped: finished.rewrapped,
            compaction: finished.compaction,
            level: if removed { ErasureLevel::Removed } else { ErasureLevel::Unreadable },
        }
    }
}

impl fmt::Display for ErasureReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { at, versions, identifiers, log_entries, left, rewrapped, level, .. } = self;
        write!(f, "erased at {at}: {level}; {versions} versions of records and {identifiers} identifiers removed, ")?;
        write!(f, "{log_entries} entries of the log closed, {rewrapped} other patients' keys sealed anew")?;
        if *left > 0 {
            write!(f, "; {left} rows could not be read and stay, sealed for ever")?;
        }
        Ok(())
    }
}
