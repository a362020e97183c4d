//! `token issuer …`: whose grants a vault takes.

use std::path::PathBuf;

use chartvault::{IssuerId, IssuerPublicKey};
use clap::{Args, Subcommand};
use serde_json::json;

use crate::args::Common;
use crate::door::{SessionArgs, enter, open};
use crate::exit::Code;
use crate::failure::{Failure, Outcome};
use crate::issuer;
use crate::secrets::CredentialArgs;
use crate::show::{Facts, Show, Table};

/// Draw issuers' keys, trust and distrust issuers
#[derive(Debug, Subcommand)]
pub enum Issuer {
    New(New),
    Trust(Trust),
    Ls(Ls),
    Distrust(Distrust),
}

pub fn run(common: &Common, verb: &Issuer, show: Show) -> Outcome {
    match verb {
        Issuer::New(args) => new(args, show),
        Issuer::Trust(args) => trust(common, args, show),
        Issuer::Ls(args) => ls(common, args, show),
        Issuer::Distrust(args) => distrust(common, args, show),
    }
}

/// Draw a secret key and write it to a new file
#[derive(Args, Debug)]
#[command(after_help = "\
Example, on another machine than the vault's:
  chartvault token issuer new --out issuer.key")]
pub struct New {
    /// The file to write it to, for its owner alone
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
}

fn new(args: &New, show: Show) -> Outcome {
    let key = issuer::make(&args.out)?;
    let public = key.public();
    let facts =
        Facts::new().text_of("public_key", public).text_of("issuer", public.id()).text_of("file", args.out.display());
    show.facts(&facts)?;
    show.note(&format!("\nNext: chartvault token issuer trust {public} --vault DIR"))?;
    Ok(Code::Ok)
}

/// Accept the tokens of an issuer from now on
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  chartvault token issuer trust cvpk1_… --vault clinic.vault
  chartvault token issuer trust --issuer issuer.key --vault clinic.vault")]
pub struct Trust {
    /// The issuer's public key
    #[arg(value_name = "PUBLIC-KEY", required_unless_present = "issuer")]
    public: Option<IssuerPublicKey>,
    /// The file with the issuer's secret key, instead of its public key
    #[arg(long, value_name = "FILE", conflicts_with = "public")]
    issuer: Option<PathBuf>,
    /// Only say what would be trusted
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    credential: CredentialArgs,
}

fn trust(common: &Common, args: &Trust, show: Show) -> Outcome {
    let public = match (args.public, &args.issuer) {
        (Some(public), _) => public,
        (None, Some(path)) => issuer::read(path)?.public(),
        (None, None) => return Err(Failure::usage("say which issuer: its public key, or --issuer FILE")),
    };
    if !args.dry_run {
        let (vault, secret) = open(common, &args.credential, show)?;
        vault.trust_issuer(public, secret.credential())?;
        vault.close()?;
    }
    let facts = Facts::new().text_of("public_key", public).text_of("issuer", public.id()).with("dry_run", args.dry_run);
    show.facts(&facts)?;
    Ok(Code::Ok)
}

/// List the issuers that the vault trusts, or trusted
#[derive(Args, Debug)]
#[command(after_help = "\
Example:
  chartvault token issuer ls --token officer.token --purpose operations

The session needs the operate action.")]
pub struct Ls {
    #[command(flatten)]
    session: SessionArgs,
    #[command(flatten)]
    credential: CredentialArgs,
}

fn ls(common: &Common, args: &Ls, show: Show) -> Outcome {
    let (vault, session) = enter(common, &args.credential, &args.session, show)?;
    let mut table =
        Table::new(&["issuer", "public_key", "trusted_at", "revoked_at", "live_grants", "last_used", "has_ceiling"]);
    for issuer in session.issuers()? {
        table.row([
            json!(issuer.id.to_string()),
            json!(issuer.public.to_string()),
            json!(issuer.trusted_at.to_string()),
            json!(issuer.revoked_at.map(|at| at.to_string())),
            json!(issuer.live_grants),
            json!(issuer.last_used.map(|at| at.to_string())),
            json!(issuer.ceiling.is_some()),
        ]);
    }
    vault.close()?;
    show.table("issuers", &table, Facts::new())?;
    Ok(Code::Ok)
}

/// Refuse all tokens of an issuer, for good
#[derive(Args, Debug)]
#[command(after_help = "\
Example:
  chartvault token issuer distrust ISSUER-ID --reason 'key was shown' --vault clinic.vault")]
pub struct Distrust {
    /// The issuer's id
    #[arg(value_name = "ISSUER-ID")]
    issuer: IssuerId,
    /// Why; it stands in the log
    #[arg(long)]
    reason: String,
    /// Only say what would be done
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    credential: CredentialArgs,
}

fn distrust(common: &Common, args: &Distrust, show: Show) -> Outcome {
    if !args.dry_run {
        let (vault, secret) = open(common, &args.credential, show)?;
        vault.distrust_issuer(args.issuer, &args.reason, secret.credential())?;
        vault.close()?;
    }
    show.facts(&Facts::new().text_of("distrusted", args.issuer).with("dry_run", args.dry_run))?;
    Ok(Code::Ok)
}
