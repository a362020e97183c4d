//! The file of the key that signs (docs/format/signing-key.md).

use zeroize::Zeroizing;

use crate::bytes::{Put, Reader};
use crate::crypto::aead::Suite;
use crate::crypto::seal::{SealError, Sealer};
use crate::crypto::sign::SigningSeed;
use crate::ids::VaultId;
use crate::secret::Secret;

const MAGIC: &[u8; 4] = b"CVSK";
const FORMAT: u8 = 1;
const HEAD_LEN: usize = 27;
/// Bytes of the largest file.
pub(crate) const MAX_LEN: u64 = 512;

/// The key of an epoch, and that of the one behind it while the first is being closed.
pub(crate) struct SigningKeys {
    pub(crate) epoch: u32,
    pub(crate) current: SigningSeed,
    pub(crate) next: Option<SigningSeed>,
}

/// Why a file gives no key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NoKey {
    /// It has not the form, or does not open: changed, cut, of a newer version, or sealed under other keys.
    Damaged,
    OtherVault,
}

impl SigningKeys {
    pub(crate) fn encode(&self, vault: VaultId, suite: Suite, sealer: &Sealer) -> Result<Vec<u8>, SealError> {
        let mut seeds = Zeroizing::new(Vec::with_capacity(64));
        seeds.extend_from_slice(self.current.seed().expose());
        if let Some(next) = &self.next {
            seeds.extend_from_slice(next.seed().expose());
        }
        let mut bytes = Vec::with_capacity(HEAD_LEN + 256);
        bytes.put(MAGIC);
        bytes.put_u8(FORMAT);
        bytes.put_u8(suite.code());
        bytes.put(vault.as_bytes());
        bytes.put_u32(self.epoch);
        bytes.put_u8(if self.next.is_some() { 2 } else { 1 });
        let sealed = sealer.seal(suite, &bytes, &seeds)?;
        bytes.put(&sealed);
        Ok(bytes)
    }

    pub(crate) fn parse(bytes: &[u8], vault: VaultId, sealer: &Sealer) -> Result<Self, NoKey> {
        let mut reader = Reader::new(bytes);
        let head = Reader::new(bytes).take(HEAD_LEN).map_err(|_| NoKey::Damaged)?;
        let parts = Self::head(&mut reader).ok_or(NoKey::Damaged)?;
        let (suite, of, epoch, count) = parts;
        if of != vault {
            return Err(NoKey::OtherVault);
        }
        let seeds = sealer.open(suite, head, reader.rest()).map_err(|_| NoKey::Damaged)?;
        let mut seeds = Reader::new(&seeds);
        let mut seed = || {
            let mut bytes: [u8; 32] = seeds.array().ok()?;
            Some(SigningSeed::from_seed(&Secret::take(&mut bytes)))
        };
        let current = seed().ok_or(NoKey::Damaged)?;
        let next = if count == 2 { Some(seed().ok_or(NoKey::Damaged)?) } else { None };
        seeds.finish().map_err(|_| NoKey::Damaged)?;
        Ok(Self { epoch, current, next })
    }

    fn head(reader: &mut Reader<'_>) -> Option<(Suite, VaultId, u32, u8)> {
        let (magic, format): ([u8; 4], u8) = (reader.array().ok()?, reader.u8().ok()?);
        let suite = Suite::from_code(reader.u8().ok()?)?;
        let vault = VaultId::from_bytes(reader.array().ok()?);
        let (epoch, count) = (reader.u32().ok()?, reader.u8().ok()?);
        let sound = magic == *MAGIC && format == FORMAT && epoch > 0 && matches!(count, 1 | 2);
        sound.then_some((suite, vault, epoch, count))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crypto::hash::Prk;
    use crate::crypto::kdf::SEAL_SIGNING_KEY;
    use crate::crypto::seal::FLOOR_KEY;
    use crate::format::worked;

    const PAGE: &str = include_str!("../../docs/format/signing-key.md");
    const VAULT: VaultId = VaultId::from_bytes([0x11; 16]);
    const SUITES: [Suite; 2] = [Suite::ChaCha20Poly1305, Suite::Aes256Gcm];

    fn sealer(byte: u8) -> Sealer {
        Sealer::new(Prk::from_key(&[byte; 32]), SEAL_SIGNING_KEY, FLOOR_KEY)
    }

    fn seed(byte: u8) -> SigningSeed {
        SigningSeed::from_seed(&Secret::take(&mut [byte; 32]))
    }

    fn keys(next: bool) -> SigningKeys {
        SigningKeys { epoch: 7, current: seed(0xC1), next: next.then(|| seed(0xC2)) }
    }

    fn told(keys: &SigningKeys) -> (u32, [u8; 32], Option<[u8; 32]>) {
        (keys.epoch, keys.current.public(), keys.next.as_ref().map(SigningSeed::public))
    }

    #[test]
    fn the_worked_example_holds() {
        for (name, next) in [("signing_key_file", false), ("signing_key_file_closing", true)] {
            let file = worked::bytes(PAGE, name);
            let parsed = SigningKeys::parse(&file, VAULT, &sealer(0xA5)).unwrap_or_else(|why| panic!("{why:?}"));
            assert_eq!(told(&parsed), told(&keys(next)));
        }
        assert_eq!(worked::bytes(PAGE, "signing_public"), seed(0xC1).public());
    }

    #[test]
    fn keys_come_back_under_both_suites_with_and_without_a_next_one() {
        for (suite, next) in SUITES.into_iter().flat_map(|suite| [(suite, false), (suite, true)]) {
            let bytes = keys(next).encode(VAULT, suite, &sealer(0xA5)).unwrap();
            assert!(u64::try_from(bytes.len()).unwrap() <= MAX_LEN);
            assert!(
                SigningKeys::parse(&bytes, VAULT, &sealer(0xA5)).is_ok_and(|back| told(&back) == told(&keys(next)))
            );
        }
    }

    #[test]
    fn every_flipped_bit_every_cut_and_every_byte_behind_is_refused() {
        let bytes = keys(true).encode(VAULT, SUITES[0], &sealer(0xA5)).unwrap();
        for bit in 0..bytes.len() * 8 {
            let mut bad = bytes.clone();
            bad[bit / 8] ^= 1 << (bit % 8);
            let of_the_vault = (48..176).contains(&bit);
            let expected = if of_the_vault { NoKey::OtherVault } else { NoKey::Damaged };
            assert_eq!(SigningKeys::parse(&bad, VAULT, &sealer(0xA5)).err(), Some(expected), "bit {bit}");
        }
        for len in 0..bytes.len() {
            assert_eq!(SigningKeys::parse(&bytes[..len], VAULT, &sealer(0xA5)).err(), Some(NoKey::Damaged), "{len}");
        }
        let longer = [&bytes[..], &[0]].concat();
        assert_eq!(SigningKeys::parse(&longer, VAULT, &sealer(0xA5)).err(), Some(NoKey::Damaged));
    }

    #[test]
    fn another_vaults_keys_do_not_open_it() {
        let bytes = keys(false).encode(VAULT, SUITES[0], &sealer(0xA5)).unwrap();
        assert_eq!(SigningKeys::parse(&bytes, VAULT, &sealer(0xA6)).err(), Some(NoKey::Damaged));
        let other = VaultId::from_bytes([0x22; 16]);
        assert_eq!(SigningKeys::parse(&bytes, other, &sealer(0xA5)).err(), Some(NoKey::OtherVault));
    }

    /// Prints what the page shows: `cargo test --lib prints_the_example -- --ignored --nocapture`.
    #[test]
    #[ignore = "for whoever writes the page"]
    fn prints_the_example() {
        for next in [false, true] {
            let bytes = keys(next).encode(VAULT, SUITES[0], &sealer(0xA5)).unwrap();
            println!("{}", data_encoding::HEXLOWER.encode(&bytes));
        }
        println!("{}", data_encoding::HEXLOWER.encode(&seed(0xC1).public()));
    }
}
