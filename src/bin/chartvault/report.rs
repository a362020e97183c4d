//! `report`: how the vault is kept, on one page.

use std::path::PathBuf;

use chartvault::{SecurityReport, Weight};
use clap::Args;

use crate::args::Common;
use crate::door::{SessionArgs, enter};
use crate::exit::Code;
use crate::failure::Outcome;
use crate::mends::verb_for;
use crate::secrets::{CredentialArgs, write_private};
use crate::show::{Facts, Show, printable};

/// Report how the vault is kept: findings by weight, why they matter, what mends them
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  chartvault report --token officer.token --purpose operations
  chartvault report --html report.html --token officer.token --purpose operations
  chartvault report --json --token officer.token --purpose operations

Each finding names the section of the HIPAA security rule that it touches. It names no patient.
The session needs the audit action for all patients and kinds.
Exit code 21: there are findings graver than a note. `chartvault doctor` says less, and needs no token.")]
pub struct Report {
    /// Write a page for a browser to a new FILE, for its owner alone; the answer is how many findings there are
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
    #[command(flatten)]
    session: SessionArgs,
    #[command(flatten)]
    credential: CredentialArgs,
}

pub fn run(common: &Common, args: &Report, show: Show) -> Outcome {
    let (vault, session) = enter(common, &args.credential, &args.session, show)?;
    let report = vault.security_report(&session)?;
    vault.close()?;
    match &args.html {
        Some(path) => {
            write_private(path, &report.to_html())?;
            let count = |weight| report.of_weight(weight).count();
            let facts = Facts::new()
                .text_of("file", path.display())
                .with("critical", count(Weight::Critical))
                .with("high", count(Weight::High))
                .with("medium", count(Weight::Medium))
                .with("low", count(Weight::Low))
                .with("note", count(Weight::Note));
            show.facts(&facts)?;
        }
        None if show.json => show.text(&format!("{}\n", report.to_json()))?,
        None => tell(&report, show)?,
    }
    let grave = report.findings.iter().any(|finding| finding.weight != Weight::Note);
    Ok(if grave { Code::Warnings } else { Code::Ok })
}

/// As the library shows it, but for what mends a finding: a verb, where there is one.
fn tell(report: &SecurityReport, show: Show) -> Outcome<()> {
    show.note(&format!("{} at {}: {} findings", report.vault, report.at, report.findings.len()))?;
    report.findings.iter().try_for_each(|finding| {
        show.note(&format!("\n{:<8}  {}", finding.weight.to_string(), printable(&finding.what)))?;
        show.note(&format!("          why: {}", finding.reason))?;
        show.note(&format!("          do:  {}", verb_for(finding.code).unwrap_or(finding.mend)))
    })
}
