//! The tiles of the log's Merkle tree: taken up where they were left, made out of the entries where they are not there.

use std::cell::{OnceCell, RefCell};
use std::collections::HashMap;
use std::sync::Arc;

use chartvault_verify::merkle::{Frontier, FrontierError, Hash, TILE_WIDTH, TileId, TileSource};

use super::Unlocked;
use crate::audit::{AuditFault, EntryKind, EntryRef, FaultKind, LogProofError, TileSeal, root_of_full, tile_key};
use crate::committer::{CommitFailed, LogTree, Row};
use crate::crypto::kdf;
use crate::error::Error;
use crate::policy::LogCut;
use crate::progress::{OnProgress, Progress, Task};
use crate::storage::{Bytes, Tree};

/// Entries read at once.
const CHUNK: u64 = 1_024;
/// Tiles that one commit writes while the tree is built: a megabyte.
const WRITTEN_AT_ONCE: usize = 128;
/// Tiles held while one question is answered.
const HELD: usize = 64;

/// Given each full tile; adds rows that are to be stored.
pub(super) type OnFullTile<'a> = &'a mut dyn FnMut(TileId, &[Hash], &mut Vec<Row>);

/// A leaf, and whether the next entry names it.
pub(super) type Leaf = (Hash, bool);

/// What comparing the tiles with the entries gave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TilesFound {
    /// Tiles that were wrong or missing, and were written anew.
    pub(crate) mended: u64,
    /// Tiles of pruned entries that are missing, which nobody can make anew without the archive.
    pub(crate) lost: u64,
    /// Whether the tree that grows with the log is that of its entries.
    pub(crate) same: bool,
}

impl Unlocked {
    /// Takes up the tree where it was left. Where a tile that it needs is missing or wrong, as in a vault of a version that
    /// had none, builds it anew from the entries and stores what it made. An entry that cannot be read keeps nobody from
    /// opening the vault: then there is no tree.
    pub(crate) fn restore_log_tree(&self, progress: OnProgress<'_>) -> Result<(), Error> {
        let seal = Arc::new(TileSeal::new(kdf::log_tile_mac(self.keyring().state_key())));
        let size = self.committer.newest_entry().map_or(0, |head| head.seq.saturating_add(1));
        let source = Tiles::new(self, &seal, true);
        let restored = Frontier::restore(size, |id, width| match id.level {
            0 => source.leaves(id, width).map_err(|_| NotThere),
            _ => source.stored(id, width).ok_or(NotThere),
        });
        let edge = match restored {
            Ok(edge) => edge,
            Err(NotThere) => match self.build_log_tree(size, &seal, progress) {
                Ok(edge) => edge,
                Err(Error::Audit(_) | Error::Storage(_)) => return Ok(()),
                Err(error) => return Err(error),
            },
        };
        self.committer.plant(LogTree { edge: Arc::new(edge), seal });
        Ok(())
    }

    /// The edge of the tree over all entries, whose tiles are stored as far as there is room for them.
    fn build_log_tree(&self, size: u64, seal: &TileSeal, progress: OnProgress<'_>) -> Result<Frontier, Error> {
        let edge =
            self.grow_anew(size, seal, &mut |id, hashes, rows| rows.push(tile_row(seal, id, hashes)), progress)?;
        let above = edge.partial_tiles().filter(|(id, _)| id.level > 0);
        self.store_tiles(above.map(|(id, hashes)| tile_row(seal, id, hashes)).collect())?;
        Ok(edge)
    }

    /// The edge of the tree over the first entries, out of these alone; over those that were pruned, as it stands in the row of
    /// the cut. `full` is given each full tile behind that, and adds rows that are to be stored.
    fn grow_anew(
        &self,
        size: u64,
        seal: &TileSeal,
        full: OnFullTile<'_>,
        progress: OnProgress<'_>,
    ) -> Result<Frontier, Error> {
        let source = Tiles::new(self, seal, false);
        let (mut edge, mut before) = source.pruned_edge()?;
        let (mut rows, mut next) = (Vec::new(), edge.size());
        while next < size {
            let until = size.min(next.saturating_add(CHUNK));
            let (leaves, last) = source.linked(before, next, until)?;
            before = last;
            for leaf in leaves {
                edge.push(leaf, &mut |id, hashes| full(id, hashes, &mut rows));
            }
            if rows.len() >= WRITTEN_AT_ONCE {
                self.store_tiles(std::mem::take(&mut rows))?;
            }
            next = until;
            progress(Progress::new(Task::BuildTree, next, Some(size)));
        }
        self.store_tiles(rows)?;
        Ok(edge)
    }

    /// Compares the full tiles with the entries, and writes those anew that are wrong or missing. Tiles that are not full are
    /// written again by the next commit that changes them. Of pruned entries there are the tiles alone: these are compared
    /// with each other, and with what the row of the cut says.
    pub(crate) fn check_log_tiles(&self, progress: OnProgress<'_>) -> Result<TilesFound, Error> {
        let LogTree { edge, seal } = self.committer.log_tree().ok_or(LogProofError::NoTree)?;
        self.committer.settle();
        let (source, mut mended) = (Tiles::new(self, &seal, true), 0_u64);
        let mut compare = |id, hashes: &[Hash], rows: &mut Vec<Row>| {
            if source.stored(id, TILE_WIDTH).as_deref() != Some(hashes) {
                mended = mended.saturating_add(1);
                rows.push(tile_row(&seal, id, hashes));
            }
        };
        let lost = source.lost_of_pruned(&mut compare)?;
        let anew = self.grow_anew(edge.size(), &seal, &mut compare, progress)?;
        Ok(TilesFound { mended, lost, same: anew == *edge })
    }

    /// Makes sure of the tiles of the first `end` entries, which are about to go, and gives the edge of the tree there.
    pub(crate) fn keep_log_tiles(&self, end: u64) -> Result<Frontier, Error> {
        let LogTree { seal, .. } = self.committer.log_tree().ok_or(LogProofError::NoTree)?;
        self.committer.settle();
        Tiles::new(self, &seal, true).keep(end, &seal)
    }

    /// Stores tiles; where there is no room, they are made again when they are needed.
    fn store_tiles(&self, rows: Vec<Row>) -> Result<(), Error> {
        if rows.is_empty() {
            return Ok(());
        }
        match self.committer.commit(rows, Vec::new()) {
            Ok(()) | Err(CommitFailed::NotCommitted(_)) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }
}

pub(super) fn tile_row(seal: &TileSeal, id: TileId, hashes: &[Hash]) -> Row {
    let value: Bytes = seal.encode(id, hashes).into();
    // What it replaces, if anything: see the committer's tiles.
    Row { tree: Tree::Log, key: tile_key(id).into(), value: Some(value), replaces: Some(Bytes::from([])) }
}

/// A tile that the edge needs is not there, or not what the vault wrote.
struct NotThere;

impl From<FrontierError> for NotThere {
    fn from(_: FrontierError) -> Self {
        Self
    }
}

/// The tiles as they are stored, and out of the entries where they are not.
pub(super) struct Tiles<'u> {
    pub(super) unlocked: &'u Unlocked,
    seal: &'u TileSeal,
    /// Whether stored tiles are looked at.
    stored: bool,
    /// One question asks for the same tile several times.
    held: RefCell<HashMap<TileId, Vec<Hash>>>,
    /// Where the log begins, once it was asked for.
    cut: OnceCell<Option<LogCut>>,
}

impl<'u> Tiles<'u> {
    pub(super) fn new(unlocked: &'u Unlocked, seal: &'u TileSeal, stored: bool) -> Self {
        Self { unlocked, seal, stored, held: RefCell::default(), cut: OnceCell::new() }
    }

    /// What is known of entries that were pruned. A row that cannot be read is none: then what needs it fails.
    pub(super) fn cut(&self) -> Option<&LogCut> {
        let read = || self.unlocked.begin_as_stored().ok().and_then(|(first, cut)| cut.filter(|_| first > 0));
        self.cut.get_or_init(read).as_ref()
    }

    pub(super) fn store(&self, rows: Vec<Row>) -> Result<(), Error> {
        self.unlocked.store_tiles(rows)
    }

    /// A tile as it is stored, cut to a width; nothing where it is missing, shorter, or not the vault's.
    pub(super) fn stored(&self, id: TileId, width: u16) -> Option<Vec<Hash>> {
        let row = self.unlocked.committer.get(Tree::Log, &tile_key(id)).ok().flatten()?;
        let mut hashes = self.seal.decode(id, &row)?;
        let width = usize::from(width);
        (hashes.len() >= width).then(|| {
            hashes.truncate(width);
            hashes
        })
    }

    /// The first hashes of a tile of level 0, out of the entries.
    fn leaves(&self, id: TileId, width: u16) -> Result<Vec<Hash>, Error> {
        let first = id.index.saturating_mul(TILE_WIDTH.into());
        Ok(self.linked(None, first, first.saturating_add(width.into()))?.0)
    }

    /// The leaf hashes of a run of entries, each of which is linked to the one before; and the last of them.
    pub(super) fn linked(
        &self,
        before: Option<Leaf>,
        from: u64,
        until: u64,
    ) -> Result<(Vec<Hash>, Option<Leaf>), Error> {
        let count = usize::try_from(until.saturating_sub(from)).unwrap_or(usize::MAX);
        let entries = self.unlocked.committer.storage().entries(from, count)?;
        let (mut leaves, mut expected, mut before) = (Vec::with_capacity(entries.len()), from, before);
        for (seq, bytes) in &entries {
            let fault = |what| AuditFault { seq: expected, what };
            let entry = EntryRef::parse(bytes).map_err(|defect| fault(FaultKind::Malformed(defect)))?;
            let (front, lost) = (entry.front, entry.front.kind == EntryKind::Lost);
            let linked = before.is_none_or(|(leaf, named)| leaf == front.prev || (!named && !lost));
            if (*seq, front.seq, front.vault) != (expected, expected, self.unlocked.vault) || !linked {
                return Err(fault(FaultKind::LinkBroken).into());
            }
            let leaf = entry.leaf();
            // Nobody knows the hash of an entry that was lost.
            before = Some((leaf, !lost));
            leaves.push(leaf);
            expected = expected.saturating_add(1);
        }
        if expected == until {
            return Ok((leaves, before));
        }
        let last = expected.saturating_sub(1);
        Err(AuditFault { seq: expected, what: FaultKind::TruncatedTail { last } }.into())
    }
}

impl TileSource for Tiles<'_> {
    type Error = Error;

    fn tile(&self, id: TileId, width: u16) -> Result<Vec<Hash>, Error> {
        if let Some(held) = self.held.borrow().get(&id).filter(|held| held.len() >= usize::from(width)) {
            return Ok(held.iter().take(width.into()).copied().collect());
        }
        // What is pruned cannot be made anew.
        let pruned = self.is_of_pruned(id, width);
        let stored = if self.stored || pruned { self.stored(id, width) } else { None };
        let tile = match (stored, id.level.checked_sub(1)) {
            (Some(stored), _) => stored,
            (None, None) if pruned => return Err(self.lost(id)),
            (None, None) => self.leaves(id, width)?,
            (None, Some(level)) => {
                let first = id.index.saturating_mul(TILE_WIDTH.into());
                let below = (0..u64::from(width)).map(|at| TileId { level, index: first.saturating_add(at) });
                let root = |below: TileId| match self.at_cut(id.level, below.index) {
                    Some(node) => Ok(node),
                    None => Ok(root_of_full(&self.tile(below, TILE_WIDTH)?).unwrap_or_default()),
                };
                below.map(root).collect::<Result<_, Error>>()?
            }
        };
        let mut held = self.held.borrow_mut();
        if held.len() >= HELD {
            held.clear();
        }
        held.insert(id, tile.clone());
        Ok(tile)
    }
}
