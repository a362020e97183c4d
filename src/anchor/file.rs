//! Checkpoints in files of another disk.

use std::fs::{self, File};
use std::io::{ErrorKind, Read, Write};
use std::path::{Path, PathBuf};

use super::{Anchor, AnchorError, ProofFrom};
use crate::audit::{Checkpoint, note};
use crate::ids::VaultId;
use crate::platform;

/// Keeps the last checkpoint of each vault as a file in a directory, which has to be there: on another disk, say, or a
/// share that whoever can change the vault cannot change. A file is replaced as a whole, and never by an older checkpoint.
///
/// ```
/// use std::sync::Arc;
/// use chartvault::{AnchorPolicy, FileAnchor, Options, RawKey, Vault};
/// # let dir = tempfile::tempdir().unwrap();
/// # let (path, other_disk) = (dir.path().join("clinic.vault"), dir.path().join("other"));
/// # std::fs::create_dir(&other_disk).unwrap();
/// let anchor = Arc::new(FileAnchor::new("second disk", &other_disk));
/// let options = Options::new().anchor(anchor, AnchorPolicy::default());
/// let key = RawKey::generate()?;
/// let (vault, _) = Vault::create(&path).raw_key(&key).options(options).finish()?;
/// vault.close()?; // the final checkpoint is anchored
/// assert_eq!(std::fs::read_dir(&other_disk).unwrap().count(), 1);
/// # Ok::<(), chartvault::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct FileAnchor {
    name: String,
    dir: PathBuf,
}

impl FileAnchor {
    /// In this directory.
    pub fn new(name: impl Into<String>, dir: impl AsRef<Path>) -> Self {
        Self { name: name.into(), dir: dir.as_ref().to_owned() }
    }

    /// The file of a vault.
    #[must_use]
    pub fn path_of(&self, vault: VaultId) -> PathBuf {
        self.dir.join(format!("{}.checkpoint", data_encoding::HEXLOWER.encode(vault.as_bytes())))
    }
}

impl Anchor for FileAnchor {
    fn name(&self) -> &str {
        &self.name
    }

    fn last(&self, vault: VaultId) -> Result<Option<String>, AnchorError> {
        let path = self.path_of(vault);
        let io = |source| AnchorError::Io { doing: "reading", path: path.clone(), source };
        // Without it, a disk that is not there would look like an anchor that holds nothing.
        fs::read_dir(&self.dir).map_err(io)?;
        let file = match platform::ordinary(&path).and_then(|()| File::open(&path)) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            file => file.map_err(io)?,
        };
        let most = u64::try_from(note::MAX_NOTE).unwrap_or(u64::MAX);
        let mut text = String::new();
        file.take(most).read_to_string(&mut text).map_err(io)?;
        Ok(Some(text))
    }

    fn publish(&self, vault: VaultId, checkpoint: &Checkpoint, _: ProofFrom<'_>) -> Result<(), AnchorError> {
        if let Some(held) = self.last(vault)? {
            refuse_older(&held, checkpoint)?;
        }
        let path = self.path_of(vault);
        let new = path.with_extension("new");
        let io = |doing| {
            let path = path.clone();
            move |source| AnchorError::Io { doing, path, source }
        };
        platform::ordinary(&new).map_err(io("writing"))?;
        let mut file = File::create(&new).map_err(io("writing"))?;
        file.write_all(checkpoint.note.as_bytes()).and_then(|()| file.sync_all()).map_err(io("writing"))?;
        drop(file);
        fs::rename(&new, &path).and_then(|()| platform::sync_dir(&self.dir)).map_err(io("replacing"))
    }
}

/// What an anchor that looks at what it holds refuses: it never goes back.
pub(super) fn refuse_older(held: &str, given: &Checkpoint) -> Result<(), AnchorError> {
    // What is no checkpoint does not keep a good one out: the vault compares before it opens.
    let Ok(held) = note::Claimed::parse(held) else { return Ok(()) };
    let same = held.size == given.size && held.root == given.root;
    if held.size < given.size || same { Ok(()) } else { Err(AnchorError::Older { held: held.size, given: given.size }) }
}
