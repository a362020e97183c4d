//! The order of a chart's records, found once and used for as long as the chart does not change.

use std::cmp::Reverse;
use std::collections::HashMap;
use std::sync::Arc;

use super::access::Op;
use super::any::event_time;
use super::read::{Opened, record_key};
use crate::clock::Timestamp;
use crate::committer::Stamp;
use crate::error::Error;
use crate::format::keys::{RecordKey, Tree};
use crate::record::{Kind, Status};
use crate::storage::Scan;
use crate::unlocked::Chart;

/// Keys read at once.
const CHUNK: usize = 256;
/// Records of a chart that are kept for the vault's other readers when all of it is opened to be sorted; a larger one would
/// push out theirs.
const SHARED: usize = 1_000;
/// Bytes of opened records that one call keeps while it sorts; the rest is opened again.
const KEEP_BYTES: usize = 16 << 20;

/// The place of a record in a chart: newest first, then by kind and number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Spot {
    pub(super) time: Reverse<Timestamp>,
    pub(super) kind_tag: [u8; 8],
    pub(super) number: Reverse<u64>,
}

/// A record's place in the order of its chart.
#[derive(Clone)]
pub(super) struct Place {
    pub(super) spot: Spot,
    pub(super) key: RecordKey,
    pub(super) status: Status,
    /// Which of the order's kinds it is.
    kind: usize,
}

/// The newest versions of a chart as they were at one stamp.
pub(super) struct Order {
    keys: Vec<RecordKey>,
    pub(super) places: Vec<Place>,
    kinds: Vec<Kind>,
}

impl Order {
    pub(super) fn kind(&self, place: &Place) -> Result<&Kind, Error> {
        self.kinds.get(place.kind).ok_or(Error::TamperedRow { what: "kind" })
    }
}

/// A chart in order, the stamp at which it is that, and the records that were opened to find it.
type Ordered = (Arc<Order>, Stamp, HashMap<RecordKey, Opened>);

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

    /// The newest versions of a chart in order, and those that were opened to find it. The order is kept in the session:
    /// used without a look at the chart while its stamp is the same, and after a look while its keys are.
    pub(super) fn order(&self, chart: &Chart) -> Result<Ordered, Error> {
        let stamp = self.unlocked.committer.stamp(&chart.tag);
        let kept = self.session.charts().order(chart.patient);
        if let Some((order, at)) = &kept
            && *at == stamp
        {
            return Ok((Arc::clone(order), stamp, HashMap::new()));
        }
        let names = self.kind_names(chart);
        let keys = self.newest_keys(chart, &names)?;
        let (order, opened) = match kept {
            Some((order, _)) if order.keys == keys => (order, HashMap::new()),
            _ => self.sorted(chart, &names, keys, stamp)?,
        };
        self.keep_order(chart, &order, stamp);
        Ok((order, stamp, opened))
    }

    fn keep_order(&self, chart: &Chart, order: &Arc<Order>, stamp: Stamp) {
        self.session.charts().keep_order(chart.patient, Arc::clone(order), stamp);
    }

    fn sorted(
        &self,
        chart: &Chart,
        names: &Names,
        keys: Vec<RecordKey>,
        at: Stamp,
    ) -> Result<(Arc<Order>, HashMap<RecordKey, Opened>), Error> {
        let (mut places, mut kinds) = (Vec::with_capacity(keys.len()), Vec::new());
        let (mut kept, mut bytes) = (HashMap::new(), 0);
        for run in keys.chunk_by(|a, b| a.kind_tag == b.kind_tag) {
            let kind = kinds.len();
            for key in run {
                let name = named(names, *key)?;
                if kinds.len() == kind {
                    kinds.push(name.clone());
                }
                let opened = self.at(chart, name.id(), *key, Some(at).filter(|_| keys.len() <= SHARED))?;
                let body = opened.body()?;
                let time = Reverse(event_time(&body));
                let spot = Spot { time, kind_tag: key.kind_tag, number: Reverse(key.number) };
                places.push(Place { spot, key: *key, status: body.status, kind });
                bytes += body.value.len();
                if bytes <= KEEP_BYTES {
                    kept.insert(*key, opened);
                }
            }
        }
        places.sort_unstable_by_key(|place| place.spot);
        Ok((Arc::new(Order { keys, places, kinds }), kept))
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
                let key = record_key(key)?;
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
