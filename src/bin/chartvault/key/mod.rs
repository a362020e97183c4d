//! `key …`: what opens the vault, and what its records are sealed with.

mod add;
mod rotate;
mod slots;

use clap::Subcommand;

use crate::args::Common;
use crate::failure::Outcome;
use crate::show::Show;

/// Add, change and remove what opens the vault; rotate its keys
#[derive(Debug, Subcommand)]
#[command(after_help = "\
Examples:
  chartvault key ls
  chartvault key add recovery-key --out recovery.txt
  chartvault key change
  chartvault key backup-header /media/stick/clinic.header
  chartvault key rotate data

docs/keys.md says what to do on the first day, when somebody leaves, and when a disk was stolen.")]
pub enum Key {
    Ls(slots::Ls),
    Add(add::Add),
    Remove(slots::Remove),
    Change(slots::Change),
    BackupHeader(slots::BackupHeader),
    Rotate(rotate::Rotate),
}

pub fn run(common: &Common, verb: &Key, show: Show) -> Outcome {
    match verb {
        Key::Ls(args) => slots::ls(common, args, show),
        Key::Add(args) => add::run(common, args, show),
        Key::Remove(args) => slots::remove(common, args, show),
        Key::Change(args) => slots::change(common, args, show),
        Key::BackupHeader(args) => slots::backup_header(common, args, show),
        Key::Rotate(args) => rotate::run(common, args, show),
    }
}
