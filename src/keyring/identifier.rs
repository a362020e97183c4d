//! One form for identifiers that mean the same, before they are blinded.

use unicode_normalization::UnicodeNormalization;
use zeroize::Zeroizing;

/// Most bytes of an identifier's system or value, normalised.
pub(crate) const MAX_IDENTIFIER: usize = 1024;

/// An identifier's system or value that cannot be looked up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("an identifier's system and value have 1 to {limit} bytes each, besides white space around them")]
#[non_exhaustive]
pub struct IdentifierNotAllowed {
    /// Most bytes of either.
    pub limit: usize,
}

/// Unicode NFC without white space around it. Case, inner spaces and leading zeros count, for some registries tell
/// patients apart by them; and NFKC would fold characters that a registry keeps apart.
pub(super) fn normalised(text: &str) -> Result<(Zeroizing<String>, u16), IdentifierNotAllowed> {
    let refused = IdentifierNotAllowed { limit: MAX_IDENTIFIER };
    let trimmed = text.trim();
    // NFC is never shorter than a third of what it was made from, so a longer text cannot fit either.
    if trimmed.is_empty() || trimmed.len() > 3 * MAX_IDENTIFIER {
        return Err(refused);
    }
    let mut normal = Zeroizing::new(String::with_capacity(3 * trimmed.len()));
    normal.extend(trimmed.nfc());
    let len = u16::try_from(normal.len()).map_err(|_| refused)?;
    if normal.len() > MAX_IDENTIFIER { Err(refused) } else { Ok((normal, len)) }
}

/// The one form of an identifier's system or value, before anything is done with it.
pub(crate) fn normal_form(text: &str) -> Result<String, IdentifierNotAllowed> {
    normalised(text).map(|(normal, _)| String::from(normal.as_str()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn form(text: &str) -> String {
        normalised(text).unwrap().0.to_string()
    }

    #[test]
    fn spaces_around_and_composition_do_not_matter() {
        assert_eq!(form("\u{a0} 123 45\n"), "123 45");
        assert_eq!(form("Mu\u{308}ller"), form("M\u{fc}ller"));
    }

    #[test]
    fn case_zeros_and_lookalikes_matter() {
        for (a, b) in [("a1", "A1"), ("01", "1"), ("1 2", "12"), ("\u{2460}", "1")] {
            assert_ne!(form(a), form(b));
        }
    }

    #[test]
    fn nothing_and_too_much_are_refused() {
        let refused = IdentifierNotAllowed { limit: MAX_IDENTIFIER };
        assert!(normalised(&"x".repeat(MAX_IDENTIFIER)).is_ok());
        for text in ["", " \t", &"x".repeat(MAX_IDENTIFIER + 1), &"x".repeat(100_000)] {
            assert_eq!(normalised(text).unwrap_err(), refused);
        }
        // U+0958 becomes three bytes more in NFC: the limit holds for what is hashed.
        assert_eq!(normalised(&"\u{958}".repeat(MAX_IDENTIFIER / 3)).unwrap_err(), refused);
    }
}
