//! The seeds of the fuzz targets: real encodings, from the worked examples of docs/format and from the golden vault.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use super::*;
use crate::format::frame::{Frame, FrameHead, Op};
use crate::format::segment::HEADER_LEN;
use crate::format::worked::{self, bytes as example};
use crate::keyring::RawKey;
use crate::record::test_types::documented;

/// The first segment of the golden vault.
const FIRST_SEGMENT: &str = "journal/0000000001.cvj";

type Check = fn(&[u8]) -> bool;

/// Every decoder target with its seeds.
fn seeds() -> Vec<(&'static str, Check, Vec<Vec<u8>>)> {
    let page = |name: &str| {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/format").join(name);
        fs::read_to_string(path).unwrap()
    };
    let (headers, envelopes, policy, tokens) =
        (page("header.md"), page("envelope.md"), page("policy.md"), page("token.md"));
    let (golden, slots) = (golden("v1"), golden("slots"));
    let journal = frames(&golden);
    let of_frames = |take: fn(&Frame<'_>) -> Vec<Vec<u8>>| {
        let key = journal_key(&golden);
        journal.iter().flat_map(|bytes| take(&Frame::parse(bytes, &key).unwrap())).collect::<Vec<_>>()
    };
    let (header_file, of_all_kinds) = (trimmed(&golden["header.a"]), trimmed(&slots["header.a"]));
    let state = &golden["state.a"];
    let (payloads, blocks) = audit::fuzzing::seeds();
    let envelope_seeds = [vec![example(&envelopes, "envelope")], small(of_frames(values))].concat();
    let pack = example_of_journal("pack");
    let token_examples = ["token", "sealed token", "bound token"].map(|name| example(&tokens, name)).to_vec();
    let token_seeds = [token_examples, token::fuzzing::seeds()].concat();
    let token_texts = token_seeds[1..4].iter().map(|token| token::fuzzing::text_of(token)).collect();
    let mut all = vec![
        ("header", header as Check, vec![example(&headers, "header"), header_file.clone(), of_all_kinds.clone()]),
        ("slot", slot, [format::fuzzing::slots_of(&header_file), format::fuzzing::slots_of(&of_all_kinds)].concat()),
        ("key_file", key_file, vec![example(&page("key-file.md"), "key_file")]),
        ("keyring", keyring, vec![example(&headers, "keyring")]),
        ("envelope", envelope, envelope_seeds),
        ("padding", padding, vec![crate::crypto::pad::pad(b"body", 256, 0).unwrap()]),
        (
            "frame",
            frame,
            [
                vec![example_of_journal("frame"), example_of_journal("seal")],
                small(journal.clone()),
                vec![example_of_journal("frame with a cut")],
            ]
            .concat(),
        ),
        ("segment", segment, vec![golden[FIRST_SEGMENT][..HEADER_LEN - 32].to_vec()]),
        (
            "state_file",
            state_file,
            vec![
                without_digest(state),
                golden["clean"][..64].to_vec(),
                without_digest(&unpacked("cut/storage")["state.a"]),
            ],
        ),
        ("rows", rows, vec![example_of_journal("inline row"), example_of_journal("kept row"), pack]),
        ("entry", entry, small(of_frames(entries))),
        ("log_index", log_index, crate::audit::index::seeds()),
        ("payload", payload, payloads),
        ("subject_block", subject_block, blocks),
        ("token_bytes", token_bytes, token_seeds.clone()),
        ("token_text", token_text, [vec![text_of_a_token(&tokens)], token_texts].concat()),
        #[cfg(feature = "backup")]
        ("backup_manifest", backup_manifest, vec![manifest_of_the_page(&page("backup.md"))]),
        #[cfg(feature = "backup")]
        (
            "key_pack",
            key_pack,
            vec![
                example(&page("backup.md"), "pack_part_0"),
                example(&page("backup.md"), "pack_part_1"),
                end_of_a_pack(&page("backup.md")),
            ],
        ),
        ("attestation", attestation, vec![example(&tokens, "attestation")]),
        ("possession", possession, vec![example(&tokens, "possession"), example(&tokens, "device proof")]),
        (
            "erasure_ledger",
            erasure_ledger,
            vec![example(&policy, "erasure_ledger"), crate::policy::ledger_of_the_page()],
        ),
        ("record_body", record_body, vec![documented("allergy-body")]),
        (
            "policy_row",
            policy_row,
            ["issuer_row", "kind_row", "clock_row", "attester_row", "durable_row", "windowed_row", "slot_use_row"]
                .into_iter()
                .chain(["data_key_row", "data_key_row_under_way", "retention_row", "erasure_row"])
                .chain(["backup_made_row", "backup_failed_row", "backup_verified_row", "backup_drilled_row"])
                .map(|name| example(&policy, name))
                .collect(),
        ),
    ];
    all.extend(audit::fuzzing::outside::seeds());
    all
}

/// Those of the targets that need nothing but the public API.
fn seeds_of_public_types() -> [(&'static str, Vec<Vec<u8>>); 2] {
    // As fuzz/fuzz_targets/record_value.rs declares them: a value of nearly all zeros, and five empty collections.
    let mut plain = vec![0; 101];
    plain[57] = 1;
    let id = crate::PatientId::from_bytes([0x51; 16]);
    let tokens = include_str!("../../docs/format/token.md");
    let shown = ["cvat1_", "cvpp1_", "cvch1_"].map(|prefix| line_of(tokens, prefix));
    let device_proof = crate::DeviceProof::parse(&example(tokens, "device proof")).unwrap();
    let texts = [
        id.to_string(),
        crate::RecordRef::new(id, crate::Kind::new("allergy").unwrap().id(), 7).to_string(),
        "2026-01-05T12:00:00.000001Z".to_owned(),
        crate::IssuerKey::from_secret_bytes(&[1; 32]).public().to_string(),
        worked::text(include_str!("../../docs/format/header.md"), "recovery_text"),
        crate::HolderKey::from_secret_bytes(&[1; 32]).public().to_string(),
        crate::DeviceKey::from_secret_bytes(&[1; 32]).public().to_string(),
        crate::AttesterKey::from_secret_bytes(&[1; 32]).public().to_string(),
        device_proof.device().id().to_string(),
        device_proof.to_string(),
        crate::AttesterKey::from_secret_bytes(&[1; 32]).public().id().to_string(),
    ];
    let share = worked::text(include_str!("../../docs/format/shares.md"), "text_1");
    // The first version of the dose of that file: no unit, and an amount in text that is a number; and the second.
    let first = [&[2][..], &2_u64.to_le_bytes(), b"25"].concat();
    let second = [&[3][..], &25_u32.to_le_bytes(), &2_u64.to_le_bytes(), b"mg"].concat();
    let any = [&[4][..], &[0, 1], &[0x5A; 8], &first[1..]].concat();
    [
        ("record_value", vec![plain, [vec![1], vec![0; 26]].concat(), first, second, any]),
        ("texts", texts.into_iter().chain(shown).chain([share]).map(String::into_bytes).collect()),
    ]
}

/// The text of the page that is signed as the end of a pack.
#[cfg(feature = "backup")]
fn end_of_a_pack(page: &str) -> Vec<u8> {
    let (before, after) = page.split_once("\npack 4\n").unwrap();
    let (text, _) = after.split_once("\n\n").unwrap();
    format!("{}\npack 4\n{text}\n", before.lines().last().unwrap()).into_bytes()
}

/// At most eight of at most 4 KiB, spread over all of them.
fn small(mut all: Vec<Vec<u8>>) -> Vec<Vec<u8>> {
    all.retain(|bytes| bytes.len() <= 4096);
    let step = all.len().div_ceil(8).max(1);
    all.into_iter().step_by(step).collect()
}

fn trimmed(file: &[u8]) -> Vec<u8> {
    let len = u32::from_be_bytes(file[10..14].try_into().unwrap());
    file[..len as usize].to_vec()
}

fn text_of_a_token(page: &str) -> Vec<u8> {
    line_of(page, "cvt1_").into_bytes()
}

fn line_of(page: &str, prefix: &str) -> String {
    page.lines().find(|line| line.starts_with(prefix)).unwrap().to_owned()
}

fn example_of_journal(name: &str) -> Vec<u8> {
    const PAGE: &str = include_str!("../../docs/format/journal.md");
    let (_, rest) = PAGE.split_once(&format!("Example: {name}\n\n```text\n")).unwrap();
    let (block, _) = rest.split_once("```").unwrap();
    let digits: String = block.split_whitespace().collect();
    data_encoding::HEXLOWER.decode(digits.as_bytes()).unwrap()
}

#[cfg(feature = "backup")]
fn manifest_of_the_page(page: &str) -> Vec<u8> {
    let (_, rest) = page.split_once("```text\nchartvault.local/").unwrap();
    let (note, _) = rest.split_once("```").unwrap();
    format!("chartvault.local/{note}").into_bytes()
}

fn without_digest(state_file: &[u8]) -> Vec<u8> {
    state_file[34..state_file.len() - 64 - 4_609 * 40].to_vec()
}

fn golden(name: &str) -> BTreeMap<String, Vec<u8>> {
    unpacked(&format!("{name}/vault"))
}

/// The files of a golden vault or storage; tests/formats/golden.rs says how they are kept.
fn unpacked(name: &str) -> BTreeMap<String, Vec<u8>> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(format!("{name}.zst"));
    let archive = zstd::decode_all(&fs::read(path).unwrap()[..]).unwrap();
    let (mut rest, mut files) = (&archive[..], BTreeMap::new());
    while !rest.is_empty() {
        let (len, behind) = rest.split_first_chunk::<2>().unwrap();
        let (name, behind) = behind.split_at(u16::from_le_bytes(*len).into());
        let (len, behind) = behind.split_first_chunk::<4>().unwrap();
        let (content, behind) = behind.split_at(u32::from_le_bytes(*len) as usize);
        files.insert(String::from_utf8(name.to_vec()).unwrap(), content.to_vec());
        rest = behind;
    }
    files
}

fn journal_key(golden: &BTreeMap<String, Vec<u8>>) -> crate::crypto::hash::HmacKey {
    let header = format::header::UnverifiedHeader::parse_padded(&golden["header.a"]).unwrap();
    let opened = crate::keyring::Keyring::open(&header, (&RawKey::from_bytes([0x47; 32])).into()).unwrap();
    crate::crypto::hash::HmacKey::new(opened.keyring.journal_key().expose())
}

fn frames(golden: &BTreeMap<String, Vec<u8>>) -> Vec<Vec<u8>> {
    let mut frames = Vec::new();
    for (_, segment) in golden.iter().filter(|(name, _)| name.starts_with("journal/")) {
        let mut at = HEADER_LEN;
        while let Ok(head) = FrameHead::parse(&segment[at..]) {
            frames.push(segment[at..at + head.len].to_vec());
            at += head.len;
        }
    }
    frames
}

fn values(frame: &Frame<'_>) -> Vec<Vec<u8>> {
    let value = |op: &Op<'_>| match op {
        Op::Delete => None,
        Op::Inline(value) | Op::Kept(value) => Some(value.to_vec()),
    };
    frame.contents().unwrap().writes.iter().filter_map(|write| value(&write.op)).collect()
}

fn entries(frame: &Frame<'_>) -> Vec<Vec<u8>> {
    frame.contents().unwrap().entries.iter().map(|entry| entry.bytes.to_vec()).collect()
}

#[test]
fn every_decoder_takes_real_encodings() {
    for (name, check, seeds) in seeds() {
        assert!(!seeds.is_empty(), "{name}");
        for (number, seed) in seeds.iter().enumerate() {
            assert!(check(seed), "{name}: seed {number} of {} bytes", seed.len());
        }
    }
}

#[test]
fn cut_and_changed_encodings_break_no_decoder() {
    let mut refused = 0;
    for (_, check, seeds) in seeds() {
        let seed = seeds.iter().min_by_key(|seed| seed.len()).unwrap();
        for at in 0..seed.len().min(300) {
            let mut bad = seed.clone();
            bad[at] ^= 0x41;
            refused += usize::from(!check(&bad));
            refused += usize::from(!check(&seed[..at]));
        }
    }
    assert!(refused > 1_000, "the decoders take nearly everything");
}

#[test]
#[ignore = "writes fuzz/corpus anew"]
fn write_the_seeds() {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus");
    let mut total = 0;
    let checked = seeds().into_iter().map(|(name, _, seeds)| (name, seeds));
    for (name, seeds) in checked.chain(seeds_of_public_types()) {
        let dir = corpus.join(name);
        fs::create_dir_all(&dir).unwrap();
        for (number, seed) in seeds.iter().enumerate() {
            total += seed.len();
            fs::write(dir.join(format!("seed-{number}")), seed).unwrap();
        }
    }
    assert!(total < 200_000, "{total} bytes are too many to keep in the repository");
}
