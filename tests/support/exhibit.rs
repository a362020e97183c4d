//! A small closed vault whose content is known, to be tampered with in copies. Opening a copy and reading everything
//! must give exactly what was put, or a typed error.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::Duration;

use chartvault::*;

use super::{House, Note, copy_dir, files_in, note, whole_log};

/// Everything that a vault says of its charts and its log, in text.
pub type Told = Vec<String>;

pub struct Exhibit {
    pub house: House,
    pub told: Told,
    /// Entries of the log when the vault was closed.
    entries: usize,
    /// The directory as it was before the last few records were put.
    pub earlier: tempfile::TempDir,
}

/// What came of opening and reading a copy.
#[derive(Debug)]
pub enum Outcome {
    /// Everything equal to the original.
    Same,
    /// A typed error.
    Refused(Error),
}

const KINDS: [&str; 2] = ["Observation", "DocumentReference"];

impl Exhibit {
    pub fn new() -> Self {
        let (house, vault) = House::create();
        let session = house.session(&vault);
        for mrn in ["1", "2"] {
            let patient = session.register_patient([Identifier::new("urn:mrn:exhibit", mrn).unwrap()]).unwrap();
            fill(&session, patient);
        }
        vault.close().unwrap();
        let earlier = tempfile::tempdir().unwrap();
        copy_dir(&house.path(), earlier.path());
        let vault = house.open();
        let session = house.session(&vault);
        for mrn in ["1", "2"] {
            let patient = session.find_patient(&Identifier::new("urn:mrn:exhibit", mrn).unwrap()).unwrap().unwrap();
            fill(&session, patient);
        }
        let (told, entries) = (read_all(&session).unwrap(), whole_log(&session).len());
        vault.close().unwrap();
        let exhibit = Self { house, told, entries, earlier };
        assert!(matches!(exhibit.trial(|_| ()), Outcome::Same), "a copy that nobody touched");
        exhibit
    }

    /// Its files, without the lock.
    pub fn files(&self) -> Vec<PathBuf> {
        files_in(&self.house.path()).into_iter().filter(|path| path.as_os_str() != "lock").collect()
    }

    pub fn bytes(&self, file: &Path) -> Vec<u8> {
        fs::read(self.house.path().join(file)).unwrap()
    }

    /// Tampers with a copy, opens it, and reads everything. Fails the test when the copy tells anything else, panics,
    /// or hangs.
    pub fn trial(&self, tamper: impl FnOnce(&Path)) -> Outcome {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("copy");
        copy_dir(&self.house.path(), &path);
        tamper(&path);
        let (send, result) = channel();
        let (key, issuer) = (RawKey::from_bytes(*self.house.key.expose_bytes()), self.house.issuer.to_secret_bytes());
        let (options, grant, entries) = (self.house.options(), self.house.grant(), self.entries);
        let reader = std::thread::spawn(move || {
            let read = || {
                let vault = Vault::open_with(&path, options)?.unlock(&key)?;
                let token = grant.sign(&IssuerKey::from_secret_bytes(&issuer), vault.id()).unwrap();
                let session = vault.session(&token, Purpose::Treatment)?;
                let told = read_all(&session)?;
                session.audit()?.verify(Scope::All).run()?;
                let log = session.audit()?.query(AuditFilter::new()).limit(1_000).page()?;
                assert!(log.entries.len() > entries || log.next.is_some(), "the log lost entries");
                vault.close()?;
                Ok(told)
            };
            let _ = send.send(read());
        });
        match result.recv_timeout(Duration::from_secs(60)) {
            Ok(Ok(told)) if told == self.told => Outcome::Same,
            Ok(Ok(told)) => {
                let differs = |(a, b): &(&String, &String)| a != b;
                let first = self.told.iter().zip(&told).find(differs);
                panic!("a wrong answer: {} lines instead of {}, first {first:?}", told.len(), self.told.len());
            }
            Ok(Err(error)) => Outcome::Refused(error),
            Err(RecvTimeoutError::Timeout) => panic!("opening or reading hangs"),
            Err(RecvTimeoutError::Disconnected) => panic!("opening or reading panicked: {:?}", reader.join().is_err()),
        }
    }
}

/// Short and long values, typed and verbatim, amended and voided.
fn fill(session: &Session, patient: PatientId) {
    let first = session.put(patient, &note("penicillin: rash")).unwrap();
    session.put(patient, &note(&"long ".repeat(300))).unwrap();
    for (kind, len) in KINDS.iter().zip([700, 6_000]) {
        let bytes: Vec<u8> = (0..len).map(|at| (at % 251) as u8).collect();
        let kind = Kind::new(kind).unwrap();
        let record = session.put_verbatim(patient, &kind, &bytes, PutOptions::new()).unwrap();
        session.amend_verbatim(record, Version::FIRST, &bytes[1..]).unwrap();
    }
    let second = session.amend(first, Version::FIRST, &note("penicillin: shock")).unwrap();
    session.void(first, second, "wrong patient").unwrap();
}

/// Reads every chart in every way.
pub fn read_all(session: &Session) -> Result<Told, Error> {
    let mut told = Vec::new();
    for mrn in ["1", "2", "3"] {
        let found = session.find_patient(&Identifier::new("urn:mrn:exhibit", mrn)?)?;
        told.push(format!("{mrn}: {found:?}"));
        let Some(patient) = found else { continue };
        told.push(format!("{:?}", session.kinds(patient)?));
        for entry in session.chart(patient).include_voided().limit(1_000).page()?.entries {
            told.push(format!("{entry:?} {} {:?}", entry.time(), entry.status()));
        }
        for entry in session.list::<Note>(patient).include_voided().page()?.entries {
            for version in session.history(entry.id)? {
                told.push(format!("{version:?} {:?} {:?}", version.value, version.reason));
            }
            let (newest, first) = (session.get(entry.id)?, session.get_version(entry.id, Version::FIRST)?);
            told.push(format!("{:?} {:?}", newest.value, first.value));
        }
        for kind in KINDS {
            for entry in session.list_verbatim(patient, &Kind::new(kind).unwrap()).page()?.entries {
                let history = session.history_verbatim(entry.id)?;
                told.extend(history.iter().map(|version| format!("{version:?} {:02x?}", version.value)));
            }
        }
    }
    Ok(told)
}
