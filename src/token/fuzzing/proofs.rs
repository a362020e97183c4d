//! What must hold of all that is shown beside a token, whatever its bytes.

use std::sync::OnceLock;
use std::time::Duration;

use crate::clock::Timestamp;
use crate::crypto::sign::SIGNATURE_LEN;
use crate::ids::{AttesterId, VaultId};
use crate::terms::{Action, Purpose};
use crate::token::verify::CLOCK_TOLERANCE;
use crate::token::{
    Admission, Attestation, AttesterKey, Challenge, DEFAULT_LONGEST_TTL, DeviceKey, DeviceProof, Grant, HolderKey,
    IssuerKey, Possession, ProofError, Proven, Shown, UnverifiedToken, VerifiedToken,
};

const VAULT: VaultId = VaultId::from_bytes([7; 16]);
const PURPOSE: Purpose = Purpose::Treatment;
const TRANSCRIPT: [u8; 32] = [8; 32];
/// 2026-01-05T12:00:00Z
const NOW: u64 = 1_767_614_400;

/// A token as it was received, and as it was verified.
type Held = (UnverifiedToken, VerifiedToken);

pub(crate) fn attestation(bytes: &[u8]) -> bool {
    let Ok(read) = Attestation::parse(bytes) else { return false };
    assert_eq!(read.to_bytes(), bytes);
    assert_eq!(read.to_string().parse().as_ref(), Ok(&read));
    let _ = (format!("{read:?}"), read.issued_at(), read.not_after());
    let any_key: Vec<u8> = bytes.iter().rev().take(32).copied().collect();
    let _ = read.holds(&any_key.try_into().unwrap(), VAULT);

    let (key, (_, token)) = (AttesterKey::from_secret_bytes(&[0x97; 32]), open_token());
    let answer = Challenge::from_bytes([read.nonce, read.nonce].concat().try_into().unwrap());
    let admit = |shown: &Attestation| admit(token, Shown { attestations: vec![shown.clone()], ..transcript() }, answer);
    assert!(admit(&read).is_err(), "nobody signed this");

    // The same claim, times and nonce, about this token and signed.
    let mut good = bytes.to_vec();
    good[4..20].copy_from_slice(key.public().id().as_bytes());
    good[20..36].copy_from_slice(token.rids().last().unwrap().as_bytes());
    good[36..52].copy_from_slice(token.subject().as_bytes());
    let message = Attestation::parse(&good).unwrap().message(VAULT);
    let unsigned = good.len() - SIGNATURE_LEN;
    good[unsigned..].copy_from_slice(&key.seed().sign(&message));
    let good = Attestation::parse(&good).unwrap();
    match admit(&good) {
        Ok(proven) => {
            assert!(good.issued_at <= NOW + CLOCK_TOLERANCE && NOW < good.not_after, "{:?}", good.to_bytes());
            assert_eq!(proven.attesters, [good.attester()]);
        }
        Err(ProofError::AttestedInTheFuture { .. }) => assert!(good.issued_at > NOW + CLOCK_TOLERANCE),
        Err(ProofError::AttestationExpired { .. }) => assert!(good.not_after <= NOW),
        Err(other) => panic!("{other}"),
    }
    true
}

pub(crate) fn possession(bytes: &[u8]) -> bool {
    let Ok(read) = Possession::parse(bytes) else { return false };
    assert_eq!(read.to_bytes(), bytes);
    assert_eq!(read.to_string().parse().as_ref(), Ok(&read));
    let _ = format!("{read:?}");
    let (received, token) = bound_token();
    let admit = |shown: &Possession, answered| {
        admit(token, Shown { possession: Some(shown.clone()), ..transcript() }, answered)
    };
    assert_eq!(admit(&read, read.challenge), Err(ProofError::PossessionInvalid), "nobody signed this");
    let good = holder().prove(received, &read.challenge, PURPOSE, &TRANSCRIPT).unwrap();
    assert_eq!(good.to_bytes()[..36], bytes[..36]);
    assert!(admit(&good, read.challenge).is_ok_and(|proven| proven.possession));
    assert_eq!(admit(&good, another(read.challenge)), Err(ProofError::UnknownChallenge));
    true
}

pub(crate) fn device_proof(bytes: &[u8]) -> bool {
    let Ok(read) = DeviceProof::parse(bytes) else { return false };
    assert_eq!(read.to_bytes(), bytes);
    assert_eq!(read.to_string().parse().as_ref(), Ok(&read));
    let _ = format!("{read:?}");
    let (received, token) = token_for_a_device();
    let admit =
        |shown: &DeviceProof, answered| admit(token, Shown { device: Some(shown.clone()), ..transcript() }, answered);
    assert!(admit(&read, read.challenge).is_err(), "nobody signed this");
    let good = device().prove(received, &read.challenge, PURPOSE, &TRANSCRIPT);
    assert!(admit(&good, read.challenge).is_ok_and(|proven| proven.device == Some(device().public().id())));
    assert_eq!(admit(&good, another(read.challenge)), Err(ProofError::UnknownChallenge));
    true
}

fn transcript() -> Shown {
    Shown { transcript: TRANSCRIPT, ..Shown::default() }
}

fn another(challenge: Challenge) -> Challenge {
    let mut bytes = *challenge.as_bytes();
    bytes[31] ^= 1;
    Challenge::from_bytes(bytes)
}

fn admit(token: &VerifiedToken, shown: Shown, outstanding: Challenge) -> Result<Proven, ProofError> {
    let at = Admission { purpose: PURPOSE, now: Timestamp::from_micros(i64::try_from(NOW).unwrap() * 1_000_000) };
    let attester = |id: AttesterId| {
        let key = AttesterKey::from_secret_bytes(&[0x97; 32]).public();
        (key.id() == id).then(|| *key.as_bytes())
    };
    let take = |nonce| if nonce == outstanding.nonce() { Ok(outstanding) } else { Err(ProofError::UnknownChallenge) };
    token.clone().admit(&shown, at, attester, take).map(|(_, proven)| proven)
}

fn holder() -> HolderKey {
    HolderKey::from_secret_bytes(&[0x95; 32])
}

fn device() -> DeviceKey {
    DeviceKey::from_secret_bytes(&[0x96; 32])
}

fn issuer() -> IssuerKey {
    IssuerKey::from_secret_bytes(&[0x94; 32])
}

fn grant() -> Grant {
    let now = Timestamp::from_micros(i64::try_from(NOW).unwrap() * 1_000_000);
    let grant = Grant::to("dr.osei").all_patients().all_kinds().actions([Action::Read]).purpose(PURPOSE);
    grant.issued_at(now).valid_for(Duration::from_secs(60))
}

fn verified(bytes: &[u8]) -> Held {
    let received = UnverifiedToken::from_bytes(bytes).unwrap();
    let now = Timestamp::from_micros(i64::try_from(NOW).unwrap() * 1_000_000);
    let public = |_| Some(*issuer().public().as_bytes());
    let token = received.verify(VAULT, public, |_| false, now, DEFAULT_LONGEST_TTL).unwrap();
    (received, token)
}

// Made once: signing and verifying would take most of the time.

fn open_token() -> &'static Held {
    static TOKEN: OnceLock<Held> = OnceLock::new();
    TOKEN.get_or_init(|| verified(&grant().sign(&issuer(), VAULT).unwrap().expose_bytes()))
}

fn bound_token() -> &'static Held {
    static TOKEN: OnceLock<Held> = OnceLock::new();
    let bound = || grant().bound_to(holder().public()).sign(&issuer(), VAULT).unwrap();
    TOKEN.get_or_init(|| verified(&bound().expose_bytes()))
}

fn token_for_a_device() -> &'static Held {
    static TOKEN: OnceLock<Held> = OnceLock::new();
    let token = || grant().device(device().public().id()).sign(&issuer(), VAULT).unwrap();
    TOKEN.get_or_init(|| verified(&token().expose_bytes()))
}
