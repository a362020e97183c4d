//! A vault with a key slot of every kind, kept in the repository: every later version must open it with each of them.
//!
//! In `tests/golden/slots`: `vault.zst`, packed as tests/formats/golden.rs says; `clinic.key`, its key file; `words.txt`, what is on
//! paper: the recovery key and the three shares, a line each. When a kind is added, keep them, and write the new vault
//! beside them with `cargo test --test formats golden_slots::write_a_new_golden_vault -- --ignored`.

use crate::support;

use std::fs;
use std::path::{Path, PathBuf};

use chartvault::*;
use support::{HandClock, files_in, golden, small};

const CHEAP: PassphraseCost = PassphraseCost::MINIMUM;

fn home() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/slots")
}

fn raw_key() -> RawKey {
    RawKey::from_bytes([0x47; 32])
}

fn passphrases() -> [Passphrase; 4] {
    ["golden argon", "golden pbkdf2", "golden chief", "golden deputy"].map(Passphrase::new)
}

/// Stands for a security module: turns all bits round.
struct Inverter;

impl KeyProvider for Inverter {
    fn name(&self) -> &str {
        "golden:inverter"
    }

    fn wrap(&self, _: &KeyContext, key: &[u8; 32]) -> Result<Vec<u8>, ProviderError> {
        Ok(key.iter().map(|byte| !byte).collect())
    }

    fn unwrap(&self, _: &KeyContext, wrapped: &[u8]) -> Result<RawKey, ProviderError> {
        let key: [u8; 32] = wrapped.try_into().map_err(|_| ProviderError::Garbled)?;
        Ok(RawKey::from_bytes(key.map(|byte| !byte)))
    }
}

#[test]
#[ignore = "writes tests/golden/slots anew; only for a new kind of slot"]
fn write_a_new_golden_vault() {
    let dir = tempfile::tempdir().unwrap();
    let (path, key, [argon, pbkdf2, chief, deputy]) = (dir.path().join("vault"), raw_key(), passphrases());
    fs::create_dir_all(home()).unwrap();
    let new = Vault::create(&path).raw_key(&key).options(small().clock(HandClock::new()));
    let (vault, recovery) = new.finish().unwrap();
    let add = |new: NewSlot<'_>, label: &'static str| vault.add_slot(new.label(label).kdf(CHEAP), &key).unwrap();
    add(NewSlot::of(&argon), "argon2id");
    vault.add_slot(NewSlot::of(&pbkdf2).label("pbkdf2").kdf(Pbkdf2Iterations::MINIMUM), &key).unwrap();
    let _ = fs::remove_file(home().join("clinic.key"));
    add(NewSlot::of(&KeyFile::create(home().join("clinic.key"), vault.id()).unwrap()), "key file");
    add(NewSlot::of(Credential::provider(&Inverter)), "provider");
    let (shared, shares) = SharedKey::split(2, 3).unwrap();
    add(NewSlot::of(&shared), "shares");
    add(NewSlot::of(&TwoPersons::new(&chief, &deputy)).partners("chief", "deputy"), "two persons");
    vault.close().unwrap();
    let papers = shares.iter().map(|share| share.expose_text().to_string());
    let words: Vec<String> = [recovery.expose_text().to_string()].into_iter().chain(papers).collect();
    fs::write(home().join("words.txt"), words.join("\n") + "\n").unwrap();
    golden::pack(&path, &files_in(&path), &home().join("vault.zst"));
}

#[test]
fn every_slot_of_the_golden_vault_opens() {
    let dir = tempfile::tempdir().unwrap();
    let (path, clock) = (dir.path().join("vault"), HandClock::new());
    golden::unpack_from(&home().join("vault.zst"), &path);
    clock.step(86_400);
    let words = fs::read_to_string(home().join("words.txt")).unwrap();
    let [recovery, papers @ ..] = &words.lines().collect::<Vec<_>>()[..] else { panic!("{words}") };
    let recovery: RecoveryKey = recovery.parse().unwrap();
    let shares: Vec<Share> = papers.iter().map(|paper| paper.parse().unwrap()).collect();
    let shared = SharedKey::combine(&shares[1..]).unwrap();
    // A checkout may leave it open to others.
    let key_file = KeyFile::read_shared(home().join("clinic.key")).unwrap();
    let (key, [argon, pbkdf2, chief, deputy]) = (raw_key(), passphrases());
    let both = TwoPersons::new(&deputy, &chief);
    let credentials: [Credential<'_>; 8] = [
        (&key).into(),
        (&recovery).into(),
        (&argon).into(),
        (&pbkdf2).into(),
        (&key_file).into(),
        Credential::provider(&Inverter),
        (&shared).into(),
        (&both).into(),
    ];
    for (number, credential) in (0..).zip(credentials) {
        let locked = Vault::open_with(&path, small().clock(clock.clone())).unwrap();
        let vault = locked.unlock(credential).unwrap();
        let slot = &vault.slots().unwrap()[number];
        assert_eq!((slot.kind, slot.last_used), (credential.kind(), Some(clock.now())));
        vault.close().unwrap();
    }
    let vault = Vault::open_with(&path, small().clock(clock)).unwrap().unlock(&key).unwrap();
    let listed: Vec<_> = vault.slots().unwrap().into_iter().map(|slot| (slot.number, slot.label)).collect();
    let labels = ["raw key", "recovery key", "argon2id", "pbkdf2", "key file", "provider", "shares", "two persons"];
    assert_eq!(listed, (0..).zip(labels.map(str::to_owned)).collect::<Vec<_>>());
    let slots = vault.slots().unwrap();
    assert_eq!(slots[3].kdf, Some(KdfParameters::Pbkdf2(Pbkdf2Iterations::MINIMUM)));
    assert_eq!(slots[5].provider.as_deref(), Some("golden:inverter"));
    assert_eq!(slots[6].shares.map(|group| (group.set, group.needed, group.of)), Some((shared.set(), 2, 3)));
    assert_eq!(slots[7].partners.iter().map(|partner| &*partner.label).collect::<Vec<_>>(), ["chief", "deputy"]);
}
