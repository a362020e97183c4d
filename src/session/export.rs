//! Taking records out in bulk: a stream over many charts, one log entry for each batch of it.

use std::collections::{BTreeSet, HashSet};
use std::vec;

use super::access::{Access, Done, Hold, Op, Refused};
use super::bulk::{Bulk, Spot, Want};
use super::{AnyEntry, Session};
use crate::audit::AuditEvent;
use crate::error::Error;
use crate::ids::{KindId, PatientId};
use crate::progress::{OnProgress, Progress, Task};
use crate::record::Kind;
use crate::terms::Action;
use crate::token::Reach;

/// Patients whom one export may name.
const MAX_COHORT: usize = 100_000;

/// An export about to start; see [`Session::export`].
#[must_use = "nothing is read before `start`"]
pub struct Export<'s, 'p> {
    session: &'s Session,
    patients: Option<Vec<PatientId>>,
    want: Want,
    progress: Option<OnProgress<'p>>,
}

impl std::fmt::Debug for Export<'_, '_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let patients = self.patients.as_ref().map(Vec::len);
        f.debug_struct("Export").field("patients", &patients).field("want", &self.want).finish_non_exhaustive()
    }
}

impl Session {
    /// Takes records out in bulk: of every chart that the token allows, or of some. Needs the export action.
    ///
    /// ```
    /// # mod clinic { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/clinic.rs")); }
    /// # use clinic::*;
    /// # let clinic = Clinic::new();
    /// # let session = clinic.session();
    /// let patient = session.register_patient([])?;
    /// session.put(patient, &Note { text: "penicillin: rash".into() })?;
    /// for entry in session.export().patients([patient]).start()? {
    ///     let note = entry?.decode::<Note>()?;
    ///     assert_eq!(note.value.text, "penicillin: rash");
    /// }
    /// # Ok::<(), chartvault::Error>(())
    /// ```
    pub const fn export<'p>(&self) -> Export<'_, 'p> {
        Export { session: self, patients: None, want: Want::new(), progress: None }
    }
}

impl<'s, 'p> Export<'s, 'p> {
    /// Only the charts of these patients, at most 100,000, in this order; one that is named twice is exported once. The
    /// token must allow each of them, and each must exist. If not called: all charts that the token allows, in no order
    /// that means anything; others are passed over without a trace.
    pub fn patients(mut self, patients: impl IntoIterator<Item = PatientId>) -> Self {
        let mut seen = HashSet::new();
        // One more than allowed is enough to be refused.
        let distinct = patients.into_iter().filter(|patient| seen.insert(*patient)).take(MAX_COHORT + 1);
        self.patients = Some(distinct.collect());
        self
    }

    /// Only records of these kinds. The token must allow each of them. If not called: all kinds that the token allows.
    pub fn kinds(mut self, kinds: impl IntoIterator<Item = Kind>) -> Self {
        self.want.kinds = Some(kinds.into_iter().map(|kind| kind.id()).collect::<BTreeSet<KindId>>());
        self
    }

    /// All versions of each record, newest first, and not only the newest.
    pub const fn whole_history(mut self) -> Self {
        self.want.history = true;
        self
    }

    /// Also records that were voided.
    pub const fn include_voided(mut self) -> Self {
        self.want.voided = true;
        self
    }

    /// Reports progress after each batch, in records given out.
    pub fn on_progress(mut self, progress: OnProgress<'p>) -> Self {
        self.progress = Some(progress);
        self
    }

    /// Starts. What is not allowed is denied here, before anybody can learn what exists; records are read only as the
    /// stream is asked for them.
    ///
    /// # Errors
    /// [`Error::TooMany`] for more than 100,000 patients, and what [`Session`] lists.
    pub fn start(self) -> Result<ExportStream<'s, 'p>, Error> {
        let Self { session, patients, want, progress } = self;
        if let Some(len) = patients.as_ref().map(Vec::len).filter(|len| *len > MAX_COHORT) {
            return Err(Error::TooMany { what: "patients to export", len, limit: MAX_COHORT });
        }
        let op = session.begin(ACCESS)?;
        let kinds = want.kinds.iter().flatten().map(|kind| (Reach::One(*kind), Reach::Filtered));
        let charts = patients.iter().flatten().map(|patient| (Reach::Filtered, Reach::One(*patient)));
        if let Err(denial) = kinds.chain(charts).try_for_each(|(kind, patient)| op.decide(kind, patient, None)) {
            return Err(op.log_denial(denial));
        }
        let at = At { next: 0, passed: None, inside: None, end: false };
        let ready = Vec::new().into_iter();
        Ok(ExportStream { session, patients, want, progress, at, ready, given: 0, withheld: 0, missing: 0 })
    }
}

const ACCESS: Access = Access {
    event: AuditEvent::RecordsExported,
    action: Action::Export,
    kind: Reach::Filtered,
    patient: Reach::Filtered,
};

/// Records of an export, chart by chart. Within a chart they come by kind, in no order of kinds that means anything,
/// and within a kind newest first.
///
/// **Batches.** Records are read in batches of at most 1,000 records, about 4 MiB of values and 250 charts, and only one
/// batch is in memory. Each is decided by the token anew, and its log entry names its charts, its records and their
/// versions; it is durable before the first record of the batch is given out (where many charts have few records each,
/// it takes two or three entries). A stream that is dropped half-way has entries for what was read until then, and for
/// no more.
///
/// **While others write.** Within a batch, each chart stands still; between batches it does not. Every record that was
/// there when the export started, and is of a kind and confidentiality that are exported, is given exactly once: in its
/// newest version when its batch is read. What is put after the start may be among the records or not. With
/// [`Export::whole_history`], the same holds for versions. Where a patient is erased meanwhile, an export of all charts
/// goes on without what was not given of them yet, and one that names the patient ends with [`Error::Erased`].
///
/// After an error the stream ends. What was given out before it stands.
#[must_use = "nothing is read before the stream is asked for records"]
pub struct ExportStream<'s, 'p> {
    session: &'s Session,
    patients: Option<Vec<PatientId>>,
    want: Want,
    progress: Option<OnProgress<'p>>,
    at: At,
    ready: vec::IntoIter<AnyEntry>,
    given: u64,
    withheld: u64,
    missing: u64,
}

impl std::fmt::Debug for ExportStream<'_, '_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ExportStream")
            .field("given", &self.given)
            .field("withheld", &self.withheld)
            .finish_non_exhaustive()
    }
}

/// How far an export has come.
#[derive(Clone, Copy)]
struct At {
    /// The next patient of a cohort.
    next: usize,
    /// The tag of the last chart that was begun, where all are exported.
    passed: Option<[u8; 16]>,
    /// The chart that is under way.
    inside: Option<(PatientId, Spot)>,
    end: bool,
}

impl ExportStream<'_, '_> {
    /// Records left out of the batches so far: more confidential than the token allows, or of a category that it may not see. Those of kinds
    /// that it does not allow are not counted.
    #[must_use]
    pub const fn withheld(&self) -> u64 {
        self.withheld
    }

    /// Places in the charts so far where records or versions are missing or do not open: only of charts that are in doubt
    /// since the vault was salvaged. In all others they are an error, which ends the stream.
    #[must_use]
    pub const fn missing(&self) -> u64 {
        self.missing
    }

    fn batch(&mut self) -> Result<(), Error> {
        let op = self.session.begin(ACCESS)?;
        let (bulk, at) = op.run(Hold::Nothing, |op| {
            let (mut bulk, mut at) = (Bulk::default(), self.at);
            while !at.end && !bulk.is_full() {
                self.step(op, &mut at, &mut bulk)?;
            }
            let (subjects, withheld) = (std::mem::take(&mut bulk.subjects), bulk.withheld);
            let count = bulk.count();
            let missing = (bulk.missing > 0).then(|| format!("{} missing, in doubt", bulk.missing));
            let withheld = (withheld > 0).then(|| format!("{withheld} withheld"));
            let remarks: Vec<String> = withheld.into_iter().chain(missing).collect();
            let detail = (!remarks.is_empty()).then(|| remarks.join(", "));
            // Of all charts, those of whoever is erased before the entry has its place are none any more.
            let leave_out: fn(&mut (Bulk, At), PatientId) -> Option<u32> = |(bulk, _), patient| bulk.leave_out(patient);
            let leave_out = self.patients.is_none().then_some(leave_out);
            Ok(Done { detail, count, leave_out, ..Done::read((bulk, at), subjects) })
        })?;
        self.at = at;
        self.given = self.given.saturating_add(u64::try_from(bulk.entries.len()).unwrap_or(u64::MAX));
        self.withheld = self.withheld.saturating_add(bulk.withheld);
        self.missing = self.missing.saturating_add(bulk.missing);
        self.ready = bulk.entries.into_iter();
        if let Some(progress) = &mut self.progress {
            progress(Progress::new(Task::Export, self.given, None));
        }
        Ok(())
    }

    /// Goes on in the chart under way, or begins the next one.
    fn step(&self, op: &Op<'_>, at: &mut At, bulk: &mut Bulk) -> Result<(), Refused> {
        let (patient, spot) = match at.inside {
            Some(inside) => inside,
            None => match self.next_patient(op, at)? {
                Some(patient) => (patient, Spot::default()),
                None => {
                    at.end = true;
                    return Ok(());
                }
            },
        };
        if let Err(denial) = op.decide(Reach::Filtered, Reach::One(patient), None) {
            if self.patients.is_some() {
                return Err(Refused::Denied(denial));
            }
            bulk.looked_at_one();
            return Ok(());
        }
        let _held = op.unlocked.stripes.read(op.stripe(patient));
        let chart = match op.chart(patient) {
            // Erased since its turn came: of all charts it is none any more. Nor is one that is not to be opened.
            Err(Refused::Failed(Error::Erased { .. }) | Refused::Hidden(..)) if self.patients.is_none() => {
                bulk.looked_at_one();
                at.inside = None;
                return Ok(());
            }
            chart => chart?,
        };
        at.inside = op.take_from(&chart, &self.want, spot, bulk)?.map(|spot| (patient, spot));
        Ok(())
    }

    fn next_patient(&self, op: &Op<'_>, at: &mut At) -> Result<Option<PatientId>, Error> {
        if let Some(patients) = &self.patients {
            let patient = patients.get(at.next).copied();
            at.next += 1;
            return Ok(patient);
        }
        let found = op.unlocked.next_patient(at.passed.as_ref())?;
        at.passed = found.map(|(tag, _)| tag);
        Ok(found.map(|(_, patient)| patient))
    }
}

impl Iterator for ExportStream<'_, '_> {
    type Item = Result<AnyEntry, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some(entry) = self.ready.next() {
                return Some(Ok(entry));
            }
            if self.at.end {
                return None;
            }
            if let Err(error) = self.batch() {
                self.at.end = true;
                return Some(Err(error));
            }
        }
    }
}

impl std::iter::FusedIterator for ExportStream<'_, '_> {}
