//! The header of a journal segment (docs/format/journal.md, "Segment").

use crate::bytes::{Put, Reader, Truncated};
use crate::crypto::hash;
use crate::ids::VaultId;

/// Bytes before the first frame: one sector.
pub(crate) const HEADER_LEN: usize = 512;
/// Newest format of segments.
pub(crate) const FORMAT: u16 = 1;
const MAGIC: [u8; 4] = *b"CVJ1";
const FIELDS_LEN: usize = 4 + 2 + 16 + 8 + 8 + 32 + 8;

/// What a segment says of itself. Checked for damage only: genuineness comes from its frames.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SegmentHeader {
    pub(crate) vault: VaultId,
    /// 1, 2, 3 …
    pub(crate) number: u64,
    /// The number of its first frame.
    pub(crate) first_seq: u64,
    /// Hash of the frame before that; zeros when there is none.
    pub(crate) previous: [u8; 32],
    /// Bytes of the whole file.
    pub(crate) size: u64,
}

/// Why bytes are no segment header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SegmentError {
    Damaged(&'static str),
    UnknownFormat(u16),
}

impl From<Truncated> for SegmentError {
    fn from(_: Truncated) -> Self {
        Self::Damaged("a segment header that is cut short")
    }
}

impl SegmentHeader {
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(HEADER_LEN);
        out.put(&MAGIC);
        out.put_u16(FORMAT);
        out.put(self.vault.as_bytes());
        out.put_u64(self.number);
        out.put_u64(self.first_seq);
        out.put(&self.previous);
        out.put_u64(self.size);
        out.resize(HEADER_LEN - 32, 0);
        let hash = hash::sha256(&[&out]);
        out.put(&hash);
        out
    }

    pub(crate) fn parse(bytes: &[u8; HEADER_LEN]) -> Result<Self, SegmentError> {
        let mut reader = Reader::new(bytes);
        let checked = reader.take(HEADER_LEN - 32)?;
        if reader.array::<32>()? != hash::sha256(&[checked]) {
            return Err(SegmentError::Damaged("a segment header that does not match its hash"));
        }
        let mut reader = Reader::new(checked);
        if reader.array()? != MAGIC {
            return Err(SegmentError::Damaged("a segment header without its magic"));
        }
        let format = reader.u16()?;
        if format != FORMAT {
            return Err(SegmentError::UnknownFormat(format));
        }
        let header = Self {
            vault: VaultId::from_bytes(reader.array()?),
            number: reader.u64()?,
            first_seq: reader.u64()?,
            previous: reader.array()?,
            size: reader.u64()?,
        };
        if reader.rest().iter().any(|byte| *byte != 0) {
            return Err(SegmentError::Damaged("a segment header whose reserved bytes are not zero"));
        }
        Ok(header)
    }
}

const _: () = assert!(FIELDS_LEN <= HEADER_LEN - 32);

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const HEADER: SegmentHeader =
        SegmentHeader { vault: VaultId::from_bytes([1; 16]), number: 1, first_seq: 1, previous: [0; 32], size: 65_536 };

    proptest! {
        #[test]
        fn what_was_written_is_read_back(vault: [u8; 16], number: u64, first_seq: u64, previous: [u8; 32], size: u64) {
            let header = SegmentHeader { vault: VaultId::from_bytes(vault), number, first_seq, previous, size };
            prop_assert_eq!(SegmentHeader::parse(&header.encode().try_into().unwrap()), Ok(header));
        }
    }

    #[test]
    fn every_flipped_bit_is_refused() {
        let bytes: [u8; HEADER_LEN] = HEADER.encode().try_into().unwrap();
        for bit in 0..HEADER_LEN * 8 {
            let mut bad = bytes;
            bad[bit / 8] ^= 1 << (bit % 8);
            assert!(SegmentHeader::parse(&bad).is_err(), "bit {bit}");
        }
    }

    #[test]
    fn an_unknown_format_is_named() {
        let mut bytes = HEADER.encode();
        bytes[5] = 2;
        let hash = hash::sha256(&[&bytes[..HEADER_LEN - 32]]);
        bytes[HEADER_LEN - 32..].copy_from_slice(&hash);
        assert_eq!(SegmentHeader::parse(&bytes.try_into().unwrap()), Err(SegmentError::UnknownFormat(2)));
    }
}
