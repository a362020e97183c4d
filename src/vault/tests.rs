use super::*;
use crate::committer::Row;
use crate::format::keys::Tree;
use crate::keyring::{self, Keyring, NewSlot, RawKey, copies};
use crate::token::IssuerKey;
use crate::{Action, Grant, PassphraseCost, Timestamp};

/// A header with this vault's id, a newer generation, and a slot for a key of one's own: all that somebody needs who may
/// write the directory, but knows no key of the vault.
fn forged_header(vault: &Vault, key: &RawKey) -> Vec<u8> {
    let (keyring, root) = (Keyring::generate().unwrap(), keyring::new_root().unwrap());
    let new =
        NewSlot { number: 0, created: Timestamp::from_micros(0), label: "raw key", cost: PassphraseCost::MINIMUM };
    let slot = keyring::create_slot(vault.id(), vault.suite(), new, key.into(), &root).unwrap();
    keyring.new_header(vault.id(), 2, &[vault.suite()], vec![slot], &root).unwrap()
}

#[test]
fn a_header_put_there_by_somebody_else_does_not_make_an_issuer_trusted() {
    let dir = tempfile::tempdir().unwrap();
    let (key, own) = (RawKey::generate().unwrap(), RawKey::generate().unwrap());
    let (vault, _) = Vault::create(dir.path()).raw_key(&key).finish().unwrap();
    copies::write(dir.path(), &forged_header(&vault, &own)).unwrap();
    let issuer = IssuerKey::generate().unwrap();
    let trusted = vault.trust_issuer(issuer.public(), &own);
    assert!(matches!(trusted, Err(Error::Unlock(UnlockError::HeaderTampered))), "{trusted:?}");
}

#[test]
fn no_session_keeps_keys_after_it_has_ended_or_the_vault_was_closed() {
    let dir = tempfile::tempdir().unwrap();
    let key = RawKey::generate().unwrap();
    let (vault, _) = Vault::create(dir.path()).raw_key(&key).finish().unwrap();
    let issuer = IssuerKey::generate().unwrap();
    vault.trust_issuer(issuer.public(), &key).unwrap();
    let grant = Grant::to("dr.osei").all_patients().all_kinds().actions(Action::ALL.iter().copied());
    let grant = grant.purpose(Purpose::Treatment).valid_for(std::time::Duration::from_secs(60));
    let token = grant.sign(&issuer, vault.id()).unwrap();
    let sessions = [(); 2].map(|()| vault.session(&token, Purpose::Treatment).unwrap());
    let patient = sessions[0].register_patient([]).unwrap();
    for session in &sessions {
        session.kinds(patient).unwrap();
        assert!(session.holds_keys());
    }
    sessions[0].close().unwrap();
    assert!(sessions[0].kinds(patient).is_err());
    assert!(!sessions[0].holds_keys());
    vault.close().unwrap();
    assert!(!sessions[1].holds_keys());
}

/// A vault in whose journal one row is written again and again, each time in a frame of its own.
fn wasteful(dir: &Path, key: &RawKey, share: u8) -> Vault {
    let mut options = Options::new().segment_bytes(64 << 10, 64 << 10).compact_share(share);
    options.storage.compact_least = 200_000;
    let (vault, _) = Vault::create(dir).raw_key(key).options(options).finish().unwrap();
    let unlocked = vault.0.gate.enter().unwrap();
    let mut replaces = None;
    for number in 0..120_u8 {
        let mut row = Row::new(Tree::Lookup, vec![1; 32], vec![number; 4_000]);
        row.replaces = replaces;
        replaces = row.value.clone();
        unlocked.committer.commit(vec![row], Vec::new()).unwrap();
    }
    drop(unlocked);
    vault
}

#[test]
fn a_journal_full_of_what_was_overwritten_is_compacted_by_itself_and_logged() {
    let dir = tempfile::tempdir().unwrap();
    let key = RawKey::generate().unwrap();
    let vault = wasteful(dir.path(), &key, 50);
    let journal = || crate::storage::file::dir_bytes(&dir.path().join("journal"));
    let started = std::time::Instant::now();
    while journal() > 300_000 {
        assert!(started.elapsed().as_secs() < 60, "it is not compacted");
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    vault.close().unwrap();
    let vault = Vault::open(dir.path()).unwrap().unlock(&key).unwrap();
    let unlocked = vault.0.gate.enter().unwrap();
    assert_eq!(unlocked.committer.get(Tree::Lookup, &[1; 32]).unwrap().as_deref(), Some(&[119; 4_000][..]));
}

#[test]
fn a_compaction_that_was_interrupted_is_finished_and_logged_by_the_next_opening() {
    let dir = tempfile::tempdir().unwrap();
    let key = RawKey::generate().unwrap();
    let vault = wasteful(dir.path(), &key, 100);
    {
        let unlocked = vault.0.gate.enter().unwrap();
        unlocked.committer.storage().compact(&mut |_| (), &|| true).unwrap().unwrap();
    }
    let before = vault.0.gate.enter().unwrap().committer.storage().head().entries;
    drop(vault);
    let vault = Vault::open(dir.path()).unwrap().unlock(&key).unwrap();
    // After an unclean end: recovered, compacted, opened.
    let after = vault.0.gate.enter().unwrap().committer.storage().head().entries;
    assert_eq!(after - before, 3);
    assert_eq!(vault.compact().unwrap(), None);
}
