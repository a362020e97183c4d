//! Monitoring, as the vault does it by itself.

use std::sync::Arc;

use super::{Vault, operate};
use crate::audit::{AuditEvent, Draft, Outcome};
use crate::error::Error;
use crate::keyring::Credential;
use crate::monitor::MonitoringRules;
use crate::policy::{MonitoringRow, PolicyRow};
use crate::session::watch;

impl Vault {
    /// The rules of monitoring, where they were set: only then does the vault run them by itself.
    ///
    /// # Errors
    /// [`Error::Sealed`].
    pub fn monitoring(&self) -> Result<Option<MonitoringRules>, Error> {
        Ok(self.0.gate.enter()?.policy.monitoring().map(|row| row.rules.clone()))
    }

    /// Sets the rules of monitoring. From then on the vault runs them over the log by itself, in the background, within a minute
    /// or so of each entry and after every later opening, and raises flags ([`Session::flags`](crate::Session::flags)); entries
    /// from before are left to [`AuditView::monitor`](crate::AuditView::monitor). Asks for a credential of the vault, because
    /// turning rules off hides what they would find. An entry of the log has the new rules. Older versions refuse a vault whose
    /// rules were set.
    ///
    /// ```
    /// # mod clinic { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/clinic.rs")); }
    /// # use clinic::*;
    /// # let clinic = Clinic::new();
    /// clinic.vault.set_monitoring(MonitoringRules::new(), &clinic.key)?;
    /// clinic.vault.monitor_now()?;
    /// # Ok::<(), Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Unlock`] when the credential does not open the vault, [`Error::Sealed`], [`Error::AuditUnavailable`].
    pub fn set_monitoring<'c>(
        &self,
        rules: MonitoringRules,
        credential: impl Into<Credential<'c>>,
    ) -> Result<(), Error> {
        let mut draft = Draft::new(AuditEvent::MonitoringChanged, Outcome::Allowed);
        draft.fields.detail = Some(rules.told());
        self.administer(credential.into(), draft, |unlocked| {
            let next = || unlocked.committer.newest_entry().map_or(0, |head| head.seq.saturating_add(1));
            let from = unlocked.policy.monitoring().map_or_else(next, |row| row.from);
            Ok(PolicyRow::Monitoring(Arc::new(MonitoringRow { from, rules })))
        })
    }

    /// Runs the rules of monitoring over what came since they last ran, at once and not within the next minute. Nothing happens
    /// where they were not set.
    ///
    /// # Errors
    /// [`Error::Sealed`], [`Error::AuditUnavailable`], [`Error::Storage`].
    pub fn monitor_now(&self) -> Result<(), Error> {
        operate(AuditEvent::LogMonitored, || {
            let unlocked = self.0.gate.enter()?;
            unlocked.escalate_flags()?;
            watch(&unlocked, &|| true)
        })
    }
}
