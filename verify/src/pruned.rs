//! What a prune entry says that was opened with its key (docs/format/audit.md, "What a prune entry says").

use crate::disclose::Disclosed;
use crate::merkle::Hash;

const FIELD: u16 = 0x800A;
const TILE: u64 = 256;

/// Entries that were removed from the log, and what stood there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Pruned {
    /// Number of the first entry that was removed then.
    pub first: u64,
    /// Number behind the last one: where the log begins since.
    pub end: u64,
    /// Leaf hash of the last one, which entry `end` names as the one before it.
    pub last: Hash,
    /// When the last one was written, in microseconds since 1970.
    pub last_time: i64,
    /// Root of the log's tree over the first `end` entries.
    pub root: Hash,
    /// SHA-256 of the archive of those that were removed.
    pub archive: Hash,
    /// The principal who agreed; the entry's actor (field 0003) is who removed them.
    pub second: [u8; 16],
}

impl Disclosed {
    /// What was removed from the log with this entry; nothing if it is no prune entry, or says it wrongly.
    #[must_use]
    pub fn pruned(&self) -> Option<Pruned> {
        let mut rest = self.field(FIELD)?;
        let (first, end) = (u64::from_be_bytes(take(&mut rest)?), u64::from_be_bytes(take(&mut rest)?));
        let (last, last_time) = (take(&mut rest)?, i64::from_be_bytes(take(&mut rest)?));
        let _epochs: [u8; 8] = take(&mut rest)?;
        let (root, archive, second) = (take(&mut rest)?, take(&mut rest)?, take(&mut rest)?);
        let sound = rest.is_empty() && first < end && first % TILE == 0 && end % TILE == 0;
        sound.then_some(Pruned { first, end, last, last_time, root, archive, second })
    }
}

fn take<const N: usize>(bytes: &mut &[u8]) -> Option<[u8; N]> {
    let (taken, rest) = bytes.split_first_chunk::<N>()?;
    *bytes = rest;
    Some(*taken)
}
