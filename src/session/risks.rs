//! What somebody who looks after rights should look at: a report, made from what the vault keeps and what the log says.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::time::Duration;

use super::Session;
use super::access::{Done, Hold, Op};
use super::audit::{self, AuditQuery};
use crate::audit::{AuditEntry, AuditEvent, AuditFilter, Outcome};
use crate::clock::Timestamp;
use crate::error::Error;
use crate::ids::{CaseId, IssuerId, KindId, PrincipalId, RevocationId};
use crate::terms::Action;
use crate::token::Listed;

/// Grants that the vault has known for less than this are not called wide: nobody could have used all of them yet.
const GRACE: Duration = Duration::from_secs(7 * 86_400);
/// Entries read at once.
const PAGE: usize = 1_000;
/// An issuer's key that is older is one to be replaced.
const OLD_ISSUER: Duration = Duration::from_secs(2 * 365 * 86_400);

/// Something to look at. `Display` says what, in a line.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum AccessRisk {
    /// Somebody signs in with a password alone.
    NoSecondFactor {
        /// Who.
        name: String,
        /// When they signed in last.
        last_sign_in: Option<Timestamp>,
    },
    /// A grant allows more than was done with it.
    WiderThanUse {
        /// The grant.
        grant: RevocationId,
        /// Whose it is.
        subject: PrincipalId,
        /// What it allows and nobody did.
        unused_actions: Vec<Action>,
        /// Kinds that it names and nobody touched, by name where the vault knows them.
        unused_kinds: Vec<String>,
    },
    /// A grant that opened no session.
    Unused {
        /// The grant.
        grant: RevocationId,
        /// Whose it is.
        subject: PrincipalId,
        /// When it opened one last, if ever.
        last_used: Option<Timestamp>,
    },
    /// A role was defined or changed since the last review of grants was closed.
    RoleNotReviewed {
        /// The role.
        role: String,
        /// Its revision.
        revision: u32,
        /// When it was defined.
        since: Timestamp,
    },
    /// An emergency waits for its review.
    OpenEmergency {
        /// The case.
        case: CaseId,
        /// Who broke the glass.
        actor: PrincipalId,
        /// When.
        at: Timestamp,
        /// Whether the time for its review has passed.
        overdue: bool,
    },
    /// No review of grants was closed within the time that the report looks at.
    NoReview {
        /// When the last one was closed, if ever.
        last: Option<Timestamp>,
    },
    /// An issuer may grant whatever it likes.
    IssuerWithoutCeiling {
        /// The issuer.
        issuer: IssuerId,
        /// Since when it is trusted.
        since: Timestamp,
    },
    /// An issuer's key is more than two years old.
    OldIssuer {
        /// The issuer.
        issuer: IssuerId,
        /// Since when it is trusted.
        since: Timestamp,
    },
    /// Sessions do not end by themselves unless their tokens say so.
    NoAutomaticLogOff,
    /// Grants that nobody registered open sessions.
    UnregisteredGrants,
}

impl fmt::Display for AccessRisk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let maybe = |at: &Option<Timestamp>| at.map_or_else(|| "never".to_owned(), |at| at.to_string());
        match self {
            Self::NoSecondFactor { name, last_sign_in } => {
                write!(f, "{name} has no second factor (signed in last: {})", maybe(last_sign_in))
            }
            Self::WiderThanUse { grant, subject, unused_actions, unused_kinds } => {
                write!(f, "{grant} of {subject} is wider than its use: nobody did")?;
                let actions: Vec<String> = unused_actions.iter().map(ToString::to_string).collect();
                write!(f, " {}", if actions.is_empty() { "anything with".to_owned() } else { actions.join(", ") })?;
                if unused_kinds.is_empty() { Ok(()) } else { write!(f, " {}", unused_kinds.join(", ")) }
            }
            Self::Unused { grant, subject, last_used } => {
                write!(f, "{grant} of {subject} is not used (last: {})", maybe(last_used))
            }
            Self::RoleNotReviewed { role, revision, since } => {
                write!(f, "role {role}, revision {revision} of {since}, was not there at the last review")
            }
            Self::OpenEmergency { case, actor, at, overdue } => {
                let state = if *overdue { "overdue" } else { "open" };
                write!(f, "{case}: the emergency of {actor} at {at} is {state}")
            }
            Self::NoReview { last } => write!(f, "no review of grants was closed lately (last: {})", maybe(last)),
            Self::IssuerWithoutCeiling { issuer, since } => {
                write!(f, "{issuer}, trusted since {since}, has no ceiling")
            }
            Self::OldIssuer { issuer, since } => write!(f, "{issuer} is old: trusted since {since}"),
            Self::NoAutomaticLogOff => f.write_str("sessions end only when their tokens say so: no idle time is set"),
            Self::UnregisteredGrants => f.write_str("grants that nobody registered are accepted"),
        }
    }
}

/// What was found; see [`Session::risk_report`].
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct RiskReport {
    /// When it was made.
    pub at: Timestamp,
    /// From when on the log was looked at.
    pub since: Timestamp,
    /// Entries of the log that were looked at.
    pub entries: u64,
    /// What there is to look at.
    pub risks: Vec<AccessRisk>,
}

impl fmt::Display for RiskReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{} things to look at, at {} (log since {})", self.risks.len(), self.at, self.since)?;
        self.risks.iter().try_for_each(|risk| writeln!(f, "  {risk}"))
    }
}

impl Session {
    /// What somebody who looks after rights should look at: people without a second factor, grants that are wider than their
    /// use within `window` or not used at all, roles and grants that nobody reviewed, emergencies that wait, issuers without
    /// a ceiling or with old keys, and rules that are not set. Opens every entry of the log within the window, so it takes as
    /// long as reading that part of the log. Needs the audit action for all patients and kinds.
    ///
    /// ```
    /// # mod clinic { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/clinic.rs")); }
    /// # use clinic::*;
    /// # let clinic = Clinic::new();
    /// # let session = clinic.session();
    /// let report = session.risk_report(std::time::Duration::from_secs(90 * 86_400))?;
    /// assert!(report.risks.contains(&AccessRisk::NoAutomaticLogOff));
    /// # Ok::<(), Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Audit`] when an entry within the window is missing, was changed or does not open, and what [`Session`] lists.
    pub fn risk_report(&self, window: Duration) -> Result<RiskReport, Error> {
        let op = self.begin(audit::access(AuditEvent::RisksReported))?;
        op.run(Hold::Nothing, |op| {
            let micros = i64::try_from(window.as_micros()).unwrap_or(i64::MAX);
            let since = Timestamp::from_micros(op.now.as_micros().saturating_sub(micros));
            let (used, entries) = op.uses_since(since)?;
            let mut risks = op.people_at_risk()?;
            risks.extend(op.grants_at_risk(since, &used));
            risks.extend(op.reviews_at_risk(since));
            risks.extend(op.issuers_and_rules_at_risk());
            let count = u32::try_from(risks.len()).ok();
            let report = RiskReport { at: op.now, since, entries, risks };
            Ok(Done { count, ..Done::read(report, Vec::new()) })
        })
    }
}

/// What was done with a grant.
#[derive(Default)]
struct Used {
    actions: BTreeSet<Action>,
    kinds: BTreeSet<KindId>,
}

impl Used {
    fn note(&mut self, entry: &AuditEntry) {
        self.actions.extend(entry.action);
        self.kinds.extend(entry.kind);
        let touched = entry.subjects.iter().flat_map(|subject| &subject.records);
        self.kinds.extend(touched.map(|record| record.kind));
    }
}

impl Op<'_> {
    /// What was done with each grant, and how many entries say so.
    fn uses_since(&self, since: Timestamp) -> Result<(BTreeMap<RevocationId, Used>, u64), Error> {
        let filter = AuditFilter::new().from(since);
        let (mut used, mut entries, mut before) = (BTreeMap::<RevocationId, Used>::new(), 0_u64, None);
        loop {
            let page = AuditQuery::new(self.session, filter.clone(), before).limit(PAGE).collect(self)?;
            for entry in &page.entries {
                entries = entries.saturating_add(1);
                if entry.outcome == Outcome::Allowed {
                    // What is done with a narrowed token is done with those that it comes from.
                    entry.revocation_ids.iter().for_each(|rid| used.entry(*rid).or_default().note(entry));
                }
            }
            // Times never go back: a page that is not full has reached what was before the window.
            match page.next.filter(|_| page.entries.len() == PAGE) {
                Some(seq) => before = Some(seq),
                None => return Ok((used, entries)),
            }
        }
    }

    fn people_at_risk(&self) -> Result<Vec<AccessRisk>, Error> {
        let mut risks = Vec::new();
        for name in self.unlocked.policy.names_after(None, usize::MAX) {
            let row = self.principal(&name)?;
            if row.disabled.is_none() && row.password.is_some() && row.totp.is_none() {
                risks.push(AccessRisk::NoSecondFactor { name, last_sign_in: row.last_sign_in });
            }
        }
        Ok(risks)
    }

    fn grants_at_risk(&self, since: Timestamp, used: &BTreeMap<RevocationId, Used>) -> Vec<AccessRisk> {
        let mut risks = Vec::new();
        for known in self.unlocked.live_grants(self.now, None, usize::MAX, |_| true) {
            let (grant, subject) = (known.row.id(), known.revocable.subject);
            let last_used = known.used.map(|used| used.last);
            if self.now.saturating_since(known.row.since) < GRACE {
                continue;
            }
            if last_used.is_none_or(|last| last < since) {
                risks.push(AccessRisk::Unused { grant, subject, last_used });
                continue;
            }
            let rights = known.row.grant.rights();
            let none = Used::default();
            let used = used.get(&grant).unwrap_or(&none);
            let unused_actions: Vec<Action> =
                rights.actions.iter().copied().filter(|action| !used.actions.contains(action)).collect();
            let kinds = match &rights.kinds {
                Listed::All => Vec::new(),
                Listed::Only(listed) => listed.iter().filter(|kind| !used.kinds.contains(kind)).collect(),
            };
            let name = |kind: &KindId| {
                self.unlocked.policy.kind(*kind).map_or_else(|| kind.to_string(), |kind| kind.to_string())
            };
            let unused_kinds: Vec<String> = kinds.into_iter().map(name).collect();
            if !unused_actions.is_empty() || !unused_kinds.is_empty() {
                risks.push(AccessRisk::WiderThanUse { grant, subject, unused_actions, unused_kinds });
            }
        }
        risks
    }

    fn reviews_at_risk(&self, since: Timestamp) -> Vec<AccessRisk> {
        let policy = &self.unlocked.policy;
        let last = policy.rounds().iter().filter_map(|round| round.closed.map(|(at, _)| at)).max();
        let mut risks = Vec::new();
        if last.is_none_or(|last| last < since) {
            risks.push(AccessRisk::NoReview { last });
        }
        let newer =
            policy.roles().into_iter().filter(|role| !role.retired && last.is_none_or(|last| role.defined_at > last));
        risks.extend(newer.map(|role| AccessRisk::RoleNotReviewed {
            role: role.role.name().to_owned(),
            revision: role.revision,
            since: role.defined_at,
        }));
        let within = policy.rules().time_for_review();
        let open = policy.cases(None, usize::MAX, |case| case.review.is_none());
        risks.extend(open.into_iter().map(|case| {
            let overdue = case.at.saturating_add(within) <= self.now;
            AccessRisk::OpenEmergency { case: case.id, actor: case.actor, at: case.at, overdue }
        }));
        risks
    }

    fn issuers_and_rules_at_risk(&self) -> Vec<AccessRisk> {
        let policy = &self.unlocked.policy;
        let mut risks = Vec::new();
        for (issuer, _, since) in policy.issuers() {
            if policy.revocation(crate::token::Revoke::Issuer(issuer)).is_some() {
                continue;
            }
            if policy.ceiling(issuer).is_none() {
                risks.push(AccessRisk::IssuerWithoutCeiling { issuer, since });
            }
            if self.now.saturating_since(since) > OLD_ISSUER {
                risks.push(AccessRisk::OldIssuer { issuer, since });
            }
        }
        let rules = policy.rules();
        if rules.idle_limit().is_none() {
            risks.push(AccessRisk::NoAutomaticLogOff);
        }
        if !rules.wants_registered_grants() {
            risks.push(AccessRisk::UnregisteredGrants);
        }
        risks
    }
}
