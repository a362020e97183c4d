//! A whole token as bytes and as text, read without trusting it.

use data_encoding::BASE64URL_NOPAD;
use zeroize::Zeroizing;

use super::body::Body;
use super::chain::{self, Chain};
use super::error::TokenError;
use super::item::Item;
use super::{MAX_BLOCKS, MAX_TEXT_LEN, MAX_TOKEN_LEN};
use crate::bytes::{Put, Reader};
use crate::crypto::hash;
use crate::crypto::kdf::cap;
use crate::crypto::sign::SIGNATURE_LEN;
use crate::ids::{IssuerId, RevocationId, VaultId};
use crate::secret::{Secret, SecretBytes};

const MAGIC: [u8; 4] = *b"CVT1";
const TEXT_PREFIX: &str = "cvt1_";

/// What a token's bytes say. Its form is checked, its truth is not. No `Debug`: it holds the proof.
pub(super) struct Wire {
    pub(super) vault: VaultId,
    pub(super) issuer: IssuerId,
    /// 1 to [`MAX_BLOCKS`].
    pub(super) blocks: Vec<Block>,
    pub(super) proof: Proof,
}

/// One block.
#[derive(Clone, Debug)]
pub(super) struct Block {
    pub(super) body: Body,
    /// Whoever has the secret of this key can add the next block.
    pub(super) next_public: [u8; 32],
    pub(super) signature: [u8; SIGNATURE_LEN],
}

/// That whoever shows the token did not cut blocks off.
pub(super) enum Proof {
    /// The secret of the last block's key: whoever has the token can narrow it.
    Open(Secret<32>),
    /// A signature by that key: nobody can narrow the token any more.
    Sealed([u8; SIGNATURE_LEN]),
    /// The holder proves to have the key when opening a session.
    Bound,
}

impl Proof {
    const fn code(&self) -> u8 {
        match self {
            Self::Open(_) => 1,
            Self::Sealed(_) => 2,
            Self::Bound => 3,
        }
    }
}

impl Wire {
    /// Reads a token's bytes; each token has one form only.
    pub(super) fn parse(bytes: &[u8]) -> Result<Self, TokenError> {
        if bytes.len() > MAX_TOKEN_LEN {
            return Err(TokenError::TooLong { found: bytes.len(), most: MAX_TOKEN_LEN });
        }
        let mut token = Reader::new(bytes);
        if token.array() != Ok(MAGIC) {
            return Err(TokenError::NotCvt1);
        }
        let vault = VaultId::from_bytes(token.array()?);
        let issuer = IssuerId::from_bytes(token.array()?);
        let count = token.u8()?;
        if !(1..=MAX_BLOCKS).contains(&count) {
            return Err(TokenError::BlockCount { found: count });
        }
        let blocks = (0..count).map(|block| Block::read(block, &mut token)).collect::<Result<Vec<_>, _>>()?;
        let proof = match token.u8()? {
            1 => Proof::Open(Secret::take(&mut token.array()?)),
            2 => Proof::Sealed(token.array()?),
            3 => Proof::Bound,
            found => return Err(TokenError::UnknownProof { found }),
        };
        token.finish()?;
        Ok(Self { vault, issuer, blocks, proof })
    }

    /// The bytes that [`Wire::parse`] reads.
    pub(super) fn to_bytes(&self) -> SecretBytes {
        // Room for all of it, so that growing leaves no copy of the proof behind.
        let mut token = Zeroizing::new(Vec::with_capacity(self.len()));
        self.put_unproven(&mut token);
        token.put_u8(self.proof.code());
        match &self.proof {
            Proof::Open(seed) => token.put(seed.expose()),
            Proof::Sealed(signature) => token.put(signature),
            Proof::Bound => {}
        }
        token
    }

    /// Everything before the kind of proof.
    fn put_unproven(&self, token: &mut Vec<u8>) {
        token.put(&MAGIC);
        token.put(self.vault.as_bytes());
        token.put(self.issuer.as_bytes());
        token.put_u8(u8::try_from(self.blocks.len()).unwrap_or(u8::MAX));
        for block in &self.blocks {
            token.put(block.body.framed());
            token.put(&block.next_public);
            token.put(&block.signature);
        }
    }

    /// What a seal signs: `D"seal" ‖ H(all bytes before the kind of proof)`.
    pub(super) fn seal_message(&self) -> Vec<u8> {
        let mut unproven = Vec::with_capacity(self.len());
        self.put_unproven(&mut unproven);
        [cap::SEAL.bytes(), &hash::sha256(&[&unproven])].concat()
    }

    /// The public key behind the last block; `None` only without blocks.
    pub(super) fn last_public(&self) -> Option<[u8; 32]> {
        self.blocks.last().map(|block| block.next_public)
    }

    /// Bytes of [`Wire::to_bytes`].
    pub(super) fn len(&self) -> usize {
        let blocks: usize = self.blocks.iter().map(|block| block.body.framed().len() + 32 + SIGNATURE_LEN).sum();
        let proof = match &self.proof {
            Proof::Open(_) => 32,
            Proof::Sealed(_) => SIGNATURE_LEN,
            Proof::Bound => 0,
        };
        4 + 16 + 16 + 1 + blocks + 1 + proof
    }

    /// Each block's signed message, from the grant on, and the state for a block behind the last.
    pub(super) fn messages(&self) -> (Vec<Vec<u8>>, Chain) {
        let mut chain = Chain::start(self.vault, self.issuer);
        let mut messages = Vec::with_capacity(self.blocks.len());
        for block in &self.blocks {
            let message = chain.message(&block.body, &block.next_public);
            chain = chain.after(&message, &block.signature);
            messages.push(message);
        }
        (messages, chain)
    }

    /// Each block's revocation id, from the grant on.
    pub(super) fn revocation_ids(&self) -> Vec<RevocationId> {
        self.messages().0.iter().map(|message| chain::revocation_id(message)).collect()
    }

    pub(super) fn items(&self) -> impl Iterator<Item = Placed<'_>> {
        placed_items(self.blocks.iter().map(|block| &block.body))
    }
}

impl Block {
    fn read(block: u8, token: &mut Reader<'_>) -> Result<Self, TokenError> {
        Ok(Self { body: Body::read(block, token)?, next_public: token.array()?, signature: token.array()? })
    }
}

/// An item and where it stands.
#[derive(Clone, Copy, Debug)]
pub(super) struct Placed<'a> {
    pub(super) block: u8,
    /// Blocks behind this one.
    pub(super) below: u8,
    pub(super) item: &'a Item,
}

/// Every item of every block, from the grant on: the one walk that all judgements use, so that none can skip a depth.
pub(super) fn placed_items<'a>(
    bodies: impl ExactSizeIterator<Item = &'a Body> + Clone,
) -> impl Iterator<Item = Placed<'a>> {
    let count = u8::try_from(bodies.len()).unwrap_or(u8::MAX);
    (0..count).zip(bodies).flat_map(move |(block, body)| {
        let below = count.saturating_sub(block).saturating_sub(1);
        body.items().iter().map(move |item| Placed { block, below, item })
    })
}

/// `"cvt1_" ‖ unpadded base64url`.
pub(super) fn to_text(bytes: &[u8]) -> Zeroizing<String> {
    let mut text = Zeroizing::new(String::with_capacity(TEXT_PREFIX.len() + BASE64URL_NOPAD.encode_len(bytes.len())));
    text.push_str(TEXT_PREFIX);
    BASE64URL_NOPAD.encode_append(bytes, &mut text);
    text
}

/// Whether this is meant to be a token's text.
pub(super) fn is_text(text: &str) -> bool {
    text.starts_with(TEXT_PREFIX)
}

/// The bytes of a token's text, which has one form only.
pub(super) fn from_text(text: &str) -> Result<SecretBytes, TokenError> {
    if text.len() > MAX_TEXT_LEN {
        return Err(TokenError::TooLong { found: text.len(), most: MAX_TEXT_LEN });
    }
    let encoded = text.strip_prefix(TEXT_PREFIX).ok_or(TokenError::NotText)?;
    let bytes = BASE64URL_NOPAD.decode(encoded.as_bytes()).map_err(|_| TokenError::NotText)?;
    Ok(Zeroizing::new(bytes))
}
