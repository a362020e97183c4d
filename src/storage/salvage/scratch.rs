//! Scratch trees: where in the damaged files the newest write of each key stands, and each entry of the log.

use std::path::Path;

use crate::bytes::{Put, Reader, Truncated};
use crate::crypto::hash;
use crate::format::keys::Tree;
use crate::storage::file::StoredFile;
use crate::storage::trees::Trees;
use crate::storage::{Bytes, StorageError};

/// Bytes in one of the damaged files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Spot {
    /// Which file.
    pub(super) file: u32,
    pub(super) offset: u64,
    pub(super) len: u32,
    pub(super) hash: [u8; 32],
}

/// The newest write of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Mark {
    /// Number of the frame, and where in it.
    pub(super) at: (u64, u32),
    pub(super) inline: bool,
    /// Nothing for a delete.
    pub(super) value: Option<Spot>,
}

/// An entry: in a frame with its subjects, or its bytes.
pub(super) enum EntryAt {
    Frame(Spot),
    Bytes(Vec<u8>),
}

impl Spot {
    fn encode(&self, out: &mut Vec<u8>) {
        out.put_u32(self.file);
        out.put_u64(self.offset);
        out.put_u32(self.len);
        out.put(&self.hash);
    }

    fn decode(reader: &mut Reader<'_>) -> Result<Self, Truncated> {
        Ok(Self { file: reader.u32()?, offset: reader.u64()?, len: reader.u32()?, hash: reader.array()? })
    }

    /// The bytes, if they are still there.
    pub(super) fn read(&self, files: &Files) -> Option<Bytes> {
        let file = files.0.get(usize::try_from(self.file).ok()?)?;
        let mut bytes = vec![0; usize::try_from(self.len).ok()?];
        file.read_at(&mut bytes, self.offset).ok()?;
        (hash::sha256(&[&bytes]) == self.hash).then(|| bytes.into())
    }
}

/// The damaged files, by their number.
#[derive(Default)]
pub(super) struct Files(pub(super) Vec<StoredFile>);

pub(super) struct Scratch {
    trees: Trees,
    pub(super) files: Files,
}

impl Scratch {
    pub(super) fn open(dir: &Path, cache_bytes: u64) -> Result<Self, StorageError> {
        Ok(Self { trees: Trees::open(dir, 1, cache_bytes)?, files: Files::default() })
    }

    /// Notes a write, unless a later one of the same key is known.
    pub(super) fn note(&self, tree: Tree, key: &[u8], mark: &Mark) -> Result<(), StorageError> {
        if self.mark(tree, key)?.is_some_and(|known| known.at >= mark.at) {
            return Ok(());
        }
        let mut row = Vec::with_capacity(62);
        row.put_u64(mark.at.0);
        row.put_u32(mark.at.1);
        row.put_u8(u8::from(mark.inline));
        if let Some(value) = &mark.value {
            value.encode(&mut row);
        }
        self.trees.insert(tree, key, row).map(drop)
    }

    fn mark(&self, tree: Tree, key: &[u8]) -> Result<Option<Mark>, StorageError> {
        let row = self.trees.get(tree, key)?;
        row.map(|row| mark_of(&row)).transpose()
    }

    /// All marks with `from` ≤ key < `to`, ascending.
    pub(super) fn marks(
        &self,
        tree: Tree,
        (from, to): (&[u8], Option<&[u8]>),
        mut visit: impl FnMut(&[u8], Mark) -> bool,
    ) -> Result<(), StorageError> {
        let mut broken = None;
        self.trees.visit(tree, from, to, |key, row| match mark_of(row) {
            Ok(mark) => visit(key, mark),
            Err(error) => {
                broken = Some(error);
                false
            }
        })?;
        broken.map_or(Ok(()), Err)
    }

    /// Notes an entry, unless it is known already; says whether it was new.
    pub(super) fn note_entry(&self, number: u64, entry: &EntryAt) -> Result<bool, StorageError> {
        let key = number.to_be_bytes();
        if self.trees.get(Tree::Audit, &key)?.is_some() {
            return Ok(false);
        }
        let mut row = Vec::new();
        match entry {
            EntryAt::Frame(spot) => {
                row.put_u8(1);
                spot.encode(&mut row);
            }
            EntryAt::Bytes(bytes) => {
                row.put_u8(2);
                row.put(bytes);
            }
        }
        self.trees.insert(Tree::Audit, &key, row)?;
        Ok(true)
    }

    /// At most `limit` entries from number `from` on, ascending.
    pub(super) fn entries(&self, from: u64, limit: usize) -> Result<Vec<(u64, EntryAt)>, StorageError> {
        let mut found = Vec::new();
        self.trees.visit(Tree::Audit, &from.to_be_bytes(), None, |key, row| {
            let number = key.try_into().map(u64::from_be_bytes);
            let mut reader = Reader::new(row);
            let entry = match reader.u8() {
                Ok(1) => Spot::decode(&mut reader).map(EntryAt::Frame).ok(),
                Ok(2) => Some(EntryAt::Bytes(reader.rest().to_vec())),
                _ => None,
            };
            found.extend(number.ok().zip(entry));
            found.len() < limit
        })?;
        Ok(found)
    }
}

fn mark_of(row: &[u8]) -> Result<Mark, StorageError> {
    let mut reader = Reader::new(row);
    let mut parse = || {
        let (at, inline) = ((reader.u64()?, reader.u32()?), reader.u8()? == 1);
        let value = if reader.rest().is_empty() { None } else { Some(Spot::decode(&mut reader)?) };
        Ok(Mark { at, inline, value })
    };
    parse().map_err(|_: Truncated| StorageError::Trees { doing: "reading", reason: "a scratch row was lost".into() })
}
