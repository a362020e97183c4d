//! The open pack: the newest audit entries, in memory until another one no longer fits.

use super::{Bytes, StorageError};
use crate::bytes::TooLong;
use crate::crypto::hash;
use crate::format::row::{self, PACK_MAX, Pointer, Row};

/// Entries that no row holds yet. They are durable in the journal.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct OpenPack {
    /// Number of its first entry.
    pub(crate) first: u64,
    /// Number of the next entry to come.
    pub(crate) next: u64,
    /// `u16 len ‖ entry`, …
    pub(crate) bytes: Vec<u8>,
}

impl OpenPack {
    /// Takes the next entry, which starts at `offset` in frame `seq`. Calls `write` with the number of the first entry
    /// and the row, for each row that is full.
    pub(crate) fn push(
        &mut self,
        entry: &[u8],
        seq: u64,
        offset: u32,
        mut write: impl FnMut(u64, Row<'_>) -> Result<(), StorageError>,
    ) -> Result<(), StorageError> {
        let packable = row::fits_a_pack(entry.len());
        if !self.bytes.is_empty() && (!packable || self.bytes.len() + 2 + entry.len() > PACK_MAX) {
            write(self.first, Row::Inline(&self.bytes))?;
            self.bytes.clear();
            self.first = self.next;
        }
        if packable {
            row::put_packed(&mut self.bytes, entry).map_err(too_long)?;
            self.next = self.next.saturating_add(1);
        } else {
            let len = u32::try_from(entry.len()).map_err(|_| too_long(TooLong))?;
            write(self.next, Row::Kept(Pointer { seq, offset, len, hash: hash::sha256(&[entry]) }))?;
            self.next = self.next.saturating_add(1);
            self.first = self.next;
        }
        Ok(())
    }

    /// Leaves out the entries below number `first`, which is at most that of the next one. Gives the bytes that go.
    pub(crate) fn cut(&mut self, first: u64) -> usize {
        let Some(going) = first.checked_sub(self.first).and_then(|going| usize::try_from(going).ok()) else { return 0 };
        let entries = row::unpack(&self.bytes).unwrap_or_default();
        let len = entries.iter().take(going).map(|entry| 2 + entry.len()).sum::<usize>().min(self.bytes.len());
        self.bytes.drain(..len);
        self.first = first;
        len
    }

    /// Whether both hold the same newest entries, wherever they begin.
    pub(crate) fn agrees_with(&self, other: &Self) -> bool {
        let from = self.first.max(other.first);
        let newest = |pack: &Self| pack.entries().into_iter().filter(|(seq, _)| *seq >= from).collect::<Vec<_>>();
        self.next == other.next && newest(self) == newest(other)
    }

    /// Its entries with their numbers.
    pub(crate) fn entries(&self) -> Vec<(u64, Bytes)> {
        let entries = if self.bytes.is_empty() { Vec::new() } else { row::unpack(&self.bytes).unwrap_or_default() };
        (self.first..).zip(entries.into_iter().map(Bytes::from)).collect()
    }
}

fn too_long(_: TooLong) -> StorageError {
    StorageError::Refused { why: "an audit entry is longer than 65,535 bytes" }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        /// Rows and open pack together hold every entry once, in order, and no row is above its limit.
        #[test]
        fn packs_hold_every_entry(lens in proptest::collection::vec(prop_oneof![0..300usize, 4000..4200usize], 0..60)) {
            let entries: Vec<Vec<u8>> = (0u8..).zip(&lens).map(|(fill, len)| vec![fill; *len]).collect();
            let mut pack = OpenPack::default();
            let mut held: Vec<(u64, Vec<u8>)> = Vec::new();
            for (index, entry) in (0u32..).zip(&entries) {
                pack.push(entry, 1, index, |first, row| {
                    match row {
                        Row::Inline(bytes) => {
                            assert!(bytes.len() <= PACK_MAX);
                            held.extend((first..).zip(row::unpack(bytes).unwrap().into_iter().map(<[u8]>::to_vec)));
                        }
                        Row::Kept(pointer) => held.push((first, entries[pointer.offset as usize].clone())),
                    }
                    Ok(())
                }).unwrap();
            }
            held.extend(pack.entries().into_iter().map(|(seq, entry)| (seq, entry.to_vec())));
            prop_assert_eq!(held, (0u64..).zip(entries).collect::<Vec<_>>());
            prop_assert_eq!(pack.next, lens.len() as u64);
        }
    }
}
