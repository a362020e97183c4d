//! Revoking.

use super::super::access::{Access, Done, Hold};
use super::Grants;
use crate::audit::AuditEvent;
use crate::clock::Timestamp;
use crate::committer::Stripe;
use crate::error::Error;
use crate::ids::PrincipalId;
use crate::policy::{MAX_REVOKE_REASON, PolicyRow, Revocation};
use crate::terms::Action;
use crate::token::{Reach, Revoke};
use crate::unlocked::Unlocked;

impl Grants<'_> {
    /// Revokes tokens, for a reason of 1 to 256 bytes: they open nothing any more, and allow nothing in open sessions from
    /// their next call on. When this returns that is durable. What was revoked for good before stays as it was; a principal
    /// or a role that was revoked before is revoked again, until now. Issuers and attesters need the operate action, all else
    /// the grant action. Revocations are kept for ever.
    ///
    /// # Errors
    /// [`Error::InvalidText`] for a blank or too long reason, and what [`Session`](crate::Session) lists.
    pub fn revoke(&self, what: Revoke, reason: &str) -> Result<Revocation, Error> {
        let len = if reason.trim().is_empty() { 0 } else { reason.len() };
        if !(1..=MAX_REVOKE_REASON).contains(&len) {
            return Err(Error::InvalidText { what: "reason", len, least: 1, limit: MAX_REVOKE_REASON });
        }
        let op = self.session.begin(access(what))?;
        op.run(Hold::Write(&[Stripe::Policy]), |op| {
            let revocation = revocation(&op.unlocked, what, op.now, self.session.principal(), reason);
            let detail = Some(format!("{what}: {reason}"));
            let row = PolicyRow::Revocation(revocation.clone());
            let rows = vec![op.unlocked.policy_row(&row)?];
            Ok(Done { detail, applies: vec![row], ..Done::write(revocation, rows, Vec::new()) })
        })
    }
}

/// What revokes it from now on: what did before, or something new.
pub(in crate::session) fn revocation(
    unlocked: &Unlocked,
    what: Revoke,
    now: Timestamp,
    by: PrincipalId,
    reason: &str,
) -> Revocation {
    match unlocked.policy.revocation(what) {
        // The clock may have been set back: never take anything back.
        Some(before) if what.is_for_good() || before.at > now => (*before).clone(),
        _ => Revocation::new(what, now, Some(by), reason),
    }
}

/// About no chart, and so about everybody.
const fn access(what: Revoke) -> Access {
    let (event, action) = match what {
        Revoke::Issuer(_) => (AuditEvent::IssuerRevoked, Action::Operate),
        Revoke::Attester(_) => (AuditEvent::Revoked, Action::Operate),
        Revoke::Block(_) | Revoke::Principal(_) | Revoke::Role(_) => (AuditEvent::Revoked, Action::Grant),
    };
    Access { event, action, kind: Reach::Whole, patient: Reach::Whole }
}
