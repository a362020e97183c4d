//! The work that a patient makes who is there, done for one who is not: so that how long a refusal takes does not tell
//! which of the two it was. What fails here is not told, since nothing was asked for.

use std::sync::{Arc, Mutex, PoisonError};

use super::{Chart, Unlocked};
use crate::audit::{DraftSubject, SubjectKey, seal_and_discard};
use crate::crypto::random;
use crate::error::Error;
use crate::format::keys::{LookupRowKey, PatientKey, Tree};
use crate::ids::PatientId;
use crate::keyring::{self, Keyring};
use crate::storage::Bytes;

/// A patient who was never registered, and the rows that they would have.
struct Decoy {
    /// Under which the rows are sealed.
    keyring: Arc<Keyring>,
    patient: PatientId,
    key: PatientKey,
    secret: Bytes,
    subject: Arc<SubjectKey>,
    pointer: (LookupRowKey, Bytes),
}

/// The decoy in use, made anew for each keyring.
#[derive(Default)]
pub(crate) struct Decoys(Mutex<Option<Arc<Decoy>>>);

impl Unlocked {
    /// The chart of a patient, if there is one. It takes the same work if there is none, or none any more.
    pub(crate) fn look_up(&self, patient: PatientId) -> Result<Option<Chart>, Error> {
        let decoy = self.decoy()?;
        let found = self.find_chart(patient);
        if matches!(found, Ok(None)) {
            let _ = self.chart_at(&decoy.key.to_bytes(), &decoy.secret);
        }
        // Only now: they may be erased meanwhile.
        self.erased(patient).map_or(found, |at| Err(Error::Erased { patient, at }))
    }

    /// Does what looking up a patient does, where nobody is named.
    pub(crate) fn look_up_decoy(&self) {
        let _ = self.decoy().and_then(|decoy| self.look_up(decoy.patient));
    }

    /// Does what opening the row does that an identifier has.
    pub(crate) fn open_decoy_pointer(&self) {
        let Ok(decoy) = self.decoy() else { return };
        let (key, value) = &decoy.pointer;
        let _ = self.open_row(decoy.keyring.lookup_sealer(), Tree::Lookup, &key.to_bytes(), value, "identifier");
    }

    /// Does what naming a patient in an entry does.
    pub(crate) fn seal_decoy_subject(&self) {
        let Ok(decoy) = self.decoy() else { return };
        let PatientKey { patient_tag, generation } = decoy.key;
        let (patient, key) = (decoy.patient, Arc::clone(&decoy.subject));
        seal_and_discard(
            DraftSubject { patient, patient_tag, generation, key, records: Vec::new() },
            self.suite(),
            self.vault,
        );
    }

    fn decoy(&self) -> Result<Arc<Decoy>, Error> {
        let keyring = self.keyring();
        let mut held = self.decoys.0.lock().unwrap_or_else(PoisonError::into_inner);
        match held.as_ref().filter(|decoy| Arc::ptr_eq(&decoy.keyring, &keyring)) {
            Some(decoy) => Ok(Arc::clone(decoy)),
            None => Ok(Arc::clone(held.insert(Arc::new(self.new_decoy(keyring)?)))),
        }
    }

    fn new_decoy(&self, keyring: Arc<Keyring>) -> Result<Decoy, Error> {
        let (patient, secret) = (PatientId::from_bytes(random::array()?), keyring::new_patient_secret()?);
        let patient_tag = keyring.patient_tag(patient);
        let key = PatientKey { patient_tag, generation: 1 };
        let row = keyring.seal_patient_secret(self.vault, self.suite(), key, patient, &secret)?;
        let subject = Arc::new(keyring.audit().subject(&secret));
        let at = LookupRowKey { identifier_tag: patient_tag, patient_tag };
        let sealer = keyring.lookup_sealer();
        let pointer = self.sealed_row(sealer, (0, 0), Tree::Lookup, &at.to_bytes(), patient.as_bytes())?;
        let pointer = (at, pointer.value.ok_or(Error::TamperedRow { what: "identifier" })?);
        Ok(Decoy { keyring, patient, key, secret: row, subject, pointer })
    }
}
