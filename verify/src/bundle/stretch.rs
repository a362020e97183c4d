//! The entries of a batch, looked at by themselves: what threads do beside each other.

use std::collections::BTreeMap;

use zeroize::Zeroizing;

use super::format::Batch;
use super::report::BundleFault;
use crate::chain::Chain;
use crate::disclose::{Disclosed, disclose};
use crate::entry::EntryKind;
use crate::epochs::Epochs;
use crate::merkle::Range;

/// What is known before the first entry.
#[derive(Clone)]
pub(super) struct Ground {
    pub(super) vault: [u8; 16],
    pub(super) epochs: Epochs,
    pub(super) keys: BTreeMap<u64, Zeroizing<[u8; 32]>>,
    /// Entries of the checkpoint that is known from elsewhere.
    pub(super) anchored: Option<u64>,
}

/// What a batch gave, up to its first fault.
pub(super) struct Stretch {
    pub(super) chain: Chain,
    pub(super) tree: Range,
    /// The tree up to what is anchored, where that ends in this batch.
    pub(super) at_anchor: Option<Range>,
    /// Signing epochs that are followed by another one, with the first entry of that.
    pub(super) turned: Vec<(u32, u64)>,
    pub(super) disclosed: Vec<(EntryKind, Disclosed)>,
    pub(super) fault: Option<BundleFault>,
}

impl Ground {
    /// Looks at a batch whose first entry should have this number.
    pub(super) fn look_at(&self, first: u64, batch: &Batch) -> Stretch {
        let mut stretch = Stretch {
            chain: Chain::new(self.vault, first),
            tree: Range::empty(first),
            at_anchor: None,
            turned: Vec::new(),
            disclosed: Vec::new(),
            fault: None,
        };
        stretch.fault = batch.entries().find_map(|bytes| self.take(&mut stretch, bytes).err());
        stretch
    }

    fn take(&self, stretch: &mut Stretch, bytes: &[u8]) -> Result<(), BundleFault> {
        let before = stretch.chain.last();
        let (entry, leaf) = stretch.chain.follow(bytes)?;
        stretch.tree.push(leaf);
        let (seq, epoch) = (entry.seq, entry.key_id);
        if !self.epochs.may_hold(epoch, seq) {
            return Err(BundleFault::WrongEpoch { seq, epoch });
        }
        if let Some(last) = before.filter(|last| last.key_id != epoch) {
            stretch.turned.push((last.key_id, seq));
        }
        if self.anchored == Some(stretch.tree.end()) {
            stretch.at_anchor = Some(stretch.tree.clone());
        }
        if let Some(key) = self.keys.get(&seq) {
            let opened = disclose(&entry, key).ok_or(BundleFault::Key { seq })?;
            stretch.disclosed.push((entry.kind, opened));
        }
        Ok(())
    }
}
