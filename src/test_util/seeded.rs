//! Random bytes that repeat.

use std::marker::PhantomData;

use crate::crypto::seeded::Stream;

/// As long as it is held, all random bytes of the present thread follow from a seed. Dropping it, also in a panic, puts
/// back what was before. Neither `Send` nor `Sync`.
#[derive(Debug)]
#[must_use = "random bytes come from the operating system again once it is dropped"]
pub struct Seeded {
    before: Option<Stream>,
    /// The generator belongs to this thread.
    _thread: PhantomData<*const ()>,
}

/// A build that may keep charts gets no random bytes that repeat.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "seeded randomness makes every key guessable, so builds without debug assertions refuse it; turn them on, or build \
     with RUSTFLAGS=\"--cfg chartvault_seeded\""
)]
pub struct SeededRefused;

/// Makes all random bytes of the present thread follow from `seed`, until the guard is dropped: keys, salts, ids, tokens.
/// The same seed, the same [`TestClock`](super::TestClock) times and the same calls on one thread make the same vault, byte
/// for byte.
///
/// Whoever knows the seed has every key. So that this cannot slip into a program that keeps charts, it works only where
/// the crate is built with debug assertions (tests, fuzzers), or with `--cfg chartvault_seeded` (benches). That is checked
/// here and not by a mark in the vault: a mark would be one more thing in the format, for something that a shipped
/// program has not got in the first place.
///
/// ```
/// use chartvault::RawKey;
/// use chartvault::test_util::{TestVault, seeded};
///
/// # if !cfg!(debug_assertions) { return Ok(()); }
/// let ids = [1, 1, 2].map(|seed| {
///     let _seeded = seeded(seed).unwrap();
///     TestVault::new().build().unwrap().vault().id()
/// });
/// assert!(ids[0] == ids[1] && ids[0] != ids[2]);
/// # Ok::<(), chartvault::Error>(())
/// ```
///
/// # Errors
/// [`SeededRefused`] in a build without debug assertions.
pub fn seeded(seed: u64) -> Result<Seeded, SeededRefused> {
    if !cfg!(any(debug_assertions, chartvault_seeded)) {
        return Err(SeededRefused);
    }
    Ok(Seeded { before: Stream::swap(Some(Stream::new(seed))), _thread: PhantomData })
}

impl Drop for Seeded {
    fn drop(&mut self) {
        Stream::swap(self.before.take());
    }
}
