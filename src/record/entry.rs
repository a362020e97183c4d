//! What reading a record gives.

use std::fmt;

use super::Record;
use super::body::{Body, Status};
use super::codec::DecodeError;
use super::id::{RecordId, RecordRef, Version};
use super::labels::Labels;
use crate::clock::Timestamp;
use crate::ids::PrincipalId;
use crate::terms::Confidentiality;

/// One version of a record: its value, and who wrote it when.
///
/// `Debug` leaves out what the chart says of the patient: value, clinical time, reason and labels.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Entry<T, Id = RecordId<T>> {
    /// The value.
    pub value: T,
    /// Which record this is.
    pub id: Id,
    /// Which version of it.
    pub version: Version,
    /// The version of the type in which this version of the record is stored; below [`Record::VERSION`] where `value` was
    /// upgraded while it was read. `None` for verbatim bytes.
    pub schema: Option<u16>,
    /// Who wrote this version.
    pub author: PrincipalId,
    /// When this version was written.
    pub recorded_at: Timestamp,
    /// When what it tells of happened, if that was given.
    pub clinical_time: Option<Timestamp>,
    /// Whether the record counts.
    pub status: Status,
    /// Why it was amended or voided, if somebody said.
    pub reason: Option<String>,
    /// How confidential it is.
    pub confidentiality: Confidentiality,
    /// The categories it belongs to.
    pub labels: Labels,
    doubtful: bool,
}

/// A version of a record whose value is kept as the bytes that came.
pub type VerbatimEntry = Entry<Vec<u8>, RecordRef>;

impl<T: Record> Entry<T> {
    /// Takes the value out of the body stored under `id`.
    pub(crate) fn from_typed(body: Body<'_>, id: RecordId<T>, version: Version) -> Result<Self, DecodeError> {
        let value = body.decode()?;
        Ok(Self::with(value, body, id, version))
    }
}

impl VerbatimEntry {
    /// Copies the bytes out of the body stored under `id`.
    pub(crate) fn from_verbatim(body: Body<'_>, id: RecordRef, version: Version) -> Result<Self, DecodeError> {
        let value = body.verbatim(id.kind())?.to_vec();
        Ok(Self::with(value, body, id, version))
    }
}

impl<T, Id> Entry<T, Id> {
    /// Whether it comes from a place that is in doubt since the vault was salvaged. It is genuine: the vault wrote it. But
    /// versions after it may be lost, and records beside it.
    #[must_use]
    pub const fn is_doubtful(&self) -> bool {
        self.doubtful
    }

    pub(crate) fn doubted(self, doubtful: bool) -> Self {
        Self { doubtful, ..self }
    }

    fn with(value: T, body: Body<'_>, id: Id, version: Version) -> Self {
        Self {
            value,
            id,
            version,
            schema: body.schema(),
            author: body.author,
            recorded_at: body.recorded_at,
            clinical_time: body.clinical_time,
            status: body.status,
            reason: Some(body.reason).filter(|reason| !reason.is_empty()).map(str::to_owned),
            confidentiality: body.confidentiality,
            labels: body.labels,
            doubtful: false,
        }
    }
}

impl<T, Id: fmt::Debug> fmt::Debug for Entry<T, Id> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Entry")
            .field("id", &self.id)
            .field("version", &self.version)
            .field("schema", &self.schema)
            .field("author", &self.author)
            .field("recorded_at", &self.recorded_at)
            .field("status", &self.status)
            .field("confidentiality", &self.confidentiality)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::super::codec::{Coding, encode};
    use super::super::test_types::{Allergy, Note, allergy};
    use super::*;
    use crate::crypto::kdf;
    use crate::ids::{KindId, PatientId};

    const PATIENT: PatientId = PatientId::from_bytes([9; 16]);

    fn body(kind: KindId, coding: Coding, value: &[u8]) -> Body<'_> {
        Body {
            kind,
            coding,
            author: PrincipalId::from_bytes([1; 16]),
            recorded_at: Timestamp::from_micros(2),
            clinical_time: Some(Timestamp::from_micros(3)),
            status: Status::Voided,
            confidentiality: Confidentiality::Restricted,
            reason: "wrong patient",
            labels: Labels::new(["psychotherapy"]).unwrap(),
            value,
        }
    }

    #[test]
    fn a_typed_entry_holds_what_the_body_holds() {
        let value = encode(&allergy()).unwrap();
        let body = body(kdf::kind_id("allergy"), Coding::of::<Allergy>(), &value);
        let id = RecordId::new(PATIENT, 1);
        let entry: Entry<Allergy> = Entry::from_typed(body, id, Version::FIRST).unwrap();
        assert_eq!(entry.value, allergy());
        assert_eq!((entry.id, entry.version, entry.status), (id, Version::FIRST, Status::Voided));
        assert_eq!(entry.schema, Some(1));
        assert_eq!(entry.author, PrincipalId::from_bytes([1; 16]));
        assert_eq!(entry.recorded_at.as_micros(), 2);
        assert_eq!(entry.clinical_time.map(Timestamp::as_micros), Some(3));
        assert_eq!(entry.reason.as_deref(), Some("wrong patient"));
        assert_eq!(entry.confidentiality, Confidentiality::Restricted);
        assert!(entry.labels.contains("psychotherapy"));
    }

    #[test]
    fn verbatim_bytes_come_back_as_they_came() {
        let kind = kdf::kind_id("Observation");
        let id = RecordRef::new(PATIENT, kind, 1);
        let entry = VerbatimEntry::from_verbatim(body(kind, Coding::Verbatim, b"{}"), id, Version::FIRST).unwrap();
        assert_eq!((entry.value.as_slice(), entry.id, entry.schema), (&b"{}"[..], id, None));
    }

    #[test]
    fn a_body_under_the_wrong_kind_or_codec_is_refused() {
        let value = encode(&allergy()).unwrap();
        let (allergy, note) = (kdf::kind_id("allergy"), kdf::kind_id("note"));
        let typed = || body(allergy, Coding::of::<Allergy>(), &value);
        assert!(matches!(
            Entry::<Note>::from_typed(typed(), RecordId::new(PATIENT, 1), Version::FIRST),
            Err(DecodeError::OtherKind { found, wanted }) if (found, wanted) == (allergy, note)
        ));
        assert!(matches!(
            VerbatimEntry::from_verbatim(typed(), RecordRef::new(PATIENT, note, 1), Version::FIRST),
            Err(DecodeError::OtherKind { .. })
        ));
        assert!(matches!(
            VerbatimEntry::from_verbatim(typed(), RecordRef::new(PATIENT, allergy, 1), Version::FIRST),
            Err(DecodeError::NotVerbatim { kind }) if kind == allergy
        ));
        let verbatim = body(allergy, Coding::Verbatim, &value);
        assert!(matches!(
            Entry::<Allergy>::from_typed(verbatim, RecordId::new(PATIENT, 1), Version::FIRST),
            Err(DecodeError::Verbatim { kind: "allergy" })
        ));
    }

    #[test]
    fn debug_shows_nothing_of_the_chart() {
        let value = encode(&allergy()).unwrap();
        let body = body(kdf::kind_id("allergy"), Coding::of::<Allergy>(), &value);
        let shown = format!("{:?}", Entry::<Allergy>::from_typed(body, RecordId::new(PATIENT, 1), Version::FIRST));
        for secret in ["penicillin", "psychotherapy", "wrong patient", "1970-01-01T00:00:00.000003Z"] {
            assert!(!shown.contains(secret), "{shown}");
        }
        assert!(shown.contains("record-0909"), "{shown}");
    }
}
