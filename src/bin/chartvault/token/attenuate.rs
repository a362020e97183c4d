//! `token attenuate`: a narrower token, made offline by whoever holds one.

use std::path::PathBuf;

use chartvault::{AttenuateError, SealedToken, Token};
use clap::Args;

use super::limits::{Limits, say};
use super::write_token;
use crate::exit::Code;
use crate::failure::{Failure, Outcome};
use crate::secrets::{first_line, private_file};
use crate::show::{Facts, Show};

/// Make a narrower token, to hand on
#[derive(Args, Debug)]
#[command(after_help = "\
Example:
  chartvault token attenuate \\
    --token osei.token --patient patient-… --actions read --valid-for 30m --out nurse.token

Needs neither the vault nor the issuer. What is not said stays as it is; nothing can be widened.")]
pub struct Attenuate {
    /// The file of the token to narrow
    #[arg(long, value_name = "FILE", env = "CHARTVAULT_TOKEN_FILE", hide_env_values = true)]
    token: PathBuf,
    /// The file to write the narrower one to
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    #[command(flatten)]
    limits: Limits,
    /// Make one that nobody can narrow further
    #[arg(long)]
    seal: bool,
    /// Only say what would be left
    #[arg(long)]
    dry_run: bool,
}

pub fn run(args: &Attenuate, show: Show) -> Outcome {
    let text = first_line(&private_file(&args.token)?, "a token")?;
    let token = Token::from_text(&text).map_err(|error| {
        Failure::new(Code::WrongCredential, format_args!("{} cannot be narrowed: {error}", args.token.display()))
    })?;
    let narrower = say!(&args.limits, token.attenuate()).finish().map_err(refused)?;
    let sealed: Option<SealedToken> = args.seal.then(|| narrower.seal()).transpose().map_err(refused)?;
    let written = sealed.as_ref().map_or_else(|| narrower.expose_text(), SealedToken::expose_text);
    if !args.dry_run {
        write_token(&args.out, &written)?;
    }
    let facts = Facts::new()
        .text_of("token", narrower.id())
        .text_of("narrowed_from", token.id())
        .text_of("valid_until", narrower.not_after())
        .with("sealed", args.seal)
        .text_of("file", args.out.display())
        .with("dry_run", args.dry_run);
    show.facts(&facts)?;
    Ok(Code::Ok)
}

fn refused(error: AttenuateError) -> Failure {
    Failure::usage(error).hint("see what the token allows: chartvault token inspect FILE")
}
