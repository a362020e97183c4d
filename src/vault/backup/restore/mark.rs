//! The mark of a directory into which a backup is being restored. As long as it is there no vault is opened from it.

use std::fs;
use std::io::ErrorKind;
use std::path::Path;

use data_encoding::HEXLOWER;

use super::RestorePoint;
use crate::backup::BackupFault;
use crate::error::Error;
use crate::storage::file::{self, StoredFile};
use crate::vault::home::RESTORING;

/// Characters of the source's name that are kept.
const MOST_SOURCE: usize = 1_000;
/// A mark that is being written.
const UNWRITTEN: &str = "restoring.tmp";
/// Bytes of a mark, at most.
const MOST: u64 = 64 << 10;

/// How far a restore came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    /// The journal is being put together.
    Copying,
    /// It is all there, and is cut to the wanted state.
    Cutting,
    /// The vault can be opened, and lacks what the key pack brings.
    Finishing,
    /// Patients have the secrets of the pack, which are not to be put there again: erasing seals them under other keys.
    Erasing,
}

impl Stage {
    const ALL: [(Self, &'static str); 4] = [
        (Self::Copying, "copying"),
        (Self::Cutting, "cutting"),
        (Self::Finishing, "finishing"),
        (Self::Erasing, "erasing"),
    ];

    fn word(self) -> &'static str {
        Self::ALL.iter().find(|(stage, _)| *stage == self).map_or("", |(_, word)| word)
    }
}

/// What the mark says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Mark {
    pub(super) source: String,
    pub(super) point: String,
    /// The hash of the manifest with which the copy begins that is being put together.
    pub(super) chain: Option<[u8; 32]>,
    /// The manifest that was chosen, once it may not change any more.
    pub(super) last: Option<u64>,
    pub(super) stage: Stage,
    /// Pieces that are durable.
    pub(super) pieces: u64,
    /// Hash over what these are.
    pub(super) copied: [u8; 32],
    /// Log entries of the wanted state, once they are known.
    pub(super) entries: u64,
}

impl Mark {
    pub(super) fn new(source: &str, point: RestorePoint) -> Self {
        let printable = |c: char| if c.is_control() { ' ' } else { c };
        let source: String = source.chars().take(MOST_SOURCE).map(printable).collect();
        let source = source.trim_end().to_owned();
        let (point, stage) = (point.to_string(), Stage::Copying);
        Self { source, point, chain: None, last: None, stage, pieces: 0, copied: [0; 32], entries: 0 }
    }

    /// The mark in a directory, if it has one.
    pub(super) fn read(dir: &Path) -> Result<Option<Self>, Error> {
        let path = dir.join(RESTORING);
        match fs::metadata(&path) {
            Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => return Ok(None),
            Ok(about) if about.len() > MOST => return Err(unknown("something else")),
            _ => {}
        }
        let file = StoredFile::open(&path)?;
        let mut bytes = vec![0; usize::try_from(file.len()?.min(MOST)).unwrap_or(0)];
        file.read_at(&mut bytes, 0)?;
        let read = std::str::from_utf8(&bytes).ok().and_then(Self::parse);
        read.map(Some).ok_or_else(|| unknown("something that cannot be told any more"))
    }

    /// This mark, if it is of that source and that point.
    pub(super) fn of(self, source: &str, point: RestorePoint) -> Result<Self, Error> {
        let wanted = Self::new(source, point);
        if (&wanted.source, &wanted.point) == (&self.source, &self.point) {
            return Ok(self);
        }
        Err(unknown(&format!("{} from {}", self.point, self.source)))
    }

    fn parse(text: &str) -> Option<Self> {
        let mut lines = text.lines();
        let mut next = |word: &str| lines.next()?.strip_prefix(word)?.strip_prefix(' ');
        let (source, point) = (next("source")?.to_owned(), next("point")?.to_owned());
        let chain = match next("chain")? {
            "none" => None,
            hex => Some(hash(hex)?),
        };
        let last = number(next("manifest")?)?;
        let stage = next("stage")?;
        let (stage, _) = *Stage::ALL.iter().find(|(_, word)| *word == stage)?;
        let (pieces, copied) = (next("pieces")?.parse().ok()?, hash(next("copied")?)?);
        let entries = next("entries")?.parse().ok()?;
        let read = Self { source, point, chain, last, stage, pieces, copied, entries };
        (read.text() == text).then_some(read)
    }

    fn text(&self) -> String {
        let Self { source, point, chain, last, stage, pieces, copied, entries } = self;
        let none = || "none".to_owned();
        let chain = chain.map_or_else(none, |hash| HEXLOWER.encode(&hash));
        let last = last.map_or_else(none, |number| number.to_string());
        let (stage, copied) = (stage.word(), HEXLOWER.encode(copied));
        format!(
            "source {source}\npoint {point}\nchain {chain}\nmanifest {last}\nstage {stage}\npieces {pieces}\n\
             copied {copied}\nentries {entries}\n"
        )
    }

    /// Writes it durably, in the place of the one before.
    pub(super) fn write(&self, dir: &Path) -> Result<(), Error> {
        let new = dir.join(UNWRITTEN);
        file::remove(&new)?;
        let file = StoredFile::create_private(&new)?;
        file.write_at(self.text().as_bytes(), 0)?;
        file.sync_all()?;
        Ok(file::rename(&new, &dir.join(RESTORING))?)
    }

    /// Notes that the next stage is reached.
    pub(super) fn reach(&mut self, stage: Stage, dir: &Path) -> Result<(), Error> {
        self.stage = stage;
        self.write(dir)
    }
}

/// A number, or the word for none.
fn number(word: &str) -> Option<Option<u64>> {
    if word == "none" { Some(None) } else { word.parse().ok().map(Some) }
}

fn hash(hex: &str) -> Option<[u8; 32]> {
    HEXLOWER.decode(hex.as_bytes()).ok()?.try_into().ok()
}

/// Whether there is a mark, in place or about to be. What it says is read by whoever has the lock.
pub(super) fn is_begun(dir: &Path) -> bool {
    [RESTORING, UNWRITTEN].iter().any(|name| fs::symlink_metadata(dir.join(name)).is_ok())
}

/// Removes what is left of a mark that was never in place: nothing else was there then.
pub(super) fn remove_unwritten(dir: &Path) -> Result<(), Error> {
    match fs::symlink_metadata(dir.join(UNWRITTEN)) {
        Ok(_) => Ok(file::remove(&dir.join(UNWRITTEN))?),
        Err(_) => Ok(()),
    }
}

/// The directory is a vault from now on.
pub(super) fn remove(dir: &Path) -> Result<(), Error> {
    file::remove(&dir.join(RESTORING))?;
    Ok(file::sync_dir(dir)?)
}

fn unknown(found: &str) -> Error {
    BackupFault::OtherRestore { found: found.to_owned() }.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_comes_back_and_knows_its_own() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(Mark::read(dir.path()).unwrap(), None);
        let mut mark = Mark::new("a disk\nin the cellar", RestorePoint::Entry(7));
        (mark.chain, mark.last, mark.pieces, mark.copied) = (Some([5; 32]), Some(3), 8, [7; 32]);
        mark.reach(Stage::Cutting, dir.path()).unwrap();
        let read = Mark::read(dir.path()).unwrap().unwrap();
        assert_eq!(read, mark);
        assert!(read.clone().of("a disk in the cellar", RestorePoint::Entry(7)).is_ok());
        for (source, point) in [("another", RestorePoint::Entry(7)), ("a disk in the cellar", RestorePoint::Newest)] {
            let other = read.clone().of(source, point);
            assert!(matches!(other, Err(Error::Backup(BackupFault::OtherRestore { .. }))), "{source}");
        }
    }

    #[test]
    fn a_mark_that_was_changed_is_not_believed() {
        let dir = tempfile::tempdir().unwrap();
        let form = |number: &str| {
            let hash = "0".repeat(64);
            format!(
                "source x\npoint newest\nchain none\nmanifest {number}\nstage copying\npieces 0\ncopied {hash}\nentries 0\n"
            )
        };
        assert!(Mark::parse(&form("1")).is_some());
        for text in [String::new(), "source x\n".to_owned(), form("01")] {
            fs::write(dir.path().join(RESTORING), &text).unwrap();
            let read = Mark::read(dir.path());
            assert!(matches!(read, Err(Error::Backup(BackupFault::OtherRestore { .. }))), "{text}");
        }
    }
}
