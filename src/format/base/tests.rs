use super::*;
use crate::crypto::hash::HmacKey;
use crate::format::frame::{FrameWriter, Link};
use proptest::prelude::*;

const HEADER: BaseHeader = BaseHeader {
    vault: VaultId::from_bytes([1; 16]),
    through: Place { seq: 9, hash: [2; 32], segment: 3, offset: 4096 },
    header_generation: 5,
    first_entry: 256,
};

fn key() -> HmacKey {
    HmacKey::new(&[1; 32])
}

fn framed(kind: FrameKind, count: usize, body: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    let link = Link { seq: 1, previous: [3; 32], header_generation: 5, kind };
    let mut writer = FrameWriter::new(&mut out, &link, body.len(), count).unwrap();
    writer.writes().extend_from_slice(body);
    writer.entries(0).unwrap();
    writer.finish(&key()).unwrap();
    out
}

fn read(bytes: &[u8]) -> Result<Vec<(Origin, String)>, FrameError> {
    let mut found = Vec::new();
    items(&Frame::parse(bytes, &key())?, |origin, item| {
        found.push((origin, format!("{item:?}")));
        true
    })?;
    Ok(found)
}

fn some_items<'a>(key: &'a [u8], value: &'a [u8], subjects: &[[u8; 16]]) -> Vec<(Origin, Item<'a>)> {
    vec![
        ((1, 80), Item::Row { tree: Tree::Records, key, value, inline: true }),
        ((1, 90), Item::Row { tree: Tree::Policy, key, value, inline: false }),
        ((7, 80), Item::Entry(Entry { bytes: value, subjects: subjects.to_vec() })),
        ((9, 0), Item::Tally { subject: [5; 16], entries: 0x0102_0304 }),
    ]
}

proptest! {
    #[test]
    fn items_round_trip(key: Vec<u8>, value: Vec<u8>, subjects: Vec<[u8; 16]>) {
        let (items, mut body) = (some_items(&key, &value, &subjects), Vec::new());
        items.iter().for_each(|(origin, item)| item.encode(*origin, &mut body).unwrap());
        prop_assert_eq!(body.len(), items.iter().map(|(_, item)| item.encoded_len()).sum::<usize>());
        let expected: Vec<_> = items.iter().map(|(origin, item)| (*origin, format!("{item:?}"))).collect();
        prop_assert_eq!(read(&framed(FrameKind::Base, 4, &body)), Ok(expected));
    }

    #[test]
    fn headers_signposts_and_seals_round_trip(numbers: [u64; 5], hash: [u8; 32], offset: u32) {
        let [seq, segment, at, header_generation, size] = numbers;
        let through = Place { seq, hash, segment, offset: at };
        let first_entry = if offset % 2 == 0 { 0 } else { size };
        let header = BaseHeader { vault: VaultId::from_bytes([4; 16]), through, header_generation, first_entry };
        let (bytes, checksum) = header.encode();
        prop_assert_eq!(BaseHeader::parse(&bytes.try_into().unwrap()), Ok((header, checksum)));
        let (post, mut body) = (Signpost { first: (seq, offset), at }, Vec::new());
        post.encode(&mut body);
        prop_assert_eq!(body.len(), SIGNPOST_LEN);
        let bytes = framed(FrameKind::BaseIndex, 1, &body);
        prop_assert_eq!(signposts(&Frame::parse(&bytes, &key()).unwrap()), Ok(vec![post]));
        let mut seal = BaseSeal { rows: seq, entries: at, frames: segment, size, digest: hash, ..BaseSeal::default() };
        seal.newest_entry = [8; 32];
        body.clear();
        seal.encode(&mut body);
        let bytes = framed(FrameKind::BaseSeal, 1, &body);
        prop_assert_eq!(bytes.len(), SEAL_LEN);
        prop_assert_eq!(BaseSeal::parse(&Frame::parse(&bytes, &key()).unwrap()), Ok(seal));
    }
}

#[test]
fn every_flipped_bit_of_a_header_or_a_frame_is_refused() {
    let bytes: [u8; HEADER_LEN] = HEADER.encode().0.try_into().unwrap();
    for bit in 0..HEADER_LEN * 8 {
        let mut bad = bytes;
        bad[bit / 8] ^= 1 << (bit % 8);
        assert!(BaseHeader::parse(&bad).is_err(), "bit {bit}");
    }
    let mut body = Vec::new();
    some_items(b"key", b"value", &[[9; 16]]).iter().for_each(|(at, item)| item.encode(*at, &mut body).unwrap());
    let frame = framed(FrameKind::Base, 4, &body);
    for bit in 0..frame.len() * 8 {
        let mut bad = frame.clone();
        bad[bit / 8] ^= 1 << (bit % 8);
        assert!(read(&bad).is_err(), "bit {bit}");
    }
    (0..frame.len()).for_each(|len| assert!(read(&frame[..len]).is_err(), "length {len}"));
}

/// The frame is genuine, but what it holds is not what its kind says.
#[test]
fn items_that_are_cut_or_unknown_are_refused() {
    let mut body = Vec::new();
    some_items(b"key", b"value", &[[9; 16]]).iter().for_each(|(at, item)| item.encode(*at, &mut body).unwrap());
    let whole = read(&framed(FrameKind::Base, 4, &body));
    assert_eq!(whole.as_ref().map(Vec::len), Ok(4));
    for len in 0..body.len() {
        // The padding of a cut body can stand for what is missing, where that is zero; never for all of it.
        assert_ne!(read(&framed(FrameKind::Base, 4, &body[..len])), whole, "length {len}");
    }
    for count in [0, 3, 5, 1 << 31] {
        assert!(read(&framed(FrameKind::Base, count, &body)).is_err(), "{count}");
    }
    for (at, byte) in [(0, 0), (0, 5), (13, 5), (13, 0), (13, 7)] {
        let mut bad = body.clone();
        bad[at] = byte;
        assert!(read(&framed(FrameKind::Base, 4, &bad)).is_err(), "byte {byte} at {at}");
    }
    for kind in [FrameKind::Commit, FrameKind::Seal, FrameKind::BaseIndex, FrameKind::BaseSeal] {
        assert!(read(&framed(kind, 4, &body)).is_err(), "{kind:?}");
    }
    let frame = framed(FrameKind::Base, 4, &body);
    assert!(Frame::parse(&frame, &key()).unwrap().contents().is_err());
    for body in [&[0; SEAL_BODY - 1][..], &[0; SEAL_BODY + 8]] {
        assert!(BaseSeal::parse(&Frame::parse(&framed(FrameKind::BaseSeal, 1, body), &key()).unwrap()).is_err());
    }
}

#[test]
fn an_unknown_format_is_named() {
    let mut bytes = HEADER.encode().0;
    bytes[5] = 3;
    let hash = hash::sha256(&[&bytes[..HEADER_LEN - 32]]);
    bytes[HEADER_LEN - 32..].copy_from_slice(&hash);
    assert_eq!(BaseHeader::parse(&bytes.try_into().unwrap()), Err(SegmentError::UnknownFormat(3)));
}
