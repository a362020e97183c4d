//! `audit export`: entries for other programs, in their forms.

use std::io::{self, BufWriter, Write};
use std::path::PathBuf;

use chartvault::{LogExported, LogFormat, Session};
use clap::Args;
use data_encoding::HEXLOWER;

use super::filter::Filter;
use crate::args::Common;
use crate::door::{SessionArgs, enter};
use crate::exit::Code;
use crate::failure::Outcome;
use crate::secrets::CredentialArgs;
use crate::show::{Facts, Show};
use crate::ticker::Ticker;
use crate::whole;

/// Write entries of the log out for other programs
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  chartvault audit export --out log.jsonl --token officer.token --purpose operations
  chartvault audit export --format cef --out - --from 2026-11-01 \\
    --token officer.token --purpose operations

Forms: json (JSON lines, complete), csv, cef, rfc5424, fhir-r4, fhir-r5; docs/format/exports.md has what stands where.
Nothing is written over.")]
pub struct Export {
    /// The file to write, for its owner alone; - is standard output
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    /// In which form
    #[arg(long, value_name = "FORM", default_value = "json", value_parser = format)]
    format: LogFormat,
    #[command(flatten)]
    filter: Filter,
    #[command(flatten)]
    session: SessionArgs,
    #[command(flatten)]
    credential: CredentialArgs,
}

fn format(text: &str) -> Result<LogFormat, String> {
    Ok(match text {
        "json" => LogFormat::JsonLines,
        "csv" => LogFormat::Csv,
        "cef" => LogFormat::Cef,
        "rfc5424" => LogFormat::Rfc5424,
        "fhir-r4" => LogFormat::FhirR4,
        "fhir-r5" => LogFormat::FhirR5,
        _ => return Err(format!("{text:?} is no form; there are json, csv, cef, rfc5424, fhir-r4 and fhir-r5")),
    })
}

pub fn run(common: &Common, args: &Export, show: Show) -> Outcome {
    let to_stdout = args.out.as_os_str() == "-";
    if !to_stdout {
        whole::is_free(&args.out)?;
    }
    let (vault, session) = enter(common, &args.credential, &args.session, show)?;
    let done = match to_stdout {
        true => write(args, &session, io::stdout().lock(), show)?,
        false => whole::write(&args.out, |file| write(args, &session, file, show))?,
    };
    vault.close()?;
    if !to_stdout {
        let facts = Facts::new()
            .text_of("file", args.out.display())
            .with("entries", done.entries)
            .with("first", done.first)
            .with("last", done.last)
            .with("left_out", done.left_out)
            .with("bytes", done.bytes)
            .text_of("sha256", HEXLOWER.encode(&done.sha256));
        show.facts(&facts)?;
    }
    Ok(Code::Ok)
}

fn write(args: &Export, session: &Session, out: impl Write, show: Show) -> Outcome<LogExported> {
    let mut out = BufWriter::new(out);
    let mut ticker = Ticker::new(show);
    let mut progress = |progress| ticker.tick(progress);
    let export = session.audit()?.export(args.filter.build()).format(args.format).on_progress(&mut progress);
    let done = export.write(&mut out)?;
    out.flush()?;
    Ok(done)
}
