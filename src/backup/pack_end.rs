//! The end of a key pack: a signed text that stands there once all its parts do, and says what they are of, for machines that
//! cannot open them.

use super::fault::BackupFault;
use super::manifest::{BackupKey, PackRef, origin, sign_text, signed_text, vault_of};
use crate::crypto::sign::SigningSeed;

/// Bytes of it, at most.
pub(crate) const MAX_LEN: usize = 4 << 10;

/// What the end of a pack says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct PackEnd {
    pub(crate) pack: PackRef,
    /// Data epochs, the oldest and the newest, whose keys its header holds.
    pub(crate) data_epochs: (u32, u32),
    pub(crate) parts: u32,
}

impl PackEnd {
    /// `packs/0000000003/whole`
    pub(crate) fn name_of(number: u64) -> String {
        format!("packs/{number:010}/whole")
    }

    /// The number in a name of an end.
    pub(crate) fn number_in(name: &str) -> Option<u64> {
        let number = name.strip_prefix("packs/")?.strip_suffix("/whole")?.parse().ok()?;
        (Self::name_of(number) == name).then_some(number)
    }

    /// Whether a text is the end of a pack, whoever signed it, and the only one that says the same.
    #[cfg(any(test, fuzzing))]
    pub(crate) fn is_text_of_one(text: &str, key: &BackupKey) -> bool {
        Self::read(text).is_some_and(|read| read.text(key) == text)
    }

    fn text(&self, key: &BackupKey) -> String {
        let Self { pack: PackRef { number, header_generation, erasures }, data_epochs: (oldest, newest), parts } = self;
        let origin = origin(key.vault());
        format!(
            "{origin}\npack {number}\nheader {header_generation}\ndata-keys {oldest} {newest}\nerasures {erasures}\nparts {parts}\n"
        )
    }

    /// Signs.
    pub(crate) fn sign(&self, key: &BackupKey, seed: &SigningSeed) -> String {
        sign_text(&self.text(key), key.vault(), seed)
    }

    /// Reads it, if this key signed it and it is of this pack. `Unsigned` where it is another vault's.
    pub(crate) fn parse(bytes: &[u8], number: u64, key: &BackupKey) -> Result<Self, BackupFault> {
        let damaged = |what| BackupFault::Pack { number, what };
        let Some(text) = signed_text(bytes, key) else {
            let named = std::str::from_utf8(bytes).ok().and_then(|text| vault_of(text.lines().next()?));
            return Err(match named.filter(|named| *named != key.vault()) {
                Some(_) => BackupFault::Unsigned { name: Self::name_of(number) },
                None => damaged("its end was changed, or is not signed by the key of this vault's backups"),
            });
        };
        Self::read(&text)
            .filter(|read| read.pack.number == number && read.text(key) == text)
            .ok_or_else(|| damaged("its end does not have the form of one"))
    }

    fn read(text: &str) -> Option<Self> {
        let mut lines = text.lines().skip(1);
        let mut next = |word: &str| lines.next()?.strip_prefix(word)?.strip_prefix(' ');
        let number = next("pack")?.parse().ok()?;
        let header_generation = next("header")?.parse().ok()?;
        let (oldest, newest) = next("data-keys")?.split_once(' ')?;
        let data_epochs = (oldest.parse().ok()?, newest.parse().ok()?);
        let (erasures, parts) = (next("erasures")?.parse().ok()?, next("parts")?.parse().ok()?);
        Some(Self { pack: PackRef { number, header_generation, erasures }, data_epochs, parts })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::VaultId;
    use crate::secret::Secret;

    fn seed() -> SigningSeed {
        SigningSeed::from_seed(&Secret::take(&mut [0xB1; 32]))
    }

    fn end() -> (PackEnd, BackupKey) {
        let pack = PackRef { number: 4, header_generation: 3, erasures: 1 };
        (
            PackEnd { pack, data_epochs: (1, 2), parts: 2 },
            BackupKey::new(VaultId::from_bytes([0x11; 16]), seed().public()),
        )
    }

    #[test]
    fn the_worked_end_is_as_the_page_shows() {
        let (end, key) = end();
        let page = include_str!("../../docs/format/backup.md");
        assert!(page.contains(&end.sign(&key, &seed())), "{}", end.sign(&key, &seed()));
    }

    #[test]
    fn an_end_comes_back_and_each_flipped_bit_is_found() {
        let (end, key) = end();
        let signed = end.sign(&key, &seed());
        assert_eq!(PackEnd::parse(signed.as_bytes(), 4, &key).unwrap(), end);
        assert!(PackEnd::parse(signed.as_bytes(), 5, &key).is_err());
        for bit in 0..signed.len() * 8 {
            let mut bad = signed.clone().into_bytes();
            bad[bit / 8] ^= 1 << (bit % 8);
            assert!(PackEnd::parse(&bad, 4, &key).is_err(), "bit {bit}");
        }
        assert_eq!(PackEnd::number_in(&PackEnd::name_of(4)), Some(4));
        assert_eq!(PackEnd::number_in("packs/4/whole"), None);
    }
}
