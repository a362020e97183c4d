use super::*;
use crate::storage::tests::{create, entry, get, open, put};

/// Keeps what it is told.
#[derive(Default)]
struct Noted {
    flaws: Vec<Flaw>,
    rows: u64,
    /// How often bytes of the journal were told.
    readings: u32,
    left: Option<u32>,
}

impl Examiner for Noted {
    fn found(&mut self, flaw: Flaw) {
        self.flaws.push(flaw);
    }

    fn passed(&mut self, examined: Examined, _total: u64) -> bool {
        self.rows = self.rows.max(examined.rows);
        self.readings += u32::from(examined.bytes > 0);
        self.left = self.left.map(|left| left.saturating_sub(1));
        self.left != Some(0)
    }
}

fn vault() -> (tempfile::TempDir, Embedded) {
    let dir = tempfile::tempdir().unwrap();
    let storage = create(dir.path());
    for number in 0..50u8 {
        put(&storage, &[(&[number, 7], Some(&[number; 100]))], vec![entry(&[number; 300], &[1])]);
    }
    put(&storage, &[(b"large", Some(&[5; 9000]))], vec![entry(&[6; 5000], &[])]);
    // Twice, so that the second state file is there as well.
    storage.checkpoint().unwrap();
    (dir, storage)
}

fn trees(storage: &Embedded) -> (TreesAre, Noted) {
    let mut noted = Noted::default();
    let are = storage.check_trees(None, &mut noted).unwrap();
    (are, noted)
}

#[test]
fn sound_trees_are_right_and_every_row_is_counted() {
    let (_dir, storage) = vault();
    let (are, noted) = trees(&storage);
    assert_eq!((are, noted.flaws, noted.rows), (TreesAre::Right, vec![], 51));
    let mut noted = Noted::default();
    assert!(storage.check_journal(&mut noted).unwrap());
    assert_eq!(noted.flaws, []);
}

#[test]
fn lost_changed_and_invented_rows_are_named_and_mended_although_they_were_compared_before() {
    type Change = (fn(&Trees), &'static [u8], &'static str);
    let changes: [Change; 4] = [
        (|trees| drop(trees.remove(Tree::Records, &[3, 7]).unwrap()), &[3, 7], "lost"),
        (
            |trees| drop(trees.insert(Tree::Records, &[3, 7], [&[1][..], &[4; 100]].concat()).unwrap()),
            &[3, 7],
            "changed",
        ),
        (|trees| drop(trees.insert(Tree::Records, b"ghost", vec![1, 2]).unwrap()), b"ghost", "nobody wrote"),
        (|trees| drop(trees.insert(Tree::Records, &[3, 7], vec![9]).unwrap()), &[3, 7], "changed"),
    ];
    for (change, key, word) in changes {
        let (dir, storage) = vault();
        assert_eq!(get(&storage, &[3, 7]).unwrap(), [3; 100]);
        change(&storage.inner.trees().unwrap());
        let (are, noted) = trees(&storage);
        assert_eq!(are, TreesAre::Mended);
        let [Flaw { place, what, severity: Severity::Mended }] = &noted.flaws[..] else { panic!("{:?}", noted.flaws) };
        assert_eq!(place, &FlawPlace::Row { tree: Tree::Records, key: key.to_vec() });
        assert!(what.contains(word), "{what}");
        assert!(storage.take_notice().is_some());
        assert_eq!(get(&storage, &[3, 7]).unwrap(), [3; 100]);
        assert_eq!(get(&storage, b"ghost"), None);
        assert_eq!(trees(&storage).0, TreesAre::Right);
        storage.close().unwrap();
        assert!(open(dir.path()).1.set_aside.is_some());
    }
}

#[test]
fn many_wrong_rows_are_all_named_by_one_mending() {
    let (_dir, storage) = vault();
    for number in (0..50).step_by(2) {
        storage.inner.trees().unwrap().remove(Tree::Records, &[number, 7]).unwrap();
    }
    let (are, noted) = trees(&storage);
    assert_eq!((are, noted.flaws.len()), (TreesAre::Mended, 25));
    assert_eq!(storage.inner.trees().unwrap().number, 2);
}

#[test]
fn a_pointer_that_leads_elsewhere_is_mended_though_the_digest_does_not_cover_it() {
    let (_dir, storage) = vault();
    for at in [8, 12] {
        let held = storage.inner.trees().unwrap();
        let mut row = held.get(Tree::Records, b"large").unwrap().unwrap().to_vec();
        row[at] ^= 1;
        held.insert(Tree::Records, b"large", row).unwrap();
        let (are, noted) = trees(&storage);
        assert_eq!((are, noted.flaws.len()), (TreesAre::Mended, 1), "{:?}", noted.flaws);
        assert_eq!(noted.flaws[0].severity, Severity::Mended);
        assert_eq!(get(&storage, b"large").unwrap(), [5; 9000]);
    }
}

#[test]
fn lost_and_broken_rows_of_the_log_are_named_by_their_first_entry_and_mended() {
    for place in [0_u64, 13, 50] {
        for breaks in [false, true] {
            let (_dir, storage) = vault();
            let held = storage.inner.trees().unwrap();
            let (key, _) = held.at_or_below(Tree::Audit, &place.to_be_bytes()).unwrap().unwrap();
            match breaks {
                true => drop(held.insert(Tree::Audit, &key, vec![1, 0]).unwrap()),
                false => drop(held.remove(Tree::Audit, &key).unwrap()),
            }
            drop(held);
            let (are, noted) = trees(&storage);
            assert_eq!(are, TreesAre::Mended);
            let at = FlawPlace::Row { tree: Tree::Audit, key: key.to_vec() };
            assert_eq!(noted.flaws.iter().map(|flaw| &flaw.place).collect::<Vec<_>>(), [&at]);
            assert_eq!(storage.entries(0, 99).unwrap().len(), 51);
        }
    }
}

#[test]
fn wrong_trees_over_a_broken_journal_are_told_and_do_not_stop_the_vault() {
    let (dir, storage) = vault();
    let path = dir.path().join("journal/0000000001.cvj");
    let mut bytes = std::fs::read(&path).unwrap();
    bytes[600] ^= 1;
    std::fs::write(&path, bytes).unwrap();
    storage.inner.trees().unwrap().remove(Tree::Records, &[3, 7]).unwrap();
    let (are, noted) = trees(&storage);
    assert_eq!((are, noted.flaws.len()), (TreesAre::Wrong, 2), "{:?}", noted.flaws);
    assert!(noted.flaws.iter().all(|flaw| flaw.severity == Severity::Grave));
    assert_eq!(get(&storage, &[40, 7]).unwrap(), [40; 100]);
    put(&storage, &[(b"more", Some(b"work"))], vec![]);
    // Whoever needs the wrong rows gets no answer rather than a wrong one.
    assert!(matches!(storage.get(Tree::Records, &[3, 7]), Err(StorageError::Damaged { .. })));
}

#[test]
fn a_check_that_is_told_to_end_ends() {
    let (_dir, storage) = vault();
    let told = |left| Noted { left: Some(left), ..Noted::default() };
    assert!(matches!(storage.check_trees(None, &mut told(3)), Err(StorageError::Closed)));
    assert!(matches!(storage.check_journal(&mut told(1)), Err(StorageError::Closed)));
    storage.close().unwrap();
    assert!(matches!(storage.check_trees(None, &mut Noted::default()), Err(StorageError::Closed)));
}

#[test]
fn a_scrub_reads_about_as_many_rows_as_it_may_and_ends_its_round() {
    let (_dir, storage) = vault();
    let (mut scrub, mut noted) = (Scrub::default(), Noted::default());
    let (mut steps, mut read) = (0, 0);
    loop {
        let (rows, ended) = storage.scrub(&mut scrub, 100, &mut noted).unwrap().unwrap();
        assert!(rows <= 100 + 50, "one bucket more at most: {rows}");
        (steps, read) = (steps + 1, read + rows);
        if ended {
            break;
        }
    }
    // Most of the 4,609 buckets are empty and count as a row.
    assert!((4_609..4_700).contains(&read) && steps > 40, "{read} {steps}");
    assert_eq!((scrub.examined().0, noted.flaws), (51, vec![]));
}

#[test]
fn a_scrub_mends_rows_and_tells_frames_while_others_write_and_compact() {
    let (dir, storage) = vault();
    let round = |noted: &mut Noted| {
        let mut scrub = Scrub::default();
        let mut step = 0_u8;
        while !storage.scrub(&mut scrub, 500, noted).unwrap().unwrap().1 {
            put(&storage, &[(&[step, 9], Some(&[step; 3000]))], vec![]);
            step += 1;
            if step == 3 {
                storage.compact(&mut |_| (), &|| true).unwrap();
                storage.remove_compacted(u64::MAX).unwrap();
            }
        }
    };
    for number in 0..40u8 {
        put(&storage, &[(&[number, 8], Some(&[number; 3000]))], vec![]);
    }
    let mut noted = Noted::default();
    round(&mut noted);
    assert_eq!(noted.flaws, []);
    storage.inner.trees().unwrap().remove(Tree::Records, &[3, 7]).unwrap();
    round(&mut noted);
    assert_eq!(noted.flaws.len(), 1, "{:?}", noted.flaws);
    assert_eq!(noted.flaws[0].severity, Severity::Mended);
    let name = |name: &String| name.starts_with("base-");
    let base = file::names(&dir.path().join("journal")).unwrap().into_iter().find(name).unwrap();
    let path = dir.path().join("journal").join(base);
    let mut bytes = std::fs::read(&path).unwrap();
    let large = bytes.windows(5_000).position(|window| window == [5; 5_000]).unwrap();
    bytes[large] ^= 1;
    std::fs::write(&path, bytes).unwrap();
    let mut noted = Noted::default();
    let mut scrub = Scrub::default();
    while !storage.scrub(&mut scrub, 500, &mut noted).unwrap().unwrap().1 {}
    // Before the large value's row would be built anew the journal is read as a whole.
    let frame = Flaw::at(path, 512, "a frame that does not match its hash");
    assert!(noted.flaws.contains(&frame), "{:?}", noted.flaws);
    let rest: Vec<_> = noted.flaws.iter().filter(|flaw| **flaw != frame).map(|flaw| &flaw.place).collect();
    assert_eq!(rest, [&FlawPlace::Row { tree: Tree::Records, key: b"large".to_vec() }]);
}

#[test]
fn a_scrub_that_cannot_mend_reads_the_whole_journal_once_a_round_and_not_for_each_wrong_row() {
    let (dir, storage) = vault();
    let path = dir.path().join("journal/0000000001.cvj");
    let mut bytes = std::fs::read(&path).unwrap();
    bytes[600] ^= 1;
    std::fs::write(&path, bytes).unwrap();
    for number in 0..20 {
        storage.inner.trees().unwrap().remove(Tree::Records, &[number, 7]).unwrap();
    }
    let (mut scrub, mut noted) = (Scrub::default(), Noted::default());
    while !storage.scrub(&mut scrub, 5, &mut noted).unwrap().unwrap().1 {}
    let wrong = noted.flaws.iter().filter(|flaw| matches!(flaw.place, FlawPlace::Rows { .. })).count();
    assert_eq!(wrong, 20);
    assert_eq!(noted.readings, 1);
}

#[test]
fn trees_that_turn_out_wrong_again_and_again_do_not_fill_the_disk() {
    let (dir, storage) = vault();
    for _ in 0..4 {
        storage.inner.trees().unwrap().remove(Tree::Records, &[3, 7]).unwrap();
        assert_eq!(trees(&storage).0, TreesAre::Mended);
    }
    let kept = trees::list(dir.path()).unwrap();
    assert_eq!(kept, [4, 5], "those in use, and the newest that were wrong");
    assert_eq!(get(&storage, &[3, 7]).unwrap(), [3; 100]);
    storage.close().unwrap();
    drop(storage);
    let (storage, opened) = open(dir.path());
    assert!(opened.set_aside.is_some());
    assert_eq!(get(&storage, &[3, 7]).unwrap(), [3; 100]);
}

#[test]
fn trees_are_not_mended_into_the_last_of_the_space() {
    let (_dir, storage) = vault();
    storage.inner.trees().unwrap().remove(Tree::Records, &[3, 7]).unwrap();
    crate::storage::fault::set_free(Some(storage.inner.options.keep_free + 1_000));
    let (are, noted) = trees(&storage);
    crate::storage::fault::set_free(None);
    assert_eq!(are, TreesAre::Wrong);
    assert!(noted.flaws.iter().any(|flaw| flaw.what.contains("no space left")), "{:?}", noted.flaws);
    assert_eq!(storage.inner.trees().unwrap().number, 1);
    assert_eq!(trees(&storage).0, TreesAre::Mended);
}

#[test]
fn checks_scrubs_compactions_checkpoints_and_damage_beside_writers_lose_nothing_and_never_wait_for_each_other() {
    use std::time::{Duration, Instant};

    let (dir, storage) = vault();
    let until = Instant::now() + Duration::from_millis(1_500);
    let work = |each: &dyn Fn()| {
        while Instant::now() < until {
            each();
        }
    };
    let written = AtomicU64::new(0);
    thread::scope(|scope| {
        scope.spawn(|| {
            work(&|| {
                let number = written.load(Ordering::Relaxed);
                let key = [&[200][..], &number.to_be_bytes()].concat();
                put(&storage, &[(&key, Some(&[number as u8; 2_000]))], vec![entry(&[1; 50], &[1])]);
                written.store(number + 1, Ordering::Relaxed);
            });
        });
        scope.spawn(|| {
            work(&|| {
                let lost = storage.inner.trees().and_then(|trees| trees.remove(Tree::Records, &[3, 7]));
                assert!(lost.is_ok());
                assert!(storage.check_trees(None, &mut Noted::default()).is_ok());
            });
        });
        scope.spawn(|| {
            let scrub = std::cell::RefCell::new(Scrub::default());
            work(&|| {
                let mut noted = Noted::default();
                let ended = storage.scrub(&mut scrub.borrow_mut(), 2_000, &mut noted).unwrap().unwrap().1;
                assert!(noted.flaws.iter().all(|flaw| flaw.severity == Severity::Mended), "{:?}", noted.flaws);
                if ended {
                    scrub.replace(Scrub::default());
                }
            });
        });
        scope.spawn(|| {
            work(&|| {
                storage.compact(&mut |_| (), &|| true).unwrap();
                storage.remove_compacted(u64::MAX).unwrap();
                assert!(storage.check_journal(&mut Noted::default()).unwrap());
            });
        });
        scope.spawn(|| {
            work(&|| {
                assert_eq!(get(&storage, &[40, 7]).unwrap(), [40; 100]);
                assert_eq!(storage.entries(3, 20).unwrap().len(), 20);
                storage.checkpoint().unwrap();
            });
        });
    });
    let written = written.load(Ordering::Relaxed);
    let holds = |storage: &Embedded| {
        for number in 0..written {
            let key = [&[200][..], &number.to_be_bytes()].concat();
            assert_eq!(get(storage, &key).unwrap(), [number as u8; 2_000], "{number} of {written}");
        }
        assert_eq!(get(storage, &[3, 7]).unwrap(), [3; 100]);
        assert_eq!(storage.entries(0, usize::MAX).unwrap().len() as u64, 51 + written);
    };
    assert!(written > 0);
    holds(&storage);
    storage.close().unwrap();
    drop(storage);
    holds(&open(dir.path()).0);
}

#[test]
fn a_scrub_counts_what_it_reads_of_the_journal_after_the_last_row_as_well() {
    let (_dir, storage) = vault();
    for number in 0..9u8 {
        put(&storage, &[(b"again", Some(&vec![number; 3 << 20]))], vec![]);
    }
    let (mut scrub, mut noted, mut spent) = (Scrub::default(), Noted::default(), 0);
    loop {
        let (rows, ended) = storage.scrub(&mut scrub, 200, &mut noted).unwrap().unwrap();
        spent += rows;
        if ended {
            break;
        }
    }
    let bytes = scrub.examined().1;
    assert!(bytes > 25 << 20 && spent >= bytes / 4096, "{spent} rows for {bytes} bytes");
}

#[test]
fn a_value_of_a_base_is_as_good_as_its_own_bytes_and_the_frame_around_it_is_told_by_the_journal() {
    let (dir, storage) = vault();
    for number in 0..40u8 {
        put(&storage, &[(&[number, 8], Some(&[number; 3000]))], vec![]);
    }
    storage.compact(&mut |_| (), &|| true).unwrap();
    storage.remove_compacted(u64::MAX).unwrap();
    let name = |name: &String| name.starts_with("base-");
    let base = file::names(&dir.path().join("journal")).unwrap().into_iter().find(name).unwrap();
    let path = dir.path().join("journal").join(base);
    let mut bytes = std::fs::read(&path).unwrap();
    // In the value of a small row.
    let small = bytes.windows(100).position(|window| window == [7; 100]).unwrap();
    bytes[small] ^= 1;
    std::fs::write(&path, bytes).unwrap();
    assert_eq!(get(&storage, b"large").unwrap(), [5; 9000]);
    let mut noted = Noted::default();
    assert!(!storage.check_journal(&mut noted).unwrap());
    assert_eq!(noted.flaws, [Flaw::at(path, 512, "a frame that does not match its hash")]);
}
