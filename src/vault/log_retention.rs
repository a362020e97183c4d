//! How long the vault keeps its log.

use super::Vault;
use crate::audit::{AuditEvent, Draft, Outcome};
use crate::error::Error;
use crate::keyring::Credential;
use crate::policy::{LogRetention, LogRetentionRow, PolicyRow};

impl Vault {
    /// Sets how long entries of the log have to be kept: until then nothing lets them go. Asks for a credential of the vault,
    /// and is in the log. Nothing is removed by it; see [`AuditView::retention`](crate::AuditView::retention).
    ///
    /// ```
    /// # mod clinic { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/clinic.rs")); }
    /// # use clinic::*;
    /// # use std::time::Duration;
    /// # let clinic = Clinic::new();
    /// let ten_years = LogRetention::keep_for(Duration::from_secs(3_653 * 86_400))?;
    /// clinic.vault.set_log_retention(ten_years, &clinic.key)?;
    /// assert_eq!(clinic.session().audit()?.retention()?.terms, ten_years);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Unlock`] when the credential does not open the vault, [`Error::Sealed`], [`Error::AuditUnavailable`].
    pub fn set_log_retention<'c>(
        &self,
        terms: LogRetention,
        credential: impl Into<Credential<'c>>,
    ) -> Result<(), Error> {
        let mut draft = Draft::new(AuditEvent::RetentionChanged, Outcome::Allowed);
        draft.fields.detail = Some(terms.told());
        self.administer(credential.into(), draft, |_| Ok(PolicyRow::LogRetention(LogRetentionRow::Terms(terms))))
    }
}
