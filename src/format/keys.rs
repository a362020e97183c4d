//! Storage keys of the logical trees (docs/format/envelope.md, "Storage keys"). Numbers are stored inverted, so that the
//! order of bytes is newest first.

use super::{Fields, ParseError};
use crate::bytes::Reader;

/// The logical trees. The code goes into associated data and into the journal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Tree {
    Records,
    Patients,
    Lookup,
    Policy,
    Audit,
    /// What is derived from the entries of the log, and can be built anew from them.
    Log,
}

impl Tree {
    pub(crate) const ALL: [Self; 6] =
        [Self::Records, Self::Patients, Self::Lookup, Self::Policy, Self::Audit, Self::Log];

    /// The byte that stands for it in stored formats.
    pub(crate) const fn code(self) -> u8 {
        match self {
            Self::Records => 1,
            Self::Patients => 2,
            Self::Lookup => 3,
            Self::Policy => 4,
            Self::Audit => 5,
            Self::Log => 6,
        }
    }

    /// The tree of a stored byte.
    pub(crate) fn from_code(code: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|tree| tree.code() == code)
    }
}

/// One version of a record: `patient_tag[16] ‖ kind_tag[8] ‖ !number u64 ‖ !version u32`. A patient's records share the
/// first 16 bytes, a kind's the first 24, a record's versions the first 32. Numbers and versions count from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct RecordKey {
    pub(crate) patient_tag: [u8; 16],
    pub(crate) kind_tag: [u8; 8],
    pub(crate) number: u64,
    pub(crate) version: u32,
}

impl RecordKey {
    pub(crate) const LEN: usize = 36;

    pub(crate) fn to_bytes(self) -> [u8; Self::LEN] {
        let record = record_prefix(&self.patient_tag, &self.kind_tag, self.number);
        joined(&[&record, &(!self.version).to_be_bytes()])
    }

    pub(crate) fn from_bytes(key: &[u8]) -> Result<Self, ParseError> {
        let mut fields = Fields::new(key);
        let parsed = Self {
            patient_tag: fields.read("patient tag", Reader::array)?,
            kind_tag: fields.read("kind tag", Reader::array)?,
            number: !fields.read_if("number", Reader::u64, |stored| *stored != u64::MAX)?,
            version: !fields.read_if("version", Reader::u32, |stored| *stored != u32::MAX)?,
        };
        fields.finish()?;
        Ok(parsed)
    }
}

/// What the keys of all records of one kind in one chart begin with.
pub(crate) fn kind_prefix(patient_tag: &[u8; 16], kind_tag: &[u8; 8]) -> [u8; 24] {
    joined(&[patient_tag, kind_tag])
}

/// What the keys of all versions of one record begin with.
pub(crate) fn record_prefix(patient_tag: &[u8; 16], kind_tag: &[u8; 8], number: u64) -> [u8; 32] {
    joined(&[patient_tag, kind_tag, &(!number).to_be_bytes()])
}

/// A patient's sealed secret: `patient_tag[16] ‖ !generation u32`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct PatientKey {
    pub(crate) patient_tag: [u8; 16],
    pub(crate) generation: u32,
}

impl PatientKey {
    pub(crate) const LEN: usize = 20;

    pub(crate) fn to_bytes(self) -> [u8; Self::LEN] {
        joined(&[&self.patient_tag, &(!self.generation).to_be_bytes()])
    }

    pub(crate) fn from_bytes(key: &[u8]) -> Result<Self, ParseError> {
        let mut fields = Fields::new(key);
        let patient_tag = fields.read("patient tag", Reader::array)?;
        let generation = !fields.read("generation", Reader::u32)?;
        fields.finish()?;
        Ok(Self { patient_tag, generation })
    }
}

/// A sealed pointer from an identifier to a patient: `identifier tag[16] ‖ patient_tag[16]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct LookupRowKey {
    pub(crate) identifier_tag: [u8; 16],
    pub(crate) patient_tag: [u8; 16],
}

impl LookupRowKey {
    pub(crate) const LEN: usize = 32;

    pub(crate) fn to_bytes(self) -> [u8; Self::LEN] {
        joined(&[&self.identifier_tag, &self.patient_tag])
    }

    pub(crate) fn from_bytes(key: &[u8]) -> Result<Self, ParseError> {
        let mut fields = Fields::new(key);
        let identifier_tag = fields.read("identifier tag", Reader::array)?;
        let patient_tag = fields.read("patient tag", Reader::array)?;
        fields.finish()?;
        Ok(Self { identifier_tag, patient_tag })
    }
}

/// The parts one after the other. `N` is the sum of their lengths.
fn joined<const N: usize>(parts: &[&[u8]]) -> [u8; N] {
    debug_assert_eq!(parts.iter().map(|part| part.len()).sum::<usize>(), N);
    let mut bytes = [0; N];
    let mut rest = bytes.as_mut_slice();
    for part in parts {
        let Some((to, behind)) = rest.split_at_mut_checked(part.len()) else { break };
        to.copy_from_slice(part);
        rest = behind;
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn record_key() -> impl Strategy<Value = RecordKey> {
        (0u8..3, 0u8..3, prop_oneof![1u64..4, Just(u64::MAX)], prop_oneof![1u32..4, Just(u32::MAX)]).prop_map(
            |(patient, kind, number, version)| RecordKey {
                patient_tag: [patient; 16],
                kind_tag: [kind; 8],
                number,
                version,
            },
        )
    }

    proptest! {
        #[test]
        fn record_keys_round_trip(patient_tag: [u8; 16], kind_tag: [u8; 8], number in 1u64.., version in 1u32..) {
            let key = RecordKey { patient_tag, kind_tag, number, version };
            prop_assert_eq!(RecordKey::from_bytes(&key.to_bytes()), Ok(key));
            prop_assert!(key.to_bytes().starts_with(&patient_tag));
            prop_assert!(key.to_bytes().starts_with(&kind_prefix(&patient_tag, &kind_tag)));
            prop_assert!(key.to_bytes().starts_with(&record_prefix(&patient_tag, &kind_tag, number)));
        }

        #[test]
        fn the_order_of_bytes_is_newest_first(a in record_key(), b in record_key()) {
            let newest_first = (a.patient_tag, a.kind_tag, b.number, b.version).cmp(&(
                b.patient_tag, b.kind_tag, a.number, a.version));
            prop_assert_eq!(a.to_bytes().cmp(&b.to_bytes()), newest_first);
        }

        #[test]
        fn the_other_keys_round_trip(patient_tag: [u8; 16], identifier_tag: [u8; 16], generation: u32) {
            let patient = PatientKey { patient_tag, generation };
            let lookup = LookupRowKey { identifier_tag, patient_tag };
            prop_assert_eq!(PatientKey::from_bytes(&patient.to_bytes()), Ok(patient));
            prop_assert_eq!(LookupRowKey::from_bytes(&lookup.to_bytes()), Ok(lookup));
        }

        #[test]
        fn newer_generations_of_a_patient_come_first(old in 0u32..u32::MAX) {
            let key = |generation| PatientKey { patient_tag: [1; 16], generation }.to_bytes();
            prop_assert!(key(old + 1) < key(old));
        }
    }

    #[test]
    fn keys_of_another_length_are_refused() {
        let long = [7; 64];
        for len in 0..long.len() {
            assert_eq!(RecordKey::from_bytes(&long[..len]).is_ok(), len == RecordKey::LEN, "{len}");
            assert_eq!(PatientKey::from_bytes(&long[..len]).is_ok(), len == PatientKey::LEN, "{len}");
            assert_eq!(LookupRowKey::from_bytes(&long[..len]).is_ok(), len == LookupRowKey::LEN, "{len}");
        }
    }

    #[test]
    fn number_and_version_zero_are_refused() {
        let key = RecordKey { patient_tag: [1; 16], kind_tag: [2; 8], number: 1, version: 1 };
        let number = RecordKey { number: 0, ..key }.to_bytes();
        let version = RecordKey { version: 0, ..key }.to_bytes();
        assert_eq!(RecordKey::from_bytes(&number), Err(ParseError::BadValue { field: "number", offset: 24 }));
        assert_eq!(RecordKey::from_bytes(&version), Err(ParseError::BadValue { field: "version", offset: 32 }));
    }

    #[test]
    fn tree_codes_come_back() {
        for tree in Tree::ALL {
            assert_eq!(Tree::from_code(tree.code()), Some(tree));
        }
        assert_eq!((Tree::from_code(0), Tree::from_code(7)), (None, None));
    }
}
