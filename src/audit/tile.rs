//! Tiles of the log's Merkle tree as rows (docs/format/audit.md, "Tree"): hashes, and a tag that only the vault can make.
//! No digest covers these rows, and what is restored from a forged one would go into a checkpoint.

use std::fmt;

use chartvault_verify::merkle::{Hash, TILE_WIDTH, TileId, tile_root};

use crate::bytes::Put;
use crate::crypto::hash::{self, HmacKey};

/// The table of the tiles: the first byte of their keys.
const TILES: u8 = 1;
const TAG_LEN: usize = 16;

/// `01 ‖ level u8 ‖ index u64`.
pub(crate) fn tile_key(id: TileId) -> Vec<u8> {
    let mut key = vec![TILES, id.level];
    key.put_u64(id.index);
    key
}

/// The tile of a key.
pub(crate) fn tile_of(key: &[u8]) -> Option<TileId> {
    let (head, index) = key.split_last_chunk::<8>()?;
    let [TILES, level] = head else { return None };
    Some(TileId { level: *level, index: u64::from_be_bytes(*index) })
}

/// The root over a full tile: what stands for it in the tile above.
pub(crate) fn root_of_full(tile: &[Hash]) -> Option<Hash> {
    tile_root(tile).filter(|_| tile.len() == usize::from(TILE_WIDTH))
}

/// Makes and checks the tags. Wiped on drop.
pub(crate) struct TileSeal(HmacKey);

impl TileSeal {
    pub(crate) const fn new(key: HmacKey) -> Self {
        Self(key)
    }

    /// The row's value: `1 to 256 × hash[32] ‖ tag[16]`.
    pub(crate) fn encode(&self, id: TileId, hashes: &[Hash]) -> Vec<u8> {
        let mut bytes = hashes.concat();
        let tag = self.tag(id, &bytes);
        bytes.put(&tag);
        bytes
    }

    /// The hashes of a row, if the vault wrote it for this tile.
    pub(crate) fn decode(&self, id: TileId, bytes: &[u8]) -> Option<Vec<Hash>> {
        let (hashes, tag) = bytes.split_last_chunk::<TAG_LEN>()?;
        let (hashes, rest) = hashes.as_chunks::<32>();
        let sound = rest.is_empty()
            && (1..=usize::from(TILE_WIDTH)).contains(&hashes.len())
            && hash::equal(tag, &self.tag(id, hashes.as_flattened()));
        sound.then(|| hashes.to_vec())
    }

    fn tag(&self, id: TileId, hashes: &[u8]) -> [u8; TAG_LEN] {
        hash::truncate(&self.0.tag(&[&tile_key(id), hashes]))
    }
}

impl fmt::Debug for TileSeal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TileSeal(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn seal() -> TileSeal {
        TileSeal::new(HmacKey::new(&[7; 32]))
    }

    proptest! {
        #[test]
        fn tiles_come_back(level in 0_u8..8, index: u64, hashes in proptest::collection::vec(any::<[u8; 32]>(), 1..=256)) {
            let id = TileId { level, index };
            prop_assert_eq!(seal().decode(id, &seal().encode(id, &hashes)), Some(hashes));
        }
    }

    #[test]
    fn a_tile_with_any_bit_flipped_or_cut_or_elsewhere_is_none() {
        let id = TileId { level: 1, index: 2 };
        let bytes = seal().encode(id, &[[3; 32], [4; 32]]);
        for bit in 0..bytes.len() * 8 {
            let mut flipped = bytes.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(seal().decode(id, &flipped), None, "bit {bit}");
        }
        (0..bytes.len()).for_each(|end| assert_eq!(seal().decode(id, &bytes[..end]), None, "{end}"));
        for other in [TileId { level: 0, ..id }, TileId { index: 3, ..id }] {
            assert_eq!(seal().decode(other, &bytes), None);
        }
        assert_eq!(seal().decode(id, &seal().encode(id, &[])), None);
        assert_eq!(TileSeal::new(HmacKey::new(&[8; 32])).decode(id, &bytes), None);
    }

    #[test]
    fn the_worked_example_of_the_page_is_recomputed() {
        let id = TileId { level: 1, index: 0 };
        let hex = |bytes: &[u8]| data_encoding::HEXLOWER.encode(bytes);
        let row = seal().encode(id, &[[0xAB; 32]]);
        let page = include_str!("../../docs/format/audit.md");
        assert_eq!(hex(&tile_key(id)), "01010000000000000000");
        assert_eq!((tile_of(&tile_key(id)), tile_of(&tile_key(id)[1..]), tile_of(&[2; 10])), (Some(id), None, None));
        assert!(page.contains(&hex(&row[32..])), "{}", hex(&row[32..]));
    }

    #[test]
    fn only_a_full_tile_has_a_root_above() {
        assert_eq!(root_of_full(&[[1; 32]; 255]), None);
        assert!(root_of_full(&[[1; 32]; 256]).is_some());
    }
}
