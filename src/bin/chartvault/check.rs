//! `check`: whether everything is as it was written.

use chartvault::{CheckReport, CheckScope, Finding, Severity};
use clap::Args;
use serde_json::{Value, json};

use crate::args::Common;
use crate::door::open;
use crate::exit::Code;
use crate::failure::Outcome;
use crate::secrets::CredentialArgs;
use crate::show::{Show, shown_lines};
use crate::ticker::Ticker;

/// Check the vault's files, rows and records
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  chartvault check                 what everyday reading would stumble over; nightly
  chartvault check --journal       every byte of the journal; weekly
  chartvault check --all           also each record opened, and each entry of the log; after trouble

Needs no token, changes no record and shows none. Exit code 0: all is as it was written; 21: something was mended, or can \
be, and nothing is lost; 20: something may be lost, so keep all files as they are (docs/repair.md).")]
pub struct Check {
    /// Every frame of the journal, the state files, both copies of the header
    #[arg(long, group = "scope")]
    journal: bool,
    /// The rows of the trees, each record's bytes and the chain of the log (if nothing else is said)
    #[arg(long, group = "scope")]
    trees: bool,
    /// As --trees, and every record, key and log entry opened
    #[arg(long, group = "scope")]
    records: bool,
    /// All of it
    #[arg(long, group = "scope")]
    all: bool,
    #[command(flatten)]
    credential: CredentialArgs,
}

pub fn run(common: &Common, args: &Check, show: Show) -> Outcome {
    let scope = match args {
        Check { all: true, .. } => CheckScope::All,
        Check { journal: true, .. } => CheckScope::Journal,
        Check { records: true, .. } => CheckScope::Records,
        _ => CheckScope::Trees,
    };
    let (vault, _) = open(common, &args.credential, show)?;
    let mut ticker = Ticker::new(show);
    let report = vault.check(scope, &mut |progress| ticker.tick(progress))?;
    drop(ticker);
    vault.close()?;
    let code = code(&report);
    if show.json {
        show.line(&json!({
            "scope": report.scope.to_string(),
            "frames": report.frames,
            "bytes": report.bytes,
            "rows": report.rows,
            "records": report.records,
            "log_entries": report.entries,
            "mended": report.mended,
            "mendable": report.mendable,
            "grave": report.grave,
            "findings": report.findings.iter().map(finding).collect::<Vec<_>>(),
            "result": code.word(),
        }))?;
    } else {
        show.note(&shown_lines(&report.to_string()))?;
    }
    Ok(code)
}

const fn code(report: &CheckReport) -> Code {
    match (report.grave, report.mended, report.mendable) {
        (0, 0, 0) => Code::Ok,
        (0, _, _) => Code::Warnings,
        _ => Code::Tampering,
    }
}

/// A finding for programs. It holds no value and no identifier.
fn finding(finding: &Finding) -> Value {
    json!({
        "place": finding.place.to_string(),
        "what": finding.what,
        "severity": severity(finding.severity),
    })
}

const fn severity(severity: Severity) -> &'static str {
    match severity {
        Severity::Mended => "mended",
        Severity::Mendable => "mendable",
        _ => "grave",
    }
}
