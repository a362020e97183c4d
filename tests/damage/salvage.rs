//! From a damaged vault, all that verifies: nothing older or missing is ever given out as if it were all.

use crate::support;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use chartvault::*;
use support::{House, Note, copy_dir, files_in, note, verify, whole_log};

/// What was acknowledged: the newest text of each record, and the number of its version.
type Told = BTreeMap<RecordId<Note>, (String, u32)>;

/// A vault with some charts, closed or left open, and what was acknowledged.
struct Clinic {
    house: House,
    told: Told,
    scans: Vec<(RecordRef, Vec<u8>)>,
    entries: u64,
    damaged: PathBuf,
    into: PathBuf,
}

impl Clinic {
    /// A copy of the vault is what is damaged.
    fn new(records: u32, close: bool) -> Self {
        Self::with_trees_up_to(4_096, records, close)
    }

    /// A clinic whose trees hold sealed values of up to so many bytes.
    fn with_trees_up_to(limit: usize, records: u32, close: bool) -> Self {
        let (house, vault) = House::create_with(move |options| options.inline_limit(limit));
        let mut told = Told::new();
        let mut scans = Vec::new();
        let kind = Kind::new("DocumentReference").unwrap();
        let s = house.session(&vault);
        let charts: Vec<_> = (0..3)
            .map(|n| s.register_patient([Identifier::new("urn:mrn", &n.to_string()).unwrap()]).unwrap())
            .collect();
        for number in 0..records {
            let chart = charts[number as usize % 3];
            let text = format!("note {number} {}", "of many words ".repeat(number as usize % 9));
            let id = s.put(chart, &note(&text)).unwrap();
            told.insert(id, (text, 1));
            if number % 5 == 0 {
                s.amend(id, Version::FIRST, &note("amended")).unwrap();
                told.insert(id, ("amended".into(), 2));
            }
            if number % 7 == 0 {
                let bytes = vec![number as u8; 6_000];
                scans.push((s.put_verbatim(chart, &kind, &bytes, PutOptions::new()).unwrap(), bytes));
            }
            if number == records / 2 {
                vault.checkpoint().unwrap();
            }
        }
        let entries = verify(&s).entries;
        let (damaged, into) = (house.dir.path().join("damaged"), house.dir.path().join("salvaged"));
        if close {
            vault.close().unwrap();
        }
        copy_dir(&house.path(), &damaged);
        drop((s, vault));
        Self { house, told, scans, entries, damaged, into }
    }

    fn salvage(&self) -> Result<SalvageReport, Error> {
        let _ = fs::remove_dir_all(&self.into);
        let before = bytes_of(&self.damaged);
        let report = Vault::open_with(&self.damaged, self.house.options())?.salvage(&self.house.key, &self.into);
        assert!(bytes_of(&self.damaged) == before, "the damaged vault was changed");
        assert!(!self.house.dir.path().join("salvaged.salvaging").exists());
        report
    }

    /// Opens the new vault, and holds all it says against what was acknowledged.
    fn check(&self, report: &SalvageReport) -> (Vault, Session) {
        let vault = self.house.open_at(&self.into).unwrap();
        assert!(vault.opening().clean, "{}", vault.opening());
        assert_eq!(vault.doubt().unwrap(), report.doubt);
        if report.doubt.is_some_and(|doubt| doubt.policy) {
            vault.trust_issuer(self.house.issuer.public(), &self.house.key).unwrap();
        }
        let token = self.house.grant().sign(&self.house.issuer, vault.id()).unwrap();
        let plain = vault.session(&token, Purpose::Treatment);
        if report.doubt.is_some() {
            assert!(matches!(plain, Err(Error::Doubtful { .. })), "{plain:?}");
        } else {
            assert!(plain.is_ok(), "{plain:?}");
        }
        let s = vault.session_with(&token, Purpose::Treatment).accept_doubtful().open().unwrap();
        for (id, (text, version)) in &self.told {
            let named = report.records.lost_ids.contains(&RecordRef::from(*id))
                || report.records.damaged_ids.contains(&RecordRef::from(*id));
            match s.get(*id) {
                Ok(entry) if entry.value.text == *text && entry.version.number() == *version => {
                    // Out of memory it is what it was, and as doubtful.
                    assert!(s.get(*id).unwrap() == entry, "{id}");
                }
                Ok(entry) => assert!(
                    entry.is_doubtful() && s.get(*id).unwrap() == entry && report.doubt.is_some(),
                    "{id}: older, and no doubt"
                ),
                Err(error) => assert!(named || report.doubt.is_some(), "{id}: {error}, and no word of it\n{report}"),
            }
        }
        for (id, bytes) in &self.scans {
            match s.get_verbatim(*id) {
                Ok(entry) => assert!(entry.value == *bytes),
                Err(error) => assert!(report.doubt.is_some(), "{id}: {error}\n{report}"),
            }
        }
        (vault, s)
    }

    fn segment(&self, number: u32) -> PathBuf {
        self.damaged.join(format!("journal/{number:010}.cvj"))
    }

    fn lose_trees(&self) {
        for name in ["sled-1", "sled-2"] {
            let _ = fs::remove_dir_all(self.damaged.join(name));
        }
    }
}

fn bytes_of(dir: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    files_in(dir)
        .into_iter()
        .filter(|path| *path != Path::new("lock"))
        .map(|path| (path.clone(), fs::read(dir.join(path)).unwrap()))
        .collect()
}

fn flip(path: &Path, at: usize) {
    let mut bytes = fs::read(path).unwrap();
    let at = at % bytes.len();
    bytes[at] ^= 0x40;
    fs::write(path, bytes).unwrap();
}

/// Where the frames of a segment start.
fn frames(segment: &Path) -> Vec<usize> {
    let bytes = fs::read(segment).unwrap();
    (512..bytes.len())
        .step_by(8)
        .filter(|at| bytes[*at..].starts_with(b"CVF1") && !bytes[*at..].starts_with(b"CVF1-END"))
        .collect()
}

#[test]
fn an_undamaged_vault_is_salvaged_to_an_equal_one() {
    for close in [true, false] {
        let clinic = Clinic::new(60, close);
        assert!(clinic.segment(2).exists(), "more than one segment");
        let report = clinic.salvage().unwrap();
        println!("{report}");
        assert!(report.is_whole() && report.wounds_total == 0 && report.rows_from_trees == 0, "{report}");
        assert_eq!(report.records.whole, (clinic.told.len() + clinic.scans.len()) as u64);
        let (vault, s) = clinic.check(&report);
        let verified = verify(&s);
        assert!(verified.entries > clinic.entries);
        let log = whole_log(&s);
        assert_eq!(log.iter().filter(|entry| entry.event == AuditEvent::VaultSalvaged).count(), 1);
        // It is an ordinary vault.
        let id = *clinic.told.keys().next().unwrap();
        s.put(id.patient(), &note("new")).unwrap();
        vault.compact().unwrap();
        vault.close().unwrap();
        let vault = clinic.house.open_at(&clinic.into).unwrap();
        verify(&clinic.house.session(&vault));
    }
}

#[test]
fn a_flipped_bit_in_an_old_frame_is_made_good_by_the_trees() {
    for close in [true, false] {
        let clinic = Clinic::new(60, close);
        let frames = frames(&clinic.segment(1));
        flip(&clinic.segment(1), frames[frames.len() / 4] + 200);
        let report = clinic.salvage().unwrap();
        println!("{report}");
        assert_eq!(report.lost_frames.len(), 1);
        assert!(report.wounds_total == 1, "{report}");
        assert!(report.is_whole() && report.rows_from_trees > 0, "{report}");
        let (_, s) = clinic.check(&report);
        verify(&s);
    }
}

/// The trees hold no value then, and only say where it was.
#[test]
fn a_value_in_the_journal_alone_is_lost_with_its_frame_and_named() {
    let clinic = Clinic::with_trees_up_to(256, 60, true);
    let frames = frames(&clinic.segment(1));
    flip(&clinic.segment(1), frames[frames.len() / 4] + 200);
    let report = clinic.salvage().unwrap();
    println!("{report}");
    assert!(report.lost_frames.len() == 1 && report.doubt.is_some(), "{report}");
    assert_eq!(report.records.lost_ids.len() + report.records.damaged_ids.len(), 1, "{report}");
    clinic.check(&report);
}

#[test]
fn what_journal_and_trees_have_both_lost_is_in_doubt_and_named() {
    let clinic = Clinic::new(60, true);
    let frames = frames(&clinic.segment(1));
    flip(&clinic.segment(1), frames[frames.len() / 4] + 200);
    clinic.lose_trees();
    let report = clinic.salvage().unwrap();
    println!("{report}");
    assert!(!report.is_whole() && report.doubt.is_some());
    let (vault, s) = clinic.check(&report);
    let gap = s.audit().unwrap().verify(Scope::All).run();
    assert!(matches!(gap, Err(Error::Audit(AuditFault { what: FaultKind::Lost { .. }, .. }))), "{gap:?}");
    let chain = s.audit().unwrap().verify(Scope::Chain).run();
    assert!(matches!(chain, Err(Error::Audit(AuditFault { what: FaultKind::Lost { .. }, .. }))), "{chain:?}");
    assert!(s.audit().unwrap().verify(Scope::All).past_lost_entries().run().is_ok());
    let lost = whole_log(&s).into_iter().filter(|entry| entry.event == AuditEvent::EntryLost).count() as u64;
    assert_eq!(lost, report.lost_entries.iter().map(|(first, last)| last - first + 1).sum::<u64>());
    // Who follows the log, or has it exported, comes past the gap as well.
    let exported = s.audit().unwrap().export(AuditFilter::new()).write(&mut std::io::sink()).unwrap();
    assert!(exported.entries > lost);
    let mut following = s.audit().unwrap().subscribe(AuditFilter::new()).from(0).unwrap();
    let followed = std::iter::from_fn(|| following.next_within(std::time::Duration::from_millis(1)).unwrap()).count();
    assert!(followed as u64 > exported.entries);
    let id = *clinic.told.keys().next().unwrap();
    let refused = s.put(id.patient(), &note("new"));
    assert!(matches!(refused, Err(Error::DoubtfulReadOnly { .. })), "{refused:?}");
    let mut export = s.export().start().unwrap();
    let exported: Vec<AnyEntry> = export.by_ref().collect::<Result<_, _>>().unwrap();
    assert!(export.missing() > 0 && exported.iter().any(AnyEntry::is_doubtful));
    let found = report.records.whole + report.records.doubtful + report.records.damaged;
    assert_eq!(exported.len() as u64, found);
    for patient in clinic.told.keys().map(|id| id.patient()).collect::<std::collections::BTreeSet<_>>() {
        let listed = s.list::<Note>(patient).limit(1_000).page().unwrap();
        assert!(!listed.entries.is_empty());
        assert!(!s.chart(patient).page().unwrap().entries.is_empty());
    }
    vault.close().unwrap();

    // What was salvaged once and is in doubt stays so when it is salvaged again.
    let again = clinic.house.dir.path().join("again");
    let second = Vault::open_with(&clinic.into, clinic.house.options()).unwrap();
    let second = second.salvage(&clinic.house.key, &again).unwrap();
    assert_eq!(second.doubt, report.doubt);
    assert!(second.lost_entries.is_empty() && second.records.whole == report.records.whole, "{second}");
    let vault = clinic.house.open_at(&again).unwrap();
    assert_eq!(vault.doubt().unwrap(), report.doubt);
}

#[test]
fn a_segment_that_is_gone_is_made_good_by_the_trees_or_leaves_doubt() {
    for (trees, whole) in [(true, true), (false, false)] {
        let clinic = Clinic::new(60, true);
        fs::remove_file(clinic.segment(1)).unwrap();
        if !trees {
            clinic.lose_trees();
        }
        let report = clinic.salvage().unwrap();
        println!("{report}");
        // Values of 6,000 bytes are in the journal alone.
        assert!(report.doubt.is_some(), "{report}");
        assert_eq!(report.lost_entries.is_empty(), whole, "{report}");
        let (_, s) = clinic.check(&report);
        assert!(s.audit().unwrap().verify(Scope::All).past_lost_entries().run().is_ok());
        if trees {
            let records = &report.records;
            let all = records.whole + records.doubtful + records.damaged + records.lost;
            assert_eq!(all as usize, clinic.told.len() + clinic.scans.len(), "{report}");
            let known = |id: &RecordRef| clinic.scans.iter().any(|(scan, _)| scan == id);
            assert!(records.lost > 0 && records.lost_ids.iter().all(known), "{report}");
        }
    }
}

#[test]
fn a_compacted_vault_whose_base_is_damaged_is_made_good_by_the_trees() {
    for trees in [true, false] {
        let clinic = Clinic::new(40, true);
        let vault = clinic.house.open_at(&clinic.damaged).unwrap();
        vault.compact().unwrap().expect("segments were closed");
        vault.close().unwrap();
        let base =
            files_in(&clinic.damaged.join("journal")).into_iter().find(|path| path.to_string_lossy().contains("base-"));
        flip(&clinic.damaged.join("journal").join(base.unwrap()), 900);
        if !trees {
            clinic.lose_trees();
        }
        let report = clinic.salvage().unwrap();
        println!("{report}");
        assert_eq!(report.lost_entries.is_empty(), trees, "{report}");
        let (_, s) = clinic.check(&report);
        assert!(s.audit().unwrap().verify(Scope::All).past_lost_entries().run().is_ok());
    }
}

#[test]
fn without_state_files_only_a_journal_that_is_whole_is_proof() {
    for (close, hurt) in [(true, false), (false, false), (true, true), (false, true)] {
        let clinic = Clinic::new(40, close);
        for name in ["state.a", "state.b"] {
            let _ = fs::remove_file(clinic.damaged.join(name));
        }
        if hurt {
            let frames = frames(&clinic.segment(1));
            flip(&clinic.segment(1), frames[frames.len() / 4] + 200);
        }
        let report = clinic.salvage().unwrap();
        assert_eq!(report.doubt.is_some(), hurt, "{report}");
        clinic.check(&report);
    }
}

#[test]
fn a_lost_end_is_doubt_unless_the_vault_was_closed() {
    for close in [true, false] {
        let clinic = Clinic::new(60, close);
        let last = (1..9).rev().find(|number| clinic.segment(*number).exists()).unwrap();
        let frames = frames(&clinic.segment(last));
        flip(&clinic.segment(last), frames[frames.len() - 1] + 100);
        let report = clinic.salvage().unwrap();
        println!("{report}");
        assert_eq!(report.doubt.is_some(), !close, "{report}");
        assert_eq!(report.open_end, !close);
        clinic.check(&report);
    }
}

#[test]
fn either_copy_of_the_header_serves_and_without_both_the_way_out_is_named() {
    let clinic = Clinic::new(10, true);
    flip(&clinic.damaged.join("header.a"), 100);
    assert!(clinic.salvage().unwrap().is_whole());
    flip(&clinic.damaged.join("header.b"), 100);
    let refused = clinic.salvage();
    assert!(matches!(refused, Err(Error::Header(HeaderFileError::BothUnusable { .. }))), "{refused:?}");
    assert!(refused.unwrap_err().to_string().contains("restore one from a backup"));
}

#[test]
fn a_wrong_credential_a_place_that_is_taken_and_one_inside_are_refused() {
    let clinic = Clinic::new(10, true);
    let open = || Vault::open_with(&clinic.damaged, clinic.house.options()).unwrap();
    let before = bytes_of(&clinic.damaged);
    let wrong = open().salvage(&RawKey::generate().unwrap(), &clinic.into);
    assert!(matches!(wrong, Err(Error::Unlock(UnlockError::WrongCredential))), "{wrong:?}");
    let inside = open().salvage(&clinic.house.key, clinic.damaged.join("new"));
    assert!(matches!(inside, Err(Error::Storage(StorageError::Refused { .. }))), "{inside:?}");
    let deep = open().salvage(&clinic.house.key, clinic.damaged.join("deep/down/new"));
    assert!(matches!(deep, Err(Error::Storage(StorageError::Refused { .. }))), "{deep:?}");
    let options = clinic.house.options().keep_free(1 << 60);
    let full = Vault::open_with(&clinic.damaged, options).unwrap().salvage(&clinic.house.key, &clinic.into);
    assert!(matches!(full, Err(Error::Storage(StorageError::DiskFull { .. }))), "{full:?}");
    let same = open().salvage(&clinic.house.key, &clinic.damaged);
    assert!(same.is_err());
    fs::create_dir(&clinic.into).unwrap();
    fs::write(clinic.into.join("letter"), "dear").unwrap();
    let taken = open().salvage(&clinic.house.key, &clinic.into);
    assert!(matches!(taken, Err(Error::NotEmpty { .. })), "{taken:?}");
    assert_eq!(fs::read(clinic.into.join("letter")).unwrap(), b"dear");
    assert!(bytes_of(&clinic.damaged) == before);
    let locked = open();
    let again = Vault::open_with(&clinic.damaged, clinic.house.options());
    assert!(matches!(again, Err(Error::InUse { .. })));
    drop(locked);
    fs::remove_file(clinic.into.join("letter")).unwrap();
    let report = open().salvage(&clinic.house.key, &clinic.into).unwrap();
    assert!(report.is_whole(), "an empty directory is a place");
}

#[test]
fn what_an_attempt_left_behind_that_was_killed_is_in_nobody_s_way() {
    let clinic = Clinic::new(10, true);
    let work = clinic.house.dir.path().join("salvaged.salvaging");
    copy_dir(&clinic.damaged, &work.join("vault"));
    fs::create_dir_all(work.join("scratch/sled-1")).unwrap();
    fs::write(work.join("lock"), "").unwrap();
    assert!(clinic.salvage().unwrap().is_whole());
    fs::create_dir_all(work.join("holiday pictures")).unwrap();
    let refused =
        Vault::open(&clinic.damaged).unwrap().salvage(&clinic.house.key, clinic.into.with_file_name("salvaged2"));
    assert!(refused.is_ok(), "another name is another place");
    fs::remove_dir_all(&clinic.into).unwrap();
    let refused = Vault::open(&clinic.damaged).unwrap().salvage(&clinic.house.key, &clinic.into);
    assert!(matches!(refused, Err(Error::NotEmpty { .. })), "{refused:?}");
    assert!(work.join("holiday pictures").exists());
}

#[test]
fn failing_disks_leave_a_typed_error_nothing_half_made_and_the_damaged_vault_as_it_was() {
    use chartvault::test_util::{Fault, FileOp};
    let clinic = Clinic::new(12, true);
    let before = bytes_of(&clinic.damaged);
    let mut failures = 0;
    for op in [FileOp::Write, FileOp::Sync, FileOp::Rename, FileOp::Open] {
        for after in [0, 1, 2, 3, 5, 8, 13, 21, 34] {
            let locked = Vault::open_with(&clinic.damaged, clinic.house.options()).unwrap();
            let fault = Fault::on(op, std::io::ErrorKind::StorageFull).after(after);
            let salvaged = locked.salvage(&clinic.house.key, &clinic.into);
            drop(fault);
            match salvaged {
                Ok(_) => fs::remove_dir_all(&clinic.into).unwrap(),
                Err(error) => {
                    failures += 1;
                    assert!(
                        matches!(
                            error,
                            Error::Storage(StorageError::DiskFull { .. })
                                | Error::NotCommitted(_)
                                | Error::AuditUnavailable { .. }
                                | Error::Header(_)
                        ),
                        "{op:?} {after}: {error:?}"
                    );
                }
            }
            assert!(!clinic.into.exists(), "{op:?} {after}");
            assert!(bytes_of(&clinic.damaged) == before);
        }
    }
    assert!(failures > 10, "{failures}");
    assert!(clinic.salvage().unwrap().is_whole());
}

/// Every file of a small vault, every so many bytes: nothing panics, and nothing is older or missing without a word.
/// `CHARTVAULT_EVERY=97` looks at every 97th byte, which takes some minutes.
#[test]
fn wherever_a_bit_flips_nothing_is_silently_older_or_missing() {
    let every = std::env::var("CHARTVAULT_EVERY").ok().and_then(|every| every.parse().ok());
    for (close, step) in [(true, every.unwrap_or(1_499)), (false, every.unwrap_or(3_001))] {
        let clinic = Clinic::new(6, close);
        let (mut whole, mut doubtful) = (0, 0);
        for file in files_in(&clinic.damaged) {
            let path = clinic.damaged.join(&file);
            let len = fs::metadata(&path).unwrap().len() as usize;
            // Zeros behind the end of the journal, of sled's file and of the state's buckets are all alike.
            let bytes = fs::read(&path).unwrap();
            let places = (0..len).step_by(step).filter(|at| {
                bytes[at.saturating_sub(64)..(at + 64).min(len)].iter().any(|byte| *byte != 0) || at % (step * 50) == 0
            });
            for at in places {
                flip(&path, at);
                match clinic.salvage() {
                    Ok(report) => {
                        clinic.check(&report);
                        if report.is_whole() { whole += 1 } else { doubtful += 1 }
                    }
                    Err(error) => assert!(
                        file.starts_with("header.a") || file.starts_with("header.b"),
                        "{file:?} at {at}: {error:?}"
                    ),
                }
                fs::write(&path, &bytes).unwrap();
            }
        }
        println!("closed {close}: {whole} whole, {doubtful} not");
        assert!(whole > 5);
    }
}
