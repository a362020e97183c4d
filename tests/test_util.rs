//! What `chartvault::test_util` promises to those who test with it.

mod support;

use std::collections::BTreeMap;
use std::fs;
use std::io::ErrorKind;
use std::path::Path;

use chartvault::test_util::*;
use chartvault::*;
use support::{Note, files_in, note, verify, whole_log};

fn mrn(value: &str) -> Identifier {
    Identifier::new("urn:mrn:test", value).unwrap()
}

/// A day at the clinic: patients, notes, an amendment, a denial, a reading of the log.
fn a_day(clinic: &TestVault) -> (PatientId, RecordId<Note>) {
    let physician = clinic.physician().unwrap();
    let ama = physician.register_patient([mrn("1")]).unwrap();
    let id = physician.put(ama, &note("first")).unwrap();
    clinic.clock().step(60);
    physician.amend(id, Version::FIRST, &note("second")).unwrap();
    assert!(clinic.auditor().unwrap().get(id).is_err());
    assert!(physician.audit().is_err());
    (ama, id)
}

#[test]
fn a_vault_in_memory_keeps_what_a_directory_keeps() {
    let dir = tempfile::tempdir().unwrap();
    let mut seen = Vec::new();
    for new in [TestVault::new(), TestVault::new().in_dir(dir.path().join("vault"))] {
        let mut clinic = new.build().unwrap();
        let (ama, id) = a_day(&clinic);
        clinic.crash().unwrap();
        assert!(!clinic.opening().clean);
        clinic.reopen().unwrap();
        assert!(clinic.opening().clean);
        let physician = clinic.physician().unwrap();
        assert_eq!(physician.find_patient(&mrn("1")).unwrap(), Some(ama));
        let entry = physician.get(id).unwrap();
        assert_eq!((entry.value, entry.version), (note("second"), Version::new(2).unwrap()));
        assert_eq!(physician.history(id).unwrap().len(), 2);
        let auditor = clinic.auditor().unwrap();
        verify(&auditor);
        let log: Vec<_> = whole_log(&auditor).iter().map(|entry| (entry.event, entry.outcome, entry.time)).collect();
        seen.push(log);
    }
    assert_eq!(seen[0], seen[1]);
}

#[test]
fn a_store_holds_one_vault_and_opens_once_at_a_time() {
    let store = MemoryStore::new();
    assert!(matches!(store.open_vault(Options::new()), Err(Error::Header(_))));
    let mut clinic = TestVault::new().in_memory(&store).passphrase("correct horse battery staple").build().unwrap();
    assert!(matches!(store.open_vault(Options::new()), Err(Error::InUse { .. })));
    assert!(matches!(store.create_vault().raw_key(clinic.key()).finish(), Err(Error::NotEmpty { .. })));
    let crashed = store.copy();
    a_day(&clinic);
    clinic.vault().close().unwrap();
    let locked = crashed.open_vault(Options::new().clock(clinic.clock().clone())).unwrap();
    assert!(matches!(locked.unlock(&Passphrase::new("wrong")), Err(Error::Unlock(UnlockError::WrongCredential))));
    let copy = locked.unlock(&Passphrase::new("correct horse battery staple")).unwrap();
    assert!(!copy.opening().clean);
    // The copy knows nothing of that day, and its failed unlock stands in its own log.
    let auditor = copy.session(
        clinic.token(&clinic.grant("auditor").all_kinds().actions([Action::Audit])).unwrap(),
        Purpose::Treatment,
    );
    let log = whole_log(&auditor.unwrap());
    assert!(log.iter().any(|entry| entry.event == AuditEvent::UnlockFailed && entry.count == Some(1)));
    assert!(!log.iter().any(|entry| entry.event == AuditEvent::PatientRegistered));
    clinic.reopen().unwrap_err(); // it was closed by hand already
}

#[test]
fn nothing_is_readable_in_a_store() {
    let clinic = TestVault::new().build().unwrap();
    a_day(&clinic);
    let bytes = clinic.store().unwrap().bytes();
    for text in ["first", "second", "urn:mrn:test", "dr.osei", "note"] {
        assert!(!bytes.windows(text.len()).any(|window| window == text.as_bytes()), "{text}");
    }
}

#[test]
fn a_test_vault_tells_whether_the_grant_or_the_vault_was_the_reason() {
    let clinic = TestVault::new().build().unwrap();
    let refused = clinic.session(&clinic.grant("dr.osei"));
    assert!(matches!(refused, Err(TestVaultError::Grant(GrantError::Missing { .. }))), "{refused:?}");
    clinic.vault().close().unwrap();
    let refused = clinic.physician();
    assert!(matches!(refused, Err(TestVaultError::Vault(Error::Sealed))), "{refused:?}");
}

#[test]
fn what_runs_out_comes_back_with_its_guard_and_only_here() {
    let clinic = TestVault::new().build().unwrap();
    let _seeded = seeded(1);
    let outer = without(Resource::RandomBytes).after(1);
    {
        let _inner = without(Resource::RandomBytes);
        let _other = without(Resource::PassphraseMemory);
        assert!(RawKey::generate().is_err());
        let elsewhere = std::thread::spawn(|| RawKey::generate().is_ok());
        assert!(elsewhere.join().unwrap(), "other threads are not touched");
    }
    assert!(RawKey::generate().is_ok() && RawKey::generate().is_err(), "the outer one had one left");
    drop(outer);
    clinic.physician().unwrap();
}

#[test]
fn a_store_is_tampered_with_where_told_and_a_copy_is_not() {
    let clinic = TestVault::new().build().unwrap();
    let (_, id) = a_day(&clinic);
    let (store, physician) = (clinic.store().unwrap(), clinic.physician().unwrap());
    let (copy, before) = (store.copy(), store.bytes());
    for what in [Stored::Records, Stored::Patients, Stored::Identifiers, Stored::Policy, Stored::Entries] {
        let mut places = Vec::new();
        store.tamper(what, |place, bytes| {
            places.push(place);
            !bytes.is_empty()
        });
        assert!(!places.is_empty() && places.iter().copied().eq(0..places.len()), "{what:?}: {places:?}");
    }
    assert!(store.bytes() == before, "nothing was changed");
    // Of the two versions the newest stands first.
    store.tamper(Stored::Records, |place, _| place == 1);
    assert!(matches!(physician.get_version(id, Version::FIRST), Ok(entry) if entry.value == note("first")));
    assert!(matches!(physician.get_version(id, Version::new(2).unwrap()), Err(Error::NoSuchVersion { .. })));
    assert!(copy.bytes() == before && store.bytes() != before);
}

/// What is in a vault's directory, but for the files of sled, which are a cache.
fn stored(dir: &Path) -> BTreeMap<String, Vec<u8>> {
    let ours = files_in(dir).into_iter().filter(|file| !file.starts_with("sled-1"));
    ours.map(|file| (file.to_str().unwrap().to_owned(), fs::read(dir.join(file)).unwrap())).collect()
}

#[test]
fn one_seed_makes_one_vault() {
    let made = |seed, in_memory| {
        let _seeded = seeded(seed).unwrap();
        let dir = tempfile::tempdir().unwrap();
        let new = TestVault::new().options(support::small());
        let mut clinic = if in_memory { new } else { new.in_dir(dir.path()) }.build().unwrap();
        a_day(&clinic);
        clinic.crash().unwrap();
        a_day_later(&clinic);
        clinic.vault().close().unwrap();
        match clinic.store() {
            Some(store) => BTreeMap::from([(String::new(), store.bytes())]),
            None => stored(dir.path()),
        }
    };
    if !cfg!(debug_assertions) {
        assert_eq!(seeded(1).unwrap_err(), SeededRefused, "keys that can be guessed in a build that keeps charts");
        return;
    }
    for in_memory in [true, false] {
        let (one, same, other) = (made(1, in_memory), made(1, in_memory), made(2, in_memory));
        assert!(one.keys().eq(same.keys()) && !one.is_empty());
        for (name, bytes) in &one {
            assert!(same[name] == *bytes, "{name} differs from run to run");
        }
        assert_ne!(one, other);
    }
}

fn a_day_later(clinic: &TestVault) {
    clinic.clock().step(86_400);
    clinic.physician().unwrap().register_patient([mrn("2")]).unwrap();
}

#[test]
fn seeds_nest_and_end_with_their_guard_even_in_a_panic() {
    let Ok(outer) = seeded(1) else { return };
    let draw = || RawKey::generate().map(|key| format!("{:?}", vault_id_under(&key))).unwrap();
    let first = draw();
    {
        let _inner = seeded(1).unwrap();
        assert_eq!(draw(), first);
    }
    assert_ne!(draw(), first, "the outer generator went on, and did not start anew");
    drop(outer);
    let caught = std::panic::catch_unwind(|| {
        let _seeded = seeded(1).unwrap();
        panic!("a test that fails");
    });
    assert!(caught.is_err());
    assert_ne!(draw(), first, "random bytes are the operating system's again");
    let elsewhere = {
        let _seeded = seeded(1).unwrap();
        std::thread::spawn(move || TestVault::new().build().unwrap().vault().id()).join().unwrap()
    };
    let again = {
        let _seeded = seeded(1).unwrap();
        TestVault::new().build().unwrap().vault().id()
    };
    assert_ne!(elsewhere, again, "other threads are not touched");
}

/// A key never shows itself, so the vault that it opens speaks for it.
fn vault_id_under(key: &RawKey) -> VaultId {
    MemoryStore::new().create_vault().raw_key(key).finish().unwrap().0.id()
}

#[test]
fn a_fault_strikes_when_told_and_ends_with_its_guard() {
    let mut clinic = TestVault::new().build().unwrap();
    let physician = clinic.physician().unwrap();
    let ama = physician.register_patient([mrn("1")]).unwrap();
    let fault = Fault::on(FileOp::Write, ErrorKind::StorageFull).after(2);
    let kept = [physician.put(ama, &note("one")).unwrap(), physician.put(ama, &note("two")).unwrap()];
    assert_eq!(fault.hits(), 0);
    physician.put(ama, &note("three")).unwrap_err();
    assert_eq!(fault.hits(), 1);
    physician.get(kept[0]).unwrap_err(); // the log has stopped, so there is no access
    assert_eq!(fault.hits(), 1);
    drop(fault);
    clinic.crash().unwrap();
    assert!(matches!(physician.get(kept[0]), Err(Error::Sealed)));
    let physician = clinic.physician().unwrap();
    assert_eq!(physician.get(kept[1]).unwrap().value, note("two"));
    assert_eq!(physician.list::<Note>(ama).limit(10).page().unwrap().entries.len(), 2);
}

#[test]
fn faults_nest_and_reach_the_files_of_a_directory() {
    let dir = tempfile::tempdir().unwrap();
    let mut clinic = TestVault::new().in_dir(dir.path().join("vault")).options(support::small()).build().unwrap();
    let outer = Fault::on(FileOp::Remove, ErrorKind::PermissionDenied);
    {
        let inner = Fault::on(FileOp::Sync, ErrorKind::Other).for_good();
        clinic.physician().unwrap_err();
        assert_eq!(inner.hits(), 1);
        clinic.vault().checkpoint().unwrap_err();
    }
    assert_eq!(outer.hits(), 0);
    drop(outer);
    clinic.crash().unwrap();
    a_day(&clinic);
    verify(&clinic.auditor().unwrap());
}

#[test]
fn a_target_fails_where_it_is_told() {
    use chartvault::{BackupTarget, FolderTarget, TargetError};
    let dir = tempfile::tempdir().unwrap();
    for passing in 0..4 {
        for has_effect in [false, true] {
            for is_once in [false, true] {
                let path = dir.path().join(format!("{passing}-{has_effect}-{is_once}"));
                let folder = FolderTarget::create(path).unwrap();
                let faulty = if has_effect {
                    FaultyTarget::after(&folder, passing)
                } else {
                    FaultyTarget::before(&folder, passing)
                };
                let faulty = CountingTarget::new(if is_once { faulty.once() } else { faulty });
                let done: Vec<bool> = (0..4).map(|n| faulty.put_new(&format!("objects/{n}"), b"x").is_ok()).collect();
                let expected: Vec<bool> = (0..4).map(|n| n < passing || n > passing && is_once).collect();
                assert_eq!(done, expected);
                let mut there = Vec::new();
                folder.list("", &mut |object| there.push(object.name)).unwrap();
                let expected: Vec<String> = (0..4)
                    .filter(|n| *n < passing || *n == passing && has_effect || *n > passing && is_once)
                    .map(|n| format!("objects/{n}"))
                    .collect();
                assert_eq!(there, expected, "{passing} {has_effect} {is_once}");
                assert_eq!(faulty.calls().len(), 4);
                assert_eq!(faulty.bytes_put(), done.iter().filter(|done| **done).count() as u64);
            }
        }
    }
    let folder = FolderTarget::create(dir.path().join("all")).unwrap();
    folder.put_new("objects/0", b"sealed").unwrap();
    let dead = FaultyTarget::before(&folder, 0);
    let failed = |done: Result<(), TargetError>| matches!(done, Err(TargetError::Unreachable { retry: false, .. }));
    assert!(failed(dead.get("objects/0", 10).map(drop)));
    assert!(failed(dead.list("", &mut |_| panic!("nothing is listed"))));
    assert!(failed(dead.delete("objects/0")));
    assert_eq!((dead.calls(), dead.has_failed()), (3, true));
    assert_eq!(dead.name(), folder.name());
    let counting = CountingTarget::new(&folder);
    counting.get("objects/0", 10).unwrap();
    counting.list("objects/", &mut drop).unwrap();
    counting.delete("objects/0").unwrap();
    let name = || "objects/0".to_owned();
    let calls = [
        TargetCall::Get { name: name(), limit: 10 },
        TargetCall::List { prefix: "objects/".to_owned() },
        TargetCall::Delete { name: name() },
    ];
    assert_eq!((counting.calls(), counting.bytes_got()), (calls.to_vec(), 6));
}
