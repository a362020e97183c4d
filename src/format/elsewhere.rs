//! The mark in the directory of a vault whose header is elsewhere (docs/format/header.md, "Detached header").
//!
//! `magic[8] ‖ format u16 ‖ vault id[16] ‖ H(all before)[32]`. No secret, and nothing that opens anything.

use crate::bytes::{Put, Reader, Truncated};
use crate::crypto::hash::sha256;
use crate::ids::VaultId;

const MAGIC: [u8; 8] = *b"CVELSE\0\0";
const FORMAT: u16 = 1;

/// Bytes of a mark.
pub(crate) const MARK_LEN: usize = 8 + 2 + 16 + 32;

pub(crate) fn encode(vault: VaultId) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(MARK_LEN);
    bytes.put(&MAGIC);
    bytes.put_u16(FORMAT);
    bytes.put(vault.as_bytes());
    let hash = sha256(&[&bytes]);
    bytes.put(&hash);
    bytes
}

/// The vault that a mark names; nothing if it is damaged, or newer.
pub(crate) fn parse(bytes: &[u8]) -> Option<VaultId> {
    read(bytes).ok().flatten()
}

fn read(bytes: &[u8]) -> Result<Option<VaultId>, Truncated> {
    let mut reader = Reader::new(bytes);
    let known = reader.array()? == MAGIC && reader.u16()? == FORMAT;
    let vault = VaultId::from_bytes(reader.array()?);
    let hash: [u8; 32] = reader.array()?;
    reader.finish()?;
    let (hashed, _) = bytes.split_last_chunk::<32>().ok_or(Truncated)?;
    Ok((known && sha256(&[hashed]) == hash).then_some(vault))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::worked;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn marks_round_trip(vault: [u8; 16]) {
            let vault = VaultId::from_bytes(vault);
            prop_assert_eq!(parse(&encode(vault)), Some(vault));
            prop_assert_eq!(encode(vault).len(), MARK_LEN);
        }

        #[test]
        fn any_bytes_are_parsed_without_panic(bytes in proptest::collection::vec(any::<u8>(), 0..80)) {
            let _ = parse(&bytes);
        }
    }

    #[test]
    fn every_flipped_bit_and_every_cut_is_seen() {
        let bytes = encode(VaultId::from_bytes([0xA1; 16]));
        for bit in 0..bytes.len() * 8 {
            let mut flipped = bytes.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(parse(&flipped), None, "bit {bit}");
        }
        for len in 0..bytes.len() {
            assert_eq!(parse(&bytes[..len]), None, "length {len}");
        }
        assert_eq!(parse(&[&bytes[..], &[0]].concat()), None);
    }

    #[test]
    fn the_worked_example_holds() {
        const PAGE: &str = include_str!("../../docs/format/header.md");
        let vault = VaultId::from_bytes(worked::array(PAGE, "vault_id"));
        assert_eq!(encode(vault), worked::bytes(PAGE, "mark"));
    }
}
