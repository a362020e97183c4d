//! What a vault keeps of a grant: what its blocks say, and nothing with which anybody could use it.

use super::MAX_BLOCKS;
use super::body::Body;
use super::error::TokenError;
use super::inspect::{BlockRights, EffectiveRights, blocks_of, effective_of};
use super::revoke::Revocable;
use super::verify::VerifiedToken;
use crate::bytes::{Put, Reader};
use crate::ids::{IssuerId, RevocationId};

/// The bodies of a token's blocks and their revocation ids, without signatures and proof.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct StoredGrant {
    issuer: IssuerId,
    rids: Vec<RevocationId>,
    blocks: Vec<Body>,
}

impl StoredGrant {
    pub(crate) fn of(token: &VerifiedToken) -> Self {
        Self { issuer: token.issuer(), rids: token.rids().to_vec(), blocks: token.blocks().to_vec() }
    }

    /// As a token claims, which nobody verified.
    #[cfg(test)]
    pub(crate) fn claimed(token: &[u8]) -> Self {
        let token = super::UnverifiedToken::from_bytes(token).unwrap();
        let blocks = token.wire().blocks.iter().map(|block| block.body.clone()).collect();
        Self { issuer: token.issuer(), rids: token.revocation_ids(), blocks }
    }

    /// The revocation id of its last block.
    pub(crate) fn id(&self) -> RevocationId {
        self.rids.last().copied().unwrap_or(RevocationId::from_bytes([0; 16]))
    }

    pub(crate) fn revocable(&self) -> Revocable {
        Revocable::of(self.issuer, &self.rids, &self.blocks)
    }

    /// What each block says.
    pub(crate) fn statements(&self) -> Vec<BlockRights> {
        blocks_of(self.blocks.iter(), self.rids.iter().copied())
    }

    /// What all blocks together leave.
    pub(crate) fn rights(&self) -> EffectiveRights {
        effective_of(&self.statements())
    }

    /// `issuer[16] ‖ n u8 ‖ n × (rid[16] ‖ u16 len ‖ body)`.
    pub(crate) fn put(&self, out: &mut Vec<u8>) {
        out.put(self.issuer.as_bytes());
        out.put_u8(u8::try_from(self.blocks.len()).unwrap_or(u8::MAX));
        for (rid, body) in self.rids.iter().zip(&self.blocks) {
            out.put(rid.as_bytes());
            out.put(body.framed());
        }
    }

    /// Bytes of [`StoredGrant::put`].
    pub(crate) fn len(&self) -> usize {
        self.blocks.iter().fold(17, |len, body| len.saturating_add(16).saturating_add(body.framed().len()))
    }

    pub(crate) fn read(reader: &mut Reader<'_>) -> Result<Self, TokenError> {
        let (issuer, count) = (IssuerId::from_bytes(reader.array()?), reader.u8()?);
        if !(1..=MAX_BLOCKS).contains(&count) {
            return Err(TokenError::BlockCount { found: count });
        }
        let (mut rids, mut blocks) = (Vec::new(), Vec::new());
        for block in 0..count {
            rids.push(RevocationId::from_bytes(reader.array()?));
            blocks.push(Body::read(block, reader)?);
        }
        Ok(Self { issuer, rids, blocks })
    }
}
