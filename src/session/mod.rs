//! Floor 8: where token, keys, storage and log meet. A [`Session`] is the only door to a record: whatever goes through
//! it is decided by its token and stands in the log before it is answered.

mod access;
mod amend;
mod any;
pub(crate) mod audit;
mod batch;
mod bulk;
mod cache;
mod cases;
mod chart;
mod decision;
mod emergency;
mod erase;
mod explain;
mod export;
mod flags;
mod grants;
mod history;
mod issuers;
mod labels;
mod list;
mod lookup;
mod monitoring;
mod opening;
mod options;
mod order;
mod patients;
mod principals;
mod reach;
mod read;
mod refusal;
mod retention;
mod reviews;
mod rights;
mod risks;
mod roles;
mod sensitive;
mod step_up;
mod suppressors;
mod table;
mod write;

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

pub use any::AnyEntry;
pub(crate) use audit::Follower;
pub use audit::{
    AccessGap, AccessReport, AccountOfDisclosures, AccountedDisclosure, AskedAccess, AskedDisclosures, AuditPage,
    AuditQuery, AuditVerify, AuditView, Bundled, ConsistencyProof, Disclosure, InclusionProof, LogBundle, LogExport,
    LogExported, LogFault, LogKept, LogReport, LogRetentionReport, LogVerdict, ReportPlace, Scope, Subscribe,
    Subscription, VerifiedLog,
};
pub use batch::Batch;
pub use cases::{CaseState, Cases, ReviewCase};
pub use chart::{ChartCursor, ChartPage, ChartQuery, KindCount};
pub(crate) use erase::Ground;
pub use explain::Explanation;
pub use export::{Export, ExportStream};
pub use flags::{Flag, FlagState, Flags};
pub use grants::{GrantPage, GrantQuery, GrantState, Grants, LiveGrant};
pub use issuers::IssuerInfo;
pub use list::{ListCursor, ListQuery, Page};
pub use monitoring::MonitorReport;
pub(crate) use monitoring::watch;
pub use opening::SessionOpening;
pub use options::PutOptions;
pub use patients::Identifier;
pub use principals::{NewPrincipal, Principal, PrincipalPage, Principals};
pub use reach::PatientReach;
pub use retention::ChartRetention;
pub use reviews::{ReviewItem, ReviewItems, ReviewPage, ReviewRound, Reviews};
pub use rights::{Operation, Ruling, TokenStanding};
pub use risks::{AccessRisk, RiskReport};
pub use roles::Roles;
pub use suppressors::ActiveSuppressor;
pub use table::TableFormat;

use crate::audit::{AuditEvent, Draft, Outcome};
use crate::clock::Timestamp;
use crate::error::Error;
use crate::ids::{PrincipalId, SessionId};
use crate::observe;
use crate::terms::Purpose;
use crate::token::{AdmittedToken, SignInDemand, SignedIn, UseLimit};
use crate::unlocked::{Gate, HoldsKeys, Lives, Resolved, Standing, Unlocked};
use cache::Charts;
use emergency::Emergency;

/// Work with the vault under one token, for one purpose of use. Cheap to clone, `Send` and `Sync`; clones are the same
/// session.
///
/// Every call is decided by the token and logged, whether allowed, denied or failed; a result is returned only after
/// its log entry is durable, except for reads in a vault that chose [`ReadAudit::Windowed`](crate::ReadAudit). A call
/// that is refused for its arguments alone (a value too large, a blank reason, too many ids) touches nothing and leaves
/// no entry. Calls block; the feature `async` has them as futures.
///
/// Any call can answer [`Error::Denied`] (the token does not allow it), [`Error::StepUpNeeded`] (the token wants that one signs
/// in again now and then), [`Error::SessionEnded`] (idle or open too long,
/// or closed), [`Error::ClockRollback`], [`Error::Sealed`] (the vault was closed), [`Error::AuditUnavailable`] (the log
/// cannot be written), [`Error::Storage`], [`Error::TamperedRow`] or [`Error::Random`]. What else it can answer stands
/// under its own `# Errors`.
#[derive(Clone)]
pub struct Session(Arc<Inner>);

struct Inner {
    gate: Gate,
    token: AdmittedToken,
    standing: Resolved,
    /// How its subject must have signed in, by its blocks.
    sign_in: Option<SignInDemand>,
    /// How often it may be used, by its blocks.
    limits: Vec<UseLimit>,
    purpose: Purpose,
    /// If it was opened by breaking the glass.
    emergency: Option<Emergency>,
    id: SessionId,
    opened: Timestamp,
    life: Mutex<Life>,
    charts: Mutex<Charts>,
    open: observe::OpenSession,
}

struct Life {
    last_used: Timestamp,
    signed_in: SignedIn,
    /// Why it ended, once it has.
    ended: Option<&'static str>,
}

impl Session {
    /// The session's id, as it stands in the log.
    #[must_use]
    pub fn id(&self) -> SessionId {
        self.0.id
    }

    /// For whom the token was granted.
    #[must_use]
    pub fn principal(&self) -> PrincipalId {
        self.0.token.verified().subject()
    }

    /// The purpose of use that every access in this session has.
    #[must_use]
    pub fn purpose(&self) -> Purpose {
        self.0.purpose
    }

    /// When the token stops to be valid. The session can end earlier, by idle or total time.
    #[must_use]
    pub fn expires_at(&self) -> Timestamp {
        self.0.token.verified().not_after()
    }

    /// Ends the session for all its clones and logs it. Sessions also end by the token's idle and total time, and when
    /// the vault is closed.
    ///
    /// # Errors
    /// [`Error::SessionEnded`] when it has ended already, [`Error::Sealed`], [`Error::AuditUnavailable`].
    pub fn close(&self) -> Result<(), Error> {
        observe::operation(AuditEvent::SessionClosed.word(), "none", || {
            let unlocked = self.0.gate.enter()?;
            self.end("it was closed")?;
            unlocked.commit(Vec::new(), vec![self.draft(AuditEvent::SessionClosed, Outcome::Allowed)])
        })
    }

    /// Marks the session ended, once.
    fn end(&self, why: &'static str) -> Result<(), Error> {
        let mut life = self.life();
        match life.ended {
            Some(why) => Err(Error::SessionEnded { why }),
            None => {
                life.ended = Some(why);
                self.0.let_go();
                Ok(())
            }
        }
    }

    fn draft(&self, event: AuditEvent, outcome: Outcome) -> Draft {
        opening::draft(event, outcome, self.0.token.verified(), self.0.id, self.0.purpose)
    }

    fn life(&self) -> MutexGuard<'_, Life> {
        self.0.life.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn charts(&self) -> MutexGuard<'_, Charts> {
        self.0.charts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    #[cfg(test)]
    pub(crate) fn holds_keys(&self) -> bool {
        !self.charts().is_empty()
    }
}

impl Inner {
    /// Why the session has to end now, if it has to.
    fn too_long(&self, life: &Life, standing: &Standing, now: Timestamp) -> Option<&'static str> {
        let shorter = |a: Option<Duration>, b: Option<Duration>| a.into_iter().chain(b).min();
        let reached =
            |limit: Option<Duration>, since: Timestamp| limit.is_some_and(|limit| now.saturating_since(since) >= limit);
        if reached(shorter(self.token.idle(), standing.idle), life.last_used) {
            return Some("it was idle for too long");
        }
        if self.emergency.is_some_and(|emergency| reached(Some(emergency.longest), self.opened)) {
            return Some("its emergency is over");
        }
        let long = reached(shorter(self.token.longest(), standing.longest), self.opened);
        long.then_some("it was open for too long")
    }
}

impl Lives for Inner {
    fn is_alive(&self, unlocked: &Unlocked, now: Timestamp) -> bool {
        let Ok(standing) = self.standing.now(unlocked, self.token.verified()) else { return false };
        let life = self.life.lock().unwrap_or_else(PoisonError::into_inner);
        let expired = now >= self.token.verified().not_after();
        !expired && life.ended.is_none() && self.too_long(&life, &standing, now).is_none()
    }
}

impl HoldsKeys for Inner {
    fn let_go(&self) {
        self.charts.lock().unwrap_or_else(PoisonError::into_inner).close();
        self.open.closed();
    }

    fn forget_charts(&self) {
        self.charts.lock().unwrap_or_else(PoisonError::into_inner).forget();
    }
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session")
            .field("id", &self.0.id)
            .field("principal", &self.principal())
            .field("purpose", &self.0.purpose)
            .finish_non_exhaustive()
    }
}
