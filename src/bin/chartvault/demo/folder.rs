//! The throw-away folder: made for its owner alone, and removed however the drill ends.

use std::env;
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use crate::exit::Code;
use crate::failure::{Failure, Outcome};
use crate::platform;

/// Names that are tried before the drill gives up on the folder for temporary files.
const TRIES: u32 = 16;

/// A folder that goes when this does, unless somebody asked to keep it.
pub struct Folder {
    path: PathBuf,
    kept: bool,
}

impl Folder {
    /// A new one among the temporary files; or at `keep`, which is not there yet or empty, to stay.
    pub fn make(keep: Option<&Path>) -> Outcome<Self> {
        match keep {
            Some(path) => Self::to_keep(path),
            None => Self::to_throw_away(),
        }
    }

    fn to_keep(path: &Path) -> Outcome<Self> {
        let made = platform::create_private_dir(path);
        match made {
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {
                let empty = fs::read_dir(path).is_ok_and(|mut inside| inside.next().is_none());
                if !empty {
                    return Err(Failure::new(
                        Code::Error,
                        format_args!("{} is not an empty directory", path.display()),
                    )
                    .hint("choose another one for --keep"));
                }
            }
            made => made.map_err(|error| Failure::file("making", path, &error))?,
        }
        let path = path.canonicalize().map_err(|error| Failure::file("finding", path, &error))?;
        Ok(Self { path, kept: true })
    }

    fn to_throw_away() -> Outcome<Self> {
        let among = env::temp_dir();
        let mut last = None;
        for _ in 0..TRIES {
            let random = getrandom::u64().map_err(|error| Failure::new(Code::Error, error))?;
            let path = among.join(format!("chartvault-demo-{random:016x}"));
            match platform::create_private_dir(&path) {
                Ok(()) => return Ok(Self { path, kept: false }),
                Err(error) if error.kind() == ErrorKind::AlreadyExists => last = Some(error),
                Err(error) => return Err(Failure::file("making", &path, &error)),
            }
        }
        let error = last.unwrap_or_else(|| ErrorKind::AlreadyExists.into());
        Err(Failure::file("making a folder in", &among, &error))
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    pub const fn is_kept(&self) -> bool {
        self.kept
    }

    /// Removes it now, and says so where that fails. What is to be kept stays.
    pub fn remove(mut self) -> Outcome<()> {
        if self.kept {
            return Ok(());
        }
        // What `drop` would try again.
        self.kept = true;
        removed(&self.path).map_err(|error| Failure::file("removing", &self.path, &error))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        if !self.kept {
            // Something else ended the drill, which is told; nothing in the folder is about anybody.
            drop(removed(&self.path));
        }
    }
}

/// A second look, since on some systems a file that was closed just now is held for a moment.
fn removed(path: &Path) -> std::io::Result<()> {
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        Err(_) => {
            thread::sleep(Duration::from_millis(200));
            fs::remove_dir_all(path)
        }
        done => done,
    }
}

/// Copies a directory with all that is in it.
pub fn copy(from: &Path, to: &Path) -> Outcome<()> {
    platform::create_private_dir(to).map_err(|error| Failure::file("making", to, &error))?;
    for file in inside(from)? {
        let target = to.join(file.file_name().unwrap_or_default());
        if file.is_dir() {
            copy(&file, &target)?;
        } else {
            let copied = fs::copy(&file, &target);
            let _ = copied.map_err(|error| Failure::file("copying", &file, &error))?;
        }
    }
    Ok(())
}

/// All files in a directory and those below it.
pub fn files(dir: &Path) -> Outcome<Vec<PathBuf>> {
    let mut files = Vec::new();
    for path in inside(dir)? {
        if path.is_dir() {
            files.extend(self::files(&path)?);
        } else {
            files.push(path);
        }
    }
    Ok(files)
}

/// What is in a directory, by name.
fn inside(dir: &Path) -> Outcome<Vec<PathBuf>> {
    let listed = fs::read_dir(dir).and_then(|entries| entries.map(|entry| Ok(entry?.path())).collect());
    let mut listed: Vec<PathBuf> = listed.map_err(|error| Failure::file("reading", dir, &error))?;
    listed.sort();
    Ok(listed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_goes_with_its_holder_and_a_kept_one_stays() -> Outcome<()> {
        let folder = Folder::make(None)?;
        let path = folder.path().to_owned();
        fs::create_dir(path.join("inside"))?;
        fs::write(path.join("inside/file"), b"x")?;
        assert_eq!(files(&path)?, [path.join("inside").join("file")]);
        drop(folder);
        assert!(!path.exists());

        let other = Folder::make(None)?;
        let at = other.path().join("kept");
        drop(Folder::make(Some(&at))?);
        assert!(at.is_dir());
        fs::write(at.join("file"), b"x")?;
        assert!(Folder::make(Some(&at)).is_err(), "what is there is not mixed with the drill's");
        other.remove()?;
        assert!(!at.exists());
        Ok(())
    }
}
