//! Many threads at once.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use super::*;

/// Eight committers, of which some never settle, and readers who must never see half a batch's entry gone missing.
#[test]
fn committers_and_readers_do_not_disturb_each_other() {
    let dir = tempfile::tempdir().unwrap();
    let options = StorageOptions { checkpoint_bytes: 20_000, ..options() };
    let storage = Embedded::create(dir.path(), VAULT, keys(), options).unwrap();
    let order = Mutex::new(());
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let committers: Vec<_> = (0..8u8)
            .map(|thread| {
                let (storage, order) = (&storage, &order);
                scope.spawn(move || {
                    for number in 0..25u8 {
                        let value: Bytes = Arc::from(&[number; 600][..]);
                        let write = storage.prepare(Tree::Records, vec![thread, number].into(), Some(value), None);
                        let entries = vec![entry(&[thread, number], &[thread])];
                        let batch = Batch { writes: vec![write], entries, header_generation: 1, ..Batch::default() };
                        let pending = {
                            let _order = order.lock().unwrap();
                            storage.commit(storage.head(), batch).unwrap()
                        };
                        if number % 5 != 3 {
                            storage.settle(pending).unwrap();
                            assert_eq!(get(storage, &[thread, number]).unwrap(), [number; 600]);
                        }
                    }
                })
            })
            .collect();
        for _ in 0..2 {
            scope.spawn(|| {
                let mut seen = 0;
                while !done.load(Ordering::Relaxed) {
                    let entries = storage.entries(0, usize::MAX).unwrap();
                    assert!(entries.len() >= seen);
                    seen = entries.len();
                    all(&storage);
                }
            });
        }
        committers.into_iter().for_each(|committer| committer.join().unwrap());
        done.store(true, Ordering::Relaxed);
    });
    storage.close().unwrap();
    let (storage, opened) = open(dir.path());
    assert!(opened.clean && opened.rebuilt.is_none());
    assert_eq!((all(&storage).len(), storage.entries(0, 999).unwrap().len()), (200, 200));
    assert!((0..8u8).all(|thread| storage.tally(&[thread; 16]) == 25));
}

/// Without an order lock above, the loser of a race is told so and nothing is lost or doubled.
#[test]
fn racing_commits_are_conflicts_never_mixtures() {
    let dir = tempfile::tempdir().unwrap();
    let storage = create(dir.path());
    std::thread::scope(|scope| {
        for thread in 0..4u8 {
            let storage = &storage;
            scope.spawn(move || {
                for number in 0..10u8 {
                    loop {
                        let write = storage.prepare(
                            Tree::Policy,
                            vec![thread, number].into(),
                            Some(Arc::from(&b"v"[..])),
                            None,
                        );
                        let batch =
                            Batch { writes: vec![write], entries: vec![], header_generation: 1, ..Batch::default() };
                        match storage.commit(storage.head(), batch) {
                            Ok(pending) => break storage.settle(pending).unwrap(),
                            Err(CommitError::Conflict { .. }) => {}
                            Err(error) => panic!("{error}"),
                        }
                    }
                }
            });
        }
    });
    let scan = Scan { prefix: b"", after: None, limit: 99 };
    assert_eq!((storage.scan_keys(Tree::Policy, scan).unwrap().len(), storage.head().seq), (40, 40));
}

#[test]
fn closing_while_others_commit_loses_nothing_acknowledged() {
    let dir = tempfile::tempdir().unwrap();
    let storage = create(dir.path());
    let acknowledged: Vec<u8> = std::thread::scope(|scope| {
        let committer = scope.spawn(|| {
            let mut acknowledged = Vec::new();
            for number in 0..=255u8 {
                let write = storage.prepare(Tree::Lookup, vec![number].into(), Some(Arc::from(&b"v"[..])), None);
                match storage.commit(
                    storage.head(),
                    Batch { writes: vec![write], entries: vec![], header_generation: 1, ..Batch::default() },
                ) {
                    Ok(_) => acknowledged.push(number),
                    Err(CommitError::NotCommitted(StorageError::Closed)) => break,
                    Err(error) => panic!("{error}"),
                }
            }
            acknowledged
        });
        std::thread::sleep(std::time::Duration::from_millis(5));
        storage.close().unwrap();
        committer.join().unwrap()
    });
    let (storage, opened) = open(dir.path());
    let scan = Scan { prefix: b"", after: None, limit: 999 };
    let found = storage.scan_keys(Tree::Lookup, scan).unwrap();
    assert_eq!(found, acknowledged.iter().map(|number| vec![*number]).collect::<Vec<_>>());
    assert!(opened.clean);
}

/// The locks of commits, settling, checkpoints and rebuilds are taken in one order, and a rebuild reads a journal that
/// goes on to grow and to roll.
#[test]
fn rebuilding_while_others_commit_roll_and_checkpoint_loses_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let options =
        StorageOptions { checkpoint_bytes: 20_000, segment_first: 8 << 10, segment_max: 16 << 10, ..options() };
    let storage = Embedded::create(dir.path(), VAULT, keys(), options).unwrap();
    let running = AtomicBool::new(true);
    let order = Mutex::new(());
    std::thread::scope(|scope| {
        let committers = [0u8, 1].map(|thread| {
            let (storage, order) = (&storage, &order);
            scope.spawn(move || {
                for number in 0..120u8 {
                    let value: Bytes = Arc::from(&vec![number; if number % 7 == 0 { 6_000 } else { 300 }][..]);
                    let write = storage.prepare(Tree::Records, vec![number, thread].into(), Some(value), None);
                    let batch = Batch {
                        writes: vec![write],
                        entries: vec![entry(&[1; 900], &[])],
                        header_generation: 1,
                        ..Batch::default()
                    };
                    let held = order.lock().unwrap();
                    let pending = storage.commit(storage.head(), batch).unwrap();
                    drop(held);
                    storage.settle(pending).unwrap();
                }
            })
        });
        let (storage, running) = (&storage, &running);
        let meddler = scope.spawn(move || {
            let mut rounds = 0;
            while running.load(Ordering::Relaxed) || rounds < 2 {
                storage.rebuild().unwrap();
                storage.checkpoint().unwrap();
                assert!(storage.entries(0, usize::MAX).unwrap().len() <= 240);
                rounds += 1;
            }
        });
        committers.into_iter().for_each(|committer| committer.join().unwrap());
        running.store(false, Ordering::Relaxed);
        meddler.join().unwrap();
    });
    assert_eq!(all(&storage).len(), 240);
    storage.close().unwrap();
    let (storage, opened) = open(dir.path());
    assert!(opened.clean && opened.rebuilt.is_none());
    assert_eq!((all(&storage).len(), storage.entries(0, 999).unwrap().len()), (240, 240));
    assert_eq!(crate::storage::trees::list(dir.path()).unwrap().len(), 1);
}

/// Buckets are compared on first touch while others write into them: that is no reason to build the trees anew.
#[test]
fn first_touches_among_writers_find_every_bucket_right() {
    let dir = tempfile::tempdir().unwrap();
    let storage = create(dir.path());
    for number in 0..100u8 {
        put(&storage, &[(&[number % 4, number], Some(&[number; 40]))], vec![]);
    }
    storage.close().unwrap();
    drop(storage);
    for round in 0..6u8 {
        let (storage, order) = (open(dir.path()).0, Mutex::new(()));
        std::thread::scope(|scope| {
            for thread in 0..4u8 {
                let (storage, order) = (&storage, &order);
                scope.spawn(move || {
                    for number in 0..30u8 {
                        let key = [number % 4, number, thread];
                        assert_eq!(get(storage, &[number % 4, number]), Some(vec![number; 40]));
                        let _held = order.lock().unwrap();
                        put(storage, &[(&key, Some(&[round; 30]))], vec![]);
                    }
                });
            }
        });
        assert_eq!((storage.take_notice(), all(&storage).len()), (None, 220));
        storage.close().unwrap();
    }
    assert!(!dir.path().join("sled-2").exists());
}
