//! The part of the log's tree whose entries were pruned: its tiles stay, and its edge stands in the row of the cut, which the
//! state digest covers. With that row alone the tree goes on; the tiles are for proofs about what was pruned.

use chartvault_verify::merkle::{Frontier, FrontierError, Hash, TILE_WIDTH, TileId};

use super::log_tiles::{Leaf, OnFullTile, Tiles, tile_row};
use crate::audit::{LogProofError, TileSeal};
use crate::error::Error;
use crate::policy::LogCut;

/// The row of the cut does not hold what a tree of its size needs, or another tree than it says.
struct NoEdge;

impl From<FrontierError> for NoEdge {
    fn from(_: FrontierError) -> Self {
        Self
    }
}

/// The edge of the tree at the cut.
pub(super) fn edge_at(cut: &LogCut) -> Result<Frontier, Error> {
    let edge = Frontier::restore(cut.pruned.end, |id, _| cut.edge_of(id.level).map(<[_]>::to_vec).ok_or(NoEdge));
    let edge = edge.ok().filter(|edge| edge.root() == cut.pruned.root);
    edge.ok_or(Error::TamperedRow { what: "policy row" })
}

/// The edge of a tree of whole tiles, as the row of the cut holds it.
pub(crate) fn hashes_of(edge: &Frontier) -> Vec<Hash> {
    edge.partial_tiles().filter(|(id, _)| id.level > 0).flat_map(|(_, hashes)| hashes.to_vec()).collect()
}

impl Tiles<'_> {
    /// The edge of the tree over the pruned entries, and the leaf of the last of them; that of no tree where none was pruned.
    pub(super) fn pruned_edge(&self) -> Result<(Frontier, Option<Leaf>), Error> {
        match self.cut() {
            None => Ok((Frontier::default(), None)),
            Some(cut) => Ok((edge_at(cut)?, Some((cut.pruned.last, true)))),
        }
    }

    /// Whether entries below a number were pruned.
    pub(super) fn is_pruned(&self, below: u64) -> bool {
        self.cut().is_some_and(|cut| below <= cut.pruned.end)
    }

    /// Whether a tile is over nothing but what was pruned: then it cannot be made anew.
    pub(super) fn is_of_pruned(&self, id: TileId, width: u16) -> bool {
        let first = id.index.saturating_mul(TILE_WIDTH.into());
        let leaves = 1_u64.checked_shl(u32::from(id.level) * 8).unwrap_or(u64::MAX);
        self.is_pruned(first.saturating_add(width.into()).saturating_mul(leaves))
    }

    /// A node that stands in the row of the cut.
    pub(super) fn at_cut(&self, level: u8, index: u64) -> Option<Hash> {
        let cut = self.cut()?;
        let first = cut.pruned.end.checked_shr(u32::from(level).saturating_add(1) * 8).unwrap_or(0);
        let at = index.checked_sub(first.checked_mul(TILE_WIDTH.into())?)?;
        cut.edge_of(level)?.get(usize::try_from(at).ok()?).copied()
    }

    /// What nobody can make anew.
    pub(super) fn lost(&self, id: TileId) -> Error {
        let first = self.cut().map_or(0, |cut| cut.pruned.end);
        LogProofError::Pruned { seq: id.index.saturating_mul(TILE_WIDTH.into()), first }.into()
    }

    /// Follows the tiles of pruned entries from the lowest up: `compare` is shown each full one above, as it has to be. Gives how
    /// many of the lowest are lost; the rest is then not looked at. An error where they lead elsewhere than the row of the cut.
    pub(super) fn lost_of_pruned(&self, compare: OnFullTile<'_>) -> Result<u64, Error> {
        let Some(cut) = self.cut() else { return Ok(0) };
        let (mut edge, mut rows, mut lost) = (Frontier::default(), Vec::new(), 0_u64);
        for index in 0..cut.pruned.end / u64::from(TILE_WIDTH) {
            let Some(leaves) = self.stored(TileId { level: 0, index }, TILE_WIDTH) else {
                lost = lost.saturating_add(1);
                continue;
            };
            if lost == 0 {
                leaves.into_iter().for_each(|leaf| {
                    edge.push(leaf, &mut |id, hashes| {
                        if id.level > 0 {
                            compare(id, hashes, &mut rows);
                        }
                    });
                });
            }
            self.store(std::mem::take(&mut rows))?;
        }
        if lost == 0 && edge != edge_at(cut)? {
            return Err(LogProofError::Unproved { size: cut.pruned.end }.into());
        }
        Ok(lost)
    }

    /// Writes the tiles of entries that are about to go, where they are missing or wrong: they can be made only now. Gives the
    /// edge of the tree behind them.
    pub(super) fn keep(&self, end: u64, seal: &TileSeal) -> Result<Frontier, Error> {
        let (mut edge, mut before) = self.pruned_edge()?;
        let mut rows = Vec::new();
        while edge.size() < end {
            let next = edge.size();
            let (leaves, last) = self.linked(before, next, end.min(next.saturating_add(TILE_WIDTH.into())))?;
            before = last;
            for leaf in leaves {
                edge.push(leaf, &mut |id, hashes| {
                    if self.stored(id, TILE_WIDTH).as_deref() != Some(hashes) {
                        rows.push(tile_row(seal, id, hashes));
                    }
                });
            }
            if !rows.is_empty() {
                self.unlocked.committer.commit(std::mem::take(&mut rows), Vec::new())?;
            }
        }
        Ok(edge)
    }
}
