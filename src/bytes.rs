//! Reading and writing big-endian bytes without ever indexing.

/// The bytes end before the field does, or go on after the last one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Truncated;

/// Takes fields off the front of stored or received bytes.
#[derive(Clone, Copy)]
pub(crate) struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    pub(crate) const fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    /// What has not been read yet.
    pub(crate) const fn rest(&self) -> &'a [u8] {
        self.0
    }

    pub(crate) fn take(&mut self, len: usize) -> Result<&'a [u8], Truncated> {
        let (taken, rest) = self.0.split_at_checked(len).ok_or(Truncated)?;
        self.0 = rest;
        Ok(taken)
    }

    pub(crate) fn array<const N: usize>(&mut self) -> Result<[u8; N], Truncated> {
        let (taken, rest) = self.0.split_first_chunk().ok_or(Truncated)?;
        self.0 = rest;
        Ok(*taken)
    }

    pub(crate) fn u8(&mut self) -> Result<u8, Truncated> {
        self.array().map(u8::from_be_bytes)
    }

    pub(crate) fn u16(&mut self) -> Result<u16, Truncated> {
        self.array().map(u16::from_be_bytes)
    }

    pub(crate) fn u32(&mut self) -> Result<u32, Truncated> {
        self.array().map(u32::from_be_bytes)
    }

    pub(crate) fn u64(&mut self) -> Result<u64, Truncated> {
        self.array().map(u64::from_be_bytes)
    }

    pub(crate) fn i64(&mut self) -> Result<i64, Truncated> {
        self.array().map(i64::from_be_bytes)
    }

    /// `u16 len ‖ bytes`.
    pub(crate) fn len16(&mut self) -> Result<&'a [u8], Truncated> {
        let len = self.u16()?;
        self.take(usize::from(len))
    }

    /// `u32 len ‖ bytes`.
    pub(crate) fn len32(&mut self) -> Result<&'a [u8], Truncated> {
        let len = self.u32()?;
        self.take(usize::try_from(len).map_err(|_| Truncated)?)
    }

    /// Refuses bytes that were not read.
    pub(crate) const fn finish(self) -> Result<(), Truncated> {
        if self.0.is_empty() { Ok(()) } else { Err(Truncated) }
    }
}

/// A field is longer than its length prefix can say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TooLong;

/// Appends fields to a byte vector.
pub(crate) trait Put {
    fn put(&mut self, bytes: &[u8]);

    fn put_u8(&mut self, value: u8) {
        self.put(&[value]);
    }

    fn put_u16(&mut self, value: u16) {
        self.put(&value.to_be_bytes());
    }

    fn put_u32(&mut self, value: u32) {
        self.put(&value.to_be_bytes());
    }

    fn put_u64(&mut self, value: u64) {
        self.put(&value.to_be_bytes());
    }

    fn put_i64(&mut self, value: i64) {
        self.put(&value.to_be_bytes());
    }

    /// `u16 len ‖ bytes`.
    fn put_len16(&mut self, bytes: &[u8]) -> Result<(), TooLong> {
        self.put_u16(u16::try_from(bytes.len()).map_err(|_| TooLong)?);
        self.put(bytes);
        Ok(())
    }

    /// `u32 len ‖ bytes`.
    fn put_len32(&mut self, bytes: &[u8]) -> Result<(), TooLong> {
        self.put_u32(u32::try_from(bytes.len()).map_err(|_| TooLong)?);
        self.put(bytes);
        Ok(())
    }
}

impl Put for Vec<u8> {
    fn put(&mut self, bytes: &[u8]) {
        self.extend_from_slice(bytes);
    }
}

/// Counts bytes instead of keeping them: what is put here has the size of what is put elsewhere.
#[derive(Default)]
pub(crate) struct Length(pub(crate) usize);

impl Put for Length {
    fn put(&mut self, bytes: &[u8]) {
        self.0 = self.0.saturating_add(bytes.len());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_put_is_read_back() {
        let mut bytes = Vec::new();
        bytes.put_u8(1);
        bytes.put_u16(2);
        bytes.put_i64(-3);
        bytes.put_len16(b"four").unwrap();
        bytes.put_len32(b"five").unwrap();
        let mut reader = Reader::new(&bytes);
        assert_eq!((reader.u8(), reader.u16(), reader.i64()), (Ok(1), Ok(2), Ok(-3)));
        assert_eq!((reader.len16(), reader.len32()), (Ok(&b"four"[..]), Ok(&b"five"[..])));
        assert_eq!(reader.finish(), Ok(()));
        let mut length = Length::default();
        length.put(&bytes);
        length.put_len16(b"four").unwrap();
        assert_eq!((length.0, length.put_len16(&[0; 65_536])), (bytes.len() + 6, Err(TooLong)));
    }

    #[test]
    fn short_and_long_bytes_are_refused() {
        assert_eq!(Reader::new(&[0; 7]).u64(), Err(Truncated));
        assert_eq!(Reader::new(&[0, 2, 1]).len16(), Err(Truncated));
        assert_eq!(Reader::new(&[0xFF; 8]).len32(), Err(Truncated));
        assert_eq!(Reader::new(&[0]).finish(), Err(Truncated));
        assert_eq!(Vec::new().put_len16(&[0; 65_536]), Err(TooLong));
    }
}
