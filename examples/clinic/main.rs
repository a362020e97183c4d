//! A clinic, from the first day to an audit:
//! `cargo run --release --example clinic -- [--keep DIR] [FILE.ndjson|FILE.ndjson.zst]`.
//!
//! Imports FHIR resources (200 generated patients if no file is named), reads them all back, lets a physician share one
//! chart with a nurse, asks the log about it, damages a copy on purpose, and opens the original again. Leaves nothing
//! behind, unless `--keep` names a directory for the vault and a file with its passphrase, and exits with failure unless everything was refused that has to be, and nothing else.

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
use std::fs;
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
    let (kept, file) = arguments()?;
    let file = file.unwrap_or(sample);
    let temporary = tempfile::tempdir()?; // removed with all that is in it when this function returns
    let dir = kept.as_deref().unwrap_or(temporary.path());

    heading("A new vault");
    let clinic = staff::Clinic::create(dir)?;

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
    damage::run(&clinic, &dir.join("copy.vault"), &day)?;

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
    if kept.is_some() {
        let passphrase = dir.join("passphrase.txt");
        fs::write(&passphrase, staff::PASSPHRASE)?;
        println!();
        item("kept", clinic.path.display());
        item("its passphrase", passphrase.display());
    }
    Ok(())
}

/// The directory to keep the vault in, and the file to import, if they are named.
fn arguments() -> Outcome<(Option<PathBuf>, Option<PathBuf>)> {
    let (mut kept, mut file, mut given) = (None, None, env::args_os().skip(1));
    while let Some(argument) = given.next() {
        if argument == "--keep" {
            let dir = PathBuf::from(given.next().ok_or("--keep needs a directory")?);
            fs::create_dir_all(&dir)?;
            kept = Some(dir);
        } else {
            file = Some(PathBuf::from(argument));
        }
    }
    Ok((kept, file))
}
