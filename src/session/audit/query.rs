//! Questions to the log, page by page.

use std::ops::ControlFlow;

use super::access;
use super::walk::{Order, entries_of};
use crate::audit::{AuditEntry, AuditEvent, AuditFilter};
use crate::error::Error;
use crate::session::Session;
use crate::session::access::{Done, Hold, Op};
use crate::session::list::page_limit;
use crate::unlocked::Unlocked;

/// Log entries that a filter lets through, newest first unless [`AuditQuery::oldest_first`] was called.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct AuditPage {
    /// The entries.
    pub entries: Vec<AuditEntry>,
    /// Where to go on: with [`AuditQuery::before`], or with [`AuditQuery::starting_at`] where the oldest come first. `None` when
    /// nothing is left that could be wanted.
    pub next: Option<u64>,
    /// Number of the log's first entry; those before it were pruned.
    pub first: u64,
}

/// A query of the log; see [`AuditView::query`](crate::AuditView::query).
#[derive(Debug)]
#[must_use = "a query does nothing before `page`"]
pub struct AuditQuery<'s> {
    session: &'s Session,
    filter: AuditFilter,
    limit: usize,
    asked: Asked,
}

/// Which entries are looked at.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Asked {
    pub(crate) from: u64,
    pub(crate) before: Option<u64>,
    pub(crate) order: Order,
}

impl<'s> AuditQuery<'s> {
    /// For whoever was let in already.
    pub(in crate::session) const fn new(session: &'s Session, filter: AuditFilter, before: Option<u64>) -> Self {
        Self { session, filter, limit: 100, asked: Asked { from: 0, before, order: Order::NewestFirst } }
    }

    /// At most so many entries a page, 1 to 1,000; 100 if not called. More counts as 1,000, and 0 as 1.
    pub const fn limit(mut self, limit: usize) -> Self {
        self.limit = page_limit(limit);
        self
    }

    /// Only entries before this number.
    pub const fn before(mut self, seq: u64) -> Self {
        self.asked.before = Some(seq);
        self
    }

    /// Only entries with this number and later ones.
    pub const fn starting_at(mut self, seq: u64) -> Self {
        self.asked.from = seq;
        self
    }

    /// The oldest come first.
    ///
    /// ```
    /// # mod clinic { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/clinic.rs")); }
    /// # use clinic::*;
    /// # let clinic = Clinic::new();
    /// # let session = clinic.session();
    /// let page = session.audit()?.query(AuditFilter::new()).oldest_first().limit(1).page()?;
    /// assert_eq!(page.entries[0].event, AuditEvent::VaultCreated);
    /// let rest = session.audit()?.query(AuditFilter::new()).oldest_first().starting_at(page.next.unwrap()).page()?;
    /// assert_eq!(rest.entries[0].seq, 1);
    /// # Ok::<(), Error>(())
    /// ```
    pub const fn oldest_first(mut self) -> Self {
        self.asked.order = Order::OldestFirst;
        self
    }

    /// Reads the page. Where the filter names patients, people, events, actions, outcomes or purposes, an index says which
    /// entries could be wanted, 4,096 at a time; it is made out of the entries where it is missing, which takes some
    /// milliseconds for so many. Otherwise entries are read one after the other, 100,000 a page at most, so that a page can be
    /// short although there are more: go on as long as `next` is there. Every entry that is given was opened, and the one
    /// behind it carries its hash; that the index keeps none back is what [`AuditVerify::report`](crate::AuditVerify::report)
    /// looks at.
    ///
    /// # Errors
    /// [`Error::Audit`] when an entry on the way is missing, was changed or does not open, and what [`Session`] lists.
    pub fn page(self) -> Result<AuditPage, Error> {
        let op = self.session.begin(access(AuditEvent::AuditQueried))?;
        op.run(Hold::Nothing, |op| {
            let page = self.collect(op)?;
            let mut done = Done::read(page, Vec::new());
            done.count = u32::try_from(done.value.entries.len()).ok();
            Ok(done)
        })
    }

    pub(in crate::session) fn collect(&self, op: &Op<'_>) -> Result<AuditPage, Error> {
        page_of(&op.unlocked, &self.filter, self.limit, self.asked)
    }
}

/// A page, for whoever may read the log.
pub(crate) fn page_of(
    unlocked: &Unlocked,
    filter: &AuditFilter,
    limit: usize,
    asked: Asked,
) -> Result<AuditPage, Error> {
    let (mut entries, numbers) = (Vec::new(), asked.from..asked.before.unwrap_or(u64::MAX));
    let next = entries_of(unlocked, filter, numbers, asked.order, &mut |entry| {
        entries.push(entry);
        if entries.len() < limit { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    })?;
    Ok(AuditPage { entries, next, first: unlocked.committer.storage().first_entry() })
}
