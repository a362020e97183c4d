//! File operations that can be made to fail: the seam is in `file.rs`, and in the storage in memory.

#[cfg(not(feature = "test-util"))]
use std::io;

/// A sort of file operation.
#[cfg_attr(not(feature = "test-util"), allow(unreachable_pub))]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum FileOp {
    /// Opening or creating a file or directory.
    Open,
    /// Reading a file, or listing a directory.
    Read,
    /// Writing to a file, or changing its length.
    Write,
    /// Making contents or names durable.
    Sync,
    /// Renaming.
    Rename,
    /// Removing a file or directory.
    Remove,
}

#[cfg(not(feature = "test-util"))]
#[allow(clippy::unnecessary_wraps)]
pub(crate) const fn check(_: FileOp) -> io::Result<()> {
    Ok(())
}

#[cfg(feature = "test-util")]
pub(crate) use armed::Armed;
#[cfg(feature = "test-util")]
pub(crate) use armed::check;
#[cfg(test)]
pub(crate) use armed::{arm, disarm, free, set_free};

#[cfg(feature = "test-util")]
mod armed {
    use std::cell::Cell;
    use std::io;

    use super::FileOp;

    /// A failure to come, on the present thread.
    #[derive(Clone, Copy, Debug)]
    pub(crate) struct Armed {
        pub(crate) op: FileOp,
        /// Operations of this sort that still pass.
        pub(crate) passing: u32,
        pub(crate) kind: io::ErrorKind,
        /// Whether every later one fails as well.
        pub(crate) for_good: bool,
        /// How often it has failed.
        pub(crate) hits: u32,
    }

    thread_local! {
        static ARMED: Cell<Option<Armed>> = const { Cell::new(None) };
    }

    impl Armed {
        /// Puts this in place of what is armed on this thread, and gives that.
        pub(crate) fn swap(armed: Option<Self>) -> Option<Self> {
            ARMED.replace(armed)
        }

        pub(crate) fn now() -> Option<Self> {
            ARMED.get()
        }
    }

    pub(crate) fn check(op: FileOp) -> io::Result<()> {
        let Some(mut armed) = ARMED.get().filter(|armed| armed.op == op) else { return Ok(()) };
        if armed.passing > 0 {
            armed.passing -= 1;
        } else if armed.for_good || armed.hits == 0 {
            armed.hits = armed.hits.saturating_add(1);
            ARMED.set(Some(armed));
            return Err(armed.kind.into());
        }
        ARMED.set(Some(armed));
        Ok(())
    }

    /// Lets the next `passing` operations of this sort pass, and the one behind them fail, once.
    #[cfg(test)]
    pub(crate) fn arm(op: FileOp, passing: u32, kind: io::ErrorKind) {
        ARMED.set(Some(Armed { op, passing, kind, for_good: false, hits: 0 }));
    }

    /// Whether the armed failure has happened; it will not any more.
    #[cfg(test)]
    pub(crate) fn disarm() -> bool {
        ARMED.take().is_none_or(|armed| armed.hits > 0)
    }
    #[cfg(test)]
    thread_local! {
        static FREE: Cell<Option<u64>> = const { Cell::new(None) };
    }

    /// What the present thread is told about free space, instead of the truth.
    #[cfg(test)]
    pub(crate) fn set_free(bytes: Option<u64>) {
        FREE.set(bytes);
    }

    #[cfg(test)]
    pub(crate) fn free() -> Option<u64> {
        FREE.get()
    }
}
