//! Creating, opening, unlocking, choosing, closing.

use std::fs;
use std::time::Duration;

use super::*;
use chartvault::test_util::MemoryStore;

#[test]
fn a_vault_that_was_closed_is_sealed() {
    let ward = Ward::new();
    ward.clinic.vault().close().unwrap();
    let refused = ward.session.get(ward.id);
    assert!(matches!(refused, Err(Error::Sealed)), "{refused:?}");
    advises(refused, "open and unlock it again");
}

#[test]
fn a_vault_that_is_open_elsewhere_is_in_use() {
    let ward = Ward::new();
    let refused = ward.clinic.store().unwrap().open_vault(Options::new());
    assert!(matches!(refused, Err(Error::InUse { .. })), "{refused:?}");
    advises(refused, "close it there first");
}

#[test]
fn a_vault_is_not_created_over_another() {
    let ward = Ward::new();
    let refused = ward.clinic.store().unwrap().create_vault().raw_key(ward.clinic.key()).finish().map(drop);
    assert!(matches!(refused, Err(Error::NotEmpty { .. })), "{refused:?}");
    advises(refused, "open the vault in it, or create one elsewhere");
}

#[test]
fn an_empty_directory_is_no_vault() {
    let dir = tempfile::tempdir().unwrap();
    let refused = Vault::open(dir.path());
    assert!(matches!(refused, Err(Error::Header(HeaderFileError::NotAVault { .. }))), "{refused:?}");
    advises(refused, "check the path");
}

#[test]
fn a_header_copy_that_cannot_be_read_or_written_is_named() {
    let (house, vault) = support::House::create();
    drop(vault);
    let path = house.path().join("header.b");
    fs::remove_file(&path).unwrap();
    fs::create_dir(&path).unwrap();
    let refused = house.open_at(&house.path()).map(drop);
    assert!(matches!(refused, Err(Error::Header(HeaderFileError::Io { .. }))), "{refused:?}");
    advises(refused, "check the disk and the permissions");
}

#[test]
fn a_wrong_key_unlocks_nothing() {
    let (_, store) = with_passphrase(PASSPHRASE);
    let refused = store.open_vault(Options::new()).unwrap().unlock(&RawKey::generate().unwrap()).map(drop);
    assert!(matches!(refused, Err(Error::Unlock(UnlockError::WrongCredential))), "{refused:?}");
    advises(refused, "check it and try again");
    let refused = store.open_vault(Options::new()).unwrap().unlock(&Passphrase::new("")).map(drop);
    assert!(matches!(refused, Err(Error::Unlock(UnlockError::EmptyPassphrase))), "{refused:?}");
    advises(refused, "type it in");
}

#[test]
fn an_empty_passphrase_makes_no_slot() {
    let empty = Passphrase::new("");
    let refused = MemoryStore::new().create_vault().passphrase(&empty).finish().map(drop);
    assert!(matches!(refused, Err(Error::Slot(NewSlotError::EmptyPassphrase))), "{refused:?}");
    advises(refused, "choose one");
}

#[test]
fn a_slot_that_is_not_there_and_the_last_one_are_named() {
    let ward = Ward::new();
    let (vault, key) = (ward.clinic.vault(), ward.clinic.key());
    let refused = vault.remove_slot(77, key);
    assert!(matches!(refused, Err(Error::NoSuchSlot { slot: 77 })), "{refused:?}");
    advises(refused, "list its slots");
    vault.remove_slot(1, key).unwrap();
    let refused = vault.remove_slot(0, key);
    assert!(matches!(refused, Err(Error::LastSlot { slot: 0 })), "{refused:?}");
    advises(refused, "add another one before");
}

#[test]
fn keys_are_rotated_by_one_call_at_a_time() {
    let ward = Ward::new();
    let (vault, key) = (ward.clinic.vault(), ward.clinic.key());
    let mut second = None;
    vault.rotate_wrap_key(key, &mut |_| second = Some(vault.rotate_wrap_key(key, &mut |_| ()))).unwrap();
    let refused = second.unwrap();
    assert!(matches!(refused, Err(Error::RotationUnderWay)), "{refused:?}");
    advises(refused, "wait until it has ended");
}

#[test]
fn a_credential_that_needs_a_partner_is_told_whose() {
    let ward = Ward::new();
    let (chief, safe) = (Passphrase::new(PASSPHRASE), RawKey::generate().unwrap());
    let both = TwoPersons::new(&chief, &safe);
    let new = NewSlot::of(&both).partners("chief", "safe").kdf(PassphraseCost::MINIMUM);
    ward.clinic.vault().add_slot(new, ward.clinic.key()).unwrap();
    let refused = ward.clinic.vault().remove_slot(0, &chief);
    assert!(matches!(refused, Err(Error::NeedsPartner { .. })), "{refused:?}");
    advises(refused, "bring that of safe as well");
}

#[test]
fn a_header_that_is_elsewhere_is_looked_for() {
    let dir = tempfile::tempdir().unwrap();
    let (path, stick) = (dir.path().join("vault"), dir.path().join("stick"));
    let key = RawKey::generate().unwrap();
    Vault::create(&path).raw_key(&key).detached_header(&stick).finish().unwrap().0.close().unwrap();
    let refused = Vault::open(&path).map(drop);
    assert!(matches!(refused, Err(Error::Header(HeaderFileError::Elsewhere { .. }))), "{refused:?}");
    advises(refused, "say where, with Options::header");
}

#[test]
fn a_vault_without_a_credential_is_not_created() {
    let refused = MemoryStore::new().create_vault().finish().map(drop);
    assert!(matches!(refused, Err(Error::NoCredential)), "{refused:?}");
    advises(refused, "give a passphrase or a raw key");
}

#[test]
fn a_window_for_reads_has_bounds() {
    let ward = Ward::new();
    let delay = Duration::from_millis(50);
    for (delay, entries) in [(Duration::ZERO, 1), (Duration::from_secs(61), 1), (delay, 0), (delay, 10_001)] {
        let window = ReadAudit::Windowed { delay, entries };
        let refused = ward.clinic.vault().set_read_audit(window, ward.clinic.key());
        assert!(matches!(refused, Err(Error::ReadAudit(_))), "{refused:?}");
        advises(refused, "choose another");
    }
    let window = ReadAudit::Windowed { delay, entries: 10_001 };
    let refused = ward.clinic.vault().set_read_audit(window, ward.clinic.key());
    assert!(matches!(refused, Err(Error::ReadAudit(ReadAuditOutOfBounds::Entries(10_001)))), "{refused:?}");
    advises(refused, "1 to 10,000");
}

#[test]
fn a_file_where_the_vault_should_be_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a file");
    fs::write(&path, "in the way").unwrap();
    let key = RawKey::generate().unwrap();
    let refused = Vault::create(&path).raw_key(&key).finish().map(drop);
    assert!(matches!(&refused, Err(Error::Io { path: named, .. }) if *named == path), "{refused:?}");
    advises(refused, "check the disk and the permissions");
}

/// A closed vault that opens with a passphrase and a raw key.
pub fn with_passphrase(passphrase: &str) -> (RawKey, MemoryStore) {
    let (key, store) = (RawKey::generate().unwrap(), MemoryStore::new());
    let passphrase = Passphrase::new(passphrase);
    let new = store.create_vault().passphrase(&passphrase).passphrase_cost(PassphraseCost::MINIMUM).raw_key(&key);
    new.finish().unwrap().0.close().unwrap();
    (key, store)
}

#[test]
fn a_salvaged_vault_that_is_in_doubt_says_so_and_takes_no_writes() {
    let dir = tempfile::tempdir().unwrap();
    let (damaged, into) = (dir.path().join("damaged"), dir.path().join("salvaged"));
    let (key, issuer) = (RawKey::generate().unwrap(), IssuerKey::generate().unwrap());
    let (vault, _) = Vault::create(&damaged).raw_key(&key).options(support::small()).finish().unwrap();
    vault.trust_issuer(issuer.public(), &key).unwrap();
    let grant = support::everything();
    let token = grant.sign(&issuer, vault.id()).unwrap();
    let patient = vault.session(&token, Purpose::Treatment).unwrap().register_patient([mrn()]).unwrap();
    drop(vault);
    // The last frame, and nobody can say what came after it.
    let segment = damaged.join("journal/0000000001.cvj");
    let mut bytes = fs::read(&segment).unwrap();
    let last = bytes.windows(8).rposition(|word| word == b"CVF1-END").unwrap();
    bytes[last - 1] ^= 1;
    fs::write(&segment, bytes).unwrap();
    Vault::open(&damaged).unwrap().salvage(&key, &into).unwrap();
    let vault = Vault::open(&into).unwrap().unlock(&key).unwrap();
    let refused = vault.session(&token, Purpose::Treatment);
    assert!(matches!(refused, Err(Error::Doubtful { .. })), "{refused:?}");
    advises(refused, "open the session with accept_doubtful");
    let session = vault.session_with(&token, Purpose::Treatment).accept_doubtful().open().unwrap();
    let refused = session.put(patient, &note(TEXT));
    assert!(matches!(refused, Err(Error::DoubtfulReadOnly { .. })), "{refused:?}");
    advises(refused, "go on in a new vault");
}

#[test]
fn a_compartment_takes_its_name_and_its_kinds_for_good() {
    let ward = Ward::new();
    let (vault, key) = (ward.clinic.vault(), ward.clinic.key());
    let kind = || Kind::new("psychotherapy-note").unwrap();
    let refused = vault.create_compartment(Compartment::PSYCHOTHERAPY, [Kind::of::<Note>()], key);
    assert!(matches!(refused, Err(Error::KindInUse { .. })), "{refused:?}");
    advises(refused, "use a new kind");
    vault.create_compartment(Compartment::PSYCHOTHERAPY, [kind()], key).unwrap();
    let refused = vault.create_compartment(Compartment::PSYCHOTHERAPY, [Kind::new("other").unwrap()], key);
    assert!(matches!(refused, Err(Error::CompartmentExists { .. })), "{refused:?}");
    advises(refused, "give another name");
}
