//! Recovery codes: what opens an account once each when the authenticator is lost.

use std::fmt;

use zeroize::Zeroizing;

use crate::crypto::{RandomFailed, kdf, random};
use crate::ids::PrincipalId;
use crate::keyring::{bytes_of, text_of};
use crate::secret::Secret;

/// Codes that a principal gets at a time.
pub(crate) const RECOVERY_CODES: usize = 10;
/// Bytes of a code: 120 bits, so that no guess needs to be made slow.
const LEN: usize = 15;

/// Ten codes, shown once, each of which stands once for the second factor when somebody signs in
/// ([`SignIn::recovery_code`](crate::SignIn::recovery_code)). The vault keeps their hashes alone. Wiped on drop, never
/// printed by `Debug`.
pub struct RecoveryCodes(Vec<Secret<LEN>>);

impl RecoveryCodes {
    pub(crate) fn generate() -> Result<Self, RandomFailed> {
        (0..RECOVERY_CODES).map(|_| random::secret()).collect::<Result<_, _>>().map(Self)
    }

    /// The codes as text, to be shown once and printed or written down: five groups of six characters each (Crockford's base
    /// 32), joined by hyphens. Wiped when dropped.
    pub fn expose_texts(&self) -> impl Iterator<Item = Zeroizing<String>> {
        self.0.iter().map(|code| text_of(code.expose()))
    }

    /// What is kept of them.
    pub(crate) fn hashes(&self, of: PrincipalId) -> Vec<[u8; 32]> {
        self.0.iter().map(|code| kdf::recovery_code_hash(of, code.expose())).collect()
    }
}

impl fmt::Debug for RecoveryCodes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RecoveryCodes(redacted)")
    }
}

/// The hash of a code as it was typed; `None` where it is none. Reads upper and lower case alike, and whatever separates
/// the groups.
pub(crate) fn hash_of_typed(code: &str, of: PrincipalId) -> Option<[u8; 32]> {
    // Nobody types more, and nothing longer is looked at.
    if code.len() > 256 {
        return None;
    }
    let bytes = bytes_of(code, LEN).ok()?;
    let code = Secret::<LEN>::from_slice(&bytes)?;
    Some(kdf::recovery_code_hash(of, code.expose()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_come_back_from_their_texts_for_their_principal_alone() {
        let (codes, of) = (RecoveryCodes::generate().unwrap(), kdf::principal_id("dr.osei"));
        let hashes = codes.hashes(of);
        assert_eq!(hashes.len(), RECOVERY_CODES);
        for (text, hash) in codes.expose_texts().zip(hashes) {
            assert_eq!(text.len(), 5 * 7 - 1);
            assert_eq!(hash_of_typed(&text, of), Some(hash));
            assert_eq!(hash_of_typed(&text.to_lowercase().replace('-', " "), of), Some(hash));
            assert_ne!(hash_of_typed(&text, kdf::principal_id("dr.ama")), Some(hash));
            assert_eq!(hash_of_typed(&text[1..], of), None);
        }
        assert_eq!(hash_of_typed(&"0".repeat(1 << 20), of), None);
    }

    #[test]
    fn codes_differ_and_are_not_printed() {
        let codes = RecoveryCodes::generate().unwrap();
        let mut texts: Vec<String> = codes.expose_texts().map(|text| text.to_string()).collect();
        assert_eq!(format!("{codes:?}"), "RecoveryCodes(redacted)");
        texts.sort();
        texts.dedup();
        assert_eq!(texts.len(), RECOVERY_CODES);
    }
}
