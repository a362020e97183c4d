//! Every variant of the public error, each produced in the simplest way, with a message that says what to do and gives
//! nothing away; and a roll call of all variants of all public errors, which fails for one that no test produces.

mod support;

#[path = "every_error/backups.rs"]
mod backups;
#[path = "every_error/damage.rs"]
mod damage;
#[path = "every_error/erasure.rs"]
mod erasure;
#[path = "every_error/governance.rs"]
mod governance;
#[path = "every_error/people.rs"]
mod people;
#[path = "every_error/records.rs"]
mod records;
#[path = "every_error/resources.rs"]
mod resources;
#[path = "every_error/roll_call.rs"]
mod roll_call;
#[path = "every_error/sessions.rs"]
mod sessions;
#[path = "every_error/vaults.rs"]
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
