//! Starting a new segment, interrupted anywhere.

use super::*;
use crate::crypto::hash::HmacKey;
use crate::format::segment::SegmentHeader;
use crate::storage::journal::{JournalId, segment};

fn journal(dir: &Path, number: u64) -> std::path::PathBuf {
    dir.join(format!("journal/{number:010}.cvj"))
}

/// A crashed vault of three segments.
fn three_segments() -> tempfile::TempDir {
    let live = tempfile::tempdir().unwrap();
    let dir = tempfile::tempdir().unwrap();
    let storage = create(live.path());
    for number in 0..80u8 {
        put(&storage, &[(&[number], Some(&[number; 2000]))], vec![]);
    }
    copy_dir(live.path(), dir.path());
    assert!(journal(dir.path(), 3).exists() && !journal(dir.path(), 4).exists());
    dir
}

#[test]
fn a_missing_segment_is_damage() {
    for missing in 1..=3 {
        let dir = three_segments();
        std::fs::remove_file(journal(dir.path(), missing)).unwrap();
        let opened = try_open(dir.path()).map(drop);
        assert!(matches!(opened, Err(StorageError::Damaged { .. })), "{missing}: {opened:?}");
    }
    let dir = three_segments();
    (1..=3).for_each(|number| std::fs::remove_file(journal(dir.path(), number)).unwrap());
    assert!(matches!(try_open(dir.path()).map(drop), Err(StorageError::NotAVault { .. })));
}

#[test]
fn exchanged_segments_are_damage() {
    let dir = three_segments();
    std::fs::rename(journal(dir.path(), 1), dir.path().join("aside")).unwrap();
    std::fs::rename(journal(dir.path(), 2), journal(dir.path(), 1)).unwrap();
    std::fs::rename(dir.path().join("aside"), journal(dir.path(), 2)).unwrap();
    assert!(matches!(try_open(dir.path()).map(drop), Err(StorageError::Damaged { .. })));
}

#[test]
fn an_older_copy_of_the_last_segment_is_noticed() {
    let dir = tempfile::tempdir().unwrap();
    let storage = create(dir.path());
    put(&storage, &[(b"a", Some(b"1"))], vec![]);
    let older = std::fs::read(journal(dir.path(), 1)).unwrap();
    put(&storage, &[(b"b", Some(b"2"))], vec![]);
    storage.close().unwrap();
    std::fs::write(journal(dir.path(), 1), older).unwrap();
    assert!(matches!(
        try_open(dir.path()).map(drop),
        Err(StorageError::Damaged { .. } | StorageError::JournalBehind { .. })
    ));
}

/// The successor is in place, but the seal was not written, or only partly.
#[test]
fn an_interrupted_roll_is_undone() {
    for (seal, size) in [0usize, 24, 56, 144, 152].into_iter().flat_map(|seal| [(seal, 20), (seal, 40), (seal, 90)]) {
        let dir = tempfile::tempdir().unwrap();
        let storage = create(dir.path());
        for number in 0..5u8 {
            put(&storage, &[(&[number], Some(&vec![number; size]))], vec![]);
        }
        drop(storage);
        let id = JournalId::new(dir.path(), VAULT, HmacKey::new(&[1; 32]));
        let bytes = std::fs::read(journal(dir.path(), 1)).unwrap();
        let (mut at, mut hash) = (512, [0; 32]);
        while let Ok(frame) = crate::format::frame::FrameHead::parse(&bytes[at..at + 24]) {
            hash = crate::format::frame::Frame::parse(&bytes[at..at + frame.len], &id.key).unwrap().hash;
            at += frame.len;
        }
        let (sealed, sealed_hash) = crate::format::frame::seal_frame(6, hash, 1, &id.key);
        let mut with_seal = bytes;
        with_seal[at..at + seal].copy_from_slice(&sealed[..seal]);
        // Torn is only what leaves all of the seal's part in some sector unwritten.
        let sector_end = at.next_multiple_of(512);
        let torn = seal == 0 || seal == 152 || (at + seal <= sector_end && sector_end < at + 152);
        std::fs::write(journal(dir.path(), 1), &with_seal).unwrap();
        let header = |first_seq, previous| SegmentHeader { vault: VAULT, number: 2, first_seq, previous, size: 65_536 };
        let place = |header| {
            let blank = segment::make_blank(&id, 65_536).unwrap();
            segment::put_in_place(&id, &blank, header).unwrap();
        };
        // A successor that belongs elsewhere is never removed.
        place(header(9, sealed_hash));
        assert!(matches!(try_open(dir.path()).map(drop), Err(StorageError::Damaged { .. })));
        place(header(7, sealed_hash));
        if !torn {
            assert!(matches!(try_open(dir.path()).map(drop), Err(StorageError::Damaged { .. })), "{seal}");
            continue;
        }
        let (storage, _) = open(dir.path());
        assert_eq!(journal(dir.path(), 2).exists(), seal == 152);
        assert_eq!(storage.head().seq, if seal == 152 { 6 } else { 5 });
        for number in 0..40u8 {
            put(&storage, &[(&[number], Some(&[number; 2000]))], vec![]);
        }
        storage.close().unwrap();
        let (storage, opened) = open(dir.path());
        assert!(opened.clean);
        assert_eq!(all(&storage).len(), 40);
    }
}

#[test]
fn segments_double_up_to_their_limit() {
    let dir = tempfile::tempdir().unwrap();
    let options = StorageOptions { segment_first: 16 << 10, segment_max: 64 << 10, ..options() };
    let storage = Embedded::create(dir.path(), VAULT, keys(), options).unwrap();
    for number in 0..120u8 {
        put(&storage, &[(&[number], Some(&[number; 2000]))], vec![]);
    }
    let sizes: Vec<u64> = (1..=4).map(|number| std::fs::metadata(journal(dir.path(), number)).unwrap().len()).collect();
    assert_eq!(sizes, [16 << 10, 32 << 10, 64 << 10, 64 << 10]);
}
