//! Putting new records.

use super::access::{Access, Done, Hold, Op, Refused};
use super::{PutOptions, Session};
use crate::audit::{AuditEvent, AuditRecord};
use crate::committer::{Row, Stripe};
use crate::error::Error;
use crate::format::keys::{RecordKey, Tree, kind_prefix};
use crate::ids::{KindId, PatientId};
use crate::record::{self, Body, Coding, Kind, Record, RecordId, RecordRef, Status, Version};
use crate::secret::SecretBytes;
use crate::storage::Scan;
use crate::terms::Action;
use crate::token::Reach;
use crate::unlocked::{ByKind, Chart};

/// A value on its way into the vault.
pub(super) struct NewRecord {
    pub(super) kind: Kind,
    pub(super) coding: Coding,
    pub(super) options: PutOptions,
    pub(super) value: SecretBytes,
}

impl Session {
    /// Puts a new record into a patient's chart. Durable and logged when it returns.
    ///
    /// # Errors
    /// [`Error::NoSuchPatient`], [`Error::Encode`] for a value above 1 MiB or one that could not be read back, and what
    /// [`Session`] lists.
    ///
    /// ```
    /// # mod clinic { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/clinic.rs")); }
    /// # use clinic::*;
    /// # let clinic = Clinic::new();
    /// let session = clinic.session();
    /// let patient = session.register_patient([Identifier::new("urn:mrn:clinic-a", "12345")?])?;
    /// let id = session.put(patient, &Note { text: "penicillin: rash".into() })?;
    /// assert_eq!(session.get(id)?.value.text, "penicillin: rash");
    /// # Ok::<(), chartvault::Error>(())
    /// ```
    pub fn put<T: Record>(&self, patient: PatientId, value: &T) -> Result<RecordId<T>, Error> {
        self.put_with(patient, value, PutOptions::new())
    }

    /// [`Session::put`] with a clinical time, a confidentiality or labels.
    ///
    /// # Errors
    /// As [`Session::put`].
    pub fn put_with<T: Record>(
        &self,
        patient: PatientId,
        value: &T,
        options: PutOptions,
    ) -> Result<RecordId<T>, Error> {
        let encoded = self.encode(value)?;
        let new = NewRecord { kind: Kind::of::<T>(), coding: Coding::of::<T>(), options, value: encoded };
        self.put_new(patient, &new).map(|record| RecordId::new(record.patient(), record.number()))
    }

    /// Puts bytes as they are under a kind that is known only at run time, such as FHIR JSON under its resource type.
    ///
    /// # Errors
    /// As [`Session::put`].
    pub fn put_verbatim(
        &self,
        patient: PatientId,
        kind: &Kind,
        bytes: &[u8],
        options: PutOptions,
    ) -> Result<RecordRef, Error> {
        self.put_new(patient, &NewRecord::verbatim(kind, bytes, options)?)
    }

    fn put_new(&self, patient: PatientId, new: &NewRecord) -> Result<RecordRef, Error> {
        let op = self.begin(Access {
            event: AuditEvent::RecordPut,
            action: Action::Create,
            kind: Reach::One(new.kind.id()),
            patient: Reach::One(patient),
        })?;
        let mut stripes = vec![op.stripe(patient)];
        if !op.unlocked.knows(&new.kind) {
            stripes.push(Stripe::Policy);
        }
        op.run(Hold::Write(&stripes), |op| {
            op.may_see(new.kind.id(), patient, new.options.confidentiality).map_err(Refused::Denied)?;
            let chart = op.chart(patient)?;
            let mut rows = Vec::with_capacity(2);
            rows.extend(op.unlocked.kind_row(&new.kind)?);
            let kinds = if op.unlocked.knows(&new.kind) { Vec::new() } else { vec![new.kind.clone()] };
            let mut numbers = ByKind::new();
            let kind_tag = op.kind_tag(&chart, new.kind.id());
            let (record, row, audited) = op.new_row(&chart, kind_tag, new, &mut numbers)?;
            rows.push(row);
            Ok(Done { kinds, numbers, ..Done::write(record, rows, vec![chart.audited(vec![audited])]) })
        })
    }

    /// Encodes a value; the first of its type in this vault must also come back whole.
    pub(super) fn encode<T: Record>(&self, value: &T) -> Result<SecretBytes, Error> {
        let unlocked = self.0.gate.enter()?;
        if unlocked.types().is_proven::<T>() {
            return Ok(record::encode(value)?);
        }
        let encoded = record::prove_round_trip(value)?;
        unlocked.types().admit::<T>()?;
        Ok(encoded)
    }
}

impl NewRecord {
    pub(super) fn verbatim(kind: &Kind, bytes: &[u8], options: PutOptions) -> Result<Self, Error> {
        record::check_value(bytes.len())?;
        let value = SecretBytes::new(bytes.to_vec());
        Ok(Self { kind: kind.clone(), coding: Coding::Verbatim, options, value })
    }
}

impl Op<'_> {
    /// Gives a new record its number and seals it. The chart's stripe must be held. `reserved` are the numbers that the
    /// operation has given out, and that are not queued yet.
    pub(super) fn new_row(
        &self,
        chart: &Chart,
        kind_tag: [u8; 8],
        new: &NewRecord,
        reserved: &mut ByKind,
    ) -> Result<(RecordRef, Row, AuditRecord), Error> {
        let kind = new.kind.id();
        let taken = reserved.get(&(chart.tag, kind_tag)).copied();
        let number = match taken.or_else(|| self.unlocked.numbers.newest(&chart.tag, &kind_tag)) {
            Some(newest) => newest,
            None => self.newest_number(chart, &kind_tag)?,
        };
        let number = number.checked_add(1).ok_or(Error::TooMany {
            what: "records of one kind in one chart",
            len: usize::MAX,
            limit: usize::MAX,
        })?;
        reserved.insert((chart.tag, kind_tag), number);
        let PutOptions { clinical_time, confidentiality, labels } = new.options.clone();
        let body = Body {
            kind,
            coding: new.coding,
            author: self.session.principal(),
            recorded_at: self.now,
            clinical_time,
            status: Status::Active,
            confidentiality,
            reason: "",
            labels,
            value: &new.value,
        };
        let record = RecordRef::new(chart.patient, kind, number);
        let (row, audited) = self.version_row(chart, kind_tag, record, Version::FIRST, &body)?;
        Ok((record, row, audited))
    }

    /// Seals one version of a record.
    pub(super) fn version_row(
        &self,
        chart: &Chart,
        kind_tag: [u8; 8],
        record: RecordRef,
        version: Version,
        body: &Body<'_>,
    ) -> Result<(Row, AuditRecord), Error> {
        let (kind, number, version) = (record.kind(), record.number(), version.number());
        let key = RecordKey { patient_tag: chart.tag, kind_tag, number, version };
        let bytes = body.encode()?;
        let row = self.unlocked.record_row(chart, key, &bytes)?;
        let tag = chart.subject.version_tag(chart.patient, kind, number, version, &bytes);
        Ok((row, AuditRecord::new(kind, number, version, tag)))
    }

    /// The number of the newest record of a kind; 0 when there is none.
    pub(super) fn newest_number(&self, chart: &Chart, kind_tag: &[u8; 8]) -> Result<u64, Error> {
        let prefix = kind_prefix(&chart.tag, kind_tag);
        let scan = Scan { prefix: &prefix, after: None, limit: 1 };
        let keys = self.unlocked.committer.scan_keys(Tree::Records, scan)?;
        match keys.first() {
            None => Ok(0),
            Some(key) => {
                let key = RecordKey::from_bytes(key).map_err(|_| Error::TamperedRow { what: "record key" })?;
                Ok(key.number)
            }
        }
    }

    /// Shorthand for a kind's tag in a chart.
    pub(super) fn kind_tag(&self, chart: &Chart, kind: KindId) -> [u8; 8] {
        self.unlocked.keyring().kind_tag(&chart.tag, kind)
    }
}
