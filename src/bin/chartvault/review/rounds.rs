//! Reviews of grants: every live grant is kept, narrowed or revoked by a name.

use std::time::Duration;

use chartvault::{Clock, ReviewDecision, ReviewRound, RevocationId, SystemClock};
use clap::{Args, ValueEnum};
use serde_json::json;

use crate::args::Common;
use crate::door::{SessionArgs, enter};
use crate::exit::Code;
use crate::failure::{Failure, Outcome};
use crate::secrets::CredentialArgs;
use crate::show::{Facts, Show, Table};
use crate::token::listed;
use crate::words;

/// List the reviews of grants
#[derive(Args, Debug)]
#[command(after_help = "\
Example:
  chartvault review ls --token officer.token --purpose operations")]
pub struct Ls {
    #[command(flatten)]
    session: SessionArgs,
    #[command(flatten)]
    credential: CredentialArgs,
}

pub fn ls(common: &Common, args: &Ls, show: Show) -> Outcome {
    let (vault, session) = enter(common, &args.credential, &args.session, show)?;
    let rounds = session.reviews().list()?;
    vault.close()?;
    let mut table = Table::new(&["review", "opened", "due", "closed", "grants", "undecided", "note"]);
    for round in &rounds {
        table.row([
            json!(round.number),
            json!(round.opened.to_string()),
            json!(round.due.to_string()),
            json!(round.closed.map(|(at, _)| at.to_string())),
            json!(round.grants),
            json!(round.undecided),
            json!(round.note),
        ]);
    }
    show.table("reviews", &table, Facts::new())?;
    Ok(Code::Ok)
}

/// Open a review over every grant that is live now
#[derive(Args, Debug)]
#[command(after_help = "\
Example:
  chartvault review open --due 30d --token officer.token --purpose operations

It lists every grant that is live now. Next: chartvault review show N.")]
pub struct Open {
    /// Until when it is to be closed, from now: 30d
    #[arg(long, value_name = "LENGTH", value_parser = words::duration)]
    due: Duration,
    /// A note that stands beside it
    #[arg(long, default_value = "", hide_default_value = true)]
    note: String,
    #[command(flatten)]
    session: SessionArgs,
    #[command(flatten)]
    credential: CredentialArgs,
}

pub fn open(common: &Common, args: &Open, show: Show) -> Outcome {
    let (vault, session) = enter(common, &args.credential, &args.session, show)?;
    let round = session.reviews().open(SystemClock.now().saturating_add(args.due), &args.note)?;
    vault.close()?;
    tell(&round, show)
}

/// Show the grants of a review, and what was decided
#[derive(Args, Debug)]
#[command(after_help = "\
Example:
  chartvault review show 1 --token officer.token --purpose operations")]
pub struct Items {
    /// The review's number
    #[arg(value_name = "REVIEW")]
    review: u32,
    #[command(flatten)]
    session: SessionArgs,
    #[command(flatten)]
    credential: CredentialArgs,
}

pub fn items(common: &Common, args: &Items, show: Show) -> Outcome {
    let (vault, session) = enter(common, &args.credential, &args.session, show)?;
    let mut table = Table::new(&["token", "subject", "actions", "kinds", "decision", "ended"]);
    let mut after = None;
    loop {
        let mut items = session.reviews().items(args.review).limit(1_000);
        if let Some(after) = after {
            items = items.after(after);
        }
        let page = items.page()?;
        for item in &page.items {
            let actions = item.rights.as_ref().map(|rights| &rights.actions);
            let actions = actions.map(|actions| actions.iter().map(ToString::to_string).collect::<Vec<_>>());
            table.row([
                json!(item.grant.to_string()),
                json!(item.name.clone().unwrap_or_else(|| item.subject.to_string())),
                json!(actions),
                listed(&item.kinds),
                json!(item.decided.as_ref().map(|decided| decided.decision.to_string())),
                json!(item.ended.map(|ended| ended.to_string())),
            ]);
        }
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    vault.close()?;
    show.table("grants", &table, Facts::new().with("review", args.review))?;
    Ok(Code::Ok)
}

/// What is decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Decision {
    /// It stays as it is
    Keep,
    /// It ends
    Revoke,
    /// Another grant takes its place: --to
    Narrow,
}

/// Decide over a grant of a review
#[derive(Args, Debug)]
#[command(after_help = "\
Example:
  chartvault review decide 1 TOKEN-ID revoke --note 'left the house' \\
    --token officer.token --purpose operations

Nobody decides over their own grants: take the token of another officer for those.")]
pub struct Decide {
    /// The review's number
    #[arg(value_name = "REVIEW")]
    review: u32,
    /// The grant, as `chartvault review show` names it
    #[arg(value_name = "TOKEN-ID")]
    grant: RevocationId,
    /// What
    #[arg(value_name = "DECISION")]
    decision: Decision,
    /// The narrower grant that takes its place, registered already
    #[arg(long, value_name = "TOKEN-ID", required_if_eq("decision", "narrow"))]
    to: Option<RevocationId>,
    /// Why
    #[arg(long, default_value = "", hide_default_value = true)]
    note: String,
    #[command(flatten)]
    session: SessionArgs,
    #[command(flatten)]
    credential: CredentialArgs,
}

pub fn decide(common: &Common, args: &Decide, show: Show) -> Outcome {
    let decision = match (args.decision, args.to) {
        (Decision::Keep, None) => ReviewDecision::Keep,
        (Decision::Revoke, None) => ReviewDecision::Revoke,
        (Decision::Narrow, Some(to)) => ReviewDecision::Narrow { to },
        _ => return Err(Failure::usage("--to goes with narrow, and narrow with --to")),
    };
    let (vault, session) = enter(common, &args.credential, &args.session, show)?;
    let decided = session.reviews().decide(args.review, args.grant, decision, &args.note)?;
    vault.close()?;
    let facts = Facts::new()
        .with("review", args.review)
        .text_of("token", args.grant)
        .text_of("decision", decided.decision)
        .text_of("at", decided.at);
    show.facts(&facts)?;
    Ok(Code::Ok)
}

/// Close a review in which nothing is left to decide
#[derive(Args, Debug)]
#[command(after_help = "\
Example:
  chartvault review close 1 --token officer.token --purpose operations")]
pub struct Close {
    /// The review's number
    #[arg(value_name = "REVIEW")]
    review: u32,
    #[command(flatten)]
    session: SessionArgs,
    #[command(flatten)]
    credential: CredentialArgs,
}

pub fn close(common: &Common, args: &Close, show: Show) -> Outcome {
    let (vault, session) = enter(common, &args.credential, &args.session, show)?;
    let round = session.reviews().close(args.review)?;
    vault.close()?;
    tell(&round, show)
}

fn tell(round: &ReviewRound, show: Show) -> Outcome {
    let facts = Facts::new()
        .with("review", round.number)
        .text_of("opened", round.opened)
        .text_of("due", round.due)
        .maybe("closed", round.closed.map(|(at, _)| at))
        .with("grants", round.grants)
        .with("undecided", round.undecided);
    show.facts(&facts)?;
    Ok(Code::Ok)
}
