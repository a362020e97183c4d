//! Bytes as text that is written down by hand and typed back: groups of six characters in Crockford's base 32, of which
//! five carry 25 bits and the sixth checks them and the group's place, so that one mistyped character, two exchanged ones
//! or two exchanged groups are found and the group is named. Zero bits fill the last group.

use zeroize::{Zeroize, Zeroizing};

use crate::secret::SecretBytes;

pub(super) const ALPHABET: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";
pub(super) const GROUP_LEN: usize = 6;
const GROUP_DATA: usize = GROUP_LEN - 1;

/// Groups that so many bytes take.
pub(super) const fn groups_of(len: usize) -> usize {
    (len * 8).div_ceil(GROUP_DATA * 5)
}

/// Why a text does not give bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mistyped {
    /// Letters and digits found, which are too few or too many.
    Length { found: usize },
    /// Which group, counted from 1.
    Group { group: usize },
    /// The bits that fill the last group are not zero.
    Whole,
}

pub(crate) fn text_of(bytes: &[u8]) -> Zeroizing<String> {
    text_of_symbols(&symbols(bytes))
}

pub(super) fn text_of_symbols(symbols: &[u8]) -> Zeroizing<String> {
    // Reserved ahead, so that growing leaves no copies behind.
    let mut text = Zeroizing::new(String::with_capacity(symbols.len() / GROUP_DATA * (GROUP_LEN + 1)));
    for (index, group) in (0..).zip(symbols.chunks_exact(GROUP_DATA)) {
        if index > 0 {
            text.push('-');
        }
        text.extend(group.iter().map(|symbol| character(*symbol)));
        text.push(character(check_symbol(index, group)));
    }
    text
}

/// Reads upper and lower case alike, I and L as 1, O as 0, and whatever separates the groups, or nothing.
pub(crate) fn bytes_of(text: &str, len: usize) -> Result<SecretBytes, Mistyped> {
    let groups = split_groups(text, groups_of(len))?;
    let mut symbols = Zeroizing::new(Vec::with_capacity(groups.len() * GROUP_DATA));
    for (index, group) in (0u8..).zip(groups.iter()) {
        let wrong = Mistyped::Group { group: usize::from(index) + 1 };
        let values: Option<Zeroizing<Vec<u8>>> = group.chars().map(symbol).collect::<Option<_>>().map(Zeroizing::new);
        let values = values.filter(|values| values.len() == GROUP_LEN).ok_or(wrong)?;
        let (check, data) = values.split_last().ok_or(wrong)?;
        if *check != check_symbol(index, data) {
            return Err(wrong);
        }
        symbols.extend_from_slice(data);
    }
    from_symbols(&symbols, len).ok_or(Mistyped::Whole)
}

/// The symbols that carry the bytes: five bits each, highest first, then zeros to the end of a group.
pub(super) fn symbols(bytes: &[u8]) -> Zeroizing<Vec<u8>> {
    let all = groups_of(bytes.len()) * GROUP_DATA;
    let mut symbols = Zeroizing::new(Vec::with_capacity(all));
    let (mut bits, mut held) = (0u16, 0);
    for byte in bytes {
        bits = (bits << 8) | u16::from(*byte);
        held += 8;
        while held >= 5 {
            held -= 5;
            symbols.push(low_symbol(bits >> held));
        }
    }
    if held > 0 {
        symbols.push(low_symbol(bits << (5 - held)));
    }
    symbols.resize(all, 0);
    symbols
}

/// The bytes that these symbols carry, if what fills the last group is zero.
pub(super) fn from_symbols(symbols: &[u8], len: usize) -> Option<SecretBytes> {
    let mut bytes = Zeroizing::new(Vec::with_capacity(symbols.len()));
    let (mut bits, mut held) = (0u16, 0);
    for symbol in symbols {
        bits = (bits << 5) | u16::from(*symbol);
        held += 5;
        if held >= 8 {
            held -= 8;
            bytes.extend((bits >> held).to_be_bytes().last());
            bits &= (1 << held) - 1;
        }
    }
    let filling = bytes.get(len..)?;
    let is_zero = bits == 0 && filling.iter().all(|byte| *byte == 0);
    bytes.truncate(len);
    is_zero.then_some(bytes)
}

/// The groups: as they were typed where they are separated, else six characters each.
fn split_groups(text: &str, count: usize) -> Result<Vec<Zeroizing<String>>, Mistyped> {
    let pieces = text.split(|c: char| !c.is_alphanumeric()).filter(|piece| !piece.is_empty());
    let typed: Vec<_> = pieces.map(|piece| Zeroizing::new(piece.to_owned())).collect();
    if typed.len() == count {
        return Ok(typed);
    }
    let mut groups = Vec::with_capacity(count);
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
    if found == count * GROUP_LEN { Ok(groups) } else { Err(Mistyped::Length { found }) }
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

/// A check symbol over a group and its place (from 0): `Σ x^(6-i) · symbol_i` in GF(32) with x⁵ = x² + 1, the place
/// being symbol 0. Every factor differs, so that one wrong symbol and two exchanged ones always show.
fn check_symbol(index: u8, group: &[u8]) -> u8 {
    let times_x = |value: u8| ((value << 1) ^ if value & 0b1_0000 == 0 { 0 } else { 0b10_0101 }) & 0b1_1111;
    std::iter::once(&index).chain(group).fold(0, |sum, symbol| times_x(sum ^ symbol))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn bytes_of_any_length_come_back(bytes in proptest::collection::vec(any::<u8>(), 1..100)) {
            let text = text_of(&bytes);
            prop_assert_eq!(text.len(), groups_of(bytes.len()) * 7 - 1);
            prop_assert_eq!(bytes_of(&text, bytes.len()).unwrap().to_vec(), bytes.clone());
            prop_assert_eq!(symbols(&bytes).len(), groups_of(bytes.len()) * 5);
        }
    }

    #[test]
    fn each_bit_that_fills_the_last_group_must_be_zero() {
        for len in 1..60 {
            let whole = symbols(&vec![0xFF; len]);
            let filling = groups_of(len) * 25 - len * 8;
            for bit in 0..filling {
                let mut other = whole.to_vec();
                let at = other.len() - 1 - bit / 5;
                other[at] ^= 1 << (bit % 5);
                assert!(from_symbols(&other, len).is_none(), "{len} bytes, bit {bit}");
            }
            assert!(from_symbols(&whole, len).is_some());
        }
    }
}
