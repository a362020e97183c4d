//! `backup …`: copies of the vault elsewhere, and the proof that they are good.

mod drill;
mod follow;
mod identity;
mod ls;
pub mod place;
mod prune;
mod run;
mod status;
mod verify;
mod watch;

use clap::Subcommand;

use crate::args::Common;
use crate::failure::Outcome;
use crate::show::Show;

/// Make, verify and rehearse backups
#[derive(Debug, Subcommand)]
#[command(after_help = "\
Examples:
  chartvault backup run --to /mnt/disk/backups --packs /mnt/safe/packs --create
  chartvault backup verify --to /mnt/disk/backups
  chartvault backup drill --to /mnt/disk/backups --packs /mnt/safe/packs
  chartvault restore --from /mnt/disk/backups --packs /mnt/safe/packs --into new.vault

A backup opens with a key pack and a credential of the vault: keep the key packs in another place than the backups. \
docs/backup.md has the whole of it.")]
pub enum Backup {
    Run(run::Run),
    Watch(watch::Watch),
    Ls(ls::Ls),
    Status(status::Status),
    Verify(verify::Verify),
    Drill(drill::Drill),
    Prune(prune::Prune),
    Follow(follow::Follow),
    Key(ls::Key),
    NewIdentity(identity::NewIdentity),
}

pub fn run(common: &Common, verb: &Backup, show: Show) -> Outcome {
    match verb {
        Backup::Run(args) => run::run(common, args, show),
        Backup::Watch(args) => watch::run(common, args, show),
        Backup::Ls(args) => ls::run(args, show),
        Backup::Status(args) => status::run(common, args, show),
        Backup::Verify(args) => verify::run(common, args, show),
        Backup::Drill(args) => drill::run(common, args, show),
        Backup::Prune(args) => prune::run(common, args, show),
        Backup::Follow(args) => follow::run(args, show),
        Backup::Key(args) => ls::key(common, args, show),
        Backup::NewIdentity(args) => identity::run(args, show),
    }
}
