//! How a record is named, with its kind in the type and without.

use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::marker::PhantomData;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::Record;
use crate::crypto::kdf;
use crate::ids::{InvalidId, KindId, PatientId, parse_id, write_id};

/// A record of type `T`: its patient and its number (1, 2, 3 … within patient and kind).
///
/// As text `record-<32 hexadecimal digits of the patient>-<number>`.
pub struct RecordId<T> {
    patient: PatientId,
    number: u64,
    /// The kind belongs to the name but owns nothing, so the id is `Send`, `Sync` and `Copy` whatever `T` is.
    kind: PhantomData<fn() -> T>,
}

impl<T> RecordId<T> {
    pub(crate) const fn new(patient: PatientId, number: u64) -> Self {
        Self { patient, number, kind: PhantomData }
    }

    /// The patient whose chart holds the record.
    #[must_use]
    pub const fn patient(self) -> PatientId {
        self.patient
    }

    /// Its number within patient and kind, from 1.
    #[must_use]
    pub const fn number(self) -> u64 {
        self.number
    }
}

impl<T> Clone for RecordId<T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for RecordId<T> {}

impl<T> PartialEq for RecordId<T> {
    fn eq(&self, other: &Self) -> bool {
        (self.patient, self.number) == (other.patient, other.number)
    }
}

impl<T> Eq for RecordId<T> {}

impl<T> PartialOrd for RecordId<T> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl<T> Ord for RecordId<T> {
    fn cmp(&self, other: &Self) -> Ordering {
        (self.patient, self.number).cmp(&(other.patient, other.number))
    }
}

impl<T> Hash for RecordId<T> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        (self.patient, self.number).hash(state);
    }
}

impl<T> fmt::Display for RecordId<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_id(f, "record-", self.patient.as_bytes())?;
        write!(f, "-{}", self.number)
    }
}

impl<T> fmt::Debug for RecordId<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

const RECORD_ID: &str = "a record id (`record-`, 32 hexadecimal digits, `-` and a number from 1)";

impl<T> FromStr for RecordId<T> {
    type Err = InvalidId;

    fn from_str(text: &str) -> Result<Self, InvalidId> {
        let (patient, number) = text.rsplit_once('-').ok_or(InvalidId::new(RECORD_ID))?;
        let patient = parse_id(patient, "record-", RECORD_ID)?;
        Ok(Self::new(PatientId::from_bytes(patient), parse_number(number, RECORD_ID)?))
    }
}

/// So that a record can refer to another: 16 bytes of the patient, then the number.
impl<T> Serialize for RecordId<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        (self.patient, self.number).serialize(serializer)
    }
}

impl<'de, T> Deserialize<'de> for RecordId<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let (patient, number) = Deserialize::deserialize(deserializer)?;
        Ok(Self::new(patient, number))
    }
}

/// A record of any kind: what remains of a [`RecordId`] when its type is known only at run time.
///
/// As text `ref-<32 hexadecimal digits of the patient>-<32 of the kind id>-<number>`.
///
/// ```
/// use chartvault::RecordRef;
/// let text = "ref-00112233445566778899aabbccddeeff-ffeeddccbbaa99887766554433221100-3";
/// let third: RecordRef = text.parse()?;
/// assert_eq!((third.number(), third.to_string().as_str()), (3, text));
/// # Ok::<(), chartvault::InvalidId>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct RecordRef {
    patient: PatientId,
    kind: KindId,
    number: u64,
}

impl RecordRef {
    pub(crate) const fn new(patient: PatientId, kind: KindId, number: u64) -> Self {
        Self { patient, kind, number }
    }

    /// The patient whose chart holds the record.
    #[must_use]
    pub const fn patient(self) -> PatientId {
        self.patient
    }

    /// The record's kind.
    #[must_use]
    pub const fn kind(self) -> KindId {
        self.kind
    }

    /// Its number within patient and kind, from 1.
    #[must_use]
    pub const fn number(self) -> u64 {
        self.number
    }
}

impl fmt::Display for RecordRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_id(f, "ref-", self.patient.as_bytes())?;
        write_id(f, "-", self.kind.as_bytes())?;
        write!(f, "-{}", self.number)
    }
}

impl fmt::Debug for RecordRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

const RECORD_REF: &str =
    "a record reference (`ref-`, 32 hexadecimal digits, `-`, 32 hexadecimal digits, `-` and a number from 1)";

impl FromStr for RecordRef {
    type Err = InvalidId;

    fn from_str(text: &str) -> Result<Self, InvalidId> {
        let invalid = InvalidId::new(RECORD_REF);
        let (ids, number) = text.rsplit_once('-').ok_or(invalid)?;
        let (patient, kind) = ids.rsplit_once('-').ok_or(invalid)?;
        Ok(Self::new(
            PatientId::from_bytes(parse_id(patient, "ref-", RECORD_REF)?),
            KindId::from_bytes(parse_id(kind, "", RECORD_REF)?),
            parse_number(number, RECORD_REF)?,
        ))
    }
}

/// One text a number: no sign, no leading zero.
fn parse_number(text: &str, expected: &'static str) -> Result<u64, InvalidId> {
    let plain = text.starts_with(|first: char| matches!(first, '1'..='9'));
    text.parse().ok().filter(|_| plain).ok_or(InvalidId::new(expected))
}

impl<T: Record> From<RecordId<T>> for RecordRef {
    fn from(id: RecordId<T>) -> Self {
        Self::new(id.patient, kdf::kind_id(T::KIND), id.number)
    }
}

/// A record reference was to be used as one of another kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the reference names a record of {found}, not of kind `{wanted}`")]
pub struct WrongKind {
    /// The kind that the type at hand has.
    pub wanted: &'static str,
    /// The kind that the reference names.
    pub found: KindId,
}

impl<T: Record> TryFrom<RecordRef> for RecordId<T> {
    type Error = WrongKind;

    fn try_from(reference: RecordRef) -> Result<Self, WrongKind> {
        if reference.kind != kdf::kind_id(T::KIND) {
            return Err(WrongKind { wanted: T::KIND, found: reference.kind });
        }
        Ok(Self::new(reference.patient, reference.number))
    }
}

/// A version of a record: 1 when it was put, one more with every amendment and with the void.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Version(u32);

impl Version {
    /// The version that `put` writes.
    pub const FIRST: Self = Self(1);

    /// From its number; `None` for 0.
    #[must_use]
    pub const fn new(number: u32) -> Option<Self> {
        if number == 0 { None } else { Some(Self(number)) }
    }

    /// Its number, from 1.
    #[must_use]
    pub const fn number(self) -> u32 {
        self.0
    }

    /// The version after this one; `None` after the last that can be counted.
    pub(crate) const fn next(self) -> Option<Self> {
        match self.0.checked_add(1) {
            Some(number) => Some(Self(number)),
            None => None,
        }
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

const VERSION: &str = "a version (a number from 1 to 4294967295)";

impl FromStr for Version {
    type Err = InvalidId;

    fn from_str(text: &str) -> Result<Self, InvalidId> {
        let number = parse_number(text, VERSION)?;
        u32::try_from(number).ok().and_then(Self::new).ok_or(InvalidId::new(VERSION))
    }
}

#[cfg(test)]
mod tests {
    use super::super::test_types::{Allergy, Note};
    use super::*;

    const PATIENT: PatientId = PatientId::from_bytes([0xA1; 16]);

    #[test]
    fn text_forms_round_trip() {
        let id = RecordId::<Note>::new(PATIENT, u64::MAX);
        assert_eq!(id.to_string(), format!("record-{}-18446744073709551615", "a1".repeat(16)));
        assert_eq!(id.to_string().parse(), Ok(id));
        let reference = RecordRef::from(id);
        assert_eq!(reference.to_string().parse(), Ok(reference));
        assert_eq!(Version::FIRST.to_string().parse(), Ok(Version::FIRST));
    }

    #[test]
    fn other_texts_are_refused() {
        let hex = "a1".repeat(16);
        for text in [
            String::new(),
            "record-".into(),
            format!("record-{hex}"),
            format!("record-{hex}-"),
            format!("record-{hex}-0"),
            format!("record-{hex}-01"),
            format!("record-{hex}-+1"),
            format!("record-{hex}--1"),
            format!("record-{hex}-18446744073709551616"),
            format!("record-{hex}00-1"),
            format!("patient-{hex}-1"),
            format!("ref-{hex}-{hex}-1"),
        ] {
            assert!(text.parse::<RecordId<Note>>().is_err(), "{text}");
        }
        for text in [format!("record-{hex}-1"), format!("ref-{hex}-1"), format!("ref-{hex}-{hex}-0")] {
            assert!(text.parse::<RecordRef>().is_err(), "{text}");
        }
        for text in ["0", "4294967296", "", "v1"] {
            assert!(text.parse::<Version>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_reference_becomes_an_id_of_its_own_kind_alone() {
        let id = RecordId::<Note>::new(PATIENT, 7);
        let reference = RecordRef::from(id);
        assert_eq!(RecordId::<Note>::try_from(reference), Ok(id));
        assert!(matches!(RecordId::<Allergy>::try_from(reference), Err(WrongKind { wanted: "allergy", .. })));
    }

    #[test]
    fn an_id_asks_nothing_of_its_type() {
        fn check<I: Copy + Eq + Ord + Hash + Send + Sync + fmt::Debug + fmt::Display>() {}
        struct Nothing(#[allow(dead_code)] std::rc::Rc<()>);
        check::<RecordId<Nothing>>();
    }

    #[test]
    fn the_last_version_has_no_next() {
        assert_eq!(Version::FIRST.next(), Version::new(2));
        assert_eq!(Version::new(u32::MAX).unwrap().next(), None);
    }
}
