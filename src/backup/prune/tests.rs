use super::*;
use crate::backup::FolderTarget;
use crate::backup::manifest::{Piece, hash_of, tests::example};
use crate::crypto::sign::SigningSeed;
use crate::secret::Secret;

const DAY: i64 = 86_400_000_000;

fn seed() -> SigningSeed {
    SigningSeed::from_seed(&Secret::take(&mut [0xB1; 32]))
}

/// Puts a chain of its own there, made on that day, which names these objects.
fn put(target: &FolderTarget, number: u64, day: i64, names: &[&str], previous: Option<[u8; 32]>) -> [u8; 32] {
    let piece = |name: &&str| Piece { name: name.parse().unwrap(), stored: 1, ..example().pieces[0].clone() };
    let pieces = names.iter().map(piece).collect();
    let made = Timestamp::from_micros(day * DAY);
    let note = Manifest { number, made, chain: (number, 1), previous, pieces, ..example() }.sign(&seed());
    target.put_new(&Manifest::name_of(number), note.as_bytes()).unwrap();
    hash_of(&note)
}

#[test]
fn whoever_can_sign_does_not_have_the_objects_of_others_removed() {
    let dir = tempfile::tempdir().unwrap();
    let target = FolderTarget::create(dir.path().join("disk")).unwrap();
    let names = ["a", "b", "c"].map(|letter| format!("objects/{}", letter.repeat(32)));
    let [good, worthless, newest] = names.each_ref().map(String::as_str);
    for name in [good, worthless, newest, "packs/0000000001/0000"] {
        target.put_new(name, b"x").unwrap();
    }
    let first = put(&target, 1, 100, &[good], None);
    // Dated back, so that it goes first, with what others need.
    let second = put(&target, 2, 1, &[good, worthless], Some(first));
    let third = put(&target, 3, 101, &[newest], Some(second));
    let prune = |last| {
        let key = BackupKey::new(example().vault, seed().public());
        let retention = BackupRetention::new().last(last);
        prune_backups(&target, key, retention).as_of(Timestamp::from_micros(200 * DAY))
    };
    let pruned = prune(2).run().unwrap();
    assert_eq!((&pruned.chains[..], pruned.objects), (&[2][..], 1), "{pruned}");
    target.get(good, 1).unwrap();
    assert!(matches!(target.get(worthless, 1), Err(TargetError::Absent { .. })));
    // What names anything else as an object is no manifest, and nothing goes before somebody has looked.
    put(&target, 4, 1, &[newest], Some(third));
    let path = dir.path().join("disk").join(Manifest::name_of(4));
    let note = std::fs::read_to_string(&path).unwrap().replace(newest, "packs/0000000001/0000");
    std::fs::write(&path, note).unwrap();
    let refused = prune(1).orphans().run();
    assert!(matches!(refused, Err(BackupFault::Manifest { .. })), "{refused:?}");
    for name in ["packs/0000000001/0000", "manifests/0000000001", "manifests/0000000003", good, newest] {
        target.get(name, 1 << 16).unwrap();
    }
}
