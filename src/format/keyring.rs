//! The keyring's plaintext (docs/format/header.md, "Keyring"): every random key of a vault, as it lies sealed in the header.

use std::fmt;

use zeroize::Zeroizing;

use super::{Fields, ParseError};
use crate::bytes::{Put, Reader};
use crate::crypto::kdf::{IndexKey, JournalKey, LookupKey, PolicyKey, StateKey, purpose};
use crate::crypto::{RandomFailed, random};
use crate::secret::{Key, SecretBytes};

/// The newest keyring format, and so far the only one.
const FORMAT: u8 = 1;

/// Keys of one purpose that a keyring can hold: far more than rotations need, and few enough for the header.
pub(crate) const MAX_EPOCHS: usize = 256;

/// One key of a purpose that is rotated, with the number by which values name it.
pub(crate) struct EpochKey<P> {
    pub(crate) epoch: u32,
    pub(crate) key: Key<P>,
}

/// The keys of a purpose that is rotated: at least one, epochs ascending from 1.
pub(crate) struct Epochs<P> {
    older: Vec<EpochKey<P>>,
    newest: EpochKey<P>,
}

impl<P> Epochs<P> {
    /// The first epoch, with a new key.
    pub(crate) fn generate() -> Result<Self, RandomFailed> {
        Ok(Self { older: Vec::new(), newest: EpochKey { epoch: 1, key: random_key()? } })
    }

    pub(crate) const fn newest(&self) -> &EpochKey<P> {
        &self.newest
    }

    pub(crate) fn get(&self, epoch: u32) -> Option<&Key<P>> {
        self.iter().find(|held| held.epoch == epoch).map(|held| &held.key)
    }

    /// All of them, oldest first.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &EpochKey<P>> {
        self.older.iter().chain([&self.newest])
    }

    fn encoded_len(&self) -> usize {
        2 + self.iter().count() * 36
    }

    fn encode(&self, bytes: &mut SecretBytes) {
        // Never more than MAX_EPOCHS, which fits.
        bytes.put_u16(u16::try_from(self.iter().count()).unwrap_or(u16::MAX));
        for held in self.iter() {
            bytes.put_u32(held.epoch);
            bytes.put(held.key.expose());
        }
    }

    fn parse(fields: &mut Fields<'_>, name: &'static str) -> Result<Self, ParseError> {
        let count = fields.read_if(name, Reader::u16, |count| (1..=MAX_EPOCHS).contains(&usize::from(*count)))?;
        let mut newest = epoch_key(fields, name, 0)?;
        let mut older = Vec::with_capacity(usize::from(count));
        for _ in 1..count {
            let next = epoch_key(fields, name, newest.epoch)?;
            older.push(std::mem::replace(&mut newest, next));
        }
        Ok(Self { older, newest })
    }
}

fn epoch_key<P>(fields: &mut Fields<'_>, name: &'static str, before: u32) -> Result<EpochKey<P>, ParseError> {
    let epoch = fields.read_if(name, Reader::u32, |epoch| *epoch > before)?;
    Ok(EpochKey { epoch, key: key(fields, name)? })
}

/// Every random key of a vault, each in a type of its own.
pub(crate) struct KeyMaterial {
    pub(crate) data: Epochs<purpose::Data>,
    pub(crate) wrap: Epochs<purpose::Wrap>,
    pub(crate) audit: Epochs<purpose::Audit>,
    pub(crate) index: IndexKey,
    pub(crate) lookup: LookupKey,
    pub(crate) state: StateKey,
    pub(crate) journal: JournalKey,
    pub(crate) policy: PolicyKey,
}

impl KeyMaterial {
    /// New keys for a new vault.
    pub(crate) fn generate() -> Result<Self, RandomFailed> {
        Ok(Self {
            data: Epochs::generate()?,
            wrap: Epochs::generate()?,
            audit: Epochs::generate()?,
            index: random_key()?,
            lookup: random_key()?,
            state: random_key()?,
            journal: random_key()?,
            policy: random_key()?,
        })
    }

    /// The plaintext to be sealed, in a buffer that is wiped and was never moved.
    pub(crate) fn to_bytes(&self) -> SecretBytes {
        let len = 1 + self.data.encoded_len() + self.wrap.encoded_len() + self.audit.encoded_len() + 5 * 32;
        let mut bytes = Zeroizing::new(Vec::with_capacity(len));
        bytes.put_u8(FORMAT);
        self.data.encode(&mut bytes);
        self.wrap.encode(&mut bytes);
        self.audit.encode(&mut bytes);
        bytes.put(self.index.expose());
        bytes.put(self.lookup.expose());
        bytes.put(self.state.expose());
        bytes.put(self.journal.expose());
        bytes.put(self.policy.expose());
        bytes
    }

    /// Takes the keys out of an opened keyring.
    pub(crate) fn parse(plaintext: &[u8]) -> Result<Self, ParseError> {
        let mut fields = Fields::new(plaintext);
        let format = fields.read_if("keyring format", Reader::u8, |format| *format != 0)?;
        if format > FORMAT {
            return Err(ParseError::UnknownFormat { found: u16::from(format), newest: u16::from(FORMAT) });
        }
        let keys = Self {
            data: Epochs::parse(&mut fields, "data keys")?,
            wrap: Epochs::parse(&mut fields, "wrap keys")?,
            audit: Epochs::parse(&mut fields, "audit keys")?,
            index: key(&mut fields, "index key")?,
            lookup: key(&mut fields, "lookup key")?,
            state: key(&mut fields, "state key")?,
            journal: key(&mut fields, "journal key")?,
            policy: key(&mut fields, "policy key")?,
        };
        fields.finish()?;
        Ok(keys)
    }
}

impl fmt::Debug for KeyMaterial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("KeyMaterial(redacted)")
    }
}

fn key<P>(fields: &mut Fields<'_>, name: &'static str) -> Result<Key<P>, ParseError> {
    let bytes = Zeroizing::new(fields.read(name, Reader::array)?);
    Ok(Key::copied(&bytes))
}

fn random_key<P>() -> Result<Key<P>, RandomFailed> {
    Ok(Key::new(random::secret()?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::secret::Secret;
    use proptest::prelude::*;

    fn epochs<P>(epochs: &[u32], byte: u8) -> Epochs<P> {
        let key = |byte| Key::new(Secret::take(&mut [byte; 32]));
        let mut held: Vec<_> = epochs.iter().map(|epoch| EpochKey { epoch: *epoch, key: key(byte) }).collect();
        let newest = held.pop().unwrap();
        Epochs { older: held, newest }
    }

    fn material(data: &[u32]) -> KeyMaterial {
        let mut keys = KeyMaterial::generate().unwrap();
        keys.data = epochs(data, 0xDA);
        keys
    }

    proptest! {
        #[test]
        fn keyrings_round_trip(data in proptest::collection::btree_set(1u32.., 1..20)) {
            let data: Vec<u32> = data.into_iter().collect();
            let keys = material(&data);
            let bytes = keys.to_bytes();
            let back = KeyMaterial::parse(&bytes).unwrap();
            prop_assert_eq!(&back.to_bytes()[..], &bytes[..]);
            prop_assert_eq!(back.data.iter().map(|held| held.epoch).collect::<Vec<_>>(), data);
            prop_assert_eq!(bytes.capacity(), bytes.len());
        }

        #[test]
        fn parsing_any_bytes_does_not_panic(bytes in proptest::collection::vec(any::<u8>(), 0..600)) {
            let _ = KeyMaterial::parse(&bytes);
        }
    }

    #[test]
    fn every_cut_and_extension_is_refused() {
        let bytes = material(&[1, 2]).to_bytes();
        for len in 0..bytes.len() {
            assert!(matches!(KeyMaterial::parse(&bytes[..len]), Err(ParseError::CutShort { .. })), "length {len}");
        }
        let longer = [&bytes[..], &[0]].concat();
        assert_eq!(KeyMaterial::parse(&longer).unwrap_err(), ParseError::Trailing { offset: bytes.len() });
    }

    #[test]
    fn epochs_must_be_there_ascend_and_not_be_zero() {
        let parse = |data: &[u32]| KeyMaterial::parse(&material(data).to_bytes());
        let refused = |offset| ParseError::BadValue { field: "data keys", offset };
        assert!(parse(&[1]).is_ok() && parse(&[3, 9]).is_ok());
        let mut none = material(&[1]).to_bytes().to_vec();
        none[2] = 0;
        assert_eq!(KeyMaterial::parse(&none).unwrap_err(), refused(1));
        assert_eq!(parse(&[0]).unwrap_err(), refused(3));
        assert_eq!(parse(&[2, 2]).unwrap_err(), refused(39));
        assert_eq!(parse(&[2, 1]).unwrap_err(), refused(39));
        let many: Vec<u32> = (1..=257).collect();
        assert!(parse(&many[..MAX_EPOCHS]).is_ok());
        assert_eq!(parse(&many).unwrap_err(), refused(1));
    }

    #[test]
    fn another_format_is_named() {
        let mut bytes = material(&[1]).to_bytes();
        bytes[0] = 2;
        assert_eq!(KeyMaterial::parse(&bytes).unwrap_err(), ParseError::UnknownFormat { found: 2, newest: 1 });
        bytes[0] = 0;
        assert_eq!(
            KeyMaterial::parse(&bytes).unwrap_err(),
            ParseError::BadValue { field: "keyring format", offset: 0 }
        );
    }

    #[test]
    fn all_keys_of_a_new_vault_differ_and_none_is_printed() {
        let keys = KeyMaterial::generate().unwrap();
        let bytes = keys.to_bytes();
        let mut seen = std::collections::HashSet::new();
        for held in [7, 45, 83].map(|at| &bytes[at..at + 32]).into_iter().chain(bytes[115..].chunks(32)) {
            assert!(held.iter().any(|byte| *byte != 0) && seen.insert(held.to_vec()));
        }
        assert_eq!(seen.len(), 8);
        assert!(!format!("{:?}", material(&[1])).to_lowercase().contains("218"));
    }
}
