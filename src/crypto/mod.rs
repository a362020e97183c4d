//! Floor 1: cryptography. One small function a primitive, every derivation in [`kdf`], everything that is
//! encrypted through [`seal`]. Knows no stored format and does no I/O.

pub(crate) mod aead;
#[cfg(test)]
pub(crate) mod counted;
pub(crate) mod hash;
pub(crate) mod kdf;
pub(crate) mod kdf_parameters;
pub(crate) mod pad;
pub(crate) mod passphrase;
pub(crate) mod password;
pub(crate) mod pbkdf2;
pub(crate) mod random;
#[cfg(feature = "test-util")]
pub(crate) mod scarce;
pub(crate) mod seal;
#[cfg(feature = "test-util")]
pub(crate) mod seeded;
pub(crate) mod shamir;
pub(crate) mod sign;
pub(crate) mod totp;

#[cfg(test)]
mod key_types;

#[cfg(test)]
mod two_keys;
#[cfg(test)]
mod vectors;

/// The operating system gave no random bytes. Nothing was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the operating system's random generator failed; nothing was written: try again")]
pub struct RandomFailed;
