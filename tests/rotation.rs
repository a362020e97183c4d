//! Keys of a vault in use, rotated: everything reads as before, others go on working, and wherever it breaks off, the vault
//! opens and goes on.

mod support;

use std::io::ErrorKind;
use std::path::Path;

use chartvault::test_util::{Fault, FileOp};
use chartvault::*;
use support::{House, Note, copy_dir, note, verify, whole_log};

/// A clinic's day in a vault, and what must be read of it from then on.
struct Day {
    patients: Vec<PatientId>,
    notes: Vec<(RecordId<Note>, Vec<String>)>,
}

fn mrn(number: usize) -> Identifier {
    Identifier::new("urn:mrn:clinic-a", &format!("patient {number}")).unwrap()
}

impl Day {
    /// Some patients, records of them, and versions of some of these.
    fn spend(session: &Session, patients: usize, notes: usize) -> Self {
        let patients: Vec<_> = (0..patients).map(|at| session.register_patient([mrn(at)]).unwrap()).collect();
        let mut day = Self { patients, notes: Vec::new() };
        for (number, patient) in day.patients.iter().enumerate() {
            for at in 0..notes {
                let text = format!("patient {number}, note {at}: {}", "words ".repeat(at * 40));
                let id = session.put(*patient, &note(&text)).unwrap();
                let mut texts = vec![text];
                if at % 3 == 0 {
                    texts.push(format!("{number}-{at} amended"));
                    session.amend(id, Version::FIRST, &note(&texts[1])).unwrap();
                }
                day.notes.push((id, texts));
            }
        }
        day
    }

    fn versions(&self) -> u64 {
        self.notes.iter().map(|(_, texts)| texts.len() as u64).sum()
    }

    fn is_read(&self, session: &Session) {
        for (number, patient) in self.patients.iter().enumerate() {
            assert_eq!(session.find_patient(&mrn(number)).unwrap(), Some(*patient));
        }
        for (id, texts) in &self.notes {
            assert_eq!(session.get(*id).unwrap().value.text, *texts.last().unwrap());
            for (version, text) in (1..).zip(texts) {
                let version = Version::new(version).unwrap();
                assert_eq!(session.get_version(*id, version).unwrap().value.text, *text);
            }
        }
    }
}

fn is_sound(vault: &Vault) {
    let report = vault.check(CheckScope::All, &mut |_| ()).unwrap();
    assert!(report.is_sound(), "{report}");
}

/// What the log says of keys and headers.
fn said(session: &Session) -> Vec<(AuditEvent, Outcome, String)> {
    use AuditEvent::{HeaderWritten, KeyActivated, KeyAdded, KeyDropped, RootKeyChanged, RowsResealed, SuiteChanged};
    let of_keys = [HeaderWritten, KeyActivated, KeyAdded, KeyDropped, RootKeyChanged, RowsResealed, SuiteChanged];
    let entries = whole_log(session).into_iter().filter(|entry| of_keys.contains(&entry.event));
    entries.map(|entry| (entry.event, entry.outcome, entry.detail.unwrap_or_default())).collect()
}

#[test]
fn patients_keys_are_wrapped_under_a_new_key_and_the_old_one_goes() {
    let (house, vault) = House::create();
    let session = house.session(&vault);
    let day = Day::spend(&session, 7, 3);
    let mut told = Vec::new();
    let rotated = vault.rotate_wrap_key(&house.key, &mut |progress| told.push(progress)).unwrap();
    // The facility chart has a key as well.
    assert_eq!((rotated.rewrapped, rotated.unreadable), (8, 0));
    assert_eq!(vault.rotation().unwrap().wrap_epochs, [2]);
    assert!(!vault.rotation().unwrap().is_under_way());
    assert!(told.iter().all(|progress| progress.task == Task::RewrapPatients && progress.total == Some(8)));
    day.is_read(&session);
    let later = Day { patients: vec![session.register_patient([]).unwrap()], notes: Vec::new() };
    let id = session.put(later.patients[0], &note("later")).unwrap();
    use {AuditEvent::*, Outcome::*};
    let expected = [
        (KeyAdded, Allowed, "wrap key 2; header 2"),
        (HeaderWritten, Allowed, "header 2"),
        (RowsResealed, Allowed, "the newest wrap key of the tree patients"),
        (KeyDropped, Allowed, "wrap keys before 2; header 3"),
        (HeaderWritten, Allowed, "header 3"),
    ];
    assert_eq!(said(&session), expected.map(|(event, outcome, detail)| (event, outcome, detail.to_owned())));
    is_sound(&vault);
    drop(session);
    vault.close().unwrap();
    let vault = house.open();
    let session = house.session(&vault);
    day.is_read(&session);
    assert_eq!(session.get(id).unwrap().value.text, "later");
    verify(&session);
}

/// What a rotation does, and whether it is through.
type Rotate = fn(&Vault, &House) -> Result<Rotated, Error>;

/// Every sort of file operation fails from the nth on, and the process ends there. What is left opens, reads as before, and
/// the rotation can be made.
fn breaks_off_anywhere(rotate: Rotate, step: u32) {
    for op in [FileOp::Open, FileOp::Write, FileOp::Sync] {
        let mut unfinished = 0;
        for passing in (0..).step_by(step as usize) {
            let (house, vault) = House::create();
            let session = house.session(&vault);
            let day = Day::spend(&session, 3, 2);
            let fault = Fault::on(op, ErrorKind::Other).after(passing).for_good();
            let rotated = rotate(&vault, &house);
            let hits = fault.hits();
            let crashed = house.dir.path().join("crashed");
            copy_dir(&house.path(), &crashed);
            drop(fault);
            drop((session, vault));
            let again = goes_on(&house, &crashed, &day, rotate);
            unfinished += u32::from(again);
            assert!(rotated.is_err() || !again, "{op:?} {passing}: it was acknowledged and is not done");
            if hits == 0 {
                assert!(rotated.is_ok());
                break;
            }
        }
        assert!(unfinished > 0 || op == FileOp::Open, "{op:?}");
    }
}

/// Whether a rotation was under way. It is ended, or made once more.
fn goes_on(house: &House, path: &Path, day: &Day, rotate: Rotate) -> bool {
    let vault = house.open_at(path).unwrap();
    let session = house.session(&vault);
    day.is_read(&session);
    let under_way = vault.rotation().unwrap().is_under_way();
    let id = session.put(day.patients[0], &note("after the crash")).unwrap();
    rotate(&vault, house).unwrap();
    assert!(!vault.rotation().unwrap().is_under_way());
    day.is_read(&session);
    assert_eq!(session.get(id).unwrap().value.text, "after the crash");
    verify(&session);
    drop(session);
    vault.close().unwrap();
    let vault = house.open_at(path).unwrap();
    day.is_read(&house.session(&vault));
    is_sound(&vault);
    under_way
}

#[test]
fn a_new_wrap_key_that_breaks_off_anywhere_leaves_a_vault_that_goes_on() {
    breaks_off_anywhere(|vault, house| vault.rotate_wrap_key(&house.key, &mut |_| ()), 1);
}
