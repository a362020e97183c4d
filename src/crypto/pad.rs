//! Padding that hides a plaintext's exact length: Padmé (Nikitin et al., "Reducing Metadata Leakage from Encrypted
//! Files", PETS 2019), with a floor under which everything looks alike.

/// Bytes before the body: its length as u32.
const LEN_BYTES: usize = 4;

/// Padmé's length for `len`: at most 12 % more, with only O(log log) bits of the length left to see.
pub(crate) const fn padme(len: usize) -> usize {
    if len < 2 {
        return len;
    }
    let exponent = len.ilog2();
    let significant = exponent.ilog2() + 1;
    let mask = (1 << (exponent - significant)) - 1;
    (len + mask) & !mask
}

/// Padded size of a body of `len` bytes with at least `floor` bytes.
pub(crate) const fn padded_len(len: usize, floor: usize) -> usize {
    let padded = padme(len + LEN_BYTES);
    if padded < floor { floor } else { padded }
}

/// `len u32 ‖ body ‖ zeros`, with room for a tag behind it. `None` above 4 GiB.
pub(crate) fn pad(body: &[u8], floor: usize, spare: usize) -> Option<Vec<u8>> {
    let size = padded_len(body.len(), floor);
    let mut padded = Vec::with_capacity(size + spare);
    padded.resize(size, 0);
    pad_into(body, &mut padded)?;
    Some(padded)
}

/// [`pad`] over all of `padded`, which has [`padded_len`] bytes.
pub(crate) fn pad_into(body: &[u8], padded: &mut [u8]) -> Option<()> {
    let len = u32::try_from(body.len()).ok()?;
    let (head, rest) = padded.split_first_chunk_mut::<LEN_BYTES>()?;
    let (room, zeros) = rest.split_at_mut_checked(body.len())?;
    *head = len.to_be_bytes();
    room.copy_from_slice(body);
    zeros.fill(0);
    Some(())
}

/// The range of the body in `padded`; `None` unless length, size and every zero are exactly as [`pad`] makes them.
pub(crate) fn unpad(padded: &[u8], floor: usize) -> Option<std::ops::Range<usize>> {
    let (len, rest) = padded.split_first_chunk::<LEN_BYTES>()?;
    let len = usize::try_from(u32::from_be_bytes(*len)).ok()?;
    if len > rest.len() || padded.len() != padded_len(len, floor) {
        return None;
    }
    let nonzero = rest.get(len..)?.iter().fold(0, |seen, byte| seen | byte);
    (nonzero == 0).then_some(LEN_BYTES..LEN_BYTES + len)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn padme_as_in_the_paper() {
        assert_eq!([0, 1, 2, 8, 9, 17, 100, 1000, 1025].map(padme), [0, 1, 2, 8, 10, 18, 104, 1024, 1088]);
    }

    proptest! {
        #[test]
        fn overhead_is_bounded_and_padding_is_stable(len in 1usize..10_000_000) {
            let padded = padme(len);
            prop_assert!(padded >= len && (padded - len) * 8 <= len, "{len} -> {padded}");
            prop_assert_eq!(padme(padded), padded);
        }

        #[test]
        fn unpad_inverts_pad(body in proptest::collection::vec(any::<u8>(), 0..2000), floor in 0usize..600) {
            let padded = pad(&body, floor, 16).unwrap();
            prop_assert_eq!(&padded[unpad(&padded, floor).unwrap()], &body[..]);
        }
    }

    #[test]
    fn any_other_padding_is_refused() {
        let good = pad(b"body", 64, 0).unwrap();
        for at in 8..64 {
            let mut bad = good.clone();
            bad[at] = 1;
            assert_eq!(unpad(&bad, 64), None, "byte {at}");
        }
        for len in [0u32, 3, 5, 60] {
            let mut other = good.clone();
            other[..4].copy_from_slice(&len.to_be_bytes());
            assert_eq!(unpad(&other, 64).is_some(), len == 5 || len == 60, "length {len}");
        }
        let mut huge = good.clone();
        huge[..4].copy_from_slice(&u32::MAX.to_be_bytes());
        assert_eq!(unpad(&huge, 64), None);
        assert_eq!(unpad(&good[..63], 64), None);
        assert_eq!(unpad(&[], 0), None);
    }
}
