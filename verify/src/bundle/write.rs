//! Writing a bundle.

use std::io::{self, Write};

use super::format::{Item, Out};
use crate::merkle::{Hash, Range};

/// Writes a bundle from front to back: everything but the entries, then [`BundleWriter::range`], the entries, and
/// [`EntryWriter::finish`].
#[must_use = "a bundle without its end is none"]
pub struct BundleWriter<W: Write>(Out<W>);

/// Takes the entries of a bundle; see [`BundleWriter::range`].
#[must_use = "a bundle without its end is none"]
pub struct EntryWriter<W: Write>(Out<W>);

impl<W: Write> BundleWriter<W> {
    /// Begins with the checkpoint that all is proved against, a signed note.
    ///
    /// # Errors
    /// What writing answers, and [`io::ErrorKind::InvalidInput`] for a note of more than 128 KiB.
    pub fn begin(to: W, vault: &[u8; 16], checkpoint: &str) -> io::Result<Self> {
        let mut out = Out::begin(to, vault)?;
        out.item(Item::Checkpoint, &[checkpoint.as_bytes()])?;
        Ok(Self(out))
    }

    /// The final checkpoint of an epoch, with the proof that it is a beginning of the checkpoint; oldest first, before
    /// anything else.
    ///
    /// # Errors
    /// As [`BundleWriter::begin`].
    pub fn final_checkpoint(&mut self, note: &str, consistency: &[Hash]) -> io::Result<()> {
        self.note(Item::Final, note, consistency)
    }

    /// An earlier checkpoint that somebody keeps, with the proof that it is a beginning of this one.
    ///
    /// # Errors
    /// As [`BundleWriter::begin`].
    pub fn earlier_checkpoint(&mut self, note: &str, consistency: &[Hash]) -> io::Result<()> {
        self.note(Item::Earlier, note, consistency)
    }

    fn note(&mut self, item: Item, note: &str, proof: &[Hash]) -> io::Result<()> {
        let len = u32::try_from(note.len()).unwrap_or(u32::MAX);
        self.0.item(item, &[&len.to_be_bytes(), note.as_bytes(), proof.as_flattened()])
    }

    /// The key that opens one entry of the range, and no other.
    ///
    /// # Errors
    /// As [`BundleWriter::begin`].
    pub fn key(&mut self, seq: u64, key: &[u8; 32]) -> io::Result<()> {
        self.0.item(Item::Key, &[&seq.to_be_bytes(), key])
    }

    /// Which entries follow: `count` from number `first` on. `left` are the leaves before them, `right` those behind them, up
    /// to the checkpoint's size.
    ///
    /// # Errors
    /// As [`BundleWriter::begin`].
    pub fn range(mut self, first: u64, count: u64, left: &Range, right: &Range) -> io::Result<EntryWriter<W>> {
        let n = |range: &Range| [u8::try_from(range.nodes().len()).unwrap_or(u8::MAX)];
        let (lefts, rights) = (left.nodes().as_flattened(), right.nodes().as_flattened());
        let (first, count) = (first.to_be_bytes(), count.to_be_bytes());
        self.0.item(Item::Range, &[&first, &count, &n(left), lefts, &n(right), rights])?;
        Ok(EntryWriter(self.0))
    }
}

impl<W: Write> EntryWriter<W> {
    /// The next entry.
    ///
    /// # Errors
    /// As [`BundleWriter::begin`].
    pub fn entry(&mut self, entry: &[u8]) -> io::Result<()> {
        self.0.item(Item::Entry, &[entry])
    }

    /// Ends the bundle, and flushes it. Gives the SHA-256 of all but its last 37 bytes, which hold it as well.
    ///
    /// # Errors
    /// As [`BundleWriter::begin`].
    pub fn finish(self) -> io::Result<Hash> {
        self.0.end()
    }
}
