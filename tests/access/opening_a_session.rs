//! What a token demands beside itself when a session is opened: shown once, for this token, purpose and connection, or
//! refused; and the log says which.

use crate::support;

use std::sync::Barrier;
use std::time::Duration;

use chartvault::*;
use support::{House, whole_log};

const TRANSCRIPT: [u8; 32] = [7; 32];
const MINUTE: Duration = Duration::from_secs(60);

struct Keys {
    holder: HolderKey,
    device: DeviceKey,
    attester: AttesterKey,
}

fn keys() -> Keys {
    Keys {
        holder: HolderKey::generate().unwrap(),
        device: DeviceKey::generate().unwrap(),
        attester: AttesterKey::generate().unwrap(),
    }
}

fn bound(house: &House, vault: &Vault, keys: &Keys) -> BoundToken {
    house.grant().bound_to(keys.holder.public()).sign(&house.issuer, vault.id()).unwrap()
}

fn prove(vault: &Vault, keys: &Keys, token: &BoundToken) -> Possession {
    keys.holder.prove(token, &vault.challenge().unwrap(), Purpose::Treatment, &TRANSCRIPT).unwrap()
}

fn open(vault: &Vault, token: &BoundToken, proof: &Possession) -> Result<Session, Error> {
    let opening = vault.session_with(token, Purpose::Treatment).host_transcript(TRANSCRIPT);
    opening.possession(proof.clone()).open()
}

/// The newest opening or refusal in the log.
fn newest(session: &Session) -> AuditEntry {
    let about = |entry: &AuditEntry| matches!(entry.event, AuditEvent::SessionOpened | AuditEvent::TokenRefused);
    whole_log(session).into_iter().rfind(about).unwrap()
}

#[track_caller]
fn refused(log: &Session, answer: Result<Session, Error>, expected: ProofError) {
    assert!(matches!(answer, Err(Error::Proof(error)) if error == expected), "{answer:?}");
    let entry = newest(log);
    assert_eq!((entry.outcome, entry.reason), (Outcome::Denied, Some(expected.code())), "{entry}");
    assert_eq!(entry.detail, Some(expected.to_string()));
    assert!(!entry.possession && entry.device.is_none() && entry.attesters.is_empty(), "nothing was proven");
}

#[test]
fn a_sealed_token_opens_a_session() {
    let (house, vault) = House::create();
    let token = house.grant().sign(&house.issuer, vault.id()).unwrap();
    let received: SealedToken = token.seal().unwrap().expose_text().parse().unwrap();
    let session = vault.session(&received, Purpose::Treatment).unwrap();
    session.register_patient([]).unwrap();
    assert!(!newest(&session).possession);
    let mut bytes = received.expose_bytes().to_vec();
    *bytes.last_mut().unwrap() ^= 1;
    let forged = UnverifiedToken::parse(&bytes).unwrap();
    assert!(matches!(vault.session(&forged, Purpose::Treatment), Err(Error::Token(TokenError::BadProof))));
    assert_eq!(newest(&session).event, AuditEvent::TokenRefused);
}

#[test]
fn a_bound_token_opens_a_session_once_a_proof() {
    let (house, vault) = House::create();
    let (keys, all) = (keys(), house.session(&vault));
    let token = bound(&house, &vault, &keys);
    refused(&all, vault.session(&token, Purpose::Treatment), ProofError::PossessionMissing);
    let proof = prove(&vault, &keys, &token);
    let session = open(&vault, &token, &proof).unwrap();
    session.register_patient([]).unwrap();
    let entry = newest(&all);
    assert_eq!((entry.outcome, entry.possession, entry.session), (Outcome::Allowed, true, Some(session.id())));
    refused(&all, open(&vault, &token, &proof), ProofError::UnknownChallenge);
    support::verify(&all);
}

#[test]
fn a_proof_for_another_token_purpose_or_connection_is_refused_and_used_up() {
    let (house, vault) = House::create();
    let (keys, all) = (keys(), house.session(&vault));
    let grant = house.grant().purpose(Purpose::Payment).bound_to(keys.holder.public());
    let [token, other] = [(); 2].map(|()| grant.sign(&house.issuer, vault.id()).unwrap());
    let proof = prove(&vault, &keys, &other);
    refused(&all, open(&vault, &token, &proof), ProofError::PossessionInvalid);
    refused(&all, open(&vault, &other, &proof), ProofError::UnknownChallenge);

    let proof = prove(&vault, &keys, &token);
    let payment = vault.session_with(&token, Purpose::Payment).host_transcript(TRANSCRIPT);
    refused(&all, payment.possession(proof).open(), ProofError::PossessionInvalid);
    let proof = prove(&vault, &keys, &token);
    let elsewhere = vault.session_with(&token, Purpose::Treatment).possession(proof);
    refused(&all, elsewhere.open(), ProofError::PossessionInvalid);
    let invented = Challenge::from_bytes([1; 32]);
    let proof = keys.holder.prove(&token, &invented, Purpose::Treatment, &TRANSCRIPT).unwrap();
    refused(&all, open(&vault, &token, &proof), ProofError::UnknownChallenge);
}

#[test]
fn a_challenge_is_good_for_less_than_sixty_seconds() {
    let (house, vault) = House::create();
    let (keys, all) = (keys(), house.session(&vault));
    let token = bound(&house, &vault, &keys);
    let [early, late] = [(); 2].map(|()| prove(&vault, &keys, &token));
    house.clock.step(60);
    house.clock.step_micros(-1);
    assert!(open(&vault, &token, &early).is_ok());
    house.clock.step_micros(1);
    refused(&all, open(&vault, &token, &late), ProofError::ChallengeExpired);
}

#[test]
fn a_proof_is_refused_after_the_vault_was_opened_again() {
    let (house, vault) = House::create();
    let keys = keys();
    let token = bound(&house, &vault, &keys);
    let [used, fresh] = [(); 2].map(|()| prove(&vault, &keys, &token));
    open(&vault, &token, &used).unwrap();
    vault.close().unwrap();
    assert!(matches!(vault.challenge(), Err(Error::Sealed)));
    let vault = house.open();
    let all = house.session(&vault);
    refused(&all, open(&vault, &token, &used), ProofError::UnknownChallenge);
    refused(&all, open(&vault, &token, &fresh), ProofError::UnknownChallenge);
    assert!(open(&vault, &token, &prove(&vault, &keys, &token)).is_ok());
}

#[test]
fn of_many_threads_with_one_proof_exactly_one_opens() {
    let (house, vault) = House::create();
    let keys = keys();
    let token = bound(&house, &vault, &keys);
    let proof = prove(&vault, &keys, &token);
    let start = Barrier::new(8);
    let opened = std::thread::scope(|scope| {
        let openings: Vec<_> = (0..8)
            .map(|_| {
                scope.spawn(|| {
                    start.wait();
                    open(&vault, &token, &proof).is_ok()
                })
            })
            .collect();
        openings.into_iter().map(|opening| opening.join().unwrap()).filter(|opened| *opened).count()
    });
    assert_eq!(opened, 1);
}

#[test]
fn the_4097th_outstanding_challenge_is_refused() {
    let (house, vault) = House::create();
    let given: Vec<Challenge> = (0..4_096).map(|_| vault.challenge().unwrap()).collect();
    assert_eq!(given.len(), 4_096);
    assert!(matches!(vault.challenge(), Err(Error::TooManyChallenges { limit: 4_096 })));
    house.clock.step(60);
    vault.challenge().unwrap();
}

#[test]
fn a_token_for_a_device_opens_there_only_and_the_log_names_the_device() {
    let (house, vault) = House::create();
    let (keys, all) = (keys(), house.session(&vault));
    let id = keys.device.public().id();
    let token = house.grant().device(id).sign(&house.issuer, vault.id()).unwrap();
    let other = DeviceKey::generate().unwrap();
    let on = |device: &DeviceKey| device.prove(&token, &vault.challenge().unwrap(), Purpose::Treatment, &[0; 32]);
    let opening = || vault.session_with(&token, Purpose::Treatment);
    refused(&all, vault.session(&token, Purpose::Treatment), ProofError::DeviceMissing { block: 0, device: id });
    let shown = other.public().id();
    refused(&all, opening().device(on(&other)).open(), ProofError::OtherDevice { block: 0, demanded: id, shown });
    let proof = on(&keys.device);
    let elsewhere = opening().host_transcript(TRANSCRIPT).device(proof.clone()).open();
    refused(&all, elsewhere, ProofError::DeviceInvalid);
    refused(&all, opening().device(proof).open(), ProofError::UnknownChallenge);
    let session = opening().device(on(&keys.device)).open().unwrap();
    let entry = newest(&all);
    assert_eq!((entry.session, entry.device), (Some(session.id()), Some(id.to_string())));
    session.register_patient([]).unwrap();
}

#[test]
fn attestations_by_trusted_attesters_open_a_session_and_the_log_names_them() {
    let (house, vault) = House::create();
    let (keys, all) = (keys(), house.session(&vault));
    let attester = keys.attester.public().id();
    let grant = house.grant().attestation(attester, Claim::SIGNED_IN, MINUTE).device(keys.device.public().id());
    let token = grant.bound_to(keys.holder.public()).sign(&house.issuer, vault.id()).unwrap();
    let open = || {
        let challenge = vault.challenge().unwrap();
        let now = house.clock.now();
        let signed_in = Attestation::of(&token, Claim::SIGNED_IN).answering(&challenge).issued_at(now);
        let opening = vault.session_with(&token, Purpose::Treatment).host_transcript(TRANSCRIPT);
        let possession = keys.holder.prove(&token, &challenge, Purpose::Treatment, &TRANSCRIPT).unwrap();
        let device = keys.device.prove(&token, &challenge, Purpose::Treatment, &TRANSCRIPT);
        let signed_in = signed_in.valid_for(MINUTE).sign(&keys.attester).unwrap();
        opening.possession(possession).device(device).attestations([signed_in]).open()
    };
    refused(&all, open(), ProofError::UnknownAttester { attester });
    vault.trust_attester(keys.attester.public(), &house.key).unwrap();
    let session = open().unwrap();
    let entry = newest(&all);
    assert_eq!((entry.possession, entry.attesters), (true, vec![attester]));
    assert_eq!(entry.device, Some(keys.device.public().id().to_string()));
    session.register_patient([]).unwrap();
    support::verify(&all);
    drop((session, all));
    vault.close().unwrap();
    let vault = house.open();
    let all = house.session(&vault);
    let missing = ProofError::AttestationMissing { block: 0, attester, claim: Claim::SIGNED_IN };
    let challenge = vault.challenge().unwrap();
    let opening = vault.session_with(&token, Purpose::Treatment).host_transcript(TRANSCRIPT);
    let possession = keys.holder.prove(&token, &challenge, Purpose::Treatment, &TRANSCRIPT).unwrap();
    let device = keys.device.prove(&token, &challenge, Purpose::Treatment, &TRANSCRIPT);
    refused(&all, opening.possession(possession).device(device).open(), missing);
    // Trust was kept.
    let again = vault.trust_attester(keys.attester.public(), &house.key);
    assert!(matches!(again, Err(Error::AlreadyTrusted { .. })), "{again:?}");
}

#[test]
fn a_sign_in_of_an_earlier_opening_is_refused_and_a_standing_claim_is_not() {
    let (house, vault) = House::create();
    let (keys, all) = (keys(), house.session(&vault));
    vault.trust_attester(keys.attester.public(), &house.key).unwrap();
    let (by, now) = (keys.attester.public().id(), house.clock.now());
    for (claim, challenge) in [(Claim::ON_DUTY, None), (Claim::SIGNED_IN, Some(vault.challenge().unwrap()))] {
        let token = house.grant().attestation(by, claim, MINUTE).sign(&house.issuer, vault.id()).unwrap();
        let new = Attestation::of(&token, claim).issued_at(now).valid_for(MINUTE);
        let new = challenge.iter().fold(new, |new, challenge| new.answering(challenge));
        let attestation = new.sign(&keys.attester).unwrap();
        let open = || vault.session_with(&token, Purpose::Treatment).attestations([attestation.clone()]).open();
        open().unwrap();
        match challenge {
            None => drop(open().unwrap()),
            Some(_) => refused(&all, open(), ProofError::UnknownChallenge),
        }
    }
}

#[test]
fn whom_to_trust_for_attestations_is_asked_for_with_a_credential_once_and_logged() {
    let (house, vault) = House::create();
    let (keys, all) = (keys(), house.session(&vault));
    let public = keys.attester.public();
    let refused = vault.trust_attester(public, &RawKey::generate().unwrap());
    assert!(matches!(refused, Err(Error::Unlock(UnlockError::WrongCredential))), "{refused:?}");
    vault.trust_attester(public, &house.key).unwrap();
    let again = vault.trust_attester(public, &house.key);
    assert!(matches!(again, Err(Error::AlreadyTrusted { attester }) if attester == public.id()), "{again:?}");
    let entries = whole_log(&all).into_iter().filter(|entry| entry.event == AuditEvent::AttesterTrusted);
    let outcomes: Vec<_> = entries.map(|entry| (entry.outcome, entry.attesters)).collect();
    let named = |outcome| (outcome, vec![public.id()]);
    assert_eq!(outcomes, [Outcome::Denied, Outcome::Allowed, Outcome::Denied].map(named));
    // To be trusted to attest is not to be trusted to grant.
    let as_issuer = IssuerKey::from_secret_bytes(&keys.attester.to_secret_bytes());
    let token = house.grant().sign(&as_issuer, vault.id()).unwrap();
    let refused = vault.session(&token, Purpose::Treatment);
    assert!(matches!(refused, Err(Error::Token(TokenError::UnknownIssuer { .. }))), "{refused:?}");
}

#[test]
fn a_challenge_outlives_a_token_that_is_refused_for_itself() {
    let (house, vault) = House::create();
    let keys = keys();
    let token = bound(&house, &vault, &keys);
    let proof = prove(&vault, &keys, &token);
    // The last byte but one belongs to the signature of the grant.
    let mut bytes = token.expose_bytes().to_vec();
    let at = bytes.len() - 2;
    bytes[at] ^= 1;
    let forged = UnverifiedToken::parse(&bytes).unwrap();
    let opening = vault.session_with(&forged, Purpose::Treatment).host_transcript(TRANSCRIPT);
    let refused = opening.possession(proof.clone()).open();
    assert!(matches!(refused, Err(Error::Token(TokenError::BadSignature { block: 0 }))), "{refused:?}");
    assert!(open(&vault, &token, &proof).is_ok());
}
