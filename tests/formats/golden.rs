//! A vault written by format version 1, kept in the repository: every later version must open it with each of its
//! credentials, read what was put, verify its log, and build its trees anew from its journal.
//!
//! `tests/golden/v1/vault.zst` is the directory's files one after the other: u16 length of the path, path, u32 length of
//! the content, content (little-endian), compressed with zstd. `tests/golden/v1/log.txt` is the log in plain words.
//! When the format changes, keep them, and write the new version beside them with
//! `cargo test --test formats golden::write_a_new_golden_vault -- --ignored`.

use crate::support;

use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use chartvault::*;
use support::golden::PASSPHRASE;
use support::{Allergy, HandClock, Note, base_grant, files_in, note, small, verify, whole_log};

const RAW_KEY: [u8; 32] = [0x47; 32];
const ISSUER: [u8; 32] = [0x69; 32];

fn home() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/v1")
}

fn mrn(value: &str) -> Identifier {
    Identifier::new("urn:mrn:golden", value).unwrap()
}

fn document() -> Kind {
    Kind::new("DocumentReference").unwrap()
}

fn scan() -> Vec<u8> {
    (0..6_000_u32).map(|at| (at * at % 251) as u8).collect()
}

fn birthday() -> Timestamp {
    "1985-10-26T08:21:00Z".parse().unwrap()
}

fn private() -> PutOptions {
    let labels = Labels::new(["minor", "psychotherapy"]).unwrap();
    PutOptions::new().clinical_time(birthday()).confidentiality(Confidentiality::VeryRestricted).labels(labels)
}

fn session(vault: &Vault, clock: &HandClock) -> Session {
    let grant = base_grant().issued_at(clock.now()).all_patients().all_kinds().actions(Action::ALL.iter().copied());
    let token = grant.sign(&IssuerKey::from_secret_bytes(&ISSUER), vault.id()).unwrap();
    vault.session(token, Purpose::Treatment).unwrap()
}

/// The log in words that no later version has a reason to change.
fn log_of(entries: &[AuditEntry]) -> String {
    entries.iter().fold(String::new(), |mut text, entry| {
        let records: usize = entry.subjects.iter().map(|subject| subject.records.len()).sum();
        let AuditEntry { seq, time, event, outcome, .. } = entry;
        writeln!(text, "{seq} {time} {event} {outcome} {} patients {records} records", entry.subjects.len()).unwrap();
        text
    })
}

#[test]
#[ignore = "writes tests/golden/v1 anew; only for a new version of the format"]
fn write_a_new_golden_vault() {
    let (dir, clock) = (tempfile::tempdir().unwrap(), HandClock::new());
    let (path, key, passphrase) = (dir.path().join("vault"), RawKey::from_bytes(RAW_KEY), Passphrase::new(PASSPHRASE));
    let new = Vault::create(&path).raw_key(&key).passphrase(&passphrase).passphrase_cost(PassphraseCost::MINIMUM);
    let (vault, _) = new.options(small().clock(clock.clone())).finish().unwrap();
    vault.trust_issuer(IssuerKey::from_secret_bytes(&ISSUER).public(), &key).unwrap();
    let s = session(&vault, &clock);
    let ama = s.register_patient([mrn("1"), mrn("1b")]).unwrap();
    let ben = s.register_patient([mrn("2")]).unwrap();
    clock.step(60);
    let first = s.put(ama, &note("first")).unwrap();
    s.amend(first, Version::FIRST, &note("first, amended")).unwrap();
    let wrong = s.put(ama, &note("of somebody else")).unwrap();
    s.void(wrong, Version::FIRST, "wrong patient").unwrap();
    s.put_with(ben, &Allergy { substance: "penicillin".into() }, private()).unwrap();
    s.put_verbatim(ben, &document(), &scan(), PutOptions::new()).unwrap();
    s.put_verbatim(ben, &document(), b"", PutOptions::new()).unwrap();
    clock.step(60);
    vault.close().unwrap();
    let vault = Vault::open_with(&path, small().clock(clock.clone())).unwrap().unlock(&key).unwrap();
    let log = log_of(&whole_log(&session(&vault, &clock)));
    vault.close().unwrap();

    fs::create_dir_all(home()).unwrap();
    support::golden::pack(&path, &files_in(&path), &home().join("vault.zst"));
    fs::write(home().join("log.txt"), log).unwrap();
}

/// The golden vault in a directory of its own.
fn unpacked() -> (tempfile::TempDir, PathBuf, Arc<HandClock>) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("vault");
    support::golden::unpack(&path);
    let clock = HandClock::new();
    clock.step(86_400);
    (dir, path, clock)
}

fn hold(vault: &Vault, clock: &HandClock) {
    let s = session(vault, clock);
    let found = |value: &str| s.find_patient(&mrn(value)).unwrap();
    let (ama, ben) = (found("1").unwrap(), found("2").unwrap());
    assert_eq!((found("1b"), found("3")), (Some(ama), None));

    let notes = s.list::<Note>(ama).include_voided().page().unwrap().entries;
    let [wrong, first] = &notes[..] else { panic!("{notes:?}") };
    assert_eq!((wrong.status, wrong.reason.as_deref()), (Status::Voided, Some("wrong patient")));
    assert_eq!(wrong.value, note("of somebody else"));
    let history: Vec<String> = s.history(first.id).unwrap().into_iter().map(|entry| entry.value.text).collect();
    assert_eq!(history, ["first, amended", "first"]);
    assert_eq!(first.recorded_at.to_string(), "2026-01-05T12:01:00Z");

    let allergies = s.list::<Allergy>(ben).page().unwrap().entries;
    let [allergy] = &allergies[..] else { panic!("{allergies:?}") };
    assert_eq!(allergy.value.substance, "penicillin");
    assert_eq!((allergy.clinical_time, allergy.confidentiality), (Some(birthday()), Confidentiality::VeryRestricted));
    assert_eq!(allergy.labels.iter().collect::<Vec<_>>(), ["minor", "psychotherapy"]);
    assert_eq!(allergy.author, s.principal(), "principal ids are derived as they were");
    let documents = s.list_verbatim(ben, &document()).page().unwrap().entries;
    let values: Vec<&[u8]> = documents.iter().map(|entry| &entry.value[..]).collect();
    assert_eq!(values, [b"", &scan()[..]]);
    assert_eq!(s.chart(ben).page().unwrap().entries.len(), 3);

    let (log, expected) = (whole_log(&s), fs::read_to_string(home().join("log.txt")).unwrap());
    let stored: Vec<&str> = expected.lines().collect();
    assert_eq!(stored.len(), 15);
    assert!(log_of(&log[..stored.len()]).lines().eq(stored), "{}", log_of(&log));
    verify(&s);
}

#[test]
fn version_1_opens_with_the_raw_key() {
    let (_dir, path, clock) = unpacked();
    let locked = Vault::open_with(&path, small().clock(clock.clone())).unwrap();
    let vault = locked.unlock(&RawKey::from_bytes(RAW_KEY)).unwrap();
    assert!(vault.opening().clean && vault.opening().rebuilt.is_none(), "{}", vault.opening());
    hold(&vault, &clock);
}

#[test]
fn version_1_opens_with_the_passphrase() {
    let (_dir, path, clock) = unpacked();
    let locked = Vault::open_with(&path, small().clock(clock.clone())).unwrap();
    let wrong = locked.unlock(&Passphrase::new("golden wrong horse"));
    assert!(matches!(wrong, Err(Error::Unlock(UnlockError::WrongCredential))), "{wrong:?}");
    hold(&locked.unlock(&Passphrase::new(PASSPHRASE)).unwrap(), &clock);
}

#[test]
fn version_1_is_rebuilt_from_its_journal_alone() {
    let (_dir, path, clock) = unpacked();
    fs::remove_dir_all(path.join("sled-1")).unwrap();
    for file in ["state.a", "state.b", "clean"] {
        let _ = fs::remove_file(path.join(file));
    }
    let locked = Vault::open_with(&path, small().clock(clock.clone())).unwrap();
    let vault = locked.unlock(&RawKey::from_bytes(RAW_KEY)).unwrap();
    assert!(vault.opening().rebuilt.is_some(), "{}", vault.opening());
    hold(&vault, &clock);
}

/// What later programs make of the kinds in the golden vault.
mod later {
    use super::*;
    use serde::{Deserialize, Serialize};

    #[derive(Record, Serialize, Deserialize, Debug, PartialEq)]
    #[record(kind = "note", version = 2, previous = Note)]
    pub struct NoteV2 {
        pub text: String,
        pub words: u32,
    }

    impl TryFrom<Note> for NoteV2 {
        type Error = std::num::TryFromIntError;

        fn try_from(Note { text }: Note) -> Result<Self, Self::Error> {
            let words = text.split_whitespace().count().try_into()?;
            Ok(Self { text, words })
        }
    }

    #[derive(Record, Serialize, Deserialize, Debug, PartialEq)]
    #[record(kind = "note", version = 3, previous = NoteV2)]
    pub struct NoteV3 {
        pub lines: Vec<String>,
        pub words: u32,
    }

    impl From<NoteV2> for NoteV3 {
        fn from(NoteV2 { text, words }: NoteV2) -> Self {
            Self { lines: vec![text], words }
        }
    }
}

#[test]
fn records_of_version_1_read_as_types_that_were_made_later() {
    let (_dir, path, clock) = unpacked();
    let locked = Vault::open_with(&path, small().clock(clock.clone())).unwrap();
    let vault = locked.unlock(&RawKey::from_bytes(RAW_KEY)).unwrap();
    let s = session(&vault, &clock);
    let ama = s.find_patient(&mrn("1")).unwrap().unwrap();
    let second = s.list::<later::NoteV2>(ama).page().unwrap().entries;
    let third = s.list::<later::NoteV3>(ama).page().unwrap().entries;
    let ([second], [third]) = (&second[..], &third[..]) else { panic!("{second:?} {third:?}") };
    assert_eq!((second.schema, third.schema), (Some(1), Some(1)));
    assert_eq!(second.value, later::NoteV2 { text: "first, amended".into(), words: 2 });
    assert_eq!(third.value, later::NoteV3 { lines: vec!["first, amended".into()], words: 2 });
    let history = s.history(third.id).unwrap().into_iter().map(|entry| entry.value.words);
    assert_eq!(history.collect::<Vec<_>>(), [2, 1]);
    hold(&vault, &clock);
}
