//! Round trips, flips, cuts.

use super::*;
use proptest::prelude::*;

fn key() -> HmacKey {
    HmacKey::new(&[7; 32])
}

fn encode(link: &Link, contents: &Contents<'_>) -> (Vec<u8>, [u8; 32]) {
    let body = contents
        .writes
        .iter()
        .map(|write| {
            let value = match write.op {
                Op::Delete => 0,
                Op::Inline(value) | Op::Kept(value) => value.len(),
            };
            Write::encoded_len(write.key.len(), value, write.old_leaf.is_some())
        })
        .chain(contents.cut.map(|_| CUT_LEN))
        .chain(contents.entries.iter().map(|entry| Entry::encoded_len(entry.bytes.len(), entry.subjects.len())))
        .sum();
    let mut out = Vec::new();
    let writes = contents.writes.len() + usize::from(contents.cut.is_some());
    let mut writer = FrameWriter::new(&mut out, link, body, writes).unwrap();
    contents.writes.iter().for_each(|write| write.encode(writer.writes()).unwrap());
    contents.cut.into_iter().for_each(|first| put_cut(first, writer.writes()));
    let entries = writer.entries(contents.entries.len()).unwrap();
    contents.entries.iter().for_each(|entry| Entry::encode(entry.bytes, &entry.subjects, entries).unwrap());
    let hash = writer.finish(&key()).unwrap();
    (out, hash)
}

fn sample() -> (Link, Contents<'static>) {
    let link = Link { seq: 3, previous: [1; 32], header_generation: 9, kind: FrameKind::Commit };
    let writes = vec![
        Write { tree: Tree::Records, key: b"key", op: Op::Inline(b"value"), old_leaf: None },
        Write { tree: Tree::Policy, key: b"gone", op: Op::Delete, old_leaf: Some([4; 32]) },
        Write { tree: Tree::Patients, key: b"", op: Op::Kept(&[5; 100]), old_leaf: None },
    ];
    let entries = vec![Entry { bytes: b"entry", subjects: vec![[6; 16], [7; 16]] }];
    (link, Contents { writes, cut: Some(0x1122_3344), entries })
}

#[test]
fn every_flipped_bit_and_every_cut_is_refused() {
    let (link, contents) = sample();
    let (bytes, hash) = encode(&link, &contents);
    let frame = Frame::parse(&bytes, &key()).unwrap();
    assert_eq!((frame.link, frame.hash, frame.contents().unwrap()), (link, hash, contents));
    for bit in 0..bytes.len() * 8 {
        let mut bad = bytes.clone();
        bad[bit / 8] ^= 1 << (bit % 8);
        assert!(Frame::parse(&bad, &key()).is_err(), "bit {bit}");
    }
    for len in 0..bytes.len() {
        assert!(Frame::parse(&bytes[..len], &key()).is_err(), "length {len}");
    }
    assert!(Frame::parse(&[&bytes[..], &[0; 8]].concat(), &key()).is_err());
    assert!(Frame::parse(&bytes, &HmacKey::new(&[8; 32])).is_err());
}

#[test]
fn a_seal_is_as_long_as_was_reserved_for_it() {
    let (bytes, hash) = seal_frame(5, [2; 32], 1, &key());
    assert_eq!(bytes.len(), SEAL_LEN);
    let frame = Frame::parse(&bytes, &key()).unwrap();
    assert_eq!((frame.link.kind, frame.link.seq, frame.hash), (FrameKind::Seal, 5, hash));
    assert!(frame.contents().unwrap().writes.is_empty());
}

#[test]
fn a_huge_count_takes_no_memory() {
    let (link, _) = sample();
    let mut out = Vec::new();
    let mut writer = FrameWriter::new(&mut out, &link, 0, 0xFFFF_FFFF).unwrap();
    writer.entries(0).unwrap();
    writer.finish(&key()).unwrap();
    assert!(Frame::parse(&out, &key()).unwrap().contents().is_err());
}

#[test]
fn a_wrong_announcement_is_refused() {
    let (link, _) = sample();
    let mut out = Vec::new();
    let mut writer = FrameWriter::new(&mut out, &link, 8, 0).unwrap();
    writer.entries(0).unwrap();
    assert_eq!(writer.finish(&key()), Err(TooLong));
    assert!(FrameWriter::new(&mut out, &link, MAX_LEN, 0).is_err());
}

fn op_of(op: u8, value: &[u8]) -> Op<'_> {
    match op {
        0 => Op::Delete,
        1 => Op::Inline(value),
        _ => Op::Kept(value),
    }
}

type RawWrite = (u8, u8, Vec<u8>, Vec<u8>, Option<[u8; 32]>);

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn what_was_written_is_read_back(
        seq: u64, previous: [u8; 32], header_generation: u64,
        writes: Vec<RawWrite>, cut: Option<u64>,
        entries in proptest::collection::vec(
            (proptest::collection::vec(any::<u8>(), 0..99), proptest::collection::vec(any::<[u8; 16]>(), 0..4)), 0..4),
    ) {
        let link = Link { seq, previous, header_generation, kind: FrameKind::Commit };
        let writes = writes.iter().map(|(tree, op, key, value, old_leaf)| Write {
            tree: Tree::from_code(1 + tree % 5).unwrap(), key, op: op_of(op % 3, value), old_leaf: *old_leaf,
        }).collect();
        let entries = entries.iter()
            .map(|(bytes, subjects)| Entry { bytes, subjects: subjects.clone() }).collect();
        let contents = Contents { writes, cut, entries };
        let (bytes, hash) = encode(&link, &contents);
        let frame = Frame::parse(&bytes, &key()).unwrap();
        prop_assert_eq!(bytes.len() % 8, 0);
        prop_assert_eq!((frame.link, frame.hash), (link, hash));
        prop_assert_eq!(frame.contents().unwrap(), contents);
    }

    #[test]
    fn arbitrary_bytes_are_refused_without_panic(bytes: Vec<u8>) {
        prop_assert!(Frame::parse(&bytes, &key()).is_err());
    }
}

/// Genuine frames all of them: what a version does not know, it does not pass over.
#[test]
fn a_cut_that_is_not_the_last_write_or_has_another_form_is_refused() {
    let link = sample().0;
    let cut = |change: &dyn Fn(&mut Vec<u8>)| {
        let mut bytes = Vec::new();
        put_cut(7, &mut bytes);
        change(&mut bytes);
        bytes
    };
    let mut write = Vec::new();
    Write { tree: Tree::Records, key: b"key", op: Op::Delete, old_leaf: None }.encode(&mut write).unwrap();
    let read = |writes: &[&[u8]]| {
        let (body, mut out) = (writes.concat(), Vec::new());
        let mut writer = FrameWriter::new(&mut out, &link, body.len(), writes.len()).unwrap();
        writer.writes().extend_from_slice(&body);
        writer.entries(0).unwrap();
        writer.finish(&key()).unwrap();
        Frame::parse(&out, &key()).unwrap().contents().map(|contents| (contents.writes.len(), contents.cut))
    };
    let good = cut(&|_| ());
    assert_eq!(good.len(), CUT_LEN);
    assert_eq!((read(&[&good]), read(&[&write, &good])), (Ok((0, Some(7))), Ok((1, Some(7)))));
    assert!(read(&[&good, &write]).is_err() && read(&[&good, &good]).is_err());
    for (at, byte) in [(0, 1), (0, 6), (0, 7), (1, 4), (1, 0xFF), (4, 7), (4, 9)] {
        assert!(read(&[&cut(&|bytes| bytes[at] = byte)]).is_err(), "{byte} at {at}");
    }
    let with_leaf = cut(&|bytes| {
        bytes[2] = 1;
        bytes.splice(3..3, [4; 32]);
    });
    let with_value = cut(&|bytes| {
        bytes[CUT_LEN - 1] = 1;
        bytes.push(9);
    });
    assert!(read(&[&with_leaf]).is_err() && read(&[&with_value]).is_err());
}

#[test]
fn offsets_say_where_values_and_entries_are() {
    let (link, mut contents) = sample();
    contents.entries.push(Entry { bytes: b"another", subjects: vec![] });
    let (bytes, _) = encode(&link, &contents);
    let at = |offset: u32, value: &[u8]| assert_eq!(&bytes[offset as usize..][..value.len()], value);
    let mut offsets = Offsets::start();
    for write in &contents.writes {
        let value = match write.op {
            Op::Delete => &[][..],
            Op::Inline(value) | Op::Kept(value) => value,
        };
        at(offsets.write(write.key.len(), value.len(), write.old_leaf.is_some()), value);
    }
    offsets.entries(contents.cut);
    contents.entries.iter().for_each(|entry| at(offsets.entry(entry.bytes.len(), entry.subjects.len()), entry.bytes));
}
