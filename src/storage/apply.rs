//! Applies frames to the trees, in order: the same steps whether a frame was just committed or is replayed.

use super::StorageError;
use super::pack::OpenPack;
use super::trees::Trees;
use crate::crypto::hash::{self, HmacKey};
use crate::format::digest::{self, Digest};
use crate::format::frame::{Contents, Op};
use crate::format::keys::Tree;
use crate::format::row::{Pointer, Row};
use crate::format::state::Place;

/// What the trees hold, as far as it is not in the trees themselves. Guarded by the apply lock.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Applied {
    /// The last frame applied.
    pub(crate) place: Place,
    /// Highest header generation up to there.
    pub(crate) header_generation: u64,
    pub(crate) digest: Digest,
    pub(crate) pack: OpenPack,
}

/// A value as it goes into a row.
pub(crate) struct NewRow<'a> {
    pub(crate) bytes: &'a [u8],
    pub(crate) hash: &'a [u8; 32],
    pub(crate) leaf: &'a [u8; 32],
    pub(crate) inline: bool,
}

impl Applied {
    /// Write number `index` of frame `seq`.
    pub(crate) fn write(
        &mut self,
        trees: &Trees,
        (seq, index): (u64, u32),
        (tree, key): (Tree, &[u8]),
        old_leaf: Option<&[u8; 32]>,
        new: Option<NewRow<'_>>,
    ) -> Result<(), StorageError> {
        self.digest.replace(tree, key, old_leaf, new.as_ref().map(|new| new.leaf));
        let Some(new) = new else { return trees.remove(tree, key) };
        let row = if new.inline {
            Row::Inline(new.bytes)
        } else {
            let len =
                u32::try_from(new.bytes.len()).map_err(|_| StorageError::Refused { why: "a value is too long" })?;
            Row::Kept(Pointer { seq, index, len, hash: *new.hash })
        };
        trees.insert(tree, key, row.encode())
    }

    /// Entry number `index` of frame `seq`.
    pub(crate) fn entry(&mut self, trees: &Trees, seq: u64, index: u32, entry: &[u8]) -> Result<(), StorageError> {
        self.pack.push(entry, seq, index, |first, row| trees.insert(Tree::Audit, &first.to_be_bytes(), row.encode()))
    }

    /// A whole frame out of the journal.
    pub(crate) fn frame(
        &mut self,
        trees: &Trees,
        state_key: &HmacKey,
        place: Place,
        contents: &Contents<'_>,
    ) -> Result<(), StorageError> {
        for (index, write) in (0..).zip(&contents.writes) {
            let value = match write.op {
                Op::Delete => None,
                Op::Inline(value) => Some((value, true)),
                Op::Kept(value) => Some((value, false)),
            };
            let at = ((place.seq, index), (write.tree, write.key));
            let Some((bytes, inline)) = value else {
                self.write(trees, at.0, at.1, write.old_leaf.as_ref(), None)?;
                continue;
            };
            let hash = hash::sha256(&[bytes]);
            let leaf = digest::leaf(state_key, write.tree, write.key, bytes.len(), &hash)
                .map_err(|_| StorageError::Refused { why: "a value is too long" })?;
            let new = NewRow { bytes, hash: &hash, leaf: &leaf, inline };
            self.write(trees, at.0, at.1, write.old_leaf.as_ref(), Some(new))?;
        }
        for (index, entry) in (0..).zip(&contents.entries) {
            self.entry(trees, place.seq, index, entry.bytes)?;
        }
        self.place = place;
        Ok(())
    }
}

/// Whether the rows of a bucket are those that the digest says. Rows that cannot be read count as wrong.
pub(crate) fn bucket_holds(
    trees: &Trees,
    state_key: &HmacKey,
    digest: &Digest,
    tree: Tree,
    bucket: usize,
) -> Result<bool, StorageError> {
    let (from, to) = digest::bucket_range(tree, bucket);
    let mut found = digest::Bucket::default();
    let mut readable = true;
    trees.visit(tree, &from, to.as_deref(), |key, row| {
        let leaf = match Row::parse(row) {
            Ok(Row::Inline(value)) => digest::leaf(state_key, tree, key, value.len(), &hash::sha256(&[value])).ok(),
            Ok(Row::Kept(at)) => {
                usize::try_from(at.len).ok().and_then(|len| digest::leaf(state_key, tree, key, len, &at.hash).ok())
            }
            Err(_) => None,
        };
        match leaf {
            Some(leaf) => found.add(&leaf),
            None => readable = false,
        }
        readable
    })?;
    Ok(readable && found == digest.bucket(tree, bucket))
}
