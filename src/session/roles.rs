//! The roles of a vault: defined, changed, retired, compared.

use super::Session;
use super::access::{Access, Done, Hold};
use crate::audit::AuditEvent;
use crate::committer::Stripe;
use crate::crypto::kdf;
use crate::error::Error;
use crate::policy::PolicyRow;
use crate::terms::Action;
use crate::token::{Reach, Role, RoleRevision};

/// Roles that a vault can have.
const MOST: usize = 1_000;
/// Bytes of the reason for retiring a role.
const MAX_REASON: usize = 256;

/// The roles of the vault; see [`Session::roles`].
#[derive(Clone, Copy, Debug)]
pub struct Roles<'s> {
    session: &'s Session,
}

impl Session {
    /// The roles that grants can cite. All calls need the grant action.
    ///
    /// ```
    /// # mod clinic { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/clinic.rs")); }
    /// # use clinic::*;
    /// # let clinic = Clinic::new();
    /// # let session = clinic.session();
    /// let nurse = Role::clinical().into_iter().find(|role| role.name() == "nurse").unwrap();
    /// let first = session.roles().define(&nurse)?;
    /// let second = session.roles().define(&nurse.actions([Action::Void]))?;
    /// assert_eq!((first.revision, second.revision), (1, 2)); // grants that cite revision 1 are denied from now on
    /// assert_eq!(session.roles().difference("nurse", 1, 2)?, "+ action void\n");
    /// # Ok::<(), Error>(())
    /// ```
    #[must_use]
    pub const fn roles(&self) -> Roles<'_> {
        Roles { session: self }
    }
}

impl Roles<'_> {
    /// Defines a role, or changes it: the revision in force from now on. Grants that cite an older revision are denied
    /// everything, in open sessions from their next call on, until they are issued anew. A role that is as it was keeps its
    /// revision. A retired one is in force again with its next revision.
    ///
    /// # Errors
    /// [`Error::Role`] for a role that cannot be ([`Role::check`]), [`Error::TooMany`] for more than 1,000 roles, and what
    /// [`Session`] lists.
    pub fn define(&self, role: &Role) -> Result<RoleRevision, Error> {
        role.check()?;
        self.change(AuditEvent::RoleDefined, role.name(), None, |before| match before {
            Some(before) if before.role == *role && !before.retired => Ok(None),
            _ => Ok(Some((role.clone(), false))),
        })
    }

    /// Retires a role: grants that cite it, at whatever revision, are denied everything from now on. 1 to 256 bytes say
    /// why.
    ///
    /// # Errors
    /// [`Error::NoSuchRole`], [`Error::InvalidText`], and what [`Session`] lists.
    pub fn retire(&self, name: &str, reason: &str) -> Result<RoleRevision, Error> {
        let len = if reason.trim().is_empty() { 0 } else { reason.len() };
        if !(1..=MAX_REASON).contains(&len) {
            return Err(Error::InvalidText { what: "reason", len, least: 1, limit: MAX_REASON });
        }
        self.change(AuditEvent::RoleRetired, name, Some(reason), |before| match before {
            None => Err(Error::NoSuchRole { name: name.to_owned(), revision: None }),
            Some(before) if before.retired => Ok(None),
            Some(before) => Ok(Some((before.role.clone(), true))),
        })
    }

    /// All roles as they are in force, retired ones included, by name.
    ///
    /// # Errors
    /// What [`Session`] lists.
    pub fn list(&self) -> Result<Vec<RoleRevision>, Error> {
        let op = self.session.begin(access(AuditEvent::RolesListed))?;
        op.run(Hold::Nothing, |op| Ok(Done::read(op.unlocked.policy.roles(), Vec::new())))
    }

    /// All revisions of a role, the first one first.
    ///
    /// # Errors
    /// [`Error::NoSuchRole`], and what [`Session`] lists.
    pub fn revisions(&self, name: &str) -> Result<Vec<RoleRevision>, Error> {
        let op = self.session.begin(access(AuditEvent::RolesListed))?;
        op.run(Hold::Nothing, |op| {
            let revisions = op.unlocked.policy.role_revisions(kdf::role_id(name));
            if revisions.is_empty() {
                return Err(Error::NoSuchRole { name: name.to_owned(), revision: None }.into());
            }
            Ok(Done { detail: Some(name.to_owned()), ..Done::read(revisions, Vec::new()) })
        })
    }

    /// What a later revision of a role has more and less than an earlier one: [`Role::difference`].
    ///
    /// # Errors
    /// [`Error::NoSuchRole`], and what [`Session`] lists.
    pub fn difference(&self, name: &str, earlier: u32, later: u32) -> Result<String, Error> {
        let revisions = self.revisions(name)?;
        let find = |revision: u32| {
            let found = revisions.iter().find(|one| one.revision == revision);
            found.ok_or_else(|| Error::NoSuchRole { name: name.to_owned(), revision: Some(revision) })
        };
        Ok(find(earlier)?.role.difference(&find(later)?.role))
    }

    /// Puts another revision in force, if `decide` gives one.
    fn change(
        &self,
        event: AuditEvent,
        name: &str,
        reason: Option<&str>,
        decide: impl Fn(Option<&RoleRevision>) -> Result<Option<(Role, bool)>, Error>,
    ) -> Result<RoleRevision, Error> {
        let op = self.session.begin(access(event))?;
        op.run(Hold::Write(&[Stripe::Policy]), |op| {
            let policy = &op.unlocked.policy;
            let before = policy.role(kdf::role_id(name));
            let Some((role, retired)) = decide(before.as_ref())? else {
                let unchanged = before.ok_or(Error::TamperedRow { what: "policy row" })?;
                let detail = Some(format!("{name} stays at revision {}", unchanged.revision));
                return Ok(Done { detail, ..Done::read(unchanged, Vec::new()) });
            };
            let known = policy.roles().len();
            if before.is_none() && known >= MOST {
                return Err(Error::TooMany { what: "roles", len: known.saturating_add(1), limit: MOST }.into());
            }
            let revision = before.as_ref().map_or(1, |before| before.revision.saturating_add(1));
            let (defined_at, defined_by) = (op.now, self.session.principal());
            let now = RoleRevision { role, revision, defined_at, defined_by, retired };
            let said = reason.map(|reason| format!(": {reason}")).unwrap_or_default();
            let detail = Some(format!("{name} revision {revision}{said}"));
            let changed = before.map(PolicyRow::RoleBefore).into_iter().chain([PolicyRow::Role(now.clone())]);
            let applies: Vec<PolicyRow> = changed.collect();
            let rows = applies.iter().map(|row| op.unlocked.policy_row(row)).collect::<Result<_, _>>()?;
            Ok(Done { applies, detail, ..Done::write(now, rows, Vec::new()) })
        })
    }
}

/// About no chart, and so about everybody.
const fn access(event: AuditEvent) -> Access {
    Access { event, action: Action::Grant, kind: Reach::Whole, patient: Reach::Whole }
}
