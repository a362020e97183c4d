//! The place where key packs are kept: which there are, and which of them may go.

use std::collections::BTreeSet;

use crate::backup::pack::PackPart;
use crate::backup::pack_end::PackEnd;
use crate::backup::shelf::Shelf;
use crate::backup::{BackupFault, BackupKey, BackupTarget, TargetError};

/// Older packs that are still there.
#[derive(Default)]
pub(super) struct Older {
    /// Because backups need them.
    pub(super) needed: BTreeSet<u64>,
    /// Because the place where they are kept did not remove them.
    pub(super) left: BTreeSet<u64>,
}

/// A place of key packs, as it was when it was read.
pub(super) struct Packs<'t> {
    shelf: Shelf<'t>,
    /// Pack and part, ascending.
    parts: Vec<(u64, u32)>,
    /// The end of each pack that has one, ascending; nothing where a part is missing or the end is damaged.
    ends: Vec<(u64, Option<PackEnd>)>,
}

impl<'t> Packs<'t> {
    /// Reads what there is. Refuses a place where another vault keeps its packs.
    pub(super) fn at(target: &'t dyn BackupTarget, key: &BackupKey) -> Result<Self, BackupFault> {
        let shelf = Shelf::new(target);
        let (parts, mut ends) = (shelf.packs()?, Vec::new());
        for number in shelf.whole_packs()? {
            let end = match shelf.pack_end(number, key) {
                Ok(end) => Some(end).filter(|end| (0..end.parts).all(|part| parts.contains(&(number, part)))),
                Err(BackupFault::Pack { .. } | BackupFault::Target { source: TargetError::TooLarge { .. }, .. }) => {
                    None
                }
                // Removed since it was listed.
                Err(BackupFault::Target { source: TargetError::Absent { .. }, .. }) => continue,
                Err(error) => return Err(error),
            };
            ends.push((number, end));
        }
        Ok(Self { shelf, parts, ends })
    }

    /// The end of the pack with the highest number, if that is whole.
    pub(super) fn newest(&self) -> Option<PackEnd> {
        self.ends.last().and_then(|(_, end)| *end)
    }

    /// The highest number of which there is anything.
    pub(super) fn last(&self) -> u64 {
        let parts = self.parts.iter().map(|(number, _)| *number);
        parts.chain(self.ends.iter().map(|(number, _)| *number)).max().unwrap_or(0)
    }

    pub(super) fn put(&self, name: &str, bytes: &[u8]) -> Result<(), BackupFault> {
        self.shelf.target.put_new(name, bytes).map_err(|error| self.shelf.failed(error))
    }

    /// Removes packs older than this one, but for those that are needed to open backups with records of these data epochs.
    pub(super) fn remove_older(&self, newest: &PackEnd, epochs: &BTreeSet<u32>) -> Older {
        let mut older = Older { needed: self.needed(newest, epochs), left: BTreeSet::new() };
        let ends = self.ends.iter().map(|(number, _)| (*number, PackEnd::name_of(*number)));
        let parts = self.parts.iter().map(|(number, part)| (*number, PackPart::name_of(*number, *part)));
        // The end of each before its parts: half a pack is to count as none.
        for (number, name) in ends.chain(parts).filter(|(number, _)| *number < newest.pack.number) {
            if older.needed.contains(&number) || older.left.contains(&number) {
                continue;
            }
            if !matches!(self.shelf.target.delete(&name), Ok(()) | Err(TargetError::Absent { .. })) {
                older.left.insert(number);
            }
        }
        older
    }

    /// For each epoch whose key the newest pack has no more, the newest one that does.
    fn needed(&self, newest: &PackEnd, epochs: &BTreeSet<u32>) -> BTreeSet<u64> {
        let older = |epoch: &u32| {
            let ends = self.ends.iter().rev().filter_map(|(_, end)| end.as_ref());
            let mut older = ends.filter(|end| end.pack.number < newest.pack.number);
            older.find(|end| end.data_epochs.0 <= *epoch).map(|end| end.pack.number)
        };
        epochs.range(..newest.data_epochs.0).filter_map(older).collect()
    }
}
