//! Who is who: patients by their resource ids, registered as they turn up.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use chartvault::{Error, Identifier, PatientId, Session};

use crate::fhir::{Resource, resource_id};

/// Whoever is named is registered, no matter whether the Patient resource comes first, later or never: what is said of
/// a person must not stand in the facility's chart, where it is found by nobody and guarded like a list of devices. A
/// Patient resource that comes later finds the chart by the resource id.
pub struct People<'s> {
    session: &'s Session,
    known: Mutex<HashMap<String, Person>>,
}

#[derive(Clone)]
pub struct Person {
    pub id: PatientId,
    /// From the Patient resource, if there was one. Kept by this example alone, to print it.
    pub name: Option<String>,
}

impl<'s> People<'s> {
    pub fn new(session: &'s Session) -> Self {
        Self { session, known: Mutex::default() }
    }

    /// The chart that a resource belongs in.
    pub fn chart_of(&self, resource: &Resource) -> Result<PatientId, Error> {
        let Some(id) = resource.patient() else { return Ok(PatientId::FACILITY) };
        let is_patient = resource.kind() == "Patient";
        // Held while registering, so that nobody is registered twice.
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let identifiers: Vec<_> = if is_patient { resource.identifiers().collect() } else { Vec::new() };
        if let Some(person) = known.get_mut(id) {
            if is_patient {
                person.name = resource.name();
                self.identify(person.id, identifiers)?;
            }
            return Ok(person.id);
        }
        let patient = self.register(resource_id(id)?, identifiers)?;
        let name = if is_patient { resource.name() } else { None };
        known.insert(id.to_owned(), Person { id: patient, name });
        Ok(patient)
    }

    pub fn into_list(self) -> Vec<Person> {
        self.known.into_inner().unwrap_or_else(PoisonError::into_inner).into_values().collect()
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
                Err(Error::IdentifierTaken { .. }) | Ok(()) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}
