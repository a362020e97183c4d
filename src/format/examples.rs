//! The worked example of docs/format/journal.md, made again from its inputs.

use super::base::{BaseHeader, BaseSeal, Item, Signpost};
use super::digest::{self, Digest};
use super::frame::{CUT_LEN, Entry, FrameKind, FrameWriter, Link, Op, Write, put_cut, seal_frame};
use super::keys::Tree;
use super::row::{Pointer, Row, put_packed};
use super::segment::SegmentHeader;
use super::state::{Place, State, encode_clean};
use crate::crypto::hash::{self, HmacKey};
use crate::crypto::kdf;
use crate::ids::VaultId;
use crate::secret::{Key, Secret};

const PAGE: &str = include_str!("../../docs/format/journal.md");

fn examples() -> Vec<(&'static str, Vec<u8>)> {
    let vault = VaultId::from_bytes([7; 16]);
    let journal = HmacKey::new(&[1; 32]);
    let state_key = HmacKey::new(&[2; 32]);
    let file_key = kdf::state_file_mac(&Key::new(Secret::take(&mut [2; 32])));

    let write = Write { tree: Tree::Records, key: b"key", op: Op::Inline(b"value"), old_leaf: None };
    let subjects = [[9; 16]];
    let body = Write::encoded_len(3, 5, false) + Entry::encoded_len(5, 1);
    let link = Link { seq: 1, previous: [0; 32], header_generation: 1, kind: FrameKind::Commit };
    let mut frame = Vec::new();
    let mut writer = FrameWriter::new(&mut frame, &link, body, 1).unwrap();
    write.encode(writer.writes()).unwrap();
    Entry::encode(b"entry", &subjects, writer.entries(1).unwrap()).unwrap();
    let hash = writer.finish(&journal).unwrap();
    let (seal, seal_hash) = seal_frame(2, hash, 1, &journal);
    let segment = SegmentHeader { vault, number: 2, first_seq: 3, previous: seal_hash, size: 65_536 };

    let through = Place { seq: 2, hash: seal_hash, segment: 1, offset: 704 };
    let (base_header, checksum) = BaseHeader { vault, through, header_generation: 1, first_entry: 0 }.encode();
    let row = Item::Row { tree: Tree::Records, key: b"key", value: b"value", inline: true };
    let mut body = Vec::new();
    row.encode((1, 81), &mut body).unwrap();
    Item::Entry(Entry { bytes: b"entry", subjects: subjects.to_vec() }).encode((1, 92), &mut body).unwrap();
    let (data, data_hash) = base_frame(1, checksum, FrameKind::Base, 2, &body, &journal);
    let mut post = Vec::new();
    Signpost { first: (1, 81), at: 512 }.encode(&mut post);
    let (index, index_hash) = base_frame(2, data_hash, FrameKind::BaseIndex, 1, &post, &journal);

    let value_hash = hash::sha256(&[b"value"]);
    let leaf = digest::leaf(&state_key, Tree::Records, b"key", 5, &value_hash).unwrap();
    let mut state = State {
        generation: 1,
        applied: Place { seq: 1, hash, segment: 1, offset: 512 },
        header_generation: 1,
        trees: 1,
        entries: 1,
        pack_first: 0,
        last_entry: b"entry".to_vec(),
        tallies: vec![(subjects[0], 1)],
        ..State::default()
    };
    put_packed(&mut state.pack, b"entry").unwrap();
    state.digest.replace(Tree::Records, b"key", None, Some(&leaf));
    let state_file = state.encode(vault, &file_key).unwrap();
    let index_at = 512 + data.len() as u64;
    let base_seal = BaseSeal {
        rows: 1,
        entries: 1,
        frames: 1,
        index_at,
        size: index_at + index.len() as u64 + 288,
        header: checksum,
        digest: state.digest.hash(),
        newest_entry: hash::sha256(&[b"entry"]),
    };
    assert_ne!(state.digest, Digest::default());
    let mut sealed = Vec::new();
    base_seal.encode(&mut sealed);
    let (base_seal, _) = base_frame(3, index_hash, FrameKind::BaseSeal, 1, &sealed, &journal);
    let mut cut_frame = Vec::new();
    let cut_link = Link { seq: 3, previous: seal_hash, header_generation: 1, kind: FrameKind::Commit };
    let body = CUT_LEN + Entry::encoded_len(5, 1);
    let mut writer = FrameWriter::new(&mut cut_frame, &cut_link, body, 1).unwrap();
    put_cut(256, writer.writes());
    Entry::encode(b"entry", &subjects, writer.entries(1).unwrap()).unwrap();
    writer.finish(&journal).unwrap();
    let (cut_header, cut_checksum) = BaseHeader { vault, through, header_generation: 1, first_entry: 256 }.encode();
    let mut tally = Vec::new();
    Item::Tally { subject: subjects[0], entries: 3 }.encode((2, 0), &mut tally).unwrap();
    let behind_cut = State { entries: 257, first_entry: 256, pack_first: 256, ..state.clone() };
    let cut_state = behind_cut.encode(vault, &file_key).unwrap();
    vec![
        ("frame", frame),
        ("seal", seal),
        ("segment header", segment.encode()),
        ("leaf", leaf.to_vec()),
        ("inline row", Row::Inline(b"value").encode()),
        ("kept row", Row::Kept(Pointer { seq: 1, offset: 81, len: 5, hash: value_hash }).encode()),
        ("pack", state.pack.clone()),
        ("state file, first bytes", state_file[..200].to_vec()),
        ("state file, SHA-256 of all bytes", hash::sha256(&[&state_file]).to_vec()),
        ("header of a base, first bytes", base_header[..96].to_vec()),
        ("header of a base, checksum", checksum.to_vec()),
        ("data frame of a base", data),
        ("index frame of a base", index),
        ("seal frame of a base", base_seal),
        ("frame with a cut", cut_frame),
        ("header of a base behind a cut, first bytes", cut_header[..96].to_vec()),
        ("header of a base behind a cut, checksum", cut_checksum.to_vec()),
        ("tally, as an item of a base", tally),
        ("state file behind a cut, first bytes", cut_state[..200].to_vec()),
        ("state file behind a cut, SHA-256 of all bytes", hash::sha256(&[&cut_state]).to_vec()),
        ("clean mark", encode_clean(vault, 1, &hash, &file_key)),
    ]
}

fn base_frame(
    seq: u64,
    previous: [u8; 32],
    kind: FrameKind,
    count: usize,
    body: &[u8],
    key: &HmacKey,
) -> (Vec<u8>, [u8; 32]) {
    let mut frame = Vec::new();
    let link = Link { seq, previous, header_generation: 1, kind };
    let mut writer = FrameWriter::new(&mut frame, &link, body.len(), count).unwrap();
    writer.writes().extend_from_slice(body);
    writer.entries(0).unwrap();
    let hash = writer.finish(key).unwrap();
    (frame, hash)
}

/// The hexadecimal digits in the block under a heading.
fn on_the_page(name: &str) -> Option<String> {
    let (_, rest) = PAGE.split_once(&format!("Example: {name}\n\n```text\n"))?;
    let (block, _) = rest.split_once("```")?;
    Some(block.split_whitespace().collect())
}

#[test]
fn the_page_shows_what_the_code_writes() {
    let mut wrong = String::new();
    for (name, bytes) in examples() {
        let hex = data_encoding::HEXLOWER.encode(&bytes);
        if on_the_page(name).as_ref() != Some(&hex) {
            wrong.push_str(&format!("Example: {name}\n\n```text\n"));
            hex.as_bytes().chunks(64).for_each(|line| wrong.push_str(&format!("{}\n", str::from_utf8(line).unwrap())));
            wrong.push_str("```\n\n");
        }
    }
    assert!(wrong.is_empty(), "docs/format/journal.md should say:\n{wrong}");
}
