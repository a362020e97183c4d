//! The issuers of a vault.

use super::Session;
use super::access::{Access, Done, Hold};
use crate::audit::AuditEvent;
use crate::clock::Timestamp;
use crate::error::Error;
use crate::ids::IssuerId;
use crate::terms::Action;
use crate::token::{Ceiling, IssuerPublicKey, Reach, Revoke};

/// An issuer whom the vault trusts, or trusted.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct IssuerInfo {
    /// Its id.
    pub id: IssuerId,
    /// Its public key.
    pub public: IssuerPublicKey,
    /// When it was trusted last.
    pub trusted_at: Timestamp,
    /// When it was revoked, if it was.
    pub revoked_at: Option<Timestamp>,
    /// What it can grant at most, if that was limited.
    pub ceiling: Option<Ceiling>,
    /// How many of its grants that the vault knows are live.
    pub live_grants: usize,
    /// When one of its grants opened a session last, as far as the vault still knows them.
    pub last_used: Option<Timestamp>,
}

impl Session {
    /// The issuers, in the order in which they were trusted. Needs the operate action.
    ///
    /// ```
    /// # mod clinic { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/clinic.rs")); }
    /// # use clinic::*;
    /// # let clinic = Clinic::new();
    /// # let session = clinic.session();
    /// let issuers = session.issuers()?;
    /// assert_eq!((issuers.len(), issuers[0].live_grants, &issuers[0].ceiling), (1, 1, &None));
    /// # Ok::<(), Error>(())
    /// ```
    ///
    /// # Errors
    /// What [`Session`] lists.
    pub fn issuers(&self) -> Result<Vec<IssuerInfo>, Error> {
        let (kind, patient) = (Reach::Whole, Reach::Whole);
        let op = self.begin(Access { event: AuditEvent::GrantsListed, action: Action::Operate, kind, patient })?;
        op.run(Hold::Nothing, |op| {
            let policy = &op.unlocked.policy;
            let info = |(id, public, trusted_at)| {
                let known = policy.grants(None, usize::MAX, |known| known.revocable.issuer == id);
                Some(IssuerInfo {
                    id,
                    public: IssuerPublicKey::from_bytes(public).ok()?,
                    trusted_at,
                    revoked_at: policy.revocation(Revoke::Issuer(id)).map(|revocation| revocation.at),
                    ceiling: policy.ceiling(id).map(|(ceiling, _)| ceiling),
                    live_grants: known.iter().filter(|known| op.unlocked.is_live(known, op.now)).count(),
                    last_used: known.iter().filter_map(|known| known.used.map(|used| used.last)).max(),
                })
            };
            let issuers: Vec<IssuerInfo> = policy.issuers().into_iter().filter_map(info).collect();
            let count = u32::try_from(issuers.len()).ok();
            Ok(Done { count, detail: Some("issuers".to_owned()), ..Done::read(issuers, Vec::new()) })
        })
    }
}
