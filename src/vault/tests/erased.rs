//! That nobody opens anything of a patient who was erased: every byte of every file of the vault is taken for the beginning
//! of a sealed secret or record, and every key that the vault holds is tried on it.

use std::collections::BTreeSet;
use std::fs;
use std::time::Duration;

use super::*;
use crate::crypto::kdf;
use crate::crypto::seal::{FLOOR_KEY, Sealer};
use crate::format::envelope::{self, Place};
use crate::format::keys::{PatientKey, RecordKey};
use crate::ids::PatientId;
use crate::secret::{Key, Secret};
use crate::storage::Scan;
use crate::{Identifier, PutOptions, Session};

struct Ward {
    dir: tempfile::TempDir,
    key: RawKey,
    vault: Vault,
    session: Session,
    erased: PatientId,
    other: PatientId,
}

/// A row as it is stored.
type Row = (Vec<u8>, Vec<u8>);

impl Ward {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let key = RawKey::generate().unwrap();
        let options = Options::new().segment_bytes(64 << 10, 64 << 10).cache_bytes(4 << 20).inline_limit(4_096);
        let (vault, _) = Vault::create(dir.path().join("vault")).raw_key(&key).options(options).finish().unwrap();
        let issuer = IssuerKey::generate().unwrap();
        vault.trust_issuer(issuer.public(), &key).unwrap();
        let grant = Grant::to("dr.osei").all_patients().all_kinds().actions(Action::ALL.iter().copied());
        let grant = grant.purpose(Purpose::Treatment).valid_for(Duration::from_secs(3_600));
        let session = vault.session(grant.sign(&issuer, vault.id()).unwrap(), Purpose::Treatment).unwrap();
        let patient = |mrn: &str| session.register_patient([Identifier::new("urn:mrn", mrn).unwrap()]).unwrap();
        let (erased, other) = (patient("1"), patient("2"));
        let kind = Kind::new("Observation").unwrap();
        for (patient, len) in [(erased, 300), (other, 300), (erased, 5_000), (other, 5_000)] {
            let record = session.put_verbatim(patient, &kind, &vec![7; len], PutOptions::new()).unwrap();
            session.amend_verbatim(record, crate::Version::FIRST, &vec![8; len]).unwrap();
        }
        // Later segments, so that the first ones are closed, and everything is on the disk, in sled as well.
        for _ in 0..30 {
            session.put_verbatim(other, &kind, &[9; 5_000], PutOptions::new()).unwrap();
        }
        vault.checkpoint().unwrap();
        Self { dir, key, vault, session, erased, other }
    }

    fn tag(&self, patient: PatientId) -> [u8; 16] {
        self.vault.0.gate.enter().unwrap().keyring().patient_tag(patient)
    }

    /// What the trees hold of a patient: records, secret, identifiers.
    fn rows(&self, tree: Tree, patient: PatientId) -> Vec<Row> {
        let (unlocked, tag) = (self.vault.0.gate.enter().unwrap(), self.tag(patient));
        let rows = unlocked.committer.scan(tree, Scan { prefix: &[], after: None, limit: 10_000 }).unwrap();
        let of = |key: &[u8]| if tree == Tree::Lookup { key[16..] == tag } else { key.starts_with(&tag) };
        rows.into_iter().filter(|(key, _)| of(key)).map(|(key, value)| (key, value.to_vec())).collect()
    }

    /// Every file of the vault, whatever it is for.
    fn files(&self) -> Vec<Vec<u8>> {
        fn walk(dir: &Path, found: &mut Vec<Vec<u8>>) {
            for entry in fs::read_dir(dir).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() { walk(&path, found) } else { found.push(fs::read(path).unwrap()) }
            }
        }
        self.vault.checkpoint().unwrap();
        let mut found = Vec::new();
        walk(self.dir.path(), &mut found);
        assert!(found.len() >= 8, "header, journal, trees, state");
        found
    }

    fn hold(&self, bytes: &[u8]) -> bool {
        self.files().iter().any(|file| file.windows(bytes.len()).any(|window| window == bytes))
    }
}

/// Places at which an envelope could begin.
fn candidates(file: &[u8]) -> impl Iterator<Item = usize> + '_ {
    let could = |at: &usize| matches!(file[*at..], [1, 1 | 2, 0, 0, ..]);
    (0..file.len()).filter(could)
}

/// Every secret of a patient that opens anywhere in the files under any of the keys, each of which is taken for a wrap key.
fn secrets_of(ward: &Ward, files: &[Vec<u8>], keyring: &Keyring, tag: [u8; 16]) -> BTreeSet<[u8; 32]> {
    let wrap = |key: &[u8; 32]| Key::new(Secret::take(&mut key.clone()));
    let sealers = keyring.key_bytes().into_iter().map(|(_, key)| wrap(key));
    let sealers: Vec<Sealer> =
        sealers.map(|key| Sealer::new(kdf::wrap_prk(&key), kdf::SEAL_PATIENT_SECRET, FLOOR_KEY)).collect();
    let mut found = BTreeSet::new();
    for file in files {
        for at in candidates(file) {
            let Some(bytes) = file.get(at..at + SECRET_ROW) else { continue };
            let (head, sealed) = envelope::parse(bytes).unwrap();
            for generation in 1..3 {
                let key = PatientKey { patient_tag: tag, generation }.to_bytes();
                let place = Place { vault: ward.vault.id(), tree: Tree::Patients, key: &key };
                for sealer in &sealers {
                    if let Ok(body) = envelope::open_sealed(sealer, head, place, sealed) {
                        found.insert(body[..32].try_into().unwrap());
                    }
                }
            }
        }
    }
    found
}

/// Bytes of a patient's row.
const SECRET_ROW: usize = 12 + 64 + 64 + 16;

/// How many of these records open anywhere in the files under any of the secrets and the keyring's data keys.
fn records_that_open(
    ward: &Ward,
    files: &[Vec<u8>],
    keyring: &Keyring,
    rows: &[Row],
    secrets: &BTreeSet<[u8; 32]>,
) -> usize {
    let secrets: Vec<_> = secrets.iter().map(|secret| Key::new(Secret::take(&mut secret.clone()))).collect();
    let sealers: Vec<Sealer> = keyring
        .data_epochs()
        .iter()
        .flat_map(|epoch| secrets.iter().map(|secret| keyring.record_sealer(*epoch, secret, None).unwrap()))
        .collect();
    let opens = |(key, value): &Row| {
        files.iter().any(|file| {
            candidates(file).any(|at| {
                let Some(bytes) = file.get(at..at + value.len()) else { return false };
                let (head, sealed) = envelope::parse(bytes).unwrap();
                let place = Place { vault: ward.vault.id(), tree: Tree::Records, key };
                sealers.iter().any(|sealer| envelope::open_sealed(sealer, head, place, sealed).is_ok())
            })
        })
    };
    rows.iter().filter(|row| opens(row)).count()
}

fn erase(ward: &Ward, order: &crate::ErasureOrder) -> crate::ErasureReport {
    ward.vault.erase_patient(&ward.session, ward.erased, order, &ward.key, &mut |_| ()).unwrap()
}

fn order() -> crate::ErasureOrder {
    crate::ErasureOrder::new("the patient asked", "GDPR 17(1)(b)")
}

fn keyring(ward: &Ward) -> Keyring {
    open::open_header(&ward.vault.0.home, (&ward.key).into()).unwrap().keyring
}

#[test]
fn no_byte_of_any_file_opens_an_erased_chart_with_any_key_that_the_vault_holds() {
    let ward = Ward::new();
    let (erased, other) = (ward.tag(ward.erased), ward.tag(ward.other));
    let (records, theirs) = (ward.rows(Tree::Records, ward.erased), ward.rows(Tree::Records, ward.other));
    assert!(records.len() == 4 && RecordKey::from_bytes(&records[0].0).is_ok());
    let old = keyring(&ward);
    // Before: the search finds the secret, and with it every record.
    let before = ward.files();
    let secret = secrets_of(&ward, &before, &old, erased);
    assert_eq!(secret.len(), 1);
    assert_eq!(records_that_open(&ward, &before, &old, &records, &secret), 4);

    let report = erase(&ward, &order());
    assert_eq!((report.versions, report.identifiers, report.level), (4, 1, crate::ErasureLevel::Unreadable));
    let (files, new) = (ward.files(), keyring(&ward));
    assert_eq!(new.wrap_epochs(), [2]);
    assert_eq!(secrets_of(&ward, &files, &new, erased), BTreeSet::new());
    // Whatever secrets there are, they open what is theirs and nothing of the erased chart.
    let mut left = secrets_of(&ward, &files, &new, other);
    assert_eq!(left.len(), 1);
    assert_eq!(records_that_open(&ward, &files, &new, &theirs[..4], &left), 4);
    left.extend(secrets_of(&ward, &files, &new, ward.tag(PatientId::FACILITY)));
    assert_eq!(left.len(), 2);
    assert_eq!(records_that_open(&ward, &files, &new, &records, &left), 0);
    // What it does not reach is what the report says: the bytes are there, and an old header opens them.
    assert_eq!(secrets_of(&ward, &files, &old, erased), secret);
    assert_eq!(records_that_open(&ward, &files, &old, &records, &secret), 4);
}

#[test]
fn the_sealed_bytes_of_an_erased_chart_go_where_that_was_asked_for() {
    for identity in [false, true] {
        let ward = Ward::new();
        let rows: Vec<Row> = [Tree::Records, Tree::Patients, Tree::Lookup]
            .iter()
            .flat_map(|tree| ward.rows(*tree, ward.erased))
            .collect();
        assert_eq!(rows.len(), 4 + 1 + 1);
        // The salt of an envelope stands for all of it.
        let held = |ward: &Ward| rows.iter().filter(|(_, value)| ward.hold(&value[12..44])).count();
        // What opening keeps of a torn frame.
        let torn = ward.dir.path().join("vault/journal/torn-1-4096.bin");
        fs::write(&torn, rows.iter().flat_map(|(_, value)| value.clone()).collect::<Vec<_>>()).unwrap();
        assert_eq!(held(&ward), 6);
        let report = erase(&ward, &if identity { order().identity() } else { order() });
        assert_eq!(torn.exists(), !identity);
        if !identity {
            assert_eq!(held(&ward), 6, "{report}");
            continue;
        }
        assert_eq!((held(&ward), report.level), (0, crate::ErasureLevel::Removed), "{report}");
        assert!(report.compaction.is_some_and(|done| done.bytes_after < done.bytes_before));
        // Nor does anything say the patient's id, with all keys.
        let (unlocked, id) = (ward.vault.0.gate.enter().unwrap(), ward.erased);
        let scan = Scan { prefix: &[], after: None, limit: 10_000 };
        for (key, value) in unlocked.committer.scan(Tree::Policy, scan).unwrap() {
            let keyring = unlocked.keyring();
            let body = unlocked.open_row(keyring.policy_sealer(), Tree::Policy, &key, &value, "row").unwrap();
            assert!(!body.windows(16).any(|window| window == id.as_bytes()));
        }
        drop(unlocked);
        assert!(ward.vault.check(CheckScope::All, &mut |_| ()).unwrap().is_sound());
        let text = ward.session.list_verbatim(ward.other, &Kind::new("Observation").unwrap()).page().unwrap();
        assert_eq!(text.entries.len(), 32);
        ward.vault.close().unwrap();
        assert_eq!(fs::read_dir(ward.dir.path().join("vault")).unwrap().filter(is_of_sled).count(), 1);
        let vault = Vault::open(ward.dir.path().join("vault")).unwrap().unlock(&ward.key).unwrap();
        assert!(vault.opening().clean && vault.opening().rebuilt.is_none(), "{}", vault.opening());
        assert!(vault.check(CheckScope::All, &mut |_| ()).unwrap().is_sound());
    }
}

#[test]
fn a_row_that_the_disk_does_not_give_any_more_keeps_no_erasure_from_being_final() {
    let ward = Ward::new();
    rot(&ward, ward.erased);
    let report = erase(&ward, &order());
    assert_eq!((report.versions, report.left, report.level), (3, 1, crate::ErasureLevel::Unreadable));
    assert!(report.to_string().contains("1 rows could not be read"), "{report}");
    assert!(ward.vault.erasures().unwrap()[0].finished.is_some());
    assert!(secrets_of(&ward, &ward.files(), &keyring(&ward), ward.tag(ward.erased)).is_empty());
    let read = ward.session.list_verbatim(ward.erased, &Kind::new("Observation").unwrap()).page();
    assert!(matches!(read, Err(Error::Erased { .. })), "{read:?}");
}

/// Flips a bit of a patient's largest record, in the journal.
fn rot(ward: &Ward, patient: PatientId) {
    let (_, value) = ward.rows(Tree::Records, patient).into_iter().max_by_key(|(_, value)| value.len()).unwrap();
    let mut hit = false;
    for entry in fs::read_dir(ward.dir.path().join("vault/journal")).unwrap() {
        let path = entry.unwrap().path();
        let mut bytes = fs::read(&path).unwrap();
        if let Some(at) = bytes.windows(value.len()).position(|window| window == value) {
            bytes[at + 100] ^= 1;
            fs::write(&path, &bytes).unwrap();
            hit = true;
        }
    }
    assert!(hit);
}

#[test]
fn a_row_that_the_disk_does_not_give_keeps_its_data_key_and_no_other_row_from_a_new_one() {
    let ward = Ward::new();
    let versions =
        [ward.erased, ward.other].map(|patient| ward.rows(Tree::Records, patient).len()).iter().sum::<usize>();
    rot(&ward, ward.other);
    let rotated = ward.vault.rotate_data_key(&ward.key, &mut |_| ()).unwrap();
    assert_eq!((rotated.resealed, rotated.unreadable), (u64::try_from(versions).unwrap() - 1, 1));
    assert_eq!(ward.vault.rotation().unwrap().data_epochs, [1, 2]);
}

#[test]
fn rows_of_an_erased_patient_that_the_disk_does_not_give_keep_no_data_key() {
    let ward = Ward::new();
    rot(&ward, ward.erased);
    assert_eq!(erase(&ward, &order()).left, 1);
    let begun = ward.vault.begin_data_rotation(&ward.key).unwrap();
    assert_eq!(begun.data_epochs, [1, 2]);
    let rotated = ward.vault.continue_rotation(&ward.key, &mut |_| ()).unwrap();
    assert_eq!((rotated.unreadable, rotated.compaction), (0, None));
    assert_eq!(ward.vault.rotation().unwrap().data_epochs, [2]);
}

#[test]
fn a_journal_that_cannot_be_compacted_keeps_no_erasure_from_being_finished() {
    let ward = Ward::new();
    rot(&ward, ward.other);
    let report = erase(&ward, &order().identity());
    assert_eq!((report.compaction, report.level), (None, crate::ErasureLevel::Unreadable));
    assert!(ward.vault.erasures().unwrap()[0].finished.is_some());
}

/// What a ledger says of a patient who is not erased here yet.
fn entry(patient_tag: [u8; 16]) -> crate::Erasure {
    let begun = Timestamp::from_micros(1);
    let (reason, legal_ground) = ("the patient asked".to_owned(), "GDPR 17(1)(b)".to_owned());
    crate::Erasure {
        patient_tag,
        begun,
        finished: Some(begun),
        by: None,
        reason,
        legal_ground,
        identity: false,
        log_entries: 3,
    }
}

/// Changes the row that holds a patient's key so that it does not open any more.
fn damage_key(ward: &Ward, patient: PatientId) {
    let unlocked = ward.vault.0.gate.enter().unwrap();
    let (key, old) = ward.rows(Tree::Patients, patient).remove(0);
    let mut new = old.clone();
    *new.last_mut().unwrap() ^= 1;
    let row =
        crate::committer::Row { replaces: Some(old.into()), ..crate::committer::Row::new(Tree::Patients, key, new) };
    unlocked.commit(vec![row], Vec::new()).unwrap();
}

#[test]
fn a_replay_erases_also_whose_key_does_not_open_and_goes_on_with_the_others() {
    let ward = Ward::new();
    let mut tags = [ward.erased, ward.other].map(|patient| ward.tag(patient));
    tags.sort_unstable();
    let first = if tags[0] == ward.tag(ward.erased) { ward.erased } else { ward.other };
    damage_key(&ward, first);
    let ledger = {
        let unlocked = ward.vault.0.gate.enter().unwrap();
        crate::ErasureLedger::seal(&unlocked, &tags.map(entry)).unwrap()
    };
    let replayed = ward.vault.replay_erasures(&ledger, &ward.key, &mut |_| ()).unwrap();
    assert_eq!((replayed.erased, replayed.known, replayed.absent, replayed.unreadable), (2, 0, 0, 0));
    assert!(ward.vault.erasures().unwrap().iter().all(|erasure| erasure.finished.is_some()));
    for patient in [ward.erased, ward.other] {
        let read = ward.session.kinds(patient);
        assert!(matches!(read, Err(Error::Erased { .. })), "{read:?}");
        assert_eq!([Tree::Patients, Tree::Records, Tree::Lookup].map(|tree| ward.rows(tree, patient).len()), [0; 3]);
    }
    assert!(ward.vault.check(CheckScope::All, &mut |_| ()).unwrap().is_sound());
}

#[test]
fn whoever_compacts_finds_nothing_left_of_what_was_compacted_also_beside_another_compaction() {
    let ward = Ward::new();
    let journal = ward.dir.path().join("vault/journal");
    let kind = Kind::new("Observation").unwrap();
    let compacted = std::thread::scope(|scope| {
        let compacting = [(); 2].map(|()| {
            scope.spawn(|| {
                let mut compacted = 0;
                for _ in 0..30 {
                    ward.session.put_verbatim(ward.other, &kind, &[9; 500], PutOptions::new()).unwrap();
                    ward.vault.0.gate.enter().unwrap().committer.close_segment().unwrap();
                    let Some(done) = ward.vault.compact().unwrap() else { continue };
                    compacted += 1;
                    let names = fs::read_dir(&journal).unwrap().map(|entry| entry.unwrap().file_name());
                    let bases = names.filter_map(|name| {
                        name.to_str()?.strip_prefix("base-")?.strip_suffix(".cvj")?.parse::<u64>().ok()
                    });
                    let older: Vec<u64> = bases.filter(|through| *through < done.through_frame).collect();
                    assert!(older.is_empty(), "{older:?} through {}", done.through_frame);
                }
                compacted
            })
        });
        compacting.map(|one| one.join().unwrap())
    });
    assert!(compacted.iter().all(|compacted| *compacted > 5), "{compacted:?}");
    assert!(ward.vault.check(CheckScope::All, &mut |_| ()).unwrap().is_sound());
}

#[test]
fn a_patient_who_is_erased_after_their_key_was_seen_is_passed_over_and_a_row_that_vanished_is_not() {
    let ward = Ward::new();
    let (erased, other) = (ward.tag(ward.erased), ward.tag(ward.other));
    let unlocked = ward.vault.0.gate.enter().unwrap();
    assert_eq!(unlocked.patient_unless_erased(&erased).unwrap(), Some(ward.erased));
    erase(&ward, &order());
    assert_eq!(unlocked.patient_unless_erased(&erased).unwrap(), None);
    assert_eq!(unlocked.patient_unless_erased(&other).unwrap(), Some(ward.other));
    let vanished = unlocked.patient_unless_erased(&[7; 16]);
    assert!(matches!(vanished, Err(Error::TamperedRow { what: "patient's key" })), "{vanished:?}");
}

fn is_of_sled(entry: &std::io::Result<fs::DirEntry>) -> bool {
    entry.as_ref().unwrap().file_name().to_str().unwrap().starts_with("sled-")
}
