//! Who is who: patients by their resource ids, registered as they turn up.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use chartvault::{Error, Identifier, PatientId, Session};

use crate::fhir::{Resource, resource_id};

/// Whoever is named is registered, no matter whether the Patient resource comes first, later or never: what is said of
/// a person must not stand in the facility's chart, where it is found by nobody and guarded like a list of devices. A
/// Patient resource that comes later finds the chart by the resource id.
pub struct People<'s> {
    session: &'s Session,
    /// Each under a lock of its own: registering one patient holds up nobody who brings records of another.
    known: Mutex<HashMap<String, Arc<Mutex<Option<Person>>>>>,
    disputed: AtomicUsize,
}

#[derive(Clone)]
pub struct Person {
    pub id: PatientId,
    /// From the Patient resource, if there was one. Kept by this example alone, to print it.
    pub name: Option<String>,
    /// Whether there was a Patient resource, or only others that named the patient.
    pub has_resource: bool,
}

impl<'s> People<'s> {
    pub fn new(session: &'s Session) -> Self {
        Self { session, known: Mutex::default(), disputed: AtomicUsize::new(0) }
    }

    /// The chart that a resource belongs in.
    pub fn chart_of(&self, resource: &Resource) -> Result<PatientId, Error> {
        let Some(id) = resource.patient() else { return Ok(PatientId::FACILITY) };
        let place = Arc::clone(lock(&self.known).entry(id.to_owned()).or_default());
        let mut place = lock(&place);
        let own = resource.kind() == "Patient";
        let identifiers: Vec<_> = if own { resource.identifiers().collect() } else { Vec::new() };
        let name = if own { resource.name() } else { None };
        match &mut *place {
            Some(person) if own => {
                (person.name, person.has_resource) = (name, true);
                self.identify(person.id, identifiers)?;
                Ok(person.id)
            }
            Some(person) => Ok(person.id),
            None => {
                let patient = self.register(resource_id(id)?, identifiers)?;
                *place = Some(Person { id: patient, name, has_resource: own });
                Ok(patient)
            }
        }
    }

    pub fn list(&self) -> Vec<Person> {
        lock(&self.known).values().filter_map(|place| lock(place).clone()).collect()
    }

    /// Identifiers that a second patient claimed.
    pub fn disputed(&self) -> usize {
        self.disputed.load(Ordering::Relaxed)
    }

    fn register(&self, own: Identifier, others: Vec<Identifier>) -> Result<PatientId, Error> {
        let all = others.iter().cloned().chain([own.clone()]);
        match self.session.register_patient(all) {
            Err(Error::IdentifierTaken { .. }) => {
                let patient = self.session.register_patient([own])?;
                self.identify(patient, others)?;
                Ok(patient)
            }
            registered => registered,
        }
    }

    /// Published examples give one number to several patients. The first keeps it; in a clinic somebody would look.
    fn identify(&self, patient: PatientId, identifiers: Vec<Identifier>) -> Result<(), Error> {
        for identifier in identifiers {
            match self.session.add_identifier(patient, identifier) {
                Err(Error::IdentifierTaken { .. }) => drop(self.disputed.fetch_add(1, Ordering::Relaxed)),
                added => added?,
            }
        }
        Ok(())
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
