//! What every caller relies on, wherever it is kept: each test runs on disk and in memory.

use super::*;

macro_rules! everywhere {
    ($($test:ident),+ $(,)?) => {
        mod on_disk { $(#[test] fn $test() { super::$test(super::OnDisk::default()); })+ }
        mod in_memory { $(#[test] fn $test() { super::$test(super::InMemory::default()); })+ }
    };
}

everywhere!(
    a_commit_is_visible_once_settled_and_survives_closing,
    everything_committed_survives_a_crash,
    a_moved_head_is_a_conflict,
    what_no_frame_may_hold_is_refused_before_writing,
    scans_are_ascending_bounded_and_follow_the_prefix,
    entries_and_tallies_go_on,
    what_was_cut_is_gone_at_once_and_for_good,
    a_cut_that_no_log_can_have_is_refused_before_writing,
    after_a_failed_sync_nothing_is_done_before_reopening,
);

fn a_commit_is_visible_once_settled_and_survives_closing(mut place: impl Place) {
    let storage = place.create();
    let write = storage.prepare(Tree::Records, b"key".to_vec().into(), Some(Arc::from(&b"value"[..])), None);
    let batch =
        Batch { writes: vec![write], entries: vec![entry(b"entry", &[1])], header_generation: 1, ..Batch::default() };
    let pending = storage.commit(Head::default(), batch).unwrap();
    // Its entries can be read before.
    assert_eq!((get(&*storage, b"key"), storage.entries(0, 9).unwrap().len()), (None, 1));
    assert_eq!((storage.head(), storage.tally(&[1; 16])), (Head { seq: 1, entries: 1 }, 1));
    assert_eq!(storage.last_entry().as_deref(), Some(&b"entry"[..]));
    storage.settle(pending).unwrap();
    assert_eq!(get(&*storage, b"key").as_deref(), Some(&b"value"[..]));
    storage.close().unwrap();
    assert!(matches!(storage.get(Tree::Records, b"key"), Err(StorageError::Closed)));
    assert!(matches!(storage.close(), Err(StorageError::Closed)));
    drop(storage);
    let (storage, opened) = place.reopen();
    assert_eq!(
        opened,
        Opened {
            clean: true,
            torn: None,
            replayed_frames: 0,
            rebuilt: None,
            state_files: 0,
            set_aside: None,
            compacted: None,
            header_generation: 1
        }
    );
    assert_eq!(get(&*storage, b"key").as_deref(), Some(&b"value"[..]));
    assert_eq!((storage.head(), storage.tally(&[1; 16])), (Head { seq: 1, entries: 1 }, 1));
    assert_eq!(storage.entries(0, 9).unwrap(), [(0, Arc::from(&b"entry"[..]))]);
    assert!(matches!(storage.get(Tree::Lookup, b"key"), Ok(None)));
}

fn everything_committed_survives_a_crash(mut place: impl Place) {
    let storage = place.create();
    put(&*storage, &[(b"settled", Some(b"1")), (b"gone", Some(b"2"))], vec![entry(b"first", &[1])]);
    let write = storage.prepare(Tree::Records, b"unsettled".to_vec().into(), Some(Arc::from(&b"3"[..])), None);
    let delete = storage.prepare(Tree::Records, b"gone".to_vec().into(), None, Some(b"2"));
    let batch = Batch {
        writes: vec![write, delete],
        entries: vec![entry(b"second", &[])],
        header_generation: 1,
        ..Batch::default()
    };
    let _pending = storage.commit(storage.head(), batch).unwrap();
    let head = storage.head();
    let (after, opened) = place.crash(storage);
    assert!(!opened.clean && opened.rebuilt.is_none() && opened.replayed_frames > 0, "{opened:?}");
    let expected = [(b"settled".to_vec(), b"1".to_vec()), (b"unsettled".to_vec(), b"3".to_vec())];
    assert_eq!((all(&*after), after.head()), (expected.to_vec(), head));
    assert_eq!(after.entries(0, 9).unwrap().len(), 2);
}

fn a_moved_head_is_a_conflict(mut place: impl Place) {
    let storage = place.create();
    let before = storage.head();
    let after = put(&*storage, &[(b"a", Some(b"1"))], vec![]);
    let refused = storage.commit(before, Batch::default());
    assert!(matches!(refused, Err(CommitError::Conflict { actual }) if actual == after));
}

fn what_no_frame_may_hold_is_refused_before_writing(mut place: impl Place) {
    let storage = place.create();
    let head = storage.head();
    let commit = |writes, entries| {
        let refused = storage.commit(head, Batch { writes, entries, header_generation: 1, ..Batch::default() });
        let Err(CommitError::NotCommitted(error)) = refused else { panic!("{refused:?}") };
        error
    };
    let value = |len: usize| Some(Bytes::from(vec![1; len]));
    let huge = storage.prepare(Tree::Records, b"k".to_vec().into(), value(16 << 20), None);
    assert!(matches!(commit(vec![huge], vec![]), StorageError::BatchTooLarge { limit: 16_777_216, .. }));
    let nearly = storage.prepare(Tree::Records, b"k".to_vec().into(), value((16 << 20) - 150), None);
    assert!(matches!(commit(vec![nearly], vec![]), StorageError::BatchTooLarge { .. }));
    let long_key = storage.prepare(Tree::Records, vec![1; 257].into(), value(1), None);
    assert!(matches!(commit(vec![long_key], vec![]), StorageError::Refused { .. }));
    let audit = storage.prepare(Tree::Audit, vec![1].into(), value(1), None);
    assert!(matches!(commit(vec![audit], vec![]), StorageError::Refused { .. }));
    assert!(matches!(commit(vec![], vec![entry(&[1; 65_536], &[])]), StorageError::Refused { .. }));
    assert!(matches!(commit(vec![], vec![entry(b"", &[])]), StorageError::Refused { .. }));
    let fits = storage.prepare(Tree::Records, vec![1; 256].into(), value((16 << 20) - 2000), None);
    assert_eq!(storage.head(), head);
    let pending = storage
        .commit(
            head,
            Batch {
                writes: vec![fits],
                entries: vec![entry(&[1; 1000], &[])],
                header_generation: 1,
                ..Batch::default()
            },
        )
        .unwrap();
    storage.settle(pending).unwrap();
    assert_eq!(get(&*storage, &[1; 256]).unwrap().len(), (16 << 20) - 2000);
}

fn scans_are_ascending_bounded_and_follow_the_prefix(mut place: impl Place) {
    let storage = place.create();
    let keys: Vec<Vec<u8>> = (0..60u8).map(|number| vec![number / 10, 0xFF, number]).collect();
    let rows: Vec<(&[u8], Option<&[u8]>)> = keys.iter().map(|key| (&key[..], Some(&key[..]))).collect();
    put(&*storage, &rows, vec![]);
    put(&*storage, &[(b"\xFF", Some(b"a")), (b"\xFF\xFF", Some(b"b")), (b"", Some(b"c"))], vec![]);
    let scan = |prefix, after, limit| storage.scan_keys(Tree::Records, Scan { prefix, after, limit }).unwrap();
    assert_eq!(scan(&[3, 0xFF], None, 99), keys[30..40]);
    assert_eq!(scan(&[3, 0xFF], Some(&keys[33]), 2), keys[34..36]);
    assert_eq!(scan(&[3], Some(&[1]), 1), keys[30..31]);
    assert_eq!(scan(&[3], Some(&[4]), 9), Vec::<Vec<u8>>::new());
    assert_eq!(scan(&[0xFF], None, 9), [&b"\xFF"[..], b"\xFF\xFF"]);
    assert_eq!((scan(b"", None, 99).len(), scan(b"", None, 0).len()), (63, 0));
    assert_eq!(scan(b"", None, 1), [b""]);
}

fn entries_and_tallies_go_on(mut place: impl Place) {
    let mut storage = place.create();
    for round in 0..3u8 {
        for number in 0..20u8 {
            put(&*storage, &[], vec![entry(&[number; 300], &[number % 2]), entry(b"second", &[])]);
        }
        (storage, _) = place.crash(storage);
        let total = 40 * (u64::from(round) + 1);
        assert_eq!((storage.head().entries, storage.tally(&[1; 16])), (total, total / 4));
    }
    let some = storage.entries(17, 40).unwrap();
    assert_eq!((some.len(), some[0].0, some[39].0), (40, 17, 56));
    assert_eq!(storage.entries(120, 5).unwrap(), []);
    assert_eq!(storage.entries(u64::MAX, 5).unwrap(), []);
}

fn what_was_cut_is_gone_at_once_and_for_good(mut place: impl Place) {
    let mut storage = place.create();
    for number in 0..40u8 {
        put(&*storage, &[], vec![entry(&[number; 300], &[number % 2])]);
    }
    let batch = Batch { entries: vec![entry(b"cut", &[1])], cut: Some(17), ..Batch::default() };
    let pending = storage.commit(storage.head(), batch).unwrap();
    // Before it is settled, too.
    let check = |storage: &dyn Storage| {
        assert_eq!((storage.first_entry(), storage.head().entries), (17, 41));
        for from in [0, 16] {
            assert!(matches!(storage.entries(from, 1), Err(StorageError::Pruned { first: 17 })));
            assert!(matches!(storage.entries_as_they_are(from, 1), Err(StorageError::Pruned { first: 17 })));
        }
        let kept = storage.entries(17, 99).unwrap();
        assert!(kept.iter().map(|(number, _)| *number).eq(17..41));
        assert!(kept.iter().zip(17..40u8).all(|((_, entry), number)| entry[..] == [number; 300]));
        assert_eq!((&kept[23].1[..], storage.entries(23, 5).unwrap()), (&b"cut"[..], kept[6..11].to_vec()));
        assert_eq!((storage.tally(&[0; 16]), storage.tally(&[1; 16])), (20, 21));
        assert_eq!(storage.last_entry().as_deref(), Some(&b"cut"[..]));
    };
    check(&*storage);
    storage.settle(pending).unwrap();
    check(&*storage);
    storage.checkpoint().unwrap();
    check(&*storage);
    for _ in 0..2 {
        (storage, _) = place.crash(storage);
        check(&*storage);
    }
    storage.close().unwrap();
    (storage, _) = place.reopen();
    check(&*storage);
    (storage, _) = place.lose_trees(storage);
    check(&*storage);
    // All but what comes with it, and the same once more.
    cut(&*storage, 41, entry(b"last", &[1]));
    cut(&*storage, 41, entry(b"really", &[]));
    (storage, _) = place.lose_trees(storage);
    let kept = storage.entries(41, 9).unwrap();
    assert_eq!(kept, [(41, Arc::from(&b"last"[..])), (42, Arc::from(&b"really"[..]))]);
    assert_eq!((storage.tally(&[0; 16]), storage.tally(&[1; 16])), (20, 22));
}

fn a_cut_that_no_log_can_have_is_refused_before_writing(mut place: impl Place) {
    let storage = place.create();
    put(&*storage, &[], (0..9u8).map(|number| entry(&[number], &[])).collect());
    cut(&*storage, 4, entry(b"cut", &[]));
    let head = storage.head();
    for (first, entries) in [(3, 1), (11, 1), (u64::MAX, 1), (10, 0)] {
        let entries = vec![entry(b"entry", &[]); entries];
        let refused = storage.commit(head, Batch { entries, cut: Some(first), ..Batch::default() });
        assert!(matches!(refused, Err(CommitError::NotCommitted(StorageError::Refused { .. }))), "{first}");
    }
    // Without an entry of its own, where one is left.
    let pending = storage.commit(head, Batch { cut: Some(9), ..Batch::default() }).unwrap();
    storage.settle(pending).unwrap();
    assert_eq!((storage.head().entries, storage.first_entry()), (10, 9));
    assert_eq!(storage.entries(9, 9).unwrap(), [(9, Arc::from(&b"cut"[..]))]);
}

fn after_a_failed_sync_nothing_is_done_before_reopening(mut place: impl Place) {
    let storage = place.create();
    put(&*storage, &[(b"a", Some(b"1"))], vec![]);
    super::super::fault::arm(super::super::fault::FileOp::Sync, 0, std::io::ErrorKind::Other);
    let failed = storage.commit(storage.head(), Batch { entries: vec![entry(b"entry", &[])], ..Batch::default() });
    assert!(matches!(failed, Err(CommitError::OutcomeUnknown(_))) && super::super::fault::disarm());
    assert!(matches!(storage.get(Tree::Records, b"a"), Err(StorageError::Poisoned { .. })));
    let again = storage.commit(storage.head(), Batch::default());
    assert!(matches!(again, Err(CommitError::NotCommitted(StorageError::Poisoned { .. }))));
    let (storage, _) = place.crash(storage);
    assert_eq!(get(&*storage, b"a").as_deref(), Some(&b"1"[..]));
}
