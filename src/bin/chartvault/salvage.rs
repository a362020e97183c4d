//! `salvage`: a new vault of all that verifies in a damaged one.

use std::path::PathBuf;

use chartvault::{RecordRef, SalvageReport};
use clap::Args;
use serde_json::json;

use crate::args::Common;
use crate::door::find;
use crate::exit::Code;
use crate::failure::{Failure, Outcome};
use crate::platform;
use crate::secrets::CredentialArgs;
use crate::show::{Facts, Show, shown_lines, warn};
use crate::ticker::Ticker;

/// Make a new vault of all that verifies in a damaged one
#[derive(Args, Debug)]
#[command(after_help = "\
Example:
  chartvault salvage --vault damaged.vault --into salvaged.vault

Not a byte of the damaged vault changes; the new one has the same id, keys and credentials. A backup that is whole is \
better than a salvage: see docs/repair.md. Exit code 0: all is proved to be back; 21: something is lost or in doubt, and \
the report names it.")]
pub struct Salvage {
    /// The directory of the new vault, which must not be there yet
    #[arg(long, value_name = "DIR")]
    into: PathBuf,
    /// Only say whether the damaged vault and the new place are as they have to be
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    credential: CredentialArgs,
}

pub fn run(common: &Common, args: &Salvage, show: Show) -> Outcome {
    if args.into.exists() {
        return Err(Failure::new(Code::Error, format_args!("{} exists already", args.into.display()))
            .hint("choose another directory"));
    }
    let locked = find(common)?;
    if args.dry_run {
        let (id, into) = (locked.id()?, args.into.display());
        show.facts(&Facts::new().text_of("vault", id).text_of("into", into).with("dry_run", true))?;
        return Ok(Code::Ok);
    }
    let secret = args.credential.read("Passphrase of the vault: ")?;
    let mut ticker = Ticker::new(show);
    let report = locked.salvage_with(secret.credential(), &args.into, &mut |progress| ticker.tick(progress))?;
    drop(ticker);
    if let Err(error) = platform::make_private(&args.into) {
        warn(show, &format!("{} could not be made private: {error}", args.into.display()));
    }
    let code = if report.is_whole() { Code::Ok } else { Code::Warnings };
    if show.json {
        tell(&report, code, show)?;
    } else {
        show.note(&shown_lines(&report.to_string()))?;
        let into = args.into.display();
        show.note(&match code {
            Code::Ok => format!("\nBefore you go on with it: chartvault check --all --vault {into}"),
            _ => format!("\nTo export it all the same: chartvault export --accept-doubtful --vault {into} --out FILE"),
        })?;
    }
    Ok(code)
}

fn tell(report: &SalvageReport, code: Code, show: Show) -> Outcome<()> {
    let ids = |ids: &[RecordRef]| ids.iter().map(ToString::to_string).collect::<Vec<_>>();
    show.line(&json!({
        "into": report.into.display().to_string(),
        "whole": report.is_whole(),
        "frames": report.frames,
        "lost_frames": report.lost_frames,
        "open_end": report.open_end,
        "journal_wounds": report.wounds_total,
        "log_entries": report.entries,
        "lost_log_entries": report.lost_entries,
        "records_whole": report.records.whole,
        "records_doubtful": report.records.doubtful,
        "records_damaged": report.records.damaged,
        "records_lost": report.records.lost,
        "damaged": ids(&report.records.damaged_ids),
        "lost": ids(&report.records.lost_ids),
        "doubt": report.doubt.as_ref().map(ToString::to_string),
        "result": code.word(),
    }))
}
