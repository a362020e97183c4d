//! What an entry says that removed entries from the log (docs/format/audit.md, "What a prune entry says").

use std::fmt;

use super::chain::Head;
use super::defect::EntryDefect;
use super::payload::tag;
use crate::bytes::{Put, Reader, Truncated};
use crate::clock::Timestamp;
use crate::ids::PrincipalId;

/// Entries that go together: those of a tile of the lowest level.
pub(crate) const TILE: u64 = 256;
const LEN: usize = 144;

/// Entries that were removed from the log, and what stood there: what the entry says that went with their removal. Whoever
/// has the archive with this hash has them still.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct LogPruned {
    /// Number of the first entry that was removed then; those before it had gone earlier.
    pub first: u64,
    /// Number behind the last one: where the log begins since.
    pub end: u64,
    /// Leaf hash of the last one, which entry `end` names as the one before it.
    pub last: [u8; 32],
    /// When the last one was written.
    pub last_time: Timestamp,
    /// Root of the log's tree over the first `end` entries.
    pub root: [u8; 32],
    /// SHA-256 of the archive that was read back before they went.
    pub archive: [u8; 32],
    /// Who agreed; the entry's actor is who removed them.
    pub second: PrincipalId,
    /// Audit epoch and signing epoch of the last one.
    pub(crate) epochs: (u32, u32),
}

impl LogPruned {
    /// The last entry that was removed, as far as the next one depends on it.
    pub(crate) const fn head(&self) -> Head {
        let Self { end, last: leaf, last_time: time, epochs: (epoch, key_id), .. } = *self;
        Head { seq: end.saturating_sub(1), leaf, time, epoch, key_id }
    }

    pub(crate) fn put(&self, out: &mut impl Put) {
        out.put_u64(self.first);
        out.put_u64(self.end);
        out.put(&self.last);
        out.put_i64(self.last_time.as_micros());
        out.put_u32(self.epochs.0);
        out.put_u32(self.epochs.1);
        out.put(&self.root);
        out.put(&self.archive);
        out.put(self.second.as_bytes());
    }

    pub(super) fn to_bytes(self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(LEN);
        self.put(&mut bytes);
        bytes
    }

    /// The next bytes; whole tiles, one at least.
    pub(crate) fn read(reader: &mut Reader<'_>) -> Result<Option<Self>, Truncated> {
        let (first, end, last) = (reader.u64()?, reader.u64()?, reader.array()?);
        let last_time = Timestamp::from_micros(reader.i64()?);
        let epochs = (reader.u32()?, reader.u32()?);
        let (root, archive, second) = (reader.array()?, reader.array()?, PrincipalId::from_bytes(reader.array()?));
        let whole = first < end && first.is_multiple_of(TILE) && end.is_multiple_of(TILE);
        Ok(whole.then_some(Self { first, end, last, last_time, root, archive, second, epochs }))
    }

    pub(super) fn parse(value: &[u8]) -> Result<Self, EntryDefect> {
        let wrong = EntryDefect::FieldValue(tag::PRUNED);
        let mut reader = Reader::new(value);
        let pruned = Self::read(&mut reader).ok().flatten().ok_or(wrong)?;
        reader.finish().map_err(|_| wrong)?;
        Ok(pruned)
    }
}

impl fmt::Display for LogPruned {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let archive = data_encoding::HEXLOWER.encode(&self.archive);
        write!(f, "entries {} up to {}, with {}; archive SHA-256 {archive}", self.first, self.end, self.second)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::draft::Draft;
    use super::super::entry::{EntryKind, EntryRef};
    use super::super::keys::SubjectKey;
    use super::super::payload::Fields;
    use super::super::tests::kit;
    use super::super::view::open_entry;
    use super::*;

    proptest! {
        #[test]
        fn what_was_pruned_comes_back(
            (first, tiles) in (0_u64..1 << 40, 1_u64..1 << 40), last: [u8; 32], time: i64, epochs: (u32, u32), root: [u8; 32],
            archive: [u8; 32], second: [u8; 16],
        ) {
            let (first, end) = (first * TILE, (first + tiles) * TILE);
            let (last_time, second) = (Timestamp::from_micros(time), PrincipalId::from_bytes(second));
            let pruned = LogPruned { first, end, last, last_time, root, archive, second, epochs };
            let bytes = pruned.to_bytes();
            prop_assert_eq!((bytes.len(), LogPruned::parse(&bytes)), (LEN, Ok(pruned)));
            prop_assert!(LogPruned::parse(&bytes[1..]).is_err() && LogPruned::parse(&[&bytes[..], &[0]].concat()).is_err());
        }
    }

    #[test]
    fn an_entry_says_what_was_pruned_if_and_only_if_it_is_a_prune_entry() {
        let opened = |draft| {
            let log = kit::log(vec![kit::genesis(), draft]);
            let entry = EntryRef::parse(&log[1]).unwrap();
            open_entry(&entry, &kit::keys(), |_, _, _| None::<&SubjectKey>).map(|entry| entry.pruned)
        };
        let draft = kit::pruning();
        assert_eq!(opened(draft.clone()), Ok(draft.fields.pruned));
        let without = Draft { fields: Fields { pruned: None, ..draft.fields.clone() }, ..draft.clone() };
        let event = Draft { kind: EntryKind::Event, ..draft };
        for draft in [without, event] {
            assert_eq!(opened(draft), Err(EntryDefect::MissingField(tag::PRUNED).into()));
        }
    }

    #[test]
    fn what_is_no_whole_tiles_is_refused() {
        let pruned = |first, end| {
            let second = PrincipalId::from_bytes([1; 16]);
            let (last, root, archive) = ([2; 32], [3; 32], [4; 32]);
            let last_time = Timestamp::from_micros(5);
            LogPruned { first, end, last, last_time, root, archive, second, epochs: (1, 1) }.to_bytes()
        };
        for (first, end) in [(0, 0), (256, 256), (512, 256), (1, 256), (0, 255)] {
            assert_eq!(
                LogPruned::parse(&pruned(first, end)),
                Err(EntryDefect::FieldValue(tag::PRUNED)),
                "{first} {end}"
            );
        }
        assert!(LogPruned::parse(&pruned(0, 256)).is_ok() && LogPruned::parse(&pruned(256, 1_024)).is_ok());
    }
}
