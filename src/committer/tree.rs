//! The Merkle tree beside the chain: it grows with each entry, and the commit that fills a tile writes it.

use std::sync::{Arc, PoisonError};

use chartvault_verify::merkle::{Frontier, Hash, TileId};

use super::{Committer, ROW_OVERHEAD};
use crate::audit::{TileSeal, tile_key};
use crate::storage::{PreparedWrite, Storage, Tree};

/// The right edge of the tree over all entries that are durable.
#[derive(Clone, Debug)]
pub(crate) struct LogTree {
    pub(crate) edge: Arc<Frontier>,
    pub(crate) seal: Arc<TileSeal>,
}

impl Committer {
    /// Grows this tree from now on, which is that of the entries so far. Nobody may be committing.
    pub(crate) fn plant(&self, tree: LogTree) {
        *self.tree.lock().unwrap_or_else(PoisonError::into_inner) = Some(tree);
    }

    /// The tree over all that is durable; nothing where it could not be built.
    pub(crate) fn log_tree(&self) -> Option<LogTree> {
        self.tree.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// As if the tree could not be built when the vault was opened.
    #[cfg(any(test, feature = "test-util"))]
    pub(crate) fn uproot(&self) {
        *self.tree.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// The commit is durable: this is the tree now.
    pub(super) fn grown(&self, growth: Option<Growth>) {
        if let Some(Growth { tree, .. }) = growth {
            self.plant(tree);
        }
    }

    /// The rows for what one commit adds to the tree. Left out where the disk is so full that they could take room that
    /// entries need: whoever misses a tile makes it out of the entries.
    pub(super) fn tiles(&self, growth: Option<&Growth>) -> Vec<PreparedWrite> {
        let rows = growth.map_or_else(Vec::new, Growth::rows);
        let bytes: usize = rows.iter().map(|(id, value, _)| ROW_OVERHEAD + tile_key(*id).len() + value.len()).sum();
        if rows.is_empty() {
            return Vec::new();
        }
        let needed = self.lock_queue().unwritten.saturating_add(bytes);
        if !self.storage.has_room(needed, false) && self.storage.make_room(needed, false).is_err() {
            return Vec::new();
        }
        rows.into_iter().map(|(id, value, again)| prepare(&*self.storage, id, value, again)).collect()
    }
}

/// What one commit adds to the tree, which stays as it was until that is durable.
pub(super) struct Growth {
    tree: LogTree,
    full: Vec<(TileId, Vec<Hash>)>,
}

impl Growth {
    pub(super) const fn of(tree: LogTree) -> Self {
        Self { tree, full: Vec::new() }
    }

    pub(super) fn push(&mut self, leaf: Hash) {
        let Self { tree, full } = self;
        Arc::make_mut(&mut tree.edge).push(leaf, &mut |id, hashes| full.push((id, hashes.to_vec())));
    }

    /// The tiles that became full, and those above them that are not; whether a row may stand there already.
    fn rows(&self) -> Vec<(TileId, Vec<u8>, bool)> {
        let seal = &self.tree.seal;
        let full = self.full.iter().map(|(id, hashes)| (*id, hashes.as_slice()));
        let top = self.full.iter().map(|(id, _)| id.level).max();
        let changed = |id: &TileId| top.is_some_and(|top| (1..=top.saturating_add(1)).contains(&id.level));
        let partial = self.tree.edge.partial_tiles().filter(|(id, _)| changed(id));
        full.chain(partial).map(|(id, hashes)| (id, seal.encode(id, hashes), id.level > 0)).collect()
    }
}

/// A row of a tile. That it replaces one is all that has to be said of what it replaces, since no digest covers these rows;
/// a compaction then drops what stood there.
fn prepare(storage: &dyn Storage, id: TileId, value: Vec<u8>, again: bool) -> PreparedWrite {
    storage.prepare(Tree::Log, tile_key(id).into(), Some(value.into()), again.then_some(&[][..]))
}

#[cfg(test)]
mod tests {
    use chartvault_verify::merkle::leaf_hash;

    use super::*;
    use crate::crypto::hash::HmacKey;

    #[test]
    fn a_commit_writes_the_tiles_that_it_fills_and_those_above_that_it_changes() {
        let seal = Arc::new(TileSeal::new(HmacKey::new(&[1; 32])));
        let mut tree = LogTree { edge: Arc::default(), seal };
        let mut push = |n: usize| {
            let mut growth = Growth::of(tree.clone());
            (0..n).for_each(|_| growth.push(leaf_hash(b"x")));
            let rows: Vec<_> = growth.rows().iter().map(|(id, row, _)| (id.level, id.index, row.len() / 32)).collect();
            tree = growth.tree;
            rows
        };
        assert_eq!(push(255), []);
        assert_eq!(push(1), [(0, 0, 256), (1, 0, 1)]);
        assert_eq!(push(300), [(0, 1, 256), (1, 0, 2)]);
        assert_eq!(push(1), []);
        let rows = push(65_536 - 557);
        assert_eq!((rows.len(), &rows[254..]), (256, &[(1, 0, 256), (2, 0, 1)][..]));
        assert_eq!(push(256), [(0, 256, 256), (1, 1, 1)]);
    }
}
