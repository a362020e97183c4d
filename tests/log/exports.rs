//! The log written out for other programs: what stands in it, what is left out, and that the log says so first.

use crate::support;

use std::io::{self, Write};

use chartvault::*;
use support::{House, base_grant, note, verify, whole_log};

const FORMATS: [LogFormat; 6] =
    [LogFormat::JsonLines, LogFormat::Csv, LogFormat::Cef, LogFormat::Rfc5424, LogFormat::FhirR4, LogFormat::FhirR5];

fn export(session: &Session, filter: AuditFilter, format: LogFormat) -> (LogExported, String) {
    let mut out = Vec::new();
    let exported = session.audit().unwrap().export(filter).format(format).write(&mut out).unwrap();
    assert_eq!(exported.bytes, out.len() as u64);
    (exported, String::from_utf8(out).unwrap())
}

fn objects(text: &str) -> Vec<serde_json::Value> {
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn newest(session: &Session) -> AuditEntry {
    session.audit().unwrap().query(AuditFilter::new()).limit(1).page().unwrap().entries.remove(0)
}

#[test]
fn all_of_the_log_comes_out_oldest_first_and_the_log_says_so() {
    let (house, vault) = House::create();
    let session = house.session(&vault);
    let patient = session.register_patient([]).unwrap();
    session.put(patient, &note("penicillin: rash")).unwrap();
    let before = newest(&session).seq;
    for format in FORMATS {
        let mut out = Vec::new();
        let exported = session.audit().unwrap().export(AuditFilter::new()).format(format).write(&mut out).unwrap();
        let said = newest(&session);
        assert_eq!((said.event, said.outcome, said.seq), (AuditEvent::LogExported, Outcome::Allowed, exported.entries));
        assert_eq!((exported.first, exported.last), (Some(0), Some(said.seq - 1)));
        let hash: String = exported.sha256.iter().map(|byte| format!("{byte:02x}")).collect();
        assert!(said.detail.unwrap().ends_with(&hash));
        assert_eq!(said.count, Some(u32::try_from(exported.entries).unwrap()));
    }
    let (_, text) = export(&session, AuditFilter::new(), LogFormat::JsonLines);
    let log = whole_log(&session);
    for (object, entry) in objects(&text).iter().zip(&log) {
        let mut expected: serde_json::Value = serde_json::from_str(&entry.to_json()).unwrap();
        assert_eq!(object["leaf"].as_str().map(str::len), Some(64));
        expected["leaf"] = object["leaf"].clone();
        assert_eq!(*object, expected);
    }
    assert!(objects(&text).len() as u64 > before);
    verify(&session);
}

#[test]
fn only_the_numbers_and_entries_that_were_asked_for_come_out() {
    let (house, vault) = House::create();
    let session = house.session(&vault);
    let patient = session.register_patient([]).unwrap();
    let mut out = Vec::new();
    let part = session.audit().unwrap().export(AuditFilter::new()).range(1..3).write(&mut out).unwrap();
    assert_eq!((part.entries, part.first, part.last), (2, Some(1), Some(2)));
    let beyond = session.audit().unwrap().export(AuditFilter::new()).range(1_000..2_000).write(&mut out).unwrap();
    assert_eq!((beyond.entries, beyond.first, beyond.bytes), (0, None, 0));
    let (registered, text) =
        export(&session, AuditFilter::new().event(AuditEvent::PatientRegistered), LogFormat::JsonLines);
    assert_eq!(registered.entries, 1);
    assert_eq!(objects(&text)[0]["subjects"][0]["patient"], patient.to_string());
}

#[test]
fn of_one_patient_nothing_of_others_comes_out_and_their_own_log_says_so() {
    let (house, vault) = House::create();
    let session = house.session(&vault);
    let patients: Vec<PatientId> = (0..3).map(|_| session.register_patient([]).unwrap()).collect();
    for patient in &patients {
        session.put(*patient, &note("seen")).unwrap();
    }
    assert_eq!(session.export().start().unwrap().count(), 3);
    let one = patients[1];
    for format in FORMATS {
        let (exported, text) = export(&session, AuditFilter::new().patient(one), format);
        let names = |patient: &PatientId| text.contains(patient.to_string().strip_prefix("patient-").unwrap());
        assert_eq!(patients.iter().map(names).collect::<Vec<_>>(), [false, true, false], "{text}");
        assert_eq!(exported.left_out, 3, "of the bulk export: two patients and the facility's own chart");
        let said = newest(&session);
        assert_eq!(said.subjects.iter().map(|subject| subject.patient).collect::<Vec<_>>(), [Some(one)]);
    }
    let nobody = PatientId::from_bytes([9; 16]);
    assert_eq!(export(&session, AuditFilter::new().patient(nobody), LogFormat::JsonLines).0.entries, 0);
    let many = (0..101).fold(AuditFilter::new(), |filter, n| filter.patient(PatientId::from_bytes([n; 16])));
    let refused = session.audit().unwrap().export(many).write(&mut io::sink());
    assert!(matches!(refused, Err(Error::TooMany { len: 101, limit: 100, .. })), "{refused:?}");
}

#[test]
fn nothing_is_written_before_the_log_says_so() {
    struct Asks<'s>(&'s Session, Option<AuditEvent>);
    impl Write for Asks<'_> {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.1.get_or_insert_with(|| newest(self.0).event);
            Ok(bytes.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let (house, vault) = House::create();
    let session = house.session(&vault);
    for format in FORMATS {
        let mut out = Asks(&session, None);
        session.audit().unwrap().export(AuditFilter::new()).format(format).write(&mut out).unwrap();
        assert_eq!(out.1, Some(AuditEvent::LogExported));
    }
}

#[test]
fn whoever_cannot_be_written_to_is_told_and_the_log_has_the_export() {
    struct Full(usize);
    impl Write for Full {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0 = self.0.checked_sub(bytes.len()).ok_or(io::ErrorKind::StorageFull)?;
            Ok(bytes.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let (house, vault) = House::create();
    let session = house.session(&vault);
    for format in FORMATS {
        let refused = session.audit().unwrap().export(AuditFilter::new()).format(format).write(&mut Full(1_500));
        assert!(matches!(&refused, Err(Error::Output(why)) if why.kind() == io::ErrorKind::StorageFull), "{refused:?}");
        assert_eq!(newest(&session).event, AuditEvent::LogExported);
    }
}

#[test]
fn a_patient_who_is_erased_meanwhile_is_not_written_out() {
    let (house, vault) = House::create();
    let session = house.session(&vault);
    let patient = session.register_patient([]).unwrap();
    let mut out = Vec::new();
    let mut erase = |progress: Progress| {
        if progress.done * 2 == progress.total.unwrap() {
            let order = ErasureOrder::new("the patient asked", "GDPR 17(1)(b)");
            vault.erase_patient(&session, patient, &order, &house.key, &mut |_| ()).unwrap();
        }
    };
    let refused = session.audit().unwrap().export(AuditFilter::new()).on_progress(&mut erase).write(&mut out);
    assert!(matches!(refused, Err(Error::Output(_))), "{refused:?}");
    assert!(!String::from_utf8(out).unwrap().contains(&patient.to_string()));
}

#[test]
fn progress_is_told_and_ends_with_all() {
    let (house, vault) = House::create();
    let session = house.session(&vault);
    for _ in 0..1_100 {
        session.register_patient([]).unwrap();
    }
    let mut told = Vec::new();
    let mut on = |progress: Progress| told.push((progress.task, progress.done, progress.total));
    let exported =
        session.audit().unwrap().export(AuditFilter::new()).on_progress(&mut on).write(&mut io::sink()).unwrap();
    let all = exported.entries * 2;
    let steps = [1_000, exported.entries, exported.entries + 1_000, all];
    assert_eq!(told, steps.map(|done| (Task::ExportLog, done, Some(all))));
}

#[test]
fn without_the_audit_right_nothing_comes_out() {
    let (house, vault) = House::create();
    let narrow = base_grant().all_patients().all_kinds().actions([Action::Read, Action::Export]);
    let session = house.session_of(&vault, &narrow.issued_at(house.clock.now()));
    assert!(matches!(session.audit().map(drop), Err(Error::Denied { .. })));
}
