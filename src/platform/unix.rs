//! Unix.

use std::fs::{File, Metadata, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::time::Duration;

/// A file that is read and written at named places, by any number of threads.
#[derive(Debug)]
pub(crate) struct PlacedFile(File);

impl PlacedFile {
    pub(crate) const fn new(file: File) -> Self {
        Self(file)
    }

    pub(crate) const fn file(&self) -> &File {
        &self.0
    }

    /// Fills `buffer` from `offset` on.
    pub(crate) fn read_exact_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        self.0.read_exact_at(buffer, offset)
    }

    /// Writes all of `bytes` from `offset` on.
    pub(crate) fn write_all_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.0.write_all_at(bytes, offset)
    }
}

/// Makes the names in a directory durable.
pub(crate) fn sync_dir(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}

/// Bytes that may still be written to the file system of a directory; nothing if it does not say.
pub(crate) fn free_bytes(path: &Path) -> Option<u64> {
    let about = rustix::fs::statvfs(path).ok()?;
    Some(about.f_bavail.saturating_mul(about.f_frsize))
}

/// Whatever these options create is its owner's alone.
pub(crate) fn private(options: &mut OpenOptions) -> &mut OpenOptions {
    options.mode(0o600)
}

/// Makes a directory that is its owner's alone.
#[cfg(feature = "backup")]
pub(crate) fn private_dir(path: &Path) -> io::Result<()> {
    use std::os::unix::fs::DirBuilderExt;
    std::fs::DirBuilder::new().mode(0o700).create(path)
}

/// The permissions of a file that others than its owner may open.
pub(crate) fn open_to_others(about: &Metadata) -> Option<u32> {
    let mode = about.permissions().mode() & 0o777;
    (mode & 0o077 != 0).then_some(mode)
}

/// Keeps every page of the process out of swap, those included that it will have later.
#[cfg(any(target_os = "linux", target_os = "android", target_os = "freebsd"))]
pub(crate) fn lock_memory() -> Result<(), &'static str> {
    use rustix::mm::MlockAllFlags;
    use rustix::process::{Resource, getrlimit};
    // With a limit, whoever asks for memory beyond it later would be refused, and Rust ends the process then.
    if getrlimit(Resource::Memlock).current.is_some() {
        return Err("RLIMIT_MEMLOCK is not unlimited; raise it, or encrypt swap or turn it off");
    }
    let flags = MlockAllFlags::CURRENT | MlockAllFlags::FUTURE;
    // Pages that were only set aside are locked when they are used.
    #[cfg(any(target_os = "linux", target_os = "android"))]
    let flags = flags | MlockAllFlags::ONFAULT;
    rustix::mm::mlockall(flags).map_err(|_| "the system refused to lock memory; encrypt swap or turn it off")
}

/// The crate that asks the system here has no such call.
#[cfg(not(any(target_os = "linux", target_os = "android", target_os = "freebsd")))]
pub(crate) const fn lock_memory() -> Result<(), &'static str> {
    Err("this version cannot lock memory on this platform; encrypt swap or turn it off")
}

/// Refuses core dumps of the process and, on Linux, to be read by other processes of its user.
pub(crate) fn refuse_core_dumps() -> Result<(), &'static str> {
    use rustix::process::{Resource, Rlimit, setrlimit};
    let none = Rlimit { current: Some(0), maximum: Some(0) };
    setrlimit(Resource::Core, none).map_err(|_| "the system refused to turn core dumps off")?;
    #[cfg(any(target_os = "linux", target_os = "android"))]
    rustix::process::set_dumpable_behavior(rustix::process::DumpableBehavior::NotDumpable)
        .map_err(|_| "the system refused to make the process not dumpable")?;
    Ok(())
}

/// Whether both are about the same file, whatever its name.
pub(crate) fn same_file(a: &Metadata, b: &Metadata) -> bool {
    (a.dev(), a.ino()) == (b.dev(), b.ino())
}

/// Moves a file to a name that nothing has yet; one that is taken stays as it is.
#[cfg(feature = "backup")]
pub(crate) fn rename_new(from: &Path, to: &Path) -> io::Result<()> {
    #[cfg(any(target_os = "linux", target_os = "android", target_os = "macos", target_os = "ios"))]
    {
        use rustix::fs::{CWD, RenameFlags, renameat_with};
        use rustix::io::Errno;
        match renameat_with(CWD, from, CWD, to, RenameFlags::NOREPLACE) {
            // Not on this file system: network file systems, say.
            Err(Errno::INVAL | Errno::NOSYS | Errno::NOTSUP) => {}
            done => return done.map_err(Into::into),
        }
    }
    match std::fs::hard_link(from, to) {
        // Over a network the answer to a link that was made can be lost, and asking again finds it there.
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            let (mine, there) = (from.symlink_metadata()?, to.symlink_metadata()?);
            if !same_file(&mine, &there) {
                return Err(error);
            }
        }
        done => done?,
    }
    std::fs::remove_file(from)
}

/// Whatever these options open is itself there: no link is followed. A pipe is not waited for.
#[cfg(feature = "backup")]
pub(crate) fn unfollowed(options: &mut OpenOptions) -> &mut OpenOptions {
    use rustix::fs::OFlags;
    let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK;
    options.custom_flags(i32::try_from(flags.bits()).unwrap_or(0))
}

/// A datagram socket of this machine.
#[derive(Debug)]
pub(crate) struct LocalSocket(UnixDatagram);

impl LocalSocket {
    /// To whoever listens under this path; a datagram may take so long.
    pub(crate) fn connect(path: &Path, patience: Duration) -> io::Result<Self> {
        let socket = UnixDatagram::unbound()?;
        socket.set_write_timeout(Some(patience))?;
        socket.connect(path)?;
        Ok(Self(socket))
    }

    pub(crate) fn send(&self, datagram: &[u8]) -> io::Result<()> {
        self.0.send(datagram).map(drop)
    }
}
