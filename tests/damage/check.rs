//! Checking a vault in use: what is sound is called sound, and what is wrong is found, named and counted, all of it.

use crate::support;

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use chartvault::test_util::{Stored, TestVault};
use chartvault::*;
use support::{House, Note, note, whole_log};

const SCOPES: [CheckScope; 4] = [CheckScope::Journal, CheckScope::Trees, CheckScope::Records, CheckScope::All];

fn document() -> Kind {
    Kind::new("DocumentReference").unwrap()
}

/// A clinic with a base, closed segments, amended records and values that are kept in the journal.
fn clinic() -> (House, Vault, PatientId) {
    let (house, vault) = House::create();
    let s = house.session(&vault);
    let ama = s.register_patient([Identifier::new("urn:mrn:check", "1").unwrap()]).unwrap();
    for round in 0..2 {
        for number in 0..30 {
            let id = s.put(ama, &note(&format!("note {round} {number}"))).unwrap();
            s.put_verbatim(ama, &document(), &[b'x'; 9_000], PutOptions::new()).unwrap();
            s.amend(id, Version::FIRST, &note("amended")).unwrap();
        }
        if round == 0 {
            vault.compact().unwrap().expect("segments were closed");
        }
    }
    (house, vault, ama)
}

fn check(vault: &Vault, scope: CheckScope) -> CheckReport {
    vault.check(scope, &mut |_| ()).unwrap()
}

fn flip(path: &Path, at: usize) {
    let mut bytes = fs::read(path).unwrap();
    bytes[at] ^= 0x10;
    fs::write(path, bytes).unwrap();
}

/// Where the frames of a file of the journal start, and how long they are.
fn frames(path: &Path) -> Vec<(usize, usize)> {
    let bytes = fs::read(path).unwrap();
    let (mut at, mut found) = (512, Vec::new());
    while bytes.get(at..at + 4) == Some(b"CVF1") {
        let len = u32::from_be_bytes(bytes[at + 4..at + 8].try_into().unwrap()) as usize;
        found.push((at, len));
        at += len;
    }
    found
}

/// The segments and the base, in the order of their names.
fn journal(house: &House, prefix: &str) -> Vec<PathBuf> {
    let all = support::files_in(&house.path().join("journal")).into_iter();
    all.filter(|path| path.to_str().unwrap().starts_with(prefix))
        .map(|path| house.path().join("journal").join(path))
        .collect()
}

fn file(house: &House, path: &Path, offset: usize) -> FindingPlace {
    FindingPlace::File { path: path.strip_prefix(house.path()).unwrap().to_owned(), offset: offset as u64 }
}

fn places(report: &CheckReport) -> Vec<FindingPlace> {
    report.findings.iter().map(|finding| finding.place.clone()).collect()
}

#[test]
fn a_sound_vault_is_called_sound_in_every_scope_and_the_log_says_what_was_checked() {
    let (house, vault, _) = clinic();
    for scope in SCOPES {
        let mut last: HashMap<Task, Progress> = HashMap::new();
        let report = vault
            .check(scope, &mut |progress| {
                let before = last.insert(progress.task, progress);
                assert!(before.is_none_or(|before| before.done <= progress.done), "{before:?} {progress:?}");
            })
            .unwrap();
        assert!(report.is_sound() && report.total() == 0 && report.findings.is_empty(), "{report}");
        assert!(report.to_string().ends_with("There is nothing to do."), "{report}");
        let (files, trees) = (matches!(scope, CheckScope::Journal | CheckScope::All), scope != CheckScope::Journal);
        let keys = matches!(scope, CheckScope::Records | CheckScope::All);
        assert_eq!((report.frames > 100, report.bytes > 500_000), (files, files), "{report}");
        assert_eq!((report.rows > 180, report.entries > 180), (trees, trees), "{report}");
        assert_eq!(report.records, if keys { 180 } else { 0 });
        assert!(!last.is_empty());
        for progress in last.values() {
            assert_eq!(progress.total, Some(progress.done), "{progress:?}");
        }
    }
    let log = whole_log(&house.session(&vault));
    let checks: Vec<_> = log.iter().filter(|entry| entry.event == AuditEvent::VaultChecked).collect();
    assert_eq!(checks.len(), 4);
    assert!(checks.iter().all(|entry| entry.count == Some(0) && entry.outcome == Outcome::Allowed));
    assert!(checks[3].detail.as_ref().unwrap().starts_with("everything: "), "{:?}", checks[3].detail);
    vault.close().unwrap();
    assert!(matches!(vault.check(CheckScope::All, &mut |_| ()), Err(Error::Sealed)));
}

#[test]
fn writers_and_readers_beside_a_check_are_no_findings() {
    let (house, vault, ama) = clinic();
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for writer in 0..4 {
            let (vault, house, done) = (vault.clone(), &house, &done);
            scope.spawn(move || {
                let s = house.session(&vault);
                let own = s.register_patient([]).unwrap();
                for number in 0..40 {
                    let chart = if number % 2 == 0 { own } else { ama };
                    let id = s.put(chart, &note(&format!("{writer} {number}"))).unwrap();
                    s.amend(id, Version::FIRST, &note("again")).unwrap();
                    s.put_verbatim(chart, &document(), &[b'y'; 6_000], PutOptions::new()).unwrap();
                    s.get(id).unwrap();
                    if done.load(Ordering::Relaxed) {
                        return;
                    }
                }
            });
        }
        let reports = [SCOPES.map(|scope| check(&vault, scope))];
        done.store(true, Ordering::Relaxed);
        for report in reports.iter().flatten() {
            assert!(report.total() == 0, "{report}");
        }
    });
    let report = check(&vault, CheckScope::All);
    assert!(report.total() == 0, "{report}");
}

#[test]
fn one_flipped_bit_in_an_old_frame_or_in_the_base_is_found_where_it_is() {
    for prefix in ["base-", "00"] {
        let (house, vault, ama) = clinic();
        let path = journal(&house, prefix).remove(0);
        let (at, len) = frames(&path)[1];
        for inside in [0, 9, 30, len / 2, len - 3] {
            flip(&path, at + inside);
            let report = check(&vault, CheckScope::Journal);
            assert_eq!(places(&report), [file(&house, &path, at)], "{report}");
            assert_eq!((report.grave, report.is_sound()), (1, false));
            assert!(report.to_string().contains("restore from a backup"), "{report}");
            flip(&path, at + inside);
        }
        assert_eq!(check(&vault, CheckScope::Journal).total(), 0);
        flip(&path, 40);
        assert_eq!(places(&check(&vault, CheckScope::Journal)), [file(&house, &path, 0)], "the header");
        // It goes on all the same.
        house.session(&vault).put(ama, &note("still at work")).unwrap();
    }
}

#[test]
fn every_broken_frame_is_counted_and_none_hides_the_next() {
    let (house, vault, _) = clinic();
    let mut broken = Vec::new();
    let mut files = journal(&house, "base-");
    files.extend(journal(&house, "00"));
    files.pop(); // the one that is written to
    assert!(files.len() > 2);
    for path in &files {
        for (number, (at, len)) in frames(path).into_iter().enumerate().filter(|(number, _)| number % 3 == 1) {
            flip(path, at + if number % 2 == 0 { 17 } else { len / 2 });
            broken.push(file(&house, path, at));
        }
    }
    let report = check(&vault, CheckScope::Journal);
    let mut found = places(&report);
    let by_name = |place: &FindingPlace| place.to_string();
    found.sort_by_key(by_name);
    broken.sort_by_key(by_name);
    assert_eq!(found, broken, "{report}");
    assert_eq!(report.grave, broken.len() as u64);
}

#[test]
fn bytes_behind_a_seal_and_a_missing_file_are_told() {
    let (house, vault, _) = clinic();
    let path = journal(&house, "00").remove(0);
    let (at, len) = *frames(&path).last().unwrap();
    let size = fs::metadata(&path).unwrap().len() as usize;
    assert!(at + len < size);
    flip(&path, size - 1);
    let report = check(&vault, CheckScope::Journal);
    assert_eq!(
        (places(&report), report.mendable, report.grave),
        (vec![file(&house, &path, at + len)], 1, 0),
        "{report}"
    );
    let aside = path.with_extension("aside");
    fs::rename(&path, &aside).unwrap();
    let report = check(&vault, CheckScope::Journal);
    assert_eq!(places(&report), [file(&house, &path, 0)], "{report}");
    fs::rename(&aside, &path).unwrap();
    flip(&path, size - 1);
    assert_eq!(check(&vault, CheckScope::All).total(), 0);
}

#[test]
fn a_large_value_that_rotted_is_found_by_its_record_and_by_its_frame() {
    let (house, vault, _) = clinic();
    let path = journal(&house, "00").remove(0);
    let (at, len) = frames(&path).into_iter().find(|(_, len)| *len > 9_000).unwrap();
    flip(&path, at + len / 2);
    let report = check(&vault, CheckScope::All);
    assert_eq!(report.findings[0].place, file(&house, &path, at), "{report}");
    let records: Vec<_> = report.findings[1..].iter().map(|finding| &finding.place).collect();
    let [FindingPlace::Record { record, version: Some(Version::FIRST) }] = records[..] else { panic!("{report}") };
    assert_eq!(record.kind(), document().id());
    assert_eq!(report.grave, 2, "{report}");
    assert!(matches!(house.session(&vault).get_verbatim(*record), Err(Error::Storage(StorageError::Damaged { .. }))));
    for scope in [CheckScope::Trees, CheckScope::Records] {
        // The journal is read before the trees would be built anew from it.
        let report = check(&vault, scope);
        assert_eq!(report.grave, 2, "{report}");
    }
}

#[test]
fn a_bad_copy_of_the_header_is_found_and_the_next_unlocking_mends_it() {
    for name in ["header.a", "header.b"] {
        let (house, vault, _) = clinic();
        flip(&house.path().join(name), 60);
        let report = check(&vault, CheckScope::Journal);
        assert_eq!(places(&report), [FindingPlace::File { path: name.into(), offset: 0 }], "{report}");
        assert_eq!((report.mendable, report.grave, report.is_sound()), (1, 0, false));
        assert!(report.to_string().contains("unlocking it writes both anew"), "{report}");
        vault.close().unwrap();
        let vault = house.open();
        assert_eq!(check(&vault, CheckScope::All).total(), 0);
        for name in ["header.a", "header.b"] {
            flip(&house.path().join(name), 60);
        }
        let report = check(&vault, CheckScope::Journal);
        assert_eq!(report.grave, 1, "{report}");
    }
}

#[test]
fn a_state_file_that_rotted_is_written_anew() {
    let (house, vault, _) = clinic();
    vault.checkpoint().unwrap();
    for name in ["state.a", "state.b"] {
        flip(&house.path().join(name), 300);
    }
    let report = check(&vault, CheckScope::Journal);
    assert_eq!((report.mended, report.mendable, report.grave, report.is_sound()), (2, 0, 0, true), "{report}");
    assert_eq!(check(&vault, CheckScope::Journal).total(), 0);
}

#[test]
fn trees_that_rotted_on_the_disk_are_right_after_a_check() {
    let (house, vault, ama) = clinic();
    vault.close().unwrap();
    let trees = support::files_in(&house.path()).into_iter().find(|path| path.ends_with("db")).unwrap();
    let trees = house.path().join(trees);
    let size = fs::metadata(&trees).unwrap().len() as usize;
    (size / 8..size).step_by(size / 8).for_each(|at| flip(&trees, at));
    let vault = house.open();
    let first = check(&vault, CheckScope::All);
    assert!(first.is_sound(), "{first}");
    assert!(first.mended > 0 || vault.opening().rebuilt.is_some(), "{first}");
    let second = check(&vault, CheckScope::All);
    assert!(second.total() == 0, "{second}");
    let found = house.session(&vault).find_patient(&Identifier::new("urn:mrn:check", "1").unwrap()).unwrap();
    assert_eq!(found, Some(ama));
}

/// In memory nothing stands between a check and what somebody did to the rows.
#[test]
fn what_somebody_did_to_rows_and_entries_is_named() {
    let ward = || {
        let clinic = TestVault::new().build().unwrap();
        let s = clinic.physician().unwrap();
        let mrn = Identifier::new("urn:mrn:check", "1").unwrap();
        let ids: Vec<RecordId<Note>> = {
            let ama = s.register_patient([mrn]).unwrap();
            (0..5).map(|number| s.put(ama, &note(&format!("note {number}"))).unwrap()).collect()
        };
        s.amend(ids[2], Version::FIRST, &note("amended")).unwrap();
        (clinic, ids)
    };
    let report = check(ward().0.vault(), CheckScope::All);
    assert!(report.total() == 0 && report.records == 6, "{report}");

    // Newest first: records 5, 4, 3 (versions 2 and 1), 2, 1.
    let versions = [(4, 1), (3, 1), (2, 2), (2, 1), (1, 1), (0, 1)];
    for (place, (number, version)) in versions.into_iter().enumerate() {
        for remove in [false, true] {
            let (clinic, ids) = ward();
            clinic.store().unwrap().tamper(Stored::Records, |at, bytes| {
                let last = bytes.len() - 1;
                bytes[last] ^= u8::from(at == place);
                !(remove && at == place)
            });
            let report = check(clinic.vault(), CheckScope::Records);
            let FindingPlace::Record { record, version: found } = &report.findings[0].place else { panic!("{report}") };
            assert_eq!(*record, RecordRef::from(ids[number]), "{report}");
            assert!(found.is_none_or(|found| found.number() == version), "{report}");
            assert!(report.grave >= 1 && report.grave <= 2, "{report}");
            assert!(!report.to_string().contains("note"), "{report}");
        }
    }
    for what in [Stored::Patients, Stored::Identifiers, Stored::Policy] {
        let (clinic, _) = ward();
        clinic.store().unwrap().tamper(what, |at, bytes| {
            let last = bytes.len() - 1;
            bytes[last] ^= u8::from(at == 0);
            true
        });
        let report = check(clinic.vault(), CheckScope::Records);
        assert!(report.grave > 0 && matches!(report.findings[0].place, FindingPlace::Rows { .. }), "{report}");
    }
    let (clinic, _) = ward();
    let entries = check(clinic.vault(), CheckScope::Trees).entries as usize;
    for place in 0..entries {
        for scope in [CheckScope::Trees, CheckScope::Records] {
            let (clinic, _) = ward();
            clinic.store().unwrap().tamper(Stored::Entries, |at, bytes| {
                let last = bytes.len() - 1;
                bytes[last] ^= u8::from(at == place);
                true
            });
            let report = check(clinic.vault(), scope);
            let FindingPlace::Entry { seq } = report.findings[0].place else { panic!("{report}") };
            // Without the key, the link of the entry after it tells.
            let expected = if scope == CheckScope::Records { place } else { (place + 1).min(entries - 1) };
            assert!(seq as usize == expected, "{place}: {report}");
            assert_eq!(report.grave, if scope == CheckScope::Records { report.grave } else { 1 }, "{report}");
        }
    }
}

#[test]
fn closing_the_vault_ends_a_check_early() {
    let (_house, vault, _) = clinic();
    let (begun, wait) = std::sync::mpsc::channel();
    std::thread::scope(|scope| {
        let closing = vault.clone();
        scope.spawn(move || {
            wait.recv().unwrap();
            closing.close().unwrap();
        });
        let mut told = false;
        let ended = vault.check(CheckScope::All, &mut |_| {
            if !std::mem::replace(&mut told, true) {
                begun.send(()).unwrap();
                // Closing says so before it waits.
                std::thread::sleep(Duration::from_millis(300));
            }
        });
        assert!(matches!(ended, Err(Error::Sealed)), "{ended:?}");
    });
}

/// Waits until the scrub has done what `done` looks for.
fn scrubbed(vault: &Vault, done: impl Fn(&Health) -> bool) -> Health {
    let started = std::time::Instant::now();
    loop {
        let health = vault.health();
        if done(&health) {
            return health;
        }
        assert!(started.elapsed().as_secs() < 120, "{health:?}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn the_scrub_finds_a_flipped_bit_by_itself_and_tells_it_once() {
    let (house, vault, _) = clinic();
    vault.close().unwrap();
    let reopen =
        |rate| Vault::open_with(house.path(), house.options().scrub_rate(rate)).unwrap().unlock(&house.key).unwrap();
    let vault = reopen(100_000);
    let health = scrubbed(&vault, |health| health.rounds >= 1);
    assert!(health.is_sound() && health.rows > 180 && health.bytes > 500_000 && health.entries > 180, "{health:?}");
    assert_eq!((health.mended, health.last_round.is_some()), (0, true));

    let path = journal(&house, "00").remove(0);
    let (at, len) = frames(&path)[1];
    flip(&path, at + len / 2);
    flip(&house.path().join("header.a"), 60);
    let health = scrubbed(&vault, |health| health.findings.len() >= 2);
    let rounds = health.rounds;
    let health = scrubbed(&vault, |health| health.rounds >= rounds + 3);
    let mut found: Vec<_> = health.findings.iter().map(|finding| finding.place.clone()).collect();
    found.sort_by_key(ToString::to_string);
    let header = FindingPlace::File { path: "header.a".into(), offset: 0 };
    assert_eq!(found, [header, file(&house, &path, at)]);
    let told = |vault: &Vault| -> Vec<AuditEntry> {
        let log = whole_log(&house.session(vault));
        log.into_iter().filter(|entry| entry.event == AuditEvent::DamageFound).collect()
    };
    let entries = told(&vault);
    assert_eq!(entries.iter().map(|entry| entry.count.unwrap()).sum::<u32>(), 2, "{entries:?}");
    assert!(entries.iter().any(|entry| entry.detail.as_ref().unwrap().contains("journal/")));

    // What is there no more is shown no more.
    flip(&path, at + len / 2);
    flip(&house.path().join("header.a"), 60);
    scrubbed(&vault, |health| health.is_sound());
    vault.close().unwrap();
    assert!(vault.health().is_sound());
    let vault = reopen(0);
    assert_eq!(told(&vault).len(), entries.len());
    assert_eq!(vault.health(), Health::clone(&vault.health()));
    assert_eq!(vault.health().rounds, 0);
}

#[test]
fn a_slow_scrub_reads_slowly() {
    let (house, vault, _) = clinic();
    vault.close().unwrap();
    let options = house.options().scrub_rate(10);
    let vault = Vault::open_with(house.path(), options).unwrap().unlock(&house.key).unwrap();
    // A round takes thousands of rows.
    std::thread::sleep(Duration::from_millis(2_500));
    assert_eq!(vault.health().rounds, 0);
    vault.close().unwrap();
}

#[test]
fn a_small_vault_is_not_read_round_and_round_without_a_rest() {
    let (house, vault, _) = clinic();
    vault.close().unwrap();
    let options = house.options().scrub_rate(100_000);
    let vault = Vault::open_with(house.path(), options).unwrap().unlock(&house.key).unwrap();
    // One round each second if nothing held it back; a round counts as 200,000 rows.
    std::thread::sleep(Duration::from_millis(6_500));
    let rounds = vault.health().rounds;
    assert!((1..=4).contains(&rounds), "{rounds}");
}

#[cfg(feature = "async")]
#[test]
fn a_check_can_be_awaited() {
    let clinic = TestVault::new().build().unwrap();
    let workers = Workers::start().unwrap();
    let vault = AsyncVault::over(&workers, clinic.vault().clone());
    let (told, heard) = std::sync::mpsc::channel();
    let progress = move |progress: Progress| told.send(progress).unwrap();
    let report = pollster::block_on(vault.check(CheckScope::All, progress)).unwrap();
    assert!(report.total() == 0 && report.entries > 0, "{report}");
    assert!(heard.iter().any(|progress| progress.task == Task::CheckLog));
}
