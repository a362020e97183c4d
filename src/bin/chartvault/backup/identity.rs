//! `backup new-identity`: what opens sealed backups.

use std::path::PathBuf;

use chartvault::BackupIdentity;
use clap::Args;

use crate::exit::Code;
use crate::failure::Outcome;
use crate::secrets::write_private;
use crate::show::{Facts, Show};

/// Make an age identity that opens sealed backups
#[derive(Args, Debug)]
#[command(after_help = "\
Example:
  chartvault backup new-identity --out office.identity

Keep the file where the backups are not, and not on the machine that makes them: that one needs only the recipient, which is \
shown (--seal-to). Any age tool can read it.")]
pub struct NewIdentity {
    /// The new file
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
}

pub fn run(args: &NewIdentity, show: Show) -> Outcome {
    let identity = BackupIdentity::generate();
    let recipient = identity.recipient();
    write_private(&args.out, &format!("# recipient: {recipient}\n{}\n", *identity.to_secret_text()))?;
    show.facts(&Facts::new().text_of("recipient", recipient).text_of("file", args.out.display()))?;
    Ok(Code::Ok)
}
