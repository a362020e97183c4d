//! Reading and verifying the audit log. Both need the audit action, and both stand in the log themselves.

mod about;
mod access_report;
mod accounting;
mod archive;
mod bundle;
mod disclose;
mod export;
mod follow;
mod hold;
mod indexed;
mod monitor;
mod parallel;
mod proofs;
mod prune;
mod query;
mod retention;
mod subjects;
mod subscribe;
mod summary;
mod verdicts;
mod verify;
mod walk;

use std::fmt;

use super::Session;
use super::access::Access;
use crate::audit::{AuditEvent, AuditFilter};
use crate::error::Error;
use crate::storage::{Bytes, Storage};
use crate::terms::Action;
use crate::token::Reach;
use crate::unlocked::Unlocked;

pub(super) use subjects::SubjectKeys;

pub use about::{AccessGap, ReportPlace};
pub use access_report::{AccessReport, AskedAccess};
pub use accounting::{AccountOfDisclosures, AccountedDisclosure, AskedDisclosures};
pub use bundle::{Bundled, LogBundle};
pub use disclose::Disclosure;
pub use export::{LogExport, LogExported};
pub(crate) use follow::Follower;
pub use proofs::{ConsistencyProof, InclusionProof};
pub(crate) use query::{Asked, page_of};
pub use query::{AuditPage, AuditQuery};
pub use retention::{LogKept, LogRetentionReport};
pub use subscribe::{Subscribe, Subscription};
pub use verdicts::{LogFault, LogReport, LogVerdict};
pub(crate) use verify::verify_all;
pub use verify::{AuditVerify, Scope, VerifiedLog};

/// Entries read from storage at once.
const CHUNK: u64 = 1_000;

/// The audit log, for a session with the audit action; see [`Session::audit`].
#[must_use = "nothing is read before `run` or `page`"]
pub struct AuditView<'s>(&'s Session);

impl fmt::Debug for AuditView<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "AuditView({:?})", self.0)
    }
}

impl Session {
    /// The audit log, if the token has the audit action for all patients and kinds.
    ///
    /// # Errors
    /// What [`Session`] lists.
    ///
    /// ```
    /// # mod clinic { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/clinic.rs")); }
    /// # use clinic::*;
    /// # let clinic = Clinic::new();
    /// # let session = clinic.session();
    /// let verified = session.audit()?.verify(Scope::All).run()?;
    /// assert!(verified.entries > 0);
    /// let page = session.audit()?.query(AuditFilter::new().outcome(Outcome::Denied)).limit(10).page()?;
    /// assert!(page.entries.is_empty());
    /// # Ok::<(), chartvault::Error>(())
    /// ```
    pub fn audit(&self) -> Result<AuditView<'_>, Error> {
        // Only the decision: what is then read or verified makes the entry.
        drop(self.begin(access(AuditEvent::AuditQueried))?);
        Ok(AuditView(self))
    }
}

pub(super) const fn access(event: AuditEvent) -> Access {
    Access { event, action: Action::Audit, kind: Reach::Whole, patient: Reach::Whole }
}

impl<'s> AuditView<'s> {
    /// Verifies the log from the vault's first entry to the newest.
    pub const fn verify<'a>(self, scope: Scope) -> AuditVerify<'s, 'a> {
        AuditVerify::new(self.0, scope)
    }

    /// Reads the log, newest entries first.
    pub const fn query(self, filter: AuditFilter) -> AuditQuery<'s> {
        AuditQuery::new(self.0, filter, None)
    }
}

/// Where the log begins, for whoever goes through it from a number on.
fn not_pruned(unlocked: &Unlocked, from: u64) -> Result<(), Error> {
    let first = unlocked.committer.storage().first_entry();
    if from < first { Err(Error::LogBeginsAfter { from, first }) } else { Ok(()) }
}

/// Entries as they are stored, from a number on.
fn read(storage: &dyn Storage, from: u64, limit: u64) -> Result<Vec<(u64, Bytes)>, Error> {
    Ok(storage.entries(from, usize::try_from(limit).unwrap_or(usize::MAX))?)
}
