//! The recovery key and its text form, made to be written down by hand and typed back.
//!
//! Eleven groups of six characters in Crockford's base 32. Five characters of a group carry 25 bits, the sixth checks them
//! and the group's place, so that one mistyped character, two exchanged ones or two exchanged groups are found and the
//! group is named. The 275 bits are: 256 bits of key ‖ 16 bits of check over the whole key ‖ 3 zero bits.

use std::fmt;
use std::str::FromStr;

use zeroize::{Zeroize, Zeroizing};

use crate::crypto::{RandomFailed, kdf, random};
use crate::secret::Secret;

const ALPHABET: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";
const GROUPS: usize = 11;
const GROUP_LEN: usize = 6;
const GROUP_DATA: usize = GROUP_LEN - 1;
const DATA_LEN: usize = GROUPS * GROUP_DATA;

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
        // Reserved ahead, so that growing leaves no copies behind.
        let mut text = Zeroizing::new(String::with_capacity(GROUPS * (GROUP_LEN + 1)));
        for (index, group) in (0..).zip(self.symbols().chunks_exact(GROUP_DATA)) {
            if index > 0 {
                text.push('-');
            }
            text.extend(group.iter().map(|symbol| character(*symbol)));
            text.push(character(check_symbol(index, group)));
        }
        text
    }

    #[cfg(test)]
    pub(crate) const fn from_secret(secret: Secret<32>) -> Self {
        Self(secret)
    }

    pub(crate) fn expose(&self) -> &[u8; 32] {
        self.0.expose()
    }

    /// The 55 symbols that carry key and check: five bits each, highest first.
    fn symbols(&self) -> Zeroizing<Vec<u8>> {
        let check = kdf::recovery_check(self.expose());
        let mut symbols = Zeroizing::new(Vec::with_capacity(DATA_LEN));
        let (mut bits, mut held) = (0u16, 0);
        for byte in self.expose().iter().chain(&check) {
            bits = (bits << 8) | u16::from(*byte);
            held += 8;
            while held >= 5 {
                held -= 5;
                symbols.push(low_symbol(bits >> held));
            }
        }
        symbols.push(low_symbol(bits << (5 - held)));
        symbols
    }

    /// The key that these symbols carry, if check and zero bits are right.
    fn from_symbols(symbols: &[u8]) -> Option<Self> {
        let mut bytes = Zeroizing::new(Vec::with_capacity(DATA_LEN));
        let (mut bits, mut held) = (0u16, 0);
        for symbol in symbols {
            bits = (bits << 5) | u16::from(*symbol);
            held += 5;
            if held >= 8 {
                held -= 8;
                bytes.extend((bits >> held).to_be_bytes().last());
            }
        }
        let (key, rest) = bytes.split_first_chunk::<32>()?;
        let key = Self(Secret::from_slice(key)?);
        let right = rest == kdf::recovery_check(key.expose()) && bits & 0b111 == 0;
        right.then_some(key)
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
        let groups = split_groups(text)?;
        let mut symbols = Zeroizing::new(Vec::with_capacity(DATA_LEN));
        for (index, group) in (0u8..).zip(groups.iter()) {
            let wrong = InvalidRecoveryKey::Group { group: usize::from(index) + 1 };
            let values: Option<Zeroizing<Vec<u8>>> =
                group.chars().map(symbol).collect::<Option<_>>().map(Zeroizing::new);
            let values = values.filter(|values| values.len() == GROUP_LEN).ok_or(wrong)?;
            let (check, data) = values.split_last().ok_or(wrong)?;
            if *check != check_symbol(index, data) {
                return Err(wrong);
            }
            symbols.extend_from_slice(data);
        }
        Self::from_symbols(&symbols).ok_or(InvalidRecoveryKey::Whole)
    }
}

/// The eleven groups: as they were typed where they are separated, else six characters each.
fn split_groups(text: &str) -> Result<Vec<Zeroizing<String>>, InvalidRecoveryKey> {
    let pieces = text.split(|c: char| !c.is_alphanumeric()).filter(|piece| !piece.is_empty());
    let typed: Vec<_> = pieces.map(|piece| Zeroizing::new(piece.to_owned())).collect();
    if typed.len() == GROUPS {
        return Ok(typed);
    }
    let mut groups = Vec::with_capacity(GROUPS);
    let mut group = Zeroizing::new(String::with_capacity(4 * GROUP_LEN));
    let mut found = 0;
    for character in typed.iter().flat_map(|piece| piece.chars()) {
        group.push(character);
        found += 1;
        if found % GROUP_LEN == 0 {
            groups.push(group.clone());
            group.zeroize();
        }
    }
    if found == GROUPS * GROUP_LEN { Ok(groups) } else { Err(InvalidRecoveryKey::Length { found }) }
}

fn character(symbol: u8) -> char {
    ALPHABET.get(usize::from(symbol)).copied().map_or('?', char::from)
}

fn symbol(character: char) -> Option<u8> {
    let upper = match character.to_ascii_uppercase() {
        'I' | 'L' => '1',
        'O' => '0',
        other => other,
    };
    (0u8..).zip(ALPHABET).find(|(_, letter)| char::from(**letter) == upper).map(|(value, _)| value)
}

fn low_symbol(bits: u16) -> u8 {
    let [_, low] = bits.to_be_bytes();
    low & 0b1_1111
}

/// A check symbol over a group and its place (0 to 10): `Σ x^(6-i) · symbol_i` in GF(32) with x⁵ = x² + 1, the place
/// being symbol 0. Every factor differs, so that one wrong symbol and two exchanged ones always show.
fn check_symbol(index: u8, group: &[u8]) -> u8 {
    let times_x = |value: u8| ((value << 1) ^ if value & 0b1_0000 == 0 { 0 } else { 0b10_0101 }) & 0b1_1111;
    std::iter::once(&index).chain(group).fold(0, |sum, symbol| times_x(sum ^ symbol))
}

#[cfg(test)]
mod tests {
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
        let symbols = key([1; 32]).symbols();
        assert!(RecoveryKey::from_symbols(&symbols).is_some());
        for at in 0..DATA_LEN {
            for change in 1..32 {
                let mut other = symbols.clone();
                other[at] ^= change;
                assert!(RecoveryKey::from_symbols(&other).is_none(), "symbol {at}");
            }
        }
        let mut text = String::new();
        for (index, group) in (0..).zip(key([1; 32]).symbols().chunks(5)) {
            let mut group = group.to_vec();
            group[2] ^= u8::from(index < 2);
            text.extend(group.iter().map(|symbol| character(*symbol)));
            text.push(character(check_symbol(index, &group)));
        }
        assert_eq!(text.parse::<RecoveryKey>().unwrap_err(), InvalidRecoveryKey::Whole);
    }
}
