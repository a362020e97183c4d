//! Compaction into a base: nothing that is live is lost, wherever it is interrupted.

use std::io::ErrorKind;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use super::*;
use crate::storage::fault::{self, FileOp as Op};

pub(super) fn compact(storage: &Embedded) -> Option<Compacted> {
    let compacted = storage.compact(&mut |_| {}, &|| true).unwrap();
    storage.remove_compacted(u64::MAX).unwrap();
    compacted
}

pub(super) fn journal_files(dir: &Path) -> Vec<String> {
    crate::storage::file::names(&dir.join("journal")).unwrap()
}

pub(super) fn bases(dir: &Path) -> Vec<u64> {
    let of = |name: &String| name.strip_prefix("base-")?.strip_suffix(".cvj")?.parse().ok();
    journal_files(dir).iter().filter_map(of).collect()
}

/// Rows rewritten, deleted and left alone, small and large; entries small and large. Several closed segments.
pub(super) fn fill(storage: &Embedded, round: u8) {
    for number in 0..30u8 {
        let key = [number % 10, number];
        put(storage, &[(&key, Some(&[round; 900]))], vec![entry(&[round + 1; 200], &[number % 3])]);
        put(storage, &[(&[number % 10], Some(&[number; 5_000]))], vec![]);
        put(storage, &[(b"policy-like", Some(&[number; 10]))], vec![]);
    }
    put(storage, &[(&[3], None), (&[4, round], Some(b"")), (b"deleted", Some(&[1; 700]))], vec![]);
    put(storage, &[(b"deleted", None)], vec![entry(&[round; 6_000], &[1, 2])]);
    // Rows of a tree that no digest covers: written again, and deleted.
    for (key, value) in
        [(&b"tile"[..], Some(&[round; 5_000][..])), (&[round], Some(&[round; 90])), (&[round - 1], None)]
    {
        let old = storage.get(Tree::Log, key).unwrap();
        let write = storage.prepare(Tree::Log, key.into(), value.map(Arc::from), old.as_deref());
        let batch = Batch { writes: vec![write], entries: vec![], header_generation: 1, ..Batch::default() };
        let pending = storage.commit(storage.head(), batch).unwrap();
        storage.settle(pending).unwrap();
    }
}

/// What anybody can ask for.
#[derive(Debug, PartialEq)]
pub(super) struct Seen {
    pub(super) rows: Vec<(Vec<u8>, Vec<u8>)>,
    log: Vec<(Vec<u8>, Bytes)>,
    entries: Vec<(u64, Bytes)>,
    tallies: Vec<u64>,
    head: Head,
    last_entry: Option<Bytes>,
}

pub(super) fn seen(storage: &Embedded) -> Seen {
    Seen {
        rows: all(storage),
        log: storage.scan(Tree::Log, Scan { prefix: b"", after: None, limit: usize::MAX }).unwrap(),
        entries: storage.entries(0, usize::MAX).unwrap(),
        tallies: (0..4).map(|tag| storage.tally(&[tag; 16])).collect(),
        head: storage.head(),
        last_entry: storage.last_entry(),
    }
}

/// Opens with the trees as they are, and again with trees built anew.
fn check(dir: &Path, expected: &Seen, what: &str) {
    for anew in [false, true] {
        let copy = tempfile::tempdir().unwrap();
        copy_dir(dir, copy.path());
        if anew {
            trees_gone(copy.path());
        }
        let (storage, opened) = try_open(copy.path()).unwrap_or_else(|error| panic!("{what}: {error}"));
        assert_eq!(opened.rebuilt.is_some(), anew, "{what}: {opened:?}");
        assert!(seen(&storage) == *expected, "{what}, trees anew: {anew}");
        put(&storage, &[(b"after", Some(b"it"))], vec![]);
    }
}

pub(super) fn trees_gone(dir: &Path) {
    let ours = |name: &String| name.starts_with("sled-") || name.starts_with("state.");
    for name in crate::storage::file::names(dir).unwrap().into_iter().filter(ours) {
        let path = dir.join(name);
        if path.is_dir() { std::fs::remove_dir_all(path).unwrap() } else { std::fs::remove_file(path).unwrap() }
    }
}

#[test]
fn compaction_drops_what_is_dead_and_keeps_everything_else() {
    let dir = tempfile::tempdir().unwrap();
    let storage = create(dir.path());
    assert_eq!(compact(&storage), None);
    fill(&storage, 1);
    let before = seen(&storage);
    let compacted = compact(&storage).unwrap();
    assert!(compacted.bytes_after < compacted.bytes_before / 2, "{compacted:?}");
    assert_eq!(bases(dir.path()), [compacted.through]);
    assert!(!journal_files(dir.path()).contains(&"0000000001.cvj".to_owned()));
    assert!(seen(&storage) == before);
    assert_eq!(compact(&storage), None);
    storage.rebuild().unwrap();
    assert!(seen(&storage) == before);
    let crashed = tempfile::tempdir().unwrap();
    copy_dir(dir.path(), crashed.path());
    check(crashed.path(), &before, "after a crash");
    storage.close().unwrap();
    check(dir.path(), &before, "after closing");
    assert_eq!(open(dir.path()).1.compacted, None);
}

#[test]
fn a_base_replaces_the_base_before() {
    let dir = tempfile::tempdir().unwrap();
    let storage = create(dir.path());
    let mut through = 0;
    for round in 1..4 {
        fill(&storage, round);
        let before = seen(&storage);
        let compacted = compact(&storage).unwrap();
        assert!(compacted.through > through);
        through = compacted.through;
        assert_eq!(bases(dir.path()), [through]);
        assert!(seen(&storage) == before);
        check(dir.path(), &before, "round");
    }
}

#[test]
fn a_base_and_an_empty_segment_are_a_whole_journal() {
    let dir = tempfile::tempdir().unwrap();
    let storage = create(dir.path());
    for number in 0..20u8 {
        put(&storage, &[(&[number], Some(&[number; 2000]))], vec![entry(&[number; 9], &[1])]);
    }
    let before = seen(&storage);
    // A batch that does not fit starts a segment and is then refused by a full disk: the new segment stays empty.
    let large = storage.prepare(Tree::Records, b"large".to_vec().into(), Some(Bytes::from(vec![1; 60_000])), None);
    let batch = Batch { writes: vec![large], entries: vec![], header_generation: 1, ..Batch::default() };
    let pending = storage.commit(before.head, batch).unwrap();
    drop(storage);
    let segment = journal_files(dir.path()).into_iter().rfind(|name| name.ends_with(".cvj")).unwrap();
    let path = dir.path().join("journal").join(segment);
    let size = std::fs::metadata(&path).unwrap().len();
    let header = std::fs::read(&path).unwrap()[..512].to_vec();
    std::fs::write(&path, &header).unwrap();
    std::fs::OpenOptions::new().write(true).open(&path).unwrap().set_len(size).unwrap();
    trees_gone(dir.path());
    let (storage, _) = open(dir.path());
    assert_eq!(storage.head(), Head { seq: pending.seq - 1, ..before.head });
    assert_eq!(compact(&storage).unwrap().through, pending.seq - 1);
    let before = seen(&storage);
    check(dir.path(), &before, "crashed");
    drop(storage);
    check(dir.path(), &before, "dropped");
    let (storage, _) = open(dir.path());
    storage.close().unwrap();
    assert!(open(dir.path()).1.clean);
}

#[test]
fn a_compaction_that_fails_at_any_call_loses_nothing_and_can_be_tried_again() {
    let full = tempfile::tempdir().unwrap();
    let small = StorageOptions { segment_first: 8 << 10, segment_max: 8 << 10, inline_limit: 100, ..options() };
    let storage = Embedded::create(full.path(), VAULT, keys(), small).unwrap();
    for number in 0..16u8 {
        let value = vec![number; if number % 2 == 0 { 2_000 } else { 40 }];
        put(&storage, &[(&[number % 5], Some(&value))], vec![entry(&[number; 90], &[1])]);
        if number == 7 {
            compact(&storage).unwrap();
        }
    }
    let before = seen(&storage);
    storage.close().unwrap();
    drop(storage);
    for op in [Op::Open, Op::Read, Op::Write, Op::Sync, Op::Rename, Op::Remove] {
        for nth in 0.. {
            let dir = tempfile::tempdir().unwrap();
            copy_dir(full.path(), dir.path());
            let (storage, _) = open(dir.path());
            fault::arm(op, nth, ErrorKind::StorageFull);
            let done = storage.compact(&mut |_| {}, &|| true).and_then(|_| storage.remove_compacted(u64::MAX));
            let hit = fault::disarm();
            let what = format!("{op:?} {nth}: {done:?}");
            // As a crash right there would leave it, and as whoever goes on finds it.
            let crashed = tempfile::tempdir().unwrap();
            copy_dir(dir.path(), crashed.path());
            let (after, _) = try_open(crashed.path()).unwrap_or_else(|error| panic!("{what}: {error}"));
            assert!(seen(&after) == before, "{what}");
            assert!(!crashed.path().join("journal/base.tmp").exists(), "{what}");
            if !matches!(storage.get(Tree::Records, b"any"), Err(StorageError::Poisoned { .. })) {
                assert!(seen(&storage) == before, "{what}");
                compact(&storage);
                assert!(seen(&storage) == before, "{what}");
                assert_eq!(bases(dir.path()).len(), 1, "{what}");
            }
            if !hit {
                done.unwrap();
                break;
            }
        }
    }
}

#[test]
fn an_interrupted_compaction_is_found_by_opening_and_can_be_finished() {
    let dir = tempfile::tempdir().unwrap();
    let storage = create(dir.path());
    fill(&storage, 1);
    compact(&storage).unwrap();
    fill(&storage, 2);
    let before = seen(&storage);
    let compacted = storage.compact(&mut |_| {}, &|| true).unwrap().unwrap();
    assert!(seen(&storage) == before);
    assert_eq!(bases(dir.path()).len(), 2);
    drop(storage);
    std::fs::write(dir.path().join("journal/base.tmp"), b"half a base").unwrap();
    let untouched = tempfile::tempdir().unwrap();
    copy_dir(dir.path(), untouched.path());
    let (storage, opened) = open(dir.path());
    assert_eq!(opened.compacted, Some(compacted.through));
    // Nothing is removed before the log can tell of it: a crash here finds it all again.
    assert_eq!(bases(dir.path()).len(), 2);
    drop(storage);
    let (storage, opened) = open(dir.path());
    assert_eq!(opened.compacted, Some(compacted.through));
    storage.remove_compacted(u64::MAX).unwrap();
    assert_eq!(
        (bases(dir.path()), journal_files(dir.path()).contains(&"base.tmp".into())),
        (vec![compacted.through], false)
    );
    assert!(seen(&storage) == before);

    // A base that lost something by then does not make the files it covers superfluous.
    let path = untouched.path().join(format!("journal/base-{:010}.cvj", compacted.through));
    let mut bytes = std::fs::read(&path).unwrap();
    bytes[700] ^= 1;
    std::fs::write(&path, bytes).unwrap();
    let files = journal_files(untouched.path());
    let refused = try_open(untouched.path()).map(drop);
    assert!(
        matches!(&refused, Err(StorageError::Damaged { segment, offset: 512, .. }) if *segment == path),
        "{refused:?}"
    );
    assert_eq!(journal_files(untouched.path()).iter().filter(|name| name.ends_with(".cvj")).count(), files.len() - 1);
    // Without it, everything is as it was.
    std::fs::remove_file(path).unwrap();
    assert!(seen(&open(untouched.path()).0) == before);
}

#[test]
fn what_a_newer_base_covers_stays_until_the_log_tells_of_that_base() {
    let dir = tempfile::tempdir().unwrap();
    let storage = create(dir.path());
    fill(&storage, 1);
    let first = storage.compact(&mut |_| {}, &|| true).unwrap().unwrap();
    fill(&storage, 2);
    let second = storage.compact(&mut |_| {}, &|| true).unwrap().unwrap();
    let before = (seen(&storage), journal_files(dir.path()));
    // The log tells of the first one now.
    storage.remove_compacted(first.through).unwrap();
    assert_eq!(bases(dir.path()), [first.through, second.through]);
    assert_eq!(journal_files(dir.path()), before.1);
    let crashed = tempfile::tempdir().unwrap();
    copy_dir(dir.path(), crashed.path());
    assert_eq!(open(crashed.path()).1.compacted, Some(second.through));
    storage.remove_compacted(second.through).unwrap();
    assert_eq!(bases(dir.path()), [second.through]);
    // Who was first may come last.
    storage.remove_compacted(first.through).unwrap();
    assert!(seen(&storage) == before.0);
}

#[test]
fn the_largest_value_that_a_frame_holds_fits_a_base() {
    let dir = tempfile::tempdir().unwrap();
    let storage = create(dir.path());
    let largest: Vec<u8> = (0..(16 << 20) - 161_u32).map(|at| at as u8).collect();
    let too_large =
        storage.prepare(Tree::Records, b"largest".to_vec().into(), Some(Bytes::from(vec![1; (16 << 20) - 160])), None);
    let batch = Batch { writes: vec![too_large], entries: vec![], header_generation: 1, ..Batch::default() };
    assert!(matches!(storage.commit(storage.head(), batch), Err(CommitError::NotCommitted(_))));
    put(&storage, &[(b"largest", Some(&largest))], vec![]);
    put(&storage, &[(b"next", Some(&[1; 60_000]))], vec![]);
    compact(&storage).unwrap();
    assert!(get(&storage, b"largest").unwrap() == largest);
    storage.rebuild().unwrap();
    assert!(get(&storage, b"largest").unwrap() == largest);
}

#[test]
fn committers_and_readers_go_on_while_others_compact_and_rebuild() {
    let dir = tempfile::tempdir().unwrap();
    let options =
        StorageOptions { checkpoint_bytes: 20_000, segment_first: 8 << 10, segment_max: 16 << 10, ..options() };
    let storage = Embedded::create(dir.path(), VAULT, keys(), options).unwrap();
    let (running, order) = (AtomicBool::new(true), Mutex::new(()));
    std::thread::scope(|scope| {
        let committers = [0u8, 1].map(|thread| {
            let (storage, order) = (&storage, &order);
            scope.spawn(move || {
                for number in 0..200u8 {
                    let value = vec![number; if number % 5 == 0 { 5_000 } else { 300 }];
                    // Each key is written ten times.
                    let _held = order.lock().unwrap();
                    put(storage, &[(&[number % 20, thread], Some(&value))], vec![entry(&[1; 90], &[thread])]);
                }
            })
        });
        let readers = [0u8, 1].map(|thread| {
            let (storage, running) = (&storage, &running);
            scope.spawn(move || {
                while running.load(Ordering::Relaxed) {
                    for number in 0..20u8 {
                        if let Some(value) = get(storage, &[number, thread]) {
                            assert!(value[0] % 20 == number && value.iter().all(|byte| *byte == value[0]));
                        }
                    }
                    storage.entries(0, usize::MAX).unwrap();
                }
            })
        });
        let (storage, running) = (&storage, &running);
        let compacters = [0, 1].map(|which| {
            scope.spawn(move || {
                let mut done = 0;
                while running.load(Ordering::Relaxed) {
                    done += usize::from(compact(storage).is_some());
                    if which == 0 {
                        storage.rebuild().unwrap();
                    }
                }
                done
            })
        });
        committers.into_iter().for_each(|committer| committer.join().unwrap());
        running.store(false, Ordering::Relaxed);
        readers.into_iter().for_each(|reader| reader.join().unwrap());
        assert!(compacters.into_iter().map(|thread| thread.join().unwrap()).sum::<usize>() > 1);
    });
    let before = seen(&storage);
    assert_eq!((before.rows.len(), before.entries.len(), before.tallies[0]), (40, 400, 200));
    storage.close().unwrap();
    check(dir.path(), &before, "in the end");
}

/// The older state file is from before the base: what it would replay from is gone.
#[test]
fn a_state_from_before_the_base_means_a_rebuild() {
    let dir = tempfile::tempdir().unwrap();
    let storage = create(dir.path());
    storage.checkpoint().unwrap();
    fill(&storage, 1);
    compact(&storage).unwrap();
    let before = seen(&storage);
    drop(storage);
    let reasons: Vec<_> = ["state.a", "state.b"]
        .into_iter()
        .map(|name| {
            let copy = tempfile::tempdir().unwrap();
            copy_dir(dir.path(), copy.path());
            std::fs::write(copy.path().join(name), b"lost").unwrap();
            let (storage, opened) = open(copy.path());
            assert!(seen(&storage) == before);
            opened.rebuilt
        })
        .collect();
    assert!(reasons.contains(&None), "{reasons:?}");
    assert!(reasons.contains(&Some("the trees are older than the base of the journal")), "{reasons:?}");
}

/// A successor that is ready, but too small, stays where there is no space for a larger one.
#[test]
fn a_batch_that_finds_no_space_leaves_the_room_that_is_there() {
    let dir = tempfile::tempdir().unwrap();
    let storage = create(dir.path());
    for number in 0..12u8 {
        put(&storage, &[(&[number], Some(&[number; 4_000]))], vec![]);
    }
    storage.make_room(30_000, true).unwrap();
    assert!(storage.has_room(60_000, true));
    fault::set_free(Some(0));
    assert!(matches!(storage.make_room(200_000, true), Err(StorageError::DiskFull { .. })));
    assert!(storage.has_room(60_000, true) && !storage.has_room(60_000, false));
    let write = storage.prepare(Tree::Records, b"late".to_vec().into(), Some(Bytes::from(vec![1; 50_000])), None);
    let batch =
        Batch { writes: vec![write], entries: vec![entry(b"late", &[])], header_generation: 1, ..Batch::default() };
    let pending = storage.commit(storage.head(), batch).unwrap();
    assert!(matches!(storage.settle(pending), Err(StorageError::DiskFull { .. })));
    assert_eq!(get(&storage, b"late"), None);
    fault::set_free(None);
    storage.checkpoint().unwrap();
    assert_eq!(get(&storage, b"late").unwrap().len(), 50_000);
}

#[test]
fn a_compaction_ends_when_told_and_leaves_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let storage = create(dir.path());
    fill(&storage, 1);
    let files = journal_files(dir.path());
    for last in [0, 5, 100, 200] {
        let (steps, mut reports) = (std::cell::Cell::new(0), 0);
        let go_on = || {
            steps.set(steps.get() + 1);
            steps.get() <= last
        };
        let stopped = storage.compact(&mut |_| reports += 1, &go_on);
        assert!(matches!(stopped, Err(StorageError::Closed)), "{stopped:?}");
        assert_eq!((reports, journal_files(dir.path())), (last, files.clone()));
    }
    storage.close().unwrap();
    assert!(matches!(storage.compact(&mut |_| {}, &|| true), Err(StorageError::Closed)));
}
