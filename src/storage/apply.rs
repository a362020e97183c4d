//! Applies frames to the trees, in order: the same steps whether a frame was just committed or is replayed.

use super::StorageError;
use super::load::Rows;
use super::pack::OpenPack;
use super::trees::Trees;
use crate::crypto::hash::{self, HmacKey};
use crate::format::digest::{self, Bucket, Digest};
use crate::format::frame::{Contents, Offsets, Op};
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
    /// Number of the oldest entry that is kept.
    pub(crate) first_entry: u64,
    /// About how many bytes of the journal were overwritten or deleted since it was compacted.
    pub(crate) garbage: u64,
}

/// A value as it goes into a row.
pub(crate) struct NewRow<'a> {
    pub(crate) bytes: &'a [u8],
    pub(crate) hash: &'a [u8; 32],
    pub(crate) leaf: &'a [u8; 32],
    pub(crate) inline: bool,
}

impl Applied {
    /// A write whose value starts at `offset` in frame `seq`.
    pub(crate) fn write(
        &mut self,
        rows: &mut impl Rows,
        (seq, offset): (u64, u32),
        (tree, key): (Tree, &[u8]),
        old_leaf: Option<&[u8; 32]>,
        new: Option<NewRow<'_>>,
    ) -> Result<(), StorageError> {
        self.digest.replace(tree, key, old_leaf, new.as_ref().map(|new| new.leaf));
        let row = match new {
            None => None,
            Some(new) if new.inline => Some(Row::Inline(new.bytes).encode()),
            Some(new) => {
                let len =
                    u32::try_from(new.bytes.len()).map_err(|_| StorageError::Refused { why: "a value is too long" })?;
                Some(Row::Kept(Pointer { seq, offset, len, hash: *new.hash }).encode())
            }
        };
        let wasted = rows.put(tree, key, row.as_deref(), old_leaf.is_some())?;
        self.garbage = self.garbage.saturating_add(wasted);
        Ok(())
    }

    /// An entry that starts at `offset` in frame `seq`.
    pub(crate) fn entry(
        &mut self,
        rows: &mut impl Rows,
        seq: u64,
        offset: u32,
        entry: &[u8],
    ) -> Result<(), StorageError> {
        self.pack.push(entry, seq, offset, |first, row| {
            rows.put(Tree::Audit, &first.to_be_bytes(), Some(&row.encode()), false).map(drop)
        })
    }

    /// Entries below number `first` go. Their rows go little by little ([`Rows::sweep`]); nobody reads them any more.
    pub(crate) fn cut(&mut self, rows: &mut impl Rows, first: u64) -> Result<(), StorageError> {
        if first < self.first_entry || first > self.pack.next {
            return Err(StorageError::StateDamaged { what: "a cut of entries that were not there" });
        }
        let wasted = u64::try_from(self.pack.cut(first)).unwrap_or(0);
        rows.begin_at(first)?;
        self.first_entry = first;
        let swept = rows.sweep(first)?;
        self.garbage = self.garbage.saturating_add(wasted).saturating_add(swept.wasted);
        Ok(())
    }

    /// A whole frame out of the journal.
    pub(crate) fn frame(
        &mut self,
        rows: &mut impl Rows,
        state_key: &HmacKey,
        place: Place,
        contents: &Contents<'_>,
    ) -> Result<(), StorageError> {
        let mut offsets = Offsets::start();
        for write in &contents.writes {
            let (key, old_leaf) = ((write.tree, write.key), write.old_leaf.as_ref());
            let (bytes, inline) = match write.op {
                Op::Delete => (None, false),
                Op::Inline(value) => (Some(value), true),
                Op::Kept(value) => (Some(value), false),
            };
            let at = (place.seq, offsets.write(write.key.len(), bytes.map_or(0, <[u8]>::len), old_leaf.is_some()));
            let Some(bytes) = bytes else {
                self.write(rows, at, key, old_leaf, None)?;
                continue;
            };
            let hash = hash::sha256(&[bytes]);
            let leaf = digest::leaf(state_key, write.tree, write.key, bytes.len(), &hash)
                .map_err(|_| StorageError::Refused { why: "a value is too long" })?;
            self.write(rows, at, key, old_leaf, Some(NewRow { bytes, hash: &hash, leaf: &leaf, inline }))?;
        }
        if let Some(first) = contents.cut {
            self.cut(rows, first)?;
        }
        offsets.entries(contents.cut);
        for entry in &contents.entries {
            let offset = offsets.entry(entry.bytes.len(), entry.subjects.len());
            self.entry(rows, place.seq, offset, entry.bytes)?;
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
    Ok(sum(trees, state_key, tree, bucket)? == Some(digest.bucket(tree, bucket)))
}

/// The digest of a bucket's rows as the trees hold them; nothing if some cannot be read.
pub(crate) fn sum(
    trees: &Trees,
    state_key: &HmacKey,
    tree: Tree,
    bucket: usize,
) -> Result<Option<Bucket>, StorageError> {
    sum_and_kept(trees, state_key, tree, bucket, &mut |_, _| {})
}

/// [`sum`], showing on the way each row whose value is in the journal.
pub(crate) fn sum_and_kept(
    trees: &Trees,
    state_key: &HmacKey,
    tree: Tree,
    bucket: usize,
    kept: &mut dyn FnMut(&[u8], Pointer),
) -> Result<Option<Bucket>, StorageError> {
    let (from, to) = digest::bucket_range(tree, bucket);
    let mut found = Bucket::default();
    let mut readable = true;
    trees.visit(tree, &from, to.as_deref(), |key, row| {
        let leaf = match Row::parse(row) {
            Ok(Row::Inline(value)) => digest::leaf(state_key, tree, key, value.len(), &hash::sha256(&[value])).ok(),
            Ok(Row::Kept(at)) => {
                kept(key, at);
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
    Ok(readable.then_some(found))
}
