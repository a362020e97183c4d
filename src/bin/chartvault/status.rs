//! `status`: what can be said of a vault without opening it. Nothing about anybody.

use std::fs;
use std::path::Path;

use chartvault::{Error, Vault};
use clap::Args;

use crate::args::Common;
use crate::door::{directory, options};
use crate::exit::Code;
use crate::failure::Outcome;
use crate::show::{Facts, Show};

/// Say what there is, without a credential
#[derive(Args, Debug)]
#[command(after_help = "\
Example:
  chartvault status --vault clinic.vault

It shows the vault's id, whether another program has it open, and what it takes on the disk. Backups: chartvault backup status. \
What should be seen to: chartvault doctor.")]
pub struct Status {}

pub fn run(common: &Common, _: &Status, show: Show) -> Outcome {
    let dir = directory(common)?;
    let (id, state) = match Vault::open_with(dir, options(common)) {
        Ok(locked) => (Some(locked.id()?), "not in use"),
        Err(Error::InUse { .. }) => (None, "in use by another program"),
        Err(error) => return Err(error.into()),
    };
    let header = common.header.as_deref().unwrap_or(dir);
    let copies = ["header.a", "header.b"].iter().filter(|name| header.join(name).is_file()).count();
    let facts = Facts::new()
        .text_of("directory", dir.display())
        .maybe("vault", id)
        .with("state", state)
        .with("header_copies", copies)
        .with("journal_bytes", size(&dir.join("journal")))
        .with("bytes", size(dir));
    show.facts(&facts)?;
    Ok(Code::Ok)
}

/// Bytes of all files in a directory; `None` where they cannot be looked at.
pub fn size(dir: &Path) -> Option<u64> {
    fs::read_dir(dir).ok()?.try_fold(0, |sum: u64, entry| {
        let entry = entry.ok()?;
        let about = entry.metadata().ok()?;
        Some(sum.saturating_add(if about.is_dir() { size(&entry.path())? } else { about.len() }))
    })
}
