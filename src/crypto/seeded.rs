//! Random bytes that repeat, for tests: ChaCha20 under a key made from a seed and a counter, on the present thread alone.

use std::cell::Cell;

use super::RandomFailed;
use super::aead::{self, Suite};
use super::hash::sha256;

/// Where a thread's generator stands.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Stream {
    pub(crate) seed: u64,
    drawn: u64,
}

thread_local! {
    static STREAM: Cell<Option<Stream>> = const { Cell::new(None) };
}

impl Stream {
    pub(crate) const fn new(seed: u64) -> Self {
        Self { seed, drawn: 0 }
    }

    /// Puts this in place of the thread's generator, and gives that; `None` is the operating system's.
    pub(crate) fn swap(stream: Option<Self>) -> Option<Self> {
        STREAM.replace(stream)
    }
}

/// Fills `bytes` if the thread has a generator of its own.
pub(super) fn fill(bytes: &mut [u8]) -> Option<Result<(), RandomFailed>> {
    let mut stream = STREAM.get()?;
    let key = sha256(&[&stream.seed.to_be_bytes(), &stream.drawn.to_be_bytes()]);
    stream.drawn = stream.drawn.wrapping_add(1);
    STREAM.set(Some(stream));
    // The encryption of zeros is the keystream.
    let mut keystream = vec![0; bytes.len()];
    let made = aead::encrypt(Suite::ChaCha20Poly1305, &key, &mut keystream).map_err(|_| RandomFailed);
    bytes.iter_mut().zip(keystream).for_each(|(to, from)| *to = from);
    Some(made)
}
