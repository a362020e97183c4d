//! Whatever is done to the stored bytes, the vault answers exactly what was put, or with a typed error: never something
//! else, never less without saying so, never a panic, never a hang.
//!
//! A run samples bytes and lengths of every file; `CHARTVAULT_EVERY=1` tries each one (hours).

use crate::support;

use std::fs;
use std::path::Path;

use chartvault::*;
use sha2::{Digest, Sha256};
use support::exhibit::{Exhibit, Outcome};
use support::{copy_dir, files_in};

/// Which file of the vault a path names.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Part {
    Journal,
    Header,
    State,
    CleanMark,
    SigningKey,
    Trees,
}

fn part(file: &Path) -> Part {
    let name = file.to_str().unwrap();
    match name {
        _ if name.starts_with("journal") => Part::Journal,
        _ if name.starts_with("header") => Part::Header,
        _ if name.starts_with("state") => Part::State,
        _ if name.starts_with("sled-") => Part::Trees,
        "clean" => Part::CleanMark,
        "signing.key" => Part::SigningKey,
        _ => panic!("a file that this test does not know: {name}"),
    }
}

/// The errors that damage may have.
fn names_damage(error: &Error) -> bool {
    use StorageError::{
        Damaged, HeaderRolledBack, JournalBehind, Missing, NotAVault, OtherVault, StateDamaged, UnknownFormat,
    };
    match error {
        Error::Header(_) | Error::Unlock(UnlockError::HeaderTampered | UnlockError::Header(_)) => true,
        Error::Storage(storage) => matches!(
            storage,
            Damaged { .. }
                | HeaderRolledBack { .. }
                | JournalBehind { .. }
                | Missing { .. }
                | NotAVault { .. }
                | OtherVault { .. }
                | StateDamaged { .. }
                | UnknownFormat { .. }
        ),
        Error::Audit(_) | Error::Tampered { .. } | Error::TamperedRow { .. } | Error::Missing { .. } => true,
        _ => false,
    }
}

/// Only the journal is the truth, and one copy of the header is enough: whatever happens to one other file is mended.
fn hold(file: &Path, what: &str, outcome: Outcome) {
    match outcome {
        Outcome::Same => {}
        Outcome::Refused(error) => {
            assert!(names_damage(&error), "{file:?}, {what}: an error that does not name damage: {error:?}");
            assert!(part(file) == Part::Journal, "{file:?}, {what}: could have been mended: {error}");
        }
    }
}

/// Positions below `len`: the first ones, and then every k-th, so that there are about `wanted`.
fn sample(len: usize, wanted: usize) -> impl Iterator<Item = usize> {
    let every = std::env::var("CHARTVAULT_EVERY").ok().and_then(|every| every.parse().ok());
    let step = every.unwrap_or((len / wanted).max(1));
    // An odd step meets every alignment.
    let step = if step > 1 { step | 1 } else { step };
    (0..len).step_by(step)
}

/// Flips a bit in about `wanted` bytes of each file that is a `which`.
fn flip(which: Part, wanted: usize) {
    let exhibit = Exhibit::new();
    let mut refused = 0;
    for file in exhibit.files().iter().filter(|file| part(file) == which) {
        let good = exhibit.bytes(file);
        // Behind the last frame a segment is zeros; one of them is enough.
        let used = good.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
        for at in sample(used, wanted).chain((used < good.len()).then(|| good.len() - 1)) {
            let mut bad = good.clone();
            bad[at] ^= 1 << (at % 8);
            let outcome = exhibit.trial(|copy| fs::write(copy.join(file), &bad).unwrap());
            refused += usize::from(matches!(outcome, Outcome::Refused(_)));
            hold(file, &format!("bit flipped in byte {at} of {}", good.len()), outcome);
        }
    }
    assert!(which != Part::Journal || refused > 0, "no flip was noticed");
}

#[test]
fn a_bit_flipped_in_the_journal_is_never_a_wrong_answer() {
    flip(Part::Journal, 40);
}

#[test]
fn a_bit_flipped_in_one_copy_of_the_header_is_mended() {
    flip(Part::Header, 20);
}

#[test]
fn a_bit_flipped_in_a_state_file_or_the_clean_mark_is_mended() {
    flip(Part::State, 12);
    flip(Part::CleanMark, 6);
}

#[test]
fn a_bit_flipped_in_the_signing_key_loses_nothing() {
    flip(Part::SigningKey, 12);
}

#[test]
fn a_bit_flipped_in_the_trees_is_mended_from_the_journal() {
    flip(Part::Trees, 24);
}

#[test]
fn a_file_that_is_cut_is_mended_or_named() {
    let exhibit = Exhibit::new();
    for file in exhibit.files() {
        let good = exhibit.bytes(&file);
        for len in sample(good.len(), 5) {
            let outcome = exhibit.trial(|copy| fs::write(copy.join(&file), &good[..len]).unwrap());
            hold(&file, &format!("cut to {len} of {}", good.len()), outcome);
        }
    }
}

#[test]
fn a_file_that_is_missing_is_mended_or_named() {
    let exhibit = Exhibit::new();
    for file in exhibit.files() {
        hold(&file, "deleted", exhibit.trial(|copy| fs::remove_file(copy.join(&file)).unwrap()));
    }
    for dir in ["journal", "sled-1"] {
        let outcome = exhibit.trial(|copy| fs::remove_dir_all(copy.join(dir)).unwrap());
        assert_eq!(matches!(outcome, Outcome::Same), dir != "journal", "{dir}: {outcome:?}");
    }
}

#[test]
fn an_older_copy_of_one_file_is_mended_or_named() {
    let exhibit = Exhibit::new();
    for file in files_in(exhibit.earlier.path()) {
        let older = fs::read(exhibit.earlier.path().join(&file)).unwrap();
        if file.as_os_str() != "lock" {
            hold(&file, "an older copy", exhibit.trial(|copy| fs::write(copy.join(&file), &older).unwrap()));
        }
    }
}

#[test]
fn an_older_journal_beside_newer_trees_or_a_newer_state_is_refused() {
    let exhibit = Exhibit::new();
    let earlier = exhibit.earlier.path();
    let put_back = |copy: &Path, keep: &[&str]| {
        for name in ["journal", "sled-1", "state.a", "state.b", "clean"].into_iter().filter(|name| !keep.contains(name))
        {
            let (from, to) = (earlier.join(name), copy.join(name));
            if to.is_dir() {
                fs::remove_dir_all(&to).unwrap();
                copy_dir(&from, &to);
            } else if from.exists() {
                fs::copy(from, to).unwrap();
            } else if to.exists() {
                fs::remove_file(to).unwrap();
            }
        }
    };
    for keep in [&["sled-1"][..], &["state.a", "state.b"], &["clean"], &["sled-1", "state.a", "state.b"]] {
        let outcome = exhibit.trial(|copy| put_back(copy, keep));
        assert!(
            matches!(outcome, Outcome::Refused(Error::Storage(StorageError::JournalBehind { .. }))),
            "all but {keep:?} rolled back: {outcome:?}"
        );
    }
}

#[test]
fn files_of_another_vault_are_mended_or_named() {
    let (exhibit, other) = (Exhibit::new(), Exhibit::new());
    for file in exhibit.files() {
        let foreign = other.house.path().join(&file);
        if foreign.exists() {
            let outcome = exhibit.trial(|copy| {
                fs::copy(&foreign, copy.join(&file)).unwrap();
            });
            match (part(&file), outcome) {
                (Part::Header, Outcome::Refused(Error::Header(HeaderFileError::DifferentVaults { .. }))) => {}
                // Trees that know another journal could be all that is left of a newer one: better ask than overwrite.
                (Part::Trees, Outcome::Refused(Error::Storage(StorageError::JournalBehind { .. }))) => {}
                (_, outcome) => hold(&file, "from another vault", outcome),
            }
        }
    }
    let outcome = exhibit.trial(|copy| {
        fs::remove_dir_all(copy.join("journal")).unwrap();
        copy_dir(&other.house.path().join("journal"), &copy.join("journal"));
    });
    assert!(matches!(outcome, Outcome::Refused(ref error) if names_damage(error)), "a whole journal: {outcome:?}");
}

#[test]
fn both_copies_of_the_header_damaged_are_named_as_such() {
    let exhibit = Exhibit::new();
    let used = exhibit.bytes(Path::new("header.a")).iter().rposition(|byte| *byte != 0).unwrap();
    for at in sample(used, 20) {
        let outcome = exhibit.trial(|copy| {
            for name in ["header.a", "header.b"] {
                let mut bytes = fs::read(copy.join(name)).unwrap();
                bytes[at] ^= 4;
                fs::write(copy.join(name), bytes).unwrap();
            }
        });
        assert!(
            matches!(outcome, Outcome::Refused(Error::Header(HeaderFileError::BothUnusable { .. }))),
            "byte {at}: {outcome:?}"
        );
    }
}

/// Writes another generation into a copy of the header, and the checksum that goes with it, as somebody would who has
/// read the format but has no key.
fn forge(path: &Path) {
    let mut bytes = fs::read(path).unwrap();
    let len = usize::try_from(u32::from_be_bytes(bytes[10..14].try_into().unwrap())).unwrap();
    bytes[37] ^= 2;
    let checksum = Sha256::digest(&bytes[..len - 32]);
    bytes[len - 32..len].copy_from_slice(&checksum);
    fs::write(path, bytes).unwrap();
}

#[test]
fn a_forged_header_is_told_from_a_damaged_one_and_from_a_wrong_credential() {
    let exhibit = Exhibit::new();
    for name in ["header.a", "header.b"] {
        let outcome = exhibit.trial(|copy| forge(&copy.join(name)));
        assert!(matches!(outcome, Outcome::Same), "the other copy is genuine: {outcome:?}");
    }
    let forge_both = |copy: &Path| ["header.a", "header.b"].iter().for_each(|name| forge(&copy.join(name)));
    let outcome = exhibit.trial(forge_both);
    assert!(matches!(outcome, Outcome::Refused(Error::Unlock(UnlockError::HeaderTampered))), "{outcome:?}");

    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("copy");
    copy_dir(&exhibit.house.path(), &path);
    let unlock = |key: &RawKey| Vault::open_with(&path, exhibit.house.options()).unwrap().unlock(key).map(drop);
    let wrong = RawKey::generate().unwrap();
    assert!(matches!(unlock(&wrong), Err(Error::Unlock(UnlockError::WrongCredential))));
    forge_both(&path);
    assert!(matches!(unlock(&wrong), Err(Error::Unlock(UnlockError::WrongCredential))));
    assert!(matches!(unlock(&exhibit.house.key), Err(Error::Unlock(UnlockError::HeaderTampered))));
}

#[test]
fn a_lost_count_of_failed_unlocks_or_bytes_that_are_none_do_not_stop_the_next() {
    let exhibit = Exhibit::new();
    for bytes in [&b""[..], b"CVF?", &[0xFF; 36], &[0; 4_000]] {
        let outcome = exhibit.trial(|copy| fs::write(copy.join("attempts"), bytes).unwrap());
        assert!(matches!(outcome, Outcome::Same), "{outcome:?}");
    }
}
