//! Compaction, as whoever keeps a vault meets it: less room, the same charts, the same log, and an entry.

use crate::support;

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use chartvault::test_util::{Fault, FileOp};
use chartvault::*;
use support::{House, files_in, note, verify, whole_log};

#[test]
fn a_compacted_vault_holds_the_same_charts_and_the_same_log() {
    let (house, vault) = House::create();
    let s = house.session(&vault);
    let ama = s.register_patient([]).unwrap();
    let scan: Vec<u8> = (0..9_000_u32).map(|at| (at % 251) as u8).collect();
    let kind = Kind::new("DocumentReference").unwrap();
    let mut ids = Vec::new();
    for number in 0..40 {
        ids.push(s.put(ama, &note(&format!("note {number}"))).unwrap());
        s.put_verbatim(ama, &kind, &scan, PutOptions::new()).unwrap();
    }
    for id in &ids[..20] {
        s.amend(*id, Version::FIRST, &note("amended")).unwrap();
    }
    let before = whole_log(&s);
    let mut steps = 0;
    let compaction = vault.compact_with(&mut |progress| steps += usize::from(progress.task == Task::Compact)).unwrap();
    let compaction = compaction.expect("segments were closed");
    assert!(steps > 0 && compaction.bytes_after < compaction.bytes_before, "{compaction:?}");
    assert!(files_in(&house.path()).iter().any(|path| path.to_string_lossy().contains("base-")));
    assert!(!house.path().join("journal/0000000001.cvj").exists());
    assert_eq!(vault.compact().unwrap(), None);

    for crash in [true, false] {
        let check = |vault: &Vault| {
            let s = house.session(vault);
            for (number, id) in ids.iter().enumerate() {
                let entry = s.get(*id).unwrap();
                let text = if number < 20 { "amended".to_owned() } else { format!("note {number}") };
                assert_eq!(entry.value.text, text);
            }
            verify(&s);
            let log = whole_log(&s);
            let words = |entry: &AuditEntry| (entry.seq, entry.time, entry.event, entry.subjects.len());
            assert!(log.iter().zip(&before).all(|(now, then)| words(now) == words(then)));
            assert_eq!(log.iter().filter(|entry| entry.event == AuditEvent::JournalCompacted).count(), 1);
        };
        check(&vault);
        if crash {
            // The trees are lost as well: the base is all there is of the closed segments.
            let copy = tempfile::tempdir().unwrap();
            support::copy_dir(&house.path(), copy.path());
            std::fs::remove_dir_all(copy.path().join("sled-1")).unwrap();
            let again = house.open_at(copy.path()).unwrap();
            assert!(again.opening().rebuilt.is_some());
            check(&again);
        }
    }
    vault.close().unwrap();
    assert!(matches!(vault.compact(), Err(Error::Sealed)));
}

#[test]
fn a_compaction_that_was_interrupted_before_its_entry_is_never_finished_without_one() {
    let (house, vault) = House::create();
    let s = house.session(&vault);
    let ama = s.register_patient([]).unwrap();
    let kind = Kind::new("DocumentReference").unwrap();
    for _ in 0..10 {
        s.put_verbatim(ama, &kind, &[7; 9_000], PutOptions::new()).unwrap();
    }
    let bases = |path: &Path| {
        let is_base = |file: &&PathBuf| file.to_string_lossy().contains("base-");
        files_in(path).iter().filter(is_base).count()
    };
    // The entry's own write fails: the base is in place, and what it covers as well.
    let interrupted = (0..)
        .find_map(|passing| {
            let copy = tempfile::tempdir().unwrap();
            support::copy_dir(&house.path(), copy.path());
            let vault = house.open_at(copy.path()).unwrap();
            let fault = Fault::on(FileOp::Write, ErrorKind::Other).after(passing);
            let done = vault.compact();
            drop(fault);
            assert!(done.is_err(), "no write of the compaction left the base without its entry");
            (bases(copy.path()) == 1).then_some(copy)
        })
        .unwrap();
    for passing in 0.. {
        let copy = tempfile::tempdir().unwrap();
        support::copy_dir(interrupted.path(), copy.path());
        let fault = Fault::on(FileOp::Write, ErrorKind::Other).after(passing);
        let opened = house.open_at(copy.path()).map(drop);
        let failed = fault.hits() > 0;
        drop(fault);
        let vault = house.open_at(copy.path()).unwrap();
        let log = whole_log(&house.session(&vault));
        assert_eq!(bases(copy.path()), 1);
        assert!(log.iter().any(|entry| entry.event == AuditEvent::JournalCompacted), "write {passing}: {opened:?}");
        if !failed {
            break;
        }
    }
}

/// The limit is a process's own: what was written under one is read under any other, also out of a base, and by trees that
/// are brought up to date after a crash or built anew.
#[test]
fn values_are_read_wherever_an_inline_limit_put_them() {
    let (house, vault) = House::create();
    let ama = house.session(&vault).register_patient([]).unwrap();
    vault.close().unwrap();
    let open = |limit| Vault::open_with(house.path(), house.options().inline_limit(limit)).unwrap();
    let texts = || [10, 600, 5_000].map(|len| "t".repeat(len));
    let (mut ids, mut amended) = (Vec::new(), 0);
    for (limit, crash) in [(0, false), (4_096, true), (700, false), (usize::MAX, true), (0, true)] {
        let vault = open(limit).unlock(&house.key).unwrap();
        let s = house.session(&vault);
        for text in texts() {
            ids.push((s.put(ama, &note(&text)).unwrap(), text));
        }
        // Written under another limit, and superseded under this one.
        for (id, text) in ids.iter_mut().rev().skip(3).take(2) {
            let entry = s.get(*id).unwrap();
            text.push('a');
            s.amend(*id, entry.version, &note(text)).unwrap();
            amended += 1;
        }
        for _ in 0..60 {
            s.put(ama, &note(&"filler ".repeat(1_000))).unwrap();
        }
        assert!(vault.compact().unwrap().is_some(), "no segment was closed");
        if crash {
            let copy = tempfile::tempdir().unwrap();
            support::copy_dir(&house.path(), copy.path());
            for lost in [false, true] {
                if lost {
                    let trees = std::fs::read_dir(copy.path()).unwrap().map(|entry| entry.unwrap().path());
                    let trees = trees.filter(|path| path.to_string_lossy().contains("/sled-"));
                    trees.for_each(|path| std::fs::remove_dir_all(path).unwrap());
                }
                let again = house.open_at(copy.path()).unwrap();
                assert_eq!(again.opening().rebuilt.is_some(), lost);
                let s = house.session(&again);
                assert!(ids.iter().all(|(id, text)| s.get(*id).unwrap().value.text == *text));
                verify(&s);
            }
        } else {
            vault.close().unwrap();
        }
    }
    assert_eq!(amended, 8);
    let vault = open(300).unlock(&house.key).unwrap();
    assert!(vault.check(CheckScope::All, &mut |_| ()).unwrap().findings.is_empty());
    let s = house.session(&vault);
    assert!(ids.iter().all(|(id, text)| s.get(*id).unwrap().value.text == *text));
}
