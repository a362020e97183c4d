//! The Merkle tree over the log: restored when the vault is opened, and asked for roots and proofs.
//!
//! The edge of the tree, which is in memory and grows with the log, is what all is held against: tiles that lead elsewhere
//! are passed over, and whatever the entries then do not prove is not given out.

use std::cell::RefCell;
use std::collections::HashMap;
use std::sync::Arc;

use chartvault_verify::merkle::{
    Frontier, FrontierError, Hash, TILE_WIDTH, TileId, TileSource, prove_consistency, prove_inclusion, root_at,
    verify_consistency, verify_inclusion,
};

use super::Unlocked;
use crate::audit::{EntryKind, EntryRef, LogProofError, TileSeal, root_of_full, tile_key};
use crate::committer::{CommitFailed, LogTree, Row};
use crate::crypto::kdf;
use crate::error::Error;
use crate::progress::{OnProgress, Progress, Task};
use crate::storage::{Bytes, Tree};

/// Entries read at once, a multiple of the tiles' width.
const CHUNK: u64 = 1_024;
/// Bytes of tiles that one commit writes, about, while the tree is built.
const WRITTEN_AT_ONCE: usize = 1 << 20;
/// Tiles held while one question is answered.
const HELD: usize = 64;

impl Unlocked {
    /// Entries and root of the log as far as it is durable.
    pub(crate) fn log_tree(&self) -> Result<(u64, Hash), Error> {
        let tree = self.committer.log_tree().ok_or(LogProofError::NoTree)?;
        Ok((tree.edge.size(), tree.edge.root()))
    }

    /// The root of the log's first `size` entries, proved to be of the log as it is now.
    pub(crate) fn log_root(&self, size: u64) -> Result<Hash, Error> {
        self.held_against_edge(size, |source| root_at(source, size), |root| (*root, true))
    }

    /// The proof that entry `seq`, given as its leaf hash, is under a root that is known to be this log's.
    pub(crate) fn log_inclusion(&self, (seq, leaf): (u64, &Hash), size: u64, root: &Hash) -> Result<Vec<Hash>, Error> {
        let sound = |proof: &Vec<Hash>| (*root, verify_inclusion(leaf, seq, size, proof, root).is_ok());
        self.held_against_edge(size, |source| prove_inclusion(source, seq, size), sound)
    }

    /// The proof that the log with one size and root is the beginning of that with another; both known to be this log's.
    pub(crate) fn log_consistency(&self, old: (u64, &Hash), new: (u64, &Hash)) -> Result<Vec<Hash>, Error> {
        let sound = |proof: &Vec<Hash>| (*new.1, verify_consistency(old, new, proof).is_ok());
        self.held_against_edge(new.0, |source| prove_consistency(source, old.0, new.0), sound)
    }

    /// What tiles give, or else the entries; only if the root that it is about is proved to be of the log as it is now.
    fn held_against_edge<T>(
        &self,
        size: u64,
        make: impl Fn(&Tiles<'_>) -> Result<T, Error>,
        check: impl Fn(&T) -> (Hash, bool),
    ) -> Result<T, Error> {
        let LogTree { edge, seal } = self.committer.log_tree().ok_or(LogProofError::NoTree)?;
        let (entries, root) = (edge.size(), edge.root());
        if size > entries {
            return Err(LogProofError::Ahead { size, entries }.into());
        }
        for stored in [true, false] {
            let source = Tiles { unlocked: self, seal: &seal, stored, held: RefCell::default() };
            let made = make(&source)?;
            let (at, sound) = check(&made);
            let proof = prove_consistency(&source, size, entries)?;
            // Every tree begins with none.
            let is_ours = size == 0 || verify_consistency((size, &at), (entries, &root), &proof).is_ok();
            if sound && is_ours {
                return Ok(made);
            }
        }
        Err(LogProofError::Unproved { size }.into())
    }

    /// Takes up the tree where it was left. Where a tile that it needs is missing or wrong, as in a vault of a version that
    /// had none, builds it anew from the entries and stores what it made. An entry that cannot be read keeps nobody from
    /// opening the vault: then there is no tree.
    pub(crate) fn restore_log_tree(&self, progress: OnProgress<'_>) -> Result<(), Error> {
        let seal = Arc::new(TileSeal::new(kdf::log_tile_mac(self.keyring().state_key())));
        let size = self.committer.newest_entry().map_or(0, |head| head.seq.saturating_add(1));
        let source = Tiles { unlocked: self, seal: &seal, stored: true, held: RefCell::default() };
        let restored = Frontier::restore(size, |id, width| match id.level {
            0 => source.leaves(id, width).map_err(|_| NotThere),
            _ => source.stored(id, width).ok_or(NotThere),
        });
        let edge = match restored {
            Ok(edge) => edge,
            Err(NotThere) => match self.build_log_tree(size, &seal, progress) {
                Ok(edge) => edge,
                Err(Error::LogProof(_) | Error::Storage(_)) => return Ok(()),
                Err(error) => return Err(error),
            },
        };
        self.committer.plant(LogTree { edge: Arc::new(edge), seal });
        Ok(())
    }

    /// The edge of the tree over all entries, whose tiles are stored as far as there is room for them.
    fn build_log_tree(&self, size: u64, seal: &TileSeal, progress: OnProgress<'_>) -> Result<Frontier, Error> {
        let source = Tiles { unlocked: self, seal, stored: false, held: RefCell::default() };
        let (mut edge, mut rows, mut bytes, mut next) = (Frontier::default(), Vec::new(), 0_usize, 0);
        while next < size {
            let until = size.min(next.saturating_add(CHUNK));
            // From the one before on, so that these are linked to it.
            let known = usize::from(next > 0);
            for leaf in source.linked(next.saturating_sub(1), until)?.into_iter().skip(known) {
                edge.push(leaf, &mut |id, hashes| {
                    let row = tile_row(seal, id, hashes);
                    bytes = bytes.saturating_add(row.value.as_ref().map_or(0, |value| value.len()));
                    rows.push(row);
                });
            }
            if bytes > WRITTEN_AT_ONCE {
                self.store_tiles(std::mem::take(&mut rows))?;
                bytes = 0;
            }
            next = until;
            progress(Progress::new(Task::BuildTree, next, Some(size)));
        }
        let above = edge.partial_tiles().filter(|(id, _)| id.level > 0);
        rows.extend(above.map(|(id, hashes)| tile_row(seal, id, hashes)));
        self.store_tiles(rows)?;
        Ok(edge)
    }

    /// Stores tiles; where there is no room, they are made again when they are needed.
    pub(crate) fn store_tiles(&self, rows: Vec<Row>) -> Result<(), Error> {
        match self.committer.commit(rows, Vec::new()) {
            Ok(()) | Err(CommitFailed::NotCommitted(_)) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }
}

fn tile_row(seal: &TileSeal, id: TileId, hashes: &[Hash]) -> Row {
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
struct Tiles<'u> {
    unlocked: &'u Unlocked,
    seal: &'u TileSeal,
    /// Whether stored tiles are looked at.
    stored: bool,
    /// One question asks for the same tile several times.
    held: RefCell<HashMap<TileId, Vec<Hash>>>,
}

impl Tiles<'_> {
    /// A tile as it is stored, cut to a width; nothing where it is missing, shorter, or not the vault's.
    fn stored(&self, id: TileId, width: u16) -> Option<Vec<Hash>> {
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
        self.linked(first, first.saturating_add(width.into()))
    }

    /// The leaf hashes of a run of entries, each of which is linked to the one before.
    fn linked(&self, from: u64, until: u64) -> Result<Vec<Hash>, Error> {
        let count = usize::try_from(until.saturating_sub(from)).unwrap_or(usize::MAX);
        let entries = self.unlocked.committer.storage().entries(from, count)?;
        let (mut leaves, mut expected, mut behind_lost) = (Vec::with_capacity(entries.len()), from, false);
        for (seq, bytes) in &entries {
            let missing = LogProofError::MissingEntry { seq: expected };
            let entry = EntryRef::parse(bytes).map_err(|_| missing)?;
            let lost = entry.front.kind == EntryKind::Lost;
            // Nobody knows the hash of an entry that was lost.
            let linked = leaves.last().is_none_or(|before| *before == entry.front.prev) || (behind_lost && !lost);
            if (*seq, entry.front.seq, entry.front.vault) != (expected, expected, self.unlocked.vault) || !linked {
                return Err(missing.into());
            }
            behind_lost = lost;
            leaves.push(entry.leaf());
            expected = expected.saturating_add(1);
        }
        if expected == until { Ok(leaves) } else { Err(LogProofError::MissingEntry { seq: expected }.into()) }
    }
}

impl TileSource for Tiles<'_> {
    type Error = Error;

    fn tile(&self, id: TileId, width: u16) -> Result<Vec<Hash>, Error> {
        if let Some(held) = self.held.borrow().get(&id).filter(|held| held.len() >= usize::from(width)) {
            return Ok(held.iter().take(width.into()).copied().collect());
        }
        let stored = if self.stored { self.stored(id, width) } else { None };
        let tile = match (stored, id.level.checked_sub(1)) {
            (Some(stored), _) => stored,
            (None, None) => self.leaves(id, width)?,
            (None, Some(level)) => {
                let first = id.index.saturating_mul(TILE_WIDTH.into());
                let below = (0..u64::from(width)).map(|at| TileId { level, index: first.saturating_add(at) });
                let root = |below| Ok(root_of_full(&self.tile(below, TILE_WIDTH)?).unwrap_or_default());
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
