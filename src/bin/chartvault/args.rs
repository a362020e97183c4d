//! What all verbs take, and the list of verbs.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::read::{export, get, history, ls};
use crate::{audit, check, demo, doctor, import, init, key, manual, review, salvage, stats, status, token};

/// An encrypted, capability-guarded, audit-logged record store for patient charts.
#[derive(Debug, Parser)]
#[command(
    name = "chartvault",
    version,
    about,
    subcommand_required = true,
    arg_required_else_help = false,
    after_help = HELP,
    max_term_width = 100
)]
pub struct Cli {
    #[command(flatten)]
    pub common: Common,
    #[command(subcommand)]
    pub verb: Verb,
}

const HELP: &str = "\
First steps:
  chartvault init --vault clinic.vault --issuer issuer.key
  chartvault status --vault clinic.vault
  chartvault demo                          a drill for staff, on a vault that is thrown away

Secrets are asked for, or read from a file, a descriptor or a command; never given as arguments.
Exit codes: 0 done, 1 error, 2 usage, 3 partly done, 10 no vault, 11 in use, 12 wrong credential,
20 tampering or damage found, 21 warnings, 130 interrupted.";

/// What every verb takes.
#[derive(Args, Clone, Debug)]
pub struct Common {
    /// The vault's directory
    #[arg(
        long,
        global = true,
        help_heading = "Every verb",
        value_name = "DIR",
        env = "CHARTVAULT",
        hide_env_values = true
    )]
    pub vault: Option<PathBuf>,
    /// Answer in JSON, for programs
    #[arg(long, global = true, help_heading = "Every verb")]
    pub json: bool,
    /// When progress is shown on standard error; auto: on a terminal
    #[arg(
        long,
        global = true,
        help_heading = "Every verb",
        value_name = "WHEN",
        default_value = "auto",
        hide_possible_values = true
    )]
    pub progress: ProgressWhen,
    /// The directory of a header that is kept apart from the vault
    #[arg(
        long,
        global = true,
        help_heading = "Every verb",
        value_name = "DIR",
        env = "CHARTVAULT_HEADER",
        hide_env_values = true,
        hide_short_help = true
    )]
    pub header: Option<PathBuf>,
    /// A directory outside the vault that keeps the log's last checkpoint; compared with at each opening
    #[arg(
        long,
        global = true,
        help_heading = "Every verb",
        value_name = "DIR",
        env = "CHARTVAULT_ANCHOR",
        hide_env_values = true,
        hide_short_help = true
    )]
    pub anchor: Option<PathBuf>,
    /// The file of the key that signs the log's checkpoints, where it is not in the vault's directory
    #[arg(
        long,
        global = true,
        help_heading = "Every verb",
        value_name = "FILE",
        env = "CHARTVAULT_SIGNING_KEY",
        hide_env_values = true,
        hide_short_help = true
    )]
    pub signing_key: Option<PathBuf>,
}

/// When progress is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ProgressWhen {
    Auto,
    Always,
    Never,
}

#[derive(Debug, Subcommand)]
pub enum Verb {
    Init(init::Init),
    Status(status::Status),
    Doctor(doctor::Doctor),
    Check(check::Check),
    Salvage(salvage::Salvage),
    Stats(stats::Stats),
    Import(import::Import),
    Export(export::Export),
    Get(get::Get),
    Ls(ls::Ls),
    History(history::History),
    #[command(subcommand)]
    Key(key::Key),
    #[command(subcommand)]
    Token(token::Token),
    #[command(subcommand)]
    Review(review::Review),
    #[command(subcommand)]
    Audit(audit::Audit),
    Demo(demo::Demo),
    Completions(manual::Completions),
    Man(manual::Manual),
}
