//! People who sign in.

use std::time::Duration;

use super::*;
use chartvault::test_util::{Resource, without};

const NAME: &str = "n.mensah";

/// A clinic in which `n.mensah` is enrolled, and a session that may change that.
struct Desk {
    clinic: TestVault,
    operator: Session,
}

impl Desk {
    fn new() -> Self {
        let clinic = TestVault::new().build().unwrap();
        let operator = clinic.session(&clinic.grant("operator").all_kinds().actions([Action::Operate])).unwrap();
        let desk = Self { clinic, operator };
        desk.enrol().unwrap();
        desk
    }

    fn enrol(&self) -> Result<PrincipalId, Error> {
        self.operator.principals().enrol(NAME, NewPrincipal::new().password(Password::new(PASSPHRASE)))
    }

    fn sign_in(&self, password: &str) -> Result<AuthProof, Error> {
        self.clinic.vault().sign_in(NAME, &Password::new(password)).finish()
    }
}

#[test]
fn a_wrong_password_signs_nobody_in() {
    let refused = Desk::new().sign_in(TEXT);
    assert!(matches!(refused, Err(Error::SignInRefused)), "{refused:?}");
    advises(refused, "try again, or ask an administrator");
}

#[test]
fn who_fails_five_times_has_to_wait() {
    let desk = Desk::new();
    (0..5).for_each(|_| drop(desk.sign_in(TEXT).unwrap_err()));
    let refused = desk.sign_in(PASSPHRASE);
    assert!(matches!(refused, Err(Error::TryAgain { .. })), "{refused:?}");
    advises(refused, "try again at");
}

#[test]
fn a_sign_in_that_has_become_too_old_stops_a_session() {
    let desk = Desk::new();
    let grant = desk.clinic.grant(NAME).all_kinds().actions([Action::Create]);
    let token = desk.clinic.token(&grant.sign_in(SignInLevel::OneFactor, Duration::from_secs(60))).unwrap();
    let opening = desk.clinic.vault().session_with(&token, Purpose::Treatment);
    let session = opening.sign_in(desk.sign_in(PASSPHRASE).unwrap()).open().unwrap();
    desk.clinic.clock().step(61);
    let refused = session.register_patient([]);
    assert!(matches!(refused, Err(Error::StepUpNeeded { .. })), "{refused:?}");
    advises(refused, "sign in again and step the session up");
}

#[test]
fn nobody_is_enrolled_twice() {
    let refused = Desk::new().enrol();
    assert!(matches!(refused, Err(Error::AlreadyEnrolled { .. })), "{refused:?}");
    advises(refused, "choose another name");
}

#[test]
fn who_is_not_enrolled_is_not_changed() {
    let refused = Desk::new().operator.principals().disable("nobody", "why not");
    assert!(matches!(refused, Err(Error::NoSuchPrincipal { .. })), "{refused:?}");
    advises(refused, "list its principals");
}

#[test]
fn an_authenticator_that_was_not_begun_is_not_confirmed() {
    let refused = Desk::new().operator.principals().confirm_totp(NAME, "123456");
    assert!(matches!(refused, Err(Error::NothingToConfirm)), "{refused:?}");
    advises(refused, "begin its enrolment anew");
}

#[test]
fn a_code_that_does_not_fit_confirms_nothing() {
    let desk = Desk::new();
    drop(desk.operator.principals().enrol_totp(NAME, "Clinic A").unwrap());
    let refused = desk.operator.principals().confirm_totp(NAME, "12345");
    assert!(matches!(refused, Err(Error::WrongCode)), "{refused:?}");
    advises(refused, "check the clock of its device");
}

#[test]
fn without_memory_no_password_is_looked_at() {
    let desk = Desk::new();
    let _dry = without(Resource::PassphraseMemory);
    let refused = desk.sign_in(PASSPHRASE);
    assert!(matches!(refused, Err(Error::NoMemory { .. })), "{refused:?}");
    advises(refused, "free some and try again");
}
