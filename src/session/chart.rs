//! Whole charts across kinds, newest first by when things happened.

use std::collections::HashMap;
use std::sync::Arc;

use super::access::{Access, Done, Hold, Op};
use super::any::{AnyEntry, event_time};
use super::list::{DEFAULT_PAGE, PAGE_BYTES, page_limit};
use super::read::{Opened, missing};
use super::{Session, cache};
use crate::audit::AuditEvent;
use crate::clock::Timestamp;
use crate::error::Error;
use crate::format::keys::{RecordKey, Tree};
use crate::ids::PatientId;
use crate::record::{Kind, RecordRef, Status};
use crate::storage::Scan;
use crate::terms::Action;
use crate::token::Reach;
use crate::unlocked::Chart;

/// Rows read at once.
const CHUNK: usize = 256;
/// Bytes of opened records that one call keeps while it sorts; the rest is opened again.
const KEEP_BYTES: usize = 16 << 20;

/// Where a page of a chart ended. Good for the same chart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ChartCursor {
    patient: PatientId,
    spot: Spot,
}

/// The place of a record in a chart: newest first, then by kind and number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Spot {
    time: std::cmp::Reverse<Timestamp>,
    kind_tag: [u8; 8],
    number: std::cmp::Reverse<u64>,
}

/// Some records of a chart, newest first.
#[derive(Debug)]
#[non_exhaustive]
pub struct ChartPage {
    /// The newest versions of the records.
    pub entries: Vec<AnyEntry>,
    /// Where to go on with [`ChartQuery::after`]; `None` at the end.
    pub next: Option<ChartCursor>,
    /// Records left out of this page because they are more confidential than the token allows.
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
            let names = op.kind_names(&chart);
            let (order, mut kept) = op.order(&chart, &names)?;
            let mut page = ChartPage { entries: Vec::new(), next: None, withheld: 0 };
            let (mut touched, mut bytes) = (Vec::new(), 0);
            let behind = |place: &&Place| self.after.is_none_or(|cursor| place.spot > cursor.spot);
            let wanted = |place: &&Place| {
                let time = place.spot.time.0;
                time >= self.from && time < self.to && (self.voided || place.status == Status::Active)
            };
            for place in order.iter().filter(behind).filter(wanted) {
                let kind = named(&names, place.key)?;
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
                    None => op.at(&chart, kind, place.key)?,
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
        time: std::cmp::Reverse(entry.time()),
        kind_tag: op.kind_tag(chart, entry.record().kind()),
        number: std::cmp::Reverse(entry.record().number()),
    }
}

/// A record's place in the order of its chart.
#[derive(Clone, Copy)]
pub(super) struct Place {
    spot: Spot,
    key: RecordKey,
    status: Status,
}

/// A chart in order, and the records that were opened to find it.
type Ordered = (Arc<[Place]>, HashMap<RecordKey, Opened>);

/// The kinds of a chart by their blinded tags.
pub(super) type Names = HashMap<[u8; 8], Kind>;

pub(super) fn named(names: &Names, key: RecordKey) -> Result<&Kind, Error> {
    names.get(&key.kind_tag).ok_or(Error::TamperedRow { what: "kind" })
}

impl Op<'_> {
    pub(super) fn kind_names(&self, chart: &Chart) -> Names {
        let kinds = self.unlocked.policy.kinds().into_iter();
        kinds.map(|kind| (self.kind_tag(chart, kind.id()), kind)).collect()
    }

    pub(super) fn at(&self, chart: &Chart, kind: &Kind, key: RecordKey) -> Result<Opened, Error> {
        let bytes = key.to_bytes();
        match self.unlocked.committer.get(Tree::Records, &bytes)? {
            Some(value) => self.open(chart, kind.id(), &bytes, &value),
            None => {
                let record = RecordRef::new(chart.patient, kind.id(), key.number);
                Err(missing(record, "a record", key.number))
            }
        }
    }

    /// The newest versions of a chart in order, and those that were opened to find it. The order is kept in the session
    /// and found again as long as the chart's keys are the same.
    fn order(&self, chart: &Chart, names: &Names) -> Result<Ordered, Error> {
        let keys = self.newest_keys(chart, names)?;
        let cached = self.session.charts().order(chart.patient, &keys);
        if let Some(order) = cached {
            return Ok((order, HashMap::new()));
        }
        let (mut order, mut kept, mut bytes) = (Vec::with_capacity(keys.len()), HashMap::new(), 0);
        for run in keys.chunk_by(|a, b| a.kind_tag == b.kind_tag) {
            for key in run {
                let opened = self.at(chart, named(names, *key)?, *key)?;
                let body = opened.body()?;
                let spot = Spot {
                    time: std::cmp::Reverse(event_time(&body)),
                    kind_tag: key.kind_tag,
                    number: std::cmp::Reverse(key.number),
                };
                order.push(Place { spot, key: *key, status: body.status });
                bytes += body.value.len();
                if bytes <= KEEP_BYTES {
                    kept.insert(*key, opened);
                }
            }
        }
        order.sort_unstable_by_key(|place| place.spot);
        let places: Arc<[Place]> = order.into();
        self.session.charts().keep_order(chart.patient, cache::Order { keys, places: Arc::clone(&places) });
        Ok((places, kept))
    }

    /// The keys of the newest versions in a chart, complete (numbers of each kind count down to 1) unless it is in doubt.
    fn newest_keys(&self, chart: &Chart, names: &Names) -> Result<Vec<RecordKey>, Error> {
        let whole = !self.in_doubt(chart);
        let mut newest: Vec<RecordKey> = Vec::new();
        let mut after: Option<Vec<u8>> = None;
        loop {
            let scan = Scan { prefix: &chart.tag, after: after.as_deref(), limit: CHUNK };
            let keys = self.unlocked.committer.scan_keys(Tree::Records, scan)?;
            for key in &keys {
                let key = RecordKey::from_bytes(key).map_err(|_| Error::TamperedRow { what: "record key" })?;
                let gap = |last: &RecordKey| missing_before(chart, names, last);
                match newest.last() {
                    Some(last) if (last.kind_tag, last.number) == (key.kind_tag, key.number) => continue,
                    Some(last)
                        if whole && last.kind_tag == key.kind_tag && key.number.checked_add(1) != Some(last.number) =>
                    {
                        return Err(gap(last));
                    }
                    Some(last) if whole && last.kind_tag != key.kind_tag && last.number != 1 => return Err(gap(last)),
                    _ => newest.push(key),
                }
            }
            if keys.len() < CHUNK {
                break;
            }
            after = keys.into_iter().next_back();
        }
        match newest.last() {
            Some(last) if whole && last.number != 1 => Err(missing_before(chart, names, last)),
            _ => Ok(newest),
        }
    }
}

fn missing_before(chart: &Chart, names: &Names, last: &RecordKey) -> Error {
    let kind = names.get(&last.kind_tag).map(Kind::id);
    let number = last.number.saturating_sub(1);
    Error::Missing { patient: chart.patient, kind, number, what: "a record" }
}
