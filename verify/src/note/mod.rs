//! Signed notes (C2SP signed-note), checkpoints (C2SP tlog-checkpoint) and witnesses' cosignatures (C2SP tlog-cosignature).

mod checkpoint;
mod key;
mod signed;

use data_encoding::BASE64;

pub use checkpoint::{Checkpoint, CheckpointError};
pub use key::{KeyError, SignatureKind, VerifierKey, key_hash, vkey};
pub use signed::{MAX_NOTE, MAX_SIGNATURES, Note, NoteError, NoteSignature, Verified, signature_line};

/// Whether a name may stand in a note: not empty, without blanks, control characters and `+`.
fn is_name(name: &str) -> bool {
    !name.is_empty() && !name.contains(|c: char| c.is_whitespace() || c.is_control() || c == '+')
}

/// The bytes of a Base64 text, which is the only one for them: several that were padded one by one are none.
pub(crate) fn from_base64(text: &str) -> Option<Vec<u8>> {
    BASE64.decode(text.as_bytes()).ok().filter(|bytes| BASE64.encode(bytes) == text)
}
