//! What reads records: whose chart, which record, and how an entry is shown.

pub mod export;
pub mod get;
pub mod history;
pub mod ls;

use std::path::{Path, PathBuf};

use chartvault::{Identifier, PatientId, Session, Status, VerbatimEntry};
use clap::Args;
use serde_json::{Value, json};

use crate::exit::Code;
use crate::failure::{Failure, Outcome};
use crate::secrets::{first_line, private_file};

/// Whose chart.
#[derive(Args, Clone, Debug)]
#[group(id = "whose", required = true, multiple = false)]
pub struct Whose {
    /// The patient's id, or `facility` for the chart of what belongs to no patient
    #[arg(value_name = "PATIENT", value_parser = patient)]
    pub patient: Option<PatientId>,
    /// A file with an identifier of the patient, `SYSTEM|VALUE` on its first line; - is standard input. It is no argument,
    /// because others on the machine can read those
    #[arg(long, value_name = "FILE")]
    pub find: Option<PathBuf>,
}

/// A patient's id, or the word for the facility's chart.
pub fn patient(text: &str) -> Result<PatientId, String> {
    if text == "facility" { Ok(PatientId::FACILITY) } else { text.parse().map_err(|error| format!("{error}")) }
}

impl Whose {
    /// The patient's id.
    pub fn look_up(&self, session: &Session) -> Outcome<PatientId> {
        match (self.patient, &self.find) {
            (Some(patient), _) => Ok(patient),
            (None, Some(path)) => found(session, path),
            (None, None) => Err(Failure::usage("say whose chart: PATIENT or --find FILE")),
        }
    }
}

/// Whoever has the identifier in a file.
pub fn found(session: &Session, path: &Path) -> Outcome<PatientId> {
    let found = session.find_patient(&identifier(path)?)?;
    found.ok_or_else(|| Failure::new(Code::Error, "nobody in this vault has that identifier"))
}

fn identifier(path: &Path) -> Outcome<Identifier> {
    let line = first_line(&private_file(path)?, "an identifier")?;
    let (system, value) = line.split_once('|').ok_or_else(|| {
        Failure::new(Code::Error, format_args!("{} holds no identifier", path.display())).hint(
            "write the system, a bar and the value: urn:mrn:clinic-a|12345; a patient's FHIR id: urn:fhir:Patient|ID",
        )
    })?;
    Ok(Identifier::new(system, value)?)
}

/// The word for a status.
pub const fn status(status: Status) -> &'static str {
    match status {
        Status::Active => "active",
        _ => "void",
    }
}

/// What is said of a version beside its value.
pub fn about(entry: &VerbatimEntry) -> Value {
    json!({
        "record": entry.id.to_string(),
        "patient": entry.id.patient().to_string(),
        "version": entry.version.number(),
        "status": status(entry.status),
        "author": entry.author.to_string(),
        "recorded_at": entry.recorded_at.to_string(),
        "clinical_time": entry.clinical_time.map(|time| time.to_string()),
        "reason": entry.reason,
        "confidentiality": entry.confidentiality.to_string(),
        "labels": entry.labels.iter().collect::<Vec<_>>(),
        "doubtful": entry.is_doubtful(),
        "bytes": entry.value.len(),
    })
}
