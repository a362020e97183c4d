//! The operating system refuses: at every call in turn, nothing acknowledged is lost.

use std::io::ErrorKind;

use super::*;
use crate::storage::fault::{self, FileOp as Op};
use crate::storage::trees::LAST_SYNC_FAILS;

fn batch(storage: &Embedded, key: &[u8], value: &[u8]) -> Batch {
    let writes = vec![storage.prepare(Tree::Records, key.to_vec().into(), Some(Arc::from(value)), None)];
    Batch { writes, entries: vec![entry(key, &[])], header_generation: 1, ..Batch::default() }
}

#[test]
fn a_failed_write_or_sync_leaves_the_outcome_unknown_and_stops_everything() {
    for op in [Op::Write, Op::Sync] {
        let dir = tempfile::tempdir().unwrap();
        let storage = create(dir.path());
        put(&storage, &[(b"before", Some(b"1"))], vec![]);
        fault::arm(op, 0, ErrorKind::Other);
        let unknown = storage.commit(storage.head(), batch(&storage, b"after", b"2"));
        assert!(matches!(unknown, Err(CommitError::OutcomeUnknown(StorageError::Io { .. }))), "{unknown:?}");
        let refused = storage.commit(storage.head(), batch(&storage, b"again", b"3"));
        assert!(matches!(refused, Err(CommitError::NotCommitted(StorageError::Poisoned { .. }))));
        assert!(matches!(storage.get(Tree::Records, b"before"), Err(StorageError::Poisoned { .. })));
        assert!(matches!(storage.checkpoint(), Err(StorageError::Poisoned { .. })));
        assert!(matches!(storage.close(), Err(StorageError::Poisoned { .. })));
        assert!(matches!(storage.close(), Err(StorageError::Closed)));
        let (storage, opened) = open(dir.path());
        assert!(!opened.clean);
        assert_eq!(get(&storage, b"before").as_deref(), Some(&b"1"[..]));
        assert_eq!(get(&storage, b"again"), None);
    }
}

#[test]
fn a_full_disk_refuses_the_batch_and_nothing_more() {
    let dir = tempfile::tempdir().unwrap();
    let storage = create(dir.path());
    put(&storage, &[(b"before", Some(b"1"))], vec![]);
    for after in 0..3 {
        let head = storage.head();
        fault::arm(Op::Write, after, ErrorKind::StorageFull);
        let full = storage.commit(head, batch(&storage, b"large", &[7; 200_000]));
        assert!(matches!(full, Err(CommitError::NotCommitted(StorageError::DiskFull { .. }))), "{full:?}");
        assert!(!dir.path().join("journal/next.tmp").exists());
        put(&storage, &[(&[after as u8], Some(b"small"))], vec![]);
    }
    put(&storage, &[(b"large", Some(&[7; 200_000]))], vec![]);
    assert_eq!(all(&storage).len(), 5);
}

/// Creates, commits, rolls, checkpoints, closes; gives what was acknowledged before the first error.
fn script(dir: &Path) -> Vec<u8> {
    let mut acknowledged = Vec::new();
    let mut run = || -> Result<(), StorageError> {
        let small = StorageOptions { segment_first: 8 << 10, segment_max: 8 << 10, ..options() };
        let storage = Embedded::create(dir, VAULT, keys(), small)?;
        for number in 0..4u8 {
            let value = vec![number; if number == 2 { 9_000 } else { 20 }];
            let done = storage.commit(storage.head(), batch(&storage, &[number], &value));
            let Ok(pending) = done else { return Err(StorageError::Closed) };
            acknowledged.push(number);
            storage.settle(pending)?;
            if number == 1 {
                storage.checkpoint()?;
            }
        }
        storage.close()
    };
    let _ = run();
    acknowledged
}

fn check(dir: &Path, acknowledged: &[u8], what: &str) {
    match try_open(dir) {
        Ok((storage, _)) => {
            for number in acknowledged {
                assert_eq!(get(&storage, &[*number]).map(|value| value[0]), Some(*number), "{what}");
            }
            let rows = all(&storage).len();
            assert!(rows == acknowledged.len() || rows == acknowledged.len() + 1, "{what}");
            assert_eq!(storage.entries(0, 99).unwrap().len(), rows, "{what}");
        }
        Err(error) => assert!(acknowledged.is_empty(), "{what}: {error}"),
    }
}

#[test]
fn every_call_that_fails_while_running_loses_nothing_acknowledged() {
    for op in [Op::Open, Op::Write, Op::Sync, Op::Rename, Op::Read] {
        for nth in 0.. {
            let dir = tempfile::tempdir().unwrap();
            fault::arm(op, nth, ErrorKind::Other);
            let acknowledged = script(dir.path());
            let hit = fault::disarm();
            check(dir.path(), &acknowledged, &format!("{op:?} {nth}"));
            if !hit {
                assert_eq!(acknowledged, [0, 1, 2, 3]);
                break;
            }
        }
    }
}

#[test]
fn every_call_that_fails_while_opening_can_be_tried_again() {
    let live = tempfile::tempdir().unwrap();
    let storage = create(live.path());
    for number in 0..3u8 {
        put(&storage, &[(&[number], Some(&[number; 20]))], vec![entry(&[number], &[])]);
    }
    let crashed = tempfile::tempdir().unwrap();
    copy_dir(live.path(), crashed.path());
    for op in [Op::Open, Op::Write, Op::Sync, Op::Remove, Op::Read] {
        for nth in 0.. {
            let dir = tempfile::tempdir().unwrap();
            copy_dir(crashed.path(), dir.path());
            fault::arm(op, nth, ErrorKind::Other);
            let opened = try_open(dir.path()).map(drop);
            let hit = fault::disarm();
            check(dir.path(), &[0, 1, 2], &format!("{op:?} {nth}"));
            if !hit {
                opened.unwrap();
                break;
            }
        }
    }
}

#[test]
fn each_name_of_a_new_path_is_made_durable() {
    let top = tempfile::tempdir().unwrap();
    for (depth, path) in [(1, "a"), (2, "b/c"), (3, "b/d/e/f"), (0, "b/d")] {
        let path = top.path().join(path);
        fault::arm(Op::Sync, depth, ErrorKind::Other);
        crate::storage::file::create_dir_durably(&path).unwrap();
        assert!(!fault::disarm() && path.is_dir());
        if depth > 0 {
            std::fs::remove_dir(&path).unwrap();
            fault::arm(Op::Sync, 0, ErrorKind::Other);
            assert!(matches!(crate::storage::file::create_dir_durably(&path), Err(StorageError::Io { .. })));
        }
    }
}

/// sled syncs its file once more when its last handle goes, and panics if that fails.
#[test]
fn trees_whose_last_sync_fails_close_without_a_panic() {
    let dir = tempfile::tempdir().unwrap();
    let storage = create(dir.path());
    put(&storage, &[(b"key", Some(b"value"))], vec![entry(b"entry", &[])]);
    LAST_SYNC_FAILS.set(true);
    storage.close().unwrap();
    assert!(!LAST_SYNC_FAILS.get(), "the trees went with the closing");
    let (storage, _) = open(dir.path());
    assert_eq!(get(&storage, b"key").unwrap(), b"value");
}
