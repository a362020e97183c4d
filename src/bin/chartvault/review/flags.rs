//! Flags that monitoring raised.

use chartvault::{FlagId, FlagState, FlagVerdict};
use clap::{Args, ValueEnum};
use serde_json::json;

use super::cases::State;
use crate::args::Common;
use crate::door::{SessionArgs, enter};
use crate::exit::Code;
use crate::failure::Outcome;
use crate::secrets::CredentialArgs;
use crate::show::{Facts, Show, Table};

/// List the flags that monitoring raised
#[derive(Args, Debug)]
#[command(after_help = "\
Example:
  chartvault review flags --token officer.token --purpose operations")]
pub struct List {
    /// Which ones
    #[arg(long, value_name = "STATE", default_value = "open")]
    state: State,
    #[command(flatten)]
    session: SessionArgs,
    #[command(flatten)]
    credential: CredentialArgs,
}

pub fn list(common: &Common, args: &List, show: Show) -> Outcome {
    let state = match args.state {
        State::Open => FlagState::Open,
        State::Overdue => FlagState::Overdue,
        State::Closed => FlagState::Closed,
        State::Any => FlagState::Any,
    };
    let (vault, session) = enter(common, &args.credential, &args.session, show)?;
    let names = &["flag", "rule", "at", "actor", "patient", "why", "against", "entries", "due", "verdict"];
    let mut table = Table::new(names);
    let mut last = None;
    loop {
        let flags = session.flags().list(state, last.as_ref())?;
        for flag in &flags {
            table.row([
                json!(flag.id.to_string()),
                json!(flag.rule.to_string()),
                json!(flag.at.to_string()),
                json!(flag.actor.map(|actor| actor.to_string())),
                json!(flag.patient.map(|patient| patient.to_string())),
                json!(flag.why),
                json!(flag.against),
                json!(flag.entries),
                json!(flag.due.to_string()),
                json!(flag.closed.as_ref().map(|closed| closed.verdict.to_string())),
            ]);
        }
        last = flags.into_iter().last();
        if last.is_none() {
            break;
        }
    }
    vault.close()?;
    show.table("flags", &table, Facts::new())?;
    Ok(Code::Ok)
}

/// What came of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Came {
    Explained,
    Misuse,
    Unclear,
    RuleWrong,
}

/// Close a flag with a verdict
#[derive(Args, Debug)]
#[command(after_help = "\
Example:
  chartvault review close-flag flag-… --verdict explained --note 'on call' \\
    --token officer.token --purpose operations")]
pub struct Close {
    /// The flag, as `chartvault review flags` names it
    #[arg(value_name = "FLAG")]
    flag: FlagId,
    /// What came of it
    #[arg(long)]
    verdict: Came,
    /// Why, in 1 to 512 bytes; no patient's name
    #[arg(long)]
    note: String,
    #[command(flatten)]
    session: SessionArgs,
    #[command(flatten)]
    credential: CredentialArgs,
}

pub fn close(common: &Common, args: &Close, show: Show) -> Outcome {
    let verdict = match args.verdict {
        Came::Explained => FlagVerdict::Explained,
        Came::Misuse => FlagVerdict::Misuse,
        Came::Unclear => FlagVerdict::Unclear,
        Came::RuleWrong => FlagVerdict::RuleWrong,
    };
    let (vault, session) = enter(common, &args.credential, &args.session, show)?;
    let flag = session.flags().close(args.flag, verdict, &args.note)?;
    vault.close()?;
    show.facts(&Facts::new().text_of("flag", flag.id).text_of("verdict", verdict))?;
    Ok(Code::Ok)
}
