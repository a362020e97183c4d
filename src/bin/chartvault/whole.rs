//! Files that are there whole or not at all, however the process ends.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use crate::exit::Code;
use crate::failure::{Failure, Outcome};
use crate::secrets::new_private;

/// Whether the name is free: nothing is written over.
pub fn is_free(path: &Path) -> Outcome<()> {
    if !path.exists() {
        return Ok(());
    }
    Err(Failure::new(Code::Error, format_args!("{} exists already", path.display()))
        .hint("choose another name; nothing was written over"))
}

/// Has a file written beside its name (`.part`), for its owner alone, and gives it the name when it is whole and on the disk.
pub fn write<T>(path: &Path, write: impl FnOnce(&File) -> Outcome<T>) -> Outcome<T> {
    is_free(path)?;
    let mut beside = path.as_os_str().to_owned();
    beside.push(".part");
    let beside = PathBuf::from(beside);
    if beside.exists() {
        return Err(Failure::new(Code::Error, format_args!("{} exists already", beside.display()))
            .hint("it is left over from a run that was ended, or one is under way; if there is none, remove it"));
    }
    let file = new_private(&beside)?;
    let named = write(&file).and_then(|done| {
        is_free(path)?;
        let named = file.sync_all().and_then(|()| fs::rename(&beside, path));
        named.map(|()| done).map_err(|error| Failure::file("writing", path, &error))
    });
    if named.is_err() {
        // Half a file is none; where it cannot be removed, its name says what it is.
        drop(fs::remove_file(&beside));
    }
    named
}
