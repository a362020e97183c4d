use super::*;
use crate::clock::Timestamp;
use crate::format::header::{HeaderError, MAX_SLOTS};
use crate::format::keyring::KeyMaterial;
use credential::RawKey;

const VAULT: VaultId = VaultId::from_bytes([0xA1; 16]);

fn raw(byte: u8) -> RawKey {
    RawKey::from_bytes([byte; 32])
}

fn slot(number: u8, suite: Suite, root: &RootKey) -> Slot {
    let place = SlotPlace { number, created: Timestamp::from_micros(7), label: String::new() };
    NewSlot::of(&raw(1)).prepare(VAULT).unwrap().seal(VAULT, suite, place, root).unwrap()
}

fn reopened(bytes: &[u8]) -> Result<UnlockedKeyring, UnlockError> {
    Keyring::open(&UnverifiedHeader::parse(bytes)?, (&raw(1)).into())
}

#[test]
fn a_keyring_comes_back_from_its_header_in_both_suites() {
    for suites in [&[Suite::ChaCha20Poly1305][..], &[Suite::Aes256Gcm, Suite::ChaCha20Poly1305]] {
        let (root, keyring) = (new_root().unwrap(), Keyring::generate().unwrap());
        let slots = vec![slot(5, suites[0], &root), slot(2, suites[0], &root)];
        let bytes = keyring.new_header(VAULT, 3, suites, slots, &root).unwrap();
        let back = reopened(&bytes).unwrap();
        assert_eq!(&back.keyring.keys.to_bytes()[..], &keyring.keys.to_bytes()[..]);
        assert_eq!((back.slot, back.header.vault, back.header.generation), (2, VAULT, 3));
        assert_eq!((&back.header.suites[..], back.root.expose()), (suites, root.expose()));
        // Written again with the same keys, it opens again.
        let again = back.keyring.new_header(VAULT, 4, suites, back.header.slots, &back.root).unwrap();
        assert_eq!(reopened(&again).unwrap().header.generation, 4);
    }
}

/// Whoever holds the root key could still mix parts of two generations; the keyring's own binding refuses.
#[test]
fn a_keyring_of_another_generation_or_vault_does_not_open() {
    let (root, keyring) = (new_root().unwrap(), Keyring::generate().unwrap());
    let suites = [Suite::ChaCha20Poly1305];
    let old = keyring.new_header(VAULT, 3, &suites, vec![slot(0, suites[0], &root)], &root).unwrap();
    let old = reopened(&old).unwrap().header;
    let mixed = HeaderContent { generation: 4, ..old }.encode(&kdf::header_mac(&root)).unwrap();
    assert_eq!(reopened(&mixed).unwrap_err(), UnlockError::HeaderTampered);
}

#[test]
fn a_keyring_that_opens_but_cannot_be_read_is_named() {
    let (root, suite) = (new_root().unwrap(), Suite::ChaCha20Poly1305);
    let mut keys = KeyMaterial::generate().unwrap().to_bytes();
    keys[0] = 4;
    let aad = HeaderContent::keyring_aad(VAULT, 1, suite);
    let sealed_keyring = seal_with_suite(&keyring_sealer(&root), suite, &aad, &keys).unwrap();
    let slots = vec![slot(0, suite, &root)];
    let newer = HeaderContent { vault: VAULT, generation: 1, suites: vec![suite], slots, sealed_keyring };
    let error = reopened(&newer.encode(&kdf::header_mac(&root)).unwrap()).unwrap_err();
    let format = crate::format::ParseError::UnknownFormat { found: 4, newest: 3 };
    assert_eq!(error, UnlockError::Keyring(format));
}

#[test]
fn limits_hold_before_anything_is_written() {
    let (root, keyring) = (new_root().unwrap(), Keyring::generate().unwrap());
    let one = slot(0, Suite::ChaCha20Poly1305, &root);
    let many: Vec<Slot> = (0..33).map(|number| Slot { number, ..one.clone() }).collect();
    let header = |slots: &[Slot]| keyring.new_header(VAULT, 1, &[Suite::ChaCha20Poly1305], slots.to_vec(), &root);
    assert!(header(&many[..32]).is_ok());
    let too_many = HeaderError::TooManySlots { slots: 33, limit: MAX_SLOTS };
    assert_eq!(header(&many).unwrap_err(), NewSlotError::Header(too_many));
    let twice = header(&[one.clone(), one]).unwrap_err();
    assert!(matches!(twice, NewSlotError::Header(HeaderError::Malformed(_))), "{twice:?}");
    assert!(keyring.new_header(VAULT, 1, &[], many[..1].to_vec(), &root).is_err());
}

#[test]
fn tags_differ_between_vaults_patients_kinds_and_tables() {
    let (here, there) = (Keyring::generate().unwrap(), Keyring::generate().unwrap());
    let (ama, kofi) = (PatientId::from_bytes([1; 16]), PatientId::from_bytes([2; 16]));
    let kind = kdf::kind_id("allergy");
    let tag = here.patient_tag(ama);
    assert_eq!(tag, here.patient_tag(ama));
    assert_ne!(tag, here.patient_tag(kofi));
    assert_ne!(tag, there.patient_tag(ama));
    assert_ne!(here.kind_tag(&tag, kind), here.kind_tag(&here.patient_tag(kofi), kind));
    assert_ne!(here.kind_tag(&tag, kind), here.kind_tag(&tag, kdf::kind_id("note")));
    assert_ne!(here.policy_tag(1, b"id"), here.policy_tag(2, b"id"));
    let mrn = |keyring: &Keyring, value| keyring.identifier_tag("urn:mrn:clinic-a", value).unwrap();
    assert_eq!(mrn(&here, "12345"), mrn(&here, " 12345\t"));
    assert_ne!(mrn(&here, "12345"), mrn(&here, "12346"));
    assert_ne!(mrn(&here, "12345"), mrn(&there, "12345"));
    assert_ne!(mrn(&here, "12345"), here.identifier_tag("urn:mrn:clinic-b", "12345").unwrap());
    assert!(here.identifier_tag("", "12345").is_err() && here.identifier_tag("urn", " ").is_err());
}

#[test]
fn records_need_both_the_data_key_and_the_patients_secret() {
    let (here, there) = (Keyring::generate().unwrap(), Keyring::generate().unwrap());
    let (ama, kofi) = (patient::new_secret().unwrap(), patient::new_secret().unwrap());
    let suite = Suite::ChaCha20Poly1305;
    let sealer = |keyring: &Keyring, secret| keyring.record_sealer(keyring.data_epoch(), secret, None).unwrap();
    let sealed = sealer(&here, &ama).seal(suite, b"", b"body").unwrap();
    assert!(sealer(&here, &ama).open(suite, b"", &sealed).is_ok());
    assert!(sealer(&here, &kofi).open(suite, b"", &sealed).is_err());
    assert!(sealer(&there, &ama).open(suite, b"", &sealed).is_err());
    assert!(here.record_sealer(2, &ama, None).is_none() && here.wrap_sealer(2).is_none());
    assert_eq!((here.data_epoch(), here.newest_wrap_sealer().0), (1, 1));
    assert_ne!(here.journal_key().expose(), here.state_key().expose());
}

#[test]
fn debug_of_what_unlocking_yields_shows_no_key() {
    let (root, keyring) = (Key::new(crate::secret::Secret::take(&mut [0xEE; 32])), Keyring::generate().unwrap());
    let suite = Suite::ChaCha20Poly1305;
    let bytes = keyring.new_header(VAULT, 1, &[suite], vec![slot(0, suite, &root)], &root).unwrap();
    let unlocked = reopened(&bytes).unwrap();
    let shown = format!("{unlocked:?}");
    assert!(shown.contains("Keyring(redacted)") && shown.contains("Key(redacted)"), "{shown}");
    // The key is 32 such bytes; ciphertext has two of them side by side now and then.
    assert!(!shown.contains("238, 238, 238, 238, 238"), "{shown}");
}
