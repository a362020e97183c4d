//! `stats`: how much there is, and how old it is. Nothing about anybody.

use chartvault::CheckScope;
use clap::Args;

use crate::args::Common;
use crate::door::{directory, open};
use crate::exit::Code;
use crate::failure::Outcome;
use crate::init::cipher;
use crate::secrets::CredentialArgs;
use crate::show::{Facts, Show};
use crate::status::size;
use crate::ticker::Ticker;

/// Say how much there is
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  chartvault stats
  chartvault stats --count --json

Needs no token, since it is about nobody. --count reads all rows, as `chartvault check` does, and is logged as a check.")]
pub struct Stats {
    /// Also count rows and records, by reading all of them
    #[arg(long)]
    count: bool,
    #[command(flatten)]
    credential: CredentialArgs,
}

pub fn run(common: &Common, args: &Stats, show: Show) -> Outcome {
    let dir = directory(common)?;
    let (vault, _) = open(common, &args.credential, show)?;
    let keys = vault.key_report()?;
    let mut facts = Facts::new()
        .text_of("vault", vault.id())
        .maybe("created", keys.created)
        .with("cipher", cipher(vault.suite()))
        .with("log_entries", vault.log_checkpoint()?.size)
        .with("signing_epoch", vault.opening().signing_epoch)
        .with("key_slots", keys.slots.len())
        .with("data_key", keys.rotation.data_epoch)
        .with("log_key", keys.rotation.audit_epoch)
        .with("rotation_under_way", keys.rotation.is_under_way())
        .with("patients_erased", keys.erasures)
        .with("in_doubt", vault.doubt()?.is_some())
        .with("journal_bytes", size(&dir.join("journal")))
        .with("bytes", size(dir));
    let mut code = Code::Ok;
    if args.count {
        let mut ticker = Ticker::new(show);
        let report = vault.check(CheckScope::Trees, &mut |progress| ticker.tick(progress))?;
        facts = facts.with("rows", report.rows).with("records", report.records);
        if !report.is_sound() {
            code = Code::Tampering;
        }
    }
    vault.close()?;
    show.facts(&facts)?;
    Ok(code)
}
