//! `backup follow`: a second machine that keeps up with the backups, to take over one day.

use std::path::PathBuf;
use std::thread;
use std::time::{Duration, Instant};

use chartvault::{Followed, Vault};
use clap::Args;
use serde_json::json;

use super::ls::pinned;
use super::place;
use crate::exit::Code;
use crate::failure::{Failure, Outcome};
use crate::interrupt;
use crate::show::{Show, warn};
use crate::ticker::Ticker;
use crate::words;

/// Keep a copy on a second machine up to date
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  chartvault backup follow --from /mnt/disk/backups --signed-by VKEY --into standby.vault
  chartvault backup follow --from s3://clinic-backups/main --signed-by VKEY \\
    --into standby.vault --every 60s

Needs neither credential nor key pack here. To take over: chartvault restore with the same --from and --into, which then has \
little left to do; then make a backup from here at once, so that the old machine finds out.")]
pub struct Follow {
    /// The folder, or s3://bucket/prefix (gs://, az://), with the backups
    #[arg(long, value_name = "PLACE")]
    from: String,
    /// The public key that has to have signed them (chartvault backup key)
    #[arg(long, value_name = "VKEY")]
    signed_by: String,
    /// The directory of the copy
    #[arg(long, value_name = "DIR")]
    into: PathBuf,
    /// The file of an age identity, where the backups are sealed; can be repeated
    #[arg(long, value_name = "FILE")]
    identity: Vec<PathBuf>,
    /// Go on until Ctrl-C, looking this often
    #[arg(long, value_name = "TIME", value_parser = words::duration)]
    every: Option<Duration>,
}

pub fn run(args: &Follow, show: Show) -> Outcome {
    let identities = place::identities(&args.identity)?;
    let key = pinned(Some(&args.signed_by))?.ok_or_else(|| Failure::usage("no key is named"))?;
    let place = place::open(&args.from, place::To::Read)?;
    let follow = || {
        let mut ticker = Ticker::new(show);
        let restore = identities.iter().cloned().fold(Vault::restore(&*place), chartvault::Restore::identity);
        restore.follow_into_with(&args.into, &key, &mut |progress| ticker.tick(progress)).map_err(place::told)
    };
    tell(&follow()?, show)?;
    let Some(every) = args.every else { return Ok(Code::Ok) };
    interrupt::stops();
    loop {
        let begun = Instant::now();
        while begun.elapsed() < every {
            if interrupt::check("").is_err() {
                return Ok(Code::Ok);
            }
            thread::sleep(Duration::from_millis(100));
        }
        match follow() {
            Ok(followed) if followed.copied > 0 => tell(&followed, show)?,
            Ok(_) => {}
            Err(failure) => warn(show, failure.message()),
        }
    }
}

fn tell(followed: &Followed, show: Show) -> Outcome<()> {
    let Followed { manifest, entries, made, copied, .. } = followed;
    if show.json {
        return show.line(&json!({
            "manifest": manifest, "log_entries": entries, "made": made.to_string(), "copied_bytes": copied,
        }));
    }
    show.note(&format!("manifest {manifest} of {made}: {entries} log entries, {copied} bytes copied"))
}
