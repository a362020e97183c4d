//! Floor 0: the few calls that are not the same on every platform. Both rooms offer the same names; the portable one is
//! tested on every platform, so that it cannot rot where it is not used.

use std::fs;
use std::io;
use std::path::Path;

#[cfg(any(test, not(unix)))]
mod portable;
#[cfg(unix)]
mod unix;

#[cfg(not(unix))]
pub(crate) use portable::{
    LocalSocket, PlacedFile, free_bytes, lock_memory, open_to_others, private, refuse_core_dumps, same_file, sync_dir,
};
#[cfg(feature = "backup")]
#[cfg(not(unix))]
pub(crate) use portable::{private_dir, rename_new, unfollowed};
#[cfg(unix)]
pub(crate) use unix::{
    LocalSocket, PlacedFile, free_bytes, lock_memory, open_to_others, private, refuse_core_dumps, same_file, sync_dir,
};
#[cfg(feature = "backup")]
#[cfg(unix)]
pub(crate) use unix::{private_dir, rename_new, unfollowed};

/// An error if there is something under this name that is no ordinary file: opening a named pipe would wait for whoever
/// writes to it.
pub(crate) fn ordinary(path: &Path) -> io::Result<()> {
    match fs::metadata(path) {
        Ok(about) if !about.is_file() => {
            Err(io::Error::new(io::ErrorKind::InvalidInput, "it is not an ordinary file; remove it"))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use std::fs::{self, File, OpenOptions};

    macro_rules! each_platform {
        ($($platform:ident),+) => {$(
            mod $platform {
                use super::*;
                use crate::platform::$platform::{PlacedFile, free_bytes, open_to_others, private, sync_dir};

                #[cfg(feature = "backup")]
                #[test]
                fn a_private_directory_is_a_new_one_and_shut_to_others() {
                    let dir = tempfile::tempdir().unwrap();
                    let path = dir.path().join("private");
                    crate::platform::$platform::private_dir(&path).unwrap();
                    assert!(path.is_dir());
                    if stringify!($platform) == "unix" {
                        assert_eq!(open_to_others(&fs::metadata(&path).unwrap()), None);
                    }
                    let again = crate::platform::$platform::private_dir(&path).map_err(|error| error.kind());
                    assert_eq!(again, Err(std::io::ErrorKind::AlreadyExists));
                }

                #[test]
                fn reads_and_writes_go_where_they_are_told() {
                    let dir = tempfile::tempdir().unwrap();
                    let path = dir.path().join("file");
                    let mut options = OpenOptions::new();
                    let file = PlacedFile::new(private(options.read(true).write(true).create_new(true)).open(&path).unwrap());
                    file.write_all_at(b"chart", 3).unwrap();
                    file.write_all_at(b"my ", 0).unwrap();
                    let mut read = [0; 4];
                    file.read_exact_at(&mut read, 2).unwrap();
                    assert_eq!(&read, b" cha");
                    assert_eq!(fs::read(&path).unwrap(), b"my chart");
                }

                #[test]
                fn reading_past_the_end_is_an_error() {
                    let dir = tempfile::tempdir().unwrap();
                    let path = dir.path().join("file");
                    fs::write(&path, b"short").unwrap();
                    let file = PlacedFile::new(File::open(&path).unwrap());
                    let error = file.read_exact_at(&mut [0; 4], 3).unwrap_err();
                    assert_eq!(error.kind(), std::io::ErrorKind::UnexpectedEof);
                }

                #[test]
                fn several_threads_share_a_file_without_mixing_places() {
                    let dir = tempfile::tempdir().unwrap();
                    let path = dir.path().join("file");
                    let mut options = OpenOptions::new();
                    let file = PlacedFile::new(options.read(true).write(true).create_new(true).open(&path).unwrap());
                    std::thread::scope(|scope| {
                        for part in 0..4_u8 {
                            let file = &file;
                            scope.spawn(move || {
                                for at in 0..64 {
                                    let place = at * 4 + u64::from(part);
                                    file.write_all_at(&[part], place).unwrap();
                                    let mut read = [9];
                                    file.read_exact_at(&mut read, place).unwrap();
                                    assert_eq!(read, [part]);
                                }
                            });
                        }
                    });
                    assert_eq!(fs::read(&path).unwrap(), [0, 1, 2, 3].repeat(64));
                }

                #[test]
                fn the_free_space_of_a_directory_is_told_or_unknown() {
                    let dir = tempfile::tempdir().unwrap();
                    assert_ne!(free_bytes(dir.path()), Some(0));
                    assert_eq!(free_bytes(&dir.path().join("absent")), None);
                }

                #[test]
                fn a_private_file_is_open_to_nobody_else() {
                    let dir = tempfile::tempdir().unwrap();
                    let mut options = OpenOptions::new();
                    let file = private(options.write(true).create_new(true)).open(dir.path().join("file")).unwrap();
                    let mode = open_to_others(&file.metadata().unwrap());
                    assert!(mode.is_none() || stringify!($platform) == "portable", "{mode:?}");
                }

                #[cfg(feature = "backup")]
                #[test]
                fn a_name_that_is_taken_stays() {
                    use crate::platform::$platform::rename_new;
                    let dir = tempfile::tempdir().unwrap();
                    let (from, to) = (dir.path().join("from"), dir.path().join("to"));
                    fs::write(&from, b"first").unwrap();
                    rename_new(&from, &to).unwrap();
                    assert!(!from.exists());
                    fs::write(&from, b"second").unwrap();
                    let error = rename_new(&from, &to).unwrap_err();
                    assert_eq!(error.kind(), std::io::ErrorKind::AlreadyExists);
                    assert_eq!(fs::read(&to).unwrap(), b"first");
                    assert_eq!(fs::read(&from).unwrap(), b"second");
                    let absent = rename_new(&dir.path().join("absent"), &dir.path().join("other")).unwrap_err();
                    assert_eq!(absent.kind(), std::io::ErrorKind::NotFound);
                }

                #[cfg(feature = "backup")]
                #[test]
                fn a_file_is_read_unfollowed() {
                    use std::io::Read;
                    use crate::platform::$platform::unfollowed;
                    let dir = tempfile::tempdir().unwrap();
                    fs::write(dir.path().join("file"), b"chart").unwrap();
                    let mut read = String::new();
                    let mut options = OpenOptions::new();
                    unfollowed(options.read(true)).open(dir.path().join("file")).unwrap().read_to_string(&mut read).unwrap();
                    assert_eq!(read, "chart");
                }

                #[test]
                fn a_directory_can_be_synced() {
                    let dir = tempfile::tempdir().unwrap();
                    sync_dir(dir.path()).unwrap();
                }
            }
        )+};
    }

    each_platform!(portable);
    #[cfg(unix)]
    each_platform!(unix);

    #[cfg(unix)]
    #[test]
    fn a_private_file_is_its_owners_alone() {
        use std::os::unix::fs::PermissionsExt;
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file");
        super::private(OpenOptions::new().write(true).create_new(true)).open(&path).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    }

    #[cfg(all(unix, feature = "backup"))]
    #[test]
    fn a_link_is_not_opened() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("file"), b"chart").unwrap();
        std::os::unix::fs::symlink(dir.path().join("file"), dir.path().join("link")).unwrap();
        super::unfollowed(OpenOptions::new().read(true)).open(dir.path().join("link")).unwrap_err();
    }

    #[cfg(unix)]
    #[test]
    fn nobody_waits_for_a_named_pipe() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("pipe");
        super::ordinary(&path).unwrap();
        if std::process::Command::new("mkfifo").arg(&path).status().is_ok_and(|done| done.success()) {
            super::ordinary(&path).unwrap_err();
        } else {
            println!("no mkfifo here: skipped");
        }
    }
}
