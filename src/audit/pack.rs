//! Entries packed together for storage: `u16 len ‖ entry`, repeated.

use super::defect::EntryDefect;
use crate::bytes::{Put, Reader};

/// Bytes of a pack, unless one entry alone is larger.
pub(crate) const MAX_PACK: usize = 4_096;

/// A pack that is being filled.
#[derive(Clone, Default)]
pub(crate) struct Pack(Vec<u8>);

impl Pack {
    /// Appends `entry` if it fits; the first one always does.
    pub(crate) fn push(&mut self, entry: &[u8]) -> bool {
        if !self.0.is_empty() && self.0.len() + 2 + entry.len() > MAX_PACK {
            return false;
        }
        let before = self.0.len();
        let fits = self.0.put_len16(entry).is_ok();
        if !fits {
            self.0.truncate(before);
        }
        fits
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    pub(crate) fn into_bytes(self) -> Vec<u8> {
        self.0
    }
}

impl From<Vec<u8>> for Pack {
    /// Goes on filling a pack that was stored.
    fn from(bytes: Vec<u8>) -> Self {
        Self(bytes)
    }
}

/// The entries in a pack. Ends after the first defect.
pub(crate) fn entries(pack: &[u8]) -> Entries<'_> {
    Entries { reader: Reader::new(pack), len: pack.len(), at: Some(0) }
}

/// See [`entries`].
#[derive(Clone)]
pub(crate) struct Entries<'a> {
    reader: Reader<'a>,
    len: usize,
    /// How many entries were taken; `None` after the end.
    at: Option<usize>,
}

impl<'a> Iterator for Entries<'a> {
    type Item = Result<&'a [u8], EntryDefect>;

    fn next(&mut self) -> Option<Self::Item> {
        let at = self.at.take()?;
        if self.reader.rest().is_empty() {
            return (at == 0).then_some(Err(EntryDefect::Pack));
        }
        if at > 0 && self.len > MAX_PACK {
            return Some(Err(EntryDefect::Pack));
        }
        let entry = self.reader.len16().map_err(EntryDefect::from);
        if entry.is_ok() {
            self.at = Some(at + 1);
        }
        Some(entry)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn collect(pack: &[u8]) -> Result<Vec<&[u8]>, EntryDefect> {
        entries(pack).collect()
    }

    proptest! {
        #[test]
        fn what_was_packed_comes_out(list in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..900), 1..9)) {
            let mut pack = Pack::default();
            let packed: Vec<&[u8]> = list.iter().map(Vec::as_slice).take_while(|entry| pack.push(entry)).collect();
            prop_assert!(pack.as_bytes().len() <= MAX_PACK);
            prop_assert_eq!(collect(pack.as_bytes()), Ok(packed));
        }

        #[test]
        fn arbitrary_packs_never_panic_and_end(bytes in proptest::collection::vec(0u8..3, 0..300)) {
            prop_assert!(entries(&bytes).count() <= bytes.len() / 2 + 1);
        }
    }

    #[test]
    fn the_limit_is_exact_and_a_large_entry_stands_alone() {
        let mut pack = Pack::default();
        assert!(pack.push(&[1; 2_000]) && !pack.push(&[2; 2_093]) && pack.push(&[2; 2_092]) && !pack.push(&[]));
        assert_eq!(collect(pack.as_bytes()).unwrap().len(), 2);
        let mut large = Pack::default();
        assert!(large.push(&[3; 65_535]) && !large.push(&[4]));
        assert_eq!(collect(large.as_bytes()).unwrap(), [&[3; 65_535][..]]);
        let mut none = Pack::default();
        assert!(!none.push(&[0; 65_536]) && none.is_empty());
    }

    #[test]
    fn a_cut_an_empty_and_an_oversized_pack_are_refused() {
        let mut pack = Pack::default();
        assert!(pack.push(b"one") && pack.push(b"three"));
        let bytes = pack.into_bytes();
        for len in 0..bytes.len() {
            assert_eq!(collect(&bytes[..len]).is_ok(), len == 5, "length {len}");
        }
        assert_eq!(collect(&[]), Err(EntryDefect::Pack));
        let oversized: Vec<u8> = [&[0x08, 0x00][..], &[7; 2_048]].concat().repeat(2);
        assert_eq!(collect(&oversized), Err(EntryDefect::Pack));
        let mut after_error = entries(&[0, 9, 1]);
        assert_eq!((after_error.next(), after_error.next()), (Some(Err(EntryDefect::Truncated)), None));
    }
}
