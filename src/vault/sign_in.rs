//! Signing in with a password, and a second factor where there is one.

use std::fmt;

use super::Vault;
use crate::audit::AuditEvent;
use crate::crypto::password::Password;
use crate::error::Error;
use crate::observe;
use crate::secret::wipe_stack;
use crate::token::AuthProof;
use crate::unlocked::{Attempt, Gate, Second};

impl Vault {
    /// Starts signing somebody in who was enrolled ([`Principals::enrol`](crate::Principals::enrol)), by name and password.
    /// What comes of it is an [`AuthProof`], which opens nothing by itself: it is shown beside a token that wants it
    /// ([`Grant::sign_in`](crate::Grant::sign_in)).
    ///
    /// ```
    /// # mod clinic { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/clinic.rs")); }
    /// # use clinic::*;
    /// # let Clinic { vault, token, dir, .. } = Clinic::new();
    /// # let operator = vault.session(&token, Purpose::Treatment)?;
    /// use std::time::Duration;
    /// let password = || Password::new("seven ducks in a row");
    /// operator.principals().enrol("dr.osei", NewPrincipal::new().password(password()))?;
    ///
    /// let token = token.attenuate().sign_in(SignInLevel::OneFactor, Duration::from_secs(8 * 3_600)).finish()?;
    /// assert!(vault.session(&token, Purpose::Treatment).is_err()); // nobody signed in
    /// let proof = vault.sign_in("dr.osei", &password()).finish()?;
    /// let session = vault.session_with(&token, Purpose::Treatment).sign_in(proof).open()?;
    /// let refused = vault.sign_in("dr.osei", &Password::new("eight ducks in a row")).finish();
    /// assert!(matches!(refused, Err(Error::SignInRefused)));
    /// # drop((session, dir));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn sign_in<'a>(&self, name: &'a str, password: &'a Password) -> SignIn<'a> {
        SignIn { gate: self.0.gate.clone(), attempt: Attempt { name, password, second: None } }
    }
}

/// Somebody about to be signed in; see [`Vault::sign_in`].
#[must_use = "nobody is signed in before `finish`"]
pub struct SignIn<'a> {
    gate: Gate,
    attempt: Attempt<'a>,
}

impl<'a> SignIn<'a> {
    /// The code that the authenticator app shows: six digits. Each is good once. Takes the place of a recovery code.
    pub const fn totp(mut self, code: &'a str) -> Self {
        self.attempt.second = Some(Second::Totp(code));
        self
    }

    /// A recovery code, where the authenticator is lost. Each is good once. Takes the place of the authenticator's code.
    pub const fn recovery_code(mut self, code: &'a str) -> Self {
        self.attempt.second = Some(Second::RecoveryCode(code));
        self
    }

    /// Checks all that is shown, and logs the attempt before it is answered. A password alone gives
    /// [`SignInLevel::OneFactor`](crate::SignInLevel), also to whoever has an authenticator; whether that is enough is said
    /// by the token.
    ///
    /// A name that nobody has, a wrong password, a wrong or used code and an account that is disabled are answered alike, and
    /// take the same work. After five failures in a row a name has to wait, one second first and twice as long after each
    /// further, a quarter of an hour at most; whoever knows a name can keep its owner waiting so, and a host does well to
    /// slow down by address before. Takes the time that guessing should cost ([`Options::password_cost`](crate::Options)).
    ///
    /// # Errors
    /// [`Error::SignInRefused`], [`Error::TryAgain`] when the name has to wait, [`Error::NoMemory`],
    /// [`Error::ClockRollback`], [`Error::Storage`], [`Error::TamperedRow`], [`Error::Random`], [`Error::Sealed`],
    /// [`Error::AuditUnavailable`].
    pub fn finish(self) -> Result<AuthProof, Error> {
        let proof =
            observe::operation(AuditEvent::SignedIn.word(), "none", || self.gate.enter()?.sign_in(&self.attempt));
        wipe_stack();
        proof
    }
}

/// Shows neither name, which may be a password typed in the wrong place, nor password.
impl fmt::Debug for SignIn<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SignIn").finish_non_exhaustive()
    }
}
