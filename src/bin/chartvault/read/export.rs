//! `export`: records go out as lines, each as it was put.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use chartvault::{ExportStream, Kind, PatientId};
use clap::Args;

use super::{found, patient};
use crate::args::Common;
use crate::door::{SessionArgs, enter};
use crate::exit::Code;
use crate::failure::{Failure, Outcome};
use crate::interrupt;
use crate::secrets::CredentialArgs;
use crate::show::{Facts, Show, warn};
use crate::ticker::Ticker;
use crate::whole;

/// Take records out, a resource a line
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  chartvault export --out all.ndjson.zst --token export.token --purpose operations
  chartvault export --out - --patient patient-… --kind Observation \\
    --token export.token --purpose research
  echo 'urn:fhir:Patient|ID' | chartvault export --find - --out chart.ndjson \\
    --token export.token --purpose operations

The session needs the export action. A file whose name ends in .zst is packed. It holds charts, unsealed: whoever has \
it reads them; it is made for its owner alone. Nothing is written over.
Exit code 3: records were left out, because they are no lines of text (those of a program's own types, and bytes that \
hold line ends), or the token does not show them, or a salvaged vault misses them.")]
pub struct Export {
    /// The file to write; - is standard output
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    /// Only this patient's chart, or `facility`; may be repeated
    #[arg(long, value_name = "PATIENT", value_parser = patient)]
    patient: Vec<PatientId>,
    /// Only the chart of whoever has the identifier in this file: `SYSTEM|VALUE` on its first line; - is standard input
    #[arg(long, value_name = "FILE", conflicts_with = "patient")]
    find: Option<PathBuf>,
    /// Only this kind; may be repeated
    #[arg(long, value_name = "KIND")]
    kind: Vec<String>,
    /// All versions of each record, newest first
    #[arg(long)]
    history: bool,
    /// Also records that were voided
    #[arg(long)]
    voided: bool,
    #[command(flatten)]
    session: SessionArgs,
    #[command(flatten)]
    credential: CredentialArgs,
}

#[derive(Default)]
struct Counts {
    records: u64,
    bytes: u64,
    no_lines: u64,
    withheld: u64,
    missing: u64,
}

pub fn run(common: &Common, args: &Export, show: Show) -> Outcome {
    let kinds = args.kind.iter().map(|kind| Kind::new(kind).map_err(Failure::usage)).collect::<Outcome<Vec<_>>>()?;
    let to_stdout = args.out.as_os_str() == "-";
    if !to_stdout {
        whole::is_free(&args.out)?;
    }
    let (vault, session) = enter(common, &args.credential, &args.session, show)?;
    interrupt::stops();
    let mut patients = args.patient.clone();
    if let Some(path) = &args.find {
        patients.push(found(&session, path)?);
    }
    let mut ticker = Ticker::new(show);
    let mut progress = |progress| ticker.tick(progress);
    let mut export = session.export().on_progress(&mut progress);
    if !patients.is_empty() {
        export = export.patients(patients);
    }
    if !kinds.is_empty() {
        export = export.kinds(kinds);
    }
    if args.history {
        export = export.whole_history();
    }
    if args.voided {
        export = export.include_voided();
    }
    let stream = export.start()?;
    let counts = match to_stdout {
        true => write_all(stream, io::stdout().lock())?,
        false => whole::write(&args.out, |file| write_file(&args.out, file, stream))?,
    };
    drop(ticker);
    vault.close()?;
    tell(args, &counts, to_stdout, show)?;
    let whole = counts.no_lines == 0 && counts.withheld == 0 && counts.missing == 0;
    Ok(if whole { Code::Ok } else { Code::Partly })
}

fn write_file(path: &Path, file: &File, stream: ExportStream<'_, '_>) -> Outcome<Counts> {
    let failed = |error: io::Error| Failure::file("writing", path, &error);
    if path.extension().is_some_and(|extension| extension == "zst") {
        let mut packed = zstd::Encoder::new(file, zstd::DEFAULT_COMPRESSION_LEVEL).map_err(failed)?;
        let counts = write_all(stream, &mut packed)?;
        packed.finish().map_err(failed)?;
        return Ok(counts);
    }
    write_all(stream, file)
}

fn write_all(mut stream: ExportStream<'_, '_>, out: impl Write) -> Outcome<Counts> {
    let (mut out, mut counts) = (BufWriter::with_capacity(256 << 10, out), Counts::default());
    for entry in stream.by_ref() {
        interrupt::check("nothing was written but for what stands on standard output")?;
        let Ok(entry) = entry?.verbatim() else {
            counts.no_lines = counts.no_lines.saturating_add(1);
            continue;
        };
        match line(&entry.value) {
            Some(line) => {
                out.write_all(&line)?;
                out.write_all(b"\n")?;
                counts.records = counts.records.saturating_add(1);
                let bytes = u64::try_from(line.len()).unwrap_or(u64::MAX);
                counts.bytes = counts.bytes.saturating_add(bytes).saturating_add(1);
            }
            None => counts.no_lines = counts.no_lines.saturating_add(1),
        }
    }
    out.flush()?;
    (counts.withheld, counts.missing) = (stream.withheld(), stream.missing());
    Ok(counts)
}

/// The value as one line. JSON over several lines is brought onto one: outside its strings line ends mean nothing, and inside
/// they cannot stand.
fn line(value: &[u8]) -> Option<Vec<u8>> {
    let ends = |byte: &u8| matches!(byte, b'\n' | b'\r');
    if !value.iter().any(ends) {
        return Some(value.to_vec());
    }
    serde_json::from_slice::<serde::de::IgnoredAny>(value).ok()?;
    Some(value.iter().copied().filter(|byte| !ends(byte)).collect())
}

fn tell(args: &Export, counts: &Counts, to_stdout: bool, show: Show) -> Outcome<()> {
    let left_out = counts.no_lines.saturating_add(counts.withheld).saturating_add(counts.missing);
    if left_out > 0 {
        let (lines, withheld, missing) = (counts.no_lines, counts.withheld, counts.missing);
        warn(
            show,
            &format!(
                "left out: {lines} that are no lines of text, {withheld} withheld by the token, {missing} missing"
            ),
        );
    }
    if to_stdout {
        return Ok(());
    }
    let facts = Facts::new()
        .text_of("file", args.out.display())
        .with("records", counts.records)
        .with("bytes", counts.bytes)
        .with("no_lines", counts.no_lines)
        .with("withheld", counts.withheld)
        .with("missing", counts.missing);
    show.facts(&facts)
}

#[cfg(test)]
mod tests {
    use super::line;

    #[test]
    fn json_over_several_lines_comes_onto_one_and_other_text_does_not() {
        assert_eq!(line(b"{\r\n \"a\": 1\n}").unwrap(), b"{ \"a\": 1}");
        assert_eq!(line(b"no json").unwrap(), b"no json");
        assert_eq!(line(b"two\nlines"), None);
    }
}
