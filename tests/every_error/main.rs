//! Every variant of the public error, each produced in the simplest way, with a message that says what to do and gives
//! nothing away; and a roll call of all variants of all public errors, which fails for one that no test produces.

#[path = "../support/mod.rs"]
mod support;

mod backups;
mod damage;
mod erasure;
mod governance;
mod people;
mod records;
mod resources;
mod roll_call;
mod sessions;
mod vaults;

use std::error::Error as _;

use chartvault::test_util::TestVault;
use chartvault::*;
use support::{Note, note};

const PASSPHRASE: &str = "correct horse battery staple";
const MRN: &str = "MRN-20417";
const TEXT: &str = "rash after penicillin";
const SECOND: &str = "no rash any more";

fn mrn() -> Identifier {
    Identifier::new("urn:mrn:errors", MRN).unwrap()
}

/// A clinic in memory, a session that may do everything but read the log, a patient, and a record of two versions.
struct Ward {
    clinic: TestVault,
    session: Session,
    patient: PatientId,
    id: RecordId<Note>,
}

impl Ward {
    fn new() -> Self {
        let clinic = TestVault::new().build().unwrap();
        let session = clinic.physician().unwrap();
        let patient = session.register_patient([mrn()]).unwrap();
        let id = session.put(patient, &note(TEXT)).unwrap();
        session.amend(id, Version::FIRST, &note(SECOND)).unwrap();
        Self { clinic, session, patient, id }
    }
}

/// The message of an error says this, which is what to do; it and all behind it show no value and no credential.
#[track_caller]
fn advises<T>(refused: Result<T, Error>, what_to_do: &str) {
    let Err(error) = refused else { panic!("nothing was refused") };
    let message = error.to_string();
    assert!(message.contains(what_to_do), "{message:?} does not say {what_to_do:?}");
    let mut said = vec![message, format!("{error:?}")];
    let mut source = error.source();
    while let Some(error) = source {
        said.push(error.to_string());
        source = error.source();
    }
    for secret in [PASSPHRASE, MRN, TEXT, SECOND, "cvt1_"] {
        assert!(said.iter().all(|said| !said.is_empty() && !said.contains(secret)), "{secret:?} in {said:?}");
    }
}
