//! What must hold of this floor's decoders whatever the bytes. Each function answers whether the bytes were taken.

mod proofs;

pub(crate) use proofs::{attestation, device_proof, possession};

use super::body::Body;
use super::closed::{BoundToken, SealedToken};
use super::decide::{Reach, Request, decide};
use super::holder::{Token, UnverifiedToken};
use super::wire::{self, Wire};
use super::{DEFAULT_LONGEST_TTL, MAX_BLOCKS, MAX_TOKEN_LEN};
use crate::clock::Timestamp;
use crate::crypto::kdf;
use crate::crypto::sign::SigningSeed;
use crate::ids::{KindId, PatientId};
use crate::secret::Secret;
use crate::terms::{Action, Confidentiality, Purpose};

pub(crate) fn bytes(bytes: &[u8]) -> bool {
    let Ok(wire) = Wire::parse(bytes) else { return false };
    assert!(bytes.len() <= MAX_TOKEN_LEN && (1..=usize::from(MAX_BLOCKS)).contains(&wire.blocks.len()));
    assert_eq!((&wire.to_bytes()[..], wire.len()), (bytes, bytes.len()));
    assert_eq!(wire.revocation_ids().len(), wire.blocks.len());
    let bodies: Vec<Body> = wire.blocks.iter().map(|block| block.body.clone()).collect();
    bodies.iter().for_each(items_are_canonical);
    more_blocks_never_allow_more(&bodies, bytes);
    assert_eq!(&wire::from_text(&wire::to_text(bytes)).unwrap()[..], bytes);

    let token = UnverifiedToken::from_bytes(bytes).unwrap();
    let issuer = SigningSeed::from_seed(&Secret::take(&mut [0x99; 32])).public();
    let now = Timestamp::from_micros(1_767_614_400_000_000);
    let known = |id| (kdf::issuer_id(&issuer) == id).then_some(issuer);
    assert!(token.verify(token.vault(), known, |_| false, now, DEFAULT_LONGEST_TTL).is_err(), "nobody signed this");
    let _ = (token.not_after(), format!("{token:?}"));
    assert!(token.inspect().to_string().len() < 64 * bytes.len(), "more is shown than a token can say");
    let again = || UnverifiedToken::from_bytes(bytes).unwrap();
    let (open, sealed, bound) = (Token::try_from(again()), SealedToken::try_from(again()), BoundToken::try_from(token));
    let open = open.map(|token| token.expose_bytes()).ok();
    let sealed = sealed.map(|token| token.expose_bytes()).ok();
    let bound = bound.map(|token| {
        let _ = token.holder();
        token.expose_bytes()
    });
    let taken: Vec<_> = [open, sealed, bound.ok()].into_iter().flatten().collect();
    // None for an open token whose secret is not that of its last block.
    assert!(taken.len() <= 1 && taken.iter().all(|taken| taken[..] == *bytes), "a token is of one kind");
    true
}

pub(crate) fn text(bytes: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(bytes) else { return false };
    let Ok(decoded) = wire::from_text(text) else { return false };
    assert_eq!(*wire::to_text(&decoded), text);
    // Text that decodes but is too long for a token is refused by length, never read.
    let _ = UnverifiedToken::from_text(text);
    true
}

fn items_are_canonical(body: &Body) {
    let mut again = Vec::new();
    body.items().iter().for_each(|item| item.put(&mut again).unwrap());
    assert!(body.framed().ends_with(&again) && body.framed().len() == 2 + 26 + again.len());
}

/// The promise of attenuation: what the first blocks refuse, all of them refuse.
fn more_blocks_never_allow_more(bodies: &[Body], seed: &[u8]) {
    let pick = |at: usize| usize::from(seed.get(seed.len().saturating_sub(at)).copied().unwrap_or(0));
    let request = Request {
        action: Action::ALL[pick(1) % Action::ALL.len()],
        kind: [Reach::Whole, Reach::Filtered, Reach::One(KindId::from_bytes([0x51; 16]))][pick(2) % 3],
        patient: [Reach::Whole, Reach::One(PatientId::FACILITY), Reach::One(PatientId::from_bytes([0x51; 16]))]
            [pick(3) % 3],
        purpose: Purpose::ALL[pick(4) % Purpose::ALL.len()],
        confidentiality: [None, Some(Confidentiality::Normal), Some(Confidentiality::VeryRestricted)][pick(5) % 3],
        now: Timestamp::from_micros(1_767_614_400_000_000),
        emergency: (pick(6) % 2 == 1).then(|| PatientId::from_bytes([0x51; 16])),
    };
    let allowed: Vec<bool> = (1..=bodies.len()).map(|n| decide(&bodies[..n], &request).is_ok()).collect();
    assert!(allowed.is_sorted_by(|before, after| before >= after), "{request:?}: {allowed:?}");
}

/// Unsigned tokens over two blocks: one with all items that there are, and one for each kind of proof with those items
/// that can be checked.
#[cfg(test)]
pub(crate) fn seeds() -> Vec<Vec<u8>> {
    use super::item::{CitedRole, Item, Scope, Wanted};
    use super::wire::{Block, Proof};
    use crate::ids::{FacilityId, IssuerId, PrincipalId, RoleId, VaultId};
    let narrowing = || {
        vec![
            Item::NotBefore(1),
            Item::NotAfter(2_000_000_000),
            Item::Actions(3),
            Item::Kinds(Scope::Only(vec![KindId::from_bytes([0x51; 16]), KindId::from_bytes([0x52; 16])])),
            Item::Patients(Scope::Only(vec![PatientId::from_bytes([0x51; 16])])),
            Item::Purposes(1),
            Item::Sensitivity(Confidentiality::Normal),
            Item::MaxDepth(3),
            Item::Device([4; 32]),
            Item::Session { idle: 600, longest: 3600 },
            Item::Attestations(vec![
                Wanted { attester: [5; 16], claim: 6, oldest: 7 },
                Wanted { attester: [5; 16], claim: 0x8001, oldest: u32::MAX },
            ]),
        ]
    };
    let unsupported = || {
        vec![
            Item::MaxUses(7),
            Item::Mfa { level: 1, oldest: 60 },
            Item::Facility(vec![FacilityId::from_bytes([8; 16])]),
            Item::Roles(vec![CitedRole { id: RoleId::from_bytes([2; 16]), revision: 3 }]),
        ]
    };
    let block = |number, items| Block {
        body: Body::new(number, [9; 16], 1_767_614_400, items).unwrap(),
        next_public: SigningSeed::from_seed(&Secret::take(&mut [0x0C; 32])).public(),
        signature: [0x0B; 64],
    };
    let token = |more: Vec<Item>, proof| {
        let mut grant = narrowing();
        grant.push(Item::Subject(PrincipalId::from_bytes([1; 16])));
        grant.push(Item::Emergency { actions: 1, sensitivity: Confidentiality::Restricted, longest: 60 });
        grant.extend(more);
        let blocks = vec![block(0, grant), block(1, narrowing())];
        let (vault, issuer) = (VaultId::from_bytes([7; 16]), IssuerId::from_bytes([6; 16]));
        Wire { vault, issuer, blocks, proof }.to_bytes().to_vec()
    };
    vec![
        token(unsupported(), Proof::Bound),
        token(Vec::new(), Proof::Open(Secret::take(&mut [0x0C; 32]))),
        token(Vec::new(), Proof::Sealed([0x0D; 64])),
        token(Vec::new(), Proof::Bound),
    ]
}

/// The text form of a token's bytes.
#[cfg(test)]
pub(crate) fn text_of(token: &[u8]) -> Vec<u8> {
    wire::to_text(token).as_bytes().to_vec()
}
