//! What people change of their own account, with the proof that they signed in and no token.

use std::fmt;
use std::time::Duration;

use super::{Vault, operate};
use crate::audit::{AuditEvent, Draft, Outcome};
use crate::clock::Timestamp;
use crate::crypto::password::Password;
use crate::error::Error;
use crate::ids::PrincipalId;
use crate::policy::{PrincipalRow, RecoveryCodes, TotpEnrolment};
use crate::secret::wipe_stack;
use crate::token::{AuthProof, ProofError, SignInLevel};
use crate::unlocked::{Gate, Unlocked, account_draft};

/// How long after signing in an account can be changed.
const LIFETIME: Duration = Duration::from_secs(10 * 60);

impl Vault {
    /// Opens the account of whoever signed in just now, for changes of what they sign in with: for ten minutes, and without
    /// any token. Who has a second factor must have shown one, so that a password alone does not replace it.
    ///
    /// ```
    /// # mod clinic { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/clinic.rs")); }
    /// # use clinic::*;
    /// # let Clinic { vault, token, dir, .. } = Clinic::new();
    /// # let operator = vault.session(&token, Purpose::Treatment)?;
    /// let first = Password::new("given out by the front desk");
    /// # operator.principals().enrol("dr.osei", NewPrincipal::new().password(Password::new("given out by the front desk")))?;
    /// let account = vault.own_account(vault.sign_in("dr.osei", &first).finish()?)?;
    /// account.change_password(&Password::new("seven ducks in a row"))?;
    /// let enrolment = account.enrol_totp("Clinic A")?;
    /// let uri = enrolment.expose_uri(); // for the app, once; then `account.confirm_totp(code)`
    /// assert!(uri.starts_with("otpauth://totp/"));
    /// assert!(vault.sign_in("dr.osei", &first).finish().is_err());
    /// # drop((operator, dir));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Proof`] when the proof is of another vault, too old, or of one factor alone where there is a second,
    /// [`Error::SignInRefused`] when the account was disabled since, [`Error::ClockRollback`], [`Error::Sealed`],
    /// [`Error::AuditUnavailable`].
    pub fn own_account(&self, proof: AuthProof) -> Result<OwnAccount, Error> {
        let (principal, made) = (proof.principal(), proof.made());
        operate(AuditEvent::PrincipalChanged, || {
            let unlocked = self.0.gate.enter()?;
            let now = unlocked.now()?;
            let account = |(level, at)| OwnAccount { gate: self.0.gate.clone(), principal, level, at, made };
            let account = proof.look(&unlocked.sign_ins.opened, now).map(account);
            // One of another vault does not know this vault's principals.
            let account = account.map_err(|error| refused(&unlocked, None, error.into()))?;
            let row = unlocked.principal(principal)?.ok_or(Error::NoSuchPrincipal { principal })?;
            account.may_change(&row, now).map_err(|error| refused(&unlocked, Some(principal), error))?;
            Ok(account)
        })
    }
}

/// Logs that nothing was changed; gives the error to answer with.
fn refused(unlocked: &Unlocked, of: Option<PrincipalId>, error: Error) -> Error {
    let mut draft = Draft::new(AuditEvent::PrincipalChanged, Outcome::Denied);
    draft.fields.actor = of;
    draft.fields.detail = Some(format!("own account: {}", error.word()));
    match unlocked.commit(Vec::new(), vec![draft]) {
        Ok(()) => error,
        Err(unlogged) => unlogged,
    }
}

/// The account of somebody who signed in; see [`Vault::own_account`]. Each change is in the log. All calls can answer
/// [`Error::Proof`] once ten minutes have passed, [`Error::SignInRefused`] once the account is disabled,
/// [`Error::ClockRollback`], [`Error::Storage`], [`Error::TamperedRow`], [`Error::Random`], [`Error::Sealed`] and
/// [`Error::AuditUnavailable`].
pub struct OwnAccount {
    gate: Gate,
    principal: PrincipalId,
    level: SignInLevel,
    at: Timestamp,
    /// The number of the proof among those of the vault.
    made: u64,
}

impl OwnAccount {
    /// Whose it is.
    #[must_use]
    pub const fn principal(&self) -> PrincipalId {
        self.principal
    }

    /// Sets another password, of 8 to 1,024 bytes. It counts from now on; sessions that are open stay so.
    ///
    /// # Errors
    /// [`Error::InvalidText`] for one that is too short or too long, [`Error::NoMemory`], and what [`OwnAccount`] lists.
    pub fn change_password(&self, password: &Password) -> Result<(), Error> {
        let changed = self.change(
            "password changed",
            |unlocked| unlocked.verifier(password),
            |row, verifier, _| {
                row.password = Some(verifier);
                Ok(())
            },
        );
        wipe_stack();
        changed
    }

    /// Begins the enrolment of an authenticator app: gives the secret, which is shown once. It counts once a code of it was
    /// confirmed, within a day; until then, the one before does.
    ///
    /// # Errors
    /// [`Error::InvalidText`] unless the issuer, under which apps show the account, has 1 to 64 bytes, and what
    /// [`OwnAccount`] lists.
    pub fn enrol_totp(&self, issuer: &str) -> Result<TotpEnrolment, Error> {
        let prepare = |_: &Unlocked| TotpEnrolment::prepare(issuer);
        self.change("authenticator begun", prepare, |row, prepared, now| Ok(prepared.begin(row, now)))
    }

    /// Confirms the authenticator with a first code, from when on it counts. That code is used up.
    ///
    /// # Errors
    /// [`Error::NothingToConfirm`], [`Error::WrongCode`], and what [`OwnAccount`] lists.
    pub fn confirm_totp(&self, code: &str) -> Result<(), Error> {
        self.change("authenticator confirmed", |_| Ok(()), |row, (), now| TotpEnrolment::confirm(row, code, now))
    }

    /// Makes ten new recovery codes, which are shown once; those from before are worthless. Only beside a second factor that
    /// counts already: the first one comes from an authenticator, or from the help desk.
    ///
    /// # Errors
    /// [`Error::NothingToConfirm`] where there is none, and what [`OwnAccount`] lists.
    pub fn new_recovery_codes(&self) -> Result<RecoveryCodes, Error> {
        let prepare = |_: &Unlocked| Ok(RecoveryCodes::generate()?);
        self.change("new recovery codes", prepare, |row, codes, _| {
            // Or whoever knows the password would make the second factor of it.
            if !row.has_second_factor() {
                return Err(Error::NothingToConfirm);
            }
            row.recovery_codes = codes.hashes(row.id());
            Ok(codes)
        })
    }

    /// `prepare` takes its time before anything is held.
    fn change<P, T>(
        &self,
        detail: &'static str,
        prepare: impl FnOnce(&Unlocked) -> Result<P, Error>,
        change: impl FnOnce(&mut PrincipalRow, P, Timestamp) -> Result<T, Error>,
    ) -> Result<T, Error> {
        operate(AuditEvent::PrincipalChanged, || {
            let unlocked = self.gate.enter()?;
            let draft = account_draft(AuditEvent::PrincipalChanged, self.principal, detail);
            let changed = prepare(&unlocked).and_then(|prepared| {
                unlocked.change_principal(self.principal, draft, |row, now| {
                    if unlocked.sign_ins.opened.was_reset(self.principal, self.made) {
                        return Err(Error::SignInRefused);
                    }
                    self.may_change(row, now)?;
                    change(row, prepared, now)
                })
            });
            changed.map_err(|error| refused(&unlocked, Some(self.principal), error))
        })
    }

    fn may_change(&self, row: &PrincipalRow, now: Timestamp) -> Result<(), Error> {
        if row.disabled.is_some() {
            return Err(Error::SignInRefused);
        }
        let least = if row.has_second_factor() { SignInLevel::TwoFactors } else { SignInLevel::OneFactor };
        if self.level < least {
            return Err(ProofError::SignInTooLow { level: least.code(), shown: self.level.code() }.into());
        }
        if now.saturating_since(self.at) >= LIFETIME {
            let oldest = u32::try_from(LIFETIME.as_secs()).unwrap_or(u32::MAX);
            return Err(ProofError::SignInTooOld { level: least.code(), oldest }.into());
        }
        Ok(())
    }
}

impl fmt::Debug for OwnAccount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OwnAccount").field("principal", &self.principal).finish_non_exhaustive()
    }
}
