//! What opening a vault found.

use std::fmt;
use std::path::PathBuf;

use crate::storage::Opened;

/// How opening went. After an unclean end, or if the trees were rebuilt, it also stands in the log.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Opening {
    /// Whether the vault had been closed. If not, the process or the machine stopped; nothing acknowledged was lost.
    pub clean: bool,
    /// Bytes of a write that was under way when the machine stopped, never acknowledged and now dropped.
    pub torn_bytes: u64,
    /// Journal frames brought over to the trees.
    pub replayed_frames: u64,
    /// Why the trees were rebuilt from the journal, if they were.
    pub rebuilt: Option<String>,
    /// The directory that trees were moved to which had turned out wrong, now or while the vault was open last. It may
    /// help to find out why; it is removed by the first opening after a proper close, or when others take its place.
    pub set_aside: Option<PathBuf>,
}

impl Opening {
    pub(super) const fn created() -> Self {
        Self { clean: true, torn_bytes: 0, replayed_frames: 0, rebuilt: None, set_aside: None }
    }

    pub(super) fn of(opened: &Opened) -> Self {
        Self {
            clean: opened.clean,
            torn_bytes: opened.torn.as_ref().map_or(0, |torn| torn.len),
            replayed_frames: opened.replayed_frames,
            rebuilt: opened.rebuilt.as_ref().map(ToString::to_string),
            set_aside: opened.set_aside.clone(),
        }
    }
}

impl fmt::Display for Opening {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.clean { "closed before" } else { "not closed before" })?;
        if self.torn_bytes > 0 {
            write!(f, ", {} torn bytes dropped", self.torn_bytes)?;
        }
        write!(f, ", {} frames replayed", self.replayed_frames)?;
        if let Some(reason) = &self.rebuilt {
            write!(f, ", trees rebuilt ({reason})")?;
        }
        if let Some(name) = self.set_aside.as_ref().and_then(|path| path.file_name()) {
            write!(f, ", the wrong ones set aside in {}", name.display())?;
        }
        Ok(())
    }
}
