//! Archives of made-up entries: what anyone can read of these is right, and the rest is filler.

use std::ops::Range;

use proptest::prelude::*;

use super::*;
use crate::merkle::{leaf_hash, naive};

const VAULT: [u8; 16] = [7; 16];
const EVENT: u8 = 2;
const LOST: u8 = 60;

fn entry(kind: u8, seq: u64, prev: Hash, filler: &[u8]) -> Vec<u8> {
    let front = [&b"CVA1"[..], &[kind, 0x10], &VAULT, &seq.to_be_bytes(), &[0; 16], &prev].concat();
    [&front, filler].concat()
}

/// Entries that follow each other.
fn entries(range: Range<u64>) -> Vec<Vec<u8>> {
    let mut prev = [9; 32];
    range
        .map(|seq| {
            let entry = entry(EVENT, seq, prev, &vec![seq as u8; 3 + seq as usize % 5]);
            prev = leaf_hash(&entry);
            entry
        })
        .collect()
}

fn written(range: Range<u64>, entries: &[Vec<u8>]) -> Result<(Vec<u8>, Archived), ArchiveError> {
    let mut out = Vec::new();
    let mut writer = ArchiveWriter::begin(&mut out, VAULT, range)?;
    entries.iter().try_for_each(|entry| writer.push(entry))?;
    let archived = writer.finish()?;
    Ok((out, archived))
}

proptest! {
    #[test]
    fn archives_come_back(first in 0..600_u64, count in 1..300_u64) {
        let range = first..first + count;
        let entries = entries(range.clone());
        let (bytes, archived) = written(range.clone(), &entries).unwrap();
        prop_assert_eq!(verify(&bytes[..]).unwrap(), archived);
        prop_assert_eq!((archived.vault, archived.first, archived.end), (VAULT, range.start, range.end));
        prop_assert_eq!(archived.bytes, bytes.len() as u64);
        let leaves: Vec<_> = entries.iter().map(|entry| leaf_hash(entry)).collect();
        prop_assert_eq!((archived.root, Some(&archived.last)), (naive::root(&leaves), leaves.last()));
        let mut reader = ArchiveReader::begin(&bytes[..]).unwrap();
        for (seq, entry) in range.zip(&entries) {
            prop_assert_eq!(reader.next_entry().unwrap(), Some((seq, &entry[..])));
        }
        prop_assert!(reader.next_entry().unwrap().is_none());
    }

    #[test]
    fn noise_is_no_archive(noise in proptest::collection::vec(any::<u8>(), 0..400)) {
        prop_assert!(verify(&noise[..]).is_err());
        let behind = [&b"CVLOGARC\0\x01"[..], &noise].concat();
        prop_assert!(verify(&behind[..]).is_err());
    }
}

#[test]
fn an_archive_that_was_cut_prolonged_or_flipped_is_refused() {
    let (bytes, _) = written(4..9, &entries(4..9)).unwrap();
    for len in 0..bytes.len() {
        assert!(verify(&bytes[..len]).is_err(), "{len}");
    }
    assert!(matches!(verify(&[&bytes[..], &[0]].concat()[..]), Err(ArchiveError::End("length"))));
    for bit in 0..bytes.len() * 8 {
        let mut bad = bytes.clone();
        bad[bit / 8] ^= 1 << (bit % 8);
        assert!(verify(&bad[..]).is_err(), "bit {bit}");
    }
}

#[test]
fn each_fault_has_its_name() {
    let entries = entries(4..9);
    let (bytes, _) = written(4..9, &entries).unwrap();
    let with = |at: usize, new: &[u8]| {
        let mut bytes = bytes.clone();
        bytes[at..at + new.len()].copy_from_slice(new);
        verify(&bytes[..]).unwrap_err()
    };
    assert!(matches!(with(0, b"X"), ArchiveError::NoArchive(_)));
    assert!(matches!(with(8, &[0, 2]), ArchiveError::Newer(2)));
    assert!(matches!(with(26, &[0, 0, 0, 0, 0, 0, 0, 9]), ArchiveError::NoArchive(_)));
    assert!(matches!(with(10, &[8]), ArchiveError::Entry { seq: 4, why: "is of another vault" }));
    assert!(matches!(with(33, &[3]), ArchiveError::Entry { seq: 3, why: "has another number" }));
    let link = 42 + 2 + entries[0].len() + 2 + 46;
    assert!(matches!(with(link, &[1]), ArchiveError::Entry { seq: 5, why: "does not name the one before it" }));
    assert!(matches!(verify(&bytes[..bytes.len() - 65]), Err(ArchiveError::Cut { seq: 8 })));
    assert!(matches!(with(bytes.len() - 1, &[0, 0][..1]), ArchiveError::End("hash")));
    assert!(matches!(with(bytes.len() - 64, &[0, 0, 0]), ArchiveError::End("hash")));
    // Somebody who also makes the hash right.
    let root = bytes.len() - 64;
    let mut forged = bytes[..root].to_vec();
    forged.extend([3; 32]);
    forged.extend(<sha2::Sha256 as sha2::Digest>::digest(&forged));
    assert!(matches!(verify(&forged[..]), Err(ArchiveError::End("root"))));
    struct Broken;
    impl io::Read for Broken {
        fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
            Err(io::Error::other("the disk is gone"))
        }
    }
    assert!(matches!(verify(Broken), Err(ArchiveError::Read(_))));
}

#[test]
fn a_writer_takes_the_entries_that_were_announced_and_no_others() {
    let four = entries(4..8);
    assert!(matches!(written(4..9, &four), Err(ArchiveError::Count { expected: 5, found: 4 })));
    assert!(matches!(written(4..7, &four), Err(ArchiveError::Entry { seq: 7, why: "was not announced" })));
    assert!(matches!(written(5..9, &four), Err(ArchiveError::Entry { seq: 5, .. })));
    let long = entry(EVENT, 4, [0; 32], &[0; 65_500]);
    assert!(matches!(written(4..5, &[long]), Err(ArchiveError::Entry { seq: 4, why: "is too long" })));
    let mut full: &mut [u8] = &mut [0; 50];
    let mut writer = ArchiveWriter::begin(&mut full, VAULT, 4..8).unwrap();
    assert!(matches!(writer.push(&four[0]), Err(ArchiveError::Write(_))));
}

#[test]
fn behind_an_entry_in_the_place_of_a_lost_one_no_link_is_known_but_before_it_one_is() {
    let first = entry(EVENT, 4, [9; 32], b"a");
    let lost = entry(LOST, 5, leaf_hash(&first), b"b");
    let last = entry(EVENT, 6, [1; 32], b"c");
    assert!(written(4..7, &[first.clone(), lost, last.clone()]).is_ok());
    let unlinked = entry(LOST, 5, [1; 32], b"b");
    assert!(matches!(written(4..7, &[first, unlinked, last]), Err(ArchiveError::Entry { seq: 5, .. })));
}
