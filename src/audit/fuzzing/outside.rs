//! What leaves the vault and may come back: signed notes, bundles, archives; and the tiles of the tree.

use chartvault_verify::archive::{self, ArchiveReader, ArchiveWriter};
use chartvault_verify::bundle::{Trust, hash_of, verify_bundle};
use chartvault_verify::merkle::{Frontier, FrontierError, Hash, Range, TileId, leaf_hash};
use chartvault_verify::note::{self, Note, SignatureKind, VerifierKey};

use crate::audit::Checkpoint;
use crate::audit::note::{Claimed, MAX_NOTE, origin, vkey};
use crate::audit::tile::TileSeal;
use crate::crypto::hash::HmacKey;
use crate::crypto::sign::SigningSeed;
use crate::ids::VaultId;
use crate::secret::Secret;

const VAULT: VaultId = VaultId::from_bytes([0x11; 16]);

fn signer() -> SigningSeed {
    SigningSeed::from_seed(&Secret::take(&mut [0xC1; 32]))
}

fn trusted() -> VerifierKey {
    vkey(VAULT, &signer().public()).parse().unwrap()
}

/// A signed note, a checkpoint in one, or a key that verifies notes.
pub(crate) fn note(bytes: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(bytes) else { return false };
    if let Ok(key) = text.parse::<VerifierKey>() {
        assert_eq!(key.to_string(), text);
        return true;
    }
    let Ok(note) = text.parse::<Note>() else {
        assert!(text.parse::<Checkpoint>().is_err() && Claimed::parse(text).is_err());
        return false;
    };
    assert_eq!(note.to_string(), text);
    let stranger = VerifierKey::new(&origin(VAULT), SignatureKind::Ed25519, &[9; 32]);
    assert!(stranger.is_err() || note.verify(&[stranger.unwrap()]).is_err(), "nobody has that key");
    let signed = note.verify(&[trusted()]).is_ok();
    let body = note.text().parse::<note::Checkpoint>();
    // What the vault reads is what others read.
    assert_eq!(text.parse::<Checkpoint>().is_ok(), body.is_ok());
    if let Ok(body) = body {
        assert_eq!(body.to_string(), note.text());
        let ours = Claimed::parse(text).is_ok_and(|claimed| claimed.is_signed_by(VAULT, &signer().public()));
        assert!(ours == signed || text.len() > MAX_NOTE, "the vault thinks otherwise of a signature than others do");
    }
    true
}

/// A bundle without its last item, which is made good.
pub(crate) fn bundle(bytes: &[u8]) -> bool {
    let end = [&[7, 0, 0, 0, 32][..], &hash_of(bytes)].concat();
    let whole = [bytes, &end].concat();
    let trust = Trust::keys([trusted()]);
    let _ = verify_bundle(bytes, &trust).map(|report| assert!(!report.integrity.is_sound(), "one without an end"));
    let Ok(report) = verify_bundle(&whole[..], &trust) else { return false };
    assert!(report.to_string().lines().count() >= 4);
    if report.integrity.is_sound() {
        assert!(!report.signed_by.is_empty(), "sound, and nobody signed it");
        assert!(report.checkpoint.is_some_and(|checkpoint| checkpoint.size >= report.entries));
    }
    assert!(verify_bundle(&whole[..], &Trust::keys([])).is_ok_and(|report| !report.integrity.is_sound()));
    report.integrity.is_sound() && report.completeness.is_sound()
}

/// An archive without its end, which is made good.
pub(crate) fn log_archive(bytes: &[u8]) -> bool {
    assert!(archive::verify(bytes).is_err(), "one without its end");
    let Ok(mut reader) = ArchiveReader::begin(bytes) else { return false };
    let (vault, mut seen, mut entries, mut tree) = (reader.vault(), None, Vec::new(), Range::empty(0));
    while let Ok(Some((seq, entry))) = reader.next_entry() {
        tree.push(leaf_hash(entry));
        seen = seen.or(Some(seq));
        entries.push(entry.to_vec());
    }
    let (Some(first), Some(root)) = (seen, tree.root()) else { return false };
    let mut whole = [bytes, &root].concat();
    whole.extend(hash_of(&whole));
    let Ok(archived) = archive::verify(&whole[..]) else { return false };
    assert_eq!((archived.first, archived.vault, archived.root), (first, vault, root));
    let mut again = Vec::new();
    let mut writer = ArchiveWriter::begin(&mut again, vault, archived.first..archived.end).unwrap();
    entries.iter().for_each(|entry| writer.push(entry).unwrap());
    assert_eq!((writer.finish().unwrap(), again), (archived, whole));
    true
}

/// `level u8 ‖ index u64`, then a tile's row: as it is, and with its tag made good.
pub(crate) fn tile(bytes: &[u8]) -> bool {
    let Some(([level, index @ ..], row)) = bytes.split_first_chunk::<9>() else { return false };
    let (seal, id) =
        (TileSeal::new(HmacKey::new(&[7; 32])), TileId { level: *level, index: u64::from_be_bytes(*index) });
    if let Some(hashes) = seal.decode(id, row) {
        assert_eq!(seal.encode(id, &hashes), row);
    }
    let (hashes, rest) = row.as_chunks::<32>();
    let good = seal.encode(id, hashes);
    let Some(decoded) = seal.decode(id, &good) else {
        assert!(hashes.is_empty() || hashes.len() > 256);
        return false;
    };
    assert_eq!(decoded, hashes);
    // As the last tile of a tree of any size; what is of another width is refused.
    let restore = |id: TileId, width: u16| -> Result<Vec<Hash>, FrontierError> {
        Ok(decoded.iter().cycle().skip(usize::from(id.level)).take(width.into()).copied().collect())
    };
    let mut edge = Frontier::restore(id.index, restore).unwrap();
    assert!(edge.partial_tiles().all(|(id, hashes)| hashes.len() == usize::from(id.width(edge.size()))));
    let (before, size) = (edge.root(), edge.size());
    edge.push([1; 32], &mut |id, hashes| assert!(hashes.len() == 256 && id.level < 8));
    assert!(size == u64::MAX || edge.root() != before);
    rest.is_empty()
}

/// A target's name, what it calls, and its seeds.
#[cfg(test)]
pub(crate) type Target = (&'static str, fn(&[u8]) -> bool, Vec<Vec<u8>>);

/// Notes and keys; bundles, archives and tiles as the functions above take them.
#[cfg(test)]
pub(crate) fn seeds() -> [Target; 4] {
    use std::convert::Infallible;

    use chartvault_verify::bundle::BundleWriter;
    use chartvault_verify::merkle::{TileSource, prove_consistency};

    use crate::audit::entry::EntryRef;
    use crate::audit::note::next_key;
    use crate::audit::tests::kit;

    /// A bundle's last item: type, length, hash.
    const END: usize = 37;
    /// Root and hash behind an archive's entries.
    const ARCHIVE_END: usize = 64;

    struct Leaves(Vec<Hash>);
    impl TileSource for Leaves {
        type Error = Infallible;

        fn tile(&self, _: TileId, width: u16) -> Result<Vec<Hash>, Infallible> {
            Ok(self.0[..usize::from(width)].to_vec())
        }
    }
    let drafts = (0..9).map(|n| if n == 0 { kit::genesis() } else { kit::read(1 + n % 3) }).collect();
    let entries = kit::log(drafts);
    let leaves = Leaves(entries.iter().map(|entry| leaf_hash(entry)).collect());
    let range = |from: usize, to: usize| {
        let mut range = Range::empty(from as u64);
        leaves.0[from..to].iter().for_each(|leaf| range.push(*leaf));
        range
    };
    let sign = |size: usize, line: Option<&str>| {
        Checkpoint::sign(VAULT, (size as u64, range(0, size).root().unwrap()), line, &signer()).note
    };
    let final_one = sign(9, Some(&next_key(2, &signer().public())));
    let bundle_of = |from: usize, to: usize| {
        let mut bytes = Vec::new();
        let mut writer = BundleWriter::begin(&mut bytes, VAULT.as_bytes(), &sign(9, None)).unwrap();
        if from == 0 {
            writer.final_checkpoint(&final_one, &[]).unwrap();
        }
        let Ok(proof) = prove_consistency(&leaves, 5, 9);
        writer.earlier_checkpoint(&sign(5, None), &proof).unwrap();
        if from < to {
            let entry = EntryRef::parse(&entries[from]).unwrap();
            writer.key(from as u64, entry.entry_key(&kit::keys()).unwrap().expose()).unwrap();
        }
        let mut writer = writer.range(from as u64, (to - from) as u64, &range(0, from), &range(to, 9)).unwrap();
        entries[from..to].iter().for_each(|entry| writer.entry(entry).unwrap());
        writer.finish().unwrap();
        bytes.truncate(bytes.len() - END);
        bytes
    };
    let archive_of = |from: usize, to: usize| {
        let mut bytes = Vec::new();
        let mut writer = ArchiveWriter::begin(&mut bytes, *VAULT.as_bytes(), from as u64..to as u64).unwrap();
        entries[from..to].iter().for_each(|entry| writer.push(entry).unwrap());
        writer.finish().unwrap();
        bytes.truncate(bytes.len() - ARCHIVE_END);
        bytes
    };
    let mut cosigned: Note = sign(9, None).parse().unwrap();
    cosigned.add_line(&format!("\u{2014} witness.example {}", data_encoding::BASE64.encode(&[8; 76]))).unwrap();
    let notes = [
        sign(9, None),
        final_one.clone(),
        cosigned.to_string(),
        trusted().to_string(),
        "a\n\n\u{2014} b AAAAAAAA\n".into(),
    ];
    let tile_of =
        |level: u8, index: u64, hashes: &[Hash]| [&[level][..], &index.to_be_bytes(), hashes.as_flattened()].concat();
    [
        ("note", note, notes.map(String::into_bytes).to_vec()),
        ("bundle", bundle, vec![bundle_of(0, 9), bundle_of(3, 6), bundle_of(4, 4)]),
        ("log_archive", log_archive, vec![archive_of(0, 9), archive_of(3, 4)]),
        (
            "tile",
            tile,
            vec![tile_of(0, 9, &leaves.0), tile_of(1, 300, &leaves.0[..1]), tile_of(2, 70_000, &[[5; 32]; 256])],
        ),
    ]
}
