//! Sessions that want their principal to have signed in: with which proof they open, how long it counts, and what ends it.

use crate::people;
use crate::support;

use std::time::Duration;

use chartvault::*;
use people::*;
use support::{House, note, whole_log};

const MINUTE: Duration = Duration::from_secs(60);

/// A vault in which `n.mensah` is enrolled, and a token of hers that wants this level, at most ten minutes old.
struct Ward {
    house: House,
    vault: Vault,
    operator: Session,
    issuer: IssuerKey,
}

impl Ward {
    fn new() -> Self {
        let (house, vault) = House::create();
        let operator = house.session(&vault);
        enrol(&operator, NAME);
        let issuer = IssuerKey::generate().unwrap();
        vault.trust_issuer(issuer.public(), &house.key).unwrap();
        Self { house, vault, operator, issuer }
    }

    fn grant(&self, name: &str) -> Grant {
        let all = Grant::to(name).all_patients().all_kinds().actions(Action::ALL.iter().copied());
        all.purpose(Purpose::Treatment).valid_for(Duration::from_secs(86_400)).issued_at(self.house.clock.now())
    }

    fn token(&self, level: SignInLevel) -> Token {
        self.grant(NAME).sign_in(level, 10 * MINUTE).sign(&self.issuer, self.vault.id()).unwrap()
    }

    fn proof(&self) -> AuthProof {
        self.vault.sign_in(NAME, &password()).finish().unwrap()
    }

    fn open(&self, token: &Token, proof: AuthProof) -> Result<Session, Error> {
        self.vault.session_with(token, Purpose::Treatment).sign_in(proof).open()
    }

    fn newest(&self, event: AuditEvent) -> AuditEntry {
        whole_log(&self.operator).into_iter().rfind(|entry| entry.event == event).unwrap()
    }

    #[track_caller]
    fn refused<T: std::fmt::Debug>(&self, answer: Result<T, Error>, event: AuditEvent, expected: ProofError) {
        assert!(matches!(answer, Err(Error::Proof(error)) if error == expected), "{answer:?}");
        let entry = self.newest(event);
        assert_eq!((entry.outcome, entry.reason), (Outcome::Denied, Some(0x219)), "{entry}");
    }
}

const OPENED: AuditEvent = AuditEvent::SessionOpened;

#[test]
fn a_token_that_wants_a_sign_in_opens_with_a_proof_of_it_only() {
    let ward = Ward::new();
    let token = ward.token(SignInLevel::OneFactor);
    let low = ProofError::SignInTooLow { level: 1, shown: 0 };
    ward.refused(ward.vault.session(&token, Purpose::Treatment), OPENED, low);
    let session = ward.open(&token, ward.proof()).unwrap();
    session.register_patient([]).unwrap();
    assert_eq!(session.sign_in_level(), 1);
    assert_eq!(ward.newest(OPENED).detail.as_deref(), Some("signed in at level 1"));
    // One that is shown where nothing is demanded is checked all the same.
    let plain = ward.grant("somebody else").sign(&ward.issuer, ward.vault.id()).unwrap();
    ward.refused(ward.open(&plain, ward.proof()), OPENED, ProofError::SignInOfAnother);
    drop(ward.vault.session(&plain, Purpose::Treatment).unwrap());
}

#[test]
fn a_proof_is_good_for_less_than_a_minute_in_its_vault_for_its_principal() {
    let ward = Ward::new();
    let token = ward.token(SignInLevel::OneFactor);
    let [early, late, elsewhere, reopened] = [(); 4].map(|()| ward.proof());
    let other = Ward::new();
    other.refused(other.open(&other.token(SignInLevel::OneFactor), elsewhere), OPENED, ProofError::SignInElsewhere);
    let others = ward.grant("dr.ama").sign_in(SignInLevel::OneFactor, MINUTE).sign(&ward.issuer, ward.vault.id());
    ward.refused(ward.open(&others.unwrap(), ward.proof()), OPENED, ProofError::SignInOfAnother);
    ward.house.clock.step(59);
    drop(ward.open(&token, early).unwrap());
    ward.house.clock.step(1);
    ward.refused(ward.open(&token, late), OPENED, ProofError::SignInExpired);
    let Ward { house, vault, issuer, operator } = ward;
    house.clock.step(-60);
    operator.close().unwrap();
    vault.close().unwrap();
    let vault = house.open();
    let again = Ward { operator: house.session(&vault), house, vault, issuer };
    again.refused(again.open(&token, reopened), OPENED, ProofError::SignInElsewhere);
}

#[test]
fn two_factors_open_what_one_does_not() {
    let ward = Ward::new();
    let app = with_app(&ward.operator, NAME, &ward.house.clock);
    let token = ward.token(SignInLevel::TwoFactors);
    ward.refused(ward.open(&token, ward.proof()), OPENED, ProofError::SignInTooLow { level: 2, shown: 1 });
    let proof = ward.vault.sign_in(NAME, &password()).totp(&app.code()).finish().unwrap();
    assert_eq!(ward.open(&token, proof).unwrap().sign_in_level(), 2);
}

#[test]
fn a_hardware_key_is_the_third_level_together_with_a_password() {
    let ward = Ward::new();
    let attester = AttesterKey::generate().unwrap();
    ward.vault.trust_attester(attester.public(), &ward.house.key).unwrap();
    let token = ward.token(SignInLevel::HardwareKey);
    let attest = || {
        let challenge = ward.vault.challenge().unwrap();
        let attestation = Attestation::of(&token, Claim::HARDWARE_KEY).issued_at(ward.house.clock.now());
        [attestation.answering(&challenge).valid_for(MINUTE).sign(&attester).unwrap()]
    };
    let opening = || ward.vault.session_with(&token, Purpose::Treatment);
    let low = |shown| ProofError::SignInTooLow { level: 3, shown };
    ward.refused(opening().attestations(attest()).open(), OPENED, low(1));
    ward.refused(ward.open(&token, ward.proof()), OPENED, low(1));
    assert_eq!(opening().attestations(attest()).sign_in(ward.proof()).open().unwrap().sign_in_level(), 3);
}

#[test]
fn what_is_done_with_a_sign_in_that_is_too_old_waits_for_a_newer_one() {
    let ward = Ward::new();
    let token = ward.token(SignInLevel::OneFactor);
    let session = ward.open(&token, ward.proof()).unwrap();
    let patient = session.register_patient([]).unwrap();
    ward.house.clock.step(600);
    let id = session.put(patient, &note("still at work")).unwrap();
    ward.house.clock.step(1);
    let stale = session.get(id);
    let ten_minutes = 10 * MINUTE;
    assert!(matches!(stale, Err(Error::StepUpNeeded { level: 1, oldest }) if oldest == ten_minutes), "{stale:?}");
    let entry = ward.newest(AuditEvent::RecordRead);
    assert_eq!((entry.outcome, entry.reason), (Outcome::Denied, Some(DenyReason::SignIn.code())));
    session.step_up(ward.proof()).unwrap();
    assert_eq!(session.get(id).unwrap().value, note("still at work"));
    let entry = ward.newest(AuditEvent::SteppedUp);
    assert_eq!(
        (entry.outcome, entry.detail.as_deref(), entry.session),
        (Outcome::Allowed, Some("level 1"), Some(session.id()))
    );
    // Before it is too old, as well: the age counts from the newest.
    ward.house.clock.step(300);
    session.step_up(ward.proof()).unwrap();
    ward.house.clock.step(600);
    session.get(id).unwrap();
}

#[test]
fn a_session_is_not_stepped_up_with_what_would_not_have_opened_it() {
    let ward = Ward::new();
    let app = with_app(&ward.operator, NAME, &ward.house.clock);
    enrol(&ward.operator, "dr.ama");
    let proof = ward.vault.sign_in(NAME, &password()).totp(&app.code()).finish().unwrap();
    let session = ward.open(&ward.token(SignInLevel::TwoFactors), proof).unwrap();
    ward.house.clock.step(601);
    const UP: AuditEvent = AuditEvent::SteppedUp;
    ward.refused(session.step_up(ward.proof()), UP, ProofError::SignInTooLow { level: 2, shown: 1 });
    let others = ward.vault.sign_in("dr.ama", &password()).finish().unwrap();
    ward.refused(session.step_up(others), UP, ProofError::SignInOfAnother);
    let late = ward.vault.sign_in(NAME, &password()).totp(&app.code()).finish().unwrap();
    ward.house.clock.step(60);
    ward.refused(session.step_up(late), UP, ProofError::SignInExpired);
    assert!(matches!(session.register_patient([]), Err(Error::StepUpNeeded { level: 2, .. })));
    session.step_up(ward.vault.sign_in(NAME, &password()).totp(&app.code()).finish().unwrap()).unwrap();
    session.register_patient([]).unwrap();
    session.close().unwrap();
    assert!(matches!(session.step_up(ward.proof()), Err(Error::SessionEnded { .. })));
}

#[test]
fn a_session_whose_token_wants_no_sign_in_can_be_stepped_up_all_the_same() {
    let ward = Ward::new();
    let token = ward.grant(NAME).sign(&ward.issuer, ward.vault.id()).unwrap();
    let session = ward.vault.session(&token, Purpose::Treatment).unwrap();
    assert_eq!(session.sign_in_level(), 0);
    session.step_up(ward.proof()).unwrap();
    assert_eq!(session.sign_in_level(), 1);
}

#[test]
fn whoever_is_disabled_is_denied_from_the_next_call_of_an_open_session_on() {
    let ward = Ward::new();
    let token = ward.grant(NAME).sign(&ward.issuer, ward.vault.id()).unwrap();
    let session = ward.vault.session(&token, Purpose::Treatment).unwrap();
    session.register_patient([]).unwrap();
    let proof = ward.proof();
    ward.operator.principals().disable(NAME, "left the clinic").unwrap();
    let answer = session.register_patient([]);
    assert!(matches!(answer, Err(Error::Denied { .. })), "{answer:?}");
    assert_eq!(ward.newest(AuditEvent::PatientRegistered).reason, Some(0x304));
    let refused = |answer: Result<Session, Error>| {
        let principal = DenyReason::Principal;
        assert!(matches!(&answer, Err(Error::SessionRefused(denial)) if denial.reason == principal), "{answer:?}");
    };
    refused(ward.vault.session(&token, Purpose::Treatment));
    refused(ward.open(&token, proof));
    ward.operator.principals().enable(NAME).unwrap();
    session.register_patient([]).unwrap();
    // After opening again, too.
    ward.operator.principals().disable(NAME, "left the clinic").unwrap();
    ward.vault.close().unwrap();
    refused(ward.house.open().session(&token, Purpose::Treatment));
}

#[test]
fn only_those_who_are_enrolled_open_sessions_where_the_rules_say_so() {
    let ward = Ward::new();
    let rules = AccessRules::new().enrolled_principals_only(true);
    ward.operator.principals().enrol("dr.osei", NewPrincipal::new()).unwrap();
    ward.vault.set_access_rules(rules, &ward.house.key).unwrap();
    let token = |name: &str| ward.grant(name).sign(&ward.issuer, ward.vault.id()).unwrap();
    drop(ward.vault.session(token(NAME), Purpose::Treatment).unwrap());
    let answer = ward.vault.session(token("dr.ama"), Purpose::Treatment);
    assert!(matches!(&answer, Err(Error::SessionRefused(denial)) if denial.reason == DenyReason::Principal));
}

#[test]
fn people_change_what_they_sign_in_with_themselves_and_without_a_token() {
    let ward = Ward::new();
    let account = ward.vault.own_account(ward.proof()).unwrap();
    let new = Password::new("nine ducks in a row");
    assert!(matches!(account.change_password(&Password::new("short")), Err(Error::InvalidText { .. })));
    account.change_password(&new).unwrap();
    assert!(matches!(ward.vault.sign_in(NAME, &password()).finish(), Err(Error::SignInRefused)));
    let app = App::scan(&account.enrol_totp("Clinic A").unwrap(), &ward.house.clock);
    account.confirm_totp(&app.code()).unwrap();
    // From here on, the second factor has to be shown.
    const CHANGED: AuditEvent = AuditEvent::PrincipalChanged;
    let low = ProofError::SignInTooLow { level: 2, shown: 1 };
    let answer = account.new_recovery_codes();
    assert!(matches!(answer, Err(Error::Proof(error)) if error == low), "{answer:?}");
    let answer = ward.vault.own_account(ward.vault.sign_in(NAME, &new).finish().unwrap());
    assert!(matches!(answer, Err(Error::Proof(error)) if error == low), "{answer:?}");
    let id = account.principal();
    let entry = ward.newest(CHANGED);
    assert_eq!(
        (entry.outcome, entry.actor, entry.detail.as_deref()),
        (Outcome::Denied, Some(id), Some("own account: proof refused"))
    );
    ward.house.clock.step(30);
    let both = || ward.vault.sign_in(NAME, &new).totp(&app.code()).finish().unwrap();
    let account = ward.vault.own_account(both()).unwrap();
    let codes = account.new_recovery_codes().unwrap();
    ward.house.clock.step(599);
    account.change_password(&password()).unwrap();
    ward.house.clock.step(1);
    let old = account.change_password(&new);
    assert!(matches!(old, Err(Error::Proof(ProofError::SignInTooOld { .. }))), "{old:?}");
    let text = codes.expose_texts().next().unwrap();
    let account = ward.vault.own_account(ward.vault.sign_in(NAME, &password()).recovery_code(&text).finish().unwrap());
    let account = account.unwrap();
    ward.operator.principals().disable(NAME, "left the clinic").unwrap();
    assert!(matches!(account.change_password(&new), Err(Error::SignInRefused)));
    let of_another = Ward::new().proof();
    let answer = ward.vault.own_account(of_another);
    assert!(matches!(answer, Err(Error::Proof(ProofError::SignInElsewhere))), "{answer:?}");
}

#[test]
fn narrowing_keeps_what_the_grant_wants() {
    let ward = Ward::new();
    let token = ward.token(SignInLevel::OneFactor);
    let narrow = token.attenuate().issued_at(ward.house.clock.now()).actions([Action::Read]);
    let narrow = narrow.sign_in(SignInLevel::OneFactor, MINUTE).finish().unwrap();
    let session = ward.open(&narrow, ward.proof()).unwrap();
    ward.house.clock.step(61);
    let answer = session.find_patient(&Identifier::new("urn:mrn:clinic-a", "1").unwrap());
    assert!(matches!(answer, Err(Error::StepUpNeeded { level: 1, oldest }) if oldest == MINUTE), "{answer:?}");
}
