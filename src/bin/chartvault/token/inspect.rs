//! `token inspect`: what a token claims to allow. Nothing of it is verified.

use std::path::PathBuf;

use chartvault::{EffectiveRights, Listed};
use clap::Args;
use serde_json::{Value, json};

use crate::door::read_token;
use crate::exit::Code;
use crate::failure::Outcome;
use crate::show::Show;

/// Show what a token claims to allow, unverified
#[derive(Args, Debug)]
#[command(after_help = "\
Example:
  chartvault token inspect osei.token

Needs no vault. Only opening a session shows whether a token is genuine.")]
pub struct Inspect {
    /// The token's file; - is standard input
    #[arg(value_name = "FILE")]
    token: PathBuf,
}

pub fn run(args: &Inspect, show: Show) -> Outcome {
    let token = read_token(&args.token)?;
    let rights = token.inspect();
    if !show.json {
        show.note(&rights.to_string())?;
        return Ok(Code::Ok);
    }
    let block = |block: &chartvault::BlockRights| {
        let statements: Vec<String> = block.statements.iter().map(ToString::to_string).collect();
        json!({
            "number": block.number,
            "id": block.revocation_id.to_string(),
            "issued_at": block.issued_at.to_string(),
            "statements": statements,
        })
    };
    show.line(&json!({
        "verified": false,
        "token": token.id().to_string(),
        "vault": rights.vault().to_string(),
        "issuer": rights.issuer().to_string(),
        "proof": rights.proof().to_string(),
        "blocks": rights.blocks().iter().map(block).collect::<Vec<_>>(),
        "effective": effective(&rights.effective()),
    }))?;
    Ok(Code::Ok)
}

/// What all blocks together leave, for programs. Lists are `"all"` or arrays.
pub fn effective(rights: &EffectiveRights) -> Value {
    json!({
        "subject": rights.subject.to_string(),
        "not_before": rights.not_before.map(|from| from.to_string()),
        "not_after": rights.not_after.to_string(),
        "actions": rights.actions.iter().map(ToString::to_string).collect::<Vec<_>>(),
        "kinds": listed(&rights.kinds),
        "patients": listed(&rights.patients),
        "purposes": rights.purposes.iter().map(ToString::to_string).collect::<Vec<_>>(),
        "sensitivity": rights.sensitivity.to_string(),
        "depth": rights.depth,
        "idle_seconds": rights.idle.map(|length| length.as_secs()),
        "longest_seconds": rights.longest.map(|length| length.as_secs()),
        "max_uses": rights.max_uses,
    })
}

/// `"all"`, or an array.
pub fn listed<T: ToString>(listed: &Listed<T>) -> Value {
    match listed {
        Listed::All => json!("all"),
        Listed::Only(some) => json!(some.iter().map(ToString::to_string).collect::<Vec<_>>()),
    }
}
