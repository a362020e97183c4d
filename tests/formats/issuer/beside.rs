//! What the issuer in another language shows beside a token: possession, devices, attestations.

use super::*;

const HOLDER: u8 = 0x51;
const DEVICE: u8 = 0x52;
const ATTESTER: u8 = 0x53;
const OTHER: u8 = 0x54;
const TRANSCRIPT: [u8; 32] = [7; 32];

/// What is shown at one opening, as the places of the orders that made it.
type Shown = (Option<usize>, Option<usize>, &'static [usize]);

fn open(vault: &Vault, made: &[String], token: usize, (possession, device, attested): Shown) -> Result<Session, Error> {
    let token = read(&made[token]);
    let mut opening = vault.session_with(&token, Purpose::Treatment).host_transcript(TRANSCRIPT);
    if let Some(at) = possession {
        opening = opening.possession(made[at].parse().unwrap());
    }
    if let Some(at) = device {
        opening = opening.device(made[at].parse().unwrap());
    }
    opening.attestations(attested.iter().map(|at| made[*at].parse().unwrap())).open()
}

type Right = fn(&ProofError) -> bool;

#[track_caller]
fn proof_refused(answer: Result<Session, Error>, expected: Right) {
    assert!(matches!(&answer, Err(Error::Proof(error)) if expected(error)), "{answer:?}");
}

/// A clinic with an attester that it trusts; orders of tokens bound to a holder, for a device, and attested.
struct Desk {
    clinic: Clinic,
    device: String,
    attester: String,
}

impl Desk {
    fn new() -> Self {
        let clinic = Clinic::new();
        let attester = AttesterKey::from_secret_bytes(&[ATTESTER; 32]).public();
        clinic.vault.trust_attester(attester, &clinic.house.key).unwrap();
        let device = DeviceKey::from_secret_bytes(&[DEVICE; 32]).public().to_string();
        Self { clinic, device, attester: attester.to_string() }
    }

    fn token(&self, items: Value, form: &str) -> Value {
        let block = block(self.clinic.start, &with(everything(self.clinic.start), items));
        let holder = HolderKey::from_secret_bytes(&[HOLDER; 32]).public().to_string();
        let block = if form == "bound" { with(block, json!({ "holder": holder })) } else { block };
        with(self.clinic.issue(&[block]), json!({ "proof": form }))
    }

    /// A possession or a device's proof for a token, over a fresh challenge, as the host and the purpose are.
    fn prove(&self, what: &str, token: usize, key: u8) -> Value {
        self.answer(what, token, key, self.clinic.vault.challenge().unwrap())
    }

    fn answer(&self, what: &str, token: usize, key: u8, challenge: Challenge) -> Value {
        json!({
            "do": what, "token": token, "challenge": challenge.to_string(), "purpose": "TREAT",
            "key": orders::seed(key), "transcript": orders::hex(&TRANSCRIPT),
        })
    }

    fn attest(&self, token: usize, key: u8, issued: i64, changed: Value) -> Value {
        let start = i64::try_from(self.clinic.start).unwrap();
        let order = json!({
            "do": "attest", "token": token, "attester": orders::seed(key), "claim": 0x8001,
            "issued_at": start + issued, "not_after": start + 600,
        });
        with(order, changed)
    }
}

#[test]
fn a_bound_token_opens_with_the_possession_that_another_issuer_proves() {
    if !can_run() {
        return;
    }
    let desk = Desk::new();
    let ours = desk.clinic.house.grant().bound_to(HolderKey::from_secret_bytes(&[HOLDER; 32]).public());
    let ours = ours.sign(&desk.clinic.house.issuer, desk.clinic.vault.id()).unwrap();
    let of_ours = desk.prove("possession", 0, HOLDER);
    let made = run(&[
        desk.token(json!({}), "bound"),
        desk.token(json!({}), "bound"),
        desk.prove("possession", 0, HOLDER),
        desk.prove("possession", 1, HOLDER),
        desk.prove("possession", 0, OTHER),
        with(desk.prove("possession", 0, HOLDER), json!({ "purpose": "HPAYMT" })),
        with(desk.prove("possession", 0, HOLDER), json!({ "transcript": orders::seed(8) })),
        desk.answer("possession", 0, HOLDER, Challenge::from_bytes([1; 32])),
        with(of_ours, json!({ "token": *ours.expose_text() })),
    ]);
    let open = |token, shown| open(&desk.clinic.vault, &made, token, (shown, None, &[]));
    assert!(open(0, Some(2)).unwrap().get(desk.clinic.note).is_ok());
    proof_refused(open(0, Some(2)), |error| matches!(error, ProofError::UnknownChallenge));
    proof_refused(open(0, None), |error| matches!(error, ProofError::PossessionMissing));
    for other in 3..7 {
        proof_refused(open(0, Some(other)), |error| matches!(error, ProofError::PossessionInvalid));
    }
    proof_refused(open(0, Some(7)), |error| matches!(error, ProofError::UnknownChallenge));
    // What the library bound, opened with Python's proof.
    let opening = desk.clinic.vault.session_with(&ours, Purpose::Treatment).host_transcript(TRANSCRIPT);
    assert!(opening.possession(made[8].parse().unwrap()).open().unwrap().get(desk.clinic.note).is_ok());
}

#[test]
fn a_token_for_a_device_opens_with_the_proof_that_another_issuer_makes() {
    if !can_run() {
        return;
    }
    let desk = Desk::new();
    let challenge = desk.clinic.vault.challenge().unwrap();
    let made = run(&[
        desk.token(json!({ "device": desk.device }), "open"),
        desk.token(json!({ "device": desk.device }), "bound"),
        desk.prove("device", 0, DEVICE),
        desk.prove("device", 0, OTHER),
        desk.prove("device", 1, DEVICE),
        desk.answer("possession", 1, HOLDER, challenge),
        desk.answer("device", 1, DEVICE, challenge),
        desk.prove("possession", 1, HOLDER),
        desk.prove("device", 1, DEVICE),
    ]);
    let open = |token, shown| open(&desk.clinic.vault, &made, token, shown);
    assert!(open(0, (None, Some(2), &[])).unwrap().get(desk.clinic.note).is_ok());
    proof_refused(open(0, (None, None, &[])), |error| matches!(error, ProofError::DeviceMissing { block: 0, .. }));
    proof_refused(open(0, (None, Some(3), &[])), |error| matches!(error, ProofError::OtherDevice { .. }));
    proof_refused(open(0, (None, Some(4), &[])), |error| matches!(error, ProofError::DeviceInvalid));
    assert!(open(1, (Some(5), Some(6), &[])).is_ok());
    let two = open(1, (Some(7), Some(8), &[]));
    proof_refused(two, |error| matches!(error, ProofError::ChallengesDiffer));
}

#[test]
fn a_token_that_wants_attestations_opens_with_those_that_another_issuer_signs() {
    if !can_run() {
        return;
    }
    let desk = Desk::new();
    let wants = |claim: u16| json!({ "attestations": [[desk.attester, claim, 120]] });
    let (challenge, none) = (desk.clinic.vault.challenge().unwrap(), json!({}));
    let signed_in = json!({ "claim": 1, "challenge": challenge.to_string() });
    let made = run(&[
        desk.token(wants(0x8001), "open"),
        desk.token(wants(1), "bound"),
        desk.token(json!({}), "open"),
        desk.attest(0, ATTESTER, -120, none.clone()),
        desk.attest(0, ATTESTER, -121, none.clone()),
        desk.attest(0, ATTESTER, 121, none.clone()),
        desk.attest(0, OTHER, 0, none.clone()),
        desk.attest(2, ATTESTER, 0, none.clone()),
        desk.attest(0, ATTESTER, -600, json!({ "not_after": desk.clinic.start })),
        desk.attest(0, ATTESTER, 0, json!({ "claim": 0x8002 })),
        desk.attest(1, ATTESTER, 0, signed_in),
        desk.answer("possession", 1, HOLDER, challenge),
    ]);
    let open = |token, shown| open(&desk.clinic.vault, &made, token, shown);
    assert!(open(0, (None, None, &[3])).unwrap().get(desk.clinic.note).is_ok());
    let table: [(&'static [usize], Right); 7] = [
        (&[], |error| matches!(error, ProofError::AttestationMissing { block: 0, .. })),
        (&[4], |error| matches!(error, ProofError::AttestationTooOld { oldest: 120, .. })),
        (&[5], |error| matches!(error, ProofError::AttestedInTheFuture { .. })),
        (&[3, 6], |error| matches!(error, ProofError::UnknownAttester { .. })),
        (&[3, 7], |error| matches!(error, ProofError::AttestedOtherToken { .. })),
        (&[3, 8], |error| matches!(error, ProofError::AttestationExpired { .. })),
        (&[9], |error| matches!(error, ProofError::AttestationMissing { .. })),
    ];
    for (attested, expected) in table {
        proof_refused(open(0, (None, None, attested)), expected);
    }
    let mut forged: Vec<u8> = made[3].parse::<Attestation>().unwrap().to_bytes();
    *forged.last_mut().unwrap() ^= 1;
    let forged = desk
        .clinic
        .vault
        .session_with(&read(&made[0]), Purpose::Treatment)
        .attestations([Attestation::parse(&forged).unwrap()])
        .open();
    proof_refused(forged, |error| matches!(error, ProofError::AttestationForged { .. }));
    // Signed in, in answer to the challenge that the holder answers as well.
    assert!(open(1, (Some(11), None, &[10])).unwrap().get(desk.clinic.note).is_ok());
}

#[test]
fn a_token_that_wants_a_sign_in_opens_with_the_sign_ins_that_the_page_lists() {
    if !can_run() {
        return;
    }
    let desk = Desk::new();
    let vault = &desk.clinic.vault;
    people::enrol(&desk.clinic.office, people::NAME);
    let signed_in = || vault.sign_in(people::NAME, &people::password()).finish().unwrap();
    let wants = |level: u8| json!({ "subject": people::NAME, "sign_in": [level, 60] });
    let challenges = [(); 3].map(|()| vault.challenge().unwrap());
    let claims = |claim: u16, at: usize| json!({ "claim": claim, "challenge": challenges[at].to_string() });
    let strict = block(desk.clinic.start, &with(everything(desk.clinic.start), wants(1)));
    let lax = json!({ "sign_in": [0, u32::MAX] });
    let made = run(&[
        desk.clinic.issue(&[strict, block(desk.clinic.start, &lax)]),
        desk.token(wants(2), "bound"),
        desk.token(wants(3), "bound"),
        desk.token(wants(4), "open"),
        desk.attest(1, ATTESTER, 0, claims(1, 0)),
        desk.attest(1, ATTESTER, 0, claims(3, 1)),
        desk.attest(2, ATTESTER, 0, claims(2, 2)),
        desk.answer("possession", 1, HOLDER, challenges[0]),
        desk.answer("possession", 1, HOLDER, challenges[1]),
        desk.answer("possession", 2, HOLDER, challenges[2]),
    ]);
    let first = read(&made[0]);
    let with_proof = || vault.session_with(&first, Purpose::Treatment).sign_in(signed_in()).open();
    assert!(with_proof().unwrap().get(desk.clinic.note).is_ok());
    let late = signed_in();
    desk.clinic.house.clock.step(59);
    assert!(vault.session_with(&first, Purpose::Treatment).sign_in(late).open().is_ok());
    desk.clinic.house.clock.step(-59);

    let open = |token, shown| open(vault, &made, token, shown);
    let low = |error: &ProofError| matches!(error, ProofError::SignInTooLow { level: 2, shown: 1 });
    proof_refused(open(1, (Some(7), None, &[4])), low);
    assert!(open(1, (Some(8), None, &[5])).is_ok(), "two factors, attested");
    let third = read(&made[2]);
    let hardware = vault.session_with(&third, Purpose::Treatment).host_transcript(TRANSCRIPT).sign_in(signed_in());
    let hardware = hardware.possession(made[9].parse().unwrap()).attestations([made[6].parse().unwrap()]);
    assert!(hardware.open().is_ok(), "a password here, and a hardware key, attested");
    refused(open(3, (None, None, &[])), DenyReason::Unsupported(Caveat::Mfa));
}
