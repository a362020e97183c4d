//! What the machine can run out of, for tests: on the present thread, no more of it than was left.

use std::cell::Cell;

/// What a machine can run out of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Resource {
    /// Random bytes, drawn one key, nonce or id at a time.
    RandomBytes,
    /// The memory that Argon2id takes to turn a passphrase into a key.
    PassphraseMemory,
}

/// How often each can still be had; `None` as often as the machine allows.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Left {
    pub(crate) random_bytes: Option<u32>,
    pub(crate) passphrase_memory: Option<u32>,
}

thread_local! {
    static LEFT: Cell<Left> = const { Cell::new(Left { random_bytes: None, passphrase_memory: None }) };
}

impl Left {
    /// Puts this in place of what is left on this thread, and gives that.
    pub(crate) fn swap(left: Self) -> Self {
        LEFT.replace(left)
    }

    pub(crate) fn now() -> Self {
        LEFT.get()
    }

    pub(crate) fn of(&mut self, resource: Resource) -> &mut Option<u32> {
        match resource {
            Resource::RandomBytes => &mut self.random_bytes,
            Resource::PassphraseMemory => &mut self.passphrase_memory,
        }
    }
}

/// Takes one; `None` where nothing is left.
pub(super) fn take(resource: Resource) -> Option<()> {
    let mut left = LEFT.get();
    if let Some(times) = left.of(resource) {
        *times = times.checked_sub(1)?;
        LEFT.set(left);
    }
    Some(())
}
