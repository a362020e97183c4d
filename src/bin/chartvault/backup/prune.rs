//! `backup prune`: old backups go, by rules.

use std::time::Duration;

use chartvault::{BackupPruned, BackupRetention, prune_backups};
use clap::Args;
use serde_json::json;

use super::ls::pinned;
use super::place;
use crate::args::Common;
use crate::door::open;
use crate::exit::Code;
use crate::failure::Outcome;
use crate::secrets::CredentialArgs;
use crate::show::{Facts, Show, printable, warn};
use crate::words;

/// Remove old backups
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  chartvault backup prune --to /mnt/disk/backups --daily 14 --weekly 8 --least-age 30d --dry-run
  chartvault backup prune --to s3://clinic-backups/main --last 10 --least-age 30d --signed-by VKEY

A copy, with all that was added to it, goes as a whole, once no rule asks for anything in it; the newest one always stays. \
Without any rule nothing goes. Best done on another machine (--signed-by), with a credential that the machine which makes \
backups does not have. Exit code 3: the place refused to remove something.")]
pub struct Prune {
    /// The folder, or s3://bucket/prefix (gs://, az://)
    #[arg(long, value_name = "PLACE")]
    to: String,
    /// Keep the newest
    #[arg(long, value_name = "NUMBER", default_value_t = 0, hide_default_value = true)]
    last: u32,
    /// Keep one for each of so many hours
    #[arg(long, value_name = "NUMBER", default_value_t = 0, hide_default_value = true)]
    hourly: u32,
    /// Keep one for each of so many days
    #[arg(long, value_name = "NUMBER", default_value_t = 0, hide_default_value = true)]
    daily: u32,
    /// Keep one for each of so many weeks
    #[arg(long, value_name = "NUMBER", default_value_t = 0, hide_default_value = true)]
    weekly: u32,
    /// Keep one for each of so many months
    #[arg(long, value_name = "NUMBER", default_value_t = 0, hide_default_value = true)]
    monthly: u32,
    /// Keep one for each of so many years
    #[arg(long, value_name = "NUMBER", default_value_t = 0, hide_default_value = true)]
    yearly: u32,
    /// Keep whatever is not older than this
    #[arg(long, value_name = "TIME", value_parser = words::duration)]
    least_age: Option<Duration>,
    /// Also remove objects that no manifest names; no backup may be running
    #[arg(long)]
    orphans: bool,
    /// The public key that has to have signed the backups (chartvault backup key); no vault is opened
    #[arg(long, value_name = "VKEY")]
    signed_by: Option<String>,
    /// Only say what would be removed
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    credential: CredentialArgs,
}

pub fn run(common: &Common, args: &Prune, show: Show) -> Outcome {
    let key = pinned(args.signed_by.as_deref())?;
    let place = place::open(&args.to, place::To::Read)?;
    let retention = BackupRetention::new().last(args.last).hourly(args.hourly).daily(args.daily).weekly(args.weekly);
    let retention = retention.monthly(args.monthly).yearly(args.yearly);
    let retention = args.least_age.map_or(retention, |age| retention.least_age(age));
    let pruned = match key {
        Some(key) => {
            let prune = prune_backups(&*place, key, retention);
            let prune = if args.dry_run { prune.dry_run() } else { prune };
            let prune = if args.orphans { prune.orphans() } else { prune };
            prune.run().map_err(place::fault_told)?
        }
        None => {
            let (vault, _) = open(common, &args.credential, show)?;
            let prune = vault.prune_backups(&*place, retention);
            let prune = if args.dry_run { prune.dry_run() } else { prune };
            let prune = if args.orphans { prune.orphans() } else { prune };
            let pruned = prune.run().map_err(place::told)?;
            vault.close()?;
            pruned
        }
    };
    tell(&pruned, show)?;
    if pruned.chains.is_empty() {
        show.note(if retention == BackupRetention::new() {
            "No rule is given, and without one all are kept: --last, --daily, --weekly … say what is wanted"
        } else {
            "All copies have something that is kept. Backups that were added to one copy go with it alone; \
             chartvault backup run --from-the-beginning begins another"
        })?;
    }
    Ok(if pruned.refused.is_empty() { Code::Ok } else { Code::Partly })
}

fn tell(pruned: &BackupPruned, show: Show) -> Outcome<()> {
    for (name, why) in &pruned.refused {
        warn(show, &format!("{} was not removed: {}", printable(name), printable(why)));
    }
    if show.json {
        return show.line(&json!({
            "target": pruned.target,
            "dry_run": pruned.dry_run,
            "copies": pruned.chains,
            "manifests": pruned.manifests,
            "objects": pruned.objects,
            "orphans": pruned.orphans,
            "bytes": pruned.bytes,
            "kept": pruned.kept.len(),
            "refused": pruned.refused.len(),
        }));
    }
    show.facts(
        &Facts::new()
            .text_of("target", &pruned.target)
            .with("dry_run", pruned.dry_run)
            .with("copies", pruned.chains.clone())
            .with("manifests", pruned.manifests)
            .with("objects", pruned.objects)
            .with("orphans", pruned.orphans)
            .with("bytes", pruned.bytes)
            .with("kept", pruned.kept.len())
            .with("refused", pruned.refused.len()),
    )
}
