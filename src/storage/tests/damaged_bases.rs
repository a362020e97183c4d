//! Bases that were damaged, lost or exchanged: found, named, and never a wrong answer.

use super::compaction::{Seen, bases, compact, fill, journal_files, seen, trees_gone};
use super::*;
use crate::crypto::hash::HmacKey;
use crate::storage::journal::JournalId;
use crate::storage::journal::base::Base;

#[test]
fn a_base_without_its_successor_or_with_another_one_is_damage() {
    let dir = tempfile::tempdir().unwrap();
    let storage = create(dir.path());
    fill(&storage, 1);
    let old = compact(&storage).unwrap();
    let old_path = dir.path().join(format!("journal/base-{:010}.cvj", old.through));
    let old_base = std::fs::read(&old_path).unwrap();
    fill(&storage, 2);
    storage.close().unwrap();
    drop(storage);
    let copy = || {
        let copy = tempfile::tempdir().unwrap();
        copy_dir(dir.path(), copy.path());
        copy
    };
    let segments = |dir: &Path| -> Vec<_> {
        journal_files(dir).into_iter().filter(|name| name.ends_with(".cvj") && !name.starts_with("base")).collect()
    };
    // All segments gone, the first one gone, the base gone.
    let gone = copy();
    segments(gone.path()).iter().for_each(|name| std::fs::remove_file(gone.path().join("journal").join(name)).unwrap());
    let refused = try_open(gone.path()).map(drop);
    assert!(
        matches!(&refused, Err(StorageError::Damaged { segment, .. }) if segment.ends_with(old_path.file_name().unwrap()))
    );
    let gone = copy();
    std::fs::remove_file(gone.path().join("journal").join(&segments(gone.path())[0])).unwrap();
    assert!(matches!(try_open(gone.path()).map(drop), Err(StorageError::Damaged { .. })));
    let gone = copy();
    std::fs::remove_file(gone.path().join("journal").join(old_path.file_name().unwrap())).unwrap();
    assert!(matches!(try_open(gone.path()).map(drop), Err(StorageError::Damaged { .. })));
    // An older base in the place of a newer one.
    let (storage, _) = open(dir.path());
    let new = compact(&storage).unwrap();
    storage.close().unwrap();
    let new_path = dir.path().join(format!("journal/base-{:010}.cvj", new.through));
    for path in [&new_path, &old_path] {
        let older = copy();
        let path = older.path().join("journal").join(path.file_name().unwrap());
        bases(older.path()).iter().for_each(|through| {
            std::fs::remove_file(older.path().join(format!("journal/base-{through:010}.cvj"))).unwrap();
        });
        std::fs::write(path, &old_base).unwrap();
        assert!(matches!(try_open(older.path()).map(drop), Err(StorageError::Damaged { .. })));
    }
}

fn small_base() -> (tempfile::TempDir, Seen, std::path::PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let small = StorageOptions { segment_first: 4 << 10, segment_max: 4 << 10, inline_limit: 50, ..options() };
    let storage = Embedded::create(dir.path(), VAULT, keys(), small).unwrap();
    for number in 0..9u8 {
        let value = vec![number; if number % 3 == 0 { 90 } else { 20 }];
        put(&storage, &[(&[number % 5], Some(&value))], vec![entry(&[number; 40], &[number % 2])]);
    }
    put(&storage, &[(b"kept", Some(&[7; 300]))], vec![]);
    put(&storage, &[(b"roll", Some(&[8; 2_600]))], vec![]);
    let through = compact(&storage).unwrap().through;
    let before = seen(&storage);
    storage.close().unwrap();
    let path = dir.path().join(format!("journal/base-{through:010}.cvj"));
    (dir, before, path)
}

#[test]
fn every_changed_byte_and_every_cut_of_a_base_is_found() {
    let (dir, _, path) = small_base();
    let id = JournalId::new(dir.path(), VAULT, HmacKey::new(&[1; 32]));
    let state_key = HmacKey::new(&[2; 32]);
    let through = bases(dir.path())[0];
    let read = || Base::open(&id, through).and_then(|base| base.verify(&state_key, &mut |_| {}));
    let good = std::fs::read(&path).unwrap();
    read().unwrap();
    let is_typed = |found: Result<_, StorageError>, what: String| match found {
        Err(StorageError::Damaged { segment, offset, .. }) => {
            assert!(segment == path && offset <= good.len() as u64, "{what}");
        }
        found => panic!("{what}: {:?}", found.map(drop)),
    };
    // Each bit of a header and of a frame is flipped where these are parsed.
    for at in 0..good.len() {
        let mut bad = good.clone();
        bad[at] ^= 1 << (at % 8);
        std::fs::write(&path, bad).unwrap();
        is_typed(read(), format!("byte {at}"));
    }
    for len in (0..good.len()).step_by(3) {
        std::fs::write(&path, &good[..len]).unwrap();
        is_typed(read(), format!("length {len}"));
    }
    std::fs::write(&path, [&good[..], &[0; 8]].concat()).unwrap();
    is_typed(read(), "longer".into());
    let other = JournalId::new(dir.path(), VAULT, HmacKey::new(&[3; 32]));
    std::fs::write(&path, &good).unwrap();
    is_typed(Base::open(&other, through).map(|_| Default::default()), "another key".into());
}

/// With whole trees only what is kept in the base is read from it; without them all of it.
#[test]
fn a_damaged_base_never_gives_a_wrong_answer() {
    let (dir, before, path) = small_base();
    let good = std::fs::read(&path).unwrap();
    for at in (0..good.len()).step_by(97) {
        let mut bad = good.clone();
        bad[at] ^= 0x20;
        for anew in [false, true] {
            let copy = tempfile::tempdir().unwrap();
            copy_dir(dir.path(), copy.path());
            std::fs::write(copy.path().join("journal").join(path.file_name().unwrap()), &bad).unwrap();
            if anew {
                trees_gone(copy.path());
            }
            match try_open(copy.path()) {
                Err(error) => assert!(matches!(error, StorageError::Damaged { .. }), "{at}: {error}"),
                Ok((storage, _)) => {
                    assert!(!anew, "{at}");
                    for (key, value) in &before.rows {
                        match storage.get(Tree::Records, key) {
                            Ok(found) => assert_eq!(found.as_deref(), Some(&value[..]), "{at}"),
                            Err(error) => assert!(matches!(error, StorageError::Damaged { .. }), "{at}: {error}"),
                        }
                    }
                }
            }
        }
    }
}
