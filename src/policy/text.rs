//! Fields that several rows have.

use super::row::BadRow;
use crate::bytes::{Put, Reader};
use crate::clock::Timestamp;

/// `u16 len ‖ UTF-8`. Whoever writes a row has checked that the text is within its limit.
pub(super) fn put_text(out: &mut Vec<u8>, text: &str) {
    out.put_u16(u16::try_from(text.len()).unwrap_or(u16::MAX));
    out.put(text.as_bytes());
}

/// A text of at most so many bytes.
pub(super) fn text(reader: &mut Reader<'_>, most: usize) -> Result<String, BadRow> {
    let text = std::str::from_utf8(reader.len16()?).map_err(|_| BadRow)?;
    if text.len() > most { Err(BadRow) } else { Ok(text.to_owned()) }
}

pub(super) fn time(reader: &mut Reader<'_>) -> Result<Timestamp, BadRow> {
    Ok(Timestamp::from_micros(reader.i64()?))
}

/// A field that is there if its bit is set.
pub(super) fn maybe<T>(flags: u8, bit: u8, read: impl FnOnce() -> Result<T, BadRow>) -> Result<Option<T>, BadRow> {
    if flags & bit == 0 { Ok(None) } else { read().map(Some) }
}

/// A bit for a field that is there.
pub(super) const fn bit<T>(field: &Option<T>, bit: u8) -> u8 {
    if field.is_some() { bit } else { 0 }
}
