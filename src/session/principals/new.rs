//! Somebody about to be enrolled.

use std::fmt;

use super::check_text;
use crate::crypto::password::Password;
use crate::error::Error;
use crate::policy::MAX_DISPLAY_NAME;

/// What is known of somebody who is about to be enrolled; see [`Principals::enrol`](crate::Principals::enrol).
///
/// ```
/// use chartvault::{NewPrincipal, Password};
/// let new = NewPrincipal::new().display_name("Dr. Osei").password(Password::new("given by the front desk"));
/// assert!(!format!("{new:?}").contains("desk"));
/// ```
#[derive(Default)]
#[must_use = "nobody is enrolled before `enrol`"]
pub struct NewPrincipal {
    display_name: Option<String>,
    password: Option<Password>,
}

impl NewPrincipal {
    /// Somebody without a password.
    pub fn new() -> Self {
        Self::default()
    }

    /// What people call them: 1 to 128 bytes.
    pub fn display_name(self, name: &str) -> Self {
        Self { display_name: Some(name.to_owned()), ..self }
    }

    /// Their first password, of 8 to 1,024 bytes; let them change it ([`Vault::own_account`](crate::Vault::own_account)).
    pub fn password(self, password: Password) -> Self {
        Self { password: Some(password), ..self }
    }

    pub(super) fn check(&self) -> Result<(), Error> {
        self.display_name.as_ref().map_or(Ok(()), |name| check_text("name to show", name, MAX_DISPLAY_NAME))
    }

    pub(super) const fn first_password(&self) -> Option<&Password> {
        self.password.as_ref()
    }

    pub(super) fn into_display_name(self) -> Option<String> {
        self.display_name
    }
}

impl fmt::Debug for NewPrincipal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NewPrincipal").finish_non_exhaustive()
    }
}
