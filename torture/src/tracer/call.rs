//! What a stopped thread is about to do, in terms of files.

use std::ffi::OsString;
use std::fs;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};

use super::memory;

/// One call, numbered in the order in which calls began.
#[derive(Clone, Debug)]
pub struct Call {
    pub id: u64,
    pub what: What,
}

/// What a call does.
#[derive(Clone, Debug)]
pub enum What {
    /// A line of the ledger: whatever goes into a pipe that is not the one for complaints.
    Say {
        bytes: Vec<u8>,
    },
    Write {
        path: PathBuf,
        offset: u64,
        len: usize,
        data: Vec<u8>,
    },
    /// `fsync` or `fdatasync`, of a file or directory.
    Sync {
        path: PathBuf,
    },
    /// `sync_file_range`.
    Range {
        path: PathBuf,
    },
    Truncate {
        path: PathBuf,
        len: u64,
    },
    Allocate {
        path: PathBuf,
    },
    /// Opens a file that is made if it is not there.
    Create {
        path: PathBuf,
        existed: bool,
        empties: bool,
    },
    Open {
        path: PathBuf,
    },
    Rename {
        from: PathBuf,
        to: PathBuf,
    },
    Remove {
        path: PathBuf,
        dir: bool,
    },
    MakeDir {
        path: PathBuf,
    },
    Read {
        path: PathBuf,
    },
    /// A call that changes files in a way that is not recorded.
    Other {
        path: PathBuf,
        number: i64,
    },
}

impl What {
    /// The file or directory; the new name of one that is renamed.
    pub fn path(&self) -> Option<&Path> {
        match self {
            Self::Say { .. } => None,
            Self::Write { path, .. }
            | Self::Sync { path }
            | Self::Range { path }
            | Self::Truncate { path, .. }
            | Self::Allocate { path }
            | Self::Create { path, .. }
            | Self::Open { path }
            | Self::Remove { path, .. }
            | Self::MakeDir { path }
            | Self::Read { path }
            | Self::Other { path, .. }
            | Self::Rename { to: path, .. } => Some(path),
        }
    }

    /// One word.
    pub const fn word(&self) -> &'static str {
        match self {
            Self::Say { .. } => "say",
            Self::Write { .. } => "write",
            Self::Sync { .. } => "sync",
            Self::Range { .. } => "sync_file_range",
            Self::Truncate { .. } => "truncate",
            Self::Allocate { .. } => "allocate",
            Self::Create { .. } => "create",
            Self::Open { .. } => "open",
            Self::Rename { .. } => "rename",
            Self::Remove { .. } => "remove",
            Self::MakeDir { .. } => "mkdir",
            Self::Read { .. } => "read",
            Self::Other { .. } => "other",
        }
    }
}

/// Reads the call at which a thread stands. `None` for what concerns no file.
pub(super) fn read(tid: i32, registers: &libc::user_regs_struct, with_data: bool) -> Option<What> {
    let number = registers.orig_rax as i64;
    let (first, second, third, fourth) = (registers.rdi, registers.rsi, registers.rdx, registers.r10);
    let fd = |fd: u64| of_fd(tid, fd);
    let at = |dir: u64, name: u64| Some(resolve(tid, dir as i32, memory::text(tid, name)));
    let data = |address: u64, len: u64| if with_data { memory::bytes(tid, address, len as usize) } else { Vec::new() };
    const HERE: u64 = libc::AT_FDCWD as u64;
    Some(match number {
        libc::SYS_write | libc::SYS_pwrite64 => {
            let path = fd(first)?;
            if path.as_os_str().as_encoded_bytes().starts_with(b"pipe:") {
                if first == 2 {
                    return None;
                }
                return Some(What::Say { bytes: memory::bytes(tid, second, third as usize) });
            }
            let offset = if number == libc::SYS_pwrite64 { fourth } else { position(tid, first) };
            What::Write { path, offset, len: third as usize, data: data(second, third) }
        }
        libc::SYS_fsync | libc::SYS_fdatasync => What::Sync { path: fd(first)? },
        libc::SYS_sync_file_range => What::Range { path: fd(first)? },
        libc::SYS_ftruncate => What::Truncate { path: fd(first)?, len: second },
        libc::SYS_fallocate => What::Allocate { path: fd(first)? },
        libc::SYS_rename => What::Rename { from: at(HERE, first)?, to: at(HERE, second)? },
        libc::SYS_renameat | libc::SYS_renameat2 => What::Rename { from: at(first, second)?, to: at(third, fourth)? },
        libc::SYS_unlink => What::Remove { path: at(HERE, first)?, dir: false },
        libc::SYS_rmdir => What::Remove { path: at(HERE, first)?, dir: true },
        libc::SYS_unlinkat => What::Remove { path: at(first, second)?, dir: third as i32 & libc::AT_REMOVEDIR != 0 },
        libc::SYS_mkdir => What::MakeDir { path: at(HERE, first)? },
        libc::SYS_mkdirat => What::MakeDir { path: at(first, second)? },
        libc::SYS_open => opening(at(HERE, first)?, second as i32),
        libc::SYS_openat => opening(at(first, second)?, third as i32),
        libc::SYS_read | libc::SYS_pread64 => What::Read { path: fd(first)? },
        libc::SYS_truncate => What::Other { path: at(HERE, first)?, number },
        libc::SYS_link => What::Other { path: at(HERE, second)?, number },
        libc::SYS_linkat => What::Other { path: at(third, fourth)?, number },
        libc::SYS_copy_file_range => What::Other { path: fd(third)?, number },
        _ => What::Other { path: fd(first)?, number },
    })
}

fn opening(path: PathBuf, flags: i32) -> What {
    if flags & libc::O_CREAT == 0 {
        return What::Open { path };
    }
    let existed = path.exists();
    What::Create { path, existed, empties: flags & libc::O_TRUNC != 0 }
}

fn of_fd(tid: i32, fd: u64) -> Option<PathBuf> {
    fs::read_link(format!("/proc/{tid}/fd/{}", fd as u32)).ok()
}

fn resolve(tid: i32, dir: i32, name: Vec<u8>) -> PathBuf {
    let name = PathBuf::from(OsString::from_vec(name));
    if name.is_absolute() {
        return name;
    }
    let link = if dir == libc::AT_FDCWD { format!("/proc/{tid}/cwd") } else { format!("/proc/{tid}/fd/{dir}") };
    fs::read_link(link).unwrap_or_default().join(name)
}

/// Where the next plain write goes.
fn position(tid: i32, fd: u64) -> u64 {
    let about = fs::read_to_string(format!("/proc/{tid}/fdinfo/{}", fd as u32)).unwrap_or_default();
    about.lines().find_map(|line| line.strip_prefix("pos:")?.trim().parse().ok()).unwrap_or(0)
}
