//! What others than they themselves change of what somebody signs in with: the help desk, once it knows who is asking.

use super::{Principals, access};
use crate::audit::AuditEvent;
use crate::committer::Stripe;
use crate::crypto::password::Password;
use crate::error::Error;
use crate::policy::{RecoveryCodes, TotpEnrolment};
use crate::secret::wipe_stack;
use crate::session::access::Hold;

const EVENT: AuditEvent = AuditEvent::PrincipalChanged;

impl Principals<'_> {
    /// Sets a password of 8 to 1,024 bytes in place of the one before, and forgets the failures under the name, so that it
    /// can be used at once.
    ///
    /// # Errors
    /// [`Error::InvalidText`] for one that is too short or too long, [`Error::NoSuchPrincipal`], [`Error::NoMemory`], and
    /// what [`Session`](crate::Session) lists.
    pub fn set_password(&self, name: &str, password: &Password) -> Result<(), Error> {
        let op = self.session.begin(access(EVENT))?;
        let (op, verifier) = op.prepare(|unlocked| unlocked.verifier(password))?;
        let set = op.run(Hold::Write(&[Stripe::Policy]), |op| {
            let mut row = op.principal(name)?;
            row.password = Some(verifier);
            op.keep_principal(row, true, "password set", ())
        });
        wipe_stack();
        set
    }

    /// Begins the enrolment of an authenticator app: gives the secret, which is shown once. It counts once a code of it was
    /// confirmed, within a day; until then, the one before does.
    ///
    /// # Errors
    /// [`Error::InvalidText`] unless the issuer, under which apps show the account, has 1 to 64 bytes,
    /// [`Error::NoSuchPrincipal`], and what [`Session`](crate::Session) lists.
    pub fn enrol_totp(&self, name: &str, issuer: &str) -> Result<TotpEnrolment, Error> {
        let prepared = TotpEnrolment::prepare(issuer)?;
        self.change(EVENT, name, "authenticator begun", |row, now| Ok(prepared.begin(row, now)))
    }

    /// Confirms the authenticator with a first code, from when on it counts. That code is used up.
    ///
    /// # Errors
    /// [`Error::NothingToConfirm`], [`Error::WrongCode`], [`Error::NoSuchPrincipal`], and what
    /// [`Session`](crate::Session) lists.
    pub fn confirm_totp(&self, name: &str, code: &str) -> Result<(), Error> {
        self.change(EVENT, name, "authenticator confirmed", |row, now| TotpEnrolment::confirm(row, code, now))
    }

    /// Takes away the authenticator, one that was not confirmed yet, and all recovery codes: when the device was lost.
    ///
    /// # Errors
    /// [`Error::NoSuchPrincipal`], and what [`Session`](crate::Session) lists.
    pub fn remove_second_factors(&self, name: &str) -> Result<(), Error> {
        self.change(EVENT, name, "authenticator and recovery codes removed", |row, _| {
            (row.totp, row.pending) = (None, None);
            row.recovery_codes.clear();
            Ok(())
        })
    }

    /// Makes ten new recovery codes, which are shown once; those from before are worthless.
    ///
    /// # Errors
    /// [`Error::NoSuchPrincipal`], and what [`Session`](crate::Session) lists.
    pub fn new_recovery_codes(&self, name: &str) -> Result<RecoveryCodes, Error> {
        let codes = RecoveryCodes::generate()?;
        self.change(EVENT, name, "new recovery codes", |row, _| {
            row.recovery_codes = codes.hashes(row.id());
            Ok(codes)
        })
    }
}
