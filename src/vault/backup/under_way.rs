//! Which data keys backups need that the vault does not remember yet: no other backup may remove the key pack that has them.

use std::collections::BTreeMap;
use std::sync::{MutexGuard, PoisonError};

use super::keys::Keys;
use crate::policy::{self, MOST_TARGETS};
use crate::unlocked::Unlocked;

/// A backup that is being made. Unless it is remembered in the end it may be whole all the same, since answers are lost: until
/// there is another one to that target, or the vault is sealed, what it needs stays.
pub(super) struct UnderWay<'u> {
    unlocked: &'u Unlocked,
    target: String,
    /// What one before it needs that is not remembered either.
    before: Option<u32>,
}

impl<'u> UnderWay<'u> {
    pub(super) fn to(target: &str, unlocked: &'u Unlocked) -> Self {
        let target = policy::kept_name(target);
        let before = lock(unlocked).get(&target).copied();
        Self { unlocked, target, before }
    }

    /// It needs the data keys from now on; gives the oldest of them.
    pub(super) fn needs_keys_of_now(&self) -> u32 {
        // Locked before the keys are looked at: whoever removes a pack looks here behind that.
        let mut all = lock(self.unlocked);
        let oldest = Keys::now(self.unlocked).data_epochs.0;
        if all.len() >= MOST_TARGETS && !all.contains_key(&self.target) {
            all.pop_first();
        }
        all.insert(self.target.clone(), self.before.map_or(oldest, |before| before.min(oldest)));
        oldest
    }

    /// It is whole: nothing before it counts.
    pub(super) fn is_whole(&self, oldest: u32) {
        lock(self.unlocked).insert(self.target.clone(), oldest);
    }

    /// The vault remembers it.
    pub(super) fn remembered(self) {
        lock(self.unlocked).remove(&self.target);
    }
}

/// The oldest data epochs of which such backups have something.
pub(super) fn needed(unlocked: &Unlocked) -> Vec<u32> {
    lock(unlocked).values().copied().collect()
}

fn lock(unlocked: &Unlocked) -> MutexGuard<'_, BTreeMap<String, u32>> {
    unlocked.backing_up.lock().unwrap_or_else(PoisonError::into_inner)
}
