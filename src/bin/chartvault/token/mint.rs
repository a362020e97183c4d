//! `token mint`: a grant, signed. Needs no credential of the vault, only its id.

use std::path::PathBuf;

use chartvault::{Caveat, Grant, GrantError, VaultId};
use clap::Args;

use super::limits::{Limits, say};
use super::write_token;
use crate::args::Common;
use crate::door::find;
use crate::exit::Code;
use crate::failure::{Failure, Outcome};
use crate::issuer;
use crate::show::{Facts, Show};

/// Sign a token with an issuer's secret key
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  chartvault token mint --vault clinic.vault --issuer issuer.key --to dr.osei \\
    --actions read,list,create,amend --all-patients --all-kinds --purpose treatment \\
    --valid-for 12h --out osei.token
  chartvault token mint --vault clinic.vault --issuer issuer.key --to privacy.officer \\
    --actions audit,review,grant,operate --all-patients --all-kinds --purpose operations \\
    --valid-for 8h --out officer.token

The issuer's machine needs no vault: --vault-id names it there (chartvault status shows it).")]
pub struct Mint {
    /// The file with the issuer's secret key
    #[arg(long, value_name = "FILE")]
    issuer: PathBuf,
    /// Who it is granted to, by name
    #[arg(long, value_name = "NAME")]
    to: String,
    /// The file to write it to
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    /// The vault's id, where the vault is not at hand
    #[arg(long, value_name = "ID")]
    vault_id: Option<VaultId>,
    #[command(flatten)]
    limits: Limits,
    /// In the charts of all patients, and the facility's
    #[arg(long)]
    all_patients: bool,
    /// With all kinds of record
    #[arg(long)]
    all_kinds: bool,
    /// Only say what would be granted
    #[arg(long)]
    dry_run: bool,
}

pub fn run(common: &Common, args: &Mint, show: Show) -> Outcome {
    let issuer = issuer::read(&args.issuer)?;
    let vault = match args.vault_id {
        Some(id) => id,
        None => find(common)?.id()?,
    };
    let mut grant = say!(&args.limits, Grant::to(&args.to));
    if args.all_patients {
        grant = grant.all_patients();
    }
    if args.all_kinds {
        grant = grant.all_kinds();
    }
    let token = grant.sign(&issuer, vault).map_err(refused)?;
    if !args.dry_run {
        write_token(&args.out, &token.expose_text())?;
    }
    let rights = token.inspect().effective();
    let facts = Facts::new()
        .text_of("token", token.id())
        .text_of("vault", vault)
        .text_of("issuer", token.issuer())
        .text_of("subject", rights.subject)
        .text_of("to", &args.to)
        .text_of("valid_until", token.not_after())
        .text_of("file", args.out.display())
        .with("dry_run", args.dry_run);
    show.facts(&facts)?;
    Ok(Code::Ok)
}

fn refused(error: GrantError) -> Failure {
    let hint = match &error {
        GrantError::Missing { caveat: Caveat::Patients } => "say --all-patients, or --patient PATIENT",
        GrantError::Missing { caveat: Caveat::Kinds } => "say --all-kinds, or --kind KIND",
        GrantError::Missing { caveat: Caveat::Actions } => "say what may be done, such as --actions read,list",
        GrantError::Missing { caveat: Caveat::Purposes } => "say for what, such as --purpose treatment",
        GrantError::Missing { caveat: Caveat::NotAfter } => "say for how long, such as --valid-for 12h",
        _ => return Failure::usage(error),
    };
    Failure::usage(error).hint(hint)
}
