//! Byte strings that wipe themselves and never print.

use std::fmt;
use std::marker::PhantomData;

use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

/// Plaintext or secret bytes of run-time length, wiped when dropped.
pub(crate) type SecretBytes = Zeroizing<Vec<u8>>;

/// `N` secret bytes: wiped when dropped, redacted when printed, neither `Clone` nor `PartialEq`.
#[derive(Zeroize, ZeroizeOnDrop)]
pub(crate) struct Secret<const N: usize>([u8; N]);

impl<const N: usize> Secret<N> {
    /// Takes over `bytes`; the caller's array is wiped.
    pub(crate) fn take(bytes: &mut [u8; N]) -> Self {
        let secret = Self(*bytes);
        bytes.zeroize();
        secret
    }

    /// A secret of zeros, to be written through [`Secret::expose_mut`].
    pub(crate) fn zeroed() -> Self {
        Self([0; N])
    }

    /// Copies a slice, if it has the right length.
    pub(crate) fn from_slice(bytes: &[u8]) -> Option<Self> {
        let mut array: [u8; N] = bytes.try_into().ok()?;
        Some(Self::take(&mut array))
    }

    pub(crate) fn expose(&self) -> &[u8; N] {
        &self.0
    }

    pub(crate) fn expose_mut(&mut self) -> &mut [u8; N] {
        &mut self.0
    }
}

impl<const N: usize> fmt::Debug for Secret<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Secret<{N}>(redacted)")
    }
}

/// A 256-bit key that can be used for purpose `P` alone: each purpose is a type of its own. Its bytes have a place of their
/// own, so that no copy is left behind when the key, or what holds it, moves.
pub(crate) struct Key<P> {
    bytes: Box<Secret<32>>,
    purpose: PhantomData<fn() -> P>,
}

impl<P> Key<P> {
    pub(crate) fn new(bytes: Secret<32>) -> Self {
        Self::copied(bytes.expose())
    }

    /// A key of these bytes; the caller sees to the wiping of them.
    pub(crate) fn copied(bytes: &[u8; 32]) -> Self {
        let mut key = Box::new(Secret::zeroed());
        *key.expose_mut() = *bytes;
        Self { bytes: key, purpose: PhantomData }
    }

    pub(crate) fn expose(&self) -> &[u8; 32] {
        self.bytes.expose()
    }

    /// A second copy, named so that copies stand out when reading.
    pub(crate) fn duplicate(&self) -> Self {
        Self::copied(self.bytes.expose())
    }
}

impl<P> fmt::Debug for Key<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Key(redacted)")
    }
}

/// Bytes of the stack that [`wipe_stack`] overwrites: more than the calls take that bring keys to where they stay, and little
/// enough for the smallest stacks.
const STACK: usize = 32 << 10;

/// Overwrites what returned calls left on this thread's stack: values that moved on were there. To be called where keys were
/// read, derived or let go of, from the outermost call.
#[inline(never)]
pub(crate) fn wipe_stack() {
    let mut left = [0xA5_u8; STACK];
    left.zeroize();
    std::hint::black_box(&left);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_shows_no_byte() {
        let secret = Secret::<4>([0xAB; 4]);
        let key = Key::<()>::new(Secret([0xAB; 32]));
        let shown = format!("{secret:?} {key:?}").to_lowercase();
        assert!(!shown.contains("ab") && !shown.contains("171"), "{shown}");
    }

    #[test]
    fn taking_wipes_the_source() {
        let mut bytes = [7; 3];
        let secret = Secret::take(&mut bytes);
        assert_eq!((bytes, *secret.expose()), ([0; 3], [7; 3]));
    }

    #[test]
    fn a_slice_of_another_length_is_refused() {
        assert!(Secret::<4>::from_slice(&[0; 3]).is_none());
        assert!(Secret::<4>::from_slice(&[0; 5]).is_none());
    }
}
