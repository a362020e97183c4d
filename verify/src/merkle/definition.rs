//! Roots and proofs of every size against RFC 6962, section 2.1, written down as it stands there.

use std::collections::HashMap;
use std::convert::Infallible;
use std::sync::LazyLock;

use proptest::prelude::*;

use super::naive::{leaves, split};
use super::*;

/// Every size up to here, and some around a full tile of tiles.
const SMALL: usize = 1_100;
const LARGE: usize = 65_536;
const BEYOND: usize = LARGE + 300;

/// `MTH(D[n])`, remembered, since proofs ask for the same parts again and again.
struct Log {
    leaves: Vec<Hash>,
    /// Roots of the perfect trees of 256 leaves and more, by height.
    known: Vec<Vec<Hash>>,
}

static LOG: LazyLock<Log> = LazyLock::new(|| {
    let leaves = leaves(BEYOND);
    let mut log = Log { leaves, known: vec![Vec::new(); 17] };
    for height in 8..17 {
        let width = 1 << height;
        log.known[height] = (0..BEYOND / width).map(|at| log.by_definition(at * width, (at + 1) * width)).collect();
    }
    log
});

impl Log {
    fn root(&self, from: usize, to: usize) -> Hash {
        let width = to - from;
        let known = width.is_power_of_two() && from.is_multiple_of(width);
        let known = known.then(|| self.known.get(width.ilog2() as usize)?.get(from / width)).flatten();
        known.copied().unwrap_or_else(|| self.by_definition(from, to))
    }

    fn by_definition(&self, from: usize, to: usize) -> Hash {
        match to - from {
            0 => empty_root(),
            1 => self.leaves[from],
            n => node_hash(&self.root(from, from + split(n)), &self.root(from + split(n), to)),
        }
    }

    /// `PATH(m, D[n])`.
    fn path(&self, m: usize, from: usize, to: usize) -> Vec<Hash> {
        let n = to - from;
        if n == 1 {
            return Vec::new();
        }
        let k = split(n);
        let (mut path, other) = if m < k {
            (self.path(m, from, from + k), self.root(from + k, to))
        } else {
            (self.path(m - k, from + k, to), self.root(from, from + k))
        };
        path.push(other);
        path
    }

    /// `SUBPROOF(m, D[n], b)`.
    fn subproof(&self, m: usize, from: usize, to: usize, whole: bool) -> Vec<Hash> {
        let n = to - from;
        if m == n {
            return if whole { Vec::new() } else { vec![self.root(from, to)] };
        }
        let k = split(n);
        let (mut path, other) = if m <= k {
            (self.subproof(m, from, from + k, whole), self.root(from + k, to))
        } else {
            (self.subproof(m - k, from + k, to, false), self.root(from, from + k))
        };
        path.push(other);
        path
    }
}

/// Tiles as a frontier fills them.
struct Tiles {
    full: HashMap<TileId, Vec<Hash>>,
    edges: Vec<Frontier>,
}

static TILES: LazyLock<Tiles> = LazyLock::new(|| {
    let (mut edge, mut full, mut edges) = (Frontier::default(), HashMap::new(), vec![Frontier::default()]);
    for leaf in &LOG.leaves {
        edge.push(*leaf, &mut |id, hashes| drop(full.insert(id, hashes.to_vec())));
        edges.push(edge.clone());
        if edges.len() > SMALL + 2 && edges.len() < LARGE - 300 {
            // Only those that are asked for are kept.
            edges.pop();
            edges.push(Frontier::default());
        }
    }
    Tiles { full, edges }
});

impl TileSource for Tiles {
    type Error = Infallible;

    fn tile(&self, id: TileId, width: u16) -> Result<Vec<Hash>, Infallible> {
        let width = usize::from(width);
        if let Some(full) = self.full.get(&id) {
            return Ok(full[..width].to_vec());
        }
        let partial = self.edges.last().unwrap().partial_tiles().find(|(other, _)| *other == id);
        Ok(partial.unwrap().1[..width].to_vec())
    }
}

fn is_as_defined(size: usize, others: &[usize]) {
    let (log, tiles) = (&*LOG, &*TILES);
    let (root, n) = (log.root(0, size), size as u64);
    assert_eq!(tiles.edges[size].root(), root, "{size}");
    assert_eq!(root_at(tiles, n), Ok(root), "{size}");
    assert_eq!(Range::of_tiles(tiles, 0, n).map(|range| range.root()), Ok(Some(root)), "{size}");
    for &m in others {
        let at = m as u64;
        if m < size {
            let path = log.path(m, 0, size);
            assert_eq!(prove_inclusion(tiles, at, n), Ok(path.clone()), "{m} in {size}");
            assert_eq!(verify_inclusion(&log.leaves[m], at, n, &path, &root), Ok(()), "{m} in {size}");
            assert!(verify_inclusion(&log.leaves[m], at ^ 1, n, &path, &root).is_err(), "{m} in {size}");
        } else {
            assert_eq!(prove_inclusion(tiles, at, n), Ok(Vec::new()));
            let refused = verify_inclusion(&log.leaves[0], at, n, &[], &root);
            assert_eq!(refused, Err(ProofError::NoSuchLeaf { index: at, size: n }));
        }
        let old = log.root(0, m);
        if 0 < m && m <= size {
            let proof = log.subproof(m, 0, size, true);
            assert_eq!(prove_consistency(tiles, at, n), Ok(proof.clone()), "{m} to {size}");
            assert_eq!(verify_consistency((at, &old), (n, &root), &proof), Ok(()), "{m} to {size}");
            let longer = [&proof[..], &[root]].concat();
            assert!(verify_consistency((at, &old), (n, &root), &longer).is_err(), "{m} to {size}");
            let other = log.root(0, m - 1);
            assert!(verify_consistency((at, &other), (n, &root), &proof).is_err(), "{m} to {size}");
        } else {
            assert_eq!(prove_consistency(tiles, at, n), Ok(Vec::new()));
            assert!(verify_consistency((at, &old), (n, &root), &[]).is_err(), "{m} to {size}");
        }
    }
}

#[test]
fn every_size_up_to_1_100_has_the_roots_and_proofs_of_the_definition() {
    for size in 0..=SMALL {
        let others = [0, 1, 2, 256, 1_024, size / 3, size.saturating_sub(1), size];
        is_as_defined(size, &others);
    }
}

#[test]
fn sizes_around_a_full_tile_of_tiles_have_them_too() {
    for size in (LARGE - 3..=LARGE + 3).chain([LARGE - 256, LARGE + 255, LARGE + 256, LARGE + 257, BEYOND]) {
        is_as_defined(size, &[0, 1, 255, 256, 257, 32_767, 32_768, 65_279, 65_280, LARGE - 1, LARGE, size - 1, size]);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn any_two_sizes_have_them(size in 0..=SMALL, other in 0..=SMALL, large in LARGE - 290..=BEYOND, from in 0..BEYOND) {
        is_as_defined(size, &[other]);
        is_as_defined(large, &[from, other]);
    }
}
