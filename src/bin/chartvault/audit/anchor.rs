//! `audit anchor`: the log's checkpoint kept outside the vault, and compared with what was kept before.

use std::path::PathBuf;

use clap::Args;
use serde_json::json;

use crate::args::Common;
use crate::door::{directory, open};
use crate::exit::Code;
use crate::failure::{Failure, Outcome};
use crate::secrets::CredentialArgs;
use crate::show::{Facts, Show, Table};

/// Keep the log's checkpoint in a directory outside the vault
#[derive(Args, Debug)]
#[command(after_help = "\
Example:
  chartvault audit anchor /media/stick/anchor

What the directory holds is compared with first: exit code 20 if the log was cut, brought back or rewritten since. Give \
the same directory as --anchor (or CHARTVAULT_ANCHOR) to every verb, and each opening and closing does the same.")]
pub struct Anchor {
    /// The directory, on another disk than the vault; it has to be there
    #[arg(value_name = "DIR")]
    dir: PathBuf,
    #[command(flatten)]
    credential: CredentialArgs,
}

pub fn run(common: &Common, args: &Anchor, show: Show) -> Outcome {
    if !args.dir.is_dir() {
        return Err(Failure::new(Code::Error, format_args!("{} is no directory", args.dir.display()))
            .hint("make it, on another disk than the vault"));
    }
    if args.dir.starts_with(directory(common)?) {
        return Err(Failure::usage("the anchor is inside the vault").hint("choose a directory on another disk"));
    }
    let common = Common { anchor: Some(args.dir.clone()), ..common.clone() };
    let (vault, _) = open(&common, &args.credential, show)?;
    let checkpoint = vault.log_checkpoint()?;
    let inside = (*vault).clone();
    // Closing gives the anchor the last checkpoint.
    vault.close()?;
    let mut table = Table::new(&["anchor", "entries", "at", "failure"]);
    let states = inside.anchors();
    for state in &states {
        table.row([
            json!(args.dir.display().to_string()),
            json!(state.size),
            json!(state.at.map(|at| at.to_string())),
            json!(state.failure),
        ]);
    }
    show.table("anchors", &table, Facts::new().with("log_entries", checkpoint.size))?;
    Ok(if states.iter().any(|state| state.failure.is_some()) { Code::Error } else { Code::Ok })
}
