//! `history`: all versions of a record, who wrote them and why.

use chartvault::RecordRef;
use clap::Args;
use serde_json::json;

use super::get::with_value;
use super::{about, status};
use crate::args::Common;
use crate::door::{SessionArgs, enter};
use crate::exit::Code;
use crate::failure::Outcome;
use crate::secrets::CredentialArgs;
use crate::show::{Facts, Show, Table};

/// List the versions of a record, newest first
#[derive(Args, Debug)]
#[command(after_help = "\
Example:
  chartvault history ref-… --token osei.token --purpose treatment")]
pub struct History {
    /// The record
    #[arg(value_name = "RECORD")]
    record: RecordRef,
    /// With their values, in JSON
    #[arg(long)]
    values: bool,
    #[command(flatten)]
    session: SessionArgs,
    #[command(flatten)]
    credential: CredentialArgs,
}

pub fn run(common: &Common, args: &History, show: Show) -> Outcome {
    let (vault, session) = enter(common, &args.credential, &args.session, show)?;
    let versions = session.history_verbatim(args.record)?;
    vault.close()?;
    if show.json || args.values {
        let shown: Vec<_> =
            versions.iter().map(|entry| if args.values { with_value(entry) } else { about(entry) }).collect();
        show.line(&json!({ "record": args.record.to_string(), "versions": shown }))?;
        return Ok(Code::Ok);
    }
    let mut table = Table::new(&["version", "status", "recorded_at", "clinical_time", "author", "bytes", "reason"]);
    for entry in &versions {
        table.row([
            json!(entry.version.number()),
            json!(status(entry.status)),
            json!(entry.recorded_at.to_string()),
            json!(entry.clinical_time.map(|time| time.to_string())),
            json!(entry.author.to_string()),
            json!(entry.value.len()),
            json!(entry.reason),
        ]);
    }
    show.table("versions", &table, Facts::new())?;
    Ok(Code::Ok)
}
