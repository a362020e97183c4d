//! The one text form of what is handed around beside tokens: a prefix, and base64url without padding.

use std::fmt;

use data_encoding::BASE64URL_NOPAD;

pub(super) fn write(f: &mut fmt::Formatter<'_>, prefix: &str, bytes: &[u8]) -> fmt::Result {
    write!(f, "{prefix}{}", BASE64URL_NOPAD.encode_display(bytes))
}

/// The bytes of a text of exactly this form and length.
pub(super) fn read<const N: usize>(prefix: &str, text: &str) -> Option<[u8; N]> {
    let encoded = text.strip_prefix(prefix)?;
    let mut bytes = [0; N];
    if BASE64URL_NOPAD.decode_len(encoded.len()) != Ok(N) {
        return None;
    }
    BASE64URL_NOPAD.decode_mut(encoded.as_bytes(), &mut bytes).ok()?;
    Some(bytes)
}
