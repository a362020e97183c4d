//! An anchor that is two calls of the host.

use super::{Anchor, AnchorError, ProofFrom};
use crate::audit::Checkpoint;
use crate::ids::VaultId;

type Publish = Box<dyn Fn(VaultId, &Checkpoint, ProofFrom<'_>) -> Result<(), AnchorError> + Send + Sync>;
type Last = Box<dyn Fn(VaultId) -> Result<Option<String>, AnchorError> + Send + Sync>;

/// Hands checkpoints to the host, which keeps them wherever it likes.
pub struct CallbackAnchor {
    name: String,
    publish: Publish,
    last: Last,
}

impl CallbackAnchor {
    /// `publish` keeps a checkpoint, and `last` gives the note of the last one that was kept.
    pub fn new(
        name: impl Into<String>,
        publish: impl Fn(VaultId, &Checkpoint, ProofFrom<'_>) -> Result<(), AnchorError> + Send + Sync + 'static,
        last: impl Fn(VaultId) -> Result<Option<String>, AnchorError> + Send + Sync + 'static,
    ) -> Self {
        Self { name: name.into(), publish: Box::new(publish), last: Box::new(last) }
    }
}

impl Anchor for CallbackAnchor {
    fn name(&self) -> &str {
        &self.name
    }

    fn last(&self, vault: VaultId) -> Result<Option<String>, AnchorError> {
        (self.last)(vault)
    }

    fn publish(&self, vault: VaultId, checkpoint: &Checkpoint, proof: ProofFrom<'_>) -> Result<(), AnchorError> {
        (self.publish)(vault, checkpoint, proof)
    }
}

impl std::fmt::Debug for CallbackAnchor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "CallbackAnchor({:?})", self.name)
    }
}
