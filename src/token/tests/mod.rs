//! Tests over whole tokens. [`Raw`] writes tokens by the format's description, with code of its own, so that it can
//! also write what the library would never write.

mod attested;
mod bound;
mod build;
mod forge;
mod form;
mod inspected;
mod limits;
mod sealed;
mod signed_in;
mod vector;
mod widen;

use std::time::Duration;

use super::admit::{Admission, AdmittedToken, Proven, Shown};
use super::attestation::{Attestation, Claim};
use super::body::Body;
use super::caveat::Caveat;
use super::chain::Chain;
use super::closed::{BoundToken, SealedToken};
use super::decide::{Denial, Reach, Request};
use super::error::TokenError;
use super::grant::Grant;
use super::holder::{Token, UnverifiedToken};
use super::issuer::{IssuerKey, IssuerPublicKey};
use super::item::{CitedRole, Item, Scope, Wanted};
use super::keys::{AttesterKey, DeviceKey, HolderKey, HolderPublicKey};
use super::possession::{Challenge, DeviceProof, Possession};
use super::proof_error::ProofError;
use super::reason::DenyReason;
use super::verify::{DEFAULT_LONGEST_TTL, VerifiedToken};
use super::wire::{self, Block, Proof, Wire};
use crate::clock::Timestamp;
use crate::crypto::kdf::{self, cap};
use crate::crypto::{hash, sign::SigningSeed};
use crate::ids::{
    AttesterId, DeviceId, FacilityId, IssuerId, KindId, PatientId, PrincipalId, RevocationId, RoleId, VaultId,
};
use crate::secret::Secret;
use crate::terms::{Action, Confidentiality, Purpose};

const VAULT: VaultId = VaultId::from_bytes([0xAA; 16]);
const ISSUER_SEED: [u8; 32] = [0x11; 32];
const AMA: PatientId = PatientId::from_bytes([0x01; 16]);
const BEN: PatientId = PatientId::from_bytes([0x02; 16]);
const HOUR: Duration = Duration::from_secs(3600);
/// 2026-01-05T12:00:00Z
const NOW_SECONDS: u64 = 1_767_614_400;
const NOW: Timestamp = second(NOW_SECONDS);

const fn second(second: u64) -> Timestamp {
    Timestamp::from_micros(second as i64 * 1_000_000)
}

fn issuer() -> IssuerKey {
    IssuerKey::from_secret_bytes(&ISSUER_SEED)
}

fn seed(byte: u8) -> SigningSeed {
    SigningSeed::from_seed(&Secret::take(&mut [byte; 32]))
}

fn trusted(id: IssuerId) -> Option<[u8; 32]> {
    let public = issuer().public();
    (id == public.id()).then_some(*public.as_bytes())
}

/// The widest grant there can be for one hour.
fn wide() -> Grant {
    Grant::to("dr.osei")
        .all_patients()
        .all_kinds()
        .actions(Action::ALL.iter().copied())
        .purposes(Purpose::ALL.iter().copied())
        .sensitivity(Confidentiality::VeryRestricted)
        .issued_at(NOW)
        .valid_for(HOUR)
}

/// Reads notes in Ama's chart, for treatment.
fn narrow() -> Grant {
    Grant::to("dr.osei")
        .patient(AMA)
        .kind_named("note")
        .actions([Action::Read])
        .purpose(Purpose::Treatment)
        .issued_at(NOW)
        .valid_for(HOUR)
}

fn signed(grant: &Grant) -> Token {
    grant.sign(&issuer(), VAULT).unwrap()
}

/// What [`narrow`] allows.
fn request() -> Request {
    Request {
        action: Action::Read,
        kind: Reach::One(kdf::kind_id("note")),
        patient: Reach::One(AMA),
        purpose: Purpose::Treatment,
        confidentiality: Some(Confidentiality::Normal),
        now: NOW,
        emergency: None,
    }
}

fn verify(token: impl AsRef<UnverifiedToken>) -> Result<VerifiedToken, TokenError> {
    verify_at(token, NOW)
}

fn verify_at(token: impl AsRef<UnverifiedToken>, now: Timestamp) -> Result<VerifiedToken, TokenError> {
    token.as_ref().verify(VAULT, trusted, |_| false, now, DEFAULT_LONGEST_TTL)
}

/// Reads and verifies bytes, as a session does.
fn accept(bytes: &[u8]) -> Result<VerifiedToken, TokenError> {
    verify(UnverifiedToken::from_bytes(bytes)?)
}

fn admit(token: VerifiedToken, shown: &Shown) -> Result<(AdmittedToken, Proven), ProofError> {
    let at = Admission { purpose: Purpose::Treatment, now: NOW };
    let take = |nonce| if nonce == CHALLENGE.nonce() { Ok(CHALLENGE) } else { Err(ProofError::UnknownChallenge) };
    token.admit(shown, at, trusted_attester, take)
}

/// The only challenge that is outstanding.
const CHALLENGE: Challenge = Challenge::from_bytes([0xC4; 32]);
const TRANSCRIPT: [u8; 32] = [0x7A; 32];

fn attester() -> AttesterKey {
    AttesterKey::from_secret_bytes(&[0x44; 32])
}

fn trusted_attester(id: AttesterId) -> Option<[u8; 32]> {
    let public = attester().public();
    (id == public.id()).then_some(*public.as_bytes())
}

/// What a session asks of its token, for tokens that demand nothing beside themselves.
trait Opened {
    fn opened(&self) -> AdmittedToken;

    fn decide(&self, request: &Request) -> Result<(), Denial> {
        self.opened().decide(request)
    }

    fn idle(&self) -> Option<Duration> {
        self.opened().idle()
    }

    fn longest(&self) -> Option<Duration> {
        self.opened().longest()
    }
}

impl Opened for VerifiedToken {
    fn opened(&self) -> AdmittedToken {
        admit(self.clone(), &Shown::default()).unwrap().0
    }
}

/// A further block with these items, whatever they say.
fn append(token: &Token, items: Vec<Item>) -> Token {
    let wire = token.wire();
    let (messages, chain) = wire.messages();
    let number = u8::try_from(messages.len()).unwrap();
    let body = Body::new(number, [number; 16], NOW_SECONDS, items).unwrap();
    let holder = seed(0x60 + number);
    let next_public = holder.public();
    let signature = token.holder().sign(&chain.message(&body, &next_public));
    let mut blocks = wire.blocks.clone();
    blocks.push(Block { body, next_public, signature });
    Token::new(wire.vault, wire.issuer, blocks, holder)
}

/// A token with `depth` blocks behind the grant that say nothing.
fn deepen(mut token: Token, depth: usize) -> Token {
    for _ in 0..depth {
        token = token.attenuate().issued_at(NOW).finish().unwrap();
    }
    token
}

/// A token by the format's description alone.
struct Raw {
    bodies: Vec<Vec<u8>>,
}

type RawItem = (u8, Vec<u8>);

impl Raw {
    fn new() -> Self {
        Self { bodies: vec![raw_body(0, &raw_grant())] }
    }

    fn grant(items: &[RawItem]) -> Self {
        Self { bodies: vec![raw_body(0, items)] }
    }

    fn then(mut self, items: &[RawItem]) -> Self {
        self.bodies.push(raw_body(1, items));
        self
    }

    /// A token of five blocks and this many bytes.
    fn of_len(len: usize) -> Self {
        let choices = (0..32_u32).flat_map(|small| (1..=32).map(move |patients| (small, patients)));
        let token = |(small, patients)| {
            let filled = Self::new().then(&lists(32, 28)).then(&lists(32, 28)).then(&lists(32, 28));
            filled.then(&last_block(small, patients))
        };
        choices.map(token).find(|token| token.bytes().len() == len).expect("a token of this length")
    }

    /// The token's bytes, every signature right.
    fn bytes(&self) -> Vec<u8> {
        let kid = issuer().public().id();
        let mut token = [b"CVT1", &VAULT.as_bytes()[..], kid.as_bytes(), &[self.bodies.len() as u8]].concat();
        let mut previous = hash::sha256(&[cap::ROOT.bytes(), kid.as_bytes()]);
        let mut signer = seed(ISSUER_SEED[0]);
        for (number, body) in (0..).zip(&self.bodies) {
            let next = seed(0x40 + number);
            let len = (body.len() as u16).to_be_bytes();
            let signed = [&len[..], body, &next.public()].concat();
            let message = [cap::BLOCK.bytes(), &[number], VAULT.as_bytes(), &previous, &signed].concat();
            let signature = signer.sign(&message);
            token.extend([&signed[..], &signature].concat());
            previous = hash::sha256(&[cap::LINK.bytes(), &message, &signature]);
            signer = next;
        }
        token.push(1);
        token.extend(signer.seed().expose());
        token
    }

    fn read(&self) -> Result<UnverifiedToken, TokenError> {
        UnverifiedToken::from_bytes(&self.bytes())
    }
}

fn raw_body(kind: u8, items: &[RawItem]) -> Vec<u8> {
    let mut body = [&[kind][..], &[7; 16], &NOW_SECONDS.to_be_bytes(), &[items.len() as u8]].concat();
    for (tag, value) in items {
        body.push(*tag);
        body.extend((value.len() as u16).to_be_bytes());
        body.extend(value);
    }
    body
}

/// All that a grant must say, as wide as possible.
fn raw_grant() -> Vec<RawItem> {
    vec![
        (0x01, vec![9; 16]),
        (0x11, (NOW_SECONDS + 3600).to_be_bytes().to_vec()),
        (0x12, 0x7FF_u32.to_be_bytes().to_vec()),
        (0x13, vec![0]),
        (0x14, vec![0]),
        (0x15, 0xFFF_u32.to_be_bytes().to_vec()),
        (0x16, vec![5]),
        (0x18, vec![7]),
    ]
}

fn list(count: u8) -> Vec<u8> {
    let ids = (1..=count).flat_map(|id| [id; 16]);
    [1, count].into_iter().chain(ids).collect()
}

fn lists(kinds: u8, patients: u8) -> Vec<RawItem> {
    vec![(0x13, list(kinds)), (0x14, list(patients))]
}

/// Small items of sizes that together reach every size of a token.
fn last_block(small: u32, patients: u8) -> Vec<RawItem> {
    let choice = [
        (0x10, vec![0; 8]),
        (0x14, list(patients)),
        (0x16, vec![5]),
        (0x17, vec![1; 4]),
        (0x18, vec![3]),
        (0x1A, vec![0; 32]),
    ];
    let wanted = |tag: u8| match tag {
        0x14 => true,
        0x10 => small & 1 != 0,
        0x16 => small & 2 != 0,
        0x17 => small & 4 != 0,
        0x18 => small & 8 != 0,
        _ => small & 16 != 0,
    };
    choice.into_iter().filter(|(tag, _)| wanted(*tag)).collect()
}
