//! Holds on the log.

use super::{AuditView, access};
use crate::audit::AuditEvent;
use crate::committer::Stripe;
use crate::crypto::random;
use crate::error::Error;
use crate::ids::LogHoldId;
use crate::policy::{LogHold, LogRetentionRow, MAX_LOG_HOLD_REASON, MOST_LOG_HOLDS, PolicyRow};
use crate::session::access::{Done, Hold};

impl AuditView<'_> {
    /// Places a hold on the log: as long as any stands, no entry of it may go, however old. Several can stand at once, each
    /// for a reason of its own (1 to 256 bytes; let it name a case and no person, since the log outlives whoever is erased).
    ///
    /// ```
    /// # mod clinic { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/clinic.rs")); }
    /// # use clinic::*;
    /// # let clinic = Clinic::new();
    /// # let session = clinic.session();
    /// let hold = session.audit()?.place_log_hold("case 17")?;
    /// assert_eq!(session.audit()?.retention()?.holds, [hold.clone()]);
    /// session.audit()?.lift_log_hold(hold.id, "case 17 is closed")?;
    /// assert!(session.audit()?.retention()?.holds.is_empty());
    /// # Ok::<(), chartvault::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::InvalidText`] for a blank or too long reason, [`Error::TooMany`] for more than 100 holds at once, and what
    /// [`Session`](crate::Session) lists.
    pub fn place_log_hold(self, reason: &str) -> Result<LogHold, Error> {
        check(reason)?;
        let op = self.0.begin(access(AuditEvent::LogHoldPlaced))?;
        op.run(Hold::Write(&[Stripe::Policy]), |op| {
            let standing = op.unlocked.policy.log_holds().len();
            if standing >= MOST_LOG_HOLDS {
                let (len, limit) = (standing.saturating_add(1), MOST_LOG_HOLDS);
                return Err(Error::TooMany { what: "holds on the log", len, limit }.into());
            }
            let id = LogHoldId::from_bytes(random::array()?);
            let hold = LogHold { id, since: op.now, by: self.0.principal(), reason: reason.to_owned() };
            let row = PolicyRow::LogRetention(LogRetentionRow::Hold(hold.clone()));
            let rows = vec![op.unlocked.policy_row(&row)?];
            let detail = Some(format!("{id}: {reason}"));
            Ok(Done { detail, applies: vec![row], ..Done::write(hold, rows, Vec::new()) })
        })
    }

    /// Lifts a hold on the log; the reason (1 to 256 bytes) is in the log.
    ///
    /// # Errors
    /// [`Error::InvalidText`] for a blank or too long reason, [`Error::NoSuchLogHold`], and what
    /// [`Session`](crate::Session) lists.
    pub fn lift_log_hold(self, id: LogHoldId, reason: &str) -> Result<(), Error> {
        check(reason)?;
        let op = self.0.begin(access(AuditEvent::LogHoldLifted))?;
        op.run(Hold::Write(&[Stripe::Policy]), |op| {
            let standing = op.unlocked.policy.log_holds().into_iter().find(|hold| hold.id == id);
            let hold = standing.ok_or(Error::NoSuchLogHold { hold: id })?;
            let lifted = PolicyRow::LogRetention(LogRetentionRow::Hold(LogHold { reason: String::new(), ..hold }));
            let rows = op.unlocked.removed_policy_row(&lifted)?.into_iter().collect();
            let detail = Some(format!("{id}: {reason}"));
            Ok(Done { detail, applies: vec![lifted], ..Done::write((), rows, Vec::new()) })
        })
    }
}

fn check(reason: &str) -> Result<(), Error> {
    let len = if reason.trim().is_empty() { 0 } else { reason.len() };
    match len {
        1..=MAX_LOG_HOLD_REASON => Ok(()),
        _ => Err(Error::InvalidText { what: "reason", len, least: 1, limit: MAX_LOG_HOLD_REASON }),
    }
}
