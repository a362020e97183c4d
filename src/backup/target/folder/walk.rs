//! Goes through a folder of backups.

use std::collections::BinaryHeap;
use std::fs::{self, Metadata};
use std::io::{self, ErrorKind};
use std::path::Path;
use std::time::Duration;

use super::failed;
use crate::backup::target::{StoredObject, TargetError, name};

/// Names of one folder that are held in memory. Where there are more, the folder is read again for the next.
#[cfg(not(test))]
const AT_ONCE: usize = 1 << 16;
#[cfg(test)]
const AT_ONCE: usize = 8;

/// All objects in a folder whose part of the name begins so, and in the folders inside it, in the order of their names.
/// `above` is what the names begin with.
pub(super) fn list(
    dir: &Path,
    above: &str,
    begin: &str,
    each: &mut dyn FnMut(StoredObject),
) -> Result<(), TargetError> {
    let mut last = String::new();
    loop {
        let parts = next_parts(dir, begin, &last).map_err(|error| failed(above, "listing", dir, error))?;
        for part in &parts {
            let path = dir.join(part);
            let name = if above.is_empty() { part.clone() } else { format!("{above}/{part}") };
            match about(&path).map_err(|error| failed(&name, "reading", &path, error))? {
                Some(about) if about.is_dir() && name.len() < name::MAX_NAME => list(&path, &name, "", each)?,
                Some(about) if about.is_file() && name::is_name(&name) => each(StoredObject { name, len: about.len() }),
                _ => {}
            }
        }
        match parts.into_iter().next_back() {
            Some(part) => last = part,
            None => return Ok(()),
        }
    }
}

/// The folder itself and all inside it that can hold objects.
pub(super) fn folders(dir: &Path, each: &mut dyn FnMut(&Path) -> Result<(), TargetError>) -> Result<(), TargetError> {
    each(dir)?;
    let io = |error| failed("", "listing", dir, error);
    for entry in fs::read_dir(dir).map_err(io)? {
        let entry = entry.map_err(io)?;
        let is_ours = entry.file_name().to_str().is_some_and(name::is_part);
        // The type stands in the listing: no file is looked at.
        if is_ours && entry.file_type().map_err(io)?.is_dir() {
            folders(&entry.path(), each)?;
        }
    }
    Ok(())
}

/// Removes the files in a folder that have not been touched for so long, as far as that can be done.
pub(super) fn remove_left(dir: &Path, age: Duration) {
    if !fs::symlink_metadata(dir).is_ok_and(|about| about.is_dir()) {
        return;
    }
    let Ok(listing) = fs::read_dir(dir) else { return };
    for entry in listing.flatten() {
        let touched = entry.metadata().ok().filter(Metadata::is_file).and_then(|about| about.modified().ok());
        if touched.is_some_and(|touched| touched.elapsed().is_ok_and(|since| since >= age)) {
            let _ = fs::remove_file(entry.path());
        }
    }
}

/// The first names in a folder behind `last` that begin so and that an object or its folder can have; at most so many.
fn next_parts(dir: &Path, begin: &str, last: &str) -> io::Result<Vec<String>> {
    let listing = match fs::read_dir(dir) {
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => return Ok(Vec::new()),
        listing => listing?,
    };
    let mut first = BinaryHeap::new();
    for entry in listing {
        let Ok(part) = entry?.file_name().into_string() else { continue };
        if !name::is_part(&part) || !part.starts_with(begin) || part.as_str() <= last {
            continue;
        }
        first.push(part);
        if first.len() > AT_ONCE {
            first.pop();
        }
    }
    Ok(first.into_sorted_vec())
}

/// What is under a path, which is not followed; nothing if it went away.
fn about(path: &Path) -> io::Result<Option<Metadata>> {
    match fs::symlink_metadata(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        about => about.map(Some),
    }
}
