//! Which data keys backups need that are being made: no other backup may remove the key pack that has them.

use std::collections::BTreeMap;
use std::sync::{MutexGuard, PoisonError};

use super::keys::Keys;
use crate::unlocked::Unlocked;

/// A backup that is being made, until the vault remembers it.
pub(super) struct UnderWay<'u> {
    unlocked: &'u Unlocked,
    number: u64,
}

impl<'u> UnderWay<'u> {
    pub(super) fn begin(unlocked: &'u Unlocked) -> Self {
        let mut all = lock(unlocked);
        let number = all.keys().next_back().map_or(0, |last| last.saturating_add(1));
        all.insert(number, u32::MAX);
        Self { unlocked, number }
    }

    /// It needs the data keys from now on; gives the oldest of them.
    pub(super) fn needs_keys_of_now(&self) -> u32 {
        // Locked before the keys are looked at: whoever removes a pack looks here behind that.
        let mut all = lock(self.unlocked);
        let oldest = Keys::now(self.unlocked).data_epochs.0;
        all.insert(self.number, oldest);
        oldest
    }
}

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        lock(self.unlocked).remove(&self.number);
    }
}

/// The oldest data epochs of which backups under way have something.
pub(super) fn needed(unlocked: &Unlocked) -> Vec<u32> {
    lock(unlocked).values().copied().collect()
}

fn lock(unlocked: &Unlocked) -> MutexGuard<'_, BTreeMap<u64, u32>> {
    unlocked.backing_up.lock().unwrap_or_else(PoisonError::into_inner)
}
