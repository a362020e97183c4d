//! Act two: a file of FHIR resources goes into the vault, each kept exactly as it came.

use std::collections::{HashMap, HashSet};
use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use chartvault::{Clock, Kind, PatientId, PutOptions, RecordRef, Session, SystemClock, Timestamp};

use crate::fhir::Resource;
use crate::lines::{Chunk, Lines};
use crate::people::{People, Person};
use crate::show::{bar, count, item, rate, size};
use crate::staff::Clinic;
use crate::{Outcome, show};

pub struct Imported {
    /// Which record each line of the file became.
    pub records: Vec<RecordRef>,
    pub people: Vec<Person>,
    pub bytes: u64,
    pub started: Timestamp,
    pub took: Duration,
}

impl Imported {
    pub fn patients(&self) -> usize {
        self.people.len()
    }

    pub fn in_facility(&self) -> usize {
        self.records.iter().filter(|record| record.patient() == PatientId::FACILITY).count()
    }

    /// A patient's name for this example's output.
    pub fn name(&self, patient: PatientId) -> String {
        let person = self.people.iter().find(|person| person.id == patient);
        match person.map(|person| person.name.clone()) {
            Some(Some(name)) => name,
            Some(None) => "patient without a name".to_owned(),
            None if patient == PatientId::FACILITY => "the facility".to_owned(),
            None => "somebody else".to_owned(),
        }
    }

    /// Patients, those with most records first.
    pub fn by_size(&self) -> Vec<PatientId> {
        let mut sizes: HashMap<PatientId, usize> = HashMap::new();
        for record in &self.records {
            *sizes.entry(record.patient()).or_default() += 1;
        }
        sizes.remove(&PatientId::FACILITY);
        let mut patients: Vec<_> = sizes.into_iter().collect();
        patients.sort_by_key(|(patient, records)| (std::cmp::Reverse(*records), *patient));
        patients.into_iter().map(|(patient, _)| patient).collect()
    }
}

pub fn run(clinic: &Clinic, file: &Path) -> Outcome<Imported> {
    let (now, started) = (SystemClock.now(), Instant::now());
    let bar = bar(0);
    let session = clinic.importer()?;
    let people = People::new(&session);
    let lines = Lines::open(file, &bar).map_err(|error| format!("{}: {error}", file.display()))?;
    let lines = Mutex::new(lines);
    // While one thread waits for the disk, others parse and seal.
    let threads = 4 * thread::available_parallelism().map_or(1, usize::from);
    let work = || one_thread(&session, &people, &lines);
    let done: Vec<Outcome<Part>> = thread::scope(|scope| {
        let threads: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        threads.into_iter().map(|thread| thread.join().unwrap_or_else(|_| Err("an importer panicked".into()))).collect()
    });
    bar.finish_and_clear();
    let (mut placed, mut bytes) = (Vec::new(), 0);
    for part in done {
        let part = part?;
        placed.extend(part.placed);
        bytes += part.bytes;
    }
    placed.sort_by_key(|(first, _)| *first);
    let records: Vec<RecordRef> = placed.into_iter().flat_map(|(_, records)| records).collect();
    session.close()?;
    let imported = Imported { records, people: people.list(), bytes, started: now, took: started.elapsed() };
    let kinds: HashSet<_> = imported.records.iter().map(|record| record.kind()).collect();
    item("file", show::short(&file.file_name().unwrap_or_default().to_string_lossy(), 50));
    item("resources", format!("{} of {} kinds, {}", count(imported.records.len()), kinds.len(), size(bytes)));
    let by_reference = imported.people.iter().filter(|person| !person.has_resource).count();
    item("patients", count(imported.patients()));
    if by_reference > 0 {
        item("", format!("{by_reference} of them named by other resources only"));
    }
    if people.disputed() > 0 {
        item("", format!("{} times an identifier was taken already", people.disputed()));
    }
    item("in the facility chart", format!("{} that belong to no patient", count(imported.in_facility())));
    item("speed", rate(imported.records.len(), imported.took));
    Ok(imported)
}

#[derive(Default)]
struct Part {
    /// The records of each chunk, with the number of its first line.
    placed: Vec<(usize, Vec<RecordRef>)>,
    bytes: u64,
}

fn one_thread(session: &Session, people: &People<'_>, lines: &Mutex<Lines>) -> Outcome<Part> {
    let mut part = Part::default();
    let next = || lines.lock().unwrap_or_else(PoisonError::into_inner).chunk();
    while let Some(chunk) = next()? {
        part.bytes += chunk.lines.iter().map(|line| line.len() as u64).sum::<u64>();
        part.placed.push((chunk.first, put(session, people, &chunk)?));
    }
    Ok(part)
}

/// One commit: all of these records become durable together.
fn put(session: &Session, people: &People<'_>, chunk: &Chunk) -> Outcome<Vec<RecordRef>> {
    let mut batch = session.batch();
    for (number, line) in (chunk.first + 1..).zip(&chunk.lines) {
        let resource = Resource::parse(line).map_err(|error| format!("line {number} is no FHIR resource: {error}"))?;
        let options = resource.time().map_or(PutOptions::new(), |time| PutOptions::new().clinical_time(time));
        batch.put_verbatim(people.chart_of(&resource)?, &Kind::new(resource.kind())?, line, options)?;
    }
    Ok(batch.commit()?)
}
