//! Act four: a physician reads and writes a chart, and shares it with a nurse for half an hour.

use std::time::Duration;

use chartvault::{
    Action, AnyEntry, Error, PatientId, PrincipalId, Purpose, PutOptions, Record, RecordId, RevocationId, Session,
    Shape, Ticket, Timestamp, UnverifiedToken,
};
use serde::{Deserialize, Serialize};

use crate::damage::Place;
use crate::fhir::Resource;
use crate::import::Imported;
use crate::show::{count, item, note, short};
use crate::staff::Clinic;
use crate::{Outcome, damage};

#[derive(Record, Serialize, Deserialize)]
#[record(kind = "clinic.allergy", version = 1)]
pub struct Allergy {
    pub substance: String,
    pub severity: Severity,
}

#[derive(Shape, Serialize, Deserialize)]
pub enum Severity {
    Mild,
    Severe,
}

#[derive(Record, Serialize, Deserialize)]
#[record(kind = "clinic.note", version = 1)]
pub struct Note {
    pub text: String,
}

/// A letter on paper, scanned.
#[derive(Record, Serialize, Deserialize)]
#[record(kind = "clinic.letter", version = 1)]
pub struct Letter {
    pub from: String,
    pub scan: Vec<u8>,
}

/// What the later acts need to know of this one.
pub struct Day {
    pub actor: PrincipalId,
    /// Both tokens carry the physician's name; what tells them apart in the log is their ids.
    pub physician: RevocationId,
    pub nurse: RevocationId,
    pub ticket: Ticket,
    pub note: RecordId<Note>,
    pub letter: RecordId<Letter>,
    /// Where the letter lies on the disk.
    pub place: Place,
}

pub fn run(clinic: &Clinic, imported: &Imported) -> Outcome<Day> {
    let [patient, other, ..] = imported.by_size()[..] else { return Err("two patients are needed".into()) };
    let token = clinic.physician()?;
    let session = clinic.vault.session(&token, Purpose::Treatment)?;
    read_chart(&session, patient, imported)?;
    let note_id = write_chart(&session, patient)?;
    let letter = Letter { from: "St. Agnes, dermatology".into(), scan: vec![0x42; 200_000] };
    let (letter, place) = damage::watch(&clinic.path, || Ok(session.put(patient, &letter)?))?;
    note("Dr. Osei adds an allergy, makes it severe, and files a note and a scanned letter.");

    let narrow = token.attenuate().patient(patient).actions([Action::Read, Action::List]);
    let narrow = narrow.valid_for(Duration::from_secs(30 * 60)).finish()?;
    let handed_over = narrow.expose_text();
    note("For the nurse the token is narrowed, offline: this patient, read and list, half an hour.");
    println!();
    item("the nurse gets", format!("{} ({} characters)", short(&handed_over, 24), handed_over.len()));
    let nurse = clinic.vault.session(UnverifiedToken::from_text(&handed_over)?, Purpose::Treatment)?;
    read_as_nurse(&nurse, patient, note_id)?;
    item("the nurse tries", format!("the chart of {}", imported.name(other)));
    let ticket = match nurse.chart(other).page() {
        Err(Error::Denied { ticket }) => ticket,
        Err(error) => return Err(error.into()),
        Ok(_) => return Err("the nurse read a chart that the token does not name".into()),
    };
    item("and is told", format!("access denied; an auditor can look up\n{ticket}"));

    let (actor, physician) = (session.principal(), token.id());
    nurse.close()?;
    session.close()?;
    Ok(Day { actor, physician, nurse: narrow.id(), ticket, note: note_id, letter, place })
}

fn read_chart(session: &Session, patient: PatientId, imported: &Imported) -> Outcome<()> {
    let kinds = session.kinds(patient)?;
    let records: u64 = kinds.iter().map(|kind| kind.records).sum();
    item("patient", imported.name(patient));
    item("chart", format!("{} records of {} kinds; the newest:", count(records), kinds.len()));
    println!();
    // What has no clinical time counts as of now; this shows what happened before it came here.
    for entry in session.chart(patient).between(Timestamp::MIN, imported.started).limit(6).page()?.entries {
        println!("   {}", line(&entry)?);
    }
    Ok(())
}

/// An allergy that turns out worse than it was thought to be, and a note.
fn write_chart(session: &Session, patient: PatientId) -> Outcome<RecordId<Note>> {
    let id = session.put(patient, &Allergy { substance: "penicillin".into(), severity: Severity::Mild })?;
    let entry = session.get(id)?;
    session.amend(id, entry.version, &Allergy { severity: Severity::Severe, ..entry.value })?;
    let text = "Rash within the hour after amoxicillin. Observe until the evening.".into();
    let options = PutOptions::new().clinical_time("2026-01-05T09:30:00Z".parse()?);
    Ok(session.put_with(patient, &Note { text }, options)?)
}

fn read_as_nurse(session: &Session, patient: PatientId, note: RecordId<Note>) -> Outcome<()> {
    let allergies = session.list::<Allergy>(patient).page()?.entries;
    let [allergy] = &allergies[..] else { return Err("the allergy is not in the nurse's list".into()) };
    let Severity::Severe = allergy.value.severity else { return Err("the nurse reads an old version".into()) };
    item("the nurse reads", format!("{}, severe (version {})", allergy.value.substance, allergy.version));
    item("", format!("\"{}\"", short(&session.get(note)?.value.text, 51)));
    Ok(())
}

/// A record in one line.
fn line(entry: &AnyEntry) -> Outcome<String> {
    let day: String = entry.time().to_string().chars().take(10).collect();
    let resource = Resource::parse(&entry.verbatim()?.value)?;
    let title = short(resource.title().unwrap_or("-"), 45);
    Ok(format!("{day}  {:<18} {title}", short(entry.kind().as_str(), 18)))
}
