//! Reviews of grants, listed and written out.

use std::io::Write;

use super::super::access::{Done, Hold, Op};
use super::super::grants::rights_cells;
use super::super::list::page_limit;
use super::super::table::{Cell, Table, TableFormat};
use super::{Reviews, access};
use crate::audit::AuditEvent;
use crate::clock::Timestamp;
use crate::error::Error;
use crate::ids::{PrincipalId, RevocationId};
use crate::policy::{Decided, Ended, ReviewDecision, RoundItem, RoundRow};
use crate::session::Session;
use crate::token::{EffectiveRights, Listed};

/// A review of all grants that were live when it was opened.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ReviewRound {
    /// Its number, from 1.
    pub number: u32,
    /// When it was opened.
    pub opened: Timestamp,
    /// By whom.
    pub opened_by: PrincipalId,
    /// Until when it is to be closed.
    pub due: Timestamp,
    /// When the log was told that it is overdue.
    pub overdue_told: Option<Timestamp>,
    /// When it was closed, and by whom.
    pub closed: Option<(Timestamp, PrincipalId)>,
    /// What was noted with it.
    pub note: String,
    /// How many grants it lists.
    pub grants: usize,
    /// How many of them are left to decide over.
    pub undecided: usize,
}

/// A grant that a review lists.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ReviewItem {
    /// Its id.
    pub grant: RevocationId,
    /// Whose it is.
    pub subject: PrincipalId,
    /// The subject's name, if enrolled.
    pub name: Option<String>,
    /// What was decided over it last, if anything was.
    pub decided: Option<Decided>,
    /// How it came to an end without a decision; nothing has to be decided over it then.
    pub ended: Option<Ended>,
    /// What it allows, or allowed when it was decided over; `None` for one that ended without a decision and that the vault
    /// does not know any more.
    pub rights: Option<EffectiveRights>,
    /// The roles that bound it, by name where the vault knows them, each at a revision.
    pub roles: Vec<(String, u32)>,
    /// The kinds that it reaches, by name where the vault knows them.
    pub kinds: Listed<String>,
}

impl ReviewItem {
    /// Whether somebody has to decide over it before the round is closed.
    #[must_use]
    pub const fn is_left(&self) -> bool {
        self.decided.is_none() && self.ended.is_none()
    }
}

/// What a review lists, about to be read, ascending by id. Each page is an entry of the log.
#[derive(Clone, Copy, Debug)]
#[must_use = "nothing is read before `page` or `export`"]
pub struct ReviewItems<'s> {
    session: &'s Session,
    number: u32,
    after: Option<RevocationId>,
    limit: usize,
}

/// A page of what a review lists.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ReviewPage {
    /// Ascending by grant.
    pub items: Vec<ReviewItem>,
    /// Behind which the next page starts; `None` where this is the last.
    pub next: Option<RevocationId>,
}

const COLUMNS: &[&str] = &[
    "review",
    "grant",
    "subject",
    "name",
    "decision",
    "replaced_by",
    "decided_at",
    "reviewer",
    "note",
    "ended",
    "roles",
    "actions",
    "kinds",
    "patients",
    "purposes",
    "sensitivity",
    "valid_from",
    "valid_until",
];

impl<'s> Reviews<'s> {
    /// All rounds, the first one first; at most 1,000.
    ///
    /// # Errors
    /// What [`Session`] lists.
    pub fn list(&self) -> Result<Vec<ReviewRound>, Error> {
        self.rounds(|_, _| true)
    }

    /// Rounds that are open and past their due time. The log is told of each once, when it is found here or when the vault's
    /// own thread finds it, which looks every minute.
    ///
    /// # Errors
    /// What [`Session`] lists.
    pub fn overdue(&self) -> Result<Vec<ReviewRound>, Error> {
        self.rounds(|row, now| row.closed.is_none() && row.due <= now)
    }

    fn rounds(&self, wanted: impl Fn(&RoundRow, Timestamp) -> bool) -> Result<Vec<ReviewRound>, Error> {
        let op = self.session.begin(access(AuditEvent::ReviewsListed))?;
        op.run(Hold::Nothing, |op| {
            op.unlocked.tell_of_overdue_reviews()?;
            let rows = op.unlocked.policy.rounds();
            let rounds: Vec<ReviewRound> =
                rows.iter().filter(|row| wanted(row, op.now)).map(|row| op.review_round(row)).collect();
            Ok(Done { count: u32::try_from(rounds.len()).ok(), ..Done::read(rounds, Vec::new()) })
        })
    }

    /// One round.
    ///
    /// # Errors
    /// [`Error::NoSuchReview`], and what [`Session`] lists.
    pub fn get(&self, number: u32) -> Result<ReviewRound, Error> {
        let op = self.session.begin(access(AuditEvent::ReviewsListed))?;
        op.run(Hold::Nothing, |op| {
            op.unlocked.tell_of_overdue_reviews()?;
            let row = op.unlocked.policy.round(number).ok_or(Error::NoSuchReview { review: number })?;
            Ok(Done { detail: Some(format!("review {number}")), ..Done::read(op.review_round(&row), Vec::new()) })
        })
    }

    /// What a round lists.
    pub const fn items(&self, number: u32) -> ReviewItems<'s> {
        ReviewItems { session: self.session, number, after: None, limit: 100 }
    }
}

impl ReviewItems<'_> {
    /// Grants a page, 1 to 1,000; 100 if not called.
    pub fn limit(self, limit: usize) -> Self {
        Self { limit: page_limit(limit), ..self }
    }

    /// Goes on behind a page: [`ReviewPage::next`].
    pub const fn after(self, after: RevocationId) -> Self {
        Self { after: Some(after), ..self }
    }

    /// Reads the page.
    ///
    /// # Errors
    /// [`Error::NoSuchReview`], and what [`Session`] lists.
    pub fn page(self) -> Result<ReviewPage, Error> {
        let op = self.session.begin(access(AuditEvent::ReviewsListed))?;
        op.run(Hold::Nothing, |op| {
            let number = self.number;
            let row = op.unlocked.policy.round(number).ok_or(Error::NoSuchReview { review: number })?;
            let behind = |item: &&RoundItem| self.after.is_none_or(|after| item.grant > after);
            let mut behind = row.items.iter().filter(behind);
            let some = behind.by_ref().take(self.limit);
            let items: Vec<ReviewItem> = some.map(|item| op.review_item(&row, item)).collect::<Result<_, _>>()?;
            let next = items.last().map(|item| item.grant).filter(|_| behind.next().is_some());
            let (detail, count) = (Some(format!("review {number}")), u32::try_from(items.len()).ok());
            Ok(Done { detail, count, ..Done::read(ReviewPage { items, next }, Vec::new()) })
        })
    }

    /// Writes all of it, from here on, and gives how many grants there were.
    ///
    /// # Errors
    /// [`Error::Output`] when it cannot be written, [`Error::NoSuchReview`], and what [`Session`] lists.
    pub fn export(self, format: TableFormat, out: &mut impl Write) -> Result<u64, Error> {
        let mut query = Self { limit: page_limit(usize::MAX), ..self };
        let mut page = query.page()?;
        let mut table = Table::begin(out, format, COLUMNS).map_err(Error::Output)?;
        loop {
            for item in &page.items {
                table.row(cells(self.number, item)).map_err(Error::Output)?;
            }
            let Some(next) = page.next else { return table.end().map_err(Error::Output) };
            query = query.after(next);
            page = query.page()?;
        }
    }
}

fn cells(number: u32, item: &ReviewItem) -> Vec<Cell> {
    let decided = item.decided.as_ref();
    let (decision, to) = match decided.map(|decided| decided.decision) {
        None => (Cell::None, Cell::None),
        Some(ReviewDecision::Keep) => (Cell::text("keep"), Cell::None),
        Some(ReviewDecision::Narrow { to }) => (Cell::text("narrow"), Cell::text(to)),
        Some(ReviewDecision::Revoke) => (Cell::text("revoke"), Cell::None),
    };
    let mut cells = vec![Cell::Number(number.into()), Cell::text(item.grant), Cell::text(item.subject)];
    cells.extend([Cell::maybe(item.name.as_ref()), decision, to]);
    cells.extend([
        Cell::maybe(decided.map(|decided| decided.at)),
        Cell::maybe(decided.map(|decided| decided.by)),
        Cell::maybe(decided.map(|decided| &decided.note)),
        Cell::maybe(item.ended),
    ]);
    match &item.rights {
        Some(rights) => cells.extend(rights_cells(rights, &item.roles, &item.kinds)),
        None => cells.resize(COLUMNS.len(), Cell::None),
    }
    cells
}

impl Op<'_> {
    /// A round as it is shown.
    pub(super) fn review_round(&self, row: &RoundRow) -> ReviewRound {
        ReviewRound {
            number: row.number,
            opened: row.opened,
            opened_by: row.opened_by,
            due: row.due,
            overdue_told: row.told,
            closed: row.closed,
            note: row.note.clone(),
            grants: row.items.len(),
            undecided: if row.closed.is_some() { 0 } else { self.undecided(row) },
        }
    }

    fn review_item(&self, row: &RoundRow, item: &RoundItem) -> Result<ReviewItem, Error> {
        let RoundItem { grant, subject, ended } = *item;
        let decided = self.unlocked.decision(row.number, grant)?;
        let known = || self.unlocked.policy.grant(grant).map(|known| known.row.grant.rights());
        let rights = decided.as_ref().map(|row| row.grant.rights()).or_else(known);
        let (roles, kinds) =
            rights.as_ref().map_or((Vec::new(), Listed::Only(Vec::new())), |rights| self.named(rights));
        let ended = if row.closed.is_some() { ended } else { self.ended_undecided(row.number, grant) };
        let decided = decided.map(|row| row.decided.clone());
        let name = self.unlocked.policy.principal_name(subject);
        Ok(ReviewItem { grant, subject, name, decided, ended, rights, roles, kinds })
    }
}
