//! A stretch of leaves as few hashes: the roots of the largest perfect trees that lie in it.

use super::{Hash, ProofError, TileSource, empty_root, node_hash, proof};

/// The leaves from one number to before another, as the roots of the largest perfect trees of the whole tree that they fill:
/// at most 126 hashes. Stretches that stand side by side are joined; one from 0 on has a root.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Range {
    from: u64,
    to: u64,
    /// From left to right.
    nodes: Vec<Hash>,
}

/// The heights and places of the largest perfect trees between two numbers, from left to right.
fn parts(from: u64, to: u64) -> impl Iterator<Item = (u64, u32)> {
    let mut at = from;
    std::iter::from_fn(move || {
        let left = to.checked_sub(at).filter(|left| *left > 0)?;
        // Neither larger than where it stands allows, nor than what is left.
        let height = if at == 0 { left.ilog2() } else { at.trailing_zeros().min(left.ilog2()) };
        let part = (at, height);
        at += 1 << height;
        Some(part)
    })
}

impl Range {
    /// No leaf, in front of number `at`.
    #[must_use]
    pub const fn empty(at: u64) -> Self {
        Self { from: at, to: at, nodes: Vec::new() }
    }

    /// Of hashes that were received. Whether they are those of this stretch shows in the root alone.
    ///
    /// # Errors
    /// [`ProofError::WrongLength`] where a stretch between these numbers has another number of hashes.
    pub fn of_nodes(from: u64, to: u64, nodes: Vec<Hash>) -> Result<Self, ProofError> {
        let wrong = ProofError::WrongLength { found: nodes.len() };
        if from > to || nodes.len() > 126 || parts(from, to).count() != nodes.len() {
            return Err(wrong);
        }
        Ok(Self { from, to, nodes })
    }

    /// Out of tiles.
    ///
    /// # Errors
    /// What `source` answers.
    pub fn of_tiles<S: TileSource + ?Sized>(source: &S, from: u64, to: u64) -> Result<Self, S::Error> {
        let nodes = parts(from, to).map(|(at, height)| proof::perfect(source, at, height)).collect::<Result<_, _>>()?;
        Ok(Self { from, to: to.max(from), nodes })
    }

    /// The hashes, from left to right.
    #[must_use]
    pub fn nodes(&self) -> &[Hash] {
        &self.nodes
    }

    /// The number of the first leaf.
    #[must_use]
    pub const fn start(&self) -> u64 {
        self.from
    }

    /// The number behind the last leaf.
    #[must_use]
    pub const fn end(&self) -> u64 {
        self.to
    }

    /// Adds the leaf that stands next, as its hash.
    pub fn push(&mut self, leaf: Hash) {
        self.add(leaf, 0);
    }

    /// Adds the stretch that stands next; nothing if another one does.
    #[must_use]
    pub fn join(mut self, next: &Self) -> Option<Self> {
        if next.from != self.to {
            return None;
        }
        parts(next.from, next.to).zip(&next.nodes).for_each(|((_, height), node)| self.add(*node, height));
        Some(self)
    }

    fn add(&mut self, mut node: Hash, mut height: u32) {
        let mut at = self.to;
        self.to = self.to.saturating_add(1 << height);
        // As long as what stands left of it is the other half of a perfect tree, and in the stretch.
        while at.checked_shr(height).is_some_and(|at| at & 1 == 1) && at - (1 << height) >= self.from {
            let Some(left) = self.nodes.pop() else { break };
            node = node_hash(&left, &node);
            at -= 1 << height;
            height += 1;
        }
        self.nodes.push(node);
    }

    /// The root of the tree of these leaves, if they begin with the first.
    #[must_use]
    pub fn root(&self) -> Option<Hash> {
        let root = self.nodes.iter().rev().copied().reduce(|right, left| node_hash(&left, &right));
        (self.from == 0).then(|| root.unwrap_or_else(empty_root))
    }
}

#[cfg(test)]
mod tests {
    use super::super::naive;
    use super::*;

    fn of(leaves: &[Hash], from: usize, to: usize) -> Range {
        let mut range = Range::empty(from as u64);
        leaves[from..to].iter().for_each(|leaf| range.push(*leaf));
        range
    }

    #[test]
    fn three_stretches_side_by_side_have_the_root_of_the_definition() {
        let leaves = naive::leaves(40);
        for size in 0..=40 {
            let root = naive::root(&leaves[..size]);
            for from in 0..=size {
                for to in from..=size {
                    let (left, middle, right) = (of(&leaves, 0, from), of(&leaves, from, to), of(&leaves, to, size));
                    let received = Range::of_nodes(to as u64, size as u64, right.nodes().to_vec()).unwrap();
                    assert_eq!(received, right);
                    let whole = left.join(&middle).and_then(|range| range.join(&received)).unwrap();
                    assert_eq!((whole.root(), whole.end()), (Some(root), size as u64), "{from} to {to} of {size}");
                }
            }
        }
    }

    #[test]
    fn stretches_that_do_not_stand_side_by_side_are_not_joined_and_a_stretch_in_the_middle_has_no_root() {
        let leaves = naive::leaves(9);
        assert_eq!(of(&leaves, 0, 3).join(&of(&leaves, 4, 5)), None);
        assert_eq!(of(&leaves, 1, 3).root(), None);
        assert_eq!(Range::of_nodes(1, 3, vec![[0; 32]]), Err(ProofError::WrongLength { found: 1 }));
        assert!(Range::of_nodes(3, 1, Vec::new()).is_err() && Range::of_nodes(0, u64::MAX, vec![[0; 32]; 64]).is_ok());
    }
}
