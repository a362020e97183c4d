//! Floor 8: where token, keys, storage and log meet. A [`Session`] is the only door to a record: whatever goes through
//! it is decided by its token and stands in the log before it is answered.

mod access;
mod amend;
mod audit;
mod batch;
mod cache;
mod chart;
mod history;
mod list;
mod options;
mod patients;
mod read;
mod write;

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

pub use audit::{AuditPage, AuditQuery, AuditVerify, AuditView, Scope, VerifiedLog};
pub use batch::Batch;
pub use chart::{AnyEntry, ChartCursor, ChartPage, ChartQuery, KindCount};
pub use list::{ListCursor, ListQuery, Page};
pub use options::PutOptions;
pub use patients::Identifier;

use crate::audit::{AuditEvent, Draft, Outcome};
use crate::clock::Timestamp;
use crate::crypto::random;
use crate::error::Error;
use crate::ids::{PrincipalId, SessionId};
use crate::observe;
use crate::terms::Purpose;
use crate::token::{DEFAULT_LONGEST_TTL, UnverifiedToken, VerifiedToken};
use crate::unlocked::{Gate, HoldsKeys, Unlocked};
use cache::Charts;

/// Work with the vault under one token, for one purpose of use. Cheap to clone, `Send` and `Sync`; clones are the same
/// session.
///
/// Every call is decided by the token and logged, whether allowed, denied or failed; a result is returned only after
/// its log entry is durable. A call that is refused for its arguments alone (a value too large, a blank reason, too
/// many ids) touches nothing and leaves no entry. Calls block; the feature `async` has them as futures.
///
/// Any call can answer [`Error::Denied`] (the token does not allow it), [`Error::SessionEnded`] (idle or open too long,
/// or closed), [`Error::ClockRollback`], [`Error::Sealed`] (the vault was closed), [`Error::AuditUnavailable`] (the log
/// cannot be written), [`Error::Storage`], [`Error::TamperedRow`] or [`Error::Random`]. What else it can answer stands
/// under its own `# Errors`.
#[derive(Clone)]
pub struct Session(Arc<Inner>);

struct Inner {
    gate: Gate,
    token: VerifiedToken,
    purpose: Purpose,
    id: SessionId,
    opened: Timestamp,
    life: Mutex<Life>,
    charts: Mutex<Charts>,
    open: observe::OpenSession,
}

struct Life {
    last_used: Timestamp,
    /// Why it ended, once it has.
    ended: Option<&'static str>,
}

impl Session {
    /// Verifies a token and opens a session with it; the log has an entry either way.
    pub(crate) fn open(gate: Gate, token: &UnverifiedToken, purpose: Purpose) -> Result<Self, Error> {
        observe::operation(AuditEvent::SessionOpened.word(), "none", || Self::verify(gate, token, purpose))
    }

    fn verify(gate: Gate, token: &UnverifiedToken, purpose: Purpose) -> Result<Self, Error> {
        let unlocked = gate.enter()?;
        let now = match unlocked.now() {
            Ok(now) => now,
            Err(error) => {
                refused(&unlocked, AuditEvent::SessionOpened, purpose, error.word().to_owned())?;
                return Err(error);
            }
        };
        let issuer = |issuer| unlocked.policy.issuer(issuer);
        let verified = token.verify(unlocked.vault, issuer, |_| false, now, DEFAULT_LONGEST_TTL);
        let token = match verified {
            Ok(token) => token,
            Err(error) => {
                refused(&unlocked, AuditEvent::TokenRefused, purpose, error.to_string())?;
                return Err(Error::Token(error));
            }
        };
        let id = SessionId::from_bytes(random::array()?);
        let life = Mutex::new(Life { last_used: now, ended: None });
        let (charts, open) = (Mutex::default(), observe::OpenSession::new());
        let session = Self(Arc::new(Inner { gate, token, purpose, id, opened: now, life, charts, open }));
        let mut draft = session.draft(AuditEvent::SessionOpened, Outcome::Allowed);
        if let Err(denial) = session.0.token.decide_opening(purpose) {
            draft.fields.outcome = Outcome::Denied;
            draft.fields.reason = Some(denial.reason.code());
            unlocked.commit(Vec::new(), vec![draft])?;
            return Err(Error::SessionRefused(denial));
        }
        unlocked.commit(Vec::new(), vec![draft])?;
        let holder: Weak<Inner> = Arc::downgrade(&session.0);
        unlocked.add_holder(holder);
        Ok(session)
    }

    /// The session's id, as it stands in the log.
    #[must_use]
    pub fn id(&self) -> SessionId {
        self.0.id
    }

    /// For whom the token was granted.
    #[must_use]
    pub fn principal(&self) -> PrincipalId {
        self.0.token.subject()
    }

    /// The purpose of use that every access in this session has.
    #[must_use]
    pub fn purpose(&self) -> Purpose {
        self.0.purpose
    }

    /// When the token stops to be valid. The session can end earlier, by idle or total time.
    #[must_use]
    pub fn expires_at(&self) -> Timestamp {
        self.0.token.not_after()
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
        let mut draft = Draft::new(event, outcome);
        draft.fields.actor = Some(self.0.token.subject());
        draft.fields.issuer = Some(self.0.token.issuer());
        draft.fields.revocation_ids = self.0.token.rids().to_vec();
        draft.fields.session = Some(self.0.id);
        draft.fields.purpose = Some(self.0.purpose);
        draft
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

impl HoldsKeys for Inner {
    fn let_go(&self) {
        self.charts.lock().unwrap_or_else(PoisonError::into_inner).close();
        self.open.closed();
    }
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session")
            .field("id", &self.0.id)
            .field("principal", &self.0.token.subject())
            .field("purpose", &self.0.purpose)
            .finish_non_exhaustive()
    }
}

/// Logs that a token opened no session. What it claims is not repeated: nobody vouches for it.
fn refused(unlocked: &Unlocked, event: AuditEvent, purpose: Purpose, detail: String) -> Result<(), Error> {
    let mut draft = Draft::new(event, Outcome::Denied);
    draft.fields.purpose = Some(purpose);
    draft.fields.detail = Some(detail);
    unlocked.commit(Vec::new(), vec![draft])
}
