//! The keyring's plaintext (docs/format/header.md, "Keyring"): every random key of a vault, as it lies sealed in the header.

use std::collections::BTreeMap;
use std::fmt;

use zeroize::Zeroizing;

use super::{Fields, ParseError};
use crate::bytes::{Put, Reader};
use crate::crypto::hash;
use crate::crypto::kdf::{CompartmentKey, IndexKey, JournalKey, LookupKey, PolicyKey, StateKey, purpose};
use crate::crypto::{RandomFailed, random};
use crate::ids::CompartmentId;
use crate::secret::{Key, SecretBytes};

/// The format with several audit keys. Programs that know only the one before would use the wrong of them.
const SEVERAL_AUDIT_KEYS: u8 = 2;
/// The format with keys of compartments, whatever the number of audit keys. Programs that know only those before would not
/// open what is kept in compartments.
const FORMAT: u8 = 3;
/// The format with one audit key, in which every keyring is written that has no more.
const ONE_AUDIT_KEY: u8 = 1;

/// Compartments of a vault.
pub(crate) const MAX_COMPARTMENTS: usize = 64;

/// Keys of one purpose that a keyring can hold: far more than rotations need, and few enough for the header.
pub(crate) const MAX_EPOCHS: usize = 256;

/// One key of a purpose that is rotated, with the number by which values name it.
pub(crate) struct EpochKey<P> {
    pub(crate) epoch: u32,
    pub(crate) key: Key<P>,
}

impl<P> EpochKey<P> {
    fn duplicate(&self) -> Self {
        Self { epoch: self.epoch, key: self.key.duplicate() }
    }
}

/// The keys of a purpose that is rotated: at least one, epochs ascending from 1.
pub(crate) struct Epochs<P> {
    older: Vec<EpochKey<P>>,
    newest: EpochKey<P>,
}

impl<P> Epochs<P> {
    pub(crate) fn duplicate(&self) -> Self {
        Self { older: self.older.iter().map(EpochKey::duplicate).collect(), newest: self.newest.duplicate() }
    }

    /// The first epoch, with a new key.
    pub(crate) fn generate() -> Result<Self, RandomFailed> {
        Ok(Self { older: Vec::new(), newest: EpochKey { epoch: 1, key: random_key()? } })
    }

    pub(crate) const fn newest(&self) -> &EpochKey<P> {
        &self.newest
    }

    pub(crate) fn oldest(&self) -> u32 {
        self.older.first().map_or(self.newest.epoch, |held| held.epoch)
    }

    pub(crate) fn get(&self, epoch: u32) -> Option<&Key<P>> {
        self.iter().find(|held| held.epoch == epoch).map(|held| &held.key)
    }

    /// All of them, oldest first.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &EpochKey<P>> {
        self.older.iter().chain([&self.newest])
    }

    /// Whether there is but one.
    const fn is_one(&self) -> bool {
        self.older.is_empty()
    }

    /// These and a new key behind them, or none where as many are held as a keyring can hold.
    pub(crate) fn with_new(&self) -> Result<Option<Self>, RandomFailed> {
        let Some(epoch) = self.newest.epoch.checked_add(1).filter(|_| self.iter().count() < MAX_EPOCHS) else {
            return Ok(None);
        };
        let newest = EpochKey { epoch, key: random_key()? };
        Ok(Some(Self { older: self.iter().map(EpochKey::duplicate).collect(), newest }))
    }

    /// Those of the epochs that `stays` says yes to; none where it says yes to none.
    pub(crate) fn only(&self, stays: impl Fn(u32) -> bool) -> Option<Self> {
        let mut held: Vec<_> = self.iter().filter(|held| stays(held.epoch)).map(EpochKey::duplicate).collect();
        let newest = held.pop()?;
        Some(Self { older: held, newest })
    }

    /// Whether both have an epoch in common, and the same key in each that they have in common.
    pub(crate) fn agrees(&self, other: &Self) -> bool {
        let both = || self.iter().filter_map(|held| Some((&held.key, other.get(held.epoch)?)));
        both().count() > 0 && both().all(|(own, others)| hash::equal(own.expose(), others.expose()))
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
    pub(crate) compartments: Compartments,
}

/// The keys of compartments, which are never rotated.
#[derive(Default)]
pub(crate) struct Compartments(BTreeMap<CompartmentId, CompartmentKey>);

impl Compartments {
    pub(crate) fn get(&self, id: CompartmentId) -> Option<&CompartmentKey> {
        self.0.get(&id)
    }

    /// These and a new key, or none where as many are held as a keyring can hold.
    pub(crate) fn with_new(&self, id: CompartmentId) -> Result<Option<Self>, RandomFailed> {
        if self.0.len() >= MAX_COMPARTMENTS || self.0.contains_key(&id) {
            return Ok(None);
        }
        let mut grown = self.duplicate();
        grown.0.insert(id, random_key()?);
        Ok(Some(grown))
    }

    fn duplicate(&self) -> Self {
        Self(self.0.iter().map(|(id, key)| (*id, key.duplicate())).collect())
    }

    /// Whether both have the same key for each compartment that both have.
    fn agrees(&self, other: &Self) -> bool {
        let both = self.0.iter().filter_map(|(id, key)| Some((key, other.get(*id)?)));
        both.into_iter().all(|(own, others)| hash::equal(own.expose(), others.expose()))
    }

    fn encoded_len(&self) -> usize {
        if self.0.is_empty() { 0 } else { 2 + self.0.len() * 48 }
    }

    fn encode(&self, bytes: &mut SecretBytes) {
        if self.0.is_empty() {
            return;
        }
        // Never more than MAX_COMPARTMENTS, which fits.
        bytes.put_u16(u16::try_from(self.0.len()).unwrap_or(u16::MAX));
        for (id, key) in &self.0 {
            bytes.put(id.as_bytes());
            bytes.put(key.expose());
        }
    }

    fn parse(fields: &mut Fields<'_>) -> Result<Self, ParseError> {
        let name = "compartments' keys";
        let count = fields.read_if(name, Reader::u16, |count| (1..=MAX_COMPARTMENTS).contains(&usize::from(*count)))?;
        let mut held = BTreeMap::new();
        for _ in 0..count {
            let ascends =
                |id: &[u8; 16]| held.last_key_value().is_none_or(|(last, _)| last < &CompartmentId::from_bytes(*id));
            let id = CompartmentId::from_bytes(fields.read_if(name, Reader::array, ascends)?);
            held.insert(id, key(fields, name)?);
        }
        Ok(Self(held))
    }

    /// Every key by itself.
    #[cfg(test)]
    pub(crate) fn keys(&self) -> impl Iterator<Item = &CompartmentKey> {
        self.0.values()
    }
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
            compartments: Compartments::default(),
        })
    }

    /// A second copy, for a keyring that differs in one purpose.
    pub(crate) fn duplicate(&self) -> Self {
        Self {
            data: self.data.duplicate(),
            wrap: self.wrap.duplicate(),
            audit: self.audit.duplicate(),
            index: self.index.duplicate(),
            lookup: self.lookup.duplicate(),
            state: self.state.duplicate(),
            journal: self.journal.duplicate(),
            policy: self.policy.duplicate(),
            compartments: self.compartments.duplicate(),
        }
    }

    /// Whether both are of one vault, maybe before and after a rotation: the keys that are never rotated are the same, and
    /// so are those of each epoch that both hold.
    pub(crate) fn agrees(&self, other: &Self) -> bool {
        let same = |own: &[u8; 32], others: &[u8; 32]| hash::equal(own, others);
        self.data.agrees(&other.data)
            && self.wrap.agrees(&other.wrap)
            && self.audit.agrees(&other.audit)
            && same(self.index.expose(), other.index.expose())
            && same(self.lookup.expose(), other.lookup.expose())
            && same(self.state.expose(), other.state.expose())
            && same(self.journal.expose(), other.journal.expose())
            && same(self.policy.expose(), other.policy.expose())
            && self.compartments.agrees(&other.compartments)
    }

    /// The plaintext to be sealed, in a buffer that is wiped and was never moved.
    pub(crate) fn to_bytes(&self) -> SecretBytes {
        let rotated = self.data.encoded_len() + self.wrap.encoded_len() + self.audit.encoded_len();
        let len = 1 + rotated + 5 * 32 + self.compartments.encoded_len();
        let mut bytes = Zeroizing::new(Vec::with_capacity(len));
        bytes.put_u8(match (self.compartments.0.is_empty(), self.audit.is_one()) {
            (false, _) => FORMAT,
            (true, false) => SEVERAL_AUDIT_KEYS,
            (true, true) => ONE_AUDIT_KEY,
        });
        self.data.encode(&mut bytes);
        self.wrap.encode(&mut bytes);
        self.audit.encode(&mut bytes);
        bytes.put(self.index.expose());
        bytes.put(self.lookup.expose());
        bytes.put(self.state.expose());
        bytes.put(self.journal.expose());
        bytes.put(self.policy.expose());
        self.compartments.encode(&mut bytes);
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
            compartments: if format == FORMAT { Compartments::parse(&mut fields)? } else { Compartments::default() },
        };
        fields.finish()?;
        if format != FORMAT && keys.audit.is_one() != (format == ONE_AUDIT_KEY) {
            return Err(ParseError::BadValue { field: "keyring format", offset: 0 });
        }
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
    fn a_new_key_stands_behind_the_others_until_there_are_as_many_as_fit() {
        let [of_one, of_two] = [epochs::<()>(&[3], 1), epochs(&[3, 9], 1)];
        let numbers = |held: &Epochs<()>| held.iter().map(|held| held.epoch).collect::<Vec<_>>();
        let grown = of_two.with_new().unwrap().unwrap();
        assert_eq!((numbers(&grown), grown.newest().epoch), (vec![3, 9, 10], 10));
        assert_ne!(grown.newest().key.expose(), &[1; 32]);
        assert!(grown.agrees(&of_two) && of_two.agrees(&grown) && grown.agrees(&of_one));
        let many: Vec<u32> = (1..=256).collect();
        assert!(epochs::<()>(&many[..MAX_EPOCHS - 1], 1).with_new().unwrap().is_some());
        assert!(epochs::<()>(&many, 1).with_new().unwrap().is_none());
        assert!(epochs::<()>(&[u32::MAX], 1).with_new().unwrap().is_none());
        let kept = grown.only(|epoch| epoch > 3).unwrap();
        assert_eq!((numbers(&kept), kept.newest().key.expose()), (vec![9, 10], grown.newest().key.expose()));
        assert!(grown.only(|_| false).is_none());
    }

    #[test]
    fn keys_of_one_epoch_that_differ_or_no_common_epoch_do_not_agree() {
        assert!(!epochs::<()>(&[1, 2], 1).agrees(&epochs(&[2, 3], 2)));
        assert!(!epochs::<()>(&[1], 1).agrees(&epochs(&[2], 1)));
        let (keys, other) = (KeyMaterial::generate().unwrap(), KeyMaterial::generate().unwrap());
        assert!(keys.agrees(&keys.duplicate()) && !keys.agrees(&other));
        type Take = fn(&mut KeyMaterial, &KeyMaterial);
        let takes: [Take; 8] = [
            |mine, theirs| mine.index = theirs.index.duplicate(),
            |mine, theirs| mine.lookup = theirs.lookup.duplicate(),
            |mine, theirs| mine.state = theirs.state.duplicate(),
            |mine, theirs| mine.journal = theirs.journal.duplicate(),
            |mine, theirs| mine.policy = theirs.policy.duplicate(),
            |mine, theirs| mine.data = theirs.data.duplicate(),
            |mine, theirs| mine.wrap = theirs.wrap.duplicate(),
            |mine, theirs| mine.audit = theirs.audit.duplicate(),
        ];
        for take in takes {
            let mut mixed = keys.duplicate();
            take(&mut mixed, &other);
            assert!(!keys.agrees(&mixed));
        }
    }

    #[test]
    fn another_format_is_named() {
        let mut bytes = material(&[1]).to_bytes();
        bytes[0] = 4;
        assert_eq!(KeyMaterial::parse(&bytes).unwrap_err(), ParseError::UnknownFormat { found: 4, newest: 3 });
        for format in [0, 2] {
            bytes[0] = format;
            assert_eq!(
                KeyMaterial::parse(&bytes).unwrap_err(),
                ParseError::BadValue { field: "keyring format", offset: 0 }
            );
        }
    }

    #[test]
    fn a_keyring_with_several_audit_keys_says_so_in_its_format() {
        let keys = KeyMaterial { audit: epochs(&[1, 2], 0xAD), ..material(&[1]) };
        let mut bytes = keys.to_bytes();
        assert_eq!(bytes[0], 2);
        assert_eq!(KeyMaterial::parse(&bytes).unwrap().audit.iter().count(), 2);
        bytes[0] = 1;
        assert!(matches!(KeyMaterial::parse(&bytes), Err(ParseError::BadValue { field: "keyring format", offset: 0 })));
        assert_eq!(material(&[1, 2]).to_bytes()[0], 1);
    }

    fn with_compartments(mut keys: KeyMaterial, ids: &[u8]) -> KeyMaterial {
        for byte in ids {
            let grown = keys.compartments.with_new(CompartmentId::from_bytes([*byte; 16])).unwrap();
            keys.compartments = grown.unwrap();
        }
        keys
    }

    #[test]
    fn keys_of_compartments_come_back_and_whatever_was_cut_or_changed_is_refused() {
        for audit in [&[1][..], &[1, 2]] {
            let keys = with_compartments(KeyMaterial { audit: epochs(audit, 0xAD), ..material(&[1]) }, &[9, 3]);
            let bytes = keys.to_bytes();
            assert_eq!((bytes[0], bytes.capacity()), (3, bytes.len()));
            let back = KeyMaterial::parse(&bytes).unwrap();
            assert_eq!(back.to_bytes(), bytes);
            for byte in [3, 9] {
                let id = CompartmentId::from_bytes([byte; 16]);
                let [own, read] = [&keys, &back].map(|keys| keys.compartments.get(id).unwrap().expose());
                assert_eq!(own, read);
            }
            for len in 0..bytes.len() {
                assert!(KeyMaterial::parse(&bytes[..len]).is_err(), "{len}");
            }
            let start = bytes.len() - 98;
            for (at, byte) in [(start, 1), (start + 1, 0), (start + 1, 65), (start + 2, 10)] {
                let mut bad = bytes.to_vec();
                bad[at] = byte;
                assert!(KeyMaterial::parse(&bad).is_err(), "{at}: {byte}");
            }
            for format in [1, 2] {
                let mut bad = bytes.to_vec();
                bad[0] = format;
                assert!(KeyMaterial::parse(&bad).is_err());
            }
        }
        let mut none = material(&[1]).to_bytes().to_vec();
        none[0] = 3;
        assert!(matches!(KeyMaterial::parse(&none), Err(ParseError::CutShort { .. })));
    }

    #[test]
    fn keyrings_agree_that_have_the_same_key_for_each_compartment_that_both_have() {
        let (before, other) = (material(&[1]), KeyMaterial::generate().unwrap());
        let with_one = with_compartments(before.duplicate(), &[1]);
        assert!(before.agrees(&with_one) && with_one.agrees(&before) && with_one.agrees(&with_one.duplicate()));
        assert!(!with_one.agrees(&with_compartments(before.duplicate(), &[1])), "another key for it");
        assert!(!with_one.agrees(&other));
        let many: Vec<u8> = (0..64).collect();
        let full = with_compartments(before, &many);
        assert!(full.compartments.with_new(CompartmentId::from_bytes([99; 16])).unwrap().is_none());
        assert!(with_one.compartments.with_new(CompartmentId::from_bytes([1; 16])).unwrap().is_none(), "it is there");
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
