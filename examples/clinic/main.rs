//! A clinic, from the first day to an audit: `cargo run --release --example clinic [FILE.ndjson|FILE.ndjson.zst]`.
//!
//! Imports FHIR resources (200 generated patients if no file is named), reads them all back, lets a physician share one
//! chart with a nurse, asks the log about it, damages a copy on purpose, and opens the original again. Leaves nothing
//! behind, and exits with failure unless everything was refused that has to be, and nothing else.

mod audit;
mod damage;
mod day;
mod fhir;
mod files;
mod import;
mod lines;
mod night;
mod people;
mod readback;
mod show;
mod staff;

use std::env;
use std::error::Error;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use show::{heading, item, note};

type Outcome<T> = Result<T, Box<dyn Error + Send + Sync>>;

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("\nThis run did not go as it has to: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Outcome<()> {
    let sample = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/data/carebundle-200.ndjson.zst");
    let file = env::args_os().nth(1).map_or(sample, PathBuf::from);
    let dir = tempfile::tempdir()?; // removed with all that is in it when this function returns

    heading("A new vault");
    let clinic = staff::Clinic::create(dir.path())?;

    heading("Import");
    let imported = import::run(&clinic, &file)?;

    heading("Every record back");
    let read = readback::run(&clinic, &file, &imported)?;

    heading("A physician, and a nurse for half an hour");
    let day = day::run(&clinic, &imported)?;

    heading("The log");
    audit::run(&clinic, &imported, &day)?;

    heading("A changed byte");
    clinic.vault.close()?;
    damage::run(&clinic, &dir.path().join("copy.vault"), &day)?;

    heading("The next morning");
    let morning = night::run(&clinic)?;

    heading("In numbers");
    item("patients", show::count(imported.patients()));
    item("records", show::count(imported.records.len()));
    item("in the facility chart", show::count(imported.in_facility()));
    item("plain bytes", show::size(imported.bytes));
    item("import", show::rate(imported.records.len(), imported.took));
    item("reading back", show::rate(read.records, read.took));
    item("log entries", show::count(morning.entries));
    item("log verified in", format!("{:.2} s", morning.verified_in.as_secs_f64()));
    item("size on disk", show::size(files::size(&clinic.path)?));
    item("of it the journal", show::size(files::size(&clinic.path.join("journal"))?));
    note("Refused, as it has to be: 1 denial, 1 changed byte, 1 wrong passphrase.");
    Ok(())
}
