//! Checkpoints kept outside the vault, and what they find: logs that were cut, brought back, or went two ways.

use crate::support;

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use chartvault::*;
use support::{House, copy_dir, files_in, verify, whole_log};

/// Often enough for a test.
const OFTEN: AnchorPolicy = AnchorPolicy {
    every: Duration::from_millis(100),
    entries: 1_000,
    required: false,
    patience: Duration::from_secs(5),
};

/// A house whose vault is anchored in a directory beside it.
fn anchored() -> (House, Vault, FileAnchor, tempfile::TempDir) {
    anchored_by(OFTEN)
}

fn anchored_by(policy: AnchorPolicy) -> (House, Vault, FileAnchor, tempfile::TempDir) {
    let disk = tempfile::tempdir().unwrap();
    let anchor = FileAnchor::new("second disk", disk.path());
    let shared = Arc::new(anchor.clone());
    let (house, vault) = House::create_with(move |options| options.anchor(shared.clone(), policy));
    (house, vault, anchor, disk)
}

fn no_proof(_: u64) -> Result<Vec<[u8; 32]>, AnchorError> {
    Err(AnchorError::Failed { why: "none".into() })
}

fn wait_until(what: &str, is_so: impl Fn() -> bool) {
    let begun = Instant::now();
    while !is_so() {
        assert!(begun.elapsed() < Duration::from_secs(30), "{what}");
        thread::sleep(Duration::from_millis(10));
    }
}

fn snapshot(path: &Path) -> tempfile::TempDir {
    let copy = tempfile::tempdir().unwrap();
    copy_dir(path, copy.path());
    copy
}

fn bring_back(copy: &tempfile::TempDir, path: &Path) {
    fs::remove_dir_all(path).unwrap();
    copy_dir(copy.path(), path);
}

fn examine(house: &House) -> (Evidence, tempfile::TempDir) {
    let place = tempfile::tempdir().unwrap();
    let locked = Vault::open_with(house.path(), house.options()).unwrap();
    (locked.examine(&house.key, place.path().join("copy")).unwrap(), place)
}

/// All bytes of a vault, but for its lock.
fn bytes(path: &Path) -> HashMap<PathBuf, Vec<u8>> {
    let files = files_in(path).into_iter().filter(|file| file.as_os_str() != "lock");
    files.map(|file| (file.clone(), fs::read(path.join(file)).unwrap())).collect()
}

#[test]
fn each_close_leaves_its_final_checkpoint_with_the_anchor_and_the_next_opening_goes_on_from_it() {
    let (house, vault, anchor, _disk) = anchored();
    vault.close().unwrap();
    for _ in 0..3 {
        let held = anchor.last(vault.id()).unwrap().unwrap();
        assert!(held.contains("\nnext-key "), "{held}");
        let vault = house.open();
        assert_eq!(vault.opening().anchors_unread, [""; 0]);
        let keys: Vec<LogKey> = vault.log_keys().unwrap().map(Result::unwrap).collect();
        assert_eq!(keys[keys.len() - 2].final_checkpoint.as_deref(), Some(&*held));
        assert_eq!(keys.last().unwrap().vkey, vault.log_vkey().unwrap());
        assert!(keys.iter().all(|key| key.start.is_announced()));
        verify(&house.session(&vault));
        vault.close().unwrap();
    }
}

#[test]
fn what_was_logged_is_anchored_after_a_while_and_an_idle_vault_falls_silent() {
    let (house, vault, anchor, _disk) = anchored();
    let size = || vault.anchors()[0].size.unwrap_or(0);
    // Two entries are of the creation. The third says that the anchor takes checkpoints; it is anchored as well, and then
    // nothing is written any more.
    wait_until("anchored, and told", || vault.log_checkpoint().is_ok_and(|now| now.size > 2 && size() >= now.size));
    let before = vault.log_checkpoint().unwrap();
    thread::sleep(Duration::from_millis(600));
    assert_eq!(vault.log_checkpoint().unwrap(), before);
    let log = whole_log(&house.session(&vault));
    assert_eq!(log.iter().filter(|entry| entry.event == AuditEvent::CheckpointAnchored).count(), 1);
    assert_eq!(anchor.last(vault.id()).unwrap(), Some(before.note));
    let report = house.session(&vault).audit().unwrap().verify(Scope::All).report().unwrap();
    assert!(report.is_sound(), "{report}");
}

#[test]
fn so_many_entries_are_anchored_at_once() {
    let policy = AnchorPolicy { every: Duration::from_secs(3_600), entries: 1, ..OFTEN };
    let (_house, vault, _anchor, _disk) = anchored_by(policy);
    wait_until("anchored", || vault.anchors()[0].size.is_some());
}

#[test]
fn a_vault_that_was_brought_back_within_an_epoch_is_refused_and_examined() {
    let (house, vault, anchor, _disk) = anchored();
    let earlier = snapshot(&house.path());
    house.session(&vault).register_patient([]).unwrap();
    wait_until("anchored", || vault.anchors()[0].size >= Some(vault.log_checkpoint().unwrap().size));
    drop(vault);
    bring_back(&earlier, &house.path());
    let opened = house.open_at(&house.path());
    let Err(Error::RolledBack { anchor: name, anchored, found }) = opened else { panic!("{opened:?}") };
    assert!(name == "second disk" && anchored > found);
    // Only looked at, it stays as it is.
    let before = bytes(&house.path());
    let (evidence, place) = examine(&house);
    assert_eq!(evidence.verify(Scope::All).unwrap().entries, found);
    assert_eq!(evidence.entries(AuditFilter::new(), None, 5).unwrap().entries[0].seq, found - 1);
    assert_eq!(evidence.entry_bytes(0, 2).unwrap().len(), 2);
    assert_eq!(evidence.size_and_root().unwrap().0, found);
    assert!(matches!(evidence.anchors().unwrap()[0].held, Err(Error::RolledBack { .. })));
    assert_eq!(evidence.log_keys().unwrap().len(), 1);
    assert!(
        !files_in(place.path()).iter().any(|file| file.ends_with("signing.key")),
        "the key that signs is not copied"
    );
    drop(evidence);
    assert!(!place.path().join("copy").exists());
    assert_eq!(bytes(&house.path()), before);
    assert!(anchor.last(VaultId::from_bytes([0; 16])).unwrap().is_none(), "each vault for itself");
}

#[test]
fn a_vault_that_was_brought_back_to_before_an_epoch_is_refused() {
    let (house, vault, _anchor, _disk) = anchored();
    vault.close().unwrap();
    let earlier = snapshot(&house.path());
    let vault = house.open();
    wait_until("anchored", || vault.anchors()[0].size >= Some(vault.log_checkpoint().unwrap().size));
    vault.close().unwrap();
    let after_one = snapshot(&house.path());
    bring_back(&earlier, &house.path());
    let opened = house.open_at(&house.path());
    // The final checkpoint of the first epoch names the key that signed what is anchored.
    let fault = matches!(&opened, Err(Error::RolledBack { anchored, found, .. }) if anchored > found);
    assert!(fault, "{opened:?}");
    // Two epochs back, nothing in the log tells whose key that is.
    bring_back(&after_one, &house.path());
    house.open().close().unwrap();
    bring_back(&earlier, &house.path());
    let opened = house.open_at(&house.path());
    let fault =
        matches!(&opened, Err(Error::Anchor(AnchorFault::UnknownKey { anchored, found, .. })) if anchored > found);
    assert!(fault, "{opened:?}");
}

#[test]
fn header_journal_and_key_file_brought_back_in_any_combination_are_refused_or_go_on() {
    let (house, vault, _anchor, disk) = anchored();
    vault.close().unwrap();
    let earlier = snapshot(&house.path());
    let vault = house.open();
    house.session(&vault).register_patient([]).unwrap();
    vault.close().unwrap();
    let (newest, held) = (snapshot(&house.path()), snapshot(disk.path()));
    let parts: [&[&str]; 3] =
        [&["header.a", "header.b"], &["journal", "sled-1", "state.a", "state.b", "clean"], &["signing.key"]];
    for which in 1..8_u8 {
        bring_back(&newest, &house.path());
        for (_, names) in parts.iter().enumerate().filter(|(at, _)| which & (1 << at) != 0) {
            for name in *names {
                let (from, to) = (earlier.path().join(name), house.path().join(name));
                if to.is_dir() {
                    fs::remove_dir_all(&to).unwrap();
                    copy_dir(&from, &to);
                } else if from.exists() {
                    fs::copy(from, to).unwrap();
                } else if to.exists() {
                    fs::remove_file(to).unwrap();
                }
            }
        }
        match (which & 2 != 0, house.open_at(&house.path())) {
            // The log was brought back.
            (true, Err(Error::RolledBack { .. })) => {}
            (false, Ok(vault)) => {
                let start = vault.opening().epoch_start;
                let expected = if which & 4 != 0 { EpochStart::KeyOfAnotherEpoch } else { EpochStart::Announced };
                assert_eq!(start, Some(expected), "{which}");
                verify(&house.session(&vault));
            }
            (_, other) => panic!("{which}: {other:?}"),
        }
        // What it anchored while it was open would be ahead of the next one.
        bring_back(&held, disk.path());
    }
}

#[test]
fn of_two_copies_that_both_go_on_the_second_is_found_out() {
    let (house, vault, _anchor, _disk) = anchored();
    vault.close().unwrap();
    let other = tempfile::tempdir().unwrap();
    let path = other.path().join("vault");
    copy_dir(&house.path(), &path);
    house.open().close().unwrap();
    // The other one has the same key, and no entry of the first.
    let opened = house.open_at(&path);
    assert!(matches!(opened, Err(Error::RolledBack { .. })), "{opened:?}");
}

#[test]
fn a_fork_within_an_epoch_is_found_at_its_root() {
    let (house, vault, anchor, disk) = anchored();
    wait_until("anchored", || vault.anchors()[0].size >= Some(vault.log_checkpoint().unwrap().size));
    let (copy, held) = (snapshot(&house.path()), snapshot(disk.path()));
    house.session(&vault).register_patient([]).unwrap();
    wait_until("anchored", || vault.anchors()[0].size >= Some(vault.log_checkpoint().unwrap().size));
    let ahead = anchor.last(vault.id()).unwrap().unwrap();
    drop(vault);
    // The copy goes on beside it, further than the first, and never sees the anchor of that.
    bring_back(&copy, &house.path());
    bring_back(&held, disk.path());
    let vault = house.open();
    let session = house.session(&vault);
    (0..5).for_each(|_| _ = session.register_patient([]).unwrap());
    let id = vault.id();
    drop((session, vault));
    fs::write(anchor.path_of(id), ahead).unwrap();
    let opened = house.open_at(&house.path());
    assert!(matches!(opened, Err(Error::Forked { .. })), "{opened:?}");
    let (evidence, _place) = examine(&house);
    assert!(matches!(evidence.anchors().unwrap()[0].held, Err(Error::Forked { .. })));
}

#[test]
fn a_size_that_nobody_signed_does_not_look_like_a_log_brought_back() {
    let (house, vault, anchor, _disk) = anchored();
    let id = vault.id();
    vault.close().unwrap();
    let good = anchor.last(id).unwrap().unwrap();
    let size = good.lines().nth(1).unwrap().to_owned();
    for (note, no_checkpoint) in [
        (good.replace(&format!("\n{size}\n"), "\n999999\n"), false),
        (good.replace("chartvault.local/", "elsewhere.local/"), true),
        ("nothing of the kind".to_owned(), true),
        (String::new(), true),
    ] {
        fs::write(anchor.path_of(id), &note).unwrap();
        match house.open_at(&house.path()) {
            Err(Error::Anchor(AnchorFault::UnknownKey { anchored: 999_999, .. })) => assert!(!no_checkpoint),
            Err(Error::Anchor(AnchorFault::NoCheckpoint { .. })) => assert!(no_checkpoint),
            other => panic!("{note:?}: {other:?}"),
        }
    }
    fs::write(anchor.path_of(id), good).unwrap();
    house.open();
}

#[test]
fn an_anchor_that_cannot_be_read_lets_the_vault_open_unless_it_is_required() {
    for required in [false, true] {
        let (house, vault, _anchor, disk) = anchored_by(AnchorPolicy { required, ..OFTEN });
        vault.close().unwrap();
        drop(disk);
        match house.open_at(&house.path()) {
            Ok(vault) => {
                assert!(!required && vault.opening().anchors_unread[0].starts_with("second disk: "));
                wait_until("told", || vault.anchors()[0].failure.is_some());
                wait_until("logged", || {
                    let log = whole_log(&house.session(&vault));
                    log.iter().any(|entry| entry.event == AuditEvent::AnchorFailed)
                });
                thread::sleep(Duration::from_millis(400));
                let log = whole_log(&house.session(&vault));
                let failed = log.iter().filter(|entry| entry.event == AuditEvent::AnchorFailed).count();
                assert_eq!(failed, 1, "told once");
            }
            Err(Error::Anchor(AnchorFault::Unread { source: AnchorError::Io { .. }, .. })) => assert!(required),
            Err(error) => panic!("{error:?}"),
        }
    }
}

#[test]
fn an_anchor_that_was_away_when_a_vault_was_brought_back_keeps_what_shows_it() {
    let (house, vault, anchor, disk) = anchored();
    vault.close().unwrap();
    let copy = snapshot(&house.path());
    let vault = house.open();
    house.session(&vault).register_patient([]).unwrap();
    let file = anchor.path_of(vault.id());
    vault.close().unwrap();
    let held = fs::read(&file).unwrap();
    bring_back(&copy, &house.path());
    let away = disk.path().with_extension("away");
    fs::rename(disk.path(), &away).unwrap();
    let vault = house.open_at(&house.path()).unwrap();
    assert_eq!(vault.opening().anchors_unread.len(), 1);
    // It grows longer than what the anchor holds, which then comes back.
    for _ in 0..60 {
        house.session(&vault).register_patient([]).unwrap();
    }
    fs::rename(&away, disk.path()).unwrap();
    wait_until("told", || vault.anchors()[0].failure.as_ref().is_some_and(|why| why.contains("rewritten")));
    vault.close().unwrap();
    assert_eq!(fs::read(&file).unwrap(), held, "nothing was written over it");
    let refused = house.open_at(&house.path()).map(drop);
    assert!(matches!(refused, Err(Error::Forked { .. })), "{refused:?}");
}

#[test]
fn an_anchor_that_was_away_at_the_opening_is_given_checkpoints_once_it_was_compared() {
    let (house, vault, anchor, disk) = anchored();
    let file = anchor.path_of(vault.id());
    vault.close().unwrap();
    let held = fs::read(&file).unwrap();
    let away = disk.path().with_extension("away");
    fs::rename(disk.path(), &away).unwrap();
    let vault = house.open_at(&house.path()).unwrap();
    wait_until("failed", || vault.anchors()[0].failure.is_some());
    fs::rename(&away, disk.path()).unwrap();
    wait_until("anchored", || vault.anchors()[0].at.is_some());
    assert_ne!(fs::read(&file).unwrap(), held);
    vault.close().unwrap();
    house.open();
}

#[test]
fn an_anchor_that_hangs_panics_or_lies_holds_up_nobody() {
    let hangs = Arc::new(AtomicBool::new(false));
    let hanging = {
        let hangs = Arc::clone(&hangs);
        move || {
            while hangs.load(Ordering::SeqCst) {
                thread::sleep(Duration::from_millis(20));
            }
        }
    };
    let hung = {
        let (one, other) = (hanging.clone(), hanging);
        CallbackAnchor::new(
            "hung",
            move |_, _, _| {
                one();
                Ok(())
            },
            move |_| {
                Ok({
                    other();
                    None
                })
            },
        )
    };
    let panics = CallbackAnchor::new("panics", |_, _, _| panic!("no"), |_| panic!("no"));
    let forgets = CallbackAnchor::new("forgets", |_, _, _| Ok(()), |_| Ok(None));
    let anchors: [Arc<dyn Anchor>; 3] = [Arc::new(hung), Arc::new(panics), Arc::new(forgets)];
    let policy = AnchorPolicy { patience: Duration::from_millis(300), ..OFTEN };
    let (house, vault) = House::create_with(move |options| {
        anchors.iter().fold(options, |options, anchor| options.anchor(Arc::clone(anchor), policy))
    });
    hangs.store(true, Ordering::SeqCst);
    wait_until("the others are served", || vault.anchors()[2].size.is_some() && vault.anchors()[1].failure.is_some());
    let begun = Instant::now();
    house.session(&vault).register_patient([]).unwrap();
    vault.close().unwrap();
    let vault = house.open();
    assert!(begun.elapsed() < Duration::from_secs(20));
    let unread = &vault.opening().anchors_unread;
    assert_eq!(unread.len(), 2, "{unread:?}");
    assert!(unread[0].starts_with("hung: ") && unread[1] == "panics: it panicked", "{unread:?}");
    drop(vault);
    // Its directory is free, although a thread still hangs.
    let vault = house.open();
    hangs.store(false, Ordering::SeqCst);
    vault.close().unwrap();
}

#[test]
fn a_program_keeps_checkpoints_and_one_that_fails_or_does_not_end_is_told() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("note");
    if !Path::new("/bin/sh").exists() {
        println!("no shell here: skipped");
        return;
    }
    let name = file.to_str().unwrap();
    let sh = |script: String| ("/bin/sh", ["-c".to_owned(), script]);
    let keeps = CommandAnchor::new(
        "program",
        sh(format!("test \"$CHARTVAULT_ORIGIN\" && cat > {name}")),
        sh(format!("test ! -e {name} || cat {name}")),
    );
    let shared = Arc::new(keeps.clone());
    let (house, vault) = House::create_with(move |options| options.anchor(shared.clone(), OFTEN));
    assert_eq!(keeps.last(vault.id()).unwrap(), None);
    let checkpoint = vault.log_checkpoint().unwrap();
    vault.close().unwrap();
    assert_eq!(keeps.last(vault.id()).unwrap(), Some(fs::read_to_string(&file).unwrap()));
    drop(house);
    let fails = CommandAnchor::new("fails", sh("exit 3".into()), sh("exit 3".into()));
    assert!(matches!(fails.publish(vault.id(), &checkpoint, &no_proof), Err(AnchorError::Failed { .. })));
    let slow =
        CommandAnchor::new("slow", sh("sleep 60".into()), sh("sleep 60".into())).timeout(Duration::from_millis(200));
    let begun = Instant::now();
    assert!(matches!(slow.last(vault.id()), Err(AnchorError::TimedOut { .. })));
    assert!(begun.elapsed() < Duration::from_secs(20));
    let absent = CommandAnchor::new("absent", ("/no/such", [""; 0]), ("/no/such", [""; 0]));
    assert!(matches!(absent.last(vault.id()), Err(AnchorError::Failed { .. })));
}

#[test]
fn a_file_anchor_never_goes_back() {
    let (house, vault, _anchor, _disk) = anchored_by(AnchorPolicy { every: Duration::from_secs(3_600), ..OFTEN });
    let disk = tempfile::tempdir().unwrap();
    let anchor = FileAnchor::new("third disk", disk.path());
    let older = vault.log_checkpoint().unwrap();
    house.session(&vault).register_patient([]).unwrap();
    let newer = vault.log_checkpoint().unwrap();
    anchor.publish(vault.id(), &newer, &no_proof).unwrap();
    anchor.publish(vault.id(), &newer, &no_proof).unwrap();
    let refused = anchor.publish(vault.id(), &older, &no_proof);
    assert!(matches!(refused, Err(AnchorError::Older { held, given }) if held == newer.size && given == older.size));
    assert_eq!(anchor.last(vault.id()).unwrap(), Some(newer.note));
    assert_eq!(files_in(disk.path()).len(), 1);
}

#[test]
fn a_verification_says_what_an_anchor_says() {
    let (house, vault, anchor, _disk) = anchored_by(AnchorPolicy { every: Duration::from_secs(3_600), ..OFTEN });
    let session = house.session(&vault);
    let freshness = || session.audit().unwrap().verify(Scope::Chain).report().unwrap().freshness;
    assert!(matches!(freshness(), LogVerdict::Unknown(_)));
    let checkpoint = vault.log_checkpoint().unwrap();
    anchor.publish(vault.id(), &checkpoint, &no_proof).unwrap();
    assert_eq!(freshness(), LogVerdict::Sound);
    fs::write(anchor.path_of(vault.id()), "nothing of the kind").unwrap();
    assert!(matches!(freshness(), LogVerdict::Unsound(faults) if matches!(faults[..], [LogFault::OtherKey { .. }])));
    // What a copy signed that went on, with the same key.
    let copy = snapshot(&house.path());
    let beside = Vault::open_with(copy.path(), support::small().clock(house.clock.clone())).unwrap();
    let beside = beside.unlock(&house.key).unwrap();
    let other = house.session(&beside);
    let past = |entries: u64| (0..entries).for_each(|_| _ = other.register_patient([]).unwrap());
    past(3);
    let forked = beside.log_checkpoint().unwrap();
    fs::write(anchor.path_of(vault.id()), &forked.note).unwrap();
    let behind = forked.size.saturating_sub(vault.log_checkpoint().unwrap().size);
    assert!(matches!(freshness(), LogVerdict::Unsound(faults) if matches!(faults[..], [LogFault::RolledBack { .. }])));
    (0..behind + 2).for_each(|_| _ = session.register_patient([]).unwrap());
    assert!(matches!(freshness(), LogVerdict::Unsound(faults) if matches!(faults[..], [LogFault::Forked { .. }])));
}

#[test]
fn a_vault_in_a_directory_that_cannot_be_written_is_examined() {
    let (house, vault, _anchor, _disk) = anchored();
    vault.close().unwrap();
    let place = tempfile::tempdir().unwrap();
    let copy = place.path().join("copy");
    let before = bytes(&house.path());
    let evidence = Vault::examine(house.path(), house.options(), &house.key, &copy).unwrap();
    assert!(matches!(evidence.anchors().unwrap()[0].held, Ok(Some(_))));
    evidence.verify(Scope::All).unwrap();
    let again = Vault::examine(house.path(), house.options(), &house.key, &copy);
    assert!(matches!(again, Err(Error::InUse { .. } | Error::NotEmpty { .. })), "{again:?}");
    drop(evidence);
    let wrong = RawKey::generate().unwrap();
    let refused = Vault::examine(house.path(), house.options(), &wrong, &copy);
    assert!(matches!(refused, Err(Error::Unlock(UnlockError::WrongCredential))), "{refused:?}");
    assert_eq!(bytes(&house.path()), before, "not even the attempt is counted");
}

#[test]
fn an_anchor_that_does_not_take_the_vaults_word_is_given_a_proof() {
    use chartvault_verify::merkle::verify_consistency;
    type Seen = Vec<(u64, [u8; 32])>;
    let seen: Arc<std::sync::Mutex<Seen>> = Arc::default();
    let sees = Arc::clone(&seen);
    let suspicious = CallbackAnchor::new(
        "suspicious",
        move |_, checkpoint, proof| {
            let mut seen = sees.lock().unwrap();
            if let Some((size, root)) = seen.last().copied() {
                let proof = proof(size)?;
                let wrong = |why| AnchorError::Failed { why: format!("{why}") };
                verify_consistency((size, &root), (checkpoint.size, &checkpoint.root), &proof).map_err(wrong)?;
            }
            seen.push((checkpoint.size, checkpoint.root));
            Ok(())
        },
        |_| Ok(None),
    );
    let anchor: Arc<dyn Anchor> = Arc::new(suspicious);
    let (house, vault) = House::create_with(move |options| options.anchor(Arc::clone(&anchor), OFTEN));
    let session = house.session(&vault);
    for round in [3, 300] {
        (0..round).for_each(|_| _ = session.register_patient([]).unwrap());
        wait_until("anchored", || vault.anchors()[0].size >= Some(vault.log_checkpoint().unwrap().size));
    }
    assert!(seen.lock().unwrap().len() > 2 && vault.anchors()[0].failure.is_none());
}
