//! Tokens, sessions, the clock.

use super::*;
use chartvault::test_util::MemoryStore;

#[test]
fn what_the_token_does_not_allow_is_denied_with_a_ticket() {
    let ward = Ward::new();
    let refused = ward.clinic.auditor().unwrap().get(ward.id);
    assert!(matches!(refused, Err(Error::Denied { .. })), "{refused:?}");
    advises(refused, "someone with the audit action can look up");
}

#[test]
fn a_token_of_an_unknown_issuer_is_refused() {
    let ward = Ward::new();
    let grant = ward.clinic.grant("dr.osei").all_kinds().actions([Action::Read]);
    let token = grant.sign(&IssuerKey::generate().unwrap(), ward.clinic.vault().id()).unwrap();
    let refused = ward.clinic.vault().session(&token, Purpose::Treatment);
    assert!(matches!(refused, Err(Error::Token(TokenError::UnknownIssuer { .. }))), "{refused:?}");
    advises(refused, "the token was refused");
    ward.clinic.clock().step(31 * 86_400);
    let token = ward.clinic.token(&grant.valid_for(std::time::Duration::from_secs(1))).unwrap();
    ward.clinic.clock().step(2);
    let refused = ward.clinic.vault().session(&token, Purpose::Treatment);
    assert!(matches!(refused, Err(Error::Token(TokenError::Expired { .. }))), "{refused:?}");
    advises(refused, "ask for a new one");
}

#[test]
fn a_token_for_another_purpose_opens_no_session() {
    let ward = Ward::new();
    let grant = ward.clinic.grant("dr.osei").all_kinds().actions([Action::Read]);
    let refused = ward.clinic.vault().session(ward.clinic.token(&grant).unwrap(), Purpose::Payment);
    let purpose = DenyReason::Purpose;
    assert!(matches!(&refused, Err(Error::SessionRefused(Denial { reason, .. })) if *reason == purpose), "{refused:?}");
    advises(refused, "ask for a grant that allows it");
}

#[test]
fn a_bound_token_without_its_holder_opens_no_session() {
    let ward = Ward::new();
    let grant = ward.clinic.grant("dr.osei").all_kinds().actions([Action::Read]);
    let holder = HolderKey::generate().unwrap();
    let token = grant.bound_to(holder.public()).sign(ward.clinic.issuer(), ward.clinic.vault().id()).unwrap();
    let refused = ward.clinic.vault().session(&token, Purpose::Treatment);
    assert!(matches!(refused, Err(Error::Proof(ProofError::PossessionMissing))), "{refused:?}");
    advises(refused, "show a proof of possession");
}

#[test]
fn challenges_that_nobody_answers_run_out() {
    let ward = Ward::new();
    let refused = (0..4_097).map(|_| ward.clinic.vault().challenge()).find(Result::is_err).unwrap().map(drop);
    assert!(matches!(refused, Err(Error::TooManyChallenges { limit: 4_096 })), "{refused:?}");
    advises(refused, "answer one, or wait a minute");
}

#[test]
fn an_attester_is_trusted_once() {
    let ward = Ward::new();
    let attester = AttesterKey::generate().unwrap();
    let trust = || ward.clinic.vault().trust_attester(attester.public(), ward.clinic.key());
    trust().unwrap();
    let refused = trust();
    assert!(matches!(refused, Err(Error::AlreadyTrusted { .. })), "{refused:?}");
    advises(refused, "there is nothing to do");
}

#[test]
fn a_session_that_was_closed_has_ended() {
    let ward = Ward::new();
    ward.session.close().unwrap();
    let refused = ward.session.get(ward.id);
    assert!(matches!(refused, Err(Error::SessionEnded { .. })), "{refused:?}");
    advises(refused, "open a new one");
}

#[test]
fn a_clock_that_went_back_is_refused() {
    let ward = Ward::new();
    ward.clinic.clock().step(-121);
    let refused = ward.session.get(ward.id);
    assert!(matches!(refused, Err(Error::ClockRollback { .. })), "{refused:?}");
    advises(refused, "set the clock right");
}

#[test]
fn a_store_without_a_vault_gives_no_session() {
    let refused = MemoryStore::new().open_vault(Options::new());
    assert!(matches!(refused, Err(Error::Header(HeaderFileError::NotAVault { .. }))), "{refused:?}");
    advises(refused, "check the path");
}
