//! Trees that lost, kept or invented something: noticed on first touch, and rebuilt.

use super::*;
use crate::crypto::{hash, kdf};
use crate::format::digest::Digest;
use crate::format::state::State;
use crate::storage::state::StateFiles;
use crate::storage::trees::Trees;

fn vault() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    let storage = create(dir.path());
    for number in 0..50u8 {
        put(&storage, &[(&[number, 7], Some(&[number; 100]))], vec![entry(&[number; 300], &[1])]);
    }
    put(&storage, &[(b"large", Some(&[5; 9000]))], vec![entry(&[6; 5000], &[])]);
    storage.close().unwrap();
    dir
}

fn check(dir: &Path) -> Opened {
    let (storage, opened) = open(dir);
    assert_eq!(storage.entries(0, 99).unwrap().len(), 51);
    for number in 0..50u8 {
        assert_eq!(get(&storage, &[number, 7]).unwrap(), [number; 100]);
    }
    assert_eq!(get(&storage, b"large").unwrap(), [5; 9000]);
    assert_eq!((all(&storage).len(), storage.tally(&[1; 16]), get(&storage, b"ghost")), (51, 50, None));
    put(&storage, &[(b"new", Some(b"row"))], vec![]);
    storage.close().unwrap();
    let (storage, again) = open(dir);
    assert_eq!((all(&storage).len(), again.rebuilt), (52, None));
    opened
}

/// Changes the trees behind the storage's back; the note of the last frame stays.
fn meddle(dir: &Path, how: impl FnOnce(&Trees)) {
    let trees = Trees::open(dir, 1, 1 << 20).unwrap();
    how(&trees);
    trees.sync().unwrap();
}

#[test]
fn lost_changed_and_invented_rows_are_put_right() {
    let changes: [fn(&Trees); 7] = [
        |trees| drop(trees.remove(Tree::Records, &[3, 7]).unwrap()),
        |trees| drop(trees.insert(Tree::Records, &[3, 7], [&[1][..], &[4; 100]].concat()).unwrap()),
        |trees| drop(trees.insert(Tree::Records, b"ghost", vec![1, 2]).unwrap()),
        |trees| {
            let row = trees.get(Tree::Records, &[3, 7]).unwrap().unwrap();
            let other = trees.get(Tree::Records, &[4, 7]).unwrap().unwrap();
            trees.insert(Tree::Records, &[4, 7], row.to_vec()).unwrap();
            trees.insert(Tree::Records, &[3, 7], other.to_vec()).unwrap();
        },
        |trees| drop(trees.insert(Tree::Records, &[3, 7], vec![9]).unwrap()),
        |trees| {
            let mut row = trees.get(Tree::Records, b"large").unwrap().unwrap().to_vec();
            row[48] ^= 1;
            trees.insert(Tree::Records, b"large", row).unwrap();
        },
        |trees| (0..50).for_each(|number| drop(trees.remove(Tree::Records, &[number, 7]).unwrap())),
    ];
    for change in changes {
        let dir = vault();
        meddle(dir.path(), change);
        check(dir.path());
        assert!(!dir.path().join("sled-1").exists() && dir.path().join("sled-2").exists());
    }
}

#[test]
fn a_lost_pack_is_put_right() {
    for lost in [0u64, 13, 50] {
        let dir = vault();
        meddle(dir.path(), |trees| {
            let (key, _) = trees.at_or_below(Tree::Audit, &lost.to_be_bytes()).unwrap().unwrap();
            trees.remove(Tree::Audit, &key).unwrap();
        });
        check(dir.path());
    }
}

#[test]
fn missing_or_broken_directories_are_rebuilt() {
    let dir = vault();
    std::fs::remove_dir_all(dir.path().join("sled-1")).unwrap();
    assert_eq!(check(dir.path()).rebuilt, Some("the trees were missing"));

    let dir = vault();
    std::fs::write(dir.path().join("sled-1/conf"), b"nonsense").unwrap();
    std::fs::write(dir.path().join("sled-1/db"), [7; 5000]).unwrap();
    assert!(check(dir.path()).rebuilt.is_some());

    // An opening that was killed may have had other reasons than the trees; two in a row are their fault.
    let dir = vault();
    std::fs::write(dir.path().join("opening"), b"").unwrap();
    assert_eq!(check(dir.path()).rebuilt, None);
    let dir = vault();
    std::fs::write(dir.path().join("opening"), b"again").unwrap();
    assert_eq!(check(dir.path()).rebuilt, Some("two openings of the trees in a row never came back"));

    let dir = vault();
    std::fs::write(dir.path().join("sled-1/snap.0000000000000000.generating"), b"half").unwrap();
    assert_eq!(check(dir.path()).rebuilt, None);
}

#[test]
fn older_trees_beside_a_newer_journal_are_rebuilt() {
    let dir = tempfile::tempdir().unwrap();
    let storage = create(dir.path());
    put(&storage, &[(b"a", Some(b"1"))], vec![]);
    storage.close().unwrap();
    let older = tempfile::tempdir().unwrap();
    copy_dir(&dir.path().join("sled-1"), older.path());
    let (storage, _) = open(dir.path());
    put(&storage, &[(b"a", Some(b"2")), (b"b", Some(b"3"))], vec![]);
    storage.close().unwrap();
    std::fs::remove_dir_all(dir.path().join("sled-1")).unwrap();
    copy_dir(older.path(), &dir.path().join("sled-1"));
    let (storage, opened) = open(dir.path());
    assert_eq!(opened.rebuilt, Some("the trees are older than the state file"));
    assert_eq!(all(&storage), [(b"a".to_vec(), b"2".to_vec()), (b"b".to_vec(), b"3".to_vec())]);
}

#[test]
fn newer_trees_beside_an_older_journal_are_refused_and_kept() {
    let dir = tempfile::tempdir().unwrap();
    let older = tempfile::tempdir().unwrap();
    let storage = create(dir.path());
    put(&storage, &[(b"a", Some(b"1"))], vec![]);
    storage.close().unwrap();
    copy_dir(dir.path(), older.path());
    let (storage, _) = open(dir.path());
    put(&storage, &[(b"a", Some(b"2"))], vec![]);
    storage.close().unwrap();
    std::fs::remove_dir_all(older.path().join("sled-1")).unwrap();
    copy_dir(&dir.path().join("sled-1"), &older.path().join("sled-1"));
    for _ in 0..2 {
        let refused = try_open(older.path()).map(drop);
        assert!(matches!(refused, Err(StorageError::JournalBehind { journal: 1, evidence: 2, witness: "the trees" })));
    }
    // The same number of frames, but another history.
    let other = tempfile::tempdir().unwrap();
    let storage = create(other.path());
    put(&storage, &[(b"x", Some(b"1"))], vec![]);
    put(&storage, &[(b"y", Some(b"1"))], vec![]);
    storage.close().unwrap();
    std::fs::remove_dir_all(other.path().join("sled-1")).unwrap();
    copy_dir(&dir.path().join("sled-1"), &other.path().join("sled-1"));
    assert!(matches!(try_open(other.path()).map(drop), Err(StorageError::JournalBehind { .. })));
}

#[test]
fn one_broken_state_file_is_bridged_and_two_mean_a_rebuild() {
    for broken in [&["state.a"][..], &["state.b"], &["state.a", "state.b"]] {
        for how in 0..3 {
            let dir = vault();
            for name in broken {
                let path = dir.path().join(name);
                let Ok(mut bytes) = std::fs::read(&path) else { continue };
                match how {
                    0 => bytes[100] ^= 1,
                    1 => bytes.truncate(1000),
                    _ => bytes.clear(),
                }
                std::fs::write(path, bytes).unwrap();
            }
            let opened = check(dir.path());
            let expected = (broken.len() == 2).then_some("no state file says what the trees must hold");
            assert_eq!((opened.rebuilt, opened.clean), (expected, true));
        }
    }
}

#[test]
fn a_state_file_that_was_being_written_when_the_machine_stopped_is_no_damage() {
    for broken in ["state.a", "state.b"] {
        let dir = vault();
        std::fs::remove_file(dir.path().join("clean")).unwrap();
        let path = dir.path().join(broken);
        let len = std::fs::metadata(&path).unwrap().len();
        std::fs::File::options().write(true).open(&path).unwrap().set_len(len / 2).unwrap();
        let (storage, opened) = open(dir.path());
        assert!(!opened.clean);
        // No clean stop, which would write one anew as well.
        drop(storage);
        let (files, _) = StateFiles::read(dir.path(), VAULT, kdf::state_file_mac(&keys().state)).unwrap();
        assert!(files.bad().is_empty(), "{broken}");
    }
}

/// The state file is authentic, the rows are gone, and so is what the journal says of them: there is no truth left.
#[test]
fn a_damaged_journal_stops_a_rebuild_and_the_storage() {
    let dir = vault();
    meddle(dir.path(), |trees| drop(trees.remove(Tree::Records, &[3, 7]).unwrap()));
    let path = dir.path().join("journal/0000000001.cvj");
    let mut bytes = std::fs::read(&path).unwrap();
    bytes[700] ^= 1;
    std::fs::write(path, bytes).unwrap();
    let (storage, _) = open(dir.path());
    assert_eq!(get(&storage, &[20, 7]).unwrap(), [20; 100]);
    assert!(matches!(storage.get(Tree::Records, &[3, 7]), Err(StorageError::Damaged { .. })));
    assert!(matches!(storage.get(Tree::Records, &[20, 7]), Err(StorageError::Poisoned { .. })));
    assert!(matches!(storage.close(), Err(StorageError::Poisoned { .. })));
}

#[test]
fn a_rebuild_that_fails_leaves_no_trees_behind_and_one_that_was_killed_makes_way() {
    let dir = tempfile::tempdir().unwrap();
    let storage = create(dir.path());
    for number in 0..3u8 {
        put(&storage, &[(&[number], Some(&[number; 30_000]))], vec![]);
    }
    storage.close().unwrap();
    std::fs::remove_dir_all(dir.path().join("sled-1")).unwrap();
    std::fs::create_dir(dir.path().join("sled-7")).unwrap();
    let first = dir.path().join("journal/0000000001.cvj");
    let good = std::fs::read(&first).unwrap();
    let mut bad = good.clone();
    bad[1_000] ^= 1;
    std::fs::write(&first, bad).unwrap();
    for _ in 0..2 {
        assert!(matches!(try_open(dir.path()).map(drop), Err(StorageError::Damaged { .. })));
        assert!(crate::storage::trees::list(dir.path()).unwrap().is_empty());
    }
    std::fs::write(&first, good).unwrap();
    let (storage, _) = open(dir.path());
    assert_eq!(all(&storage).len(), 3);
}

/// sled waits for ever for the configuration that a pipe never gives.
#[cfg(target_os = "linux")]
#[test]
fn trees_that_do_not_come_back_from_opening_are_set_aside_and_built_anew() {
    let dir = vault();
    let conf = dir.path().join("sled-1/conf");
    std::fs::remove_file(&conf).unwrap();
    if !std::process::Command::new("mkfifo").arg(&conf).status().is_ok_and(|status| status.success()) {
        println!("skipped: no mkfifo here");
        return;
    }
    let opened = check(dir.path());
    assert_eq!(opened.rebuilt, Some("the trees could not be opened"));
    assert_eq!(opened.set_aside, Some(dir.path().join("sled-1.suspect")));
}

#[test]
fn wrong_trees_are_kept_until_the_opening_after_a_proper_close() {
    let dir = vault();
    let aside = |number: u8| dir.path().join(format!("sled-{number}.suspect"));
    std::fs::write(dir.path().join("sled-1/db"), [7; 5000]).unwrap();
    let (storage, opened) = open(dir.path());
    assert_eq!(opened.set_aside, Some(aside(1)));
    assert!(aside(1).join("db").exists() && !dir.path().join("sled-1").exists());
    // Others that turn out wrong while running take its place, once the vault is opened again.
    storage.rebuild().unwrap();
    storage.close().unwrap();
    let (storage, opened) = open(dir.path());
    assert_eq!((opened.rebuilt, opened.set_aside), (None, Some(aside(2))));
    assert!(!aside(1).exists() && aside(2).exists());
    storage.close().unwrap();
    let (storage, opened) = open(dir.path());
    assert_eq!((opened.set_aside, aside(2).exists()), (None, false));
    assert_eq!(all(&storage).len(), 51);
}

/// Somebody who has the keys wrote it, or the program is wrong: not even trees made from the journal fit.
#[test]
fn a_state_that_neither_trees_nor_journal_match_stops_the_storage() {
    let dir = vault();
    let (mut files, state) = StateFiles::read(dir.path(), VAULT, kdf::state_file_mac(&keys().state)).unwrap();
    files.write(State { digest: Digest::default(), ..state.unwrap() }).unwrap();
    let (storage, _) = open(dir.path());
    assert!(matches!(storage.get(Tree::Records, &[3, 7]), Err(StorageError::StateDamaged { .. })));
    assert!(matches!(storage.get(Tree::Records, &[3, 7]), Err(StorageError::Poisoned { .. })));
}

#[test]
fn a_segment_of_a_newer_format_is_named() {
    let dir = vault();
    let path = dir.path().join("journal/0000000001.cvj");
    let mut bytes = std::fs::read(&path).unwrap();
    bytes[5] = 2;
    let hash = hash::sha256(&[&bytes[..480]]);
    bytes[480..512].copy_from_slice(&hash);
    std::fs::write(&path, bytes).unwrap();
    let refused = try_open(dir.path()).map(drop);
    assert!(matches!(refused, Err(StorageError::UnknownFormat { found: 2, newest: 1, .. })), "{refused:?}");
}
