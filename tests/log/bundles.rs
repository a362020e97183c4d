//! Bundles of a real log, checked by the crate that knows no vault.

use chartvault::test_util::TestVault;
use chartvault::{AuditEvent, AuditFilter, Checkpoint, Error, LogProofError, Outcome, Session};
use chartvault_verify::bundle::{BundleFault, Report, Trust, Verdict, verify_bundle};
use chartvault_verify::note::VerifierKey;

/// Three signing epochs, more than two tiles of entries.
fn vault_of_three_days(dir: &std::path::Path) -> (TestVault, VerifierKey) {
    let mut clinic = TestVault::new().in_dir(dir).build().unwrap();
    let pinned = clinic.vault().log_vkey().unwrap().parse().unwrap();
    for day in 0..3 {
        let physician = clinic.physician().unwrap();
        for _ in 0..200 {
            physician.register_patient([]).unwrap();
        }
        drop(physician);
        if day < 2 {
            clinic.reopen().unwrap();
        }
    }
    (clinic, pinned)
}

fn verify(bundle: &[u8], trust: &Trust) -> Report {
    verify_bundle(bundle, trust).unwrap()
}

fn is_sound(report: &Report) -> bool {
    report.integrity.is_sound() && report.completeness.is_sound()
}

fn written(auditor: &Session, range: std::ops::Range<u64>) -> (Vec<u8>, Checkpoint) {
    let mut file = Vec::new();
    let bundled = auditor.audit().unwrap().bundle(range).write(&mut file).unwrap();
    (file, bundled.checkpoint)
}

#[test]
fn any_part_of_the_log_is_proved_by_the_key_of_its_first_day() {
    let dir = tempfile::tempdir().unwrap();
    let (clinic, pinned) = vault_of_three_days(&dir.path().join("v"));
    let (auditor, trust) = (clinic.auditor().unwrap(), Trust::keys([pinned]));
    let size = clinic.vault().log_checkpoint().unwrap().size;
    assert!(size > 600);
    for range in [0..size, 0..1, 255..258, 300..600, size - 1..size, 7..7] {
        let (file, under) = written(&auditor, range.clone());
        let report = verify(&file, &trust);
        assert!(is_sound(&report), "{range:?}: {report}");
        assert_eq!((report.first, report.entries), (range.start, range.end - range.start));
        // Somebody who kept an earlier checkpoint compares.
        let fresh = verify(&file, &trust.clone().and_checkpoint(under.note)).freshness;
        assert_eq!(fresh, Verdict::Sound);
    }
}

#[test]
fn an_earlier_checkpoint_is_a_beginning_and_a_later_one_shows_that_a_bundle_is_old() {
    let dir = tempfile::tempdir().unwrap();
    let (clinic, pinned) = vault_of_three_days(&dir.path().join("v"));
    let (auditor, trust) = (clinic.auditor().unwrap(), Trust::keys([pinned]));
    let kept = clinic.vault().log_checkpoint().unwrap();
    let (old, _) = written(&auditor, 0..10);
    clinic.physician().unwrap().register_patient([]).unwrap();
    let mut file = Vec::new();
    drop(auditor.audit().unwrap().bundle(600..610).since(&kept).write(&mut file).unwrap());
    let report = verify(&file, &trust.clone().and_checkpoint(kept.note.clone()));
    assert!(is_sound(&report) && report.freshness.is_sound(), "{report}");
    let newest = clinic.vault().log_checkpoint().unwrap();
    let stale = verify(&old, &trust.clone().and_checkpoint(newest.note)).freshness;
    assert!(matches!(&stale, Verdict::Unsound(faults) if matches!(faults[..], [BundleFault::Stale { .. }])), "{stale}");
    // Under the one that was kept, nothing that came later can be proved.
    let mut file = Vec::new();
    drop(auditor.audit().unwrap().bundle(0..kept.size).under(&kept).write(&mut file).unwrap());
    assert!(is_sound(&verify(&file, &trust)));
    let refused = auditor.audit().unwrap().bundle(0..kept.size + 1).under(&kept).write(&mut file);
    assert!(matches!(refused, Err(Error::LogProof(LogProofError::NoSuchEntry { .. }))), "{refused:?}");
}

#[test]
fn a_key_opens_its_entry_and_the_log_says_that_it_was_given_out_and_why() {
    let clinic = TestVault::new().build().unwrap();
    let auditor = clinic.auditor().unwrap();
    let pinned = clinic.vault().log_vkey().unwrap().parse().unwrap();
    let denied = auditor.register_patient([]).map(drop).unwrap_err();
    assert!(matches!(denied, Error::Denied { .. }), "{denied}");
    let page = auditor.audit().unwrap().query(AuditFilter::new().outcome(Outcome::Denied)).page().unwrap();
    let seq = page.entries[0].seq;
    let mut file = Vec::new();
    for blank in ["", "  "] {
        let refused = auditor.audit().unwrap().bundle(0..seq + 1).disclosing(seq, blank).write(&mut file);
        assert!(matches!(refused, Err(Error::InvalidText { what: "reason", .. })), "{refused:?}");
    }
    let elsewhere = auditor.audit().unwrap().bundle(0..seq).disclosing(seq, "why not").write(&mut file);
    assert!(matches!(elsewhere, Err(Error::LogProof(LogProofError::NoSuchEntry { .. }))), "{elsewhere:?}");
    assert!(file.is_empty(), "nothing is written before all is decided");
    drop(auditor.audit().unwrap().bundle(0..seq + 1).disclosing(seq, "complaint 12").write(&mut file).unwrap());
    let report = verify(&file, &Trust::keys([pinned]));
    assert!(is_sound(&report), "{report}");
    let [disclosed] = &report.disclosed[..] else { panic!("{report}") };
    assert_eq!((disclosed.seq, disclosed.event(), disclosed.field(2)), (seq, Some(30), Some(&[2][..])));
    let told = auditor.audit().unwrap().query(AuditFilter::new().event(AuditEvent::EntryDisclosed)).page().unwrap();
    let detail =
        told.entries.iter().find(|entry| entry.outcome == Outcome::Allowed).and_then(|entry| entry.detail.clone());
    assert!(detail.unwrap().ends_with(&format!("with the keys of {seq}: complaint 12")));
}

#[test]
fn a_file_that_cannot_be_written_is_an_error_and_stands_in_the_log() {
    struct Full;
    impl std::io::Write for Full {
        fn write(&mut self, _: &[u8]) -> std::io::Result<usize> {
            Err(std::io::ErrorKind::StorageFull.into())
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    let clinic = TestVault::new().build().unwrap();
    let auditor = clinic.auditor().unwrap();
    let refused = auditor.audit().unwrap().bundle(0..1).write(&mut Full);
    assert!(matches!(&refused, Err(Error::Output(_))), "{refused:?}");
    let page = auditor.audit().unwrap().query(AuditFilter::new().event(AuditEvent::LogExported)).page().unwrap();
    assert_eq!(page.entries.len(), 1, "it may have been read up to there");
}

#[test]
fn whoever_may_not_audit_gets_no_bundle() {
    let clinic = TestVault::new().build().unwrap();
    let physician = clinic.physician().unwrap();
    assert!(matches!(physician.audit().map(drop), Err(Error::Denied { .. })));
}

/// The lines of docs/audit.md, as an auditor would run them.
#[test]
fn the_few_lines_for_checking_by_hand_do_what_the_page_says() {
    let page = include_str!("../../docs/audit.md");
    let script = page.split_once("```python\n").unwrap().1.split_once("```").unwrap().0;
    let dir = tempfile::tempdir().unwrap();
    let (clinic, _) = vault_of_three_days(&dir.path().join("v"));
    let size = clinic.vault().log_checkpoint().unwrap().size;
    let mut file = Vec::new();
    let under = clinic.vault().log_checkpoint().unwrap();
    drop(clinic.auditor().unwrap().audit().unwrap().bundle(0..size).under(&under).write(&mut file).unwrap());
    let path = dir.path().join("log.bundle");
    let check = |bytes: &[u8]| {
        std::fs::write(&path, bytes).unwrap();
        std::process::Command::new("python3").args(["-c", script]).arg(&path).output()
    };
    let Ok(checked) = check(&file) else {
        println!("Python is not there: skipped");
        return;
    };
    let said = String::from_utf8_lossy(&checked.stdout);
    let complaint = String::from_utf8_lossy(&checked.stderr);
    assert!(said.starts_with(&format!("{size} entries are those of the checkpoint")), "{said}{complaint}");
    let middle = file.len() / 2;
    file[middle] ^= 1;
    assert!(!check(&file).unwrap().status.success());
}
