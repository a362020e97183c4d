//! Whose charts there are, and what stands in them already: so that the same resource is not put twice.

use std::collections::HashMap;

use chartvault::{Error, Identifier, PatientId, RecordRef, Session, Version};
use serde_json::Value;
use sha2::{Digest, Sha256};

use super::fhir::{Resource, resource_id};

/// Records that are remembered at once; beyond, charts are forgotten and read again when they are named again.
const REMEMBERED: usize = 400_000;

/// Tells one resource in a chart from the others: its type, and its id or, where it has none, its bytes.
pub type Key = (String, Vec<u8>);

/// A resource that stands in a chart, or will with the next commit.
#[derive(Clone, Copy)]
pub struct There {
    pub hash: [u8; 32],
    /// `None` until it is committed.
    pub record: Option<(RecordRef, Version)>,
}

#[derive(Default)]
pub struct Chart {
    pub there: HashMap<Key, There>,
    /// Records that the token does not show: what is not found may be among them.
    pub withheld: usize,
}

pub struct Charts<'s> {
    session: &'s Session,
    dry_run: bool,
    ids: HashMap<String, Option<PatientId>>,
    charts: HashMap<PatientId, Chart>,
    pub registered: u64,
    /// For a dry run: those who would be registered, and what would stand in their charts.
    would: HashMap<String, Chart>,
}

/// Whose chart a resource goes into.
pub enum Place {
    Chart(PatientId),
    /// That of somebody who would be registered, were it no dry run, by the resource id.
    New(String),
}

impl<'s> Charts<'s> {
    pub fn new(session: &'s Session, dry_run: bool) -> Self {
        let (ids, charts, would) = (HashMap::new(), HashMap::new(), HashMap::new());
        Self { session, dry_run, ids, charts, registered: 0, would }
    }

    /// Whose chart it is. Whoever is named is registered, no matter whether the Patient resource comes first, later or
    /// never: what is said of a person must not stand in the facility's chart. `disputed` is called with the system of each
    /// identifier that belongs to somebody else already.
    pub fn place(&mut self, resource: &Resource, mut disputed: impl FnMut(&str)) -> Result<Place, Error> {
        let Some(id) = resource.patient() else { return Ok(Place::Chart(PatientId::FACILITY)) };
        let own = resource_id(id)?;
        let known = match self.ids.get(id) {
            Some(known) => *known,
            None => self.session.find_patient(&own)?,
        };
        let others = resource.identifiers();
        let patient = match known {
            Some(patient) => {
                if !self.dry_run {
                    self.identify(patient, others, &mut disputed)?;
                }
                patient
            }
            None if self.dry_run => {
                self.ids.insert(id.to_owned(), None);
                if !self.would.contains_key(id) {
                    self.would.insert(id.to_owned(), Chart::default());
                    self.registered = self.registered.saturating_add(1);
                }
                return Ok(Place::New(id.to_owned()));
            }
            None => {
                let patient = self.session.register_patient([own])?;
                self.registered = self.registered.saturating_add(1);
                // Nothing stands in it yet.
                self.charts.insert(patient, Chart::default());
                self.identify(patient, others, &mut disputed)?;
                patient
            }
        };
        self.ids.insert(id.to_owned(), Some(patient));
        Ok(Place::Chart(patient))
    }

    /// The first who has an identifier keeps it; somebody has to look at the other.
    fn identify(&self, patient: PatientId, all: Vec<Identifier>, disputed: &mut impl FnMut(&str)) -> Result<(), Error> {
        for identifier in all {
            match self.session.add_identifier(patient, identifier) {
                Err(Error::IdentifierTaken { system }) => disputed(&system),
                added => added?,
            }
        }
        Ok(())
    }

    /// What stands in the chart of a place.
    pub fn at(&mut self, place: &Place) -> Result<&mut Chart, Error> {
        match place {
            Place::Chart(patient) => self.chart(*patient),
            Place::New(id) => Ok(self.would.entry(id.clone()).or_default()),
        }
    }

    /// What stands in a chart.
    pub fn chart(&mut self, patient: PatientId) -> Result<&mut Chart, Error> {
        if !self.charts.contains_key(&patient) {
            let read = self.read(patient)?;
            self.charts.insert(patient, read);
        }
        Ok(self.charts.entry(patient).or_default())
    }

    /// Forgets all charts if there are too many to remember; only while nothing waits for a commit. A dry run forgets what
    /// would stand in them as well, and then takes what comes twice for new.
    pub fn forget_if_full(&mut self) {
        let remembered: usize = self.charts.values().chain(self.would.values()).map(|chart| chart.there.len()).sum();
        if remembered > REMEMBERED {
            self.charts.clear();
            self.would.values_mut().for_each(|chart| *chart = Chart::default());
        }
        if self.ids.len() > REMEMBERED && !self.dry_run {
            self.ids.clear();
        }
    }

    fn read(&self, patient: PatientId) -> Result<Chart, Error> {
        let (mut chart, mut after) = (Chart::default(), None);
        loop {
            let mut query = self.session.chart(patient).limit(1_000).include_voided();
            if let Some(after) = after {
                query = query.after(after);
            }
            let page = query.page()?;
            chart.withheld = chart.withheld.saturating_add(page.withheld);
            for entry in page.entries {
                // A record of a type of some program is no FHIR resource.
                let Ok(verbatim) = entry.verbatim() else { continue };
                let id = serde_json::from_slice(&verbatim.value)
                    .ok()
                    .and_then(|json: Value| json.get("id").and_then(Value::as_str).map(str::to_owned));
                let key = key(entry.kind().as_str(), id.as_deref(), &verbatim.value);
                let record = Some((verbatim.id, verbatim.version));
                chart.there.insert(key, There { hash: hash(&verbatim.value), record });
            }
            after = page.next;
            if after.is_none() {
                return Ok(chart);
            }
        }
    }
}

pub fn key(kind: &str, id: Option<&str>, bytes: &[u8]) -> Key {
    (kind.to_owned(), id.map_or_else(|| hash(bytes).to_vec(), |id| id.as_bytes().to_vec()))
}

pub fn hash(bytes: &[u8]) -> [u8; 32] {
    Sha256::digest(bytes).into()
}
