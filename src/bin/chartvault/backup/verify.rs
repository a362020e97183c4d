//! `backup verify`: whether a backup is as it was made, with or without the vault.

use std::path::PathBuf;

use chartvault::{BackupCheck, BackupVerified};
use clap::Args;
use serde_json::json;

use super::ls::pinned;
use super::place;
use crate::args::Common;
use crate::door::open;
use crate::exit::Code;
use crate::failure::Outcome;
use crate::secrets::CredentialArgs;
use crate::show::{Facts, Show, printable};
use crate::ticker::Ticker;

/// Verify a backup, byte for byte
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  chartvault backup verify --to /mnt/disk/backups
  chartvault backup verify --to /mnt/disk/backups --signed-by VKEY
  chartvault backup verify --to /mnt/disk/backups --without-vault

With the vault (--vault, and a credential) its own key is demanded, its log compared, and the log told. With --signed-by, or \
--without-vault, no vault and no secret is needed: any machine can do it. Exit code 20: something is wrong, and is named.")]
pub struct Verify {
    /// The folder, or s3://bucket/prefix (gs://, az://)
    #[arg(long, visible_alias = "from", value_name = "PLACE")]
    to: String,
    /// The public key that has to have signed it (chartvault backup key); no vault is opened
    #[arg(long, value_name = "VKEY")]
    signed_by: Option<String>,
    /// Open no vault, and demand no signature
    #[arg(long, conflicts_with = "signed_by")]
    without_vault: bool,
    /// The file of an age identity, to look into sealed objects; can be repeated
    #[arg(long, value_name = "FILE")]
    identity: Vec<PathBuf>,
    #[command(flatten)]
    credential: CredentialArgs,
}

pub fn run(common: &Common, args: &Verify, show: Show) -> Outcome {
    let key = pinned(args.signed_by.as_deref())?;
    let identities = place::identities(&args.identity)?;
    let place = place::open(&args.to, place::To::Read)?;
    let found = if key.is_some() || args.without_vault {
        let mut ticker = Ticker::new(show);
        let check = key.into_iter().fold(BackupCheck::of(&*place), BackupCheck::signed_by);
        let check = identities.into_iter().fold(check, BackupCheck::identity);
        check.run_with(&mut |progress| ticker.tick(progress)).map_err(place::fault_told)?
    } else {
        let (vault, _) = open(common, &args.credential, show)?;
        let mut ticker = Ticker::new(show);
        let found = vault.verify_backup(&*place, &identities, &mut |progress| ticker.tick(progress));
        drop(ticker);
        let found = found.map_err(place::told)?;
        vault.close()?;
        found
    };
    tell(&found, show)?;
    Ok(if found.is_sound() { Code::Ok } else { Code::Tampering })
}

fn tell(found: &BackupVerified, show: Show) -> Outcome<()> {
    let findings: Vec<String> = found.findings.iter().map(ToString::to_string).collect();
    if show.json {
        return show.line(&json!({
            "sound": found.is_sound(),
            "manifests": found.manifests,
            "objects": found.objects,
            "bytes": found.bytes,
            "log_entries": found.entries,
            "newest_restorable": found.whole,
            "signatures_verified": found.signed,
            "looked_inside": found.looked_inside,
            "findings": findings,
            "more_findings": found.more_findings,
        }));
    }
    for finding in &findings {
        show.note(&printable(finding))?;
    }
    show.facts(
        &Facts::new()
            .with("sound", found.is_sound())
            .with("manifests", found.manifests)
            .with("objects", found.objects)
            .with("bytes", found.bytes)
            .with("log_entries", found.entries)
            .with("newest_restorable", found.whole)
            .with("signatures_verified", found.signed)
            .with("looked_inside", found.looked_inside)
            .with("findings", u64::try_from(findings.len()).unwrap_or(u64::MAX).saturating_add(found.more_findings)),
    )
}
