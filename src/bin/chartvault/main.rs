//! The command line tool `chartvault`: a vault looked after, filled and read without writing a program.
//!
//! It uses nothing but the crate's public API. A verb is a file; `args` has what all verbs take, `secrets` how secrets
//! come in, `show` how answers go out, `exit` what the exit codes mean. docs/cli.md is the page for whoever uses it.
#![forbid(unsafe_code)]
#![cfg_attr(
    not(test),
    warn(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::indexing_slicing,
        clippy::as_conversions,
        clippy::panic,
        clippy::unreachable,
        clippy::todo,
        clippy::unimplemented,
        clippy::dbg_macro
    )
)]

mod args;
mod audit;
mod backup;
mod check;
mod demo;
mod doctor;
mod door;
mod exit;
mod failure;
mod import;
mod init;
mod interrupt;
mod issuer;
mod key;
mod manual;
mod mends;
mod platform;
mod read;
mod report;
mod restore;
mod review;
mod salvage;
mod secrets;
mod show;
mod stats;
mod status;
mod ticker;
mod token;
mod whole;
mod words;

use std::io::{self, Write};
use std::process::ExitCode;

use clap::Parser;
use clap::error::ErrorKind;

use crate::args::{Cli, Verb};
use crate::exit::Code;
use crate::failure::Outcome;
use crate::show::Show;

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(told) => return usage(&told),
    };
    interrupt::watch();
    let code = match run(&cli, Show::new(&cli.common)) {
        Ok(code) => code,
        Err(failure) => failure.tell(cli.common.json),
    };
    code.into()
}

fn run(cli: &Cli, show: Show) -> Outcome {
    let common = &cli.common;
    match &cli.verb {
        Verb::Init(args) => init::run(common, args, show),
        Verb::Status(args) => status::run(common, args, show),
        Verb::Doctor(args) => doctor::run(common, args, show),
        Verb::Check(args) => check::run(common, args, show),
        Verb::Salvage(args) => salvage::run(common, args, show),
        Verb::Report(args) => report::run(common, args, show),
        Verb::Stats(args) => stats::run(common, args, show),
        Verb::Import(args) => import::run(common, args, show),
        Verb::Export(args) => read::export::run(common, args, show),
        Verb::Get(args) => read::get::run(common, args, show),
        Verb::Ls(args) => read::ls::run(common, args, show),
        Verb::History(args) => read::history::run(common, args, show),
        Verb::Key(verb) => key::run(common, verb, show),
        Verb::Token(verb) => token::run(common, verb, show),
        Verb::Review(verb) => review::run(common, verb, show),
        Verb::Audit(verb) => audit::run(common, verb, show),
        Verb::Backup(verb) => backup::run(common, verb, show),
        Verb::Restore(args) => restore::run(common, args, show),
        Verb::Demo(args) => demo::run(args, show),
        Verb::Completions(args) => manual::completions(args),
        Verb::Man(args) => manual::manual(args),
    }
}

/// Help goes to standard output and is a success; anything else that the arguments are wrong with is not.
fn usage(told: &clap::Error) -> ExitCode {
    let help = matches!(told.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion);
    let text = told.render();
    if help {
        let written = write!(io::stdout(), "{text}").and_then(|()| io::stdout().flush());
        return if written.is_ok() { Code::Ok } else { Code::Error }.into();
    }
    // Where nobody reads standard error there is nobody to tell.
    drop(write!(io::stderr(), "{text}"));
    Code::Usage.into()
}
