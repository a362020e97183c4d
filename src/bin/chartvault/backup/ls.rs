//! `backup ls` and `backup key`: what there is to restore, and the key that signed it.

use chartvault::{BackupKey, BackupPoint};
use clap::Args;
use serde_json::json;

use super::place;
use crate::args::Common;
use crate::door::open;
use crate::exit::Code;
use crate::failure::{Failure, Outcome};
use crate::secrets::CredentialArgs;
use crate::show::{Facts, Show, Table};

/// List the backups at a place
#[derive(Args, Debug)]
#[command(after_help = "\
Example:
  chartvault backup ls --to /mnt/disk/backups

Needs no vault. With --signed-by each has to be signed by that key; chartvault backup key shows the vault's.")]
pub struct Ls {
    /// The folder, or s3://bucket/prefix (gs://, az://)
    #[arg(long, visible_alias = "from", value_name = "PLACE")]
    to: String,
    /// The public key that has to have signed them
    #[arg(long, value_name = "VKEY")]
    signed_by: Option<String>,
}

/// A public key out of an argument.
pub fn pinned(given: Option<&str>) -> Outcome<Option<BackupKey>> {
    let parse = |text: &str| text.parse().map_err(|error| Failure::usage(format_args!("{text}: {error}")));
    given.map(parse).transpose()
}

pub fn run(args: &Ls, show: Show) -> Outcome {
    let key = pinned(args.signed_by.as_deref())?;
    let place = place::open(&args.to, place::To::Read)?;
    let points = BackupPoint::list(&*place, key.as_ref()).map_err(place::fault_told)?;
    let mut table =
        Table::new(&["manifest", "made", "restorable", "copy", "log_entries", "objects", "bytes", "sealed", "pack"]);
    for point in &points {
        table.row([
            json!(point.manifest),
            json!(point.made.to_string()),
            json!(point.is_whole),
            json!(point.copy),
            json!(point.entries),
            json!(point.objects),
            json!(point.bytes),
            json!(point.is_sealed),
            json!(point.pack),
        ]);
    }
    show.table("backups", &table, Facts::new())?;
    if points.is_empty() {
        let mut packs = false;
        place.list("packs/", &mut |_| packs = true).map_err(place::failed)?;
        show.note(if packs {
            "There is no backup here, but there are key packs: name the place of the backups"
        } else {
            "There is no backup here"
        })?;
    }
    Ok(Code::Ok)
}

/// Show the public key that verifies the vault's backups
#[derive(Args, Debug)]
#[command(after_help = "\
Example:
  chartvault backup key

It stays the same for good. Note it where the backups are not: chartvault backup verify --signed-by VKEY then works on any \
machine, without the vault.")]
pub struct Key {
    #[command(flatten)]
    credential: CredentialArgs,
}

pub fn key(common: &Common, args: &Key, show: Show) -> Outcome {
    let (vault, _) = open(common, &args.credential, show)?;
    let facts = Facts::new().text_of("backup_key", vault.backup_key()?);
    vault.close()?;
    show.facts(&facts)?;
    Ok(Code::Ok)
}
