//! docs/format/header.md, "Worked example": each line is what the code makes, and the header opens.

use super::*;
use crate::clock::Timestamp;
use crate::crypto::kdf::{SlotKey, SlotSecret};
use crate::crypto::passphrase::{Passphrase, PassphraseCost};
use crate::format::keyring::KeyMaterial;
use crate::format::slot::SlotParams;
use crate::format::worked;
use crate::secret::Secret;
use credential::RawKey;
use recovery::RecoveryKey;

const PAGE: &str = include_str!("../../docs/format/header.md");
const SUITE: Suite = Suite::ChaCha20Poly1305;

fn key(name: &str) -> [u8; 32] {
    worked::array(PAGE, name)
}

fn vault() -> VaultId {
    VaultId::from_bytes(worked::array(PAGE, "vault_id"))
}

fn kek(kind: SlotSecret, name: &str) -> SlotKey {
    kdf::slot_key(kind, vault().as_bytes(), &key(name))
}

/// A sealed part made with the page's random bytes.
fn sealed_part(sealer: &Sealer, aad: &[u8], body: &[u8], random: &str) -> Vec<u8> {
    [&[SUITE.code()][..], &sealer.seal_with(SUITE, aad, body, &key(random)).unwrap()].concat()
}

fn slot(number: u8, label: &str, params: SlotParams, kek: &SlotKey) -> Slot {
    let created = "2026-01-05T12:00:00Z".parse::<Timestamp>().unwrap();
    let slot = Slot { number, created, label: label.into(), params, sealed_root: Vec::new() };
    let sealer = Sealer::new(kdf::slot_prk(kek), kdf::SEAL_SLOT, FLOOR_KEY);
    let aad = slot.aad(vault(), SUITE).unwrap();
    let sealed_root = sealed_part(&sealer, &aad, &key("RK"), &format!("random_slot_{number}"));
    Slot { sealed_root, ..slot }
}

#[test]
fn the_keys_of_slots_are_true() {
    assert_eq!(*kek(SlotSecret::Raw, "raw_key").expose(), key("kek_raw_key"));
    assert_eq!(*kek(SlotSecret::Recovery, "recovery_key").expose(), key("kek_recovery_key"));
    let passphrase = Passphrase::new("correct horse battery staple");
    assert_eq!((PassphraseCost::MINIMUM.memory_kib(), PassphraseCost::MINIMUM.passes()), (19_456, 2));
    let kek = passphrase.derive(PassphraseCost::MINIMUM, &key("salt_passphrase")).unwrap();
    assert_eq!(*kek.expose(), key("kek_passphrase"));
}

#[test]
fn the_recovery_keys_text_is_true() {
    let recovery = RecoveryKey::from_secret(Secret::take(&mut key("recovery_key")));
    let text = worked::text(PAGE, "recovery_text");
    assert_eq!(*recovery.expose_text(), text);
    assert_eq!(*text.parse::<RecoveryKey>().unwrap().expose(), key("recovery_key"));
}

#[test]
fn the_header_is_true() {
    let root: RootKey = Key::new(Secret::take(&mut key("RK")));
    let first = slot(0, "front desk", SlotParams::RawKey, &kek(SlotSecret::Raw, "raw_key"));
    let second = slot(1, "safe", SlotParams::RecoveryKey, &kek(SlotSecret::Recovery, "recovery_key"));
    assert_eq!(first.aad(vault(), SUITE).unwrap(), worked::bytes(PAGE, "aad_slot_0"));

    let plaintext = worked::bytes(PAGE, "keyring");
    let aad = HeaderContent::keyring_aad(vault(), 1, SUITE);
    assert_eq!(aad, worked::bytes(PAGE, "aad_keyring"));
    let sealer = Sealer::new(crate::crypto::hash::Prk::from_key(&key("keyring_prk")), kdf::SEAL_KEYRING, FLOOR_KEY);
    let sealed_keyring = sealed_part(&sealer, &aad, &plaintext, "random_keyring");
    let slots = vec![first, second];
    let content = HeaderContent { vault: vault(), generation: 1, suites: vec![SUITE], slots, sealed_keyring };
    let bytes = content.encode(&HmacKey::new(&key("header_mac_key"))).unwrap();
    assert_eq!(bytes, worked::bytes(PAGE, "header"));
    assert_eq!(bytes, content.encode(&kdf::header_mac(&root)).unwrap());
}

#[test]
fn the_header_opens_with_either_credential() {
    let header = UnverifiedHeader::parse(&worked::bytes(PAGE, "header")).unwrap();
    let raw = RawKey::from_bytes(key("raw_key"));
    let recovery = RecoveryKey::from_secret(Secret::take(&mut key("recovery_key")));
    for (credential, slot) in [(Credential::from(&raw), 0), (Credential::from(&recovery), 1)] {
        let unlocked = Keyring::open(&header, credential).unwrap();
        assert_eq!((unlocked.slot, *unlocked.root.expose()), (slot, key("RK")));
        let keys: &KeyMaterial = &unlocked.keyring.keys;
        assert_eq!(&keys.to_bytes()[..], worked::bytes(PAGE, "keyring"));
        let held = [
            ("DK_1", keys.data.newest().key.expose()),
            ("WK_1", keys.wrap.newest().key.expose()),
            ("K_audit_1", keys.audit.newest().key.expose()),
            ("K_index", keys.index.expose()),
            ("K_lookup", keys.lookup.expose()),
            ("K_state", keys.state.expose()),
            ("K_journal", keys.journal.expose()),
            ("K_policy", keys.policy.expose()),
        ];
        for (name, held) in held {
            assert_eq!(*held, key(name), "{name}");
        }
    }
}

#[test]
fn the_keyring_with_a_compartment_is_true() {
    let bytes = worked::bytes(PAGE, "keyring_of_compartments");
    let keys = KeyMaterial::parse(&bytes).unwrap();
    assert_eq!(&keys.to_bytes()[..], bytes);
    let key = keys.compartments.get(kdf::compartment_id("psychotherapy")).unwrap();
    assert_eq!(*key.expose(), [0x18; 32]);
}

#[test]
fn the_identifier_tag_of_the_envelopes_page_is_true() {
    let page = include_str!("../../docs/format/envelope.md");
    let mut keys = KeyMaterial::generate().unwrap();
    keys.lookup = Key::new(Secret::take(&mut worked::array(page, "K_lookup")));
    let keyring = Keyring::new(keys);
    for value in ["12345", " 12345\n"] {
        let tag = keyring.identifier_tag("urn:mrn:clinic-a", value).unwrap();
        assert_eq!(tag, worked::array(page, "identifier_tag"));
    }
}
