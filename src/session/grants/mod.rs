//! The grants that a vault knows: registered, listed, revoked.

mod list;
mod revoke;

use std::sync::Arc;

pub use list::{GrantPage, GrantQuery, GrantState, LiveGrant};

pub(super) use list::rights_cells;
pub(super) use revoke::revocation;

use super::Session;
use super::access::{Access, Done, Hold, Refused};
use crate::audit::AuditEvent;
use crate::committer::Stripe;
use crate::error::Error;
use crate::ids::RevocationId;
use crate::policy::{GrantRow, MAX_GRANT_NOTE, PolicyRow};
use crate::terms::Action;
use crate::token::{Reach, StoredGrant, UnverifiedToken};

/// The grants that the vault knows; see [`Session::grants`].
#[derive(Clone, Copy, Debug)]
pub struct Grants<'s> {
    session: &'s Session,
}

impl Session {
    /// The grants that this vault knows: those that were registered, used or not, and those that opened a session. All calls
    /// need the grant action, but for revoking issuers and attesters, which needs the operate action. A grant is kept for 30
    /// days after it has ended. Registered grants together may take 32 MiB, about 1/2 KiB each, and those that were
    /// only seen 8 MiB; one that opens a session beyond is not kept, and the session's entry says so.
    ///
    /// ```
    /// # mod clinic { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/clinic.rs")); }
    /// # use clinic::*;
    /// # let clinic = Clinic::new();
    /// # let (session, token) = (clinic.session(), &clinic.token);
    /// let night = token.attenuate().actions([Action::Read]).finish().unwrap();
    /// let registered = session.grants().register(&night, "night shift, ward 3")?;
    /// assert_eq!((registered.id, registered.last_used), (night.id(), None));
    /// for grant in session.grants().live().page()?.grants {
    ///     println!("{grant}");
    /// }
    /// session.grants().revoke(Revoke::Block(night.id()), "the ward was closed")?;
    /// assert!(matches!(clinic.vault.session(&night, Purpose::Treatment), Err(Error::Token(TokenError::Revoked { .. }))));
    /// # Ok::<(), Error>(())
    /// ```
    #[must_use]
    pub const fn grants(&self) -> Grants<'_> {
        Grants { session: self }
    }
}

impl<'s> Grants<'s> {
    /// Registers a grant, with a note of up to 256 bytes: it is listed from now on even if it is never used, and opens
    /// sessions where the vault wants registered grants ([`AccessRules::registered_grants_only`]), as do all that are narrowed
    /// from it. The token is verified as when it opens a session, but nothing that it demands has to be shown. What is kept
    /// is what its blocks say, and nothing with which anybody could use it. One that was registered before stays as it was.
    ///
    /// [`AccessRules::registered_grants_only`]: crate::AccessRules::registered_grants_only
    ///
    /// # Errors
    /// [`Error::Token`] with the reason why the token is refused, [`Error::InvalidText`] for a note that is too long,
    /// [`Error::TooMany`] when grants would take more than 32 MiB together, and what [`Session`] lists.
    pub fn register(&self, token: impl AsRef<UnverifiedToken>, note: &str) -> Result<LiveGrant, Error> {
        if note.len() > MAX_GRANT_NOTE {
            return Err(Error::InvalidText { what: "note", len: note.len(), least: 0, limit: MAX_GRANT_NOTE });
        }
        let token = token.as_ref();
        let op = self.session.begin(access(AuditEvent::GrantRegistered))?;
        op.run(Hold::Write(&[Stripe::Policy]), |op| {
            let policy = &op.unlocked.policy;
            let verified = op.unlocked.verify(token, op.now).map_err(Error::Token)?;
            let (id, subject) = (verified.id(), verified.subject());
            let detail = Some(format!("{id} of {subject}"));
            let known = policy.grant(id);
            if let Some(known) = known.as_ref().filter(|known| known.row.registered_by.is_some()) {
                return Ok(Done { detail, ..Done::read(op.live_grant(known), Vec::new()) });
            }
            let (since, used) = known.map_or((op.now, None), |known| (known.row.since, known.used));
            let (grant, registered_by) = (StoredGrant::of(&verified), Some(self.session.principal()));
            let row = Arc::new(GrantRow { grant, since, registered_by, note: note.to_owned() });
            let (len, limit) = (row.len(), policy.room_for_grants(true));
            if len > limit {
                return Err(Refused::Failed(Error::TooMany { what: "bytes of known grants", len, limit }));
            }
            let revocable = Arc::new(row.grant.revocable());
            let told = op.live_grant(&crate::policy::KnownGrant { row: Arc::clone(&row), revocable, used });
            let row = PolicyRow::Grant(row);
            let rows = vec![op.unlocked.policy_row(&row)?];
            Ok(Done { detail, applies: vec![row], ..Done::write(told, rows, Vec::new()) })
        })
    }

    /// A grant that the vault knows, whether it is live or not, by its id: the revocation id of its last block.
    ///
    /// # Errors
    /// [`Error::NoSuchGrant`], and what [`Session`] lists.
    pub fn get(&self, id: RevocationId) -> Result<LiveGrant, Error> {
        let op = self.session.begin(access(AuditEvent::GrantsListed))?;
        op.run(Hold::Nothing, |op| {
            let known = op.unlocked.policy.grant(id).ok_or(Error::NoSuchGrant { grant: id })?;
            Ok(Done { detail: Some(id.to_string()), ..Done::read(op.live_grant(&known), Vec::new()) })
        })
    }
}

/// About no chart, and so about everybody.
const fn access(event: AuditEvent) -> Access {
    Access { event, action: Action::Grant, kind: Reach::Whole, patient: Reach::Whole }
}
