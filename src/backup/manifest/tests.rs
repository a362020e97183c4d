use proptest::prelude::*;

use super::*;
use crate::secret::Secret;

const VAULT: VaultId = VaultId::from_bytes([0x11; 16]);

fn seed() -> SigningSeed {
    SigningSeed::from_seed(&Secret::take(&mut [0xB1; 32]))
}

pub(crate) fn example() -> Manifest {
    let part = |number, offset, len| Part { file: JournalFile::Segment { number }, size: 1 << 20, offset, len };
    Manifest {
        vault: VAULT,
        number: 2,
        made: Timestamp::from_micros(1_790_000_000_000_000),
        previous: Some([0xA1; 32]),
        chain: (1, 12_288),
        sealed: true,
        header_generation: 3,
        data_epochs: (1, 2),
        erasures: 1,
        pack: Some(PackRef { number: 4, header_generation: 3, erasures: 1 }),
        end: End { file: JournalFile::Segment { number: 1 }, size: 1 << 20, at: 12_288 },
        whole: true,
        tip: Tip { frame: 9, hash: [0xA2; 32], entries: 12, first_entry: 0, root: Some([0xA3; 32]) },
        pieces: vec![Piece {
            name: "objects/000102030405060708090a0b0c0d0e0f".parse().unwrap(),
            stored: 8_400,
            sha256: [0xA4; 32],
            part: part(1, 4_096, 8_192),
        }],
    }
}

#[test]
fn the_worked_manifest_is_as_the_page_shows() {
    let page = include_str!("../../../docs/format/backup.md");
    let note = example().sign(&seed());
    assert!(page.contains(&note), "{note}");
    let key = BackupKey::new(VAULT, seed().public()).to_string();
    assert!(page.contains(&key), "{key}");
}

#[test]
fn a_manifest_comes_back_and_is_the_signers() {
    for manifest in [
        example(),
        Manifest { previous: None, whole: false, pieces: Vec::new(), sealed: false, pack: None, ..example() },
        Manifest { tip: Tip { root: None, ..example().tip }, ..example() },
    ] {
        let read = SignedManifest::parse(manifest.sign(&seed()).as_bytes()).unwrap();
        assert_eq!(read.manifest, manifest);
        assert!(read.is_signed_by(&BackupKey::new(VAULT, seed().public())));
        assert!(!read.is_signed_by(&BackupKey::new(VaultId::from_bytes([0x12; 16]), seed().public())));
        let other = SigningSeed::from_seed(&Secret::take(&mut [0xB2; 32]));
        assert!(!read.is_signed_by(&BackupKey::new(VAULT, other.public())));
    }
}

#[test]
fn every_flipped_bit_and_every_cut_is_found() {
    let (note, key) = (example().sign(&seed()), BackupKey::new(VAULT, seed().public()));
    let good = |bytes: &[u8]| SignedManifest::parse(bytes).is_ok_and(|read| read.is_signed_by(&key));
    assert!(good(note.as_bytes()));
    for bit in 0..note.len() * 8 {
        let mut bad = note.clone().into_bytes();
        bad[bit / 8] ^= 1 << (bit % 8);
        assert!(!good(&bad), "bit {bit}");
    }
    for len in 0..note.len() {
        assert!(!good(&note.as_bytes()[..len]), "{len}");
    }
}

#[test]
fn lines_that_mean_the_same_otherwise_written_are_refused() {
    let text = example().text();
    for (from, to) in [
        ("number 2", "number 02"),
        ("number 2", "number +2"),
        ("chain 1 12288\n", "chain 1 12288 \n"),
        ("sealed age", "sealed yes"),
        ("format 1", "format 2"),
        ("segment-1", "segment-01"),
        ("pack 4 3 1\n", ""),
        ("log 0 12", "log 0 12 13"),
        ("objects/0001", "objects/`001"),
        ("objects/0001", "objects/001"),
        ("objects/0001", "objects/../../01"),
        ("objects/0001", "packs/0001"),
    ] {
        assert!(matches!(Manifest::parse(&text.replacen(from, to, 1)), Err(BackupFault::Manifest { .. })), "{to}");
    }
}

#[test]
fn as_many_objects_as_a_manifest_may_name_and_one_more() {
    let with = |count| Manifest { pieces: vec![example().pieces[0].clone(); count], ..example() };
    let most = with(MAX_OBJECTS).sign(&seed());
    assert!(most.len() <= MAX_LEN);
    assert!(SignedManifest::parse(most.as_bytes()).is_ok());
    assert!(Manifest::parse(&with(MAX_OBJECTS + 1).text()).is_err());
}

proptest! {
    #[test]
    fn no_text_makes_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..600), cut in 0_usize..400) {
        let _ = SignedManifest::parse(&bytes);
        let mut text = example().sign(&seed()).into_bytes();
        let at = cut.min(text.len());
        text.truncate(at);
        text.extend_from_slice(&bytes);
        let _ = SignedManifest::parse(&text);
    }

    #[test]
    fn keys_come_back(public in any::<[u8; 32]>(), id in any::<[u8; 16]>()) {
        let key = BackupKey::new(VaultId::from_bytes(id), public);
        if let Ok(read) = key.to_string().parse::<BackupKey>() {
            prop_assert_eq!(read, key);
        }
    }
}
