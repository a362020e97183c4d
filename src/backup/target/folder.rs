//! Backups in a folder of another disk.

use std::fs::{self, File, Metadata, OpenOptions};
use std::io::{self, ErrorKind, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::{BackupTarget, MARK, MARK_TEXT, StoredObject, TargetError, name};
use crate::platform;

mod walk;

/// Where an object is until all of it is durable. No object can have such a name.
const UNFINISHED: &str = ".unfinished";
/// What was left there by a process that was killed goes after so long: nothing takes that long to be written.
const LEFT: Duration = Duration::from_secs(24 * 60 * 60);

/// Counts the files that this process has begun.
static BEGUN: AtomicU64 = AtomicU64::new(0);

/// Keeps backups in a folder: of another disk, or of a share that whoever can change the vault cannot change. An object is a file
/// of its name, so a copy of the folder with any tool is a copy of the backups.
///
/// What is written is first made durable under another name, then given its own, which replaces nothing, then its folder is
/// synced. A process that is killed leaves nothing that looks like an object. Links inside the folder are not followed.
///
/// ```
/// use chartvault::{BackupTarget, FolderTarget, TargetError};
/// # let dir = tempfile::tempdir().unwrap();
/// # let path = dir.path().join("clinic");
/// let target = FolderTarget::create(&path)?;
/// target.put_new("objects/00ff", b"sealed bytes")?;
/// assert!(matches!(target.put_new("objects/00ff", b"others"), Err(TargetError::Exists { .. })));
/// assert_eq!(FolderTarget::open(&path)?.get("objects/00ff", 100)?, b"sealed bytes");
/// # Ok::<(), TargetError>(())
/// ```
#[derive(Debug)]
pub struct FolderTarget {
    name: String,
    dir: PathBuf,
    /// The folder as it was when it was opened. A disk that is unmounted leaves another one under its name.
    opened: Metadata,
}

impl FolderTarget {
    /// Makes a target of a folder, which is made if it is not there; what is above it has to be.
    ///
    /// # Errors
    /// [`TargetError::Exists`] when it is one already: [`FolderTarget::open`] it. [`TargetError::NoTarget`] when the folder above
    /// it is not there; [`TargetError::Refused`], [`TargetError::Full`] and [`TargetError::Io`] of the disk.
    pub fn create(path: impl AsRef<Path>) -> Result<Self, TargetError> {
        let path = path.as_ref();
        match fs::create_dir(path) {
            Err(error) if error.kind() == ErrorKind::NotFound => {
                return Err(TargetError::NoTarget { path: path.to_owned() });
            }
            Err(error) if error.kind() != ErrorKind::AlreadyExists => {
                return Err(failed(MARK, "creating", path, error));
            }
            _ => {}
        }
        let dir = path.canonicalize().map_err(|error| failed(MARK, "opening", path, error))?;
        let mark = dir.join(MARK);
        let write = || {
            let mut file = platform::unfollowed(OpenOptions::new().write(true).create_new(true)).open(&mark)?;
            file.write_all(MARK_TEXT.as_bytes()).and_then(|()| file.sync_all())?;
            platform::sync_dir(&dir)?;
            dir.parent().map_or(Ok(()), platform::sync_dir)
        };
        write().map_err(|error| failed(MARK, "writing", &mark, error))?;
        Self::open(path)
    }

    /// A folder that [`FolderTarget::create`] made a target of. What killed processes left there a day ago or longer is removed.
    ///
    /// # Errors
    /// [`TargetError::NoTarget`] when it is none: its disk is not mounted, say. [`TargetError::Io`].
    pub fn open(path: impl AsRef<Path>) -> Result<Self, TargetError> {
        let path = path.as_ref();
        let none = |error: io::Error| match error.kind() {
            ErrorKind::NotFound | ErrorKind::NotADirectory => TargetError::NoTarget { path: path.to_owned() },
            _ => failed(MARK, "opening", path, error),
        };
        let dir = path.canonicalize().map_err(none)?;
        let opened = fs::metadata(&dir).map_err(none)?;
        if !fs::symlink_metadata(dir.join(MARK)).map_err(none)?.is_file() {
            return Err(TargetError::NoTarget { path: path.to_owned() });
        }
        let target = Self { name: path.display().to_string(), dir, opened };
        walk::remove_left(&target.dir.join(UNFINISHED), LEFT);
        target.settle()?;
        Ok(target)
    }

    /// What people know it by; its path if this is not called.
    #[must_use]
    pub fn named(mut self, name: impl Into<String>) -> Self {
        self.name = name.into();
        self
    }

    /// Names that a killed process gave and did not live to sync become durable: what is listed then stays.
    fn settle(&self) -> Result<(), TargetError> {
        walk::folders(&self.dir, &mut |folder| match platform::sync_dir(folder) {
            Err(error) if error.kind() == ErrorKind::ReadOnlyFilesystem => Ok(()),
            done => done.map_err(|error| failed(MARK, "syncing", folder, error)),
        })
    }

    /// An error when the folder is no more the one that was opened.
    fn is_there(&self) -> Result<(), TargetError> {
        match fs::metadata(&self.dir) {
            Ok(now) if platform::same_file(&now, &self.opened) => Ok(()),
            _ => Err(TargetError::Unreachable {
                why: format!(
                    "{} is not the folder any more that was opened; see whether its disk is mounted",
                    self.name
                ),
                retry: false,
            }),
        }
    }

    /// The path of an object and of its folder; no folder of it is a link.
    fn place(&self, name: &str) -> Result<(PathBuf, PathBuf), TargetError> {
        name::check(name)?;
        self.is_there()?;
        let mut folder = self.dir.clone();
        let mut parts = name.split('/').peekable();
        while let Some(part) = parts.next() {
            if parts.peek().is_none() {
                return Ok((folder.join(part), folder));
            }
            folder.push(part);
            refuse_other(&folder, name, Metadata::is_dir)?;
        }
        Err(TargetError::BadName { name: name.to_owned() })
    }

    /// Makes the folder of an object and those above it.
    pub(super) fn make_folder(&self, folder: &Path, name: &str) -> Result<(), TargetError> {
        if folder.is_dir() {
            return Ok(());
        }
        let Some(above) = folder.parent().filter(|_| folder != self.dir) else {
            // The target's own folder went since it was looked for: its disk was taken away, and is not made up here.
            return Err(failed(name, "looking for", folder, ErrorKind::NotFound.into()));
        };
        self.make_folder(above, name)?;
        match fs::create_dir(folder) {
            Err(error) if error.kind() != ErrorKind::AlreadyExists => Err(failed(name, "creating", folder, error)),
            _ => platform::sync_dir(above).map_err(|error| failed(name, "syncing", above, error)),
        }
    }

    /// Writes all of it under a name that no object has.
    fn write_unfinished(&self, name: &str, bytes: &[u8]) -> Result<PathBuf, TargetError> {
        let folder = self.dir.join(UNFINISHED);
        refuse_other(&folder, name, Metadata::is_dir)?;
        self.make_folder(&folder, name)?;
        let mut last = TargetError::Exists { name: name.to_owned() };
        // Another machine may have taken the same name.
        for _ in 0..100 {
            let begun = BEGUN.fetch_add(1, Ordering::Relaxed);
            let path = folder.join(format!("{:08x}-{begun:08x}", std::process::id()));
            let opened = platform::unfollowed(OpenOptions::new().write(true).create_new(true)).open(&path);
            let mut file = match opened {
                Err(error) if error.kind() == ErrorKind::AlreadyExists => {
                    last = failed(name, "creating", &path, error);
                    continue;
                }
                file => file.map_err(|error| failed(name, "creating", &path, error))?,
            };
            if let Err(error) = file.write_all(bytes).and_then(|()| file.sync_all()) {
                drop(file);
                let _ = fs::remove_file(&path);
                return Err(failed(name, "writing", &path, error));
            }
            return Ok(path);
        }
        Err(last)
    }
}

impl BackupTarget for FolderTarget {
    fn put_new(&self, name: &str, bytes: &[u8]) -> Result<(), TargetError> {
        let (path, folder) = self.place(name)?;
        self.make_folder(&folder, name)?;
        // Spares writing all of it for nothing; that nothing is replaced hangs on the rename alone.
        let renamed = match fs::symlink_metadata(&path) {
            Ok(_) => Err(ErrorKind::AlreadyExists.into()),
            Err(_) => {
                let unfinished = self.write_unfinished(name, bytes)?;
                platform::rename_new(&unfinished, &path).inspect_err(|_| drop(fs::remove_file(&unfinished)))
            }
        };
        let synced = platform::sync_dir(&folder).map_err(|error| failed(name, "syncing", &folder, error));
        match renamed {
            // What is there is durable, whoever put it there and was killed before that was sure.
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {
                synced.and(Err(TargetError::Exists { name: name.to_owned() }))
            }
            Err(error) => Err(failed(name, "renaming to", &path, error)),
            Ok(()) => synced,
        }
    }

    fn get(&self, name: &str, limit: usize) -> Result<Vec<u8>, TargetError> {
        let (path, _) = self.place(name)?;
        refuse_other(&path, name, Metadata::is_file)?;
        let io = |error: io::Error| match error.kind() {
            ErrorKind::NotFound => TargetError::Absent { name: name.to_owned() },
            _ => failed(name, "reading", &path, error),
        };
        let file = platform::unfollowed(OpenOptions::new().read(true)).open(&path).map_err(io)?;
        let about = file.metadata().map_err(io)?;
        if !about.is_file() {
            return Err(other(name));
        }
        let too_large = |len| TargetError::TooLarge { name: name.to_owned(), len, limit };
        let len = usize::try_from(about.len()).map_err(|_| too_large(about.len()))?;
        if len > limit {
            return Err(too_large(about.len()));
        }
        read_all(&file, len, limit).map_err(io)?.ok_or_else(|| too_large(about.len().saturating_add(1)))
    }

    fn list(&self, prefix: &str, each: &mut dyn FnMut(StoredObject)) -> Result<(), TargetError> {
        let (folder, begin) = name::split_prefix(prefix)?;
        self.is_there()?;
        let mut dir = self.dir.clone();
        for part in folder.split('/').filter(|part| !part.is_empty()) {
            dir.push(part);
            refuse_other(&dir, folder, |about| about.is_dir() || about.is_file())?;
        }
        walk::list(&dir, folder, begin, each)?;
        // A disk that went away meanwhile gave a part.
        self.is_there()
    }

    fn delete(&self, name: &str) -> Result<(), TargetError> {
        let (path, folder) = self.place(name)?;
        match fs::remove_file(&path) {
            Err(error) if error.kind() == ErrorKind::NotFound => Err(TargetError::Absent { name: name.to_owned() }),
            Err(error) => Err(failed(name, "removing", &path, error)),
            Ok(()) => platform::sync_dir(&folder).map_err(|error| failed(name, "syncing", &folder, error)),
        }
    }

    fn name(&self) -> &str {
        &self.name
    }
}

/// An error if there is something under this path that is not what it should be: a link leads elsewhere.
fn refuse_other(path: &Path, name: &str, is_good: impl Fn(&Metadata) -> bool) -> Result<(), TargetError> {
    match fs::symlink_metadata(path) {
        Ok(about) if !is_good(&about) => Err(other(name)),
        Err(error) if !matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {
            Err(failed(name, "reading", path, error))
        }
        _ => Ok(()),
    }
}

fn other(name: &str) -> TargetError {
    TargetError::Refused { name: name.to_owned(), why: "there is a link or another thing in its place".to_owned() }
}

/// A file that had so many bytes; nothing if it has grown over the limit.
fn read_all(file: &File, len: usize, limit: usize) -> io::Result<Option<Vec<u8>>> {
    let mut bytes = Vec::new();
    bytes.try_reserve_exact(len).map_err(|_| ErrorKind::OutOfMemory)?;
    let most = u64::try_from(limit).unwrap_or(u64::MAX).saturating_add(1);
    file.take(most).read_to_end(&mut bytes)?;
    Ok((bytes.len() <= limit).then_some(bytes))
}

/// The error of an object for that of a file.
fn failed(name: &str, doing: &str, path: &Path, source: io::Error) -> TargetError {
    let refused = |why: &str| TargetError::Refused { name: name.to_owned(), why: why.to_owned() };
    match source.kind() {
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => TargetError::Full,
        ErrorKind::ReadOnlyFilesystem => refused("the disk is read-only"),
        ErrorKind::PermissionDenied => refused("the rights of its file or folder"),
        ErrorKind::AlreadyExists => TargetError::Exists { name: name.to_owned() },
        _ => TargetError::Io { what: format!("{doing} {}", path.display()), source },
    }
}
