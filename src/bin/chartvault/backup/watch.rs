//! `backup watch`: backups that follow the vault, until somebody ends it.

use std::sync::Arc;
use std::thread;
use std::time::Duration;

use chartvault::{ContinuousBackup, FollowedState};
use clap::Args;
use serde_json::json;

use super::place;
use super::run::recipients;
use crate::args::Common;
use crate::door::open;
use crate::exit::Code;
use crate::failure::Outcome;
use crate::interrupt;
use crate::secrets::CredentialArgs;
use crate::show::{Show, warn};
use crate::words;

/// How often it is looked whether something is to be told.
const LOOK_EVERY: Duration = Duration::from_millis(200);

/// Back the vault up whenever something is new, until Ctrl-C
#[derive(Args, Debug)]
#[command(after_help = "\
Example:
  chartvault backup watch --to /mnt/disk/backups --packs /mnt/safe/packs --every 60s

Holds the vault open, so it is for a vault that no program of the house has open: such a program does this by itself \
(Vault::keep_backed_up).")]
pub struct Watch {
    /// A folder, or s3://bucket/prefix (gs://, az://), to back up to
    #[arg(long, value_name = "PLACE")]
    to: String,
    /// Where key packs are kept
    #[arg(long, value_name = "PLACE")]
    packs: String,
    /// How long what was written may wait
    #[arg(long, value_name = "TIME", default_value = "60s", value_parser = words::duration)]
    every: Duration,
    /// Seal the objects to this age recipient as well; can be repeated
    #[arg(long, value_name = "RECIPIENT")]
    seal_to: Vec<String>,
    #[command(flatten)]
    credential: CredentialArgs,
}

pub fn run(common: &Common, args: &Watch, show: Show) -> Outcome {
    let recipients = recipients(&args.seal_to)?;
    place::warn_of_packs_beside(&args.to, Some(&args.packs), show);
    let (to, packs) = (place::open(&args.to, place::To::Write)?, place::open(&args.packs, place::To::Write)?);
    let (vault, _) = open(common, &args.credential, show)?;
    interrupt::stops();
    let plan = ContinuousBackup::to(Arc::from(to)).packs_to(Arc::from(packs)).every(args.every);
    let plan = recipients.into_iter().fold(plan, ContinuousBackup::seal_to);
    let following = vault.keep_backed_up(plan)?;
    let (mut told, mut failed): (Option<u64>, Option<String>) = (None, None);
    while interrupt::check("").is_ok() {
        let state = following.state();
        tell(&state, (&mut told, &mut failed), show)?;
        thread::sleep(LOOK_EVERY);
    }
    let last = following.finish().map_err(place::told)?;
    tell(&last, (&mut told, &mut failed), show)?;
    vault.close()?;
    Ok(Code::Ok)
}

fn tell(state: &FollowedState, (told, failed): (&mut Option<u64>, &mut Option<String>), show: Show) -> Outcome<()> {
    if let Some(last) = state.last.as_ref().filter(|last| *told != Some(last.manifest)) {
        *told = Some(last.manifest);
        let (manifest, entries, bytes) = (last.manifest, last.entries, last.stored_bytes);
        if show.json {
            show.line(&json!({ "manifest": manifest, "log_entries": entries, "bytes": bytes }))?;
        } else {
            show.note(&format!("manifest {manifest}: {bytes} bytes, {entries} log entries"))?;
        }
    }
    if state.failure != *failed {
        failed.clone_from(&state.failure);
        if let Some(why) = &state.failure {
            warn(show, &format!("no backup: {why}; it is tried again"));
        }
    }
    Ok(())
}
