//! `import`: FHIR resources come in, each kept exactly as it came.

mod charts;
mod fhir;
mod lines;
mod writer;

use std::path::{Path, PathBuf};

use chartvault::Session;
use clap::Args;
use serde_json::json;

use self::fhir::{Resource, Unit};
use self::lines::{Line, Lines};
use self::writer::{Counts, Writer};
use crate::args::Common;
use crate::door::{SessionArgs, enter};
use crate::exit::Code;
use crate::failure::{Failure, Outcome};
use crate::interrupt;
use crate::secrets::CredentialArgs;
use crate::show::{Facts, Show};
use crate::ticker::Ticker;

/// Bring FHIR resources in
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  chartvault import patients.ndjson.zst --token importer.token --purpose operations
  chartvault import --dry-run bundle.json --token importer.token --purpose operations

A file has one resource or Bundle a line (.ndjson), or is one Bundle (.json); with .zst behind it, it is packed. \
A resource goes into the chart of the patient whom it names, who is registered if need be under its resource id; \
what names no patient goes into the facility's chart. Import the same file again as often as you like: what is \
there already is passed over, so that an import that was interrupted just goes on.
The session needs the actions create, read and list, and amend with --amend.
Exit code 3: some resources were refused; each is named on standard error by its line, with the reason.")]
pub struct Import {
    /// The files; - is standard input
    #[arg(value_name = "FILE", required = true)]
    files: Vec<PathBuf>,
    /// Write a resource that differs from the one of its id as a new version of it, instead of refusing it
    #[arg(long)]
    amend: bool,
    /// Only say what would be done
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    session: SessionArgs,
    #[command(flatten)]
    credential: CredentialArgs,
}

pub fn run(common: &Common, args: &Import, show: Show) -> Outcome {
    // A file that is not there is told before anybody types a passphrase.
    let files: Vec<(&Path, Lines)> =
        args.files.iter().map(|path| Ok((path.as_path(), Lines::open(path)?))).collect::<Outcome<_>>()?;
    let (vault, session) = enter(common, &args.credential, &args.session, show)?;
    interrupt::stops();
    let mut writer = Writer::new(&session, args.amend, args.dry_run, show);
    let mut ended = Ok(());
    let several = files.len() > 1;
    for (path, lines) in files {
        if several {
            writer.of_file(path.display().to_string());
        }
        ended = one_file(&mut writer, path, lines, show);
        if ended.is_err() {
            break;
        }
    }
    // What was read is written whatever ended the reading.
    let flushed = writer.flush();
    let counts = writer.counts();
    close(session, vault)?;
    tell(&counts, args.dry_run, show)?;
    if counts.put > 0 && !args.dry_run && ended.is_ok() {
        show.note("\nNext, look at them, with a token that allows it: chartvault ls --help")?;
    }
    ended?;
    flushed?;
    Ok(if counts.refused > 0 { Code::Partly } else { Code::Ok })
}

fn close(session: Session, vault: crate::door::Door) -> Outcome<()> {
    session.close()?;
    vault.close()
}

fn one_file(writer: &mut Writer<'_>, path: &Path, mut lines: Lines, show: Show) -> Outcome<()> {
    let mut ticker = Ticker::new(show);
    let task = format!("importing {}, bytes", path.display());
    while let Some(line) = lines.next()? {
        interrupt::check("what was imported stays; run the same command again to go on")?;
        ticker.tell(&task, lines.done(), lines.size());
        match line {
            Line::Text(number, bytes) => one_line(writer, number, &bytes)?,
            Line::TooLong(number) => {
                writer.refuse(number, None, &format!("it is longer than {} MiB", lines::MOST >> 20))
            }
        }
    }
    writer.flush()
}

fn one_line(writer: &mut Writer<'_>, number: u64, bytes: &[u8]) -> Outcome<()> {
    match fhir::unit(bytes) {
        Ok(Unit::Resource(resource)) => writer.take(number, None, &resource, bytes),
        Ok(Unit::Bundle(entries)) => (1..).zip(entries).try_for_each(|(at, entry)| {
            let bytes = entry.get().as_bytes();
            match Resource::parse(bytes) {
                Ok(resource) => writer.take(number, Some(at), &resource, bytes),
                Err(reason) => {
                    writer.refuse(number, Some(at), &reason);
                    Ok(())
                }
            }
        }),
        Err(reason) => {
            writer.refuse(number, None, &reason);
            Ok(())
        }
    }
}

fn tell(counts: &Counts, dry_run: bool, show: Show) -> Outcome<()> {
    let facts = Facts::new()
        .with("resources", counts.resources)
        .with("put", counts.put)
        .with("already_there", counts.there)
        .with("amended", counts.amended)
        .with("refused", counts.refused)
        .with("patients_registered", counts.registered)
        .with("in_facility", counts.in_facility)
        .with("dry_run", json!(dry_run));
    show.facts(&facts)
}

/// Why reading a file ended.
fn unreadable(path: &Path, error: &std::io::Error) -> Failure {
    Failure::file("reading", path, error).hint("what was imported stays; run the same command again to go on")
}
