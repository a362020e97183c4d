//! In which form entries leave the vault.

use crate::audit::AuditEntry;
use crate::clock::Timestamp;
use crate::ids::PatientId;

/// In which form a sink gets entries.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum SinkForm {
    /// As [`AuditEntry`] has them: in clear. Whoever reads the sink reads who saw which patient.
    #[default]
    Opened,
    /// With a pseudonym instead of each patient, and without free text (detail, request id), which could name one. Equal
    /// patients have equal pseudonyms in all sinks of a vault; only the vault's key leads from a patient to it.
    Pseudonymous,
    /// Number, time and leaf hash alone: it shows that something was logged, and nothing else. Each leaf is an anchor: the log
    /// can be held against it, so that whoever rewrites the log has to rewrite the sink as well.
    Sealed,
}

/// One entry on its way to a sink.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Delivered {
    /// Its number in the log.
    pub seq: u64,
    /// When it was logged.
    pub time: Timestamp,
    /// `SHA-256(0x00 ‖ entry)`: its link in the chain and its leaf in the log's tree.
    pub leaf: [u8; 32],
    /// What it says; `None` in the sealed form.
    pub entry: Option<AuditEntry>,
}

impl Delivered {
    pub(crate) fn new((seq, time, leaf): (u64, Timestamp, [u8; 32]), entry: Option<AuditEntry>) -> Self {
        Self { seq, time, leaf, entry }
    }
}

/// Takes out of an entry what names patients.
pub(crate) fn pseudonymise(entry: &mut AuditEntry, of: impl Fn(PatientId) -> PatientId) {
    entry.requested = entry.requested.map(&of);
    for subject in &mut entry.subjects {
        subject.patient = subject.patient.map(&of);
    }
    (entry.detail, entry.request_id) = (None, None);
}
