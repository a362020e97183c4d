//! From a damaged vault, all that verifies: nothing older or missing is ever given out as if it were all.

mod support;

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
        let (house, vault) = House::create();
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
                Ok(entry) if entry.value.text == *text && entry.version.number() == *version => {}
                Ok(entry) => assert!(entry.is_doubtful() && report.doubt.is_some(), "{id}: older, and no doubt"),
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
    let id = *clinic.told.keys().next().unwrap();
    let refused = s.put(id.patient(), &note("new"));
    assert!(matches!(refused, Err(Error::DoubtfulReadOnly { .. })), "{refused:?}");
    assert!(s.export().start().unwrap().filter(|entry| entry.is_ok()).count() > 0);
    vault.close().unwrap();
}
