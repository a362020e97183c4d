//! People who sign in, for tests: a name, a password, and what their authenticator shows.
#![allow(dead_code)] // no test uses all of it

use std::sync::Arc;

use chartvault::test_util::TestClock;
use chartvault::*;
use totp_rs::{Algorithm, Builder};

pub const NAME: &str = "n.mensah";
pub const PASSWORD: &str = "seven ducks in a row";

pub fn password() -> Password {
    Password::new(PASSWORD)
}

pub fn wrong() -> Password {
    Password::new("eight ducks in a row")
}

pub fn enrol(operator: &Session, name: &str) -> PrincipalId {
    operator.principals().enrol(name, NewPrincipal::new().password(password())).unwrap()
}

/// An authenticator app, whose clock may be wrong by some seconds.
pub struct App {
    totp: totp_rs::Totp,
    clock: Arc<TestClock>,
}

impl App {
    /// Takes in the secret, as an app does.
    pub fn scan(enrolment: &TotpEnrolment, clock: &Arc<TestClock>) -> Self {
        Self::with_secret(&enrolment.expose_secret(), clock)
    }

    /// Takes in the secret as it is typed.
    pub fn with_secret(secret: &str, clock: &Arc<TestClock>) -> Self {
        let secret = data_encoding::BASE32_NOPAD.decode(secret.as_bytes()).unwrap();
        let secret = totp_rs::Secret::new_stack(secret.try_into().unwrap());
        let totp = Builder::new().with_algorithm(Algorithm::SHA1).with_secret(secret).with_skew(0).build().unwrap();
        Self { totp, clock: Arc::clone(clock) }
    }

    /// What it shows now.
    pub fn code(&self) -> String {
        self.code_in(0)
    }

    /// What it shows in so many seconds.
    pub fn code_in(&self, seconds: i64) -> String {
        let now = self.clock.now().as_micros() / 1_000_000 + seconds;
        self.totp.generate(now.try_into().unwrap()).to_string()
    }
}

/// Enrols an authenticator and confirms it; the clock has moved on to a step that was not used.
pub fn with_app(operator: &Session, name: &str, clock: &Arc<TestClock>) -> App {
    let app = App::scan(&operator.principals().enrol_totp(name, "Clinic A").unwrap(), clock);
    operator.principals().confirm_totp(name, &app.code()).unwrap();
    clock.step(30);
    app
}

/// The entries about signing in, oldest first: allowed or not, who, and what the log says of it.
pub fn attempts(log: &[AuditEntry]) -> Vec<(bool, Option<PrincipalId>, String)> {
    let about = |entry: &&AuditEntry| matches!(entry.event, AuditEvent::SignedIn | AuditEvent::SignInRefused);
    let told = |entry: &AuditEntry| {
        assert_eq!(entry.event == AuditEvent::SignedIn, entry.outcome == Outcome::Allowed);
        (entry.outcome == Outcome::Allowed, entry.actor, entry.detail.clone().unwrap_or_default())
    };
    log.iter().filter(about).map(told).collect()
}
