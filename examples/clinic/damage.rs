//! Act six: one byte of a stored value is changed in a copy of the vault, and the copy does not pass it off as true.

use std::fs::{self, OpenOptions};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use chartvault::{Entry, Error, Purpose, StorageError, Vault};

use crate::day::{Day, Letter};
use crate::show::{count, item, note, say, short};
use crate::staff::Clinic;
use crate::{Outcome, files};

/// A place on the disk, inside a value.
pub struct Place {
    /// Below the vault's folder.
    file: PathBuf,
    offset: u64,
}

/// Does something that stores a large value, and finds out where it went: whoever can read the folder sees the journal
/// grow, although not what was written.
pub fn watch<T>(vault: &Path, store: impl FnOnce() -> Outcome<T>) -> Outcome<(T, Place)> {
    let before = journal_end(vault)?;
    let stored = store()?;
    let (file, end) = journal_end(vault)?;
    let start = if file == before.0 { before.1 } else { 0 };
    Ok((stored, Place { file, offset: start.midpoint(end) }))
}

/// The newest segment of the journal, and where the zeros begin that it was filled with.
fn journal_end(vault: &Path) -> Outcome<(PathBuf, u64)> {
    let names = fs::read_dir(vault.join("journal"))?.map(|entry| entry.map(|entry| entry.file_name()));
    let names: Vec<_> = names.collect::<Result<_, _>>()?;
    let segments = names.into_iter().filter(|name| name.to_string_lossy().ends_with(".cvj"));
    let file = Path::new("journal").join(segments.max().ok_or("there is no journal")?);
    let bytes = fs::read(vault.join(&file))?;
    let used = bytes.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
    Ok((file, used as u64))
}

fn flip(path: &Path, offset: u64) -> Outcome<()> {
    let mut file = OpenOptions::new().read(true).write(true).open(path)?;
    let mut byte = [0];
    file.seek(SeekFrom::Start(offset))?;
    file.read_exact(&mut byte)?;
    file.seek(SeekFrom::Start(offset))?;
    Ok(file.write_all(&[byte[0] ^ 1])?)
}

pub fn run(clinic: &Clinic, copy: &Path, day: &Day) -> Outcome<()> {
    files::copy(&clinic.path, copy)?;
    flip(&copy.join(&day.place.file), day.place.offset)?;
    say("The vault is closed and its folder copied. In the copy, one bit changes:");
    println!();
    item("file", day.place.file.display());
    item("byte", count(day.place.offset));
    match open_and_read(clinic, copy, day)? {
        Err(Error::Storage(StorageError::Damaged { segment, offset, what })) => {
            if !segment.ends_with(&day.place.file) {
                return Err(format!("the damage is said to be in {}", segment.display()).into());
            }
            item("the copy says", format!("damaged, in the frame at byte {}:\n{what}", count(offset)));
            note("A large value lies in the journal alone; what is read there must match the hash kept of it.");
        }
        Err(Error::Tampered { record, version }) => {
            item("the copy says", format!("tampered: version {version} of\n{record}"));
        }
        Err(error) => return Err(error.into()),
        Ok(_) => return Err("the copy gave out a value whose bytes were changed".into()),
    }
    fs::remove_dir_all(copy)?;
    Ok(())
}

/// What the copy answers when the letter is asked for; it may also refuse to open at all. If it opens, only the letter
/// must fail: the rest of the chart is as it was.
fn open_and_read(clinic: &Clinic, copy: &Path, day: &Day) -> Outcome<Result<Entry<Letter>, Error>> {
    let vault = match Vault::open(copy)?.unlock(&clinic.passphrase) {
        Ok(vault) => vault,
        Err(error) => return Ok(Err(error)),
    };
    let session = vault.session(clinic.physician()?, Purpose::Treatment)?;
    let note = session.get(day.note)?;
    item("the note beside it", format!("opens (\"{}\")", short(&note.value.text, 40)));
    let read = session.get(day.letter);
    vault.close()?;
    Ok(read)
}
