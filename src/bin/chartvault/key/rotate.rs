//! `key rotate`: new keys for what is written from now on, and then for all that is there.

use chartvault::Rotated;
use clap::{Args, ValueEnum};
use serde_json::json;

use crate::args::Common;
use crate::door::{Door, open};
use crate::exit::Code;
use crate::failure::{Failure, Outcome};
use crate::secrets::{CredentialArgs, Secret, confirmed};
use crate::show::{Facts, Show};
use crate::ticker::Ticker;

/// Which key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Which {
    /// What seals records
    Data,
    /// What seals patients' keys
    Wrap,
    /// What seals entries of the log from now on
    Log,
    /// What opens all others: every slot but that of the credential shown is dropped
    Root,
    /// Go on with a rotation that was interrupted
    Continue,
}

/// Rotate a key, and seal anew what is under the old one
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  chartvault key rotate data          once a year
  chartvault key rotate root          when somebody left who may have kept a copy of the header
  chartvault key rotate continue      after an interruption

Make a new full backup afterwards, header included. See docs/keys.md, \"Rotation\".")]
pub struct Rotate {
    /// Which key
    #[arg(value_name = "KEY")]
    key: Which,
    /// Do not ask before slots are dropped
    #[arg(long)]
    yes: bool,
    /// Only say how it stands, and how many slots would be dropped
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    credential: CredentialArgs,
}

pub fn run(common: &Common, args: &Rotate, show: Show) -> Outcome {
    let (vault, secret) = open(common, &args.credential, show)?;
    if args.dry_run {
        return plan(vault, args, show);
    }
    let mut dropped = Vec::new();
    let mut ticker = Ticker::new(show);
    let mut progress = |progress| ticker.tick(progress);
    let credential = || secret.credential();
    let done = match args.key {
        Which::Data => Some(vault.rotate_data_key(credential(), &mut progress)?),
        Which::Wrap => Some(vault.rotate_wrap_key(credential(), &mut progress)?),
        Which::Log => {
            vault.rotate_audit_key(credential())?;
            None
        }
        Which::Root => {
            dropped = root(&vault, args, &secret)?;
            Some(vault.continue_rotation(credential(), &mut progress)?)
        }
        Which::Continue => Some(vault.continue_rotation(credential(), &mut progress)?),
    };
    drop(ticker);
    let under_way = vault.rotation()?.is_under_way();
    vault.close()?;
    let count = |of: fn(&Rotated) -> u64| done.as_ref().map(of);
    let unreadable = count(|done| done.unreadable).unwrap_or(0);
    let facts = Facts::new()
        .with("records_sealed_anew", count(|done| done.resealed))
        .with("patients_keys_sealed_anew", count(|done| done.rewrapped))
        .with("unreadable", unreadable)
        .with("slots_dropped", json!(dropped))
        .with("under_way", under_way);
    show.facts(&facts)?;
    show.note("\nMake a new full backup, header included (chartvault key backup-header).")?;
    Ok(if unreadable > 0 { Code::Tampering } else { Code::Ok })
}

/// Numbers of the slots that were dropped.
fn root(vault: &Door, args: &Rotate, secret: &Secret) -> Outcome<Vec<u8>> {
    let slots = vault.slots()?.len();
    let question =
        format!("All but one of {slots} key slots are dropped, the recovery key among them unless it is shown.");
    if !confirmed(args.yes, &question)? {
        return Err(Failure::new(Code::Error, "nothing was changed"));
    }
    let rotated = vault.rotate_root_key(&[secret.credential()])?;
    Ok(rotated.dropped.iter().map(|slot| slot.number).collect())
}

fn plan(vault: Door, args: &Rotate, show: Show) -> Outcome {
    let (rotation, slots) = (vault.rotation()?, vault.slots()?);
    vault.close()?;
    let dropped = if args.key == Which::Root { slots.len().saturating_sub(1) } else { 0 };
    let facts = Facts::new()
        .with("data_key", rotation.data_epoch)
        .with("log_key", rotation.audit_epoch)
        .with("record_versions", rotation.versions)
        .with("under_way", rotation.is_under_way())
        .with("slots_that_would_be_dropped", dropped)
        .with("dry_run", true);
    show.facts(&facts)?;
    Ok(Code::Ok)
}
