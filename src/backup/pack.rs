//! Key packs: what a backup opens with, kept apart from it and replaced at every erasure (docs/format/backup.md).
//!
//! A pack is the header, the erasure ledger, and the rows of all patients' secrets as they are sealed now. It comes in parts,
//! each of them signed, of which neither ledger nor rows have to fit into one.

use super::fault::BackupFault;
use super::manifest::BackupKey;
use crate::bytes::{Put, Reader, TooLong, Truncated};
use crate::crypto::sign::{SIGNATURE_LEN, SigningSeed};
use crate::ids::VaultId;

const MAGIC: &[u8; 8] = b"CVPACK01";
/// Bytes of ledger and rows that one part holds, about.
pub(crate) const PART_BYTES: usize = 8 << 20;
/// Bytes of a part as it is kept, at most.
pub(crate) const MAX_LEN: usize = 16 << 20;

/// A row of the tree of patients: its key, and the secret as it is sealed.
pub(crate) type SecretRow = (Vec<u8>, Vec<u8>);

/// One part of a pack.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct PackPart {
    pub(crate) vault: VaultId,
    /// Of the pack: 1, 2, 3 …
    pub(crate) number: u64,
    /// Drawn for each pack, and the same in all its parts.
    pub(crate) id: [u8; 16],
    /// Of the part: 0, 1, 2 …
    pub(crate) part: u32,
    /// Whether it is the last one.
    pub(crate) last: bool,
    /// In the first part only.
    pub(crate) front: Option<PackFront>,
    /// Bytes of the erasure ledger, which follow those of the part before.
    pub(crate) ledger: Vec<u8>,
    pub(crate) rows: Vec<SecretRow>,
}

/// What stands in the first part.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct PackFront {
    /// Generation of the header.
    pub(crate) header_generation: u64,
    /// Erasures in the ledger.
    pub(crate) erasures: u64,
    pub(crate) header: Vec<u8>,
}

impl PackPart {
    /// `packs/0000000003/0000`
    pub(crate) fn name_of(number: u64, part: u32) -> String {
        format!("packs/{number:010}/{part:04}")
    }

    /// Number and part in a name of a part.
    pub(crate) fn numbers_in(name: &str) -> Option<(u64, u32)> {
        let (number, part) = name.strip_prefix("packs/")?.split_once('/')?;
        let (number, part) = (number.parse().ok()?, part.parse().ok()?);
        (Self::name_of(number, part) == name).then_some((number, part))
    }

    /// Writes and signs it.
    pub(crate) fn sign(&self, seed: &SigningSeed) -> Result<Vec<u8>, TooLong> {
        let mut out = self.write()?;
        let signature = seed.sign(&out);
        out.put(&signature);
        Ok(out)
    }

    /// Whether these bytes are what it is written as, whoever signed them.
    #[cfg(any(test, fuzzing))]
    pub(crate) fn is_written_as(&self, bytes: &[u8]) -> bool {
        let signed = bytes.len().saturating_sub(SIGNATURE_LEN);
        self.write().is_ok_and(|written| bytes.get(..signed) == Some(&written))
    }

    /// All but the signature.
    fn write(&self) -> Result<Vec<u8>, TooLong> {
        let mut out = Vec::new();
        out.put(MAGIC);
        out.put(self.vault.as_bytes());
        out.put_u64(self.number);
        out.put(&self.id);
        out.put_u32(self.part);
        out.put_u8(u8::from(self.last));
        if let Some(front) = &self.front {
            out.put_u64(front.header_generation);
            out.put_u64(front.erasures);
            out.put_len32(&front.header)?;
        }
        out.put_len32(&self.ledger)?;
        out.put_u32(u32::try_from(self.rows.len()).map_err(|_| TooLong)?);
        for (key, value) in &self.rows {
            out.put_len16(key)?;
            out.put_len32(value)?;
        }
        Ok(out)
    }

    /// Reads it, without looking at who signed.
    pub(crate) fn parse(bytes: &[u8], number: u64) -> Result<Self, BackupFault> {
        let what = "it does not have the form of one, or a newer version made it";
        Self::decode(bytes).ok().flatten().ok_or(BackupFault::Pack { number, what })
    }

    fn decode(bytes: &[u8]) -> Result<Option<Self>, Truncated> {
        let Some(len) = bytes.len().checked_sub(SIGNATURE_LEN) else { return Ok(None) };
        let mut reader = Reader::new(bytes.get(..len).unwrap_or_default());
        if reader.array()? != *MAGIC {
            return Ok(None);
        }
        let (vault, number, id) = (VaultId::from_bytes(reader.array()?), reader.u64()?, reader.array()?);
        let part = reader.u32()?;
        let last = match reader.u8()? {
            0 => false,
            1 => true,
            _ => return Ok(None),
        };
        let front = if part == 0 {
            let (header_generation, erasures) = (reader.u64()?, reader.u64()?);
            Some(PackFront { header_generation, erasures, header: reader.len32()?.to_vec() })
        } else {
            None
        };
        let ledger = reader.len32()?.to_vec();
        let mut rows = Vec::new();
        for _ in 0..reader.u32()? {
            rows.push((reader.len16()?.to_vec(), reader.len32()?.to_vec()));
        }
        Ok(reader.rest().is_empty().then_some(Self { vault, number, id, part, last, front, ledger, rows }))
    }
}

/// Whether the key of a vault's backups signed a part.
pub(crate) fn is_signed_by(bytes: &[u8], key: &BackupKey) -> bool {
    let Some((message, signature)) = bytes.split_last_chunk::<SIGNATURE_LEN>() else { return false };
    key.signed(message, signature)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::secret::Secret;

    fn seed() -> SigningSeed {
        SigningSeed::from_seed(&Secret::take(&mut [0xB1; 32]))
    }

    fn parts() -> [PackPart; 2] {
        let front = PackFront { header_generation: 3, erasures: 1, header: vec![1; 300] };
        let vault = VaultId::from_bytes([0x11; 16]);
        let first = PackPart {
            vault,
            number: 4,
            id: [5; 16],
            part: 0,
            last: false,
            front: Some(front),
            ledger: vec![2; 60],
            rows: Vec::new(),
        };
        let rows = vec![(vec![3; 20], vec![4; 188])];
        let second =
            PackPart { vault, number: 4, id: [5; 16], part: 1, last: true, front: None, ledger: vec![2; 30], rows };
        [first, second]
    }

    #[test]
    fn parts_come_back_and_each_flipped_bit_is_found() {
        let key = BackupKey::new(VaultId::from_bytes([0x11; 16]), seed().public());
        for part in parts() {
            let bytes = part.sign(&seed()).unwrap();
            assert_eq!(PackPart::parse(&bytes, 4).unwrap(), part);
            assert!(is_signed_by(&bytes, &key));
            for bit in 0..bytes.len() * 8 {
                let mut bad = bytes.clone();
                bad[bit / 8] ^= 1 << (bit % 8);
                assert!(!is_signed_by(&bad, &key), "bit {bit}");
            }
            for len in 0..bytes.len() {
                assert!(PackPart::parse(&bytes[..len], 4).is_err() || !is_signed_by(&bytes[..len], &key), "{len}");
            }
        }
    }

    #[test]
    fn worked_parts_are_as_the_page_shows() {
        let page = include_str!("../../docs/format/backup.md").split_whitespace().collect::<String>();
        for (number, part) in parts().iter().enumerate() {
            let line = format!("pack_part_{number}={}", data_encoding::HEXLOWER.encode(&part.sign(&seed()).unwrap()));
            assert!(page.contains(&line), "{line}");
        }
        let state = crate::secret::Key::new(Secret::take(&mut [2; 32]));
        let seed = crate::crypto::kdf::backup_signing_seed(&state);
        let line = format!("seed={}", data_encoding::HEXLOWER.encode(seed.expose()));
        assert!(page.contains(&line), "{line}");
    }

    #[test]
    fn names_come_back() {
        assert_eq!(PackPart::numbers_in(&PackPart::name_of(3, 7)), Some((3, 7)));
        for bad in ["packs/3/7", "packs/0000000003", "packs/0000000003/00007", "pack/0000000003/0007"] {
            assert_eq!(PackPart::numbers_in(bad), None, "{bad}");
        }
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..400), at in 0_usize..400) {
            let _ = PackPart::parse(&bytes, 1);
            let mut part = parts()[0].sign(&seed()).unwrap();
            part.truncate(at);
            part.extend_from_slice(&bytes);
            let _ = PackPart::parse(&part, 4);
        }
    }
}
