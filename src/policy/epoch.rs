//! Signing epochs of the log: one row each (docs/format/policy.md, table 22).

use std::fmt;

use super::row::BadRow;
use super::text::{put_text, text};
use crate::bytes::{Put, Reader};

/// Bytes of the longest final checkpoint.
const MAX_NOTE: usize = 4_096;
const CLOSED: u8 = 1;

/// How a signing epoch of the log began. Where nobody announced its key, verifiers see that the chain of keys breaks there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum EpochStart {
    /// With the vault.
    Created,
    /// The epoch before was closed, and its final checkpoint names this one's key.
    Announced,
    /// The vault had been written by a version that did not sign.
    FirstKey,
    /// The file of the signing key was not there: lost, or the vault was restored from a backup.
    KeyMissing,
    /// The file of the signing key was damaged, or of a newer version.
    KeyDamaged,
    /// The disk did not give the file of the signing key.
    KeyUnreadable,
    /// The file was of another vault.
    KeyOfAnotherVault,
    /// The file was of another epoch: it, or the vault, was restored from a backup.
    KeyOfAnotherEpoch,
    /// The file was of the right epoch, and held another key than the epoch has.
    AnotherKey,
}

impl EpochStart {
    const ALL: [Self; 9] = [
        Self::Created,
        Self::Announced,
        Self::FirstKey,
        Self::KeyMissing,
        Self::KeyDamaged,
        Self::KeyUnreadable,
        Self::KeyOfAnotherVault,
        Self::KeyOfAnotherEpoch,
        Self::AnotherKey,
    ];

    /// Whether whoever trusts the key before has reason to trust this one. The first of a vault has none before it.
    #[must_use]
    pub const fn is_announced(self) -> bool {
        matches!(self, Self::Created | Self::Announced)
    }

    const fn code(self) -> u8 {
        match self {
            Self::Created => 1,
            Self::Announced => 2,
            Self::FirstKey => 3,
            Self::KeyMissing => 4,
            Self::KeyDamaged => 5,
            Self::KeyUnreadable => 6,
            Self::KeyOfAnotherVault => 7,
            Self::KeyOfAnotherEpoch => 8,
            Self::AnotherKey => 9,
        }
    }

    fn from_code(code: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|start| start.code() == code)
    }
}

impl fmt::Display for EpochStart {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Created => "created with the vault",
            Self::Announced => "announced by the epoch before",
            Self::FirstKey => "the first key of a vault of an earlier version",
            Self::KeyMissing => "the file of the signing key was missing",
            Self::KeyDamaged => "the file of the signing key was damaged",
            Self::KeyUnreadable => "the file of the signing key could not be read",
            Self::KeyOfAnotherVault => "the file of the signing key was of another vault",
            Self::KeyOfAnotherEpoch => "the file of the signing key was of another epoch",
            Self::AnotherKey => "the file held another signing key than the epoch has",
        })
    }
}

/// A signing epoch as it is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct EpochRow {
    /// Its number, from 1.
    pub(crate) epoch: u32,
    pub(crate) start: EpochStart,
    /// Number of its first entry.
    pub(crate) first: u64,
    pub(crate) public: [u8; 32],
    pub(crate) closed: Option<ClosedEpoch>,
}

/// What the close of an epoch leaves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ClosedEpoch {
    /// Entries of the log: the number of the first one of the next epoch.
    pub(crate) size: u64,
    /// The next epoch's public key.
    pub(crate) next: [u8; 32],
    /// The final checkpoint, a signed note.
    pub(crate) note: String,
}

impl EpochRow {
    pub(super) fn id(&self) -> [u8; 16] {
        Self::id_of(self.epoch)
    }

    pub(super) fn id_of(epoch: u32) -> [u8; 16] {
        let mut id = [0; 16];
        if let Some((number, _)) = id.split_first_chunk_mut() {
            *number = epoch.to_be_bytes();
        }
        id
    }

    /// Behind the number of the table.
    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        out.put_u8(if self.closed.is_some() { CLOSED } else { 0 });
        out.put_u32(self.epoch);
        out.put_u8(self.start.code());
        out.put_u64(self.first);
        out.put(&self.public);
        if let Some(closed) = &self.closed {
            out.put_u64(closed.size);
            out.put(&closed.next);
            put_text(out, &closed.note);
        }
    }

    pub(super) fn decode(mut reader: Reader<'_>) -> Result<Self, BadRow> {
        let (flags, epoch) = (reader.u8()?, reader.u32()?);
        let start = EpochStart::from_code(reader.u8()?).ok_or(BadRow)?;
        let (first, public) = (reader.u64()?, reader.array()?);
        let closed = match flags {
            0 => None,
            CLOSED => {
                Some(ClosedEpoch { size: reader.u64()?, next: reader.array()?, note: text(&mut reader, MAX_NOTE)? })
            }
            _ => return Err(BadRow),
        };
        reader.finish()?;
        let empty = closed.as_ref().is_some_and(|closed| closed.size <= first);
        if epoch == 0 || empty { Err(BadRow) } else { Ok(Self { epoch, start, first, public, closed }) }
    }
}

#[cfg(test)]
mod tests {
    use super::super::PolicyRow;
    use super::*;
    use crate::format::worked;
    use proptest::prelude::*;

    const PAGE: &str = include_str!("../../docs/format/policy.md");

    fn documented() -> [EpochRow; 2] {
        let open = EpochRow {
            epoch: 7,
            start: EpochStart::KeyMissing,
            first: 40,
            public: worked::array(include_str!("../../docs/format/signing-key.md"), "signing_public"),
            closed: None,
        };
        let closed = ClosedEpoch { size: 52, next: [0xC3; 32], note: "a signed note\n".into() };
        [open.clone(), EpochRow { start: EpochStart::Announced, closed: Some(closed), ..open }]
    }

    #[test]
    fn the_worked_examples_hold() {
        for (row, name) in documented().into_iter().zip(["epoch_row", "epoch_closed_row"]) {
            let (bytes, row) = (worked::bytes(PAGE, name), PolicyRow::Epoch(row));
            assert_eq!(row.to_bytes(), bytes);
            assert_eq!(PolicyRow::parse(&bytes), Ok(row));
        }
    }

    #[test]
    fn a_row_that_was_cut_prolonged_or_flipped_is_refused_or_another_one() {
        for row in documented().map(PolicyRow::Epoch) {
            let bytes = row.to_bytes();
            for len in 0..bytes.len() {
                assert_eq!(PolicyRow::parse(&bytes[..len]), Err(BadRow), "{len}");
            }
            assert_eq!(PolicyRow::parse(&[&bytes[..], &[0]].concat()), Err(BadRow));
            for bit in 0..bytes.len() * 8 {
                let mut bad = bytes.clone();
                bad[bit / 8] ^= 1 << (bit % 8);
                assert_ne!(PolicyRow::parse(&bad).as_ref(), Ok(&row), "bit {bit}");
            }
        }
    }

    #[test]
    fn an_epoch_without_a_number_or_without_an_entry_is_no_row() {
        let [open, closed] = documented();
        let none = EpochRow { epoch: 0, ..open };
        assert_eq!(PolicyRow::parse(&PolicyRow::Epoch(none).to_bytes()), Err(BadRow));
        let empty = EpochRow { first: 52, ..closed };
        assert_eq!(PolicyRow::parse(&PolicyRow::Epoch(empty).to_bytes()), Err(BadRow));
    }

    proptest! {
        #[test]
        fn rows_come_back(
            epoch in 1..u32::MAX, start in 0..EpochStart::ALL.len(), first in 0..u64::MAX / 2, public: [u8; 32],
            closed in proptest::option::of((1..u64::MAX / 2, any::<[u8; 32]>(), "\\PC{0,200}")),
        ) {
            let closed = closed.map(|(more, next, note)| ClosedEpoch { size: first + more, next, note });
            let row = PolicyRow::Epoch(EpochRow { epoch, start: EpochStart::ALL[start], first, public, closed });
            prop_assert_eq!(PolicyRow::parse(&row.to_bytes()), Ok(row));
        }
    }

    #[test]
    fn every_start_has_a_code_and_words_of_its_own() {
        let words: std::collections::BTreeSet<_> = EpochStart::ALL.iter().map(ToString::to_string).collect();
        assert_eq!(words.len(), EpochStart::ALL.len());
        assert!(EpochStart::ALL.into_iter().all(|start| EpochStart::from_code(start.code()) == Some(start)));
        assert_eq!(EpochStart::from_code(0), None);
    }
}
