//! What differs between platforms: private files, and the shell. The tool's counterpart to the library's own room.

#[cfg(unix)]
use std::fs;
use std::fs::{DirBuilder, File, Metadata, OpenOptions};
use std::io;
use std::path::Path;
use std::process::Command;

/// Creates a file that is not there yet, for its owner alone where the file system knows permissions.
pub fn create_private(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt;
        options.mode(0o600);
    }
    options.open(path)
}

/// Makes a directory for its owner alone, where the file system knows permissions. Says whether it was made: it may be there.
pub fn make_private_dir(path: &Path) -> io::Result<bool> {
    let mut builder = DirBuilder::new();
    builder.recursive(false);
    #[cfg(unix)]
    {
        use std::os::unix::fs::DirBuilderExt;
        builder.mode(0o700);
    }
    match builder.create(path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists && path.is_dir() => Ok(false),
        done => done.map(|()| true),
    }
}

/// Keeps others than its owner out of a directory that is there, where the file system knows permissions.
pub fn make_private(path: &Path) -> io::Result<()> {
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        fs::set_permissions(path, fs::Permissions::from_mode(0o700))
    }
    #[cfg(not(unix))]
    {
        let _ = path;
        Ok(())
    }
}

/// The permissions of a file that others than its owner may read or write.
pub fn open_to_others(about: &Metadata) -> Option<u32> {
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let mode = about.permissions().mode() & 0o777;
        (mode & 0o077 != 0).then_some(mode)
    }
    #[cfg(not(unix))]
    {
        let _ = about;
        None
    }
}

/// A command line, run by the system's shell.
pub fn shell(line: &str) -> Command {
    let (program, flag) = if cfg!(windows) { ("cmd", "/C") } else { ("sh", "-c") };
    let mut command = Command::new(program);
    command.args([flag, line]);
    command
}

/// A file descriptor that this process inherited, opened for reading.
pub fn descriptor(number: u32) -> io::Result<File> {
    if cfg!(unix) {
        File::open(format!("/dev/fd/{number}"))
    } else {
        Err(io::Error::new(io::ErrorKind::Unsupported, "file descriptors are inherited on Unix only"))
    }
}

/// Creates a directory that is not there yet, for its owner alone where the file system knows permissions.
pub fn create_private_dir(path: &Path) -> io::Result<()> {
    #[allow(unused_mut)] // where there are no permissions to set
    let mut builder = DirBuilder::new();
    #[cfg(unix)]
    {
        use std::os::unix::fs::DirBuilderExt;
        builder.mode(0o700);
    }
    builder.create(path)
}
