//! Tiles: 256 hashes that stand side by side on one level (C2SP tlog-tiles). A tile of level 0 has leaves, one of level
//! n the roots of full tiles of level n - 1.

use std::fmt;

use super::Hash;

/// Hashes in a full tile.
pub const TILE_WIDTH: u16 = 256;

/// Which tile.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TileId {
    /// 0 for leaves; 7 at most, since a tree has fewer than 2^64 leaves.
    pub level: u8,
    /// 0 for the first of its level.
    pub index: u64,
}

impl TileId {
    /// How many hashes this tile has in a tree of `size` leaves; 0 where the tree has no such tile.
    #[must_use]
    pub fn width(self, size: u64) -> u16 {
        let nodes = size.checked_shr(u32::from(self.level) * 8).unwrap_or(0);
        let before = self.index.checked_mul(u64::from(TILE_WIDTH));
        let left = before.and_then(|before| nodes.checked_sub(before)).unwrap_or(0);
        u16::try_from(left).map_or(TILE_WIDTH, |left| left.min(TILE_WIDTH))
    }
}

impl fmt::Display for TileId {
    /// The path of C2SP tlog-tiles, without the width of a partial tile: `tile/0/x001/x234/067`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "tile/{}/", self.level)?;
        let mut groups = vec![self.index % 1_000];
        let mut rest = self.index / 1_000;
        while rest > 0 {
            groups.push(rest % 1_000);
            rest /= 1_000;
        }
        while groups.len() > 1 {
            write!(f, "x{:03}/", groups.pop().unwrap_or_default())?;
        }
        write!(f, "{:03}", groups.pop().unwrap_or_default())
    }
}

/// Where tiles are kept.
pub trait TileSource {
    /// Why a tile cannot be had.
    type Error;

    /// The first `width` hashes of a tile, 1 to 256. Whoever asks checks what comes of it.
    ///
    /// # Errors
    /// Where the tile is not there, is too short, or cannot be read.
    fn tile(&self, id: TileId, width: u16) -> Result<Vec<Hash>, Self::Error>;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_those_of_tlog_tiles() {
        let path = |level, index| TileId { level, index }.to_string();
        assert_eq!(path(0, 1_234_067), "tile/0/x001/x234/067");
        assert_eq!(
            (path(1, 0), path(2, 999), path(0, 1_000)),
            ("tile/1/000".into(), "tile/2/999".into(), "tile/0/x001/000".into())
        );
    }

    #[test]
    fn widths_follow_the_size() {
        let width = |level, index, size| TileId { level, index }.width(size);
        assert_eq!(
            [width(0, 0, 0), width(0, 0, 1), width(0, 0, 256), width(0, 1, 256), width(0, 1, 300)],
            [0, 1, 256, 0, 44]
        );
        assert_eq!([width(1, 0, 255), width(1, 0, 256), width(1, 0, 70_000), width(1, 1, 70_000)], [0, 1, 256, 17]);
        assert_eq!([width(7, 0, u64::MAX), width(8, 0, u64::MAX), width(0, u64::MAX, u64::MAX)], [255, 0, 0]);
    }
}
