//! Whole charts across kinds, newest first by when things happened.

use std::cmp::Reverse;

use super::Session;
use super::access::{Access, Done, Hold, Op};
use super::any::AnyEntry;
use super::list::{DEFAULT_PAGE, PAGE_BYTES, page_limit};
use super::order::{Place, Spot, named};
use crate::audit::AuditEvent;
use crate::clock::Timestamp;
use crate::error::Error;
use crate::format::keys::{RecordKey, Tree};
use crate::ids::PatientId;
use crate::record::{Kind, Status};
use crate::storage::Scan;
use crate::terms::Action;
use crate::token::Reach;
use crate::unlocked::Chart;

/// Where a page of a chart ended. Good for the same chart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ChartCursor {
    patient: PatientId,
    spot: Spot,
}

/// Some records of a chart, newest first.
#[derive(Debug)]
#[non_exhaustive]
pub struct ChartPage {
    /// The newest versions of the records.
    pub entries: Vec<AnyEntry>,
    /// Where to go on with [`ChartQuery::after`]; `None` at the end.
    pub next: Option<ChartCursor>,
    /// Records left out of this page: more confidential than the token allows, or of a category that it may not see.
    pub withheld: usize,
}

/// How many records of a kind a chart holds, voided ones included.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct KindCount {
    /// The kind.
    pub kind: Kind,
    /// Records.
    pub records: u64,
}

/// A chart across kinds; see [`Session::chart`].
#[must_use = "a query does nothing before `page`"]
#[derive(Debug)]
pub struct ChartQuery<'s> {
    session: &'s Session,
    patient: PatientId,
    limit: usize,
    after: Option<ChartCursor>,
    from: Timestamp,
    to: Timestamp,
    voided: bool,
}

impl Session {
    /// Reads a chart across kinds, newest first by clinical time (where none was given, by when it was recorded),
    /// without voided records and without kinds that the token does not allow.
    pub const fn chart(&self, patient: PatientId) -> ChartQuery<'_> {
        ChartQuery {
            session: self,
            patient,
            limit: DEFAULT_PAGE,
            after: None,
            from: Timestamp::MIN,
            to: Timestamp::MAX,
            voided: false,
        }
    }

    /// The kinds present in a chart, as far as the token allows them, by name.
    ///
    /// # Errors
    /// [`Error::NoSuchPatient`], and what [`Session`] lists.
    pub fn kinds(&self, patient: PatientId) -> Result<Vec<KindCount>, Error> {
        let op = self.begin(access(AuditEvent::KindsListed, patient))?;
        let stripe = op.stripe(patient);
        op.run(Hold::Read(stripe), |op| {
            let chart = op.chart(patient)?;
            let names = op.kind_names(&chart);
            let mut found = Vec::new();
            let mut after: Option<Vec<u8>> = None;
            loop {
                let scan = Scan { prefix: &chart.tag, after: after.as_deref(), limit: 1 };
                let keys = op.unlocked.committer.scan_keys(Tree::Records, scan)?;
                let Some(key) = keys.first() else { break };
                let key = RecordKey::from_bytes(key).map_err(|_| Error::TamperedRow { what: "record key" })?;
                let kind = named(&names, key)?;
                if op.decide(Reach::One(kind.id()), Reach::One(patient), None).is_ok() {
                    found.push(KindCount { kind: kind.clone(), records: key.number });
                }
                after = Some([&chart.tag[..], &key.kind_tag, &[0xFF; 12]].concat());
            }
            found.sort_by(|a, b| a.kind.cmp(&b.kind));
            Ok(Done::read(found, vec![chart.audited(Vec::new())]))
        })
    }
}

const fn access(event: AuditEvent, patient: PatientId) -> Access {
    Access { event, action: Action::List, kind: Reach::Filtered, patient: Reach::One(patient) }
}

impl ChartQuery<'_> {
    /// At most so many records a page, 1 to 1,000; 100 if not called. More counts as 1,000, and 0 as 1. A page also ends
    /// after 16 MiB of values.
    pub const fn limit(mut self, limit: usize) -> Self {
        self.limit = page_limit(limit);
        self
    }

    /// Goes on where an earlier page ended.
    pub const fn after(mut self, cursor: ChartCursor) -> Self {
        self.after = Some(cursor);
        self
    }

    /// Only what happened at `from` or later, and before `to`.
    pub const fn between(mut self, from: Timestamp, to: Timestamp) -> Self {
        self.from = from;
        self.to = to;
        self
    }

    /// Also records that were voided.
    pub const fn include_voided(mut self) -> Self {
        self.voided = true;
        self
    }

    /// Reads the page. One log entry covers it.
    ///
    /// # Errors
    /// [`Error::NoSuchPatient`], [`Error::Missing`] or [`Error::Tampered`] when a record was removed or changed,
    /// [`Error::CursorOfAnother`] for a cursor from another chart, and what [`Session`] lists.
    pub fn page(self) -> Result<ChartPage, Error> {
        if self.after.is_some_and(|cursor| cursor.patient != self.patient) {
            return Err(Error::CursorOfAnother);
        }
        let op = self.session.begin(access(AuditEvent::ChartRead, self.patient))?;
        let stripe = op.stripe(self.patient);
        op.run(Hold::Read(stripe), |op| {
            let chart = op.chart(self.patient)?;
            let (order, stamp, mut kept) = op.order(&chart)?;
            let mut page = ChartPage { entries: Vec::new(), next: None, withheld: 0 };
            let (mut touched, mut bytes) = (Vec::new(), 0);
            let behind = |place: &&Place| self.after.is_none_or(|cursor| place.spot > cursor.spot);
            let wanted = |place: &&Place| {
                let time = place.spot.time.0;
                time >= self.from && time < self.to && (self.voided || place.status == Status::Active)
            };
            for place in order.places.iter().filter(behind).filter(wanted) {
                let kind = order.kind(place)?;
                if op.decide(Reach::One(kind.id()), Reach::One(self.patient), None).is_err() {
                    continue;
                }
                if page.entries.len() >= self.limit || bytes >= PAGE_BYTES {
                    let patient = self.patient;
                    let spot = page.entries.last().map(|last| spot_of(op, &chart, last));
                    page.next = spot.map(|spot| ChartCursor { patient, spot });
                    break;
                }
                let opened = match kept.remove(&place.key) {
                    Some(opened) => opened,
                    None => op.at(&chart, kind.id(), place.key, Some(stamp))?,
                };
                if op.may_give(&opened).is_err() {
                    page.withheld += 1;
                    continue;
                }
                touched.push(opened.audited(&chart));
                bytes += opened.len();
                page.entries.push(AnyEntry::new(kind.clone(), opened)?);
            }
            // Grouped by kind, so that the entry names each kind once.
            touched.sort_by_key(|record| record.kind);
            let withheld = page.withheld;
            let mut done = Done::read(page, vec![chart.audited(touched)]);
            done.detail = (withheld > 0).then(|| format!("{withheld} withheld"));
            Ok(done)
        })
    }
}

fn spot_of(op: &Op<'_>, chart: &Chart, entry: &AnyEntry) -> Spot {
    Spot {
        time: Reverse(entry.time()),
        kind_tag: op.kind_tag(chart, entry.record().kind()),
        number: Reverse(entry.record().number()),
    }
}
