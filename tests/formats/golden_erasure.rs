//! A vault in which somebody was erased and somebody else is to be kept, with its ledger, kept in the repository: every later
//! version must open it, know nothing more of who was erased, and take in the ledger.
//!
//! In `tests/golden/erasure`: `before.zst`, the vault before the erasure, and `vault.zst`, after it, packed as tests/formats/golden.rs
//! says; `ledger.bin`. When a format changes, keep them, and write new ones beside them with
//! `cargo test --test formats golden_erasure::write_a_new_golden_vault -- --ignored`.

use crate::support;

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use chartvault::*;
use support::{HandClock, everything, files_in, golden, note, small, verify, whole_log};

fn home() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/erasure")
}

fn key() -> RawKey {
    RawKey::from_bytes([0x47; 32])
}

fn mrn(value: &str) -> Identifier {
    Identifier::new("urn:mrn:golden", value).unwrap()
}

fn opened(path: &Path, clock: &Arc<HandClock>) -> (Vault, Session) {
    let vault = Vault::open_with(path, small().clock(clock.clone())).unwrap().unlock(&key()).unwrap();
    let session = session(&vault, clock);
    (vault, session)
}

fn session(vault: &Vault, clock: &HandClock) -> Session {
    let issuer = IssuerKey::from_secret_bytes(&[0x69; 32]);
    let token = everything().issued_at(clock.now()).sign(&issuer, vault.id()).unwrap();
    vault.session(token, Purpose::Treatment).unwrap()
}

#[test]
#[ignore = "writes tests/golden/erasure anew; only for a new version of the formats"]
fn write_a_new_golden_vault() {
    let (dir, clock) = (tempfile::tempdir().unwrap(), HandClock::new());
    let (path, raw_key) = (dir.path().join("vault"), key());
    let new = Vault::create(&path).raw_key(&raw_key).suite(Suite::ChaCha20Poly1305);
    let (vault, _) = new.options(small().clock(clock.clone())).finish().unwrap();
    vault.trust_issuer(IssuerKey::from_secret_bytes(&[0x69; 32]).public(), &key()).unwrap();
    let s = session(&vault, &clock);
    let ama = s.register_patient([mrn("1")]).unwrap();
    let ben = s.register_patient([mrn("2")]).unwrap();
    s.put(ama, &note("of ama")).unwrap();
    let held = s.put(ben, &note("of ben")).unwrap();
    s.retain_until(ben, Some("2056-01-01T00:00:00Z".parse().unwrap()), "30 years").unwrap();
    s.place_legal_hold(held, "case 17").unwrap();
    vault.close().unwrap();
    fs::create_dir_all(home()).unwrap();
    golden::pack(&path, &files_in(&path), &home().join("before.zst"));
    clock.step(60);
    let (vault, s) = opened(&path, &clock);
    let order = ErasureOrder::new("the patient asked", "GDPR 17(1)(b)");
    vault.erase_patient(&s, ama, &order, &key(), &mut |_| ()).unwrap();
    fs::write(home().join("ledger.bin"), vault.export_erasures().unwrap().as_bytes()).unwrap();
    vault.close().unwrap();
    golden::pack(&path, &files_in(&path), &home().join("vault.zst"));
}

/// A golden vault in a directory of its own, a day later.
fn unpacked(name: &str) -> (tempfile::TempDir, PathBuf, Arc<HandClock>) {
    let (dir, clock) = (tempfile::tempdir().unwrap(), HandClock::new());
    let path = dir.path().join("vault");
    golden::unpack_from(&home().join(name), &path);
    clock.step(86_400);
    (dir, path, clock)
}

/// Nobody is left of whom was erased, and the other patient is kept.
fn holds(vault: &Vault, session: &Session) {
    assert_eq!(session.find_patient(&mrn("1")).unwrap(), None);
    let ben = session.find_patient(&mrn("2")).unwrap().unwrap();
    let found = session.retention(ben).unwrap();
    assert_eq!(found.chart.retain_until, Some("2056-01-01T00:00:00Z".parse().unwrap()));
    let [(record, terms)] = &found.records[..] else { panic!("{found:?}") };
    assert_eq!((record.number(), terms.legal_hold.as_ref().unwrap().reason.as_str()), (1, "case 17"));
    let notes = session.list::<support::Note>(ben).page().unwrap().entries;
    assert_eq!(notes.iter().map(|entry| entry.value.text.as_str()).collect::<Vec<_>>(), ["of ben"]);
    let [erasure] = &vault.erasures().unwrap()[..] else { panic!() };
    assert_eq!((erasure.begun, erasure.by), ("2026-01-05T12:01:00Z".parse().unwrap(), Some(session.principal())));
    assert_eq!((erasure.reason.as_str(), erasure.legal_ground.as_str()), ("the patient asked", "GDPR 17(1)(b)"));
    assert!(erasure.finished.is_some());
    assert!(vault.check(CheckScope::All, &mut |_| ()).unwrap().is_sound());
    verify(session);
}

#[test]
fn an_erasure_of_version_1_is_one_still() {
    let (_dir, path, clock) = unpacked("vault.zst");
    let (vault, session) = opened(&path, &clock);
    assert!(vault.opening().clean, "{}", vault.opening());
    holds(&vault, &session);
    let log = whole_log(&session);
    let closed = log.iter().flat_map(|entry| &entry.subjects).filter(|of| of.patient.is_none()).count();
    assert_eq!(closed as u64, vault.erasures().unwrap()[0].log_entries);
}

#[test]
fn a_ledger_of_version_1_is_taken_in() {
    let ledger = ErasureLedger::from_bytes(&fs::read(home().join("ledger.bin")).unwrap()).unwrap();
    let (_dir, path, clock) = unpacked("before.zst");
    let (vault, session) = opened(&path, &clock);
    assert!(session.find_patient(&mrn("1")).unwrap().is_some());
    let replayed = vault.replay_erasures(&ledger, &key(), &mut |_| ()).unwrap();
    assert_eq!((replayed.erased, replayed.known, replayed.absent), (1, 0, 0));
    holds(&vault, &session);
}
