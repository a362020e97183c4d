//! `token …`: who may do what.

mod attenuate;
mod grants;
mod inspect;
mod issuers;
mod limits;
mod mint;

pub use self::inspect::listed;

use std::io::Write;
use std::path::Path;

use clap::Subcommand;

use crate::args::Common;
use crate::failure::{Failure, Outcome};
use crate::secrets::new_private;
use crate::show::Show;

/// Grant rights, narrow, list and revoke them
#[derive(Debug, Subcommand)]
#[command(after_help = "\
Examples:
  chartvault token mint --issuer issuer.key --to dr.osei --actions read,list,create,amend \\
    --all-patients --all-kinds --purpose treatment --valid-for 12h --out osei.token
  chartvault token inspect osei.token
  chartvault token attenuate --token osei.token --actions read --valid-for 30m --out nurse.token
  chartvault token ls --token officer.token --purpose operations
  chartvault token revoke TOKEN-ID --reason 'left the house' \\
    --token officer.token --purpose operations")]
pub enum Token {
    Mint(mint::Mint),
    Inspect(inspect::Inspect),
    Attenuate(attenuate::Attenuate),
    Ls(grants::Ls),
    Register(grants::Register),
    Revoke(grants::Revoke),
    #[command(subcommand)]
    Issuer(issuers::Issuer),
}

pub fn run(common: &Common, verb: &Token, show: Show) -> Outcome {
    match verb {
        Token::Mint(args) => mint::run(common, args, show),
        Token::Inspect(args) => inspect::run(args, show),
        Token::Attenuate(args) => attenuate::run(args, show),
        Token::Ls(args) => grants::ls(common, args, show),
        Token::Register(args) => grants::register(common, args, show),
        Token::Revoke(args) => grants::revoke(common, args, show),
        Token::Issuer(verb) => issuers::run(common, verb, show),
    }
}

/// Writes a token to a new file for its owner alone.
fn write_token(path: &Path, text: &str) -> Outcome<()> {
    let mut file = new_private(path)?;
    let written = file.write_all(text.as_bytes()).and_then(|()| file.write_all(b"\n")).and_then(|()| file.sync_all());
    written.map_err(|error| Failure::file("writing", path, &error))
}
