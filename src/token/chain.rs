//! What each block's signature covers: the block, its place, its vault, and everything before it.

use super::body::Body;
use crate::bytes::Put;
use crate::crypto::hash;
use crate::crypto::kdf::cap;
use crate::ids::{IssuerId, RevocationId, VaultId};

/// The signatures' running state, from the first block on.
#[derive(Clone, Copy, Debug)]
pub(super) struct Chain {
    vault: VaultId,
    block: u8,
    previous: [u8; 32],
}

impl Chain {
    /// `prev_0 = H(D"root" ‖ kid)`.
    pub(super) fn start(vault: VaultId, issuer: IssuerId) -> Self {
        Self { vault, block: 0, previous: hash::sha256(&[cap::ROOT.bytes(), issuer.as_bytes()]) }
    }

    /// `M_i = D"block" ‖ i u8 ‖ vault_id ‖ prev_i ‖ body_len ‖ body ‖ next_pub`.
    pub(super) fn message(&self, body: &Body, next_public: &[u8; 32]) -> Vec<u8> {
        let mut message = Vec::new();
        message.put(cap::BLOCK.bytes());
        message.put_u8(self.block);
        message.put(self.vault.as_bytes());
        message.put(&self.previous);
        message.put(body.framed());
        message.put(next_public);
        message
    }

    /// `prev_(i+1) = H(D"link" ‖ M_i ‖ sig_i)`.
    pub(super) fn after(self, message: &[u8], signature: &[u8; 64]) -> Self {
        Self {
            vault: self.vault,
            block: self.block.saturating_add(1),
            previous: hash::sha256(&[cap::LINK.bytes(), message, signature]),
        }
    }
}

/// `rid_i = H(D"rid" ‖ M_i)[..16]`.
pub(super) fn revocation_id(message: &[u8]) -> RevocationId {
    RevocationId::from_bytes(hash::sha256_short(&[cap::RID.bytes(), message]))
}
