//! Listing the records of one kind, newest first, page by page.

use std::marker::PhantomData;

use super::Session;
use super::access::{Access, Done, Hold, Op, Refused};
use super::read::{Opened, missing, record_key};
use crate::audit::AuditEvent;
use crate::error::Error;
use crate::format::keys::{RecordKey, Tree, kind_prefix, record_prefix};
use crate::ids::{KindId, PatientId};
use crate::record::{Entry, Kind, Record, RecordRef, Status, VerbatimEntry};
use crate::storage::Scan;
use crate::terms::Action;
use crate::token::Reach;
use crate::unlocked::Chart;

/// The largest page.
const MAX_PAGE: usize = 1_000;
/// Bytes of values after which a page ends early, so that a thousand large ones do not fill the memory.
pub(super) const PAGE_BYTES: usize = 16 << 20;
/// The page size if nothing is said.
pub(super) const DEFAULT_PAGE: usize = 100;

/// The nearest limit that a page can have.
pub(super) const fn page_limit(limit: usize) -> usize {
    match limit {
        0 => 1,
        1..=MAX_PAGE => limit,
        _ => MAX_PAGE,
    }
}

/// Where a page ended. Good for the list of the same patient and kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ListCursor {
    patient: PatientId,
    kind: KindId,
    number: u64,
}

/// Some records of a list, newest first.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Page<E> {
    /// The newest versions of the records.
    pub entries: Vec<E>,
    /// Where to go on with [`ListQuery::after`]; `None` at the end.
    pub next: Option<ListCursor>,
    /// Records left out: more confidential than the token allows, or of a category that it may not see.
    pub withheld: usize,
}

/// A list of the records of one kind in one chart; see [`Session::list`].
#[must_use = "a query does nothing before `page`"]
#[derive(Debug)]
pub struct ListQuery<'s, E> {
    session: &'s Session,
    patient: PatientId,
    kind: KindId,
    view: fn(&Opened) -> Result<E, Error>,
    limit: usize,
    after: Option<ListCursor>,
    voided: bool,
    entries: PhantomData<fn() -> E>,
}

impl Session {
    /// Lists the records of type `T` in a chart, newest first (by number, that is in the order in which they were put),
    /// without those that were voided.
    ///
    /// ```
    /// # mod clinic { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/clinic.rs")); }
    /// # use clinic::*;
    /// # let clinic = Clinic::new();
    /// # let session = clinic.session();
    /// # let patient = session.register_patient([])?;
    /// for text in ["first", "second", "third"] {
    ///     session.put(patient, &Note { text: text.into() })?;
    /// }
    /// let page = session.list::<Note>(patient).limit(2).page()?;
    /// assert_eq!(page.entries[0].value.text, "third");
    /// let rest = session.list::<Note>(patient).after(page.next.unwrap()).page()?;
    /// assert_eq!(rest.entries[0].value.text, "first");
    /// assert!(rest.next.is_none());
    /// # Ok::<(), chartvault::Error>(())
    /// ```
    pub fn list<T: Record>(&self, patient: PatientId) -> ListQuery<'_, Entry<T>> {
        self.query(patient, &Kind::of::<T>(), Opened::typed)
    }

    /// [`Session::list`] for records that were put verbatim.
    pub fn list_verbatim(&self, patient: PatientId, kind: &Kind) -> ListQuery<'_, VerbatimEntry> {
        self.query(patient, kind, Opened::verbatim)
    }

    fn query<E>(&self, patient: PatientId, kind: &Kind, view: fn(&Opened) -> Result<E, Error>) -> ListQuery<'_, E> {
        ListQuery {
            session: self,
            patient,
            kind: kind.id(),
            view,
            limit: DEFAULT_PAGE,
            after: None,
            voided: false,
            entries: PhantomData,
        }
    }
}

impl<E> ListQuery<'_, E> {
    /// At most so many records a page, 1 to 1,000; 100 if not called. More counts as 1,000, and 0 as 1. A page also ends
    /// after 16 MiB of values.
    pub const fn limit(mut self, limit: usize) -> Self {
        self.limit = page_limit(limit);
        self
    }

    /// Goes on where an earlier page ended.
    pub const fn after(mut self, cursor: ListCursor) -> Self {
        self.after = Some(cursor);
        self
    }

    /// Also lists records that were voided.
    pub const fn include_voided(mut self) -> Self {
        self.voided = true;
        self
    }

    /// Reads the page. One log entry covers it.
    ///
    /// # Errors
    /// [`Error::NoSuchPatient`], [`Error::Missing`] or [`Error::Tampered`] when a record was removed or changed,
    /// [`Error::Decode`] naming a record that `E` cannot hold ([`Session::chart`] gives the others one by one),
    /// [`Error::CursorOfAnother`] for a cursor from the list of another patient or kind, and what
    /// [`Session`] lists.
    pub fn page(self) -> Result<Page<E>, Error> {
        if self.after.is_some_and(|cursor| (cursor.patient, cursor.kind) != (self.patient, self.kind)) {
            return Err(Error::CursorOfAnother);
        }
        let op = self.session.begin(Access {
            event: AuditEvent::RecordsListed,
            action: Action::List,
            kind: Reach::One(self.kind),
            patient: Reach::One(self.patient),
        })?;
        let stripe = op.stripe(self.patient);
        op.run(Hold::Read(stripe), |op| {
            let chart = op.chart(self.patient)?;
            let (opened, next, withheld) = self.collect(op, &chart)?;
            let touched = opened.iter().map(|opened| opened.audited(&chart)).collect();
            let entries = opened.iter().map(self.view).collect::<Result<_, _>>()?;
            let mut done = Done::read(Page { entries, next, withheld }, vec![chart.audited(touched)]);
            done.detail = (withheld > 0).then(|| format!("{withheld} withheld"));
            Ok(done)
        })
    }

    #[allow(clippy::type_complexity)] // taken apart at once by its only caller
    fn collect(&self, op: &Op<'_>, chart: &Chart) -> Result<(Vec<Opened>, Option<ListCursor>, usize), Refused> {
        let kind_tag = op.kind_tag(chart, self.kind);
        let prefix = kind_prefix(&chart.tag, &kind_tag);
        let mut walk = Walk::new(chart, &kind_tag, self.after.map(|cursor| cursor.number), op.in_doubt(chart));
        let (mut found, mut withheld, mut bytes) = (Vec::new(), 0, 0);
        let chunk = self.limit.clamp(16, 64);
        let at = op.unlocked.committer.stamp(&chart.tag);
        loop {
            let scan = Scan { prefix: &prefix, after: walk.after.as_deref(), limit: chunk };
            let keys = op.unlocked.committer.scan_keys(Tree::Records, scan)?;
            for key in &keys {
                if found.len() >= self.limit || bytes >= PAGE_BYTES {
                    let next = walk.rest().map(|number| ListCursor { patient: self.patient, kind: self.kind, number });
                    return Ok((found, next, withheld));
                }
                let Some(key) = walk.step(key, RecordRef::new(chart.patient, self.kind, 0))? else { continue };
                let opened = op.at(chart, self.kind, key, Some(at))?;
                let body = opened.body()?;
                if body.status == Status::Voided && !self.voided {
                    continue;
                }
                if op.may_give_body(&opened, &body).is_err() {
                    withheld += 1;
                    continue;
                }
                bytes += opened.len();
                found.push(opened);
            }
            if keys.len() < chunk {
                walk.finish(RecordRef::new(chart.patient, self.kind, 0))?;
                return Ok((found, None, withheld));
            }
        }
    }
}

/// Walks the rows of one kind newest first, skips older versions, and notices gaps in the numbers.
struct Walk {
    after: Option<Vec<u8>>,
    /// The record whose newest version was seen last.
    last: Option<u64>,
    /// Whether gaps are to be expected: each record says itself that it is in doubt.
    in_doubt: bool,
}

impl Walk {
    fn new(chart: &Chart, kind_tag: &[u8; 8], last: Option<u64>, in_doubt: bool) -> Self {
        // Behind the oldest possible version of that record.
        let behind = |number| [&record_prefix(&chart.tag, kind_tag, number)[..], &[0xFF; 4]].concat();
        Self { after: last.map(behind), last, in_doubt }
    }

    /// The key, if it is that of a newest version.
    fn step(&mut self, key: &[u8], of: RecordRef) -> Result<Option<RecordKey>, Error> {
        self.after = Some(key.to_vec());
        let key = record_key(key)?;
        let number = key.number;
        match self.last {
            Some(last) if last == number => return Ok(None),
            Some(last) if last.checked_sub(1) != Some(number) && !self.in_doubt => {
                return Err(missing(of, "a record", last - 1));
            }
            _ => {}
        }
        self.last = Some(number);
        Ok(Some(key))
    }

    /// Numbers count down to 1.
    fn finish(&self, of: RecordRef) -> Result<(), Error> {
        match self.last {
            Some(last) if last > 1 && !self.in_doubt => Err(missing(of, "a record", last - 1)),
            _ => Ok(()),
        }
    }

    /// The record behind which there are more.
    fn rest(&self) -> Option<u64> {
        self.last.filter(|last| *last > 1)
    }
}
