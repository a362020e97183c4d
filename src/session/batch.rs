//! Several new records at once, across kinds and patients: all or none.

use std::collections::BTreeMap;

use super::access::{Access, Done, Hold, Refused};
use super::write::NewRecord;
use super::{PutOptions, Session};
use crate::audit::AuditEvent;
use crate::committer::{JOB_BYTES, Stripe};
use crate::error::Error;
use crate::ids::PatientId;
use crate::record::{Coding, Kind, Record, RecordRef};
use crate::terms::Action;
use crate::token::Reach;
use crate::unlocked::ByKind;

/// New records that become durable together or not at all. Encoded values are held in memory until then: at most
/// 12 MiB, sealed.
#[must_use = "nothing is written before `commit`"]
pub struct Batch<'s> {
    session: &'s Session,
    records: Vec<(PatientId, NewRecord)>,
    bytes: usize,
}

impl Session {
    /// Starts a batch.
    ///
    /// ```
    /// # mod clinic { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/clinic.rs")); }
    /// # use clinic::*;
    /// # let clinic = Clinic::new();
    /// # let session = clinic.session();
    /// # let patient = session.register_patient([])?;
    /// let mut batch = session.batch();
    /// batch.put(patient, &Note { text: "first".into() }, PutOptions::new())?;
    /// batch.put_verbatim(patient, &Kind::new("Observation").unwrap(), b"{}", PutOptions::new())?;
    /// let records = batch.commit()?;
    /// assert_eq!(session.get_verbatim(records[1])?.value, b"{}");
    /// # Ok::<(), chartvault::Error>(())
    /// ```
    pub const fn batch(&self) -> Batch<'_> {
        Batch { session: self, records: Vec::new(), bytes: 0 }
    }
}

/// Shows how many records there are, and none of them.
impl std::fmt::Debug for Batch<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Batch").field("records", &self.records.len()).finish_non_exhaustive()
    }
}

impl Batch<'_> {
    /// Adds a record.
    ///
    /// # Errors
    /// [`Error::Encode`], and [`Error::CommitTooLarge`] when the batch would be; it stays as it was.
    pub fn put<T: Record>(&mut self, patient: PatientId, value: &T, options: PutOptions) -> Result<(), Error> {
        let value = self.session.encode(value)?;
        self.push(patient, NewRecord { kind: Kind::of::<T>(), coding: Coding::of::<T>(), options, value })
    }

    /// Adds bytes as they are.
    ///
    /// # Errors
    /// As [`Batch::put`].
    pub fn put_verbatim(
        &mut self,
        patient: PatientId,
        kind: &Kind,
        bytes: &[u8],
        options: PutOptions,
    ) -> Result<(), Error> {
        self.push(patient, NewRecord::verbatim(kind, bytes, options)?)
    }

    /// Records added so far.
    #[must_use]
    pub fn len(&self) -> usize {
        self.records.len()
    }

    /// Whether nothing was added yet.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.records.is_empty()
    }

    fn push(&mut self, patient: PatientId, new: NewRecord) -> Result<(), Error> {
        // Padding adds at most an eighth, the envelope, its key and its place in the log well under 512 bytes.
        let content = new.value.len() + new.options.labels.iter().map(|label| label.len() + 2).sum::<usize>();
        let len = self.bytes + content + content / 8 + 512;
        if len > JOB_BYTES {
            return Err(Error::CommitTooLarge { len, limit: JOB_BYTES });
        }
        self.bytes = len;
        self.records.push((patient, new));
        Ok(())
    }

    /// Writes everything, in one step; returns the records in the order in which they were added.
    ///
    /// # Errors
    /// As [`Session::put`]. Nothing is written unless everything is.
    pub fn commit(self) -> Result<Vec<RecordRef>, Error> {
        let session = self.session;
        let op = session.begin(Access {
            event: AuditEvent::RecordPut,
            action: Action::Create,
            kind: Reach::Filtered,
            patient: Reach::Filtered,
        })?;
        let kinds: BTreeMap<_, _> = self.records.iter().map(|(_, new)| (new.kind.id(), new.kind.clone())).collect();
        let new_kinds: Vec<&Kind> = kinds.values().filter(|kind| !op.unlocked.knows(kind)).collect();
        let mut stripes: Vec<Stripe> = Vec::new();
        let mut patients: BTreeMap<PatientId, Vec<usize>> = BTreeMap::new();
        for (at, (patient, _)) in self.records.iter().enumerate() {
            patients.entry(*patient).or_default().push(at);
        }
        stripes.extend(patients.keys().map(|patient| op.stripe(*patient)));
        if !new_kinds.is_empty() {
            stripes.push(Stripe::Policy);
        }
        op.run(Hold::Write(&stripes), |op| {
            let mut rows = Vec::with_capacity(self.records.len() + new_kinds.len());
            for kind in &new_kinds {
                rows.extend(op.unlocked.kind_row(kind)?);
            }
            let mut numbers = ByKind::new();
            let mut placed: BTreeMap<usize, RecordRef> = BTreeMap::new();
            let mut subjects = Vec::with_capacity(patients.len());
            // All decisions first: nobody learns from a denied batch whether its patients exist.
            for (patient, new) in &self.records {
                op.may_see(new.kind.id(), *patient, new.options.confidentiality).map_err(Refused::Denied)?;
            }
            for (patient, places) in &patients {
                let chart = op.chart(*patient)?;
                let mut touched = Vec::with_capacity(places.len());
                let mut tags = BTreeMap::new();
                for (at, new) in places.iter().filter_map(|at| Some((*at, &self.records.get(*at)?.1))) {
                    let kind = new.kind.id();
                    let kind_tag = *tags.entry(kind).or_insert_with(|| op.kind_tag(&chart, kind));
                    let (record, row, audited) = op.new_row(&chart, kind_tag, new, &mut numbers)?;
                    placed.insert(at, record);
                    rows.push(row);
                    touched.push(audited);
                }
                subjects.push(chart.audited(touched));
            }
            let kinds = new_kinds.into_iter().cloned().collect();
            Ok(Done { kinds, numbers, ..Done::write(placed.into_values().collect(), rows, subjects) })
        })
    }
}
