//! A reader in another language, `tests/interop/read_vault.py`, finds in a vault what the library finds, and refuses what
//! the library refuses. It was written from docs/format.md, and shows that a vault can be read without this crate.
//!
//! Skipped with a printed line where Python 3 or its package `cryptography` with Argon2id is missing.

mod attested;
mod governed;
mod people;
use crate::support;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::Arc;

use chartvault::test_util::{Fault, FileOp};
use chartvault::*;
use serde_json::Value;
use sha2::Digest;
use support::{Allergy, HandClock, Note, base_grant, copy_dir, golden, note, small, verify, whole_log};

const PASSPHRASE: &str = "e\u{301}t\u{e9} \u{2126} of interop"; // not in NFC
const DAMAGED_HEADER: i32 = 4;
const NEWER_FORMAT: i32 = 5;
const WRONG_CREDENTIAL: i32 = 6;
const TAMPERED_HEADER: i32 = 7;
const ROLLED_BACK: i32 = 8;
const DAMAGED_JOURNAL: i32 = 9;
const FORGED_JOURNAL: i32 = 10;

fn can_run() -> bool {
    let needed = "from cryptography.hazmat.primitives.kdf.argon2 import Argon2id";
    let able = Command::new("python3").args(["-c", needed]).output().is_ok_and(|output| output.status.success());
    if !able {
        println!("skipped: there is no python3 with the package cryptography and its Argon2id");
    }
    able
}

/// Runs the reader; checks that it keeps its promises about errors: one line, and no fault of its own.
fn read(vault: &Path, passphrase: &str, arguments: &[&str]) -> Output {
    let program = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/interop/read_vault.py");
    let mut command = Command::new("python3");
    command.arg(program).arg(vault).args(arguments).env("CHARTVAULT_PASSPHRASE", passphrase);
    let output = command.output().unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert_eq!(errors.lines().count(), usize::from(!output.status.success()), "{errors}");
    assert!(output.status.code().is_some_and(|code| code == 0 || (2..=12).contains(&code)), "{errors}");
    output
}

fn code(vault: &Path) -> i32 {
    read(vault, PASSPHRASE, &["--json"]).status.code().unwrap()
}

fn json(vault: &Path, passphrase: &str) -> Value {
    let output = read(vault, passphrase, &["--json"]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn options(clock: &Arc<HandClock>) -> Options {
    small().clock(clock.clone())
}

fn session(vault: &Vault, issuer: &IssuerKey, clock: &HandClock) -> Session {
    let grant = base_grant().issued_at(clock.now()).all_patients().all_kinds().actions(Action::ALL.iter().copied());
    vault.session(grant.sign(issuer, vault.id()).unwrap(), Purpose::Treatment).unwrap()
}

/// What both sides say of one version of a record.
type Versions = BTreeMap<(String, String, u64, u64), (String, String, i64, String, String)>;

fn told<T>(
    found: &mut Versions,
    kind: &Kind,
    record: RecordRef,
    history: Vec<Entry<T, impl Sized>>,
    bytes: fn(&T) -> Vec<u8>,
) {
    for entry in history {
        let name = (hex(record.patient().as_bytes()), kind.to_string(), record.number(), entry.version.number().into());
        let status = if entry.status == Status::Voided { "voided" } else { "active" };
        let (author, time) = (hex(entry.author.as_bytes()), entry.recorded_at.as_micros());
        let reason = entry.reason.unwrap_or_default();
        found.insert(name, (status.to_owned(), author, time, reason, hex(&bytes(&entry.value))));
    }
}

fn told_by_the_reader(json: &Value) -> Versions {
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let mut found = Versions::new();
    for (patient, versions) in json["patients"].as_object().unwrap() {
        for v in versions.as_array().unwrap() {
            let name =
                (patient.clone(), text(&v["kind"]), v["number"].as_u64().unwrap(), v["version"].as_u64().unwrap());
            let value = text(&v["value"]);
            assert_eq!(v["size"].as_u64().unwrap(), value.len() as u64 / 2);
            let time = v["recorded_at"].as_i64().unwrap();
            found.insert(name, (text(&v["status"]), text(&v["author"]), time, text(&v["reason"]), value));
        }
    }
    found
}

/// A closed vault, and what the library says is in it.
struct Exhibit {
    dir: tempfile::TempDir,
    clock: Arc<HandClock>,
    issuer: IssuerKey,
    expected: Versions,
    log: Vec<AuditEntry>,
}

impl Exhibit {
    fn new(suite: Suite) -> Self {
        let (dir, clock, issuer) = (tempfile::tempdir().unwrap(), HandClock::new(), IssuerKey::generate().unwrap());
        let passphrase = Passphrase::new(PASSPHRASE);
        let new = Vault::create(dir.path().join("vault")).passphrase(&passphrase).suite(suite);
        let (vault, _) = new.passphrase_cost(PassphraseCost::MINIMUM).options(options(&clock)).finish().unwrap();
        vault.trust_issuer(issuer.public(), &passphrase).unwrap();
        let s = session(&vault, &issuer, &clock);
        let mrn = |value| Identifier::new("urn:mrn:interop", value).unwrap();
        let (ama, ben) = (s.register_patient([mrn("1"), mrn("1b")]).unwrap(), s.register_patient([mrn("2")]).unwrap());
        clock.step_micros(61_000_001);
        let first = s.put(ama, &note("first")).unwrap();
        s.amend(first, Version::FIRST, &note("first, amended")).unwrap();
        let wrong = s.put(ama, &note("of somebody else")).unwrap();
        s.void(wrong, Version::FIRST, "wrong patient").unwrap();
        let labels = Labels::new(["minor", "psychotherapy"]).unwrap();
        let private = PutOptions::new().confidentiality(Confidentiality::VeryRestricted).labels(labels);
        let allergy = s.put_with(ben, &Allergy { substance: "p\u{e9}nicilline".into() }, private).unwrap();
        let document = Kind::new("Document.Reference").unwrap();
        // Larger than the first segment, larger than what the trees hold, and nothing.
        let scans = [vec![0x5A; 100_000], (0..5_000).map(|at| (at % 251) as u8).collect(), Vec::new()];
        let scans = scans.map(|scan| s.put_verbatim(PatientId::FACILITY, &document, &scan, PutOptions::new()).unwrap());
        s.get(first).unwrap();
        clock.step(-60); // the next entry repeats the time of the one before
        s.list::<Note>(ama).include_voided().page().unwrap();

        let mut expected = Versions::new();
        for id in [first, wrong] {
            told(&mut expected, &Kind::of::<Note>(), id.into(), s.history(id).unwrap(), |v| {
                bincode::serialize(v).unwrap()
            });
        }
        let history = s.history(allergy).unwrap();
        told(&mut expected, &Kind::of::<Allergy>(), allergy.into(), history, |v| bincode::serialize(v).unwrap());
        for scan in scans {
            told(&mut expected, &document, scan, s.history_verbatim(scan).unwrap(), Vec::clone);
        }
        assert_eq!(expected.len(), 8);
        let log = whole_log(&s);
        vault.close().unwrap();
        Self { dir, clock, issuer, expected, log }
    }

    fn path(&self) -> PathBuf {
        self.dir.path().join("vault")
    }

    /// A copy without trees, state and marks, so that the library too has nothing but header and journal to go by.
    fn bare_copy(&self) -> (tempfile::TempDir, PathBuf) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("vault");
        fs::create_dir(&path).unwrap();
        for name in ["header.a", "header.b"] {
            fs::copy(self.path().join(name), path.join(name)).unwrap();
        }
        copy_dir(&self.path().join("journal"), &path.join("journal"));
        (dir, path)
    }

    fn open(&self, path: &Path) -> Result<Vault, Error> {
        // A reader that another test is just starting has this process's files, and so its locks, until it runs.
        let locked = (0..100).find_map(|_| match Vault::open_with(path, options(&self.clock)) {
            Err(Error::InUse { .. }) => {
                std::thread::sleep(std::time::Duration::from_millis(10));
                None
            }
            opened => Some(opened),
        });
        locked.unwrap()?.unlock(&Passphrase::new(PASSPHRASE))
    }
}

fn change(path: &Path, at: usize, by: u8) {
    let mut bytes = fs::read(path).unwrap();
    bytes[at] ^= by;
    fs::write(path, bytes).unwrap();
}

/// Makes the checksum of a header right again, as whoever changes it can.
fn set_checksum(path: &Path) {
    let mut bytes = fs::read(path).unwrap();
    let len = u32::from_be_bytes(bytes[10..14].try_into().unwrap()) as usize;
    if (64..=bytes.len()).contains(&len) {
        let checksum = sha2::Sha256::digest(&bytes[..len - 32]);
        bytes[len - 32..len].copy_from_slice(&checksum);
        fs::write(path, bytes).unwrap();
    }
}

#[test]
fn a_stranger_reads_the_charts_and_the_log_that_the_library_reads() {
    if !can_run() {
        return;
    }
    for suite in [Suite::ChaCha20Poly1305, Suite::Aes256Gcm] {
        let exhibit = Exhibit::new(suite);
        let read = json(&exhibit.path(), PASSPHRASE);
        assert_eq!(told_by_the_reader(&read), exhibit.expected);
        let lines = read["log"]["lines"].as_array().unwrap();
        for (line, entry) in lines.iter().zip(&exhibit.log) {
            let start = format!("{} {} {} {}", entry.seq, entry.time, entry.event, entry.outcome);
            assert!(line.as_str().unwrap().starts_with(&start), "{line} is not {start}");
        }
        // The library finds the reader's head where the reader says it is, and that nothing was rewritten.
        let vault = exhibit.open(&exhibit.path()).unwrap();
        let s = session(&vault, &exhibit.issuer, &exhibit.clock);
        let mut head = verify(&s);
        let newest = read["log"]["head"].as_str().unwrap();
        head.entries = read["log"]["entries"].as_u64().unwrap();
        assert!(head.entries > exhibit.log.len() as u64, "closing is in the log");
        head.head = std::array::from_fn(|at| u8::from_str_radix(&newest[2 * at..2 * at + 2], 16).unwrap());
        s.audit().unwrap().verify(Scope::Since(head)).run().unwrap();
        head.head[0] ^= 1;
        assert!(s.audit().unwrap().verify(Scope::Since(head)).run().is_err(), "the library compares the head");
    }
}

/// Under way, with two keys and rows under either; and through, under another suite.
#[test]
fn a_stranger_reads_a_vault_whose_keys_are_rotated() {
    if !can_run() {
        return;
    }
    let exhibit = Exhibit::new(Suite::ChaCha20Poly1305);
    let pass = Passphrase::new(PASSPHRASE);
    let told = || told_by_the_reader(&json(&exhibit.path(), PASSPHRASE));
    let vault = exhibit.open(&exhibit.path()).unwrap();
    // Not as far as compacting, since the reader knows no bases.
    let broken = |rotate: &dyn Fn(OnProgress<'_>) -> Result<Rotated, Error>, at: Task| {
        let mut fault = None;
        let ended = rotate(&mut |progress| {
            if progress.task == at {
                fault.get_or_insert_with(|| Fault::on(FileOp::Write, std::io::ErrorKind::Other).for_good());
            }
        });
        assert!(ended.is_err() && fault.is_some(), "{ended:?}");
    };
    broken(&|progress| vault.rotate_data_key(&pass, progress), Task::ResealRecords);
    drop(vault);
    assert_eq!(told(), exhibit.expected);
    let vault = exhibit.open(&exhibit.path()).unwrap();
    assert_eq!(vault.rotation().unwrap().data_epochs, [1, 2]);
    broken(&|progress| vault.change_suite(Suite::Aes256Gcm, &pass, progress), Task::Compact);
    assert_eq!((vault.rotation().unwrap().data_epochs, vault.suite()), (vec![3], Suite::Aes256Gcm));
    vault.close().unwrap();
    assert_eq!(told(), exhibit.expected);
}

#[test]
fn a_stranger_reads_a_log_whose_key_was_rotated() {
    if !can_run() {
        return;
    }
    let exhibit = Exhibit::new(Suite::ChaCha20Poly1305);
    let vault = exhibit.open(&exhibit.path()).unwrap();
    let s = session(&vault, &exhibit.issuer, &exhibit.clock);
    let ama = s.find_patient(&Identifier::new("urn:mrn:interop", "1").unwrap()).unwrap().unwrap();
    for epoch in [2, 3] {
        assert_eq!(vault.rotate_audit_key(&Passphrase::new(PASSPHRASE)).unwrap(), epoch);
        s.put(ama, &note("under a new key of the log")).unwrap();
        let first = s.list::<Note>(ama).page().unwrap().entries.into_iter().next_back().unwrap();
        s.amend(first.id, first.version, &note("of a version from before")).unwrap();
    }
    let log = whole_log(&s);
    drop(s);
    vault.close().unwrap();
    let read = json(&exhibit.path(), PASSPHRASE);
    let lines = read["log"]["lines"].as_array().unwrap();
    assert!(lines.len() > log.len() && log.len() > exhibit.log.len());
    for (line, entry) in lines.iter().zip(&log) {
        let start = format!("{} {} {} {}", entry.seq, entry.time, entry.event, entry.outcome);
        assert!(line.as_str().unwrap().starts_with(&start), "{line} is not {start}");
    }
    assert_eq!(told_by_the_reader(&read).len(), exhibit.expected.len() + 4);
}

#[test]
fn a_stranger_shows_one_chart_with_its_values_and_says_what_is_wrong_by_its_exit_code() {
    if !can_run() {
        return;
    }
    let exhibit = Exhibit::new(Suite::ChaCha20Poly1305);
    let path = exhibit.path();
    let chart = read(&path, PASSPHRASE, &["--patient", &hex(PatientId::FACILITY.as_bytes()), "--values", "--log"]);
    let scan = [0x5A; 100_000];
    assert!(chart.status.success() && chart.stdout.windows(scan.len()).any(|bytes| bytes == scan));
    let all = String::from_utf8_lossy(&chart.stdout).into_owned();
    assert!(all.contains("Document.Reference 1 version 1 active by") && !all.contains("note 1"), "{all}");
    assert!(all.contains(" record-voided allowed void TREAT actor "), "{all}");

    assert_eq!(read(&path, "another passphrase", &[]).status.code(), Some(WRONG_CREDENTIAL));
    let (_dir, copy) = exhibit.bare_copy();
    assert_eq!(code(&copy), 0);
    let genuine = fs::read(copy.join("header.a")).unwrap();
    change(&copy.join("header.a"), 100, 1);
    assert_eq!(code(&copy), 0, "the other copy will do");
    change(&copy.join("header.b"), 200, 1);
    assert_eq!(code(&copy), DAMAGED_HEADER);
    // A generation is not bound to the slots: the passphrase is right, and the MAC alone tells.
    for name in ["header.a", "header.b"] {
        fs::write(copy.join(name), &genuine).unwrap();
        change(&copy.join(name), 37, 2); // the generation
        set_checksum(&copy.join(name));
    }
    assert_eq!(code(&copy), TAMPERED_HEADER);
    fs::write(copy.join("header.b"), &genuine).unwrap();
    assert_eq!(code(&copy), 0, "a forged copy does not stand in the way of a genuine one");
    fs::write(copy.join("header.a"), &genuine).unwrap();

    // The last frame goes, as if it had never been written: nobody can tell, unless a mark remembers it.
    let newest = copy.join("journal/0000000002.cvj");
    assert!(!copy.join("journal/0000000003.cvj").exists());
    let (mut frames, mut at, mut last) = (fs::read(&newest).unwrap(), 512, 512);
    while frames[at..].starts_with(b"CVF1") {
        last = at;
        at += u32::from_be_bytes(frames[at + 4..at + 8].try_into().unwrap()) as usize;
    }
    frames[last..].fill(0);
    let whole = fs::read(&newest).unwrap();
    fs::write(&newest, frames).unwrap();
    assert_eq!(code(&copy), 0);
    for mark in ["clean", "state.a", "state.b"] {
        fs::copy(path.join(mark), copy.join(mark)).unwrap();
    }
    assert_eq!(code(&copy), DAMAGED_JOURNAL);
    assert!(matches!(exhibit.open(&copy), Err(Error::Storage(StorageError::Damaged { .. }))));
    fs::write(&newest, whole).unwrap();
    assert_eq!(code(&copy), 0);

    let segment = copy.join("journal/0000000001.cvj");
    change(&segment, 700, 4);
    assert_eq!(code(&copy), DAMAGED_JOURNAL);
    change(&segment, 700, 4);
    let frames = fs::read(&segment).unwrap();
    let len = u32::from_be_bytes(frames[516..520].try_into().unwrap()) as usize;
    change(&segment, 512 + len - 20, 4); // in the HMAC, which the hash does not cover
    assert_eq!(code(&copy), FORGED_JOURNAL);
}

#[test]
fn a_stranger_reads_the_golden_vault() {
    if !can_run() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    golden::unpack(dir.path());
    let read = json(dir.path(), golden::PASSPHRASE);
    let versions = told_by_the_reader(&read);
    assert_eq!(versions.len(), 7);
    let voided: Vec<_> = versions.values().filter(|version| version.0 == "voided").collect();
    assert!(matches!(&voided[..], [version] if version.3 == "wrong patient"));
    let log = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/v1/log.txt")).unwrap();
    let lines: Vec<&str> = read["log"]["lines"].as_array().unwrap().iter().map(|line| line.as_str().unwrap()).collect();
    assert!(lines.len() >= log.lines().count());
    for (line, stored) in lines.iter().zip(log.lines()) {
        let start: Vec<&str> = stored.split(' ').take(4).collect();
        assert!(line.starts_with(&start.join(" ")), "{line} is not {stored}");
    }
}

/// Which exit code of the reader goes with the library's answer.
fn fits(answer: &Result<Vault, Error>, code: i32) -> bool {
    match answer {
        Ok(_) => code == 0,
        Err(Error::Header(_)) => code == DAMAGED_HEADER || code == NEWER_FORMAT,
        Err(Error::Unlock(UnlockError::WrongCredential | UnlockError::NoSuchSlotKind { .. })) => {
            code == WRONG_CREDENTIAL
        }
        Err(Error::Unlock(UnlockError::HeaderTampered)) => code == TAMPERED_HEADER,
        Err(Error::Storage(StorageError::HeaderRolledBack { .. })) => code == ROLLED_BACK,
        Err(Error::Storage(_)) => code == DAMAGED_JOURNAL || code == FORGED_JOURNAL,
        Err(_) => false,
    }
}

/// Changes one byte at a time, in the header (both copies; its checksum too in every other case), in the used part of the
/// journal or behind it. Where the library has state to go by, it does not read again the frames that made it, and may open where the reader refuses.
fn compare(exhibit: &Exhibit, changes: u64, with_state: bool) {
    let mut random = 0x9E37_79B9_7F4A_7C15_u64;
    let mut next = |below: usize| {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (random >> 33) as usize % below
    };
    let mut refused = 0;
    for number in 0..changes {
        let (_dir, copy) = exhibit.bare_copy();
        if with_state {
            copy_dir(&exhibit.path(), &copy);
        }
        let files: &[&str] = match number % 4 {
            0 => &["header.a", "header.b"],
            1 | 2 => &["journal/0000000001.cvj"],
            _ => &["journal/0000000002.cvj"],
        };
        let bytes = fs::read(copy.join(files[0])).unwrap();
        let used = bytes.iter().rposition(|byte| *byte != 0).unwrap() + 1;
        let within = if next(4) == 0 { bytes.len() } else { used };
        let at = next(within);
        let by = 1 << next(8);
        for file in files {
            change(&copy.join(file), at, by);
            if number % 8 == 0 {
                set_checksum(&copy.join(file));
            }
        }
        let code = code(&copy);
        let answer = exhibit.open(&copy);
        let unread =
            with_state && answer.is_ok() && number % 4 != 0 && [DAMAGED_JOURNAL, FORGED_JOURNAL].contains(&code);
        assert!(
            unread || fits(&answer, code),
            "byte {at} of {files:?} by {by}: reader {code}, library {:?}",
            answer.err()
        );
        refused += u64::from(code != 0);
    }
    assert!(refused > changes / 2, "only {refused} of {changes} were refused");
}

#[test]
fn a_stranger_refuses_what_the_library_refuses() {
    if can_run() {
        compare(&Exhibit::new(Suite::ChaCha20Poly1305), 12, false);
    }
}

#[test]
#[ignore = "takes minutes; the same as above with more changes"]
fn a_stranger_refuses_what_the_library_refuses_at_length() {
    if can_run() {
        compare(&Exhibit::new(Suite::Aes256Gcm), 240, false);
        compare(&Exhibit::new(Suite::ChaCha20Poly1305), 120, true);
    }
}

#[test]
fn a_stranger_reads_a_vault_whose_passphrase_goes_through_pbkdf2() {
    if !can_run() {
        return;
    }
    let (dir, clock) = (tempfile::tempdir().unwrap(), HandClock::new());
    let (path, pass) = (dir.path().join("vault"), Passphrase::new(PASSPHRASE));
    let new = Vault::create(&path).passphrase(&pass).passphrase_kdf(Pbkdf2Iterations::MINIMUM);
    let (vault, recovery) = new.options(small().clock(clock)).finish().unwrap();
    let second = Passphrase::new("a second one");
    vault.add_slot(NewSlot::of(&second).kdf(PassphraseCost::MINIMUM), &recovery).unwrap();
    vault.close().unwrap();
    // Unlocked once more, so that there is a row about the use of a slot.
    Vault::open(&path).unwrap().unlock(&pass).unwrap().close().unwrap();
    for passphrase in [PASSPHRASE, "a second one"] {
        let found = json(&path, passphrase);
        assert_eq!(found["policy"]["slot_uses"].as_object().unwrap().len(), 1, "{found}");
    }
    assert_eq!(read(&path, "a third one", &["--json"]).status.code(), Some(WRONG_CREDENTIAL));
}

#[test]
fn a_stranger_reads_what_keeps_a_chart() {
    if !can_run() {
        return;
    }
    let clinic = Retained::new();
    let found = json(&clinic.path, PASSPHRASE);
    let kept = found["policy"]["retentions"].as_object().unwrap();
    let [kept] = &kept.values().collect::<Vec<_>>()[..] else { panic!("{found}") };
    let terms = kept.as_object().unwrap();
    assert_eq!((terms.len(), terms[""]["until"].as_i64()), (2, Some(clinic.until.as_micros())), "{found}");
    assert!(terms.iter().any(|(place, of)| place.ends_with("-1") && of["hold"][2] == "case 17"), "{found}");
}

#[test]
fn a_stranger_reads_grants_what_was_revoked_ceilings_and_reviews() {
    if !can_run() {
        return;
    }
    let (dir, clock) = (tempfile::tempdir().unwrap(), HandClock::new());
    let (path, pass) = (dir.path().join("vault"), Passphrase::new(PASSPHRASE));
    let new = Vault::create(&path).passphrase(&pass).passphrase_cost(PassphraseCost::MINIMUM);
    let (vault, _) = new.options(small().clock(clock.clone())).finish().unwrap();
    let issuer = IssuerKey::generate().unwrap();
    vault.trust_issuer(issuer.public(), &pass).unwrap();
    let ceiling = Ceiling::new().kind::<support::Note>().purposes([Purpose::Treatment]);
    vault.limit_issuer(issuer.public().id(), ceiling, &pass).unwrap();
    // Of another desk, since whoever looks after grants looks after those of all kinds.
    let office = IssuerKey::generate().unwrap();
    vault.trust_issuer(office.public(), &pass).unwrap();
    let grant = support::everything().issued_at(clock.now());
    let session = vault.session(grant.sign(&office, vault.id()).unwrap(), Purpose::Treatment).unwrap();
    let other = Grant::to("n.adu").all_patients().kind::<support::Note>().actions([Action::Read]);
    let other = other.purpose(Purpose::Treatment).valid_for(std::time::Duration::from_secs(60)).issued_at(clock.now());
    let token = other.sign(&issuer, vault.id()).unwrap().attenuate().finish().unwrap();
    session.grants().register(&token, "night shift").unwrap();
    session.reviews().open(clock.now(), "first").unwrap();
    session.reviews().overdue().unwrap();
    session.reviews().decide(1, token.id(), ReviewDecision::Revoke, "left").unwrap();
    vault.distrust_attester(AttesterId::from_bytes([7; 16]), "shared its key", &pass).unwrap();
    vault.close().unwrap();

    let found = json(&path, PASSPHRASE);
    let policy = &found["policy"];
    let rows = |table: &str| policy[table].as_object().unwrap().values().cloned().collect::<Vec<_>>();
    let notes: Vec<_> = rows("grants").iter().map(|grant| grant["note"].clone()).collect();
    assert!(notes.len() == 2 && notes.contains(&"night shift".into()), "{found}");
    assert_eq!(rows("grant_uses")[0][0], 1, "{found}");
    let reasons: Vec<_> = rows("revocations").iter().map(|row| (row["sort"].clone(), row["reason"].clone())).collect();
    assert!(reasons.contains(&("attester".into(), "shared its key".into())), "{reasons:?}");
    assert!(reasons.contains(&("block".into(), "review 1".into())), "{reasons:?}");
    assert_eq!(rows("ceilings")[0]["kinds"][0], "note", "{found}");
    assert_eq!((&rows("reviews")[0]["note"], rows("reviews")[0]["told"].is_null()), (&"first".into(), false));
    assert_eq!(
        (&rows("review_decisions")[0]["decision"], &rows("review_decisions")[0]["note"]),
        (&"revoke".into(), &"left".into())
    );
}

#[test]
fn a_stranger_reads_labels_of_charts_and_what_is_kept_in_a_compartment() {
    if !can_run() {
        return;
    }
    let (dir, clock) = (tempfile::tempdir().unwrap(), HandClock::new());
    let (path, pass) = (dir.path().join("vault"), Passphrase::new(PASSPHRASE));
    let new = Vault::create(&path).passphrase(&pass).passphrase_cost(PassphraseCost::MINIMUM);
    let (vault, _) = new.options(small().clock(clock.clone())).finish().unwrap();
    let issuer = IssuerKey::generate().unwrap();
    vault.trust_issuer(issuer.public(), &pass).unwrap();
    let kind = Kind::new("psychotherapy-note").unwrap();
    vault.create_compartment(Compartment::PSYCHOTHERAPY, [kind.clone()], &pass).unwrap();
    let grant = support::base_grant().all_patients().kind::<support::Note>().kind_named(kind.as_str());
    let grant = grant.actions(Action::ALL.iter().copied()).issued_at(clock.now());
    let session = vault.session(grant.sign(&issuer, vault.id()).unwrap(), Purpose::Treatment).unwrap();
    let patient = session.register_patient([]).unwrap();
    let labels = Labels::NONE.with(Category::PsychotherapyNote).unwrap();
    session.put_verbatim(patient, &kind, b"process", PutOptions::new().labels(labels)).unwrap();
    session.put(patient, &support::note("rash")).unwrap();
    // The review action is for all kinds.
    let all = vault
        .session(support::everything().issued_at(clock.now()).sign(&issuer, vault.id()).unwrap(), Purpose::Treatment);
    let label = ChartLabel::new().confidentiality(Confidentiality::Restricted).category(Category::Hiv).vip();
    all.unwrap().label_chart(patient, label, "policy 7").unwrap();
    // Under a second data key as well, and a keyring with several keys of the log.
    vault.rotate_data_key(&pass, &mut |_| ()).unwrap();
    vault.rotate_audit_key(&pass).unwrap();
    vault.close().unwrap();

    let found = json(&path, PASSPHRASE);
    let apart = found["policy"]["compartments"].as_object().unwrap().values().next().unwrap();
    assert_eq!((&apart[0], &apart[2]), (&"psychotherapy".into(), &"psychotherapy-note".into()), "{found}");
    let labelled: Vec<_> = found["policy"]["chart_labels"].as_object().unwrap().values().collect();
    assert_eq!(
        (labelled[0][0].as_str(), labelled[0][1].as_u64(), labelled[0][2].as_u64()),
        (Some("R"), Some(2), Some(4))
    );
    let text = found.to_string();
    assert!(
        text.contains("v3-ActCode|PSYTHPN") && text.contains("chart-labelled") && text.contains("compartment-created")
    );
}

#[test]
fn what_monitoring_keeps_is_read_from_the_pages_alone() {
    if !can_run() {
        return;
    }
    let (dir, clock) = (tempfile::tempdir().unwrap(), HandClock::new());
    let (path, pass) = (dir.path().join("vault"), Passphrase::new(PASSPHRASE));
    let new = Vault::create(&path).passphrase(&pass).passphrase_cost(PassphraseCost::MINIMUM);
    let (vault, _) = new.options(small().clock(clock.clone())).finish().unwrap();
    let issuer = IssuerKey::generate().unwrap();
    vault.trust_issuer(issuer.public(), &pass).unwrap();
    let hours = OpeningHours::new("CET-1CEST,M3.5.0,M10.5.0/3").unwrap();
    vault.set_monitoring(MonitoringRules::new().opening_hours(hours), &pass).unwrap();
    let session = |name: &str| {
        let grant = Grant::to(name).all_patients().all_kinds().actions(Action::ALL.iter().copied());
        let grant =
            grant.purpose(Purpose::Treatment).valid_for(std::time::Duration::from_secs(86_400)).issued_at(clock.now());
        vault.session(grant.sign(&issuer, vault.id()).unwrap(), Purpose::Treatment).unwrap()
    };
    let (osei, officer) = (session("dr.osei"), session("a.lund"));
    let patient = osei.register_patient([]).unwrap();
    osei.label_chart(patient, ChartLabel::new().vip(), "policy 7").unwrap();
    osei.put(patient, &support::note("rash")).unwrap();
    vault.monitor_now().unwrap();
    let flags = officer.flags().list(FlagState::Open, None).unwrap();
    for flag in &flags {
        officer.flags().assign(flag.id, officer.principal()).unwrap();
        officer.flags().close(flag.id, FlagVerdict::Unclear, "nobody remembers").unwrap();
    }
    let until = clock.now().saturating_add(std::time::Duration::from_secs(60));
    let suppressor = Suppressor::new(until, "one family").rule(MonitorRule::Vip).group("ward 3");
    officer.flags().suppress(&suppressor).unwrap();
    officer.flags().suppress(&suppressor.actor(osei.principal()).patient(patient)).unwrap();
    vault.close().unwrap();

    let policy = &json(&path, PASSPHRASE)["policy"];
    let rows = |table: &str| policy[table].as_object().unwrap().values().cloned().collect::<Vec<_>>();
    assert_eq!((rows("flags").len(), rows("flags_of_patients").len()), (1, 1), "{policy}");
    assert_eq!((&rows("flags")[0]["rule"], &rows("flags_of_patients")[0]["rule"]), (&8.into(), &4.into()));
    assert_eq!(rows("flags")[0]["closed"][3], "nobody remembers");
    assert_eq!(rows("monitoring")[0]["hours"][0], "CET-1CEST,M3.5.0,M10.5.0/3");
    assert_eq!((&rows("monitor_state")[0]["actors"], &rows("monitor_state")[0]["flags"]), (&1.into(), &2.into()));
    assert_eq!((&rows("suppressors")[0]["group"], &rows("suppressors")[0]["actor"]), (&"ward 3".into(), &Value::Null));
    assert_eq!(rows("suppressors_of_patients")[0]["patient_tag"], rows("flags_of_patients")[0]["patient_tag"]);
}

/// A vault with a chart that has to be kept, and a record of it that is held.
struct Retained {
    _dir: tempfile::TempDir,
    path: PathBuf,
    until: Timestamp,
}

impl Retained {
    fn new() -> Self {
        let (dir, clock) = (tempfile::tempdir().unwrap(), HandClock::new());
        let (path, pass) = (dir.path().join("vault"), Passphrase::new(PASSPHRASE));
        let new = Vault::create(&path).passphrase(&pass).passphrase_cost(PassphraseCost::MINIMUM);
        let (vault, _) = new.options(small().clock(clock.clone())).finish().unwrap();
        let issuer = IssuerKey::generate().unwrap();
        vault.trust_issuer(issuer.public(), &pass).unwrap();
        let token = support::everything().issued_at(clock.now()).sign(&issuer, vault.id()).unwrap();
        let session = vault.session(token, Purpose::Treatment).unwrap();
        let patient = session.register_patient([]).unwrap();
        let until = "2056-01-01T00:00:00Z".parse().unwrap();
        session.retain_until(patient, Some(until), "30 years").unwrap();
        session.place_legal_hold(session.put(patient, &support::note("rash")).unwrap(), "case 17").unwrap();
        vault.close().unwrap();
        Self { _dir: dir, path, until }
    }
}

#[test]
fn a_stranger_finds_nothing_of_a_patient_who_was_erased_and_the_log_whole() {
    if !can_run() {
        return;
    }
    let (dir, clock) = (tempfile::tempdir().unwrap(), HandClock::new());
    let (path, pass) = (dir.path().join("vault"), Passphrase::new(PASSPHRASE));
    let new = Vault::create(&path).passphrase(&pass).passphrase_cost(PassphraseCost::MINIMUM);
    let (vault, _) = new.options(small().clock(clock.clone())).finish().unwrap();
    let issuer = IssuerKey::generate().unwrap();
    vault.trust_issuer(issuer.public(), &pass).unwrap();
    let token = support::everything().issued_at(clock.now()).sign(&issuer, vault.id()).unwrap();
    let session = vault.session(token, Purpose::Treatment).unwrap();
    let patients = ["1", "2"].map(|mrn| session.register_patient([Identifier::new("urn:mrn", mrn).unwrap()]).unwrap());
    for patient in patients {
        session.put(patient, &note("rash")).unwrap();
    }
    let order = ErasureOrder::new("the patient asked", "GDPR 17(1)(b)");
    vault.erase_patient(&session, patients[0], &order, &pass, &mut |_| ()).unwrap();
    vault.close().unwrap();
    let found = json(&path, PASSPHRASE);
    let charts: usize = found["patients"].as_object().unwrap().values().map(|of| of.as_array().unwrap().len()).sum();
    assert_eq!(charts, 1, "{found}");
    let erasures: Vec<&Value> = found["policy"]["erasures"].as_object().unwrap().values().collect();
    assert_eq!((erasures.len(), erasures[0][4].as_str()), (1, Some("the patient asked")), "{found}");
    let log = read(&path, PASSPHRASE, &["--log"]);
    assert!(log.status.success());
    assert_eq!(String::from_utf8_lossy(&log.stdout).matches("an erased patient").count(), 3);
}

#[test]
fn the_reader_finds_where_a_pruned_log_begins_and_who_says_so() {
    if !can_run() {
        return;
    }
    let day = std::time::Duration::from_secs(86_400);
    let (dir, clock, issuer) = (tempfile::tempdir().unwrap(), HandClock::new(), IssuerKey::generate().unwrap());
    let (path, passphrase) = (dir.path().join("vault"), Passphrase::new(PASSPHRASE));
    let new = Vault::create(&path).passphrase(&passphrase).passphrase_cost(PassphraseCost::MINIMUM);
    let (vault, _) = new.options(options(&clock)).finish().unwrap();
    vault.trust_issuer(issuer.public(), &passphrase).unwrap();
    let s = session(&vault, &issuer, &clock);
    let patient = s.register_patient([]).unwrap();
    s.put(patient, &note("from before")).unwrap();
    (0..300).for_each(|_| drop(s.kinds(patient).unwrap()));
    clock.advance(day * 5);
    vault.set_log_retention(LogRetention::however_short(day), &passphrase).unwrap();
    let s = session(&vault, &issuer, &clock);
    let mut file = Vec::new();
    s.audit().unwrap().archive(0..256, &mut file).unwrap();
    let grant = Grant::to("s.berg").purpose(Purpose::Treatment).all_patients().all_kinds().valid_for(day);
    let grant = grant.actions([Action::Audit]).issued_at(clock.now());
    let second = vault.session(grant.sign(&issuer, vault.id()).unwrap(), Purpose::Treatment).unwrap();
    s.audit().unwrap().prune(&mut &file[..], &second).unwrap();
    s.put(patient, &note("from since")).unwrap();
    vault.close().unwrap();
    drop((s, second, vault));
    for compacted in [false, true] {
        let vault = Vault::open_with(&path, options(&clock)).unwrap().unlock(&passphrase).unwrap();
        if compacted {
            vault.compact().unwrap().unwrap();
        }
        let log = whole_log(&session(&vault, &issuer, &clock));
        vault.close().unwrap();
        drop(vault);
        let json = json(&path, PASSPHRASE);
        let row = &json["policy"]["log_retention"][&"ff".repeat(16)];
        assert_eq!((row["from"].as_u64(), row["end"].as_u64()), (Some(0), Some(256)));
        let lines = json["log"]["lines"].as_array().unwrap();
        assert!(lines[0].as_str().unwrap().starts_with("256 "), "{}", lines[0]);
        assert!(lines.len() >= log.len());
        let said = log.iter().find(|entry| entry.pruned.is_some()).unwrap();
        assert!(lines.iter().any(|line| line.as_str().unwrap().starts_with(&format!("{} ", said.seq))));
    }
}

#[test]
fn a_stranger_reads_what_the_vault_remembers_of_backups() {
    if !can_run() {
        return;
    }
    let (dir, clock) = (tempfile::tempdir().unwrap(), HandClock::new());
    let (path, pass) = (dir.path().join("vault"), Passphrase::new(PASSPHRASE));
    let new = Vault::create(&path).passphrase(&pass).passphrase_cost(PassphraseCost::MINIMUM);
    let (vault, _) = new.options(options(&clock)).finish().unwrap();
    let target = |name: &str| FolderTarget::create(dir.path().join(name)).unwrap();
    let (disk, safe, empty) = (target("disk"), target("safe"), target("empty"));
    let made = vault.backup(&disk).packs_to(&safe).run().unwrap();
    let drilled = vault.drill(&disk).packs_from(&safe).into_temporary(dir.path()).run(&pass).unwrap();
    assert!(vault.drill(&empty).into_temporary(dir.path()).run(&pass).is_err());
    vault.backup(&empty).run().unwrap();
    fs::write(dir.path().join("empty/manifests/0000000001"), b"no manifest").unwrap();
    assert!(vault.backup(&empty).run().is_err());
    vault.close().unwrap();
    let found = json(&path, PASSPHRASE);
    let rows: Vec<Value> = found["policy"]["backup_notes"].as_object().unwrap().values().cloned().collect();
    let of = |place: &str, what: &str| {
        let row = rows.iter().find(|row| row[0].as_str().unwrap().ends_with(place) && row[1] == what);
        row.unwrap_or_else(|| panic!("{place} {what}: {found}")).clone()
    };
    assert_eq!(rows.len(), 6, "{found}");
    let last = of("/disk", "last-backup");
    let took = u64::try_from(made.took.as_micros()).unwrap();
    let numbers: Vec<u64> = (3..7).map(|at| last[at].as_u64().unwrap()).collect();
    assert_eq!(numbers, [took, 1, made.entries, made.stored_bytes]);
    assert_eq!((last[7].as_u64(), last[8][0].as_u64()), (Some(1), Some(1)));
    assert_eq!(last[2].as_i64(), Some(made.made.as_micros()));
    assert!(of("/empty", "last-backup")[8].is_null());
    let drill = of("/disk", "last-drill");
    assert_eq!(drill[5].as_u64().map(u128::from), Some(drilled.recovery.as_micros()));
    assert_eq!(of("/disk", "last-verification")[3].as_u64(), Some(1));
    assert_eq!(of("/empty", "last-failed-drill")[3].as_u64(), Some(0));
    assert!(of("/empty", "last-failure")[3].as_str().is_some_and(|why| !why.is_empty()));
}
