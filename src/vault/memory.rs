//! What keeps the memory of the process from disks: swap and core dumps.

use std::fmt;

use super::{Options, Vault};
use crate::platform;

/// Whether something keeps the memory of the process from a disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum MemoryGuard {
    /// It does.
    On,
    /// Nobody asked for it: [`Options::harden_process`].
    NotAsked,
    /// It was asked for, and the system does not do it.
    Refused {
        /// Why not, and what helps.
        why: &'static str,
    },
}

impl fmt::Display for MemoryGuard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::On => f.write_str("on"),
            Self::NotAsked => f.write_str("off: Options::harden_process was not called"),
            Self::Refused { why } => write!(f, "off: {why}"),
        }
    }
}

/// What keeps keys and opened records in memory from disks; see [`Vault::memory_protection`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct MemoryProtection {
    /// Whether no page of the process is written to swap.
    pub swap: MemoryGuard,
    /// Whether the process leaves no core dump, and others of its user cannot read its memory.
    pub core_dumps: MemoryGuard,
}

impl MemoryProtection {
    /// Does what the options ask for.
    pub(super) fn of(options: &Options) -> Self {
        if !options.harden_process {
            return Self { swap: MemoryGuard::NotAsked, core_dumps: MemoryGuard::NotAsked };
        }
        let told =
            |done: Result<(), &'static str>| done.map_or_else(|why| MemoryGuard::Refused { why }, |()| MemoryGuard::On);
        Self { swap: told(platform::lock_memory()), core_dumps: told(platform::refuse_core_dumps()) }
    }
}

impl fmt::Display for MemoryProtection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "memory out of swap: {}; no core dumps: {}", self.swap, self.core_dumps)
    }
}

impl Vault {
    /// What keeps the memory of this process from disks, as it was when this vault was opened: nothing unless
    /// [`Options::harden_process`] was called. Where one of the two says no, encrypt swap, or turn off swap and core dumps.
    ///
    /// ```
    /// # mod clinic { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/clinic.rs")); }
    /// # let clinic = clinic::Clinic::new();
    /// use chartvault::MemoryGuard;
    /// assert_eq!(clinic.vault.memory_protection().swap, MemoryGuard::NotAsked);
    /// ```
    #[must_use]
    pub fn memory_protection(&self) -> MemoryProtection {
        self.0.memory
    }
}
