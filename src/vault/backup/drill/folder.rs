//! The folder that a backup is restored into for a while.

use std::fs;
use std::path::{Path, PathBuf};

use data_encoding::HEXLOWER;

use crate::crypto::random;
use crate::error::Error;
use crate::platform;

/// A folder that goes away with all that is in it.
pub(super) struct Folder {
    path: PathBuf,
    removed: bool,
}

impl Folder {
    /// A new one, its owner's alone, below another.
    pub(super) fn make(below: Option<&Path>) -> Result<Self, Error> {
        let id: [u8; 8] = random::array()?;
        let below = below.map_or_else(std::env::temp_dir, Path::to_owned);
        let path = below.join(format!("chartvault-drill-{}", HEXLOWER.encode(&id)));
        let doing = "making the folder of a drill";
        platform::private_dir(&path).map_err(|source| Error::Io { doing, path: path.clone(), source })?;
        Ok(Self { path, removed: false })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Removes it, and says if that cannot be done.
    pub(super) fn remove(mut self) -> Result<(), Error> {
        self.removed = true;
        let doing = "removing the folder of a drill";
        fs::remove_dir_all(&self.path).map_err(|source| Error::Io { doing, path: self.path.clone(), source })
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        if !self.removed {
            // What went wrong before is what is told; the folder opens as no vault.
            let _ = fs::remove_dir_all(&self.path);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_is_private_and_goes_away_by_itself_and_on_demand() {
        let dir = tempfile::tempdir().unwrap();
        let left = || fs::read_dir(dir.path()).unwrap().count();
        let (one, two) = (Folder::make(Some(dir.path())).unwrap(), Folder::make(Some(dir.path())).unwrap());
        assert_eq!(left(), 2);
        for folder in [&one, &two] {
            fs::create_dir(folder.path().join("deep")).unwrap();
            fs::write(folder.path().join("deep/file"), b"x").unwrap();
            assert_eq!(platform::open_to_others(&fs::metadata(folder.path()).unwrap()), None);
        }
        one.remove().unwrap();
        assert_eq!(left(), 1);
        drop(two);
        assert_eq!(left(), 0);
        let nowhere = Folder::make(Some(&dir.path().join("missing"))).map(drop);
        assert!(matches!(nowhere, Err(Error::Io { .. })), "{nowhere:?}");
    }
}
