//! Sealed tokens: usable by whoever has them, narrowed by nobody.

use super::*;
use crate::token::attenuate::AttenuateError;

fn parent() -> Token {
    deepen(signed(&narrow()), 2)
}

fn sealed() -> SealedToken {
    parent().seal().unwrap()
}

/// The token with another proof.
fn with_proof(token: &SealedToken, proof: Proof) -> Result<VerifiedToken, TokenError> {
    let mut wire = Wire::parse(&token.expose_bytes()).ok().unwrap();
    wire.proof = proof;
    accept(&wire.to_bytes())
}

#[test]
fn a_sealed_token_allows_what_its_parent_allows() {
    let (parent, text) = (parent(), sealed().expose_text());
    let token: SealedToken = text.parse().unwrap();
    let verified = verify(&token).unwrap();
    assert_eq!(verified.decide(&request()), Ok(()));
    let other = Request { patient: Reach::One(BEN), ..request() };
    assert_eq!(verified.decide(&other).unwrap_err().reason, DenyReason::Patient);
    let same = parent.seal().unwrap();
    assert_eq!((same.id(), same.not_after(), same.vault()), (parent.id(), parent.not_after(), VAULT));
    assert_eq!(same.issuer(), issuer().public().id());
}

#[test]
fn a_sealed_token_holds_no_secret_key() {
    let parent = parent();
    let (bytes, seed) = (parent.seal().unwrap().expose_bytes(), parent.holder().seed());
    assert!(!bytes.windows(32).any(|part| part == seed.expose()));
    assert!(parent.expose_bytes().windows(32).any(|part| part == seed.expose()));
}

#[test]
fn every_flipped_bit_of_a_sealed_token_is_refused() {
    let bytes = sealed().expose_bytes();
    for bit in 0..bytes.len() * 8 {
        let mut bad = bytes.to_vec();
        bad[bit / 8] ^= 1 << (bit % 8);
        let accepted = accept(&bad).is_ok_and(|token| admit(token, &Shown::default()).is_ok());
        assert!(!accepted, "bit {bit}");
    }
    for len in 0..bytes.len() {
        assert!(accept(&bytes[..len]).is_err(), "length {len}");
    }
}

/// Two tokens whose last blocks have the same key: only what the seal covers can tell them apart.
#[test]
fn the_seal_of_another_token_is_refused() {
    let token = |nonce| {
        let grant = narrow().sign_with(&issuer(), VAULT, [nonce; 16], seed(0x31)).unwrap();
        grant.seal().unwrap()
    };
    let Proof::Sealed(other) = Wire::parse(&token(2).expose_bytes()).ok().unwrap().proof else { panic!() };
    assert_eq!(with_proof(&token(1), Proof::Sealed(other)).err(), Some(TokenError::BadProof));
    assert!(with_proof(&token(2), Proof::Sealed(other)).is_ok());
}

#[test]
fn a_stripped_seal_leaves_a_token_that_opens_nothing() {
    let bound = with_proof(&sealed(), Proof::Bound).unwrap();
    assert_eq!(admit(bound, &Shown::default()).err(), Some(ProofError::PossessionMissing));
    assert_eq!(with_proof(&sealed(), Proof::Open(seed(1).seed())).err(), Some(TokenError::BadProof));
    assert_eq!(with_proof(&sealed(), Proof::Sealed([0; 64])).err(), Some(TokenError::BadProof));
}

#[test]
fn a_sealed_token_cannot_be_cut_back_to_a_wider_one() {
    let mut wire = Wire::parse(&sealed().expose_bytes()).ok().unwrap();
    wire.blocks.pop();
    assert_eq!(accept(&wire.to_bytes()).err(), Some(TokenError::BadProof));
}

#[test]
fn a_sealed_token_is_not_narrowed() {
    let unverified = UnverifiedToken::from_bytes(&sealed().expose_bytes()).unwrap();
    assert_eq!(Token::try_from(unverified).err(), Some(TokenError::NotOpen));
    // A block added by somebody who has the sealed token only.
    let mut wire = Wire::parse(&sealed().expose_bytes()).ok().unwrap();
    let (forger, (_, chain)) = (seed(0x78), wire.messages());
    let body = Body::new(3, [0; 16], NOW_SECONDS, Vec::new()).unwrap();
    let signature = forger.sign(&chain.message(&body, &forger.public()));
    wire.blocks.push(Block { body, next_public: forger.public(), signature });
    wire.proof = Proof::Sealed(forger.sign(&wire.seal_message()));
    assert_eq!(accept(&wire.to_bytes()).err(), Some(TokenError::BadSignature { block: 3 }));
}

#[test]
fn open_and_bound_tokens_are_not_taken_for_sealed_ones() {
    let open = UnverifiedToken::from_bytes(&parent().expose_bytes()).unwrap();
    assert_eq!(SealedToken::try_from(open).err(), Some(TokenError::NotSealed));
    assert_eq!(SealedToken::from_text(&parent().expose_text()).err(), Some(TokenError::NotSealed));
    assert_eq!(BoundToken::from_text(&sealed().expose_text()).err(), Some(TokenError::NotBound));
}

#[test]
fn the_neutral_element_seals_nothing() {
    let mut neutral = [0; 32];
    neutral[0] = 1;
    let token = signed(&narrow());
    let mut wire = Wire::parse(&token.expose_bytes()).ok().unwrap();
    let (_, chain) = wire.messages();
    let body = Body::new(1, [0; 16], NOW_SECONDS, Vec::new()).unwrap();
    let signature = token.holder().sign(&chain.message(&body, &neutral));
    wire.blocks.push(Block { body, next_public: neutral, signature });
    let mut anybodys = [0; 64];
    anybodys[0] = 1;
    wire.proof = Proof::Sealed(anybodys);
    assert_eq!(accept(&wire.to_bytes()).err(), Some(TokenError::BadProof));
}

/// The seal is 32 bytes longer than the secret that it stands for.
#[test]
fn a_token_of_4064_bytes_is_the_largest_that_can_be_sealed() {
    let seal = |len| Token::try_from(Raw::of_len(len).read().unwrap()).unwrap().seal();
    let largest = seal(4064).unwrap();
    assert_eq!(largest.expose_bytes().len(), 4096);
    assert!(verify(&largest).is_ok());
    assert_eq!(seal(4065).err(), Some(AttenuateError::TokenTooLarge { found: 4097 }));
}
