//! The keyring in force. It is replaced as a whole when keys are rotated; whoever is at work keeps the one that was in force
//! when it began, with which everything opens that was written until then.

use std::sync::{Arc, PoisonError, RwLock};

use super::Unlocked;
use crate::keyring::Keyring;

/// Holds the keyring in force.
pub(crate) struct InForce(RwLock<Arc<Keyring>>);

impl InForce {
    pub(crate) fn new(keyring: Keyring) -> Self {
        Self(RwLock::new(Arc::new(keyring)))
    }
}

impl Unlocked {
    /// The keyring in force now. To be taken before what it is to open is read: a key is dropped once nothing that is
    /// stored needs it any more.
    pub(crate) fn keyring(&self) -> Arc<Keyring> {
        Arc::clone(&self.in_force.0.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Puts another keyring in force. To be called only while the header is changed, or before anybody else is inside.
    pub(crate) fn put_keyring_in_force(&self, keyring: Keyring) {
        *self.in_force.0.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(keyring);
    }
}
