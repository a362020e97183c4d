//! The recovery key and its text form, made to be written down by hand and typed back.
//!
//! Eleven groups of six characters in Crockford's base 32. Five characters of a group carry 25 bits, the sixth checks them
//! and the group's place, so that one mistyped character, two exchanged ones or two exchanged groups are found and the
//! group is named. The 275 bits are: 256 bits of key ‖ 16 bits of check over the whole key ‖ 3 zero bits.

use std::fmt;
use std::str::FromStr;

use zeroize::Zeroizing;

use super::grouped::{GROUP_LEN, Mistyped, bytes_of, groups_of, text_of};
use crate::crypto::{RandomFailed, kdf, random};
use crate::secret::{Secret, SecretBytes};

/// Key and check.
const LEN: usize = 32 + 2;
const GROUPS: usize = groups_of(LEN);

/// A 256-bit key that opens a vault when its passphrase is lost. Shown once, to be kept on paper.
///
/// ```
/// use chartvault::RecoveryKey;
/// let key = RecoveryKey::generate()?;
/// let on_paper = key.expose_text();
/// let typed_back: RecoveryKey = on_paper.to_lowercase().parse()?;
/// assert_eq!(*typed_back.expose_text(), *on_paper);
/// assert_eq!(format!("{key:?}"), "RecoveryKey(redacted)");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct RecoveryKey(Secret<32>);

impl RecoveryKey {
    /// Draws a new key.
    ///
    /// # Errors
    /// [`RandomFailed`] when the operating system gives no random bytes.
    pub fn generate() -> Result<Self, RandomFailed> {
        random::secret().map(Self)
    }

    /// The key as text, to be shown once and written down: eleven groups of six characters (Crockford's base 32), joined
    /// by hyphens. The text is wiped when it is dropped.
    #[must_use]
    pub fn expose_text(&self) -> Zeroizing<String> {
        text_of(&self.to_bytes())
    }

    #[cfg(test)]
    pub(crate) const fn from_secret(secret: Secret<32>) -> Self {
        Self(secret)
    }

    pub(crate) fn expose(&self) -> &[u8; 32] {
        self.0.expose()
    }

    fn to_bytes(&self) -> SecretBytes {
        let mut bytes = Zeroizing::new(Vec::with_capacity(LEN));
        bytes.extend_from_slice(self.expose());
        bytes.extend_from_slice(&kdf::recovery_check(self.expose()));
        bytes
    }

    /// The key that these bytes carry, if the check is right.
    fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (key, check) = bytes.split_first_chunk::<32>()?;
        let key = Self(Secret::from_slice(key)?);
        (check == kdf::recovery_check(key.expose())).then_some(key)
    }
}

impl fmt::Debug for RecoveryKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RecoveryKey(redacted)")
    }
}

/// Why a text is no recovery key. Says which group to look at again, and nothing of what was typed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidRecoveryKey {
    /// There are too few or too many characters.
    #[error("a recovery key has {GROUPS} groups of {GROUP_LEN} characters; {found} characters were given")]
    Length {
        /// Letters and digits found.
        found: usize,
    },
    /// One group is mistyped or stands in the wrong place.
    #[error("group {group} of the recovery key is mistyped; compare it with the paper")]
    Group {
        /// Which group, counted from 1.
        group: usize,
    },
    /// Each group looks right, but together they are no key: more than one is mistyped.
    #[error("the recovery key is mistyped in more than one place; compare every group with the paper")]
    Whole,
}

impl FromStr for RecoveryKey {
    type Err = InvalidRecoveryKey;

    /// Reads upper and lower case alike, I and L as 1, O as 0, and whatever separates the groups, or nothing.
    fn from_str(text: &str) -> Result<Self, InvalidRecoveryKey> {
        let bytes = bytes_of(text, LEN)?;
        Self::from_bytes(&bytes).ok_or(InvalidRecoveryKey::Whole)
    }
}

impl From<Mistyped> for InvalidRecoveryKey {
    fn from(mistyped: Mistyped) -> Self {
        match mistyped {
            Mistyped::Length { found } => Self::Length { found },
            Mistyped::Group { group } => Self::Group { group },
            Mistyped::Whole => Self::Whole,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::grouped::{ALPHABET, from_symbols, symbols, text_of_symbols};
    use super::*;
    use proptest::prelude::*;

    fn key(mut bytes: [u8; 32]) -> RecoveryKey {
        RecoveryKey(Secret::take(&mut bytes))
    }

    proptest! {
        #[test]
        fn text_round_trips(bytes: [u8; 32]) {
            let text = key(bytes).expose_text();
            prop_assert_eq!(text.len(), 11 * 7 - 1);
            for shape in [text.to_string(), text.to_lowercase(), text.replace('-', ""), text.replace('-', " \n"),
                text.replace('1', "l").replace('0', "o"), text.replace('1', "I").replace('0', "O")] {
                prop_assert_eq!(*shape.parse::<RecoveryKey>().unwrap().expose(), bytes);
            }
        }

        #[test]
        fn any_text_is_read_without_panic(text in ".{0,90}") {
            let _ = text.parse::<RecoveryKey>();
        }
    }

    #[test]
    fn each_single_wrong_character_names_its_group() {
        let text = key([0xC3; 32]).expose_text();
        for (at, right) in text.char_indices().filter(|(_, c)| *c != '-') {
            for wrong in ALPHABET.iter().map(|c| char::from(*c)).filter(|c| *c != right).chain(['U', 'u', 'ä']) {
                let typed = format!("{}{wrong}{}", &text[..at], &text[at + 1..]);
                let group = at / 7 + 1;
                assert_eq!(typed.parse::<RecoveryKey>().unwrap_err(), InvalidRecoveryKey::Group { group }, "{at}");
            }
        }
    }

    #[test]
    fn exchanged_characters_and_groups_name_the_group() {
        let text = key(std::array::from_fn(|at| u8::try_from(at * 7 + 3).unwrap())).expose_text();
        let groups: Vec<&str> = text.split('-').collect();
        for (index, group) in groups.iter().enumerate() {
            let letters: Vec<char> = group.chars().collect();
            for (a, b) in
                (0..6).flat_map(|a| (a + 1..6).map(move |b| (a, b))).filter(|(a, b)| letters[*a] != letters[*b])
            {
                let mut exchanged = letters.clone();
                exchanged.swap(a, b);
                let mut typed: Vec<String> = groups.iter().map(|group| (*group).to_owned()).collect();
                typed[index] = exchanged.iter().collect();
                let error = typed.join("-").parse::<RecoveryKey>().unwrap_err();
                assert_eq!(error, InvalidRecoveryKey::Group { group: index + 1 });
            }
            for other in index + 1..groups.len() {
                let mut exchanged = groups.clone();
                exchanged.swap(index, other);
                let error = exchanged.join("-").parse::<RecoveryKey>().unwrap_err();
                assert_eq!(error, InvalidRecoveryKey::Group { group: index + 1 });
            }
        }
    }

    #[test]
    fn missing_and_superfluous_characters_are_named() {
        let text = key([1; 32]).expose_text();
        let short = text.replacen(&text[7..8], "", 1);
        assert!(matches!(short.parse::<RecoveryKey>(), Err(InvalidRecoveryKey::Group { .. })));
        let bare = text.replace('-', "");
        assert_eq!(bare[1..].parse::<RecoveryKey>().unwrap_err(), InvalidRecoveryKey::Length { found: 65 });
        assert_eq!("".parse::<RecoveryKey>().unwrap_err(), InvalidRecoveryKey::Length { found: 0 });
        let long = "0".repeat(1_000_000);
        assert_eq!(long.parse::<RecoveryKey>().unwrap_err(), InvalidRecoveryKey::Length { found: 1_000_000 });
    }

    #[test]
    fn errors_that_every_group_misses_are_caught_by_the_whole() {
        let read = |symbols: &[u8]| from_symbols(symbols, LEN).and_then(|bytes| RecoveryKey::from_bytes(&bytes));
        let right = symbols(&key([1; 32]).to_bytes());
        assert!(read(&right).is_some());
        for at in 0..right.len() {
            for change in 1..32 {
                let mut other = right.clone();
                other[at] ^= change;
                assert!(read(&other).is_none(), "symbol {at}");
            }
        }
        let mut other = right.clone();
        other[2] ^= 1;
        other[7] ^= 1;
        let text = text_of_symbols(&other);
        assert_eq!(text.parse::<RecoveryKey>().unwrap_err(), InvalidRecoveryKey::Whole);
    }
}
