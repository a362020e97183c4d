//! [`Reader`] with names: what cannot be read is reported by field and offset.

use super::ParseError;
use crate::bytes::{Reader, Truncated};
use crate::crypto::aead::Suite;

/// Takes named fields off the front of an item.
#[derive(Clone, Copy)]
pub(crate) struct Fields<'a> {
    reader: Reader<'a>,
    len: usize,
}

impl<'a> Fields<'a> {
    pub(crate) const fn new(item: &'a [u8]) -> Self {
        Self { reader: Reader::new(item), len: item.len() }
    }

    /// Bytes read so far.
    pub(crate) const fn offset(&self) -> usize {
        self.len.saturating_sub(self.reader.rest().len())
    }

    /// What has not been read yet.
    pub(crate) const fn rest(&self) -> &'a [u8] {
        self.reader.rest()
    }

    /// A field through one of [`Reader`]'s methods, as in `fields.read("epoch", Reader::u32)`.
    pub(crate) fn read<T>(
        &mut self,
        field: &'static str,
        read: impl FnOnce(&mut Reader<'a>) -> Result<T, Truncated>,
    ) -> Result<T, ParseError> {
        let offset = self.offset();
        read(&mut self.reader).map_err(|Truncated| ParseError::CutShort { field, offset })
    }

    /// A field that must also pass `accept`.
    pub(crate) fn read_if<T>(
        &mut self,
        field: &'static str,
        read: impl FnOnce(&mut Reader<'a>) -> Result<T, Truncated>,
        accept: impl FnOnce(&T) -> bool,
    ) -> Result<T, ParseError> {
        let offset = self.offset();
        let value = self.read(field, read)?;
        if accept(&value) { Ok(value) } else { Err(ParseError::BadValue { field, offset }) }
    }

    /// A suite code.
    pub(crate) fn suite(&mut self) -> Result<Suite, ParseError> {
        let found = self.read("suite", Reader::u8)?;
        Suite::from_code(found).ok_or(ParseError::UnknownSuite { found })
    }

    /// Refuses bytes that were not read.
    pub(crate) fn finish(self) -> Result<(), ParseError> {
        self.reader.finish().map_err(|Truncated| ParseError::Trailing { offset: self.offset() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_name_field_and_offset() {
        let mut fields = Fields::new(&[1, 0, 2, 9, 9]);
        assert_eq!(fields.suite(), Ok(Suite::ChaCha20Poly1305));
        assert_eq!(
            fields.read_if("flags", Reader::u16, |flags| *flags == 0),
            Err(ParseError::BadValue { field: "flags", offset: 1 })
        );
        assert_eq!(fields.read("epoch", Reader::u32), Err(ParseError::CutShort { field: "epoch", offset: 3 }));
        assert_eq!(fields.finish(), Err(ParseError::Trailing { offset: 3 }));
        assert_eq!(Fields::new(&[3]).suite(), Err(ParseError::UnknownSuite { found: 3 }));
    }
}
