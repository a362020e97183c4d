//! `key ls`, `remove`, `change`, `backup-header`: key slots.

use std::path::PathBuf;

use chartvault::{Error, NewSlot};
use clap::Args;
use serde_json::json;

use crate::args::Common;
use crate::door::open;
use crate::exit::Code;
use crate::failure::Outcome;
use crate::secrets::{CredentialArgs, new_passphrase};
use crate::show::{Facts, Show, Table};

/// List the key slots and the age of the keys, and say what could go wrong
#[derive(Args, Debug)]
#[command(after_help = "\
Example:
  chartvault key ls")]
pub struct Ls {
    #[command(flatten)]
    credential: CredentialArgs,
}

pub fn ls(common: &Common, args: &Ls, show: Show) -> Outcome {
    let (vault, _) = open(common, &args.credential, show)?;
    let report = vault.key_report()?;
    vault.close()?;
    let mut slots = Table::new(&["slot", "kind", "label", "created", "last_used", "derivation"]);
    for slot in &report.slots {
        slots.row([
            json!(slot.number),
            json!(slot.kind.to_string()),
            json!(slot.label),
            json!(slot.created.to_string()),
            json!(slot.last_used.map(|at| at.to_string())),
            json!(slot.kdf.map(|kdf| kdf.to_string())),
        ]);
    }
    let risks: Vec<String> = report.risks.iter().map(ToString::to_string).collect();
    if show.json {
        let key = |key: &chartvault::KeyAge| json!({ "key": key.sort.to_string(), "epoch": key.epoch, "not_before": key.not_before.to_string() });
        let keys: Vec<_> = report.keys.iter().map(key).collect();
        show.table("slots", &slots, Facts::new().with("keys", keys).with("risks", risks))?;
        return Ok(Code::Ok);
    }
    show.table("slots", &slots, Facts::new())?;
    for key in &report.keys {
        show.note(&format!("{} {}: made {} or later", key.sort, key.epoch, key.not_before))?;
    }
    risks.iter().try_for_each(|risk| show.note(&format!("to be seen to: {risk}")))?;
    Ok(Code::Ok)
}

/// Remove a key slot
#[derive(Args, Debug)]
#[command(after_help = "\
Example:
  chartvault key remove 3

A copy that somebody kept of the header still opens with it: see docs/keys.md, \"Somebody leaves\".")]
pub struct Remove {
    /// The slot's number, as `chartvault key ls` shows it
    #[arg(value_name = "SLOT")]
    slot: u8,
    /// Only say what would be removed
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    credential: CredentialArgs,
}

pub fn remove(common: &Common, args: &Remove, show: Show) -> Outcome {
    let (vault, secret) = open(common, &args.credential, show)?;
    let found = vault.slots()?.into_iter().find(|slot| slot.number == args.slot);
    let slot = found.ok_or(Error::NoSuchSlot { slot: args.slot })?;
    if !args.dry_run {
        vault.remove_slot(args.slot, secret.credential())?;
    }
    vault.close()?;
    let facts = Facts::new()
        .with("removed", args.slot)
        .text_of("kind", slot.kind)
        .text_of("label", slot.label)
        .with("dry_run", args.dry_run);
    show.facts(&facts)?;
    Ok(Code::Ok)
}

/// Give the slot that opens the vault now a new passphrase
#[derive(Args, Debug)]
#[command(after_help = "\
Example:
  chartvault key change

It protects what comes: a copy of the vault from before opens with the old passphrase.")]
pub struct Change {
    /// A file whose first line is the new passphrase, instead of asking for it
    #[arg(long, value_name = "FILE")]
    new_passphrase_file: Option<PathBuf>,
    #[command(flatten)]
    credential: CredentialArgs,
}

pub fn change(common: &Common, args: &Change, show: Show) -> Outcome {
    let (vault, secret) = open(common, &args.credential, show)?;
    let new = new_passphrase(args.new_passphrase_file.as_deref())?;
    let number = vault.change_credential(secret.credential(), NewSlot::of(&new).label("passphrase"))?;
    vault.close()?;
    show.facts(&Facts::new().with("slot", number))?;
    show.note(
        "\nThe header changed: make a new backup of it, and destroy the old one (chartvault key backup-header).",
    )?;
    Ok(Code::Ok)
}

/// Write a copy of the header to a new file
#[derive(Args, Debug)]
#[command(after_help = "\
Example:
  chartvault key backup-header /media/stick/clinic.header

If both copies of the header are lost, nothing opens the vault but this. It opens with the credentials of today for ever: \
keep it where the recovery key is, and make a new one after each change of keys.")]
pub struct BackupHeader {
    /// The file
    #[arg(value_name = "FILE")]
    to: PathBuf,
    #[command(flatten)]
    credential: CredentialArgs,
}

pub fn backup_header(common: &Common, args: &BackupHeader, show: Show) -> Outcome {
    let (vault, _) = open(common, &args.credential, show)?;
    vault.back_up_header(&args.to)?;
    vault.close()?;
    show.facts(&Facts::new().text_of("file", args.to.display()))?;
    Ok(Code::Ok)
}
