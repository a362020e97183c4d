//! Checkpoints as the vault's callers hold them: size, root, and the signed note that says both.

use std::fmt;
use std::str::FromStr;

use chartvault_verify::note;
use data_encoding::HEXLOWER;

/// What the log was at some time: how many entries it had, and the root of the Merkle tree over them (RFC 6962). Kept where
/// nobody who can change the vault can change it, it shows later whether the log was cut or rewritten.
///
/// Parsed from a C2SP signed note (<https://c2sp.org/tlog-checkpoint>) without looking at its signatures: whoever relies on
/// one verifies those, or has a vault say whether it is of its log.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Checkpoint {
    /// Entries of the log.
    pub size: u64,
    /// Root over them.
    pub root: [u8; 32],
    /// Both as a signed note: what is to be kept, and to be shown to others.
    pub note: String,
}

impl Checkpoint {
    /// The log whose checkpoint it says it is: `chartvault.local/` and the vault's id, in vaults' checkpoints.
    pub(crate) fn origin(&self) -> &str {
        self.note.split('\n').next().unwrap_or_default()
    }
}

impl fmt::Debug for Checkpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Checkpoint({} entries, root {})", self.size, HEXLOWER.encode(&self.root))
    }
}

impl fmt::Display for Checkpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.note)
    }
}

/// A text that is no checkpoint in a signed note.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("this is no signed checkpoint of a log ({0}); give the whole note, with the line of its signature")]
pub struct InvalidCheckpoint(String);

impl FromStr for Checkpoint {
    type Err = InvalidCheckpoint;

    fn from_str(text: &str) -> Result<Self, InvalidCheckpoint> {
        let note: note::Note = text.parse().map_err(|error: note::NoteError| InvalidCheckpoint(error.to_string()))?;
        let body: note::Checkpoint =
            note.text().parse().map_err(|error: note::CheckpointError| InvalidCheckpoint(error.to_string()))?;
        Ok(Self { size: body.size, root: body.root, note: text.to_owned() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOTE: &str = "chartvault.local/11111111111111111111111111111111\n7\n\
        AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=\n\n\u{2014} name AAAAAAAA\n";

    #[test]
    fn a_checkpoint_is_read_from_its_note_and_shown_as_it() {
        let checkpoint: Checkpoint = NOTE.parse().unwrap();
        assert_eq!((checkpoint.size, checkpoint.root), (7, [1; 32]));
        assert_eq!(checkpoint.to_string(), NOTE);
        assert_eq!(checkpoint.origin(), "chartvault.local/11111111111111111111111111111111");
    }

    #[test]
    fn what_is_no_signed_checkpoint_is_refused() {
        for end in 0..NOTE.len() {
            assert!(NOTE.get(..end).is_none_or(|cut| cut.parse::<Checkpoint>().is_err()), "{end}");
        }
        assert!(NOTE.replace("\n7\n", "\n07\n").parse::<Checkpoint>().is_err());
    }
}
