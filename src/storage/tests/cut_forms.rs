//! The stored forms of a cut: kept in the repository as they were first written, and refused where they contradict
//! themselves, genuine or not.

use super::cuts::{check, cut_at, grow, read_elsewhere};
use super::*;
use crate::crypto::hash::HmacKey;
use crate::format::base::{BaseHeader, Item};
use crate::format::digest::Digest;
use crate::format::frame::{CUT_LEN, Entry, Frame, FrameHead, FrameKind, FrameWriter, HEAD_LEN, Link, put_cut};
use crate::format::state::Place;
use crate::storage::journal::JournalId;
use crate::storage::journal::base_writer::BaseWriter;

#[allow(dead_code, unreachable_pub)]
#[path = "../../../tests/support/golden.rs"]
mod golden;

/// A base behind a cut, a later cut in a segment, state files behind that.
const GOLDEN: &str = "tests/golden/cut/storage.zst";

fn kept_there() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(GOLDEN)
}

#[test]
#[ignore = "writes tests/golden/cut anew; only for a new version of the format"]
fn write_a_new_golden_cut() {
    let dir = tempfile::tempdir().unwrap();
    let storage = create(dir.path());
    grow(&storage, 200);
    cut_at(&storage, 150);
    storage.close_segment().unwrap();
    storage.compact(&mut |_| (), &|| true).unwrap().unwrap();
    storage.remove_compacted(u64::MAX).unwrap();
    grow(&storage, 230);
    cut_at(&storage, 210);
    storage.checkpoint().unwrap();
    storage.close().unwrap();
    drop(storage);
    let mut files = Vec::new();
    for below in ["", "journal", "sled-1"] {
        for name in file::names(&dir.path().join(below)).unwrap() {
            files.push(Path::new(below).join(name));
        }
    }
    files.retain(|name| dir.path().join(name).is_file());
    files.sort();
    golden::pack(dir.path(), &files, &kept_there());
}

#[test]
fn a_storage_that_was_cut_is_read_as_it_was_first_written() {
    for trees in [true, false] {
        let dir = tempfile::tempdir().unwrap();
        golden::unpack_from(&kept_there(), dir.path());
        for name in ["state.a", "state.b"] {
            assert_eq!(std::fs::read(dir.path().join(name)).unwrap()[8..10], [0, 2], "{name}");
        }
        if !trees {
            std::fs::remove_dir_all(dir.path().join("sled-1")).unwrap();
        }
        let (storage, opened) = open(dir.path());
        assert_eq!((opened.clean, opened.rebuilt.is_none()), (true, trees));
        assert_eq!(storage.head().entries, 231);
        check(&storage, 210, "golden");
        read_elsewhere(&storage, dir.path(), 150);
        grow(&storage, 240);
        check(&storage, 210, "and on");
    }
}

fn base_of(first_entry: u64, tallies: &[[u8; 16]]) -> Result<(), StorageError> {
    let dir = tempfile::tempdir().unwrap();
    let id = JournalId::new(dir.path(), VAULT, HmacKey::new(&[1; 32]));
    std::fs::create_dir(&id.dir).unwrap();
    let through = Place { seq: 9, hash: [1; 32], segment: 1, offset: 512 };
    let header = BaseHeader { vault: VAULT, through, header_generation: 1, first_entry };
    let mut writer = BaseWriter::create(&id, header)?;
    for (subject, number) in tallies.iter().zip(0..) {
        writer.item((9, number), &Item::Tally { subject: *subject, entries: 1 })?;
    }
    let state_key = HmacKey::new(&[2; 32]);
    writer.finish(&Digest::default(), &mut |base| base.verify(&state_key, &mut |_| ())).map(drop)
}

#[test]
fn a_base_counts_what_was_cut_once_for_each_subject_and_only_behind_a_cut() {
    base_of(5, &[[1; 16], [2; 16]]).unwrap();
    for (first, tallies) in [(0, &[[1; 16]][..]), (5, &[[1; 16], [1; 16]]), (5, &[[2; 16], [1; 16]])] {
        let refused = base_of(first, tallies);
        assert!(matches!(refused, Err(StorageError::Damaged { .. })), "{refused:?}");
    }
}

/// Appends a genuine frame with a cut and one entry to the only segment.
fn append_cut(dir: &Path, first: u64) {
    let (path, key) = (dir.join("journal/0000000001.cvj"), HmacKey::new(&[1; 32]));
    let mut segment = std::fs::read(&path).unwrap();
    let (mut at, mut seq, mut previous) = (512, 0, [0; 32]);
    while let Ok(head) = FrameHead::parse(&segment[at..at + HEAD_LEN]) {
        previous = Frame::parse(&segment[at..at + head.len], &key).unwrap().hash;
        (at, seq) = (at + head.len, head.seq);
    }
    let link = Link { seq: seq + 1, previous, header_generation: 1, kind: FrameKind::Commit };
    let mut frame = Vec::new();
    let mut writer = FrameWriter::new(&mut frame, &link, CUT_LEN + Entry::encoded_len(5, 0), 1).unwrap();
    put_cut(first, writer.writes());
    Entry::encode(b"entry", &[], writer.entries(1).unwrap()).unwrap();
    writer.finish(&key).unwrap();
    segment[at..at + frame.len()].copy_from_slice(&frame);
    std::fs::write(path, segment).unwrap();
}

#[test]
fn a_frame_that_cuts_what_was_never_there_or_puts_back_what_was_cut_is_damage() {
    let dir = tempfile::tempdir().unwrap();
    let storage = create(dir.path());
    grow(&storage, 50);
    cut_at(&storage, 20);
    drop(storage);
    for first in [0, 19, 20, 51, 52, u64::MAX] {
        let copy = tempfile::tempdir().unwrap();
        copy_dir(dir.path(), copy.path());
        append_cut(copy.path(), first);
        for trees in [true, false] {
            if !trees {
                std::fs::remove_dir_all(copy.path().join("sled-1")).unwrap();
            }
            match try_open(copy.path()) {
                Ok((storage, _)) => {
                    assert!((20..=51).contains(&first), "{first}");
                    assert_eq!((storage.first_entry(), storage.head().entries), (first, 52));
                }
                Err(error) => {
                    let what = "a cut of entries that were not there";
                    assert!(!(20..=51).contains(&first), "{first}");
                    assert!(matches!(error, StorageError::Damaged { what: said, .. } if said == what), "{error:?}");
                    break;
                }
            }
        }
    }
}
