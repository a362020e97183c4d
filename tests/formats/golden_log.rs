//! A log kept in the repository: with tiles, two closed signing epochs and an anchor. Every later version must open it, find it
//! sound, prove what is in it, and check the bundle that was written from it.
//!
//! In `tests/golden/log`: `vault.zst`, packed as tests/formats/golden.rs says; `anchored.note`, what the anchor holds; `kept.note`, a
//! checkpoint of the first day; `pinned.key`, the log's key of that day; and `log.bundle`. When a format changes, keep them, and
//! write new ones beside them with `cargo test --test formats golden_log::write_a_new_golden_log -- --ignored`.

use crate::support;

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use chartvault::*;
use chartvault_verify::bundle::{BundleFault, Report, Trust, Verdict, verify_bundle};
use chartvault_verify::merkle::{verify_consistency, verify_inclusion};
use chartvault_verify::note::{self, Note as SignedNote, VerifierKey};
use support::{HandClock, everything, files_in, golden, small};

/// Entries of the bundle, over the border of two tiles; the key of one of them is given out.
const BUNDLED: std::ops::Range<u64> = 250..262;
const DISCLOSED: u64 = 256;

fn home() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/log")
}

fn text(name: &str) -> String {
    fs::read_to_string(home().join(name)).unwrap()
}

fn raw_key() -> RawKey {
    RawKey::from_bytes([0x47; 32])
}

fn session(vault: &Vault, clock: &HandClock) -> Session {
    let issuer = IssuerKey::from_secret_bytes(&[0x69; 32]);
    let token = everything().issued_at(clock.now()).sign(&issuer, vault.id()).unwrap();
    vault.session(token, Purpose::Treatment).unwrap()
}

fn ask(session: &Session, times: usize) {
    (0..times).for_each(|_| drop(session.audit().unwrap().query(AuditFilter::new()).limit(1).page().unwrap()));
}

fn anchored(dir: &Path, clock: &Arc<HandClock>) -> (FileAnchor, Options) {
    let anchor = FileAnchor::new("second disk", dir);
    let options = small().clock(clock.clone()).anchor(Arc::new(anchor.clone()), AnchorPolicy::default());
    (anchor, options)
}

#[test]
#[ignore = "writes tests/golden/log anew; only for a new version of the formats"]
fn write_a_new_golden_log() {
    let (dir, disk, clock) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap(), HandClock::new());
    let (path, (anchor, options)) = (dir.path().join("vault"), anchored(disk.path(), &clock));
    let (vault, _) = Vault::create(&path).raw_key(&raw_key()).options(options).finish().unwrap();
    vault.trust_issuer(IssuerKey::from_secret_bytes(&[0x69; 32]).public(), &raw_key()).unwrap();
    let pinned = vault.log_vkey().unwrap();
    ask(&session(&vault, &clock), 100);
    let kept = vault.log_checkpoint().unwrap();
    vault.close().unwrap();
    let open = || Vault::open_with(&path, anchored(disk.path(), &clock).1).unwrap().unlock(&raw_key()).unwrap();
    let vault = open();
    ask(&session(&vault, &clock), 170);
    vault.close().unwrap();
    let vault = open();
    let auditor = session(&vault, &clock);
    let mut bundle = Vec::new();
    let asked = auditor.audit().unwrap().bundle(BUNDLED).since(&kept).disclosing(DISCLOSED, "golden");
    asked.write(&mut bundle).unwrap();
    let id = vault.id();
    vault.close().unwrap();

    fs::create_dir_all(home()).unwrap();
    golden::pack(&path, &files_in(&path), &home().join("vault.zst"));
    fs::copy(anchor.path_of(id), home().join("anchored.note")).unwrap();
    fs::write(home().join("kept.note"), kept.note).unwrap();
    fs::write(home().join("pinned.key"), pinned + "\n").unwrap();
    fs::write(home().join("log.bundle"), bundle).unwrap();
}

struct Kept {
    _dirs: (tempfile::TempDir, tempfile::TempDir),
    path: PathBuf,
    disk: PathBuf,
    clock: Arc<HandClock>,
}

/// The golden vault in a directory of its own, and what its anchor holds in another.
fn unpacked() -> Kept {
    let (dir, disk, clock) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap(), HandClock::new());
    let path = dir.path().join("vault");
    golden::unpack_from(&home().join("vault.zst"), &path);
    let vault = Vault::open(&path).unwrap().id().unwrap();
    fs::copy(home().join("anchored.note"), FileAnchor::new("x", disk.path()).path_of(vault)).unwrap();
    clock.step(86_400);
    Kept { path, disk: disk.path().to_owned(), _dirs: (dir, disk), clock }
}

impl Kept {
    fn open(&self) -> Vault {
        let options = anchored(&self.disk, &self.clock).1;
        Vault::open_with(&self.path, options).unwrap().unlock(&raw_key()).unwrap()
    }
}

fn pinned() -> VerifierKey {
    text("pinned.key").trim().parse().unwrap()
}

/// What the anchor holds, and the checkpoint of the first day.
fn checkpoints() -> [Checkpoint; 2] {
    ["anchored.note", "kept.note"].map(|name| text(name).parse().unwrap())
}

fn check(bundle: &[u8], kept: &Checkpoint) -> Report {
    verify_bundle(bundle, &Trust::keys([pinned()]).and_checkpoint(&*kept.note)).unwrap()
}

#[test]
fn the_golden_log_opens_is_sound_and_still_is_what_its_anchor_holds() {
    let kept = unpacked();
    let vault = kept.open();
    assert!(vault.opening().clean && vault.opening().rebuilt.is_none(), "{}", vault.opening());
    assert_eq!(vault.opening().signing_epoch, 4);
    let auditor = session(&vault, &kept.clock);
    let report = auditor.audit().unwrap().verify(Scope::All).report().unwrap();
    assert!(report.is_sound(), "{report}");
    let keys = vault.log_keys().unwrap().collect::<Result<Vec<_>, _>>().unwrap();
    assert_eq!(keys[0].vkey, pinned().to_string());
    assert_eq!(keys.iter().filter(|key| key.final_checkpoint.is_some()).count(), 3);
    let checked = vault.check(CheckScope::All, &mut |_| ()).unwrap();
    assert!(checked.is_sound() && checked.total() == 0, "{checked}");
}

#[test]
fn the_golden_log_proves_its_entries_under_its_old_checkpoints() {
    let kept = unpacked();
    let vault = kept.open();
    let auditor = session(&vault, &kept.clock);
    let [newer, older] = checkpoints();
    for under in [&newer, &older] {
        for seq in [0, 1, 99, under.size - 1] {
            let proof = auditor.audit().unwrap().prove(seq, under).unwrap();
            assert_eq!(verify_inclusion(&proof.leaf, seq, under.size, &proof.hashes, &under.root), Ok(()));
        }
    }
    let proof = auditor.audit().unwrap().prove_consistency(&older, &newer).unwrap();
    let (old, new) = ((older.size, &older.root), (newer.size, &newer.root));
    assert_eq!(verify_consistency(old, new, &proof.hashes), Ok(()));
    let mut bundle = Vec::new();
    auditor.audit().unwrap().bundle(BUNDLED).since(&older).write(&mut bundle).unwrap();
    let report = check(&bundle, &older);
    assert!(report.integrity.is_sound() && report.completeness.is_sound() && report.freshness.is_sound(), "{report}");
}

#[test]
fn the_golden_bundle_is_sound_to_somebody_without_the_vault_and_no_changed_one_is() {
    let bundle = fs::read(home().join("log.bundle")).unwrap();
    let [newer, older] = checkpoints();
    let report = check(&bundle, &older);
    assert!(report.integrity.is_sound() && report.completeness.is_sound() && report.freshness.is_sound(), "{report}");
    assert_eq!((report.first, report.entries), (BUNDLED.start, BUNDLED.end - BUNDLED.start));
    let [disclosed] = &report.disclosed[..] else { panic!("{report}") };
    assert_eq!((disclosed.seq, disclosed.field(2)), (DISCLOSED, Some(&[1][..])));
    // The anchor went on since.
    let stale = BundleFault::Stale { anchored: newer.size, size: report.checkpoint.unwrap().size };
    assert_eq!(check(&bundle, &newer).freshness, Verdict::Unsound(vec![stale]));
    for at in (0..bundle.len()).step_by(97) {
        let mut changed = bundle.clone();
        changed[at] ^= 1;
        let Ok(report) = verify_bundle(&changed[..], &Trust::keys([pinned()])) else { continue };
        assert!(!report.integrity.is_sound(), "byte {at}: {report}");
    }
}

#[test]
fn the_notes_of_the_golden_log_are_signed_by_the_keys_that_follow_from_the_pinned_one() {
    let [newer, older] = checkpoints();
    let signed: SignedNote = older.note.parse().unwrap();
    assert!(signed.verify(&[pinned()]).is_ok());
    let newest: SignedNote = newer.note.parse().unwrap();
    assert!(newest.verify(&[pinned()]).is_err(), "a later epoch's key signed it");
    let body: note::Checkpoint = newest.text().parse().unwrap();
    assert!(body.size == newer.size && body.extension("next-key").is_some_and(|next| next.starts_with("4 ")));
}

/// The oldest golden vault is of before there were tiles, signing epochs and anchors.
#[test]
fn the_oldest_golden_vault_gets_a_tree_and_proves_its_entries() {
    let (dir, clock) = (tempfile::tempdir().unwrap(), HandClock::new());
    let path = dir.path().join("vault");
    golden::unpack(&path);
    clock.step(86_400);
    let open = || Vault::open_with(&path, small().clock(clock.clone())).unwrap().unlock(&raw_key()).unwrap();
    let vault = open();
    let auditor = session(&vault, &clock);
    let under = vault.log_checkpoint().unwrap();
    assert!(under.size > 15);
    for seq in 0..under.size {
        let proof = auditor.audit().unwrap().prove(seq, &under).unwrap();
        assert_eq!(verify_inclusion(&proof.leaf, seq, under.size, &proof.hashes, &under.root), Ok(()));
    }
    ask(&auditor, 300);
    auditor.audit().unwrap().verify(Scope::All).run().unwrap();
    vault.close().unwrap();
    drop(auditor);
    let vault = open();
    let auditor = session(&vault, &clock);
    let later = vault.log_checkpoint().unwrap();
    let proof = auditor.audit().unwrap().prove_consistency(&under, &later).unwrap();
    let (old, new) = ((under.size, &under.root), (later.size, &later.root));
    assert_eq!(verify_consistency(old, new, &proof.hashes), Ok(()));
    let checked = vault.check(CheckScope::All, &mut |_| ()).unwrap();
    assert!(checked.is_sound(), "{checked}");
}
