//! Forged, changed, cut and stolen tokens with every signature that an attacker can make.

use super::*;
use crate::token::issuer::tests::unsound_keys;
use ed25519_dalek::{Signature, Verifier, VerifyingKey};

fn resigned(wire: Wire) -> Result<VerifiedToken, TokenError> {
    accept(&wire.to_bytes())
}

/// A token of three blocks, in parts.
fn parts() -> Wire {
    Wire::parse(&deepen(signed(&narrow()), 2).expose_bytes()).ok().unwrap()
}

fn open(seed: SigningSeed) -> Proof {
    Proof::Open(seed.seed())
}

#[test]
fn a_grant_by_a_stranger_is_refused() {
    let stranger = IssuerKey::from_secret_bytes(&[0x99; 32]);
    let token = narrow().sign(&stranger, VAULT).unwrap();
    assert_eq!(verify(&token).err(), Some(TokenError::UnknownIssuer { issuer: stranger.public().id() }));
    // Even under the name of a trusted issuer.
    let mut wire = Wire::parse(&token.expose_bytes()).ok().unwrap();
    wire.issuer = issuer().public().id();
    assert_eq!(resigned(wire).err(), Some(TokenError::BadSignature { block: 0 }));
}

#[test]
fn an_issuer_is_known_by_its_own_key_only() {
    let other = IssuerKey::from_secret_bytes(&[0x99; 32]).public();
    let token = signed(&narrow());
    let wrong_key = |_| Some(*other.as_bytes());
    let refused = token.as_ref().verify(VAULT, wrong_key, |_| false, NOW, DEFAULT_LONGEST_TTL);
    assert_eq!(refused.err(), Some(TokenError::UnknownIssuer { issuer: issuer().public().id() }));
}

#[test]
fn another_vaults_token_is_refused_with_and_without_its_id_patched() {
    let other = VaultId::from_bytes([0xBB; 16]);
    let token = narrow().sign(&issuer(), other).unwrap();
    assert_eq!(verify(&token).err(), Some(TokenError::WrongVault { named: other }));
    let mut wire = Wire::parse(&token.expose_bytes()).ok().unwrap();
    wire.vault = VAULT;
    assert_eq!(resigned(wire).err(), Some(TokenError::BadSignature { block: 0 }));
}

#[test]
fn dropped_blocks_are_missed() {
    let mut last = parts();
    last.blocks.pop();
    assert_eq!(resigned(last).err(), Some(TokenError::BadProof));
    let mut middle = parts();
    middle.blocks.remove(1);
    assert_eq!(resigned(middle).err(), Some(TokenError::BadSignature { block: 1 }));
    let mut first = parts();
    first.blocks.remove(0);
    assert_eq!(resigned(first).err(), Some(TokenError::BlockKind { block: 0, found: 1 }));
    // Nor does a proof of the attacker's own help.
    let mut own = parts();
    own.blocks.pop();
    own.proof = open(seed(0x77));
    assert_eq!(resigned(own).err(), Some(TokenError::BadProof));
}

#[test]
fn swapped_and_repeated_blocks_are_refused() {
    let mut swapped = parts();
    swapped.blocks.swap(1, 2);
    assert_eq!(resigned(swapped).err(), Some(TokenError::BadSignature { block: 1 }));
    let mut repeated = parts();
    repeated.blocks.push(parts().blocks[2].clone());
    assert_eq!(resigned(repeated).err(), Some(TokenError::BadSignature { block: 3 }));
}

/// Two tokens whose blocks have the same keys, so that only the link to what stands before can tell them apart.
#[test]
fn blocks_spliced_from_another_token_are_refused() {
    let token = |nonce| {
        let grant = narrow().sign_with(&issuer(), VAULT, [nonce; 16], seed(0x31)).unwrap();
        grant.attenuate().issued_at(NOW).finish_with([nonce; 16], seed(0x32)).unwrap()
    };
    let (one, other) = (token(1), token(2));
    assert!(verify(&one).is_ok() && verify(&other).is_ok());
    let mut spliced = Wire::parse(&one.expose_bytes()).ok().unwrap();
    spliced.blocks[1] = other.wire().blocks[1].clone();
    assert_eq!(resigned(spliced).err(), Some(TokenError::BadSignature { block: 1 }));
    let mut changed_body = Wire::parse(&one.expose_bytes()).ok().unwrap();
    changed_body.blocks[1].body = other.wire().blocks[1].body.clone();
    assert_eq!(resigned(changed_body).err(), Some(TokenError::BadSignature { block: 1 }));
}

#[test]
fn a_block_by_someone_without_the_proof_is_refused() {
    let mut wire = parts();
    let forger = seed(0x78);
    let (_, chain) = wire.messages();
    let body = Body::new(3, [0; 16], NOW_SECONDS, Vec::new()).unwrap();
    let signature = forger.sign(&chain.message(&body, &forger.public()));
    wire.blocks.push(Block { body, next_public: forger.public(), signature });
    wire.proof = open(forger);
    assert_eq!(resigned(wire).err(), Some(TokenError::BadSignature { block: 3 }));
}

#[test]
fn issuers_with_small_order_or_non_canonical_keys_are_not_believed() {
    for key in unsound_keys() {
        let mut wire = parts();
        wire.issuer = kdf::issuer_id(&key);
        for signature in [identity_signature(), wire.blocks[0].signature] {
            wire.blocks[0].signature = signature;
            let token = UnverifiedToken::from_bytes(&wire.to_bytes()).unwrap();
            let refused = token.verify(VAULT, |_| Some(key), |_| false, NOW, DEFAULT_LONGEST_TTL);
            assert_eq!(refused.err(), Some(TokenError::BadSignature { block: 0 }), "{key:02x?}");
        }
    }
}

/// R = the neutral element, S = 0: a signature over everything under the key that is the neutral element.
fn identity_signature() -> [u8; 64] {
    let mut signature = [0; 64];
    signature[0] = 1;
    signature
}

/// A holder hands on a token whose next key everyone can sign for.
#[test]
fn a_next_key_of_small_order_signs_nothing() {
    let mut neutral = [0; 32];
    neutral[0] = 1;
    let token = signed(&narrow());
    let mut wire = Wire::parse(&token.expose_bytes()).ok().unwrap();
    let (_, chain) = wire.messages();
    let body = Body::new(1, [0; 16], NOW_SECONDS, Vec::new()).unwrap();
    let signature = token.holder().sign(&chain.message(&body, &neutral));
    wire.blocks.push(Block { body: body.clone(), next_public: neutral, signature });
    let anyone = seed(0x79);
    let (_, chain) = wire.messages();
    let message = chain.message(&body, &anyone.public());
    wire.blocks.push(Block { body, next_public: anyone.public(), signature: identity_signature() });
    wire.proof = open(anyone);
    // What is refused here would pass a verification that is not strict.
    let lax = VerifyingKey::from_bytes(&neutral).unwrap();
    assert!(lax.verify(&message, &Signature::from_bytes(&identity_signature())).is_ok());
    assert_eq!(resigned(wire).err(), Some(TokenError::BadSignature { block: 2 }));
}

/// S and S + L are the same number modulo the order of the group; only one of them is canonical.
#[test]
fn a_malleable_signature_is_refused_in_every_block() {
    let order = "edd3f55c1a631258d69cf7a2def9de1400000000000000000000000000000010";
    let order = data_encoding::HEXLOWER.decode(order.as_bytes()).unwrap();
    for number in 0..3 {
        let mut wire = parts();
        let mut carry = 0;
        for (byte, more) in wire.blocks[number].signature[32..].iter_mut().zip(&order) {
            let sum = u16::from(*byte) + u16::from(*more) + carry;
            *byte = sum as u8;
            carry = sum >> 8;
        }
        assert_eq!(carry, 0);
        assert_eq!(resigned(wire).err(), Some(TokenError::BadSignature { block: number as u8 }));
    }
}

#[test]
fn a_proof_that_is_not_the_last_keys_is_refused() {
    let mut wire = parts();
    wire.proof = open(seed(0x7A));
    let bytes = wire.to_bytes();
    assert_eq!(accept(&bytes).err(), Some(TokenError::BadProof));
    assert!(matches!(Token::try_from(UnverifiedToken::from_bytes(&bytes).unwrap()), Err(TokenError::BadProof)));
}

#[test]
fn revoking_any_block_kills_what_was_narrowed_from_it() {
    let token = deepen(signed(&narrow()), 7);
    let rids = token.revocation_ids();
    assert_eq!((rids.len(), rids.last()), (8, Some(&token.id())));
    assert_eq!(verify(&token).unwrap().rids(), &rids[..]);
    for (block, rid) in (0..).zip(rids) {
        let refused = token.as_ref().verify(VAULT, trusted, |asked| asked == rid, NOW, DEFAULT_LONGEST_TTL);
        assert_eq!(refused.err(), Some(TokenError::Revoked { block, rid }));
    }
}

#[test]
fn a_sibling_lives_on_when_a_block_is_revoked() {
    let parent = signed(&narrow());
    let narrowed = || parent.attenuate().issued_at(NOW).finish().unwrap();
    let (one, other) = (narrowed(), narrowed());
    let rid = one.id();
    for (token, lives) in [(&parent, true), (&other, true), (&one, false)] {
        let verified = token.as_ref().verify(VAULT, trusted, |asked| asked == rid, NOW, DEFAULT_LONGEST_TTL);
        assert_eq!(verified.is_ok(), lives);
    }
}

#[test]
fn no_signature_work_before_the_cheap_checks() {
    // Each of these also has a signature that does not fit; the cheaper reason is the one that is told.
    let mut wire = parts();
    wire.blocks[0].signature = [0; 64];
    let token = UnverifiedToken::from_bytes(&wire.to_bytes()).unwrap();
    let check = |vault, known: bool| {
        let key = |id| trusted(id).filter(|_| known);
        token.verify(vault, key, |_: RevocationId| true, second(u64::MAX / 1_000_000_000), Duration::ZERO).err()
    };
    let other = VaultId::from_bytes([0; 16]);
    assert_eq!(check(other, false), Some(TokenError::WrongVault { named: VAULT }));
    assert_eq!(check(VAULT, false), Some(TokenError::UnknownIssuer { issuer: issuer().public().id() }));
    // And the truth of the signatures is told before revocation and expiry.
    assert_eq!(check(VAULT, true), Some(TokenError::BadSignature { block: 0 }));
}
