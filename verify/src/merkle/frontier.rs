//! The right edge of a growing tree: what is needed to append, and to know the root.

use super::{Hash, TILE_WIDTH, TileId, empty_root, root_of};

/// Levels of tiles below 2^64 leaves.
const LEVELS: usize = 8;

/// The last tile of each level, as far as it is filled. At most 8 × 255 hashes; usually a few hundred.
///
/// ```
/// use chartvault_verify::merkle::{Frontier, leaf_hash};
/// let mut frontier = Frontier::default();
/// for entry in [&b"one"[..], b"two", b"three"] {
///     frontier.push(leaf_hash(entry), &mut |_, _| ());
/// }
/// assert_eq!(frontier.size(), 3);
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Frontier {
    size: u64,
    /// From level 0 on; none of them is full.
    levels: Vec<Vec<Hash>>,
}

/// Why the right edge of a tree is not one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the tile {tile} has {found} hashes, and {expected} are needed")]
pub struct FrontierError {
    /// Which tile.
    pub tile: TileId,
    /// How many hashes it has in a tree of this size.
    pub expected: u16,
    /// How many were given.
    pub found: usize,
}

impl Frontier {
    /// The edge of a tree of `size` leaves, out of the last tiles: `tile` gives the hashes of the one that it is asked for.
    /// Levels whose last tile is full, or that have none, are not asked for.
    ///
    /// # Errors
    /// [`FrontierError`] where a tile has another number of hashes than it must have; and what `tile` answers.
    pub fn restore<E: From<FrontierError>>(
        size: u64,
        mut tile: impl FnMut(TileId, u16) -> Result<Vec<Hash>, E>,
    ) -> Result<Self, E> {
        let mut levels = Vec::new();
        for level in (0..8_u8).take(LEVELS) {
            let nodes = size >> (u32::from(level) * 8);
            if nodes == 0 {
                break;
            }
            let id = TileId { level, index: nodes / u64::from(TILE_WIDTH) };
            let expected = id.width(size);
            let hashes = if expected == 0 { Vec::new() } else { tile(id, expected)? };
            if hashes.len() != usize::from(expected) {
                return Err(FrontierError { tile: id, expected, found: hashes.len() }.into());
            }
            levels.push(hashes);
        }
        Ok(Self { size, levels })
    }

    /// How many leaves the tree has.
    #[must_use]
    pub const fn size(&self) -> u64 {
        self.size
    }

    /// Appends a leaf, given as its hash. Tells each tile that became full, from level 0 on, with its 256 hashes.
    pub fn push(&mut self, leaf: Hash, full: &mut dyn FnMut(TileId, &[Hash])) {
        self.size = self.size.saturating_add(1);
        let mut carried = Some(leaf);
        for level in 0..8_u8 {
            let Some(hash) = carried.take() else { return };
            if self.levels.len() <= usize::from(level) {
                self.levels.push(Vec::new());
            }
            let Some(tile) = self.levels.get_mut(usize::from(level)) else { return };
            tile.push(hash);
            if tile.len() == usize::from(TILE_WIDTH) {
                let index = self.size.checked_shr(u32::from(level) * 8 + 8).unwrap_or(0).saturating_sub(1);
                full(TileId { level, index }, tile);
                carried = root_of(tile, None);
                tile.clear();
            }
        }
    }

    /// The last tile of each level that is neither full nor empty, from level 0 on.
    pub fn partial_tiles(&self) -> impl Iterator<Item = (TileId, &[Hash])> {
        (0..8_u8)
            .zip(&self.levels)
            .filter(|(_, hashes)| !hashes.is_empty())
            .map(|(level, hashes)| (TileId { level, index: self.tiles_before(level) }, hashes.as_slice()))
    }

    /// How many full tiles a level has.
    fn tiles_before(&self, level: u8) -> u64 {
        self.size.checked_shr(u32::from(level) * 8 + 8).unwrap_or(0)
    }

    /// The root of the tree.
    #[must_use]
    pub fn root(&self) -> Hash {
        self.levels.iter().fold(None, |right, nodes| root_of(nodes, right)).unwrap_or_else(empty_root)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::super::{leaf_hash, naive};
    use super::*;

    #[test]
    fn every_root_is_that_of_the_definition_and_every_edge_comes_back() {
        let leaves = naive::leaves(1_100);
        let (mut frontier, mut tiles) = (Frontier::default(), HashMap::new());
        assert_eq!(frontier.root(), empty_root());
        for (at, leaf) in leaves.iter().enumerate() {
            frontier.push(*leaf, &mut |id, hashes| assert!(tiles.insert(id, hashes.to_vec()).is_none(), "{id}"));
            let partial: HashMap<TileId, Vec<Hash>> =
                frontier.partial_tiles().map(|(id, hashes)| (id, hashes.to_vec())).collect();
            if at % 37 == 0 || at % 256 > 253 || at % 256 < 2 {
                assert_eq!(frontier.root(), naive::root(&leaves[..=at]), "{at}");
                let restored = Frontier::restore(frontier.size(), |id, width| {
                    assert_eq!(partial[&id].len(), usize::from(width));
                    Ok::<_, FrontierError>(partial[&id].clone())
                });
                assert_eq!(restored.unwrap(), frontier, "{at}");
            }
        }
        let full: Vec<TileId> = (0..4).map(|index| TileId { level: 0, index }).collect();
        assert!(full.iter().all(|id| tiles[id].len() == 256) && tiles.len() == 4);
    }

    #[test]
    fn a_tile_above_has_the_roots_of_full_ones() {
        let leaf = leaf_hash(b"x");
        let (mut frontier, mut full) = (Frontier::default(), Vec::new());
        (0..65_536 + 300).for_each(|_| frontier.push(leaf, &mut |id, _| full.push(id)));
        assert_eq!(full.len(), 256 + 1 + 1);
        assert!(full.contains(&TileId { level: 1, index: 0 }));
        let partial: Vec<(TileId, usize)> = frontier.partial_tiles().map(|(id, hashes)| (id, hashes.len())).collect();
        let id = |level, index| TileId { level, index };
        assert_eq!(partial, [(id(0, 257), 44), (id(1, 1), 1), (id(2, 0), 1)]);
    }

    #[test]
    fn a_tile_of_another_width_is_refused() {
        let refused = Frontier::restore(300, |_, width| Ok(vec![[0; 32]; usize::from(width) - 1]));
        let id = TileId { level: 0, index: 1 };
        assert_eq!(refused, Err(FrontierError { tile: id, expected: 44, found: 43 }));
    }
}
