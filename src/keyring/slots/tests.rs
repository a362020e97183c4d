use super::*;
use crate::clock::Timestamp;
use crate::crypto::aead::Suite;
use crate::crypto::hash::sha256;
use crate::format::header::HeaderError;
use crate::format::slot::{Partner, SlotKind};
use crate::keyring::{Keyring, NewSlot, NewSlotError, SlotPlace};

const VAULT: VaultId = VaultId::from_bytes([0xA1; 16]);
const SUITE: Suite = Suite::ChaCha20Poly1305;

fn new<'a>(credential: impl Into<Credential<'a>>) -> NewSlot<'a> {
    NewSlot::of(credential).label("front desk").kdf(PassphraseCost::MINIMUM)
}

fn raw(byte: u8) -> RawKey {
    RawKey::from_bytes([byte; 32])
}

/// A vault with one root key, and what can be written with it.
struct Written {
    root: RootKey,
    keyring: Keyring,
}

impl Written {
    fn new() -> Self {
        Self { root: crate::keyring::new_root().unwrap(), keyring: Keyring::generate().unwrap() }
    }

    fn slot<'a>(&self, number: u8, credential: impl Into<Credential<'a>>) -> Slot {
        let created = Timestamp::from_micros(1_767_614_400_000_000);
        let place = SlotPlace { number, created, label: "front desk".into() };
        new(credential).prepare(VAULT).unwrap().seal(VAULT, SUITE, place, &self.root).unwrap()
    }

    fn header(&self, slots: Vec<Slot>) -> UnverifiedHeader {
        self.header_of(VAULT, slots)
    }

    fn header_of(&self, vault: VaultId, slots: Vec<Slot>) -> UnverifiedHeader {
        UnverifiedHeader::parse(&self.keyring.new_header(vault, 1, &[SUITE], slots, &self.root).unwrap()).unwrap()
    }
}

fn outcome<'a>(header: &UnverifiedHeader, credential: impl Into<Credential<'a>>) -> Result<u8, UnlockError> {
    open(header, credential.into()).map(|opened| opened.slot)
}

#[test]
fn each_kind_of_credential_opens_its_own_slot() {
    let written = Written::new();
    let (pass, recovery) = (Passphrase::new("correct horse"), RecoveryKey::generate().unwrap());
    let slots = vec![written.slot(0, &pass), written.slot(1, &recovery), written.slot(2, &raw(1))];
    let header = written.header(slots);
    assert_eq!(outcome(&header, &pass), Ok(0));
    assert_eq!(outcome(&header, &recovery), Ok(1));
    assert_eq!(outcome(&header, &raw(1)), Ok(2));
    assert_eq!(open(&header, (&recovery).into()).unwrap().root.expose(), written.root.expose());
    assert_eq!(outcome(&header, &Passphrase::new("correct horsf")), Err(UnlockError::WrongCredential));
    assert_eq!(outcome(&header, &RecoveryKey::generate().unwrap()), Err(UnlockError::WrongCredential));
    assert_eq!(outcome(&header, &raw(2)), Err(UnlockError::WrongCredential));
}

#[test]
fn a_key_file_opens_its_own_slot_and_none_of_another_vault() {
    let written = Written::new();
    let dir = tempfile::tempdir().unwrap();
    let [own, second, foreign] = [VAULT, VAULT, VaultId::from_bytes([0xB2; 16])];
    let make = |name: &str, vault| KeyFile::create(dir.path().join(name), vault).unwrap();
    let (own, second, foreign) = (make("own", own), make("second", second), make("foreign", foreign));
    let header = written.header(vec![written.slot(0, &raw(1)), written.slot(1, &own)]);
    assert_eq!(outcome(&header, &own), Ok(1));
    assert_eq!(outcome(&header, &second), Err(UnlockError::WrongCredential));
    let vault = foreign.vault();
    assert_eq!(outcome(&header, &foreign), Err(UnlockError::KeyFileOfAnotherVault { vault }));
    assert_eq!(new(&foreign).prepare(VAULT).unwrap_err(), NewSlotError::KeyFileOfAnotherVault { vault });
    // Its 32 bytes as another kind give another key.
    assert_eq!(outcome(&header, &RawKey::from_bytes(*own.expose())), Err(UnlockError::WrongCredential));
}

#[test]
fn a_shared_key_opens_the_slot_of_its_set() {
    let written = Written::new();
    let ((board, shares), (staff, _)) = (SharedKey::split(2, 3).unwrap(), SharedKey::split(2, 2).unwrap());
    let header = written.header(vec![written.slot(0, &board), written.slot(1, &staff)]);
    assert_eq!((outcome(&header, &board), outcome(&header, &staff)), (Ok(0), Ok(1)));
    assert_eq!(outcome(&header, &SharedKey::combine(&shares[1..]).unwrap()), Ok(0));
    let (other, _) = SharedKey::split(2, 3).unwrap();
    assert_eq!(outcome(&header, &other), Err(UnlockError::AnotherShareSet));
    let without = written.header(vec![written.slot(0, &raw(1))]);
    assert_eq!(outcome(&without, &board), Err(UnlockError::NoSuchSlotKind { kind: SlotKind::SharedKey }));
    // A slot that says another threshold, or another set, than it was made with.
    let slot = written.slot(0, &board);
    let set = *board.set().as_bytes();
    for params in [SlotParams::SharedKey { set, needed: 3, of: 3 }, SlotParams::SharedKey { set, needed: 2, of: 4 }] {
        let header = written.header(vec![Slot { params, ..slot.clone() }]);
        assert_eq!(outcome(&header, &board), Err(UnlockError::WrongCredential));
    }
    let params = SlotParams::SharedKey { set: *other.set().as_bytes(), needed: 2, of: 3 };
    assert_eq!(outcome(&written.header(vec![Slot { params, ..slot }]), &other), Err(UnlockError::WrongCredential));
}

#[test]
fn two_persons_open_their_slot_together_in_any_order_and_neither_alone() {
    let written = Written::new();
    let (chief, deputy) = (Passphrase::new("chief"), raw(7));
    let both = TwoPersons::new(&chief, &deputy);
    let header = written.header(vec![written.slot(0, &raw(1)), written.slot(1, &both)]);
    assert_eq!(outcome(&header, &both), Ok(1));
    assert_eq!(outcome(&header, &TwoPersons::new(&deputy, &chief)), Ok(1));
    let none = |kind| Err(UnlockError::NoSuchSlotKind { kind });
    assert_eq!(outcome(&header, &chief), none(SlotKind::Passphrase));
    assert_eq!(outcome(&header, &deputy), Err(UnlockError::WrongCredential));
    let (other, wrong) = (Passphrase::new("another"), raw(8));
    for (first, second) in [(&chief, &wrong), (&other, &deputy), (&other, &wrong)] {
        assert_eq!(outcome(&header, &TwoPersons::new(first, second)), Err(UnlockError::WrongCredential));
    }
    // Of other kinds than the slot's, nothing is looked at.
    let kind = SlotKind::TwoPersons;
    assert_eq!(outcome(&header, &TwoPersons::new(&chief, &other)), none(kind));
    assert_eq!(outcome(&header, &TwoPersons::new(&raw(7), &deputy)), none(kind));
    assert_eq!(outcome(&header, &TwoPersons::new(&both, &deputy)), none(kind));
    let empty = Passphrase::new("");
    assert_eq!(outcome(&header, &TwoPersons::new(&empty, &deputy)), Err(UnlockError::EmptyPassphrase));
    assert_eq!(new(&TwoPersons::new(&both, &deputy)).prepare(VAULT).unwrap_err(), NewSlotError::MoreThanTwo);
    let long = "x".repeat(65);
    let refused = new(&both).partners("chief", &long).prepare(VAULT);
    assert_eq!(refused.unwrap_err(), NewSlotError::LabelNotAllowed { limit: 64 });
}

#[test]
fn two_persons_of_one_kind_are_told_apart_by_trying_both_orders() {
    let written = Written::new();
    let [chief, deputy] = ["chief", "deputy"].map(Passphrase::new);
    let header = written.header(vec![written.slot(3, &TwoPersons::new(&chief, &deputy))]);
    assert_eq!(outcome(&header, &TwoPersons::new(&chief, &deputy)), Ok(3));
    assert_eq!(outcome(&header, &TwoPersons::new(&deputy, &chief)), Ok(3));
    assert_eq!(outcome(&header, &TwoPersons::new(&chief, &chief)), Err(UnlockError::WrongCredential));
}

/// Whoever can write the header exchanges the partners, or their labels: bound by the seal.
#[test]
fn a_slot_for_two_is_bound_to_both_partners() {
    let written = Written::new();
    let (one, other) = (raw(1), raw(2));
    let both = TwoPersons::new(&one, &other);
    let slot = written.slot(0, &both);
    let SlotParams::TwoPersons(partners) = &slot.params else { panic!("a slot for two") };
    let [first, second] = &**partners;
    let renamed = Partner { label: "intruder".into(), ..first.clone() };
    for partners in
        [[renamed, second.clone()], [Partner { params: SlotParams::RecoveryKey, ..first.clone() }, second.clone()]]
    {
        let header = written.header(vec![Slot { params: SlotParams::TwoPersons(Box::new(partners)), ..slot.clone() }]);
        assert!(outcome(&header, &both).is_err());
    }
    assert_eq!(outcome(&written.header(vec![slot]), &both), Ok(0));
}

#[test]
fn a_passphrase_opens_slots_of_either_derivation() {
    let written = Written::new();
    let (first, second) = (Passphrase::new("first"), Passphrase::new("second"));
    let created = Timestamp::from_micros(0);
    let place = SlotPlace { number: 1, created, label: String::new() };
    let prepared = NewSlot::of(&second).kdf(Pbkdf2Iterations::MINIMUM).prepare(VAULT).unwrap();
    let slot = prepared.seal(VAULT, SUITE, place, &written.root).unwrap();
    let header = written.header(vec![written.slot(0, &first), slot.clone()]);
    assert_eq!((outcome(&header, &first), outcome(&header, &second)), (Ok(0), Ok(1)));
    assert_eq!(outcome(&header, &Passphrase::new("third")), Err(UnlockError::WrongCredential));
    assert_eq!(outcome(&header, &Passphrase::new("")), Err(UnlockError::EmptyPassphrase));
    let empty = NewSlot::of(&Passphrase::new("")).kdf(Pbkdf2Iterations::MINIMUM).prepare(VAULT);
    assert_eq!(empty.unwrap_err(), NewSlotError::EmptyPassphrase);
    // More iterations than it was made with: bound by the seal.
    let SlotParams::Pbkdf2 { salt, .. } = slot.params else { panic!("a PBKDF2 slot") };
    let params = SlotParams::Pbkdf2 { iterations: Pbkdf2Iterations::new(600_001).unwrap(), salt };
    let header = written.header(vec![Slot { params, ..slot }]);
    assert_eq!(outcome(&header, &second), Err(UnlockError::WrongCredential));
}

#[test]
fn the_second_slot_of_a_kind_is_tried_too() {
    let written = Written::new();
    let header = written.header(vec![written.slot(4, &raw(1)), written.slot(7, &raw(2))]);
    assert_eq!((outcome(&header, &raw(1)), outcome(&header, &raw(2))), (Ok(4), Ok(7)));
}

#[test]
fn a_kind_without_a_slot_is_named() {
    let written = Written::new();
    let header = written.header(vec![written.slot(0, &raw(1))]);
    let none = |kind| Err(UnlockError::NoSuchSlotKind { kind });
    assert_eq!(outcome(&header, &Passphrase::new("x")), none(SlotKind::Passphrase));
    assert_eq!(outcome(&header, &RecoveryKey::generate().unwrap()), none(SlotKind::RecoveryKey));
}

#[test]
fn an_empty_passphrase_is_refused_on_both_sides() {
    let written = Written::new();
    let empty = Passphrase::new("");
    assert_eq!(new(&empty).prepare(VAULT).unwrap_err(), NewSlotError::EmptyPassphrase);
    let header = written.header(vec![written.slot(0, &Passphrase::new("x"))]);
    assert_eq!(outcome(&header, &empty), Err(UnlockError::EmptyPassphrase));
}

#[test]
fn labels_are_checked_before_anything_is_computed() {
    for label in ["x".repeat(65), "line\nbreak".to_owned()] {
        let refused = new(&Passphrase::new("")).label(&label).prepare(VAULT);
        assert_eq!(refused.unwrap_err(), NewSlotError::LabelNotAllowed { limit: 64 });
    }
}

/// The exchanges are made under a right MAC, as the worst writer could: the slot's own binding must hold alone.
#[test]
fn a_slot_is_bound_to_vault_number_kind_label_time_and_params() {
    let written = Written::new();
    let slot = written.slot(3, &raw(1));
    assert_eq!(outcome(&written.header(vec![slot.clone()]), &raw(1)), Ok(3));
    let changed = [
        Slot { number: 4, ..slot.clone() },
        Slot { label: "back office".into(), ..slot.clone() },
        Slot { created: Timestamp::from_micros(0), ..slot.clone() },
    ];
    for slot in changed {
        assert_eq!(outcome(&written.header(vec![slot]), &raw(1)), Err(UnlockError::WrongCredential));
    }
    let other_vault = written.header_of(VaultId::from_bytes([0xA2; 16]), vec![slot.clone()]);
    assert_eq!(outcome(&other_vault, &raw(1)), Err(UnlockError::WrongCredential));
    let mut other_suite = slot;
    other_suite.sealed_root[0] = Suite::Aes256Gcm.code();
    assert_eq!(outcome(&written.header(vec![other_suite]), &raw(1)), Err(UnlockError::WrongCredential));

    let pass = Passphrase::new("correct horse");
    let slot = written.slot(0, &pass);
    let SlotParams::Argon2id { salt, .. } = slot.params else { panic!("a passphrase slot") };
    let cost = PassphraseCost::new(19 * 1024, 3, 1).unwrap();
    let dearer = Slot { params: SlotParams::Argon2id { cost, salt }, ..slot };
    assert_eq!(outcome(&written.header(vec![dearer]), &pass), Err(UnlockError::WrongCredential));
}

#[test]
fn slot_kinds_cannot_be_exchanged() {
    let written = Written::new();
    let slot = written.slot(0, &raw(1));
    let as_recovery = Slot { params: SlotParams::RecoveryKey, ..slot };
    let header = written.header(vec![as_recovery.clone()]);
    let mut same_bytes = [1; 32];
    let recovery = RecoveryKey::from_secret(Secret::take(&mut same_bytes));
    assert_eq!(outcome(&header, &recovery), Err(UnlockError::WrongCredential));
    assert_eq!(outcome(&header, &raw(1)), Err(UnlockError::NoSuchSlotKind { kind: SlotKind::RawKey }));
    // The same 32 bytes give another key as another kind, so that even the derivation alone tells them apart.
    let key = |kind| *kdf::slot_key(kind, VAULT.as_bytes(), &[1; 32]).expose();
    assert_ne!(key(SlotSecret::Recovery), key(SlotSecret::Raw));
}

#[test]
fn a_slot_of_an_unknown_kind_leaves_the_others_usable() {
    let written = Written::new();
    let params = SlotParams::Unsupported { kind: 77, params: vec![1, 2, 3] };
    let unknown = Slot { number: 0, params, sealed_root: vec![9; 10], ..written.slot(0, &raw(1)) };
    let header = written.header(vec![unknown.clone(), written.slot(1, &raw(1))]);
    assert_eq!(outcome(&header, &raw(1)), Ok(1));
    let alone = written.header(vec![unknown]);
    assert_eq!(outcome(&alone, &raw(1)), Err(UnlockError::NoSuchSlotKind { kind: SlotKind::RawKey }));
}

/// A removed slot put back, a slot dropped, a keyring of another time: right slot, wrong header.
#[test]
fn a_header_put_together_without_the_root_key_is_tampered() {
    let written = Written::new();
    let (kept, removed) = (written.slot(0, &raw(1)), written.slot(1, &raw(2)));
    let bytes = written.keyring.new_header(VAULT, 2, &[SUITE], vec![kept.clone()], &written.root).unwrap();
    let mac = crate::crypto::hash::HmacKey::new(&[0; 32]);
    let authentic = UnverifiedHeader::parse(&bytes).unwrap();
    let content = authentic.verify(&kdf::header_mac(&written.root)).unwrap().clone();
    let revived = HeaderContent { slots: vec![kept, removed], ..content.clone() };
    let rolled = HeaderContent { generation: 9, ..content };
    for forged in [revived, rolled] {
        let header = UnverifiedHeader::parse(&forged.encode(&mac).unwrap()).unwrap();
        assert_eq!(outcome(&header, &raw(1)), Err(UnlockError::HeaderTampered));
    }
}

/// Each byte changed by someone who then makes the checksum right: never the vault's content.
#[test]
fn every_changed_byte_under_a_right_checksum_is_refused() {
    let written = Written::new();
    let bytes = written.keyring.new_header(VAULT, 1, &[SUITE], vec![written.slot(0, &raw(1))], &written.root).unwrap();
    let body = &bytes[..bytes.len() - 32];
    for at in 0..body.len() {
        let mut forged = body.to_vec();
        forged[at] ^= 0x55;
        let hash = sha256(&[&forged]);
        forged.extend_from_slice(&hash);
        let result = UnverifiedHeader::parse(&forged).map_err(UnlockError::from).map(|header| {
            assert!(outcome(&header, &raw(1)).is_err(), "byte {at}");
        });
        assert!(matches!(result, Ok(()) | Err(UnlockError::Header(_))), "byte {at}");
    }
    let damaged = UnverifiedHeader::parse(&[body, &[0; 32]].concat()).map_err(UnlockError::from);
    assert_eq!(damaged, Err(UnlockError::Header(HeaderError::Corrupt)));
}
