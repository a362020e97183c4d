//! Attestations: by whom the vault trusts, about this token and its subject, fresh, and unchanged.

use super::*;
use crate::token::attestation::AttestError;
use crate::token::limits::LimitError;
use crate::token::{MAX_SHOWN, MAX_WANTED};
use proptest::prelude::*;

const MINUTE: Duration = Duration::from_secs(60);

fn token() -> Token {
    demanding(Claim::SIGNED_IN)
}

/// A token that wants this claim, at most a minute old.
fn demanding(claim: Claim) -> Token {
    signed(&narrow().attestation(attester().public().id(), claim, MINUTE))
}

fn signed_in(token: &Token) -> Attestation {
    new(token).sign(&attester()).unwrap()
}

fn new(token: &Token) -> crate::token::attestation::NewAttestation {
    Attestation::of(token, Claim::SIGNED_IN).answering(&CHALLENGE).issued_at(NOW).valid_for(HOUR)
}

fn open(token: &Token, attestations: &[Attestation]) -> Option<ProofError> {
    open_at(token, attestations, NOW)
}

fn open_at(token: &Token, attestations: &[Attestation], now: Timestamp) -> Option<ProofError> {
    let shown = Shown { attestations: attestations.to_vec(), ..Shown::default() };
    let at = Admission { purpose: Purpose::Treatment, now };
    let take = |nonce| if nonce == CHALLENGE.nonce() { Ok(CHALLENGE) } else { Err(ProofError::UnknownChallenge) };
    verify_at(token, now).unwrap().admit(&shown, at, trusted_attester, take).err()
}

#[test]
fn a_token_that_demands_an_attestation_opens_with_it_only() {
    let token = token();
    let by = attester().public().id();
    let missing = |block, claim| Some(ProofError::AttestationMissing { block, attester: by, claim });
    assert_eq!(open(&token, &[]), missing(0, Claim::SIGNED_IN));
    assert_eq!(open(&token, &[signed_in(&token)]), None);
    let claim = Claim::HARDWARE_KEY;
    let other = Attestation::of(&token, claim).answering(&CHALLENGE).issued_at(NOW).valid_for(HOUR);
    assert_eq!(open(&token, &[other.sign(&attester()).unwrap()]), missing(0, Claim::SIGNED_IN), "another claim");
    // Demanded by a later block, and beside the first.
    let narrower = token.attenuate().issued_at(NOW).attestation(by, Claim::ON_DUTY, MINUTE).finish().unwrap();
    let on_duty = Attestation::of(&narrower, Claim::ON_DUTY).issued_at(NOW).valid_for(HOUR).sign(&attester()).unwrap();
    assert_eq!(open(&narrower, &[signed_in(&narrower)]), missing(1, Claim::ON_DUTY));
    assert_eq!(open(&narrower, std::slice::from_ref(&on_duty)), missing(0, Claim::SIGNED_IN));
    assert_eq!(open(&narrower, &[on_duty, signed_in(&narrower)]), None);
}

#[test]
fn what_one_block_demands_twice_it_demands_as_new_as_the_stricter_time() {
    let (by, claim) = (attester().public().id(), Claim::ON_DUTY);
    for [first, second] in [[MINUTE, HOUR], [HOUR, MINUTE]] {
        let token = signed(&narrow().attestation(by, claim, first).attestation(by, claim, second));
        let attested = Attestation::of(&token, claim).issued_at(NOW).valid_for(HOUR).sign(&attester()).unwrap();
        assert_eq!(open_at(&token, std::slice::from_ref(&attested), NOW.saturating_add(MINUTE)), None);
        let old = ProofError::AttestationTooOld { block: 0, attester: by, claim, oldest: 60 };
        assert_eq!(open_at(&token, &[attested], NOW.saturating_add(2 * MINUTE)), Some(old));
    }
}

#[test]
fn an_attestation_for_another_token_or_block_is_refused() {
    let (token, other) = (token(), token());
    let (attester, claim) = (attester().public().id(), Claim::SIGNED_IN);
    let refused = Some(ProofError::AttestedOtherToken { attester, claim });
    assert_eq!(open(&token, &[signed_in(&other)]), refused);
    let narrower = token.attenuate().issued_at(NOW).finish().unwrap();
    assert_eq!(open(&narrower, &[signed_in(&token)]), refused, "of the block before");
    assert_eq!(open(&token, &[signed_in(&narrower)]), refused, "of the block behind");
}

#[test]
fn an_attestation_about_somebody_else_or_for_another_vault_is_refused() {
    let token = token();
    let about = |vault, subject| {
        let new = Attestation::about(vault, token.id(), subject, Claim::SIGNED_IN).answering(&CHALLENGE);
        new.issued_at(NOW).valid_for(HOUR).sign(&attester()).unwrap()
    };
    let (subject, by, claim) = (kdf::principal_id("dr.osei"), attester().public().id(), Claim::SIGNED_IN);
    assert_eq!(open(&token, &[about(VAULT, subject)]), None);
    let other = about(VAULT, kdf::principal_id("dr.who"));
    assert_eq!(open(&token, &[other]), Some(ProofError::AttestedOtherSubject { attester: by, claim }));
    let elsewhere = about(VaultId::from_bytes([0xBB; 16]), subject);
    assert_eq!(open(&token, &[elsewhere]), Some(ProofError::AttestationForged { attester: by, claim }));
}

#[test]
fn an_attester_whom_the_vault_does_not_trust_attests_nothing() {
    let token = token();
    let stranger = AttesterKey::from_secret_bytes(&[0x45; 32]);
    let by_stranger = new(&token).sign(&stranger).unwrap();
    let unknown = ProofError::UnknownAttester { attester: stranger.public().id() };
    assert_eq!(open(&token, std::slice::from_ref(&by_stranger)), Some(unknown));
    // Not even beside a good one, and not under the name of a trusted one.
    assert_eq!(open(&token, &[signed_in(&token), by_stranger.clone()]), Some(unknown));
    let mut named = by_stranger.to_bytes();
    named[4..20].copy_from_slice(attester().public().id().as_bytes());
    let forged = ProofError::AttestationForged { attester: attester().public().id(), claim: Claim::SIGNED_IN };
    assert_eq!(open(&token, &[Attestation::parse(&named).unwrap()]), Some(forged));
}

#[test]
fn ends_and_ages_are_exact() {
    let token = demanding(Claim::ON_DUTY);
    let (attester, claim) = (attester().public().id(), Claim::ON_DUTY);
    let made = |valid_for| {
        let new = Attestation::of(&token, claim).issued_at(NOW).valid_for(Duration::from_secs(valid_for));
        [new.sign(&super::attester()).unwrap()]
    };
    let at = |seconds| second(NOW_SECONDS + seconds);
    assert_eq!(open_at(&token, &made(3_600), at(60)), None);
    let too_old = ProofError::AttestationTooOld { block: 0, attester, claim, oldest: 60 };
    assert_eq!(open_at(&token, &made(3_600), at(61)), Some(too_old));
    assert_eq!(open_at(&token, &made(30), at(29)), None);
    let expired = ProofError::AttestationExpired { attester, claim, end: at(30) };
    assert_eq!(open_at(&token, &made(30), at(30)), Some(expired));
}

#[test]
fn an_attestation_dated_ahead_is_refused_beyond_two_minutes() {
    let token = demanding(Claim::ON_DUTY);
    let ahead = |seconds| {
        let new = Attestation::of(&token, Claim::ON_DUTY).issued_at(second(NOW_SECONDS + seconds)).valid_for(HOUR);
        [new.sign(&attester()).unwrap()]
    };
    assert_eq!(open(&token, &ahead(120)), None);
    assert!(matches!(open(&token, &ahead(121)), Some(ProofError::AttestedInTheFuture { .. })));
}

#[test]
fn a_sign_in_answers_the_challenge_and_a_standing_claim_does_not() {
    let token = token();
    let other = Challenge::from_bytes([0xC5; 32]);
    let stale = new(&token).answering(&other).sign(&attester()).unwrap();
    assert_eq!(open(&token, std::slice::from_ref(&stale)), Some(ProofError::UnknownChallenge));
    assert_eq!(open(&token, &[stale, signed_in(&token)]), Some(ProofError::ChallengesDiffer));
    let without = Attestation::of(&token, Claim::SIGNED_IN).issued_at(NOW).valid_for(HOUR).sign(&attester());
    assert_eq!(without, Err(AttestError::Challenge { claim: Claim::SIGNED_IN }));
    let with = Attestation::of(&token, Claim::ON_DUTY).answering(&CHALLENGE).issued_at(NOW).valid_for(HOUR);
    assert_eq!(with.sign(&attester()), Err(AttestError::Challenge { claim: Claim::ON_DUTY }));
    assert_eq!(new(&token).valid_for(Duration::from_millis(999)).sign(&attester()), Err(AttestError::NeverValid));
    // Unknown claims are about signing in, unless their number says otherwise.
    assert!(Claim::from_code(0x7FFF).is_sign_in() && !Claim::from_code(0x8000).is_sign_in());
}

#[test]
fn every_flipped_bit_and_every_cut_of_an_attestation_is_refused() {
    let token = token();
    let bytes = signed_in(&token).to_bytes();
    assert_eq!(bytes.len(), 150);
    for bit in 0..bytes.len() * 8 {
        let mut bad = bytes.clone();
        bad[bit / 8] ^= 1 << (bit % 8);
        let Ok(bad) = Attestation::parse(&bad) else { continue };
        assert!(open(&token, &[bad]).is_some(), "bit {bit}");
    }
    for len in 0..bytes.len() {
        assert!(Attestation::parse(&bytes[..len]).is_err(), "length {len}");
    }
    assert!(Attestation::parse(&[&bytes[..], &[0]].concat()).is_err());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn attestations_come_back_from_bytes_and_text(
        ids: [[u8; 16]; 3],
        claim: u16,
        issued_at in 0..9_000_000_000_u64,
        valid_for in 1..9_000_000_000_u64,
        nonce: [u8; 16],
    ) {
        let [vault, token, subject] = ids;
        let (token, subject) = (RevocationId::from_bytes(token), PrincipalId::from_bytes(subject));
        let new = Attestation::about(VaultId::from_bytes(vault), token, subject, Claim::from_code(claim));
        let new = new.issued_at(second(issued_at)).valid_for(Duration::from_secs(valid_for));
        let made = new.sign_with(&attester(), nonce).unwrap();
        prop_assert_eq!((made.token(), made.subject(), made.claim().code()), (token, subject, claim));
        prop_assert_eq!((made.issued_at(), made.not_after()), (second(issued_at), second(issued_at + valid_for)));
        prop_assert_eq!(Attestation::parse(&made.to_bytes()), Ok(made.clone()));
        prop_assert_eq!(made.to_string().len(), 206);
        prop_assert_eq!(made.to_string().parse(), Ok(made.clone()));
    }

    #[test]
    fn any_bytes_are_an_attestation_or_refused(bytes in proptest::collection::vec(any::<u8>(), 140..160)) {
        let bytes = [&b"CVAT"[..], &bytes].concat();
        if let Ok(attestation) = Attestation::parse(&bytes) {
            prop_assert_eq!(attestation.to_bytes(), bytes);
        }
    }
}

#[test]
fn four_attestations_can_be_demanded_by_a_block_and_32_are_looked_at() {
    let demand = |count: u16| {
        let by = attester().public().id();
        (0..count).fold(narrow(), |grant, code| grant.attestation(by, Claim::from_code(0x8000 + code), HOUR))
    };
    assert!(demand(4).sign(&issuer(), VAULT).is_ok());
    let too_many = LimitError::TooMany { caveat: Caveat::Attestations, found: 5, most: MAX_WANTED };
    assert_eq!(demand(5).sign(&issuer(), VAULT).err(), Some(crate::token::GrantError::Limit(too_many)));
    let token = token();
    let many = |count| vec![signed_in(&token); count];
    assert_eq!(open(&token, &many(MAX_SHOWN)), None);
    assert_eq!(open(&token, &many(MAX_SHOWN + 1)), Some(ProofError::TooManyAttestations { found: 33 }));
}

#[test]
fn codes_of_what_was_not_shown_name_the_item_that_demands_it() {
    let device = DeviceId::from_bytes([0; 32]);
    assert_eq!(ProofError::PossessionMissing.code(), 0x200);
    assert_eq!(ProofError::DeviceMissing { block: 0, device }.code(), 0x21A);
    assert_eq!(ProofError::TooManyAttestations { found: 33 }.code(), 0x21C);
    for code in [0x200, 0x21A, 0x21C] {
        assert_eq!(DenyReason::from_code(code), None);
    }
}
