//! What stands for patients where their ids are not shown.

use std::collections::HashMap;

use crate::crypto::kdf;
use crate::ids::PatientId;

/// How patients are named.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) enum Naming {
    /// `P-1`, `P-2` and so on, in the order in which they come: says nothing on another page.
    #[default]
    Numbers,
    /// `P-` and 8 digits, the same wherever the key is the same.
    Joined([u8; 32]),
    /// The id.
    Clear,
}

/// The names of one page.
pub(super) struct Pseudonyms<'n> {
    naming: &'n Naming,
    known: HashMap<PatientId, usize>,
}

impl<'n> Pseudonyms<'n> {
    pub(super) fn new(naming: &'n Naming) -> Self {
        Self { naming, known: HashMap::new() }
    }

    pub(super) fn of(&mut self, patient: PatientId) -> String {
        match self.naming {
            Naming::Numbers => {
                let next = self.known.len() + 1;
                format!("P-{}", self.known.entry(patient).or_insert(next))
            }
            Naming::Joined(key) => format!("P-{:08x}", u32::from_be_bytes(kdf::page_patient(key, patient))),
            Naming::Clear => patient.to_string(),
        }
    }

    /// Of somebody who may have been erased.
    pub(super) fn of_maybe(&mut self, patient: Option<PatientId>) -> String {
        patient.map_or_else(|| "erased".to_owned(), |patient| self.of(patient))
    }
}
