//! Emergencies in which the glass was broken, to be reviewed by somebody else.

use chartvault::{CaseId, CaseState, Verdict};
use clap::{Args, ValueEnum};
use serde_json::json;

use crate::args::Common;
use crate::door::{SessionArgs, enter};
use crate::exit::Code;
use crate::failure::Outcome;
use crate::secrets::CredentialArgs;
use crate::show::{Facts, Show, Table};

/// Which ones, by how their review stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum State {
    Open,
    Overdue,
    Closed,
    Any,
}

/// List emergencies in which the glass was broken
#[derive(Args, Debug)]
#[command(after_help = "\
Example:
  chartvault review cases --state overdue --token officer.token --purpose operations")]
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
        State::Open => CaseState::Open,
        State::Overdue => CaseState::Overdue,
        State::Closed => CaseState::Closed,
        State::Any => CaseState::Any,
    };
    let (vault, session) = enter(common, &args.credential, &args.session, show)?;
    let mut table = Table::new(&["case", "at", "actor", "patient", "reason", "text", "due", "verdict"]);
    let mut last = None;
    loop {
        let cases = session.cases().list(state, last.as_ref())?;
        for case in &cases {
            table.row([
                json!(case.id.to_string()),
                json!(case.at.to_string()),
                json!(case.actor.to_string()),
                json!(case.patient.map(|patient| patient.to_string())),
                json!(case.reason.to_string()),
                json!(case.text),
                json!(case.due.to_string()),
                json!(case.review.as_ref().map(|review| review.verdict.to_string())),
            ]);
        }
        last = cases.into_iter().last();
        if last.is_none() {
            break;
        }
    }
    vault.close()?;
    show.table("cases", &table, Facts::new())?;
    Ok(Code::Ok)
}

/// What came of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Came {
    Justified,
    NotJustified,
    Referred,
}

/// Close an emergency with a verdict
#[derive(Args, Debug)]
#[command(after_help = "\
Example:
  chartvault review close-case case-… --verdict justified --note 'on call' \\
    --token officer.token --purpose operations")]
pub struct Close {
    /// The emergency, as `chartvault review cases` names it
    #[arg(value_name = "CASE")]
    case: CaseId,
    /// What came of it
    #[arg(long)]
    verdict: Came,
    /// Why, in 1 to 512 bytes
    #[arg(long)]
    note: String,
    #[command(flatten)]
    session: SessionArgs,
    #[command(flatten)]
    credential: CredentialArgs,
}

pub fn close(common: &Common, args: &Close, show: Show) -> Outcome {
    let verdict = match args.verdict {
        Came::Justified => Verdict::Justified,
        Came::NotJustified => Verdict::NotJustified,
        Came::Referred => Verdict::Referred,
    };
    let (vault, session) = enter(common, &args.credential, &args.session, show)?;
    let case = session.cases().close(args.case, verdict, &args.note)?;
    vault.close()?;
    show.facts(&Facts::new().text_of("case", case.id).text_of("verdict", verdict))?;
    Ok(Code::Ok)
}
