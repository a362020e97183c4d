//! The end of the journal: torn frames are cut, everything else is damage.

use super::*;
use crate::crypto::hash::HmacKey;
use crate::format::frame::FrameHead;
use crate::storage::journal::library::Library;
use crate::storage::journal::tail::Tail;
use crate::storage::journal::walk::{self, Walk};
use crate::storage::journal::{JournalId, segment};
use std::os::unix::fs::FileExt;

fn id(dir: &Path) -> JournalId {
    JournalId::new(dir, VAULT, HmacKey::new(&[1; 32]))
}

/// Walks the journal alone.
fn walk(dir: &Path) -> Result<Walk, StorageError> {
    let id = id(dir);
    let segments = segment::list(&id)?;
    walk::to_the_end(&id, &segments, &Library::new(&segments), Default::default(), &mut |_, _, _| Ok(()))
}

/// The first segment, and offset and length of each frame in it.
struct Segment {
    file: std::fs::File,
    bytes: Vec<u8>,
    frames: Vec<(usize, usize)>,
}

impl Segment {
    fn of(dir: &Path) -> Self {
        let path = dir.join("journal/0000000001.cvj");
        let bytes = std::fs::read(&path).unwrap();
        let file = std::fs::OpenOptions::new().write(true).open(path).unwrap();
        let (mut frames, mut at) = (Vec::new(), 512);
        while let Ok(head) = FrameHead::parse(&bytes[at..at + 24]) {
            frames.push((at, head.len));
            at += head.len;
        }
        Self { file, bytes, frames }
    }

    fn set(&self, at: usize, bytes: &[u8]) {
        self.file.write_all_at(bytes, at as u64).unwrap();
    }

    fn restore(&self) {
        let (last, len) = *self.frames.last().unwrap();
        self.set(0, &self.bytes[..(last + len + 4096).min(self.bytes.len())]);
    }
}

/// A crashed vault with commits of these value sizes.
fn crashed(sizes: &[usize]) -> tempfile::TempDir {
    let live = tempfile::tempdir().unwrap();
    let dir = tempfile::tempdir().unwrap();
    let storage = create(live.path());
    for (number, size) in (1u8..).zip(sizes) {
        let value: Vec<u8> = (0..*size).map(|at| (at as u8 ^ number) | 1).collect();
        put(&storage, &[(&[number], Some(&value))], vec![]);
    }
    copy_dir(live.path(), dir.path());
    dir
}

/// Any subset of the sectors of an unsynced write may have reached the disk.
#[test]
fn every_way_to_tear_the_last_frame_is_recognised() {
    for first in [100, 107, 300, 355] {
        let dir = crashed(&[first, 2000]);
        let segment = Segment::of(dir.path());
        let (at, len) = segment.frames[1];
        let cuts: Vec<usize> =
            std::iter::once(at).chain((at + 1..at + len).filter(|at| at % 512 == 0)).chain([at + len]).collect();
        let sectors = cuts.len() - 1;
        assert!(sectors >= 5);
        for kept in 0..(1usize << sectors) - 1 {
            for (sector, ends) in cuts.windows(2).enumerate() {
                let zeros = vec![0; ends[1] - ends[0]];
                let bytes = if kept & (1 << sector) == 0 { &zeros } else { &segment.bytes[ends[0]..ends[1]] };
                segment.set(ends[0], bytes);
            }
            let walk = walk(dir.path()).unwrap_or_else(|error| panic!("{kept:b} of {cuts:?}: {error}"));
            assert_eq!((walk.tip.seq, walk.next), (1, at as u64));
            assert_eq!(walk.tail == Tail::Zeros, kept == 0, "{kept:b}");
        }
        segment.restore();
        assert_eq!(walk(dir.path()).unwrap().tip.seq, 2);
    }
}

/// However much of the frame's tail lies in a last sector that never reached the disk: the hash may stand before it, the
/// end mark does not.
#[test]
fn a_frame_that_lacks_nothing_but_its_last_sector_is_torn() {
    let mut behind_the_boundary = Vec::new();
    for size in (400..912).step_by(8) {
        let dir = crashed(&[100, size]);
        let segment = Segment::of(dir.path());
        let (at, len) = segment.frames[1];
        let boundary = (at + len - 1) / 512 * 512;
        segment.set(boundary, &vec![0; at + len - boundary]);
        let walk = walk(dir.path()).unwrap_or_else(|error| panic!("{} bytes lacking: {error}", at + len - boundary));
        assert!(matches!(walk.tail, Tail::Torn { offset, .. } if offset == at as u64), "{:?}", walk.tail);
        behind_the_boundary.push(at + len - boundary);
    }
    behind_the_boundary.sort_unstable();
    assert!(behind_the_boundary.into_iter().eq((8..=512).step_by(8)), "every alignment was tried");
}

/// A head that lies in two sectors, at each way that eight-byte alignment allows.
#[test]
fn a_head_of_which_only_the_first_words_were_written_is_torn() {
    for (size, word) in (0..80).flat_map(|size| [(300 + size * 8, 8), (300 + size * 8, 16)]) {
        let dir = crashed(&[size, 300]);
        let segment = Segment::of(dir.path());
        let (at, len) = segment.frames[1];
        if (at + word) % 512 != 0 {
            continue;
        }
        segment.set(at + word, &vec![0; len - word]);
        assert_eq!(walk(dir.path()).unwrap().tail, Tail::Torn { offset: at as u64, len: word as u64 });
        return;
    }
    panic!("no frame started that close to the end of a sector");
}

#[test]
fn every_flipped_byte_is_damage_at_its_frame() {
    let dir = crashed(&[60, 700, 40]);
    let segment = Segment::of(dir.path());
    for (at, len) in segment.frames.clone() {
        for byte in at..at + len {
            segment.set(byte, &[segment.bytes[byte] ^ 0x10]);
            let error = walk(dir.path()).unwrap_err();
            segment.set(byte, &segment.bytes[byte..=byte]);
            let StorageError::Damaged { segment, offset, .. } = &error else { panic!("byte {byte}: {error:?}") };
            assert_eq!((*offset, segment.file_name().unwrap().to_str()), (at as u64, Some("0000000001.cvj")));
        }
    }
    for byte in 0..512 {
        segment.set(byte, &[segment.bytes[byte] ^ 0x10]);
        assert!(matches!(walk(dir.path()), Err(StorageError::Damaged { .. })), "byte {byte}");
        segment.set(byte, &segment.bytes[byte..=byte]);
    }
    // A stray byte behind the end looks like a frame whose head was never written. Nothing acknowledged is there.
    let end = segment.frames[2].0 + segment.frames[2].1;
    assert!(walk(dir.path()).is_ok());
    segment.set(end + 40_000, &[1]);
    assert!(walk(dir.path()).is_ok_and(|walk| matches!(walk.tail, Tail::Torn { .. })));
}

#[test]
fn a_zeroed_page_with_a_genuine_frame_behind_it_is_damage() {
    let dir = crashed(&[60, 2000, 40]);
    let segment = Segment::of(dir.path());
    let (at, _) = segment.frames[1];
    for (from, to) in [(at, at + 24), (at, 1024), (1024, 1536)] {
        segment.set(from, &vec![0; to - from]);
        let damaged = walk(dir.path());
        assert!(matches!(damaged, Err(StorageError::Damaged { offset, .. }) if offset == at as u64), "{damaged:?}");
        segment.restore();
    }
}

#[test]
fn a_frame_out_of_its_place_is_damage() {
    let dir = crashed(&[60, 60, 60]);
    let segment = Segment::of(dir.path());
    let [(a, len), (b, _), _] = segment.frames[..] else { panic!() };
    segment.set(a, &segment.bytes[b..b + len]);
    assert!(matches!(walk(dir.path()), Err(StorageError::Damaged { what: "a genuine frame out of its place", .. })));
    segment.restore();
    let (c, _) = segment.frames[2];
    segment.set(c + len, &segment.bytes[c..c + len]);
    assert!(matches!(walk(dir.path()), Err(StorageError::Damaged { .. })));
}

#[test]
fn a_torn_frame_is_cut_and_writing_goes_on() {
    let dir = crashed(&[60, 2000]);
    let segment = Segment::of(dir.path());
    let (at, len) = segment.frames[1];
    segment.set(at + len - 8, &[0; 8]);
    segment.set(1024, &[0; 512]);
    let (storage, opened) = open(dir.path());
    let torn = opened.torn.unwrap();
    assert_eq!((torn.offset, torn.len, opened.clean), (at as u64, (len - 8) as u64, false));
    assert_eq!((all(&storage).len(), storage.head().seq), (1, 1));
    let aside = std::fs::read(dir.path().join(format!("journal/torn-1-{at}.bin"))).unwrap();
    assert_eq!((aside.len(), &aside[..200]), (len - 8, &segment.bytes[at..at + 200]));
    put(&storage, &[(b"next", Some(b"value"))], vec![]);
    storage.close().unwrap();
    let (storage, opened) = open(dir.path());
    assert!(opened.clean && opened.torn.is_none());
    assert_eq!(all(&storage).len(), 2);
}

/// After a clean close, after a checkpoint, and by what the trees remember, the last frame is known to be good:
/// however it is changed, it is never cut.
#[test]
fn nothing_is_cut_below_what_is_known_to_have_existed() {
    for witness in ["clean", "state", "trees"] {
        let dir = tempfile::tempdir().unwrap();
        let storage = create(dir.path());
        put(&storage, &[(b"a", Some(&[1; 60]))], vec![]);
        let early = tempfile::tempdir().unwrap();
        copy_dir(dir.path(), early.path());
        put(&storage, &[(b"b", Some(&[2; 2000]))], vec![]);
        match witness {
            "clean" => storage.close().unwrap(),
            _ => storage.checkpoint().unwrap(),
        }
        drop(storage);
        if witness != "state" {
            for state in ["state.a", "state.b"] {
                let _ = std::fs::remove_file(dir.path().join(state));
            }
        }
        if witness != "trees" {
            std::fs::remove_dir_all(dir.path().join("sled-1")).unwrap();
        }
        let segment = Segment::of(dir.path());
        let (at, len) = segment.frames[1];
        for (from, to) in [(at, at + len), (at, 1024), (1024, 1536), (at + len - 8, at + len)] {
            segment.set(from, &vec![0; to - from]);
            let refused = try_open(dir.path()).map(drop);
            let expected = matches!(
                refused,
                Err(StorageError::JournalBehind { journal: 1, evidence: 2, .. } | StorageError::Damaged { .. })
            );
            assert!(expected, "{witness} {from}..{to}: {refused:?}");
            segment.restore();
        }
        assert_eq!(all(&open(dir.path()).0).len(), 2);
    }
}

#[test]
fn a_cut_or_grown_segment_is_damage() {
    let dir = crashed(&[60]);
    let segment = Segment::of(dir.path());
    for len in [0, 100, 512, 1000, 65_535, 65_537] {
        segment.file.set_len(len).unwrap();
        assert!(matches!(walk(dir.path()), Err(StorageError::Damaged { .. })), "{len}");
        segment.file.set_len(65_536).unwrap();
        segment.restore();
    }
    assert!(walk(dir.path()).is_ok());
}

/// Bytes made to look like frame heads must not keep opening busy.
#[test]
fn forged_heads_behind_a_broken_frame_cost_bounded_time() {
    let dir = tempfile::tempdir().unwrap();
    let big = StorageOptions { segment_first: 17 << 20, segment_max: 17 << 20, ..options() };
    drop(Embedded::create(dir.path(), VAULT, keys(), big).unwrap());
    let mut head = b"CVF1".to_vec();
    head.extend(0x00FF_0000u32.to_be_bytes());
    head.extend(5u64.to_be_bytes());
    let check: [u8; 8] = crate::crypto::hash::sha256_short(&[&head]);
    head.extend(check);
    let mut bytes = vec![0; 8];
    (0..1000).for_each(|_| bytes.extend(&head));
    bytes.resize(16 << 20, 0);
    let end = bytes.len() - 8;
    bytes[end..].copy_from_slice(&[1; 8]);
    let path = dir.path().join("journal/0000000001.cvj");
    std::fs::OpenOptions::new().write(true).open(path).unwrap().write_all_at(&bytes, 512).unwrap();
    let started = std::time::Instant::now();
    assert!(matches!(walk(dir.path()), Err(StorageError::Damaged { .. })));
    assert!(started.elapsed().as_secs() < 60);
}

/// Without the right key nothing verifies, and nothing is cut, whatever the frames look like.
#[test]
fn a_wrong_key_cuts_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let storage = create(dir.path());
    put(&storage, &[(b"zeros", Some(&[0; 3000]))], vec![]);
    storage.close().unwrap();
    let before = Segment::of(dir.path()).bytes;
    let mut wrong = keys();
    wrong.journal = Key::new(Secret::take(&mut [3; 32]));
    for _ in 0..2 {
        let wrong = StorageKeys { journal: wrong.journal.duplicate(), state: keys().state };
        let refused = Embedded::open(dir.path(), VAULT, wrong, options(), 1, &mut |_| {}).map(drop);
        assert!(matches!(refused, Err(StorageError::Damaged { .. })));
        ["state.a", "state.b", "clean"].iter().for_each(|name| drop(std::fs::remove_file(dir.path().join(name))));
    }
    assert!(Segment::of(dir.path()).bytes == before);
    assert_eq!(all(&open(dir.path()).0).len(), 1);
}
