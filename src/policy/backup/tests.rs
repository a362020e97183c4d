use super::super::PolicyRow;
use super::*;
use crate::format::worked;
use proptest::prelude::*;

const PAGE: &str = include_str!("../../../docs/format/policy.md");

fn row(note: BackupNote) -> PolicyRow {
    PolicyRow::Backup(BackupRow { target: "/mnt/backups".to_owned(), note })
}

fn documented() -> [(PolicyRow, &'static str); 5] {
    let at: Timestamp = "2026-01-05T12:00:00Z".parse().unwrap();
    let pack = Some(LastPack { number: 3, header_generation: 9, erasures: 2 });
    let took = Duration::from_millis(2_500);
    let made = LastBackup { at, took, manifest: 12, entries: 4_711, stored_bytes: 1 << 20, pack, oldest_data_epoch: 1 };
    let drilled = LastDrill {
        at,
        outcome: Outcome::Allowed,
        manifest: 12,
        took: Duration::from_secs(90),
        recovery: Duration::from_secs(60),
        records: 103,
    };
    let (outcome, recovery, records) = (Outcome::Failed, Duration::ZERO, 0);
    let failed_drill = LastDrill { outcome, recovery, records, manifest: 0, ..drilled };
    let failed = LastBackupFailure { at, why: "backup target failed".to_owned() };
    [
        (row(BackupNote::Made(made)), "backup_made_row"),
        (row(BackupNote::Failed(failed)), "backup_failed_row"),
        (
            row(BackupNote::Verified(LastVerification { at, outcome: Outcome::Failed, manifest: 12 })),
            "backup_verified_row",
        ),
        (row(BackupNote::Drilled(drilled)), "backup_drilled_row"),
        (row(BackupNote::Drilled(failed_drill)), "backup_drill_failed_row"),
    ]
}

#[test]
fn the_worked_examples_hold_and_whatever_was_cut_or_flipped_is_refused_or_another_row() {
    for (row, name) in documented() {
        let bytes = row.to_bytes();
        assert_eq!(bytes, worked::bytes(PAGE, name), "{name}: {}", data_encoding::HEXLOWER.encode(&bytes));
        assert_eq!(PolicyRow::parse(&bytes), Ok(row.clone()));
        for len in 0..bytes.len() {
            assert_ne!(PolicyRow::parse(&bytes[..len]).as_ref(), Ok(&row), "{len}");
        }
        for bit in 0..bytes.len() * 8 {
            let mut bad = bytes.clone();
            bad[bit / 8] ^= 1 << (bit % 8);
            assert_ne!(PolicyRow::parse(&bad).as_ref(), Ok(&row), "bit {bit}");
        }
    }
    assert_eq!(kdf::backup_note_id(4, "/mnt/backups").to_vec(), worked::bytes(PAGE, "backup_drilled_id"));
}

#[test]
fn rows_that_cannot_be_are_refused() {
    let at = Timestamp::from_micros(1);
    let of = |target: String, note| PolicyRow::parse(&PolicyRow::Backup(BackupRow { target, note }).to_bytes());
    let verified = |outcome| BackupNote::Verified(LastVerification { at, outcome, manifest: 1 });
    assert_eq!(of("x".into(), verified(Outcome::Denied)), Err(BadRow));
    assert_eq!(of("a\nb".into(), verified(Outcome::Allowed)), Err(BadRow));
    assert!(of("x".repeat(MAX_TARGET), verified(Outcome::Allowed)).is_ok());
    assert_eq!(of("x".repeat(MAX_TARGET + 1), verified(Outcome::Allowed)), Err(BadRow));
    for (len, sound) in [(0, false), (1, true), (MAX_WORD, true), (MAX_WORD + 1, false)] {
        let failed = BackupNote::Failed(LastBackupFailure { at, why: "w".repeat(len) });
        assert_eq!(of("x".into(), failed).is_ok(), sound, "{len}");
    }
}

#[cfg(feature = "backup")]
#[test]
fn names_are_kept_as_far_as_they_fit_and_show_no_control_characters() {
    assert_eq!(kept_name("disk\r\nB"), "disk??B");
    assert_eq!(kept_name(&"é".repeat(600)).len(), 1_024);
    assert_eq!(kept_name(&format!("x{}", "é".repeat(600))).len(), 1_023);
}

#[cfg(feature = "backup")]
#[test]
fn the_target_that_was_not_heard_of_for_longest_makes_room() {
    let mut known = BTreeMap::new();
    for number in 0..64_i64 {
        let at = Timestamp::from_micros(1_000 - number);
        let failed = Some(failure(at, "io"));
        known.insert(format!("t{number}"), Remembered { failed, ..Remembered::default() });
    }
    assert!(in_the_way(&known, "t5").is_empty());
    assert_eq!(in_the_way(&known, "new"), ["t63"]);
    let verified = LastVerification { at: Timestamp::from_micros(9_999), outcome: Outcome::Allowed, manifest: 1 };
    known.get_mut("t63").unwrap().put(BackupNote::Verified(verified));
    assert_eq!(in_the_way(&known, "new"), ["t62"]);
    known.remove("t0");
    assert!(in_the_way(&known, "new").is_empty());
}

proptest! {
    #[test]
    fn what_parses_is_what_would_be_written(rest in proptest::collection::vec(0u8..4, 0..80)) {
        let bytes = [&[29][..], &rest].concat();
        if let Ok(row) = PolicyRow::parse(&bytes) {
            prop_assert_eq!(row.to_bytes(), bytes);
        }
    }
}
