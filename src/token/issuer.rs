//! Issuers: the key that signs grants, and the key by which a vault knows its signature.

use std::fmt;
use std::str::FromStr;

use data_encoding::BASE64URL_NOPAD;
use zeroize::Zeroizing;

use crate::crypto::sign::{self, SigningSeed};
use crate::crypto::{RandomFailed, kdf};
use crate::ids::IssuerId;
use crate::secret::Secret;

const PREFIX: &str = "cvpk1_";

/// Signs grants (Ed25519, RFC 8032). It may live on another machine than the vault, which holds the public key only
/// and so can check grants, but not make them. Wiped when dropped, never printed.
///
/// ```
/// use chartvault::{IssuerKey, IssuerPublicKey};
/// let issuer = IssuerKey::generate()?;
/// let public: IssuerPublicKey = issuer.public().to_string().parse()?; // to be trusted by the vault
/// let again = IssuerKey::from_secret_bytes(&issuer.to_secret_bytes());
/// assert_eq!(again.public(), public);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct IssuerKey(SigningSeed);

impl IssuerKey {
    /// A new key from the operating system's random generator.
    ///
    /// # Errors
    /// [`RandomFailed`] if that gives nothing.
    pub fn generate() -> Result<Self, RandomFailed> {
        SigningSeed::generate().map(Self)
    }

    /// From the 32 bytes that [`IssuerKey::to_secret_bytes`] gave. Any 32 bytes are a key.
    #[must_use]
    pub fn from_secret_bytes(bytes: &[u8; 32]) -> Self {
        let mut copy = *bytes;
        Self(SigningSeed::from_seed(&Secret::take(&mut copy)))
    }

    /// The 32 secret bytes (the seed of RFC 8032). Whoever has them can grant anything in every vault that trusts this
    /// issuer.
    #[must_use]
    pub fn to_secret_bytes(&self) -> Zeroizing<[u8; 32]> {
        Zeroizing::new(*self.0.seed().expose())
    }

    /// The public half, for the vaults that shall trust this issuer.
    #[must_use]
    pub fn public(&self) -> IssuerPublicKey {
        IssuerPublicKey(self.0.public())
    }

    pub(super) fn sign(&self, message: &[u8]) -> [u8; sign::SIGNATURE_LEN] {
        self.0.sign(message)
    }
}

impl fmt::Debug for IssuerKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "IssuerKey({}, redacted)", self.public().id())
    }
}

/// These are not the bytes or the text of an issuer's public key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidIssuerKey {
    /// The text has another form.
    #[error("the text is not an issuer's public key (`cvpk1_` and 43 characters of unpadded base64url)")]
    Text,
    /// No point of the curve, not written canonically, or of small order: everyone could sign for it.
    #[error("these 32 bytes are no sound Ed25519 public key")]
    Unsound,
}

/// An issuer's public key: 32 bytes, shown as `cvpk1_` and 43 characters of base64url.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct IssuerPublicKey([u8; 32]);

impl IssuerPublicKey {
    /// From its 32 bytes.
    ///
    /// # Errors
    /// [`InvalidIssuerKey::Unsound`] unless they encode, canonically, a point that is not of small order.
    pub fn from_bytes(bytes: [u8; 32]) -> Result<Self, InvalidIssuerKey> {
        if sign::is_sound_key(&bytes) { Ok(Self(bytes)) } else { Err(InvalidIssuerKey::Unsound) }
    }

    /// Its 32 bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// The id by which tokens name it.
    #[must_use]
    pub fn id(&self) -> IssuerId {
        kdf::issuer_id(&self.0)
    }
}

impl fmt::Display for IssuerPublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{PREFIX}{}", BASE64URL_NOPAD.encode_display(&self.0))
    }
}

impl fmt::Debug for IssuerPublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for IssuerPublicKey {
    type Err = InvalidIssuerKey;

    fn from_str(text: &str) -> Result<Self, InvalidIssuerKey> {
        let encoded = text.strip_prefix(PREFIX).ok_or(InvalidIssuerKey::Text)?;
        let mut bytes = [0; 32];
        if BASE64URL_NOPAD.decode_len(encoded.len()) != Ok(bytes.len()) {
            return Err(InvalidIssuerKey::Text);
        }
        BASE64URL_NOPAD.decode_mut(encoded.as_bytes(), &mut bytes).map_err(|_| InvalidIssuerKey::Text)?;
        Self::from_bytes(bytes)
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    #[test]
    fn text_form_round_trips_and_is_the_only_one() {
        let key = IssuerKey::from_secret_bytes(&[7; 32]).public();
        let text = key.to_string();
        assert_eq!(text.parse(), Ok(key));
        for wrong in [
            "",
            "cvpk1_",
            &text[1..],
            &text[..text.len() - 1],
            &format!("{text}A"),
            &format!("{text}="),
            &format!(" {text}"),
        ] {
            assert_eq!(wrong.parse::<IssuerPublicKey>(), Err(InvalidIssuerKey::Text), "{wrong}");
        }
        // The last character carries two bits that must be zero.
        let last = text.chars().last().unwrap();
        let alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
        let next = alphabet.chars().nth(alphabet.find(last).unwrap() + 1).unwrap();
        assert_eq!(
            format!("{}{next}", &text[..text.len() - 1]).parse::<IssuerPublicKey>(),
            Err(InvalidIssuerKey::Text)
        );
    }

    #[test]
    fn debug_shows_no_secret() {
        let issuer = IssuerKey::from_secret_bytes(&[0xAB; 32]);
        let shown = format!("{issuer:?}");
        assert!(!shown.to_lowercase().contains("abab") && !shown.contains("171, 171"), "{shown}");
    }

    #[test]
    fn small_order_and_non_canonical_keys_are_not_trusted() {
        for bytes in unsound_keys() {
            assert_eq!(IssuerPublicKey::from_bytes(bytes), Err(InvalidIssuerKey::Unsound), "{bytes:02x?}");
        }
    }

    /// The encodings of the eight points of small order (RFC 8032 leaves them out; see "Taming the many EdDSAs",
    /// Chalkias et al. 2020, table 5), canonical or not, a non-canonical y of large order, and an x without a root.
    pub(in crate::token) fn unsound_keys() -> Vec<[u8; 32]> {
        [
            "0100000000000000000000000000000000000000000000000000000000000000",
            "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
            "0000000000000000000000000000000000000000000000000000000000000000",
            "0000000000000000000000000000000000000000000000000000000000000080",
            "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
            "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc85",
            "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
            "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa",
            "0100000000000000000000000000000000000000000000000000000000000080",
            "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
            "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
            "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
            "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
            "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
            "f0ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
            "0200000000000000000000000000000000000000000000000000000000000000",
        ]
        .map(|hex| data_encoding::HEXLOWER.decode(hex.as_bytes()).unwrap().try_into().unwrap())
        .to_vec()
    }
}
