//! Reading records by their names, one or many.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::Session;
use super::access::{Access, Done, Hold, Op, Refused};
use crate::audit::{AuditEvent, AuditRecord};
use crate::committer::Stamp;
use crate::error::Error;
use crate::format::keys::{RecordKey, Tree, record_prefix};
use crate::ids::{KindId, PatientId};
use crate::record::{Body, DecodeError, Entry, Kind, Record, RecordId, RecordRef, VerbatimEntry, Version};
use crate::storage::Scan;
use crate::terms::Action;
use crate::token::Reach;
use crate::unlocked::{Chart, OpenedBody};

/// Records that one call of [`Session::get_many`] may read.
const MAX_GET: usize = 1_000;

/// Bytes of opened records that one call may return at once; above, it answers [`Error::TooMany`]. The crate's own tests
/// need not wait for so many.
const ANSWER_BYTES: usize = if cfg!(test) { 1 << 20 } else { 64 << 20 };

/// What an answer that is not paged holds so far.
#[derive(Default)]
pub(super) struct AnswerBytes(usize);

impl AnswerBytes {
    pub(super) fn add(&mut self, opened: &Opened) -> Result<(), Error> {
        self.0 = self.0.saturating_add(opened.len());
        if self.0 > ANSWER_BYTES {
            return Err(Error::TooMany { what: "bytes of records in one answer", len: self.0, limit: ANSWER_BYTES });
        }
        Ok(())
    }
}

/// One version of a record, opened: authentic bytes of a record body.
pub(super) struct Opened {
    pub(super) record: RecordRef,
    pub(super) version: Version,
    body: Arc<OpenedBody>,
    /// Whether it is from a place that is in doubt since the vault was salvaged.
    pub(super) doubtful: bool,
}

impl Opened {
    pub(super) fn body(&self) -> Result<Body<'_>, Error> {
        let tampered = |_| Error::Tampered { record: self.record, version: self.version };
        let body = Body::parse(&self.body.bytes).map_err(tampered)?;
        if body.kind != self.record.kind() {
            return Err(Error::Tampered { record: self.record, version: self.version });
        }
        Ok(body)
    }

    /// Stands for its patient.
    pub(super) fn patient_tag(&self) -> &[u8; 16] {
        &self.body.key.patient_tag
    }

    /// Bytes that it takes.
    pub(super) fn len(&self) -> usize {
        self.body.bytes.len()
    }

    /// How it stands in the log.
    pub(super) fn audited(&self, chart: &Chart) -> AuditRecord {
        self.body.audited(chart, self.record.kind())
    }

    pub(super) fn typed<T: Record>(&self) -> Result<Entry<T>, Error> {
        let id = RecordId::new(self.record.patient(), self.record.number());
        let entry = Entry::from_typed(self.body()?, id, self.version);
        entry.map(|entry| entry.doubted(self.doubtful)).map_err(|source| self.undecoded(source))
    }

    pub(super) fn verbatim(&self) -> Result<VerbatimEntry, Error> {
        let entry = Entry::from_verbatim(self.body()?, self.record, self.version);
        entry.map(|entry| entry.doubted(self.doubtful)).map_err(|source| self.undecoded(source))
    }

    pub(super) const fn undecoded(&self, source: DecodeError) -> Error {
        Error::Decode { record: self.record, version: self.version, source }
    }
}

impl Session {
    /// The newest version of a record. A voided one is returned, too; its status says so.
    ///
    /// # Errors
    /// [`Error::NoSuchPatient`], [`Error::NoSuchRecord`], [`Error::Decode`] when the stored value is not what `T` can
    /// read, [`Error::Tampered`] or [`Error::Missing`] when its bytes were changed or removed, and what [`Session`]
    /// lists.
    pub fn get<T: Record>(&self, id: RecordId<T>) -> Result<Entry<T>, Error> {
        self.get_one(id.into(), Opened::typed)
    }

    /// The newest version of a record stored with [`Session::put_verbatim`]: exactly the bytes that were put.
    ///
    /// # Errors
    /// As [`Session::get`].
    pub fn get_verbatim(&self, record: RecordRef) -> Result<VerbatimEntry, Error> {
        self.get_one(record, Opened::verbatim)
    }

    fn get_one<T>(&self, record: RecordRef, view: impl Fn(&Opened) -> Result<T, Error>) -> Result<T, Error> {
        let op = self.begin(access(AuditEvent::RecordRead, record.kind(), record.patient()))?;
        op.run(Hold::Nothing, |op| {
            let chart = op.chart(record.patient())?;
            let opened = op.newest(&chart, record)?;
            op.may_give(&opened)?;
            Ok(Done::read(view(&opened)?, vec![chart.audited(vec![opened.audited(&chart)])]))
        })
    }

    /// The newest versions of up to 1,000 records of one kind, in the order asked for. All or none: one that is denied
    /// or missing fails the call.
    ///
    /// # Errors
    /// [`Error::TooMany`] above 1,000 records, or 64 MiB of them (then ask for fewer), and as [`Session::get`].
    pub fn get_many<T: Record>(&self, ids: &[RecordId<T>]) -> Result<Vec<Entry<T>>, Error> {
        let records: Vec<RecordRef> = ids.iter().map(|id| RecordRef::from(*id)).collect();
        self.get_all(Reach::One(Kind::of::<T>().id()), &records, Opened::typed)
    }

    /// [`Session::get_many`] for records that were put verbatim, across kinds.
    ///
    /// # Errors
    /// As [`Session::get_many`].
    pub fn get_many_verbatim(&self, records: &[RecordRef]) -> Result<Vec<VerbatimEntry>, Error> {
        self.get_all(Reach::Filtered, records, Opened::verbatim)
    }

    fn get_all<T>(
        &self,
        kind: Reach<KindId>,
        records: &[RecordRef],
        view: fn(&Opened) -> Result<T, Error>,
    ) -> Result<Vec<T>, Error> {
        if records.len() > MAX_GET {
            return Err(Error::TooMany { what: "records to get", len: records.len(), limit: MAX_GET });
        }
        let (action, patient) = (Action::Read, Reach::Filtered);
        let op = self.begin(Access { event: AuditEvent::RecordRead, action, kind, patient })?;
        op.run(Hold::Nothing, |op| {
            let (mut entries, mut bytes) = (Vec::with_capacity(records.len()), AnswerBytes::default());
            let mut touched: BTreeMap<PatientId, (Arc<Chart>, Vec<AuditRecord>)> = BTreeMap::new();
            for record in records {
                let patient = record.patient();
                op.decide(Reach::One(record.kind()), Reach::One(patient), None).map_err(Refused::Denied)?;
                let chart = op.chart(patient)?;
                let opened = op.newest(&chart, *record)?;
                op.may_give(&opened)?;
                bytes.add(&opened)?;
                entries.push(view(&opened)?);
                let audited = opened.audited(&chart);
                touched.entry(patient).or_insert_with(|| (chart, Vec::new())).1.push(audited);
            }
            let subjects = touched.into_values().map(|(chart, records)| chart.audited(records)).collect();
            Ok(Done::read(entries, subjects))
        })
    }
}

const TAMPERED: Error = Error::TamperedRow { what: "record key" };

pub(super) fn record_key(key: &[u8]) -> Result<RecordKey, Error> {
    RecordKey::from_bytes(key).map_err(|_| TAMPERED)
}

/// Reading records of one kind of one patient.
pub(super) const fn access(event: AuditEvent, kind: KindId, patient: PatientId) -> Access {
    Access { event, action: Action::Read, kind: Reach::One(kind), patient: Reach::One(patient) }
}

impl Op<'_> {
    /// The newest version of a record that must be there.
    pub(super) fn newest(&self, chart: &Chart, record: RecordRef) -> Result<Opened, Error> {
        let kind_tag = self.kind_tag(chart, record.kind());
        let prefix = record_prefix(&chart.tag, &kind_tag, record.number());
        let at = self.unlocked.committer.stamp(&chart.tag);
        let scan = Scan { prefix: &prefix, after: None, limit: 1 };
        match self.unlocked.bodies.newest(&prefix, at) {
            Some((body, true)) => return self.opened(chart, record.kind(), body),
            Some((_, false)) => {
                // Most likely it still is: the key alone tells.
                if let Some(key) = self.unlocked.committer.scan_keys(Tree::Records, scan)?.first() {
                    return self.at(chart, record.kind(), record_key(key)?, Some(at));
                }
            }
            None => {}
        }
        let mut rows = self.unlocked.committer.scan(Tree::Records, scan)?;
        if rows.is_empty() {
            if record.number() > self.newest_number(chart, &kind_tag)? {
                return Err(Error::NoSuchRecord(record));
            }
            // It may have been put since the first look.
            rows = self.unlocked.committer.scan(Tree::Records, scan)?;
        }
        let (key, value) = rows.into_iter().next().ok_or_else(|| missing(record, "a record", record.number()))?;
        let opened = self.open(chart, record.kind(), &key, &value)?;
        self.keep(chart, &opened, at);
        Ok(opened)
    }

    /// A version of a record whose key was found; kept for later if it was the newest at a stamp taken before.
    pub(super) fn at(
        &self,
        chart: &Chart,
        kind: KindId,
        key: RecordKey,
        newest_at: Option<Stamp>,
    ) -> Result<Opened, Error> {
        if let Some(body) = self.unlocked.bodies.version(&key, newest_at) {
            return self.opened(chart, kind, body);
        }
        let bytes = key.to_bytes();
        let record = RecordRef::new(chart.patient, kind, key.number);
        let value = self.unlocked.committer.get(Tree::Records, &bytes)?;
        let value = value.ok_or_else(|| missing(record, "a record", key.number))?;
        let opened = self.open(chart, kind, &bytes, &value)?;
        if let Some(at) = newest_at {
            self.keep(chart, &opened, at);
        }
        Ok(opened)
    }

    /// Opens a row where it was found.
    pub(super) fn open(&self, chart: &Chart, kind: KindId, key: &[u8], value: &[u8]) -> Result<Opened, Error> {
        let key = record_key(key)?;
        let bytes = self.unlocked.open_record(chart, kind, key, value)?;
        self.opened(chart, kind, Arc::new(OpenedBody::new(key, bytes)))
    }

    fn opened(&self, chart: &Chart, kind: KindId, body: Arc<OpenedBody>) -> Result<Opened, Error> {
        let record = RecordRef::new(chart.patient, kind, body.key.number);
        let version = Version::new(body.key.version).ok_or(TAMPERED)?;
        Ok(Opened { record, version, body, doubtful: self.in_doubt(chart) })
    }

    /// Keeps the newest version of a record for whoever reads it next. What is taken out in bulk or looked up in the past
    /// does not push out what the day needs.
    fn keep(&self, chart: &Chart, opened: &Opened, at: Stamp) {
        if self.is_of_the_day() {
            let unchanged = || self.unlocked.committer.stamp(&chart.tag) == at;
            self.unlocked.bodies.keep(&opened.body, at, unchanged);
        }
    }

    /// Whether records of a chart may be older than they were, or missing, since the vault was salvaged.
    pub(super) fn in_doubt(&self, chart: &Chart) -> bool {
        // A chart lies in one bucket: its records' keys begin with its tag.
        self.unlocked.policy.doubt().is_some_and(|(_, map)| map.covers(Tree::Records, &chart.tag))
    }
}

/// A gap in what is counted without gaps.
pub(super) const fn missing(record: RecordRef, what: &'static str, number: u64) -> Error {
    Error::Missing { patient: record.patient(), kind: Some(record.kind()), number, what }
}
