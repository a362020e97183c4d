//! `restore`: a backup becomes a vault again.

use std::path::PathBuf;

use chartvault::{RestorePoint, Vault};
use clap::Args;

use crate::args::Common;
use crate::backup::place;
use crate::door::options;
use crate::exit::Code;
use crate::failure::Outcome;
use crate::platform::make_private_dir;
use crate::secrets::CredentialArgs;
use crate::show::{Facts, Show};
use crate::ticker::Ticker;
use crate::words;

/// Bring a backup back, into an empty directory
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  chartvault restore --from /mnt/disk/backups --packs /mnt/safe/packs --into new.vault
  chartvault restore --from /mnt/disk/backups --packs /mnt/safe/packs --into new.vault \\
    --to entry:5211
  chartvault restore --from /mnt/disk/backups --packs /mnt/safe/packs --into new.vault \\
    --to time:2026-11-23T08:30:00Z

The credential is one of the vault's (those of the newest key pack). Patients who were erased since stay erased. If it is \
interrupted, run it again. Afterwards: chartvault check --all, and a backup of the new vault. An anchor (--anchor) that knows of \
more than the backup refuses the restored vault: keep it, and begin another, chartvault audit anchor NEWDIR.")]
pub struct Restore {
    /// The folder, or s3://bucket/prefix (gs://, az://), with the backups
    #[arg(long, value_name = "PLACE")]
    from: String,
    /// Where the key packs are
    #[arg(long, value_name = "PLACE")]
    packs: String,
    /// The directory of the vault, which is empty or not there yet
    #[arg(long, value_name = "DIR")]
    into: PathBuf,
    /// To which state: newest, manifest:NUMBER, entry:NUMBER (of the log), time:WHEN
    #[arg(long, value_name = "STATE", default_value = "newest", value_parser = point)]
    to: RestorePoint,
    /// The file of an age identity, where the backup is sealed; can be repeated
    #[arg(long, value_name = "FILE")]
    identity: Vec<PathBuf>,
    #[command(flatten)]
    credential: CredentialArgs,
}

fn point(text: &str) -> Result<RestorePoint, String> {
    let number = |digits: &str| digits.parse::<u64>().map_err(|_| format!("{digits:?} is no number"));
    match text.split_once(':') {
        None if text == "newest" => Ok(RestorePoint::Newest),
        Some(("manifest", digits)) => number(digits).map(RestorePoint::Manifest),
        Some(("entry", digits)) => number(digits).map(RestorePoint::Entry),
        Some(("time", when)) => words::instant(when).map(RestorePoint::Time),
        _ => Err("there are newest, manifest:NUMBER, entry:NUMBER and time:WHEN".to_owned()),
    }
}

pub fn run(common: &Common, args: &Restore, show: Show) -> Outcome {
    let identities = place::identities(&args.identity)?;
    let (from, packs) = (place::open(&args.from, place::To::Read)?, place::open(&args.packs, place::To::Read)?);
    let secret = args.credential.read("Passphrase of the vault: ")?;
    // Its owner's alone; what is wrong with the place the restore says.
    let _ = make_private_dir(&args.into);
    let mut ticker = Ticker::new(show);
    let restore = Vault::restore(&*from).packs_from(&*packs).to(args.to).options(options(common));
    let restore = identities.into_iter().fold(restore, chartvault::Restore::identity);
    let restored = restore.into_with(&args.into, secret.credential(), &mut |progress| ticker.tick(progress));
    drop(ticker);
    let restored = restored.map_err(place::told)?;
    show.facts(
        &Facts::new()
            .text_of("vault", restored.vault)
            .text_of("directory", restored.path.display())
            .with("manifest", restored.manifest)
            .with("log_entries", restored.entries)
            .with("log_entries_left_out", restored.left_out)
            .with("pack", restored.pack)
            .with("erased_again", restored.erased.erased)
            .with("seconds", (restored.took.as_secs_f64() * 10.0).round() / 10.0),
    )?;
    let into = args.into.display();
    show.note(&format!(
        "\nSee that it is sound: chartvault check --all --vault {into}\nThen back it up: chartvault backup run --vault {into} --to {} \
         --packs {}",
        args.from, args.packs
    ))?;
    if common.anchor.is_some() {
        show.note("Begin a new anchor, since that one knows of what is not restored: chartvault audit anchor NEWDIR")?;
    }
    Ok(Code::Ok)
}
