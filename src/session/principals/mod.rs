//! The principals of a vault: enrolled, disabled, enabled, listed.

mod factors;
mod new;

use super::Session;
use super::access::{Access, Done, Hold, Op, Refused};
use crate::audit::AuditEvent;
use crate::clock::Timestamp;
use crate::committer::Stripe;
use crate::crypto::kdf;
use crate::error::Error;
use crate::ids::PrincipalId;
use crate::policy::{Disabled, Failures, MAX_DISABLED_REASON, MAX_NAME, PolicyRow, PrincipalRow};
use crate::secret::wipe_stack;
use crate::terms::Action;
use crate::token::Reach;

pub use new::NewPrincipal;

/// Principals that a vault can have.
const MOST: usize = 10_000;
/// Principals of a page.
const MAX_PAGE: usize = 1_000;

/// The principals of the vault; see [`Session::principals`].
#[derive(Clone, Copy, Debug)]
pub struct Principals<'s> {
    session: &'s Session,
}

/// Somebody who is enrolled. Shows no secret.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Principal {
    /// Derived from the name.
    pub id: PrincipalId,
    /// What they sign in with, and what grants name.
    pub name: String,
    /// What people call them.
    pub display_name: Option<String>,
    /// When they were enrolled.
    pub enrolled: Timestamp,
    /// Since when they are disabled, and why.
    pub disabled: Option<Disabled>,
    /// Whether a password is set.
    pub has_password: bool,
    /// Whether an authenticator counts.
    pub has_totp: bool,
    /// Recovery codes that are left.
    pub recovery_codes: usize,
    /// When they signed in last.
    pub last_sign_in: Option<Timestamp>,
    /// Sign-ins that failed since then.
    pub failures: u32,
}

/// A page of principals, in the order of their names; see [`Principals::list`].
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct PrincipalPage {
    /// Those of this page.
    pub principals: Vec<Principal>,
    /// The name behind which the next page begins; `None` where this is the last.
    pub next: Option<String>,
}

impl Session {
    /// Those who are enrolled in the vault, and what they sign in with. All calls need the operate action. What people
    /// change of their own account is [`Vault::own_account`](crate::Vault::own_account).
    ///
    /// ```
    /// # mod clinic { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/clinic.rs")); }
    /// # use clinic::*;
    /// # let clinic = Clinic::new();
    /// # let session = clinic.session();
    /// let new = NewPrincipal::new().display_name("Efua Mensah").password(Password::new("given by the front desk"));
    /// session.principals().enrol("n.mensah", new)?;
    /// session.principals().disable("n.mensah", "on leave until May")?;
    /// let page = session.principals().list(None, 100)?;
    /// assert_eq!(page.principals[0].disabled.as_ref().map(|disabled| &*disabled.reason), Some("on leave until May"));
    /// # Ok::<(), Error>(())
    /// ```
    #[must_use]
    pub const fn principals(&self) -> Principals<'_> {
        Principals { session: self }
    }
}

impl Principals<'_> {
    /// Enrols somebody under a name of 1 to 128 bytes, which is compared byte by byte and never given again. With a
    /// password they can sign in here ([`Vault::sign_in`](crate::Vault::sign_in)); without, they are known and can be
    /// disabled. Failed sign-ins under the name are forgotten.
    ///
    /// # Errors
    /// [`Error::InvalidText`] for a name, a name to show or a password outside its bounds, [`Error::AlreadyEnrolled`],
    /// [`Error::TooMany`] for more than 10,000, [`Error::NoMemory`], and what [`Session`] lists.
    pub fn enrol(&self, name: &str, new: NewPrincipal) -> Result<PrincipalId, Error> {
        check_text("name", name, MAX_NAME)?;
        new.check()?;
        let op = self.session.begin(access(AuditEvent::PrincipalEnrolled))?;
        let verifier =
            op.prepare(|unlocked| new.first_password().map(|password| unlocked.verifier(password)).transpose());
        let (op, verifier) = verifier?;
        let enrolled = op.run(Hold::Write(&[Stripe::Policy]), |op| {
            let policy = &op.unlocked.policy;
            let id = kdf::principal_id(name);
            if policy.is_enrolled(id) {
                return Err(Error::AlreadyEnrolled { principal: id }.into());
            }
            let known = policy.principals();
            if known >= MOST {
                return Err(Error::TooMany { what: "principals", len: known.saturating_add(1), limit: MOST }.into());
            }
            let mut row = PrincipalRow::new(name, op.now);
            row.password = verifier;
            row.display_name = new.into_display_name();
            op.keep_principal(row, true, "enrolled", id)
        });
        wipe_stack();
        enrolled
    }

    /// Disables somebody, in open sessions from their next call on: they do not sign in, and their tokens are denied
    /// everything. 1 to 256 bytes say why.
    ///
    /// # Errors
    /// [`Error::NoSuchPrincipal`], [`Error::InvalidText`], and what [`Session`] lists.
    pub fn disable(&self, name: &str, reason: &str) -> Result<(), Error> {
        check_text("reason", reason, MAX_DISABLED_REASON)?;
        self.change(AuditEvent::PrincipalDisabled, name, reason, |row, now| {
            row.disabled = Some(Disabled { since: now, reason: reason.to_owned() });
            Ok(())
        })
    }

    /// Enables somebody again, with what they signed in with before.
    ///
    /// # Errors
    /// [`Error::NoSuchPrincipal`], and what [`Session`] lists.
    pub fn enable(&self, name: &str) -> Result<(), Error> {
        self.change(AuditEvent::PrincipalEnabled, name, "enabled", |row, _| {
            row.disabled = None;
            Ok(())
        })
    }

    /// Those who are enrolled, disabled ones included, in the order of their names: `limit` of them, 1,000 at most and 1 at least, behind
    /// the name `after`.
    ///
    /// # Errors
    /// [`Error::TooMany`] for a greater limit, and what [`Session`] lists.
    pub fn list(&self, after: Option<&str>, limit: usize) -> Result<PrincipalPage, Error> {
        if limit > MAX_PAGE {
            return Err(Error::TooMany { what: "principals of a page", len: limit, limit: MAX_PAGE });
        }
        let limit = limit.max(1);
        let op = self.session.begin(access(AuditEvent::PrincipalsListed))?;
        op.run(Hold::Read(Stripe::Policy), |op| {
            let names = op.unlocked.policy.names_after(after, limit.saturating_add(1));
            let next = names.get(limit).and(names.get(limit.saturating_sub(1))).cloned();
            let rows = names.iter().take(limit).map(|name| op.principal(name));
            let rows = rows.collect::<Result<Vec<_>, _>>()?;
            let count = u32::try_from(rows.len()).ok();
            let shown = |row: PrincipalRow| Principal {
                id: row.id(),
                failures: op.unlocked.policy.failures(row.id()).count,
                has_password: row.password.is_some(),
                has_totp: row.totp.is_some(),
                recovery_codes: row.recovery_codes.len(),
                name: row.name,
                display_name: row.display_name,
                enrolled: row.enrolled,
                disabled: row.disabled,
                last_sign_in: row.last_sign_in,
            };
            let page = PrincipalPage { principals: rows.into_iter().map(shown).collect(), next };
            Ok(Done { count, ..Done::read(page, Vec::new()) })
        })
    }

    fn change<T>(
        &self,
        event: AuditEvent,
        name: &str,
        said: &str,
        change: impl FnOnce(&mut PrincipalRow, Timestamp) -> Result<T, Error>,
    ) -> Result<T, Error> {
        let op = self.session.begin(access(event))?;
        op.run(Hold::Write(&[Stripe::Policy]), |op| {
            let mut row = op.principal(name)?;
            let value = change(&mut row, op.now)?;
            op.keep_principal(row, false, said, value)
        })
    }
}

impl Op<'_> {
    pub(in crate::session) fn principal(&self, name: &str) -> Result<PrincipalRow, Error> {
        let principal = kdf::principal_id(name);
        self.unlocked.principal(principal)?.ok_or(Error::NoSuchPrincipal { principal })
    }

    /// Keeps a principal; `anew`: without the failures before.
    fn keep_principal<T>(&self, row: PrincipalRow, anew: bool, said: &str, value: T) -> Result<Done<T>, Refused> {
        let id = row.id();
        // Whoever signed in with what was there before has to do so again.
        self.unlocked.sign_ins.opened.reset(id);
        let (mut rows, mut applies) = self.unlocked.principal_rows(row)?;
        if anew {
            rows.extend(self.unlocked.failures_row(Failures::none(id))?);
            applies.push(PolicyRow::Failures(Failures::none(id)));
        }
        let detail = Some(format!("{id}: {said}"));
        Ok(Done { applies, detail, ..Done::write(value, rows, Vec::new()) })
    }
}

/// About no chart, and so about everybody.
const fn access(event: AuditEvent) -> Access {
    Access { event, action: Action::Operate, kind: Reach::Whole, patient: Reach::Whole }
}

fn check_text(what: &'static str, text: &str, limit: usize) -> Result<(), Error> {
    let len = if text.trim().is_empty() { 0 } else { text.len() };
    if (1..=limit).contains(&len) { Ok(()) } else { Err(Error::InvalidText { what, len, least: 1, limit }) }
}
