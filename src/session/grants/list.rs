//! Lists of the grants that a vault knows.

use std::fmt;
use std::io::Write;
use std::time::Duration;

use super::super::access::{Done, Hold, Op};
use super::super::list::page_limit;
use super::super::table::{Cell, Table, TableFormat};
use super::{Grants, access};
use crate::audit::AuditEvent;
use crate::clock::Timestamp;
use crate::error::Error;
use crate::ids::{IssuerId, KindId, PrincipalId, RevocationId};
use crate::policy::{Ended, KnownGrant};
use crate::session::Session;
use crate::token::{EffectiveRights, Listed};

/// A grant that the vault knows, and whether it is live. `Display` gives lines to read.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct LiveGrant {
    /// The revocation id of its last block.
    pub id: RevocationId,
    /// Each block's revocation id, the grant's first.
    pub rids: Vec<RevocationId>,
    /// Whom it is granted to.
    pub subject: PrincipalId,
    /// The subject's name, if enrolled.
    pub name: Option<String>,
    /// Who granted it.
    pub issuer: IssuerId,
    /// The roles that bound it, by name where the vault knows them, each at a revision.
    pub roles: Vec<(String, u32)>,
    /// What all blocks together leave.
    pub rights: EffectiveRights,
    /// The kinds of them, by name where the vault knows them.
    pub kinds: Listed<String>,
    /// When it was issued, as its issuer says.
    pub issued_at: Timestamp,
    /// When it was registered, or opened a session for the first time.
    pub known_since: Timestamp,
    /// Who registered it; `None` for one that was seen opening a session.
    pub registered_by: Option<PrincipalId>,
    /// What was noted with it.
    pub note: String,
    /// When it opened a session last.
    pub last_used: Option<Timestamp>,
    /// How many sessions it opened.
    pub sessions: u32,
    /// Whether it is live.
    pub state: GrantState,
}

/// Whether a grant is live.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum GrantState {
    /// It is, now or once its validity starts.
    Live,
    /// Its subject is disabled; it is live again once the subject is enabled.
    Disabled,
    /// It is not any more.
    Ended(Ended),
}

impl fmt::Display for GrantState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Live => f.write_str("live"),
            Self::Disabled => f.write_str("disabled"),
            Self::Ended(how) => how.fmt(f),
        }
    }
}

impl fmt::Display for LiveGrant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{} ({}), granted by {} at {}", self.id, self.state, self.issuer, self.issued_at)?;
        match (self.registered_by, &*self.note) {
            (Some(by), "") => writeln!(f, "  registered by {by}")?,
            (Some(by), note) => writeln!(f, "  registered by {by}: {note}")?,
            (None, _) => writeln!(f, "  seen first at {}", self.known_since)?,
        }
        match self.last_used {
            Some(last) => writeln!(f, "  used {} times, last at {last}", self.sessions)?,
            None => writeln!(f, "  never used")?,
        }
        write!(f, "{}", self.rights)
    }
}

/// Live grants about to be listed, ascending by id. Each page is an entry of the log.
#[derive(Clone, Copy, Debug)]
#[must_use = "nothing is read before `page` or `export`"]
pub struct GrantQuery<'s> {
    session: &'s Session,
    of: Option<PrincipalId>,
    unused_for: Option<Duration>,
    after: Option<RevocationId>,
    limit: usize,
}

/// A page of grants.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct GrantPage {
    /// Ascending by id.
    pub grants: Vec<LiveGrant>,
    /// Behind which the next page starts; `None` where this is the last.
    pub next: Option<RevocationId>,
}

const COLUMNS: &[&str] = &[
    "grant",
    "state",
    "subject",
    "name",
    "issuer",
    "roles",
    "actions",
    "kinds",
    "patients",
    "purposes",
    "sensitivity",
    "valid_from",
    "valid_until",
    "issued_at",
    "known_since",
    "registered_by",
    "note",
    "last_used",
    "sessions",
];

impl<'s> Grants<'s> {
    /// Grants that are neither expired nor revoked and whose subject is not disabled, those included that become valid later.
    pub const fn live(&self) -> GrantQuery<'s> {
        GrantQuery { session: self.session, of: None, unused_for: None, after: None, limit: 100 }
    }

    /// Live grants that opened no session for so long, nor were registered or seen since.
    pub const fn unused_for(&self, length: Duration) -> GrantQuery<'s> {
        GrantQuery { unused_for: Some(length), ..self.live() }
    }

    /// Live grants of a principal.
    pub const fn of(&self, principal: PrincipalId) -> GrantQuery<'s> {
        GrantQuery { of: Some(principal), ..self.live() }
    }
}

impl GrantQuery<'_> {
    /// Grants a page, 1 to 1,000; 100 if not called.
    pub fn limit(self, limit: usize) -> Self {
        Self { limit: page_limit(limit), ..self }
    }

    /// Goes on behind a page: [`GrantPage::next`].
    pub const fn after(self, after: RevocationId) -> Self {
        Self { after: Some(after), ..self }
    }

    /// Reads the page.
    ///
    /// # Errors
    /// What [`Session`] lists.
    pub fn page(self) -> Result<GrantPage, Error> {
        let op = self.session.begin(access(AuditEvent::GrantsListed))?;
        op.run(Hold::Nothing, |op| {
            let unused = |known: &KnownGrant| {
                let last = known.used.map_or(known.row.since, |used| used.last);
                self.unused_for.is_none_or(|length| op.now.saturating_since(last) >= length)
            };
            let wanted = |known: &KnownGrant| self.of.is_none_or(|of| known.revocable.subject == of) && unused(known);
            let found = op.unlocked.live_grants(op.now, self.after, self.limit.saturating_add(1), wanted);
            let more = found.len() > self.limit;
            let grants: Vec<LiveGrant> = found.iter().take(self.limit).map(|known| op.live_grant(known)).collect();
            let next = grants.last().map(|grant| grant.id).filter(|_| more);
            let count = u32::try_from(grants.len()).ok();
            Ok(Done { count, ..Done::read(GrantPage { grants, next }, Vec::new()) })
        })
    }

    /// Writes all of them, from here on, and gives how many there were.
    ///
    /// # Errors
    /// [`Error::Output`] when it cannot be written, and what [`Session`] lists.
    pub fn export(self, format: TableFormat, out: &mut impl Write) -> Result<u64, Error> {
        let mut table = Table::begin(out, format, COLUMNS).map_err(Error::Output)?;
        let mut query = Self { limit: page_limit(usize::MAX), ..self };
        loop {
            let GrantPage { grants, next } = query.page()?;
            for grant in &grants {
                table.row(cells(grant)).map_err(Error::Output)?;
            }
            let Some(next) = next else { return table.end().map_err(Error::Output) };
            query = query.after(next);
        }
    }
}

fn cells(grant: &LiveGrant) -> Vec<Cell> {
    let mut cells = vec![
        Cell::text(grant.id),
        Cell::text(grant.state),
        Cell::text(grant.subject),
        Cell::maybe(grant.name.as_ref()),
    ];
    cells.push(Cell::text(grant.issuer));
    cells.extend(rights_cells(&grant.rights, &grant.roles, &grant.kinds));
    cells.extend([
        Cell::text(grant.issued_at),
        Cell::text(grant.known_since),
        Cell::maybe(grant.registered_by),
        Cell::text(&grant.note),
        Cell::maybe(grant.last_used),
        Cell::Number(grant.sessions.into()),
    ]);
    cells
}

/// Roles, actions, kinds, patients, purposes, sensitivity, and from when until when.
pub(in crate::session) fn rights_cells(
    rights: &EffectiveRights,
    roles: &[(String, u32)],
    kinds: &Listed<String>,
) -> [Cell; 8] {
    fn listed<T: fmt::Display>(listed: &Listed<T>) -> Cell {
        match listed {
            Listed::All => Cell::several(["all"]),
            Listed::Only(only) => Cell::several(only),
        }
    }
    [
        Cell::several(roles.iter().map(|(name, revision)| format!("{name} revision {revision}"))),
        Cell::several(&rights.actions),
        listed(kinds),
        listed(&rights.patients),
        Cell::several(&rights.purposes),
        Cell::text(rights.sensitivity),
        Cell::maybe(rights.not_before),
        Cell::text(rights.not_after),
    ]
}

impl Op<'_> {
    /// A grant as it is shown.
    pub(in crate::session) fn live_grant(&self, known: &KnownGrant) -> LiveGrant {
        let KnownGrant { row, revocable, used } = known;
        let rights = row.grant.rights();
        let (roles, kinds) = self.named(&rights);
        LiveGrant {
            id: row.id(),
            rids: revocable.rids.clone(),
            subject: revocable.subject,
            name: self.unlocked.policy.principal_name(revocable.subject),
            issuer: revocable.issuer,
            roles,
            rights,
            kinds,
            issued_at: revocable.issued_at,
            known_since: row.since,
            registered_by: row.registered_by,
            note: row.note.clone(),
            last_used: used.map(|used| used.last),
            sessions: used.map_or(0, |used| used.sessions),
            state: match self.unlocked.ended(known, self.now) {
                Some(how) => GrantState::Ended(how),
                None if self.unlocked.is_live(known, self.now) => GrantState::Live,
                None => GrantState::Disabled,
            },
        }
    }

    /// Roles and kinds by their names, where the vault knows them.
    pub(in crate::session) fn named(&self, rights: &EffectiveRights) -> (Vec<(String, u32)>, Listed<String>) {
        let policy = &self.unlocked.policy;
        let role = |id| policy.role(id).map_or_else(|| id.to_string(), |role| role.role.name().to_owned());
        let kind = |id: &KindId| policy.kind(*id).map_or_else(|| id.to_string(), |kind| kind.to_string());
        let roles = rights.roles.iter().map(|(id, revision)| (role(*id), *revision)).collect();
        let kinds = match &rights.kinds {
            Listed::All => Listed::All,
            Listed::Only(listed) => Listed::Only(listed.iter().map(kind).collect()),
        };
        (roles, kinds)
    }
}
