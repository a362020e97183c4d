//! `backup status`: how old the backups are, and what would be lost now.

use chartvault::TargetStatus;
use clap::Args;
use serde_json::{Value, json};

use crate::args::Common;
use crate::door::open;
use crate::exit::Code;
use crate::failure::Outcome;
use crate::secrets::CredentialArgs;
use crate::show::{Facts, Show, Table};

/// Say how old the backups are, and what would be lost now
#[derive(Args, Debug)]
#[command(after_help = "\
Example:
  chartvault backup status

What would be lost is counted in entries of the log. Reading, opening and the backup itself leave entries as well, so there are \
always some. The time that a recovery took is that of the last drill that was sound. Exit code 21: there is no backup, or the \
last one, or the last drill, failed.")]
pub struct Status {
    #[command(flatten)]
    credential: CredentialArgs,
}

pub fn run(common: &Common, args: &Status, show: Show) -> Outcome {
    let (vault, _) = open(common, &args.credential, show)?;
    let status = vault.backup_status()?;
    vault.close()?;
    let mut table = Table::new(&[
        "target",
        "last_backup",
        "manifest",
        "log_entries_since",
        "last_failure",
        "last_verified",
        "last_drill",
        "drill_outcome",
        "recovery_seconds",
    ]);
    let time = |at: Option<chartvault::Timestamp>| at.map_or(Value::Null, |at| json!(at.to_string()));
    for target in &status.targets {
        table.row([
            json!(target.target),
            time(target.last_backup.as_ref().map(|last| last.at)),
            json!(target.last_backup.as_ref().map(|last| last.manifest)),
            json!(target.entries_since),
            target.failing().map_or(Value::Null, |failure| json!(format!("{}: {}", failure.at, failure.why))),
            time(target.last_verified.as_ref().map(|last| last.at)),
            time(target.last_drill.as_ref().map(|last| last.at)),
            json!(target.last_drill.as_ref().map(|last| if last.is_sound() { "sound" } else { "failed" })),
            json!(target.last_sound_drill.as_ref().map(|drill| drill.recovery.as_secs_f64())),
        ]);
    }
    let lost = status.loss_window();
    let about = Facts::new()
        .with("log_entries", status.entries)
        .with("would_be_lost_entries", lost.map(|(entries, _)| entries))
        .with("would_be_lost_seconds", lost.map(|(_, since)| since.as_secs()));
    show.table("targets", &table, about)?;
    if lost.is_none() {
        show.note("There is no backup: if this machine is lost, all of it is. Make one: chartvault backup run")?;
    }
    let drill_failed = |target: &TargetStatus| target.last_drill.is_some_and(|drill| !drill.is_sound());
    let failing = status.targets.iter().any(|target| target.failing().is_some() || drill_failed(target));
    Ok(if lost.is_none() || failing { Code::Warnings } else { Code::Ok })
}
