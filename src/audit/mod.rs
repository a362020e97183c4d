//! Floor 3: the audit log as bytes and rules. Entries, the chain that links them, and verification; knows no
//! storage and no session, and does no I/O.

pub(crate) mod archive;
pub(crate) mod chain;
pub(crate) mod checkpoint;
pub(crate) mod consent;
pub(crate) mod defect;
pub(crate) mod draft;
pub(crate) mod entry;
pub(crate) mod event;
pub(crate) mod filter;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzzing;
pub(crate) mod index;
pub(crate) mod json;
pub(crate) mod keys;
pub(crate) mod note;
pub(crate) mod payload;
pub(crate) mod proof_error;
pub(crate) mod prune_error;
pub(crate) mod pruned;
pub(crate) mod reads;
pub(crate) mod subject;
pub(crate) mod tile;
pub(crate) mod verify;
pub(crate) mod view;

pub(crate) use chain::{CLOCK_STEP_MICROS, Chain, FIRST_SIGNING_EPOCH, Head};
pub(crate) use draft::{Draft, DraftError, Prepared};
pub(crate) use entry::{EntryKind, EntryRef};
pub(crate) use filter::Terms;
pub(crate) use index::{Columns, Named, Part, STRETCH, Said};
pub(crate) use keys::{AuditKeys, SubjectKey};
pub(crate) use reads::{MAX_SPAN as READS_SPAN, Reads};
pub(crate) use subject::{DraftSubject, seal_and_discard};
pub(crate) use tile::{TileSeal, root_of_full, tile_key, tile_of};
pub(crate) use verify::{Examined, Verified, Verifier, begins_as_it_says, epochs_follow};
pub(crate) use view::{OpenEntryError, open_entry, subject_tags};

pub use archive::{LogArchive, LogArchiveError};
pub use checkpoint::{Checkpoint, InvalidCheckpoint};
pub use consent::AuditConsent;
pub(crate) use consent::note as note_consent;
pub use defect::EntryDefect;
pub use event::{AuditEvent, Outcome};
pub use filter::AuditFilter;
pub(crate) use note::origin;
pub use proof_error::LogProofError;
pub use prune_error::LogPruneError;
pub use pruned::LogPruned;
pub(crate) use pruned::TILE;
pub use reads::AuditRead;
pub use subject::{AuditRecord, AuditSubject};
pub use verify::{AuditFault, FaultKind};
pub use view::AuditEntry;

#[cfg(test)]
pub(crate) mod tests;
