//! Which keys and which ledger a backup or a key pack is of.

use std::sync::PoisonError;

use crate::backup::manifest::PackRef;
use crate::backup::pack_end::PackEnd;
use crate::unlocked::Unlocked;

/// The keys and the ledger of a moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Keys {
    /// Of the header in force.
    pub(super) generation: u64,
    /// The oldest and the newest data epoch of which there is a key.
    pub(super) data_epochs: (u32, u32),
    /// Entries of the ledger.
    pub(super) erasures: u64,
}

impl Keys {
    pub(super) fn now(unlocked: &Unlocked) -> Self {
        // Whoever changes the header puts its keys in force a moment later.
        let _changing = unlocked.changing.lock().unwrap_or_else(PoisonError::into_inner);
        let generation = unlocked.header.lock().unwrap_or_else(PoisonError::into_inner).generation;
        let epochs = unlocked.keyring().data_epochs();
        let data_epochs = (epochs.first().copied().unwrap_or(0), epochs.last().copied().unwrap_or(0));
        let erasures = u64::try_from(unlocked.policy.erasures().len()).unwrap_or(u64::MAX);
        Self { generation, data_epochs, erasures }
    }

    pub(super) const fn of(end: &PackEnd) -> Self {
        let PackRef { header_generation, erasures, .. } = end.pack;
        Self { generation: header_generation, data_epochs: end.data_epochs, erasures }
    }
}
