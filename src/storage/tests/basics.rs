//! What callers rely on, and what only a directory has: segments, trees, places that are taken.

use super::*;

#[test]
fn everything_committed_survives_a_crash() {
    let dir = tempfile::tempdir().unwrap();
    let crashed = tempfile::tempdir().unwrap();
    let storage = create(dir.path());
    for number in 0..40u8 {
        put(&storage, &[(&[number, 1], Some(&[number; 50]))], vec![entry(&[number; 30], &[number % 3])]);
        if number == 20 {
            storage.checkpoint().unwrap();
        }
    }
    let write = storage.prepare(Tree::Records, b"unsettled".to_vec().into(), Some(Arc::from(&b"value"[..])), None);
    let batch = Batch { writes: vec![write], entries: vec![], header_generation: 1, ..Batch::default() };
    let _pending = storage.commit(storage.head(), batch).unwrap();
    copy_dir(dir.path(), crashed.path());
    let (after, opened) = open(crashed.path());
    assert!(!opened.clean && opened.rebuilt.is_none() && opened.replayed_frames == 20, "{opened:?}");
    assert_eq!(all(&after).len(), 41);
    assert_eq!(get(&after, b"unsettled").as_deref(), Some(&b"value"[..]));
    assert_eq!((after.head(), after.tally(&[1; 16])), (storage.head(), 13));
    assert_eq!(after.entries(0, 99).unwrap(), storage.entries(0, 99).unwrap());
    assert_eq!(after.entries(0, 99).unwrap().len(), 40);
}

#[test]
fn scans_are_ascending_bounded_and_follow_the_prefix() {
    let dir = tempfile::tempdir().unwrap();
    let storage = create(dir.path());
    let keys: Vec<Vec<u8>> = (0..60u8).map(|number| vec![number / 10, 0xFF, number]).collect();
    let rows: Vec<(&[u8], Option<&[u8]>)> = keys.iter().map(|key| (&key[..], Some(&key[..]))).collect();
    put(&storage, &rows, vec![]);
    put(&storage, &[(b"\xFF", Some(b"a")), (b"\xFF\xFF", Some(b"b")), (b"", Some(b"c"))], vec![]);
    let scan = |prefix, after, limit| storage.scan_keys(Tree::Records, Scan { prefix, after, limit }).unwrap();
    assert_eq!(scan(&[3, 0xFF], None, 99), keys[30..40]);
    assert_eq!(scan(&[3, 0xFF], Some(&keys[33]), 2), keys[34..36]);
    assert_eq!(scan(&[3], Some(&[1]), 1), keys[30..31]);
    assert_eq!(scan(&[3], Some(&[4]), 9), Vec::<Vec<u8>>::new());
    assert_eq!(scan(&[0xFF], None, 9), [&b"\xFF"[..], b"\xFF\xFF"]);
    assert_eq!(scan(b"", None, 99).len(), 63);
    assert_eq!(scan(b"", None, 1), [b""]);
    assert_eq!(scan(b"", None, 0).len(), 0);
    storage.close().unwrap();
    let (storage, _) = open(dir.path());
    let scan = Scan { prefix: &[3, 0xFF], after: Some(&keys[33]), limit: 2 };
    assert_eq!(storage.scan_keys(Tree::Records, scan).unwrap(), keys[34..36]);
    assert_eq!(all(&storage).len(), 63);
}

#[test]
fn overwrites_and_deletes_keep_the_digest() {
    let dir = tempfile::tempdir().unwrap();
    let storage = create(dir.path());
    put(&storage, &[(b"a", Some(b"1")), (b"b", Some(b"2"))], vec![]);
    put(&storage, &[(b"a", Some(b"3")), (b"b", None)], vec![]);
    storage.close().unwrap();
    let (storage, opened) = open(dir.path());
    assert_eq!(all(&storage), [(b"a".to_vec(), b"3".to_vec())]);
    assert!(opened.rebuilt.is_none());
    assert!(!dir.path().join("sled-2").exists());
}

#[test]
fn large_values_live_in_the_journal_and_come_back() {
    let dir = tempfile::tempdir().unwrap();
    let storage = create(dir.path());
    let large: Vec<u8> = (0..100_000u32).map(|number| number as u8).collect();
    for number in 0..5u8 {
        let value = &large[usize::from(number)..];
        put(&storage, &[(&[number], Some(value)), (&[number, 1], Some(&value[..4097]))], vec![]);
    }
    put(&storage, &[(&[3], Some(&large[..5000]))], vec![]);
    let check = |storage: &Embedded| {
        assert_eq!(get(storage, &[0]).unwrap(), large);
        assert_eq!(get(storage, &[3]).unwrap(), large[..5000]);
        assert_eq!(get(storage, &[4, 1]).unwrap(), large[4..4101]);
        assert_eq!(all(storage).len(), 10);
    };
    check(&storage);
    storage.close().unwrap();
    let (storage, opened) = open(dir.path());
    assert!(opened.clean && opened.rebuilt.is_none());
    check(&storage);
    assert_eq!(storage.take_notice(), None);
    storage.rebuild().unwrap();
    check(&storage);
    assert!(storage.take_notice().is_some_and(|notice| notice.contains("built anew")));
    assert_eq!(storage.take_notice(), None);
}

#[test]
fn packs_and_tallies_go_on_across_reopening_and_crashes() {
    let dirs: Vec<_> = (0..6).map(|_| tempfile::tempdir().unwrap()).collect();
    let mut storage = create(dirs[0].path());
    let mut expected = Vec::new();
    for round in 0..5 {
        for number in 0..30u8 {
            let len = if number == 17 { 5000 } else { 200 + usize::from(number) };
            let bytes = vec![number; len];
            put(&storage, &[], vec![entry(&bytes, &[number % 2]), entry(b"second", &[])]);
            expected.extend([bytes, b"second".to_vec()]);
        }
        if round % 2 == 0 {
            storage.checkpoint().unwrap();
        }
        copy_dir(dirs[round].path(), dirs[round + 1].path());
        storage = open(dirs[round + 1].path()).0;
        let entries = storage.entries(0, usize::MAX).unwrap();
        assert_eq!(
            entries.iter().map(|(seq, _)| *seq).collect::<Vec<_>>(),
            (0..expected.len() as u64).collect::<Vec<_>>()
        );
        assert!(entries.iter().zip(&expected).all(|((_, found), expected)| **found == **expected));
        assert_eq!(storage.tally(&[1; 16]), 15 * (round as u64 + 1));
        assert_eq!(storage.last_entry().unwrap().to_vec(), b"second");
    }
    let some = storage.entries(17, 40).unwrap();
    assert_eq!((some.len(), some[0].0, some[39].0), (40, 17, 56));
    assert_eq!(storage.entries(expected.len() as u64, 5).unwrap(), []);
    assert_eq!(storage.entries(u64::MAX, 5).unwrap(), []);
}

#[test]
fn segments_roll_and_are_read_back_in_order() {
    let dir = tempfile::tempdir().unwrap();
    let crashed = tempfile::tempdir().unwrap();
    let storage = create(dir.path());
    for number in 0..120u8 {
        put(&storage, &[(&[number], Some(&[number; 2000]))], vec![]);
    }
    // A frame larger than a whole segment gets a segment of its own size.
    put(&storage, &[(b"large", Some(&[9; 200_000]))], vec![]);
    put(&storage, &[(b"after", Some(b"it"))], vec![]);
    let segments = std::fs::read_dir(dir.path().join("journal")).unwrap();
    let segments = segments.filter(|file| file.as_ref().unwrap().path().extension().unwrap() == "cvj").count();
    assert!(segments >= 5, "{segments}");
    assert_eq!(storage.head().seq, 122 + segments as u64 - 1);
    copy_dir(dir.path(), crashed.path());
    for path in [crashed.path(), dir.path()] {
        if path == dir.path() {
            storage.close().unwrap();
        }
        let (after, _) = open(path);
        assert_eq!((after.head(), all(&after).len()), (storage.head(), 122));
        assert_eq!(get(&after, b"large").unwrap(), [9; 200_000]);
    }
}

#[test]
fn a_place_that_holds_something_is_not_overwritten() {
    let dir = tempfile::tempdir().unwrap();
    drop(create(dir.path()));
    assert!(matches!(Embedded::create(dir.path(), VAULT, keys(), options()), Err(StorageError::AlreadyExists { .. })));
    let empty = tempfile::tempdir().unwrap();
    assert!(matches!(try_open(empty.path()), Err(StorageError::NotAVault { .. })));
    let other = Embedded::open(dir.path(), VaultId::from_bytes([8; 16]), keys(), options(), 1, &mut |_| {});
    assert!(matches!(other, Err(StorageError::OtherVault { .. })));
}

#[test]
fn an_older_header_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let storage = create(dir.path());
    let pending = storage.commit(storage.head(), Batch { header_generation: 5, ..Batch::default() }).unwrap();
    storage.settle(pending).unwrap();
    drop(storage);
    for closed in [false, true] {
        let opened = |generation| Embedded::open(dir.path(), VAULT, keys(), options(), generation, &mut |_| {});
        assert!(matches!(opened(4), Err(StorageError::HeaderRolledBack { header: 4, journal: 5 })));
        let (storage, opened) = opened(5).unwrap();
        assert_eq!((opened.clean, opened.header_generation), (closed, 5));
        storage.close().unwrap();
    }
}

#[test]
fn a_vault_in_use_is_neither_opened_nor_touched() {
    let dir = tempfile::tempdir().unwrap();
    let storage = create(dir.path());
    put(&storage, &[(b"a", Some(b"1"))], vec![]);
    assert!(matches!(try_open(dir.path()).map(drop), Err(StorageError::InUse { .. })));
    assert!(!dir.path().join("sled-2").exists());
    put(&storage, &[(b"b", Some(b"2"))], vec![]);
    storage.close().unwrap();
    assert_eq!(all(&open(dir.path()).0).len(), 2);
}

#[test]
fn runs_that_end_before_their_first_checkpoint_do_not_pile_up_frames_to_replay() {
    let dir = tempfile::tempdir().unwrap();
    let due = StorageOptions { checkpoint_bytes: 50_000, ..options() };
    let state = |name| std::fs::read(dir.path().join(name)).ok();
    drop(Embedded::create(dir.path(), VAULT, keys(), due).unwrap());
    for run in 0..2u8 {
        let before = (state("state.a"), state("state.b"));
        let (storage, _) = Embedded::open(dir.path(), VAULT, keys(), due, 1, &mut |_| {}).unwrap();
        put(&storage, &[(&[run], Some(&[run; 30_000]))], vec![]);
        // Dropping waits for a checkpoint that is under way.
        drop(storage);
        assert_eq!((state("state.a"), state("state.b")) != before, run == 1, "run {run}");
    }
}

#[test]
fn only_records_stand_in_the_journal_alone() {
    let (usual, sealed) = (StorageOptions::default(), 348);
    let inline = |options: StorageOptions, len| Tree::ALL.map(|tree| options.is_inline(tree, len));
    let records = |held: bool| Tree::ALL.map(|tree| tree != Tree::Records || held);
    assert_eq!(inline(usual, sealed), records(false));
    assert_eq!(inline(StorageOptions { inline_limit: 4_096, ..usual }, sealed), records(true));
    assert_eq!(inline(StorageOptions { inline_limit: usize::MAX, ..usual }, 4_097), [false; 6]);
}
