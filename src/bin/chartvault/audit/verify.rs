//! `audit verify`: whether the log is whole, complete and of now.

use chartvault::{LogVerdict, Scope};
use clap::Args;
use serde_json::{Value, json};

use crate::args::Common;
use crate::door::{SessionArgs, enter};
use crate::exit::Code;
use crate::failure::Outcome;
use crate::secrets::CredentialArgs;
use crate::show::{Show, shown_lines};
use crate::ticker::Ticker;

/// Verify the log
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  chartvault audit verify --token officer.token --purpose operations
  chartvault audit verify --anchor /media/stick/anchor --token officer.token --purpose operations

Three verdicts: integrity (the entries are those that were written), completeness (none is missing), freshness (the log \
is not older than what anchors hold). Exit code 0: all are sound; 20: something speaks against the log; 21: one of them \
cannot be said, such as freshness without an anchor.")]
pub struct Verify {
    /// Only the chain of hashes, without opening entries; completeness cannot be said then
    #[arg(long)]
    chain: bool,
    #[command(flatten)]
    session: SessionArgs,
    #[command(flatten)]
    credential: CredentialArgs,
}

pub fn run(common: &Common, args: &Verify, show: Show) -> Outcome {
    let (vault, session) = enter(common, &args.credential, &args.session, show)?;
    let mut ticker = Ticker::new(show);
    let mut progress = |progress| ticker.tick(progress);
    let scope = if args.chain { Scope::Chain } else { Scope::All };
    let report = session.audit()?.verify(scope).on_progress(&mut progress).report()?;
    drop(ticker);
    vault.close()?;
    let code = match () {
        () if report.is_unsound() => Code::Tampering,
        () if report.is_sound() => Code::Ok,
        () => Code::Warnings,
    };
    if show.json {
        show.line(&json!({
            "entries": report.verified.entries,
            "first": report.verified.first,
            "integrity": verdict(&report.integrity),
            "completeness": verdict(&report.completeness),
            "freshness": verdict(&report.freshness),
            "result": code.word(),
        }))?;
    } else {
        show.note(&shown_lines(&report.to_string()))?;
    }
    Ok(code)
}

fn verdict(verdict: &LogVerdict) -> Value {
    match verdict {
        LogVerdict::Sound => json!({ "verdict": "sound" }),
        LogVerdict::Unsound(faults) => {
            json!({ "verdict": "unsound", "faults": faults.iter().map(ToString::to_string).collect::<Vec<_>>() })
        }
        LogVerdict::Unknown(why) => json!({ "verdict": "unknown", "why": why }),
        _ => json!({ "verdict": "unknown", "why": verdict.to_string() }),
    }
}
