//! Bound tokens and devices: nothing opens without the keys they name.

use super::*;
use proptest::prelude::*;

fn holder() -> HolderKey {
    HolderKey::from_secret_bytes(&[0x48; 32])
}

fn device() -> DeviceKey {
    DeviceKey::from_secret_bytes(&[0x49; 32])
}

fn bound() -> BoundToken {
    narrow().bound_to(holder().public()).sign(&issuer(), VAULT).unwrap()
}

fn on_device() -> Token {
    signed(&narrow().device(device().public().id()))
}

fn prove(token: &BoundToken) -> Possession {
    holder().prove(token, &CHALLENGE, Purpose::Treatment, &TRANSCRIPT).unwrap()
}

fn shown(possession: Possession) -> Shown {
    Shown { possession: Some(possession), transcript: TRANSCRIPT, ..Shown::default() }
}

fn shown_device(proof: DeviceProof) -> Shown {
    Shown { device: Some(proof), transcript: TRANSCRIPT, ..Shown::default() }
}

fn open(token: impl AsRef<UnverifiedToken>, shown: &Shown) -> Result<Proven, ProofError> {
    admit(verify(token).unwrap(), shown).map(|(_, proven)| proven)
}

#[test]
fn a_bound_token_opens_with_a_proof_by_its_holder_only() {
    let token = bound();
    assert_eq!(open(&token, &Shown::default()).err(), Some(ProofError::PossessionMissing));
    assert_eq!(open(&token, &shown(prove(&token))).map(|proven| proven.possession), Ok(true));
    let thief = HolderKey::from_secret_bytes(&[0x99; 32]);
    let refused = thief.prove(&token, &CHALLENGE, Purpose::Treatment, &TRANSCRIPT);
    assert_eq!(refused.err(), Some(TokenError::OtherHolder));
    // The library refuses to make it; a thief with code of their own is refused as well.
    let own = narrow().bound_to(thief.public()).sign(&issuer(), VAULT).unwrap();
    let forged = thief.prove(&own, &CHALLENGE, Purpose::Treatment, &TRANSCRIPT).unwrap();
    assert_eq!(open(&token, &shown(forged)).err(), Some(ProofError::PossessionInvalid));
}

#[test]
fn a_bound_token_carries_no_secret() {
    let (token, seed) = (bound(), holder().to_secret_bytes());
    assert!(!token.expose_bytes().windows(32).any(|part| part == *seed));
    assert_eq!(token.holder(), Ok(holder().public()));
    let again: BoundToken = token.expose_text().parse().unwrap();
    assert_eq!((again.id(), again.not_after()), (token.id(), token.not_after()));
}

#[test]
fn a_proof_is_bound_to_token_purpose_transcript_and_challenge() {
    let (token, other) = (bound(), bound());
    let prove =
        |token, challenge, purpose, transcript| shown(holder().prove(token, &challenge, purpose, &transcript).unwrap());
    let treatment = Purpose::Treatment;
    assert_eq!(open(&token, &prove(&token, CHALLENGE, treatment, TRANSCRIPT)).err(), None);
    let invalid = Some(ProofError::PossessionInvalid);
    assert_eq!(open(&token, &prove(&other, CHALLENGE, treatment, TRANSCRIPT)).err(), invalid, "another token");
    assert_eq!(open(&token, &prove(&token, CHALLENGE, Purpose::Payment, TRANSCRIPT)).err(), invalid, "purpose");
    assert_eq!(open(&token, &prove(&token, CHALLENGE, treatment, [0; 32])).err(), invalid, "transcript");
    let stale = Challenge::from_bytes([0xC5; 32]);
    let unknown = Some(ProofError::UnknownChallenge);
    assert_eq!(open(&token, &prove(&token, stale, treatment, TRANSCRIPT)).err(), unknown, "challenge");
    // A challenge of which only the first half was given out.
    let mut half = *CHALLENGE.as_bytes();
    half[31] ^= 1;
    assert_eq!(open(&token, &prove(&token, Challenge::from_bytes(half), treatment, TRANSCRIPT)).err(), unknown);
}

#[test]
fn every_flipped_bit_of_a_possession_and_of_a_devices_proof_is_refused() {
    let (token, on_device) = (bound(), on_device());
    let possession = prove(&token).to_bytes();
    let proof = device().prove(&on_device, &CHALLENGE, Purpose::Treatment, &TRANSCRIPT).to_bytes();
    assert_eq!((possession.len(), proof.len()), (100, 132));
    for bit in 0..possession.len() * 8 {
        let mut bad = possession.clone();
        bad[bit / 8] ^= 1 << (bit % 8);
        assert!(Possession::parse(&bad).is_err() || open(&token, &shown(Possession::parse(&bad).unwrap())).is_err());
    }
    for bit in 0..proof.len() * 8 {
        let mut bad = proof.clone();
        bad[bit / 8] ^= 1 << (bit % 8);
        let Ok(bad) = DeviceProof::parse(&bad) else { continue };
        assert!(open(&on_device, &shown_device(bad)).is_err(), "bit {bit}");
    }
    for len in 0..possession.len() {
        assert!(Possession::parse(&possession[..len]).is_err());
    }
    for len in 0..proof.len() {
        assert!(DeviceProof::parse(&proof[..len]).is_err());
    }
    assert!(Possession::parse(&[&possession[..], &[0]].concat()).is_err());
    assert!(DeviceProof::parse(&[&proof[..], &[0]].concat()).is_err());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn proofs_and_challenges_come_back_from_bytes_and_text(challenge: [u8; 32], transcript: [u8; 32]) {
        let challenge = Challenge::from_bytes(challenge);
        prop_assert_eq!(challenge.to_string().parse(), Ok(challenge));
        let possession = holder().prove(bound(), &challenge, Purpose::Treatment, &transcript).unwrap();
        prop_assert_eq!(Possession::parse(&possession.to_bytes()), Ok(possession.clone()));
        prop_assert_eq!(possession.to_string().parse(), Ok(possession.clone()));
        let proof = device().prove(bound(), &challenge, Purpose::Treatment, &transcript);
        prop_assert_eq!(DeviceProof::parse(&proof.to_bytes()), Ok(proof.clone()));
        prop_assert_eq!(proof.to_string().parse(), Ok(proof.clone()));
        prop_assert!(proof.to_string().parse::<Possession>().is_err());
        prop_assert!(DeviceProof::parse(&possession.to_bytes()).is_err());
    }

    #[test]
    fn any_bytes_are_a_proof_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..200), magic: bool) {
        let bytes = if magic { [&b"CVPP"[..], &bytes].concat() } else { bytes };
        if let Ok(proof) = Possession::parse(&bytes) {
            prop_assert_eq!(proof.to_bytes(), bytes.clone());
        }
        let bytes = [&b"CVDP"[..], bytes.get(4..).unwrap_or_default()].concat();
        if let Ok(proof) = DeviceProof::parse(&bytes) {
            prop_assert_eq!(proof.to_bytes(), bytes);
        }
    }
}

#[test]
fn the_holder_alone_narrows_a_bound_token() {
    let token = bound();
    let stranger = HolderKey::from_secret_bytes(&[0x99; 32]);
    assert_eq!(token.attenuate(&stranger).err(), Some(TokenError::OtherHolder));
    let key = holder();
    let narrower = token.attenuate(&key).unwrap().issued_at(NOW).valid_for(Duration::from_secs(60)).finish().unwrap();
    assert_eq!(verify(&narrower).unwrap().decide(&request()), Ok(()));
    let wider = token.attenuate(&key).unwrap().issued_at(NOW).actions([Action::Void]).finish();
    assert!(wider.is_err());
    // Somebody who has the token only cannot add a block that cuts the holder out.
    let mut wire = Wire::parse(&token.expose_bytes()).ok().unwrap();
    let (forger, (_, chain)) = (seed(0x78), wire.messages());
    let body = Body::new(1, [0; 16], NOW_SECONDS, Vec::new()).unwrap();
    let signature = forger.sign(&chain.message(&body, &forger.public()));
    wire.blocks.push(Block { body, next_public: forger.public(), signature });
    wire.proof = Proof::Open(forger.seed());
    assert_eq!(accept(&wire.to_bytes()).err(), Some(TokenError::BadSignature { block: 1 }));
}

#[test]
fn a_token_is_handed_on_to_another_holder() {
    let next = HolderKey::from_secret_bytes(&[0x4A; 32]);
    let key = holder();
    for token in [
        signed(&narrow()).attenuate().issued_at(NOW).bound_to(next.public()).finish().unwrap(),
        bound().attenuate(&key).unwrap().issued_at(NOW).bound_to(next.public()).finish().unwrap(),
    ] {
        let proof = next.prove(&token, &CHALLENGE, Purpose::Treatment, &TRANSCRIPT).unwrap();
        assert_eq!(open(&token, &shown(proof)).map(|proven| proven.possession), Ok(true));
        assert_eq!(key.prove(&token, &CHALLENGE, Purpose::Treatment, &TRANSCRIPT).err(), Some(TokenError::OtherHolder));
    }
}

#[test]
fn a_proof_of_possession_is_no_seal_and_no_block() {
    let token = bound();
    let mut wire = Wire::parse(&token.expose_bytes()).ok().unwrap();
    wire.proof = Proof::Sealed(prove(&token).to_bytes()[36..].try_into().unwrap());
    assert_eq!(accept(&wire.to_bytes()).err(), Some(TokenError::BadProof));
}

#[test]
fn a_key_that_everyone_can_sign_for_proves_nothing() {
    let mut neutral = [0; 32];
    neutral[0] = 1;
    let token = signed(&narrow());
    let mut wire = Wire::parse(&token.expose_bytes()).ok().unwrap();
    let (_, chain) = wire.messages();
    let body = Body::new(1, [0; 16], NOW_SECONDS, Vec::new()).unwrap();
    let signature = token.holder().sign(&chain.message(&body, &neutral));
    wire.blocks.push(Block { body, next_public: neutral, signature });
    wire.proof = Proof::Bound;
    let verified = accept(&wire.to_bytes()).unwrap();
    let anybodys = [&b"CVPP"[..], CHALLENGE.as_bytes(), &neutral, &[0; 32]].concat();
    let refused = admit(verified, &shown(Possession::parse(&anybodys).unwrap()));
    assert_eq!(refused.err(), Some(ProofError::PossessionInvalid));
    assert!(HolderPublicKey::from_bytes(neutral).is_err());
    let device = [&b"CVDP"[..], CHALLENGE.as_bytes(), &neutral, &neutral, &[0; 32]].concat();
    assert!(DeviceProof::parse(&device).is_err());
}

#[test]
fn a_token_for_one_device_opens_on_that_device_only() {
    let id = device().public().id();
    let on = |key: &DeviceKey, token: &UnverifiedToken| {
        shown_device(key.prove(token, &CHALLENGE, Purpose::Treatment, &TRANSCRIPT))
    };
    let grant = || narrow().device(id);
    let (open_token, sealed) = (on_device(), on_device().seal().unwrap());
    let narrowed = signed(&narrow()).attenuate().issued_at(NOW).device(id).finish().unwrap();
    let tokens: [(&UnverifiedToken, u8); 3] = [(open_token.as_ref(), 0), (sealed.as_ref(), 0), (narrowed.as_ref(), 1)];
    for (token, block) in tokens {
        assert_eq!(open(token, &Shown::default()).err(), Some(ProofError::DeviceMissing { block, device: id }));
        assert_eq!(open(token, &on(&device(), token)).map(|proven| proven.device), Ok(Some(id)));
        let other = DeviceKey::from_secret_bytes(&[0x4B; 32]);
        let refused = ProofError::OtherDevice { block, demanded: id, shown: other.public().id() };
        assert_eq!(open(token, &on(&other, token)).err(), Some(refused));
        let elsewhere = on(&device(), signed(&grant()).as_ref());
        assert_eq!(open(token, &elsewhere).err(), Some(ProofError::DeviceInvalid));
        // The device's proof of one purpose is none of another.
        let payment = device().prove(token, &CHALLENGE, Purpose::Payment, &TRANSCRIPT);
        assert_eq!(open(token, &shown_device(payment)).err(), Some(ProofError::DeviceInvalid));
    }
    let bound = grant().bound_to(holder().public()).sign(&issuer(), VAULT).unwrap();
    let mut both = on(&device(), bound.as_ref());
    assert_eq!(open(&bound, &both).err(), Some(ProofError::PossessionMissing));
    both.possession = Some(prove(&bound));
    let proven = Proven { possession: true, device: Some(id), attesters: Vec::new(), signed_in: Default::default() };
    assert_eq!(open(&bound, &both), Ok(proven));
    both.device = None;
    assert_eq!(open(&bound, &both).err(), Some(ProofError::DeviceMissing { block: 0, device: id }));
}

/// A device's signature does not count as the holder's, nor the reverse, unless they share the key.
#[test]
fn a_devices_proof_stands_for_no_holder() {
    let token = bound();
    let proof = device().prove(&token, &CHALLENGE, Purpose::Treatment, &TRANSCRIPT);
    let signature = &proof.to_bytes()[68..];
    let forged = [&b"CVPP"[..], CHALLENGE.as_bytes(), signature].concat();
    let refused = open(&token, &shown(Possession::parse(&forged).unwrap()));
    assert_eq!(refused.err(), Some(ProofError::PossessionInvalid));
}

#[test]
fn two_devices_are_refused_when_built_and_deny_when_forged() {
    let (one, other) = (device().public().id(), DeviceId::from_bytes([7; 32]));
    let token = on_device();
    let refused = token.attenuate().issued_at(NOW).device(other).finish();
    assert!(matches!(refused, Err(crate::token::AttenuateError::Widening { caveat: Caveat::Device })), "{refused:?}");
    assert!(token.attenuate().issued_at(NOW).device(one).finish().is_ok());
    let forged = append(&token, vec![Item::Device([7; 32])]);
    let proof = device().prove(&forged, &CHALLENGE, Purpose::Treatment, &TRANSCRIPT);
    let refused = ProofError::OtherDevice { block: 1, demanded: other, shown: one };
    assert_eq!(open(&forged, &shown_device(proof)).err(), Some(refused));
}

#[test]
fn proofs_that_answer_different_challenges_are_refused() {
    let bound = narrow().device(device().public().id()).bound_to(holder().public()).sign(&issuer(), VAULT).unwrap();
    let other = Challenge::from_bytes([0xC5; 32]);
    let device = device().prove(&bound, &other, Purpose::Treatment, &TRANSCRIPT);
    let both = Shown { device: Some(device), ..shown(prove(&bound)) };
    assert_eq!(open(&bound, &both).err(), Some(ProofError::ChallengesDiffer));
}

#[test]
fn what_is_shown_without_being_asked_for_must_hold_too() {
    let token = signed(&narrow());
    let good = device().prove(&token, &CHALLENGE, Purpose::Treatment, &TRANSCRIPT);
    assert_eq!(open(&token, &shown_device(good)).map(|p| p.device), Ok(Some(device().public().id())));
    let bad = device().prove(&token, &CHALLENGE, Purpose::Treatment, &[0; 32]);
    assert_eq!(open(&token, &shown_device(bad)).err(), Some(ProofError::DeviceInvalid));
    assert_eq!(open(&token, &shown(prove(&bound()))).err(), Some(ProofError::PossessionInvalid));
}
