//! `backup drill`: a restore that is rehearsed, compared with the vault, and logged.

use std::path::PathBuf;
use std::{env, fs};

use clap::Args;
use serde_json::json;

use super::place;
use crate::args::Common;
use crate::door::open;
use crate::exit::Code;
use crate::failure::{Failure, Outcome};
use crate::interrupt;
use crate::platform;
use crate::secrets::CredentialArgs;
use crate::show::{Facts, Show, printable};
use crate::ticker::Ticker;

/// Rehearse a restore
#[derive(Args, Debug)]
#[command(after_help = "\
Example:
  chartvault backup drill --to /mnt/disk/backups --packs /mnt/safe/packs

Restores into a temporary folder, verifies the log, opens records chosen at random and one of every kind, compares them with \
the vault, measures how long it took, and removes the folder. The log has an entry, and chartvault report shows it. Needs room \
for the vault once more.")]
pub struct Drill {
    /// The folder, or s3://bucket/prefix (gs://, az://), with the backups
    #[arg(long, visible_alias = "from", value_name = "PLACE")]
    to: String,
    /// Where the key packs are
    #[arg(long, value_name = "PLACE")]
    packs: String,
    /// The file of an age identity, where the backup is sealed; can be repeated
    #[arg(long, value_name = "FILE")]
    identity: Vec<PathBuf>,
    /// Records to open
    #[arg(long, value_name = "NUMBER", default_value_t = 100)]
    records: u64,
    /// Open every record
    #[arg(long)]
    thorough: bool,
    /// Restore into a new folder in this directory
    #[arg(long, value_name = "DIR")]
    temporary: Option<PathBuf>,
    #[command(flatten)]
    credential: CredentialArgs,
}

pub fn run(common: &Common, args: &Drill, show: Show) -> Outcome {
    let identities = place::identities(&args.identity)?;
    let (place, packs) = (place::open(&args.to, place::To::Read)?, place::open(&args.packs, place::To::Read)?);
    let (vault, secret) = open(common, &args.credential, show)?;
    let mut ticker = Ticker::new(show);
    let drill = vault.drill(&*place).packs_from(&*packs).records(args.records);
    let drill = identities.into_iter().fold(drill, chartvault::Drill::identity);
    let drill = if args.thorough { drill.thorough() } else { drill };
    let room = room(args)?;
    let report = drill.into_temporary(&room).run_with(secret.credential(), &mut |progress| ticker.tick(progress));
    drop(ticker);
    // Empty by now; where it is not, the report is what says why.
    drop(fs::remove_dir(&room));
    let report = report.map_err(place::told)?;
    vault.close()?;
    let findings: Vec<String> = report.findings.iter().map(ToString::to_string).collect();
    if show.json {
        show.line(&json!({
            "sound": report.is_sound(),
            "target": report.target,
            "manifest": report.manifest,
            "pack": report.pack,
            "log_entries": report.entries,
            "log_entries_since": report.missing,
            "recovery_seconds": report.recovery.as_secs_f64(),
            "seconds": report.took.as_secs_f64(),
            "records_opened": report.records_opened,
            "kinds": report.kinds.len(),
            "matches_the_vault": report.matches_live,
            "findings": findings,
        }))?;
    } else {
        for finding in &findings {
            show.note(&printable(finding))?;
        }
        show.facts(
            &Facts::new()
                .with("sound", report.is_sound())
                .text_of("target", &report.target)
                .with("manifest", report.manifest)
                .with("log_entries", report.entries)
                .with("log_entries_since", report.missing)
                .text_of("recovery_time", format_args!("{:.1} s", report.recovery.as_secs_f64()))
                .with("records_opened", report.records_opened)
                .with("kinds", report.kinds.len())
                .with("matches_the_vault", report.matches_live),
        )?;
    }
    Ok(if report.is_sound() { Code::Ok } else { Code::Tampering })
}

/// A new directory for the restored vault, which a signal removes.
fn room(args: &Drill) -> Outcome<PathBuf> {
    let among = args.temporary.clone().unwrap_or_else(env::temp_dir);
    let random = getrandom::u64().map_err(|error| Failure::new(Code::Error, error))?;
    let room = among.join(format!("chartvault-drill-{random:016x}"));
    interrupt::removes(room.clone());
    platform::create_private_dir(&room).map_err(|error| Failure::file("making", &room, &error))?;
    Ok(room)
}
