//! Signed notes (C2SP signed-note), checkpoints (C2SP tlog-checkpoint) and witnesses' cosignatures (C2SP tlog-cosignature).

mod checkpoint;
mod key;
mod signed;

pub use checkpoint::{Checkpoint, CheckpointError};
pub use key::{KeyError, SignatureKind, VerifierKey, key_hash, vkey};
pub use signed::{MAX_NOTE, MAX_SIGNATURES, Note, NoteError, NoteSignature, Verified, signature_line};

/// Whether a name may stand in a note: not empty, without blanks and `+`.
fn is_name(name: &str) -> bool {
    !name.is_empty() && !name.contains(|c: char| c.is_whitespace() || c == '+')
}
