//! Entries that were cut: gone for every reader, gone from the files after a compaction, and nothing else gone with them.

use std::collections::BTreeSet;
use std::io::ErrorKind;

use super::*;
use crate::storage::fault::{self, FileOp as Op};
use crate::storage::flaw::{Examined, Examiner, Flaw, TreesAre};

const CUT: u64 = 150;

/// Told apart by their number, some of them rows of their own.
fn bytes_of(number: u64) -> Vec<u8> {
    let mark = format!("<entry {number}>").into_bytes();
    mark.repeat(if number % 31 == 30 { 400 } else { 1 + number as usize % 20 })
}

fn numbered(number: u64) -> SealedEntry {
    entry(&bytes_of(number), &[number as u8 % 3])
}

/// Entries up to this number, a few in each commit, with rows.
pub(super) fn grow(storage: &dyn Storage, to: u64) {
    while storage.head().entries < to {
        let from = storage.head().entries;
        let entries = (from..to.min(from + 7)).map(numbered).collect();
        put(storage, &[(&from.to_be_bytes(), Some(b"row"))], entries);
    }
}

/// Everything below `first` refused, everything from there on as it was written, counts of all.
pub(super) fn check(storage: &dyn Storage, first: u64, what: &str) {
    let entries = storage.head().entries;
    assert_eq!(storage.first_entry(), first, "{what}");
    let kept = storage.entries(first, usize::MAX).unwrap();
    assert!(kept.iter().map(|(number, _)| *number).eq(first..entries), "{what}");
    kept.iter().for_each(|(number, found)| assert_eq!(found[..], bytes_of(*number)[..], "{what}"));
    for from in (first..entries).step_by(13) {
        assert_eq!(storage.entries(from, 1).unwrap()[0].0, from, "{what}");
    }
    if first > 0 {
        let pruned = |from| matches!(storage.entries(from, 9), Err(StorageError::Pruned { first: at }) if at == first);
        assert!(pruned(0) && pruned(first - 1), "{what}");
    }
    for subject in 0..3 {
        let named = (0..entries).filter(|number| *number as u8 % 3 == subject).count() as u64;
        assert_eq!(storage.tally(&[subject; 16]), named, "{what}");
    }
}

/// The cut, in the commit of the entry that comes next.
pub(super) fn cut_at(storage: &dyn Storage, first: u64) {
    cut(storage, first, numbered(storage.head().entries));
}

fn compact(storage: &dyn Storage) {
    storage.close_segment().unwrap();
    storage.compact(&mut |_| (), &|| true).unwrap().unwrap();
    storage.remove_compacted(u64::MAX).unwrap();
}

/// The numbers of all entries whose bytes stand in a file.
fn found_in(dir: &Path, numbers: impl Iterator<Item = u64>) -> Vec<u64> {
    fn files(dir: &Path, into: &mut Vec<Vec<u8>>) {
        for file in std::fs::read_dir(dir).unwrap().map(Result::unwrap) {
            match file.file_type().unwrap().is_dir() {
                true => files(&file.path(), into),
                false => into.push(std::fs::read(file.path()).unwrap()),
            }
        }
    }
    let mut all = Vec::new();
    files(dir, &mut all);
    let marks = all.iter().flat_map(|file| file.split(|byte| *byte == b'<')).filter_map(|rest| {
        let digits = rest.strip_prefix(b"entry ")?.split(|byte| *byte == b'>').next()?;
        str::from_utf8(digits).ok()?.parse::<u64>().ok()
    });
    let held: BTreeSet<u64> = marks.collect();
    numbers.filter(|number| held.contains(number)).collect()
}

#[derive(Default)]
struct Findings(Vec<Flaw>);

impl Examiner for Findings {
    fn found(&mut self, flaw: Flaw) {
        self.0.push(flaw);
    }
    fn passed(&mut self, _: Examined, _: u64) -> bool {
        true
    }
}

fn sound(storage: &dyn Storage) {
    let mut findings = Findings::default();
    assert!(storage.check_journal(&mut findings).unwrap(), "{:?}", findings.0);
    assert_eq!(storage.check_trees(Some(true), &mut findings).unwrap(), TreesAre::Right);
    assert!(findings.0.is_empty(), "{:?}", findings.0);
}

#[test]
fn a_cut_anywhere_in_the_packs_leaves_what_comes_behind() {
    for first in (0..200).step_by(9).chain([30, 31, 61, 62, 199, 200]) {
        let dir = tempfile::tempdir().unwrap();
        let storage = create(dir.path());
        grow(&storage, 200);
        cut_at(&storage, first);
        check(&storage, first, "cut");
        storage.checkpoint().unwrap();
        sound(&storage);
        check(&storage, first, "swept");
        storage.rebuild().unwrap();
        check(&storage, first, "built anew");
        grow(&storage, 230);
        compact(&storage);
        check(&storage, first, "compacted");
        storage.rebuild().unwrap();
        check(&storage, first, "built from the base");
        grow(&storage, 260);
        sound(&storage);
        drop(storage);
        let (storage, opened) = open(dir.path());
        assert_eq!(opened.rebuilt, None);
        check(&storage, first, "opened");
        storage.close().unwrap();
        drop(storage);
        for name in file::names(dir.path()).unwrap().iter().filter(|name| name.starts_with("sled-")) {
            // Older ones are being removed.
            match std::fs::remove_dir_all(dir.path().join(name)) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => panic!("{error}"),
                _ => {}
            }
        }
        let (storage, opened) = open(dir.path());
        assert!(opened.clean && opened.rebuilt.is_some());
        check(&storage, first, "built from the base at opening");
        sound(&storage);
    }
}

/// Rows of trees that never held the entries that were cut begin elsewhere, and the open pack with them.
#[test]
fn packs_that_begin_elsewhere_in_new_trees_go_on_without_a_gap() {
    let small = |number: u64| entry(format!("<{number:0>0$}>", 90 + number as usize % 7).as_bytes(), &[]);
    for first in (3..40).step_by(4) {
        let dir = tempfile::tempdir().unwrap();
        let storage = create(dir.path());
        let grow = |to: u64| {
            for number in storage.head().entries..to {
                put(&storage, &[], vec![small(number)]);
            }
        };
        let whole = || {
            let kept = storage.entries(first, usize::MAX).unwrap();
            let expected = (first..storage.head().entries).map(|number| (number, Arc::from(small(number).bytes)));
            assert!(kept.into_iter().eq(expected), "{first}");
            for from in first..storage.head().entries {
                assert_eq!(storage.entries(from, 1).unwrap()[0].0, from, "{first}");
            }
        };
        grow(150);
        cut(&storage, first, small(150));
        compact(&storage);
        storage.renew_trees().unwrap();
        whole();
        storage.rebuild().unwrap();
        whole();
        grow(220);
        whole();
        sound(&storage);
        assert_eq!(
            storage.take_notice(),
            Some("the trees turned out wrong while the vault was open, and were built anew")
        );
        assert_eq!(storage.take_notice(), None);
    }
}

#[test]
fn after_a_compaction_no_file_holds_what_was_cut() {
    let dir = tempfile::tempdir().unwrap();
    let storage = create(dir.path());
    grow(&storage, 200);
    assert!(!storage.holds_cut());
    cut_at(&storage, CUT);
    assert!(storage.holds_cut());
    assert_eq!(found_in(dir.path(), 0..CUT).len() as u64, CUT, "the journal has them until then");
    compact(&storage);
    assert!(storage.holds_cut(), "the trees' own files may");
    storage.renew_trees().unwrap();
    assert!(!storage.holds_cut());
    assert_eq!(found_in(dir.path(), 0..CUT), Vec::<u64>::new());
    check(&storage, CUT, "compacted");
    grow(&storage, 210);
    cut_at(&storage, 205);
    compact(&storage);
    drop(storage);
    let (storage, _) = open(dir.path());
    assert!(storage.holds_cut());
    storage.renew_trees().unwrap();
    assert_eq!(found_in(dir.path(), 0..205), Vec::<u64>::new());
    check(&storage, 205, "cut twice");
}

#[test]
fn rows_that_were_cut_go_a_few_at_a_time_and_all_of_them_with_a_checkpoint() {
    let dir = tempfile::tempdir().unwrap();
    let storage = create(dir.path());
    grow(&storage, 400);
    let rows = || {
        let mut firsts = Vec::new();
        let visit = |key: &[u8], _: &[u8]| {
            firsts.push(u64::from_be_bytes(key.try_into().unwrap()));
            true
        };
        storage.trees_for_tests().visit(Tree::Audit, &[], None, visit).unwrap();
        firsts
    };
    cut_at(&storage, 350);
    assert!(rows()[0] < 350, "more rows than go at once");
    check(&storage, 350, "cut");
    storage.checkpoint().unwrap();
    assert_eq!(rows()[0], 350);
    check(&storage, 350, "swept");
}

#[test]
fn what_was_cut_counts_as_garbage_until_a_compaction_leaves_it_out() {
    let dir = tempfile::tempdir().unwrap();
    let storage = create(dir.path());
    grow(&storage, 1_500);
    storage.close_segment().unwrap();
    assert!(!storage.compaction_due().unwrap());
    cut_at(&storage, 1_450);
    storage.checkpoint().unwrap();
    assert!(storage.compaction_due().unwrap());
    // Not the segment with the cut: nothing of it is gone then.
    storage.compact(&mut |_| (), &|| true).unwrap().unwrap();
    storage.remove_compacted(u64::MAX).unwrap();
    storage.close_segment().unwrap();
    assert!(storage.compaction_due().unwrap());
    let compacted = storage.compact(&mut |_| (), &|| true).unwrap().unwrap();
    storage.remove_compacted(u64::MAX).unwrap();
    assert_eq!(compacted.entries, 51);
    grow(&storage, 1_501);
    storage.close_segment().unwrap();
    assert!(!storage.compaction_due().unwrap());
    check(&storage, 1_450, "compacted");
}

/// Written from the pages alone; opens no entry here, since these are none.
const READER: &str = r#"
import sys
sys.path.insert(0, sys.argv[1])
import read_vault
class Keys: journal, state = bytes([1] * 32), bytes([2] * 32)
journal = read_vault.Journal(sys.argv[2], bytes([7] * 16), Keys)
counts = dict(journal.tallies)
for _, tags in journal.entries:
    for tag in tags: counts[tag] = counts.get(tag, 0) + 1
skip = journal.first - journal.begins
kept = read_vault.H(b"".join(entry for entry, _ in journal.entries[skip:])).hex()
print(journal.begins, journal.first, journal.begins + len(journal.entries), *(counts[bytes([n] * 16)] for n in range(3)), kept)
"#;

/// Whether a reader in another language finds the same log; nothing where it cannot run.
pub(super) fn read_elsewhere(storage: &dyn Storage, dir: &Path, begins: u64) {
    let reader = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/interop");
    let run = |code: &str| {
        let mut python = std::process::Command::new("python3");
        python.env("PYTHONDONTWRITEBYTECODE", "1").args(["-c", code]).arg(&reader).arg(dir).output()
    };
    if !run("from cryptography.hazmat.primitives.kdf.argon2 import Argon2id").is_ok_and(|out| out.status.success()) {
        return println!("skipped: there is no python3 with the package cryptography and its Argon2id");
    }
    let out = run(READER).unwrap();
    let (first, next) = (storage.first_entry(), storage.head().entries);
    let kept: Vec<u8> =
        storage.entries(first, usize::MAX).unwrap().iter().flat_map(|(_, entry)| entry.to_vec()).collect();
    let hash = data_encoding::HEXLOWER.encode(&crate::crypto::hash::sha256(&[&kept]));
    let [a, b, c] = [0, 1, 2].map(|subject| storage.tally(&[subject; 16]));
    let said = String::from_utf8_lossy(&out.stdout);
    assert_eq!(
        said.trim(),
        format!("{begins} {first} {next} {a} {b} {c} {hash}"),
        "{}",
        String::from_utf8_lossy(&out.stderr)
    );
}

#[test]
fn a_reader_in_another_language_finds_the_log_behind_a_cut() {
    let dir = tempfile::tempdir().unwrap();
    let storage = create(dir.path());
    grow(&storage, 200);
    read_elsewhere(&storage, dir.path(), 0);
    cut_at(&storage, CUT);
    storage.checkpoint().unwrap();
    read_elsewhere(&storage, dir.path(), 0);
    compact(&storage);
    read_elsewhere(&storage, dir.path(), CUT);
    grow(&storage, 220);
    cut_at(&storage, 210);
    read_elsewhere(&storage, dir.path(), CUT);
    compact(&storage);
    storage.close().unwrap();
    drop(storage);
    let (storage, _) = open(dir.path());
    read_elsewhere(&storage, dir.path(), 210);
}

/// Grows, cuts, checkpoints, compacts, builds anew; whatever fails, gives which cut was acknowledged.
fn script(dir: &Path) -> (u64, u64) {
    let (mut first, mut entries) = (0, 0);
    let mut run = || -> Result<(), StorageError> {
        let (storage, _) = try_open(dir)?;
        entries = storage.head().entries;
        for at in [CUT, CUT + 30] {
            let batch = Batch { entries: vec![numbered(entries)], cut: Some(at), ..Batch::default() };
            let Ok(pending) = storage.commit(storage.head(), batch) else { return Err(StorageError::Closed) };
            (first, entries) = (at, entries + 1);
            storage.settle(pending)?;
            storage.checkpoint()?;
            storage.close_segment()?;
            storage.compact(&mut |_| (), &|| true)?;
            storage.remove_compacted(u64::MAX)?;
        }
        storage.renew_trees()?;
        storage.close()
    };
    let _ = run();
    (first, entries)
}

#[test]
fn a_cut_that_fails_at_any_call_is_there_or_not_as_a_whole() {
    let before = tempfile::tempdir().unwrap();
    let storage = create(before.path());
    grow(&storage, 200);
    drop(storage);
    for (op, step) in [(Op::Open, 1), (Op::Write, 1), (Op::Sync, 1), (Op::Rename, 1), (Op::Remove, 1), (Op::Read, 4)] {
        for nth in (0..).step_by(step) {
            let dir = tempfile::tempdir().unwrap();
            copy_dir(before.path(), dir.path());
            fault::arm(op, nth, ErrorKind::Other);
            let (first, entries) = script(dir.path());
            let hit = fault::disarm();
            let (storage, _) = open(dir.path());
            let (begins, ends) = (storage.first_entry(), storage.head().entries);
            let next = if first == 0 { CUT } else { CUT + 30 };
            assert!((begins, ends) == (first, entries.max(200)) || (begins, ends) == (next, entries.max(200) + 1));
            check(&storage, begins, &format!("{op:?} {nth}"));
            storage.close_segment().unwrap();
            storage.compact(&mut |_| (), &|| true).unwrap();
            storage.remove_compacted(u64::MAX).unwrap();
            storage.renew_trees().unwrap();
            check(&storage, begins, &format!("{op:?} {nth}, compacted"));
            assert_eq!(found_in(dir.path(), 0..begins), Vec::<u64>::new(), "{op:?} {nth}");
            if !hit {
                assert_eq!((first, entries), (CUT + 30, 202));
                break;
            }
        }
    }
}

#[test]
fn reading_goes_on_while_entries_are_cut() {
    let dir = tempfile::tempdir().unwrap();
    let storage = create(dir.path());
    grow(&storage, 600);
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                let mut from = 0;
                while from < 600 {
                    match storage.entries(from, 5) {
                        Ok(found) => {
                            assert!(found.iter().zip(from..).all(|((number, _), expected)| *number == expected));
                            found.iter().for_each(|(number, found)| assert_eq!(found[..], bytes_of(*number)[..]));
                            from += found.len() as u64;
                        }
                        Err(StorageError::Pruned { first }) => from = first,
                        Err(error) => panic!("{error:?}"),
                    }
                }
            });
        }
        for first in (10..600).step_by(10) {
            cut_at(&storage, first);
            if first % 100 == 0 {
                compact(&storage);
                storage.renew_trees().unwrap();
            }
        }
    });
    check(&storage, 590, "cut");
    assert!(storage.take_notice().is_none(), "nothing was taken for lost");
}
