//! Keys beside the issuer's (Ed25519, RFC 8032): of who holds a bound token, of a device, of an attester.

use std::fmt;
use std::str::FromStr;

use zeroize::Zeroizing;

use super::text;
use crate::crypto::sign::{self, SigningSeed};
use crate::crypto::{RandomFailed, hash, kdf};
use crate::ids::{AttesterId, DeviceId};
use crate::secret::Secret;

/// These are not the bytes or the text of the public key that is expected here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidPublicKey {
    /// The text has another form.
    #[error("the text is not {expected} (`{prefix}` and 43 characters of unpadded base64url)")]
    Text {
        /// Whose key was expected.
        expected: &'static str,
        /// What its text begins with.
        prefix: &'static str,
    },
    /// No point of the curve, not written canonically, or of small order: everyone could sign for it.
    #[error("these 32 bytes are no sound Ed25519 public key")]
    Unsound,
}

macro_rules! key_pair {
    ($(#[$doc:meta])* $secret:ident, $(#[$public_doc:meta])* $public:ident, $prefix:literal, $expected:literal) => {
        $(#[$doc])*
        pub struct $secret(SigningSeed);

        impl $secret {
            /// A new key from the operating system's random generator.
            ///
            /// # Errors
            /// [`RandomFailed`] if that gives nothing.
            pub fn generate() -> Result<Self, RandomFailed> {
                SigningSeed::generate().map(Self)
            }

            /// From its 32 secret bytes (the seed of RFC 8032). Any 32 bytes are a key.
            #[must_use]
            pub fn from_secret_bytes(bytes: &[u8; 32]) -> Self {
                let mut copy = *bytes;
                Self(SigningSeed::from_seed(&Secret::take(&mut copy)))
            }

            /// Its 32 secret bytes. Whoever has them can sign in its place.
            #[must_use]
            pub fn to_secret_bytes(&self) -> Zeroizing<[u8; 32]> {
                Zeroizing::new(*self.0.seed().expose())
            }

            /// The public half.
            #[must_use]
            pub fn public(&self) -> $public {
                $public(self.0.public())
            }

            pub(super) const fn seed(&self) -> &SigningSeed {
                &self.0
            }
        }

        impl fmt::Debug for $secret {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}({}, redacted)", stringify!($secret), self.public())
            }
        }

        $(#[$public_doc])*
        #[derive(Clone, Copy, PartialEq, Eq, Hash)]
        pub struct $public([u8; 32]);

        impl $public {
            /// From its 32 bytes.
            ///
            /// # Errors
            /// [`InvalidPublicKey::Unsound`] unless they encode, canonically, a point that is not of small order.
            pub fn from_bytes(bytes: [u8; 32]) -> Result<Self, InvalidPublicKey> {
                if sign::is_sound_key(&bytes) { Ok(Self(bytes)) } else { Err(InvalidPublicKey::Unsound) }
            }

            /// Its 32 bytes.
            #[must_use]
            pub const fn as_bytes(&self) -> &[u8; 32] {
                &self.0
            }
        }

        impl fmt::Display for $public {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                text::write(f, $prefix, &self.0)
            }
        }

        impl fmt::Debug for $public {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }

        impl FromStr for $public {
            type Err = InvalidPublicKey;

            fn from_str(text: &str) -> Result<Self, InvalidPublicKey> {
                let invalid = InvalidPublicKey::Text { expected: $expected, prefix: $prefix };
                Self::from_bytes(text::read($prefix, text).ok_or(invalid)?)
            }
        }
    };
}

key_pair!(
    /// The key of who holds a bound token (Ed25519, RFC 8032). It never leaves its holder; the token names its public
    /// half, and a session opens only for whoever proves to have it. Wiped when dropped, never printed.
    ///
    /// ```
    /// use chartvault::{HolderKey, HolderPublicKey};
    /// let holder = HolderKey::generate()?; // stays on the holder's machine
    /// let public: HolderPublicKey = holder.public().to_string().parse()?; // goes to whoever grants
    /// assert_eq!(public, holder.public());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    HolderKey,
    /// A holder's public key: 32 bytes, shown as `cvhk1_` and 43 characters of base64url.
    HolderPublicKey, "cvhk1_", "a holder's public key"
);

key_pair!(
    /// The key of a device (Ed25519, RFC 8032), for tokens that open sessions on that device only. Wiped when dropped,
    /// never printed.
    ///
    /// ```
    /// use chartvault::{DeviceId, DeviceKey};
    /// let device = DeviceKey::generate()?; // stays in the device
    /// let id: DeviceId = device.public().id(); // what tokens name
    /// assert!(id.to_string().starts_with("device-"));
    /// # Ok::<(), chartvault::RandomFailed>(())
    /// ```
    DeviceKey,
    /// A device's public key: 32 bytes, shown as `cvdk1_` and 43 characters of base64url.
    DevicePublicKey, "cvdk1_", "a device's public key"
);

key_pair!(
    /// Signs attestations (Ed25519, RFC 8032): of an identity provider, a sign-in service, a duty roster. The vault
    /// holds the public half only. Wiped when dropped, never printed.
    ///
    /// ```
    /// use chartvault::AttesterKey;
    /// let attester = AttesterKey::generate()?; // stays with the sign-in service
    /// assert!(attester.public().to_string().starts_with("cvak1_")); // to be trusted by the vault
    /// # Ok::<(), chartvault::RandomFailed>(())
    /// ```
    AttesterKey,
    /// An attester's public key: 32 bytes, shown as `cvak1_` and 43 characters of base64url.
    AttesterPublicKey, "cvak1_", "an attester's public key"
);

impl DevicePublicKey {
    /// The id by which tokens and log entries name it: the SHA-256 of the key.
    #[must_use]
    pub fn id(&self) -> DeviceId {
        DeviceId::from_bytes(hash::sha256(&[&self.0]))
    }
}

impl AttesterPublicKey {
    /// The id by which tokens and attestations name it.
    #[must_use]
    pub fn id(&self) -> AttesterId {
        kdf::attester_id(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::token::issuer::tests::unsound_keys;

    #[test]
    fn each_kind_of_key_has_a_text_form_of_its_own() {
        let holder = HolderKey::from_secret_bytes(&[7; 32]).public();
        let device = DeviceKey::from_secret_bytes(&[7; 32]).public();
        let attester = AttesterKey::from_secret_bytes(&[7; 32]).public();
        assert_eq!(holder.as_bytes(), device.as_bytes());
        assert_eq!(holder.to_string().parse(), Ok(holder));
        assert_eq!(device.to_string().parse(), Ok(device));
        assert_eq!(attester.to_string().parse(), Ok(attester));
        for other in [device.to_string(), attester.to_string(), holder.to_string()[1..].to_owned()] {
            assert!(matches!(other.parse::<HolderPublicKey>(), Err(InvalidPublicKey::Text { .. })), "{other}");
        }
    }

    #[test]
    fn nobody_is_bound_to_a_key_that_everyone_can_sign_for() {
        for bytes in unsound_keys() {
            assert_eq!(HolderPublicKey::from_bytes(bytes), Err(InvalidPublicKey::Unsound));
            assert_eq!(DevicePublicKey::from_bytes(bytes), Err(InvalidPublicKey::Unsound));
            assert_eq!(AttesterPublicKey::from_bytes(bytes), Err(InvalidPublicKey::Unsound));
        }
    }

    #[test]
    fn debug_shows_no_secret() {
        let shown = [
            format!("{:?}", HolderKey::from_secret_bytes(&[0xAB; 32])),
            format!("{:?}", DeviceKey::from_secret_bytes(&[0xAB; 32])),
            format!("{:?}", AttesterKey::from_secret_bytes(&[0xAB; 32])),
        ];
        for shown in shown {
            assert!(!shown.to_lowercase().contains("abab") && !shown.contains("171, 171"), "{shown}");
        }
    }
}
