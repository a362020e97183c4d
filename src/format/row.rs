//! Rows of the trees and packs of audit entries (docs/format/journal.md, "Rows" and "Packs").

use crate::bytes::{Put, Reader, TooLong, Truncated};

/// A pack takes at most this many bytes, and so does an inline value: the trees lose data above (blobs).
pub(crate) const PACK_MAX: usize = 4096;

/// What stands under a key in the trees.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Row<'a> {
    /// `0x01 ‖ value`
    Inline(&'a [u8]),
    /// `0x02 ‖ frame seq u64 ‖ offset u32 ‖ len u32 ‖ SHA-256 [32]`
    Kept(Pointer),
}

/// Where in the journal a value or an entry is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Pointer {
    pub(crate) seq: u64,
    /// Where in that frame it starts, in bytes.
    pub(crate) offset: u32,
    pub(crate) len: u32,
    /// SHA-256 of the value.
    pub(crate) hash: [u8; 32],
}

impl<'a> Row<'a> {
    pub(crate) fn encode(&self) -> Vec<u8> {
        match self {
            Self::Inline(value) => {
                let mut out = Vec::with_capacity(1 + value.len());
                out.put_u8(1);
                out.put(value);
                out
            }
            Self::Kept(pointer) => {
                let mut out = Vec::with_capacity(49);
                out.put_u8(2);
                out.put_u64(pointer.seq);
                out.put_u32(pointer.offset);
                out.put_u32(pointer.len);
                out.put(&pointer.hash);
                out
            }
        }
    }

    pub(crate) fn parse(bytes: &'a [u8]) -> Result<Self, Truncated> {
        let mut reader = Reader::new(bytes);
        match reader.u8()? {
            1 => Ok(Self::Inline(reader.rest())),
            2 => {
                let pointer =
                    Pointer { seq: reader.u64()?, offset: reader.u32()?, len: reader.u32()?, hash: reader.array()? };
                reader.finish()?;
                Ok(Self::Kept(pointer))
            }
            _ => Err(Truncated),
        }
    }
}

/// Whether an entry can be packed with others, rather than being a row of its own.
pub(crate) const fn fits_a_pack(entry: usize) -> bool {
    entry + 2 <= PACK_MAX
}

/// Appends `u16 len ‖ entry` to a pack.
pub(crate) fn put_packed(pack: &mut Vec<u8>, entry: &[u8]) -> Result<(), TooLong> {
    pack.put_len16(entry)
}

/// The entries of a pack, in order; at least one.
pub(crate) fn unpack(pack: &[u8]) -> Result<Vec<&[u8]>, Truncated> {
    let mut reader = Reader::new(pack);
    let mut entries = Vec::new();
    while !reader.rest().is_empty() {
        entries.push(reader.len16()?);
    }
    if entries.is_empty() { Err(Truncated) } else { Ok(entries) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn rows_round_trip(value: Vec<u8>, seq: u64, offset: u32, len: u32, hash: [u8; 32]) {
            let inline = Row::Inline(&value);
            let kept = Row::Kept(Pointer { seq, offset, len, hash });
            for row in [inline, kept] {
                let bytes = row.encode();
                prop_assert_eq!(Row::parse(&bytes), Ok(row));
            }
        }

        #[test]
        fn packs_round_trip(entries in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..50), 1..20)) {
            let mut pack = Vec::new();
            entries.iter().for_each(|entry| put_packed(&mut pack, entry).unwrap());
            prop_assert_eq!(unpack(&pack).unwrap(), entries);
        }
    }

    #[test]
    fn cut_rows_and_packs_are_refused() {
        let kept = Row::Kept(Pointer { seq: 1, offset: 2, len: 3, hash: [4; 32] }).encode();
        (0..kept.len()).for_each(|len| assert!(Row::parse(&kept[..len]).is_err(), "length {len}"));
        assert!(Row::parse(&[&kept[..], &[0]].concat()).is_err());
        assert!(Row::parse(&[3]).is_err());
        let mut pack = Vec::new();
        put_packed(&mut pack, b"entry").unwrap();
        (0..pack.len()).for_each(|len| assert!(unpack(&pack[..len]).is_err(), "length {len}"));
    }
}
