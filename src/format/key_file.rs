//! Key files (docs/format/key-file.md): one key of one vault, on a medium of its own.
//!
//! `magic[8] ‖ format u16 ‖ vault id[16] ‖ key[32] ‖ H(all before)[32]`

use zeroize::Zeroizing;

use crate::bytes::{Put, Reader, Truncated};
use crate::crypto::hash::{equal, sha256};
use crate::ids::VaultId;
use crate::secret::{Secret, SecretBytes};

const MAGIC: [u8; 8] = *b"CVKEY1\0\0";

/// The newest format of key files, and so far the only one.
pub(crate) const FORMAT: u16 = 1;

/// Bytes of a key file.
pub(crate) const KEY_FILE_LEN: usize = 8 + 2 + 16 + 32 + 32;

/// Why bytes are no key file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum KeyFileFault {
    /// They do not begin like one.
    Another,
    /// They are cut, prolonged or do not match their checksum.
    Damaged,
    /// Written by a newer version.
    UnknownFormat(u16),
}

impl From<Truncated> for KeyFileFault {
    fn from(_: Truncated) -> Self {
        Self::Damaged
    }
}

pub(crate) fn encode(vault: VaultId, key: &[u8; 32]) -> SecretBytes {
    let mut bytes = Zeroizing::new(Vec::with_capacity(KEY_FILE_LEN));
    bytes.put(&MAGIC);
    bytes.put_u16(FORMAT);
    bytes.put(vault.as_bytes());
    bytes.put(key);
    let hash = sha256(&[&bytes]);
    bytes.put(&hash);
    bytes
}

pub(crate) fn parse(bytes: &[u8]) -> Result<(VaultId, Secret<32>), KeyFileFault> {
    let mut reader = Reader::new(bytes);
    if reader.array().map_err(|_| KeyFileFault::Another)? != MAGIC {
        return Err(KeyFileFault::Another);
    }
    let (hashed, hash) = bytes.split_last_chunk::<32>().ok_or(KeyFileFault::Damaged)?;
    if !equal(&sha256(&[hashed]), hash) {
        return Err(KeyFileFault::Damaged);
    }
    match reader.u16()? {
        0 => return Err(KeyFileFault::Damaged),
        FORMAT => {}
        newer => return Err(KeyFileFault::UnknownFormat(newer)),
    }
    let vault = VaultId::from_bytes(reader.array()?);
    let key = Secret::from_slice(reader.take(32)?).ok_or(KeyFileFault::Damaged)?;
    reader.take(32)?;
    reader.finish()?;
    Ok((vault, key))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::worked;
    use proptest::prelude::*;

    const VAULT: VaultId = VaultId::from_bytes([0xA1; 16]);

    proptest! {
        #[test]
        fn key_files_round_trip(vault: [u8; 16], key: [u8; 32]) {
            let bytes = encode(VaultId::from_bytes(vault), &key);
            prop_assert_eq!(bytes.len(), KEY_FILE_LEN);
            let (found, held) = parse(&bytes).unwrap();
            prop_assert_eq!((found, held.expose()), (VaultId::from_bytes(vault), &key));
        }

        #[test]
        fn any_bytes_are_parsed_without_panic(bytes in proptest::collection::vec(any::<u8>(), 0..120)) {
            let _ = parse(&bytes);
            let _ = parse(&[&MAGIC[..], &bytes].concat());
        }
    }

    #[test]
    fn every_flipped_bit_cut_and_extension_is_refused() {
        let bytes = encode(VAULT, &[7; 32]);
        for bit in 0..bytes.len() * 8 {
            let mut flipped = bytes.to_vec();
            flipped[bit / 8] ^= 1 << (bit % 8);
            let fault = if bit < 64 { KeyFileFault::Another } else { KeyFileFault::Damaged };
            assert_eq!(parse(&flipped).unwrap_err(), fault, "bit {bit}");
        }
        for len in 0..bytes.len() {
            let fault = if len < 8 { KeyFileFault::Another } else { KeyFileFault::Damaged };
            assert_eq!(parse(&bytes[..len]).unwrap_err(), fault, "length {len}");
        }
        assert_eq!(parse(&[&bytes[..], &[0]].concat()).unwrap_err(), KeyFileFault::Damaged);
    }

    #[test]
    fn another_format_or_length_under_a_right_checksum_is_named() {
        let summed = |bytes: &[u8]| [bytes, &sha256(&[bytes])].concat();
        let bytes = encode(VAULT, &[7; 32]);
        let mut newer = bytes[..KEY_FILE_LEN - 32].to_vec();
        newer[9] = 2;
        assert_eq!(parse(&summed(&newer)).unwrap_err(), KeyFileFault::UnknownFormat(2));
        newer[9] = 0;
        assert_eq!(parse(&summed(&newer)).unwrap_err(), KeyFileFault::Damaged);
        assert_eq!(parse(&summed(&bytes)).unwrap_err(), KeyFileFault::Damaged);
    }

    #[test]
    fn the_worked_example_holds() {
        const PAGE: &str = include_str!("../../docs/format/key-file.md");
        let vault = VaultId::from_bytes(worked::array(PAGE, "vault_id"));
        let key: [u8; 32] = worked::array(PAGE, "key");
        assert_eq!(encode(vault, &key).to_vec(), worked::bytes(PAGE, "key_file"));
        let kind = crate::crypto::kdf::SlotSecret::KeyFile;
        let kek = crate::crypto::kdf::slot_key(kind, vault.as_bytes(), &key);
        assert_eq!(*kek.expose(), worked::array(PAGE, "kek_key_file"));
    }
}
