//! What all verbs take, and the list of verbs.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::read::{export, get, history, ls};
use crate::{
    audit, backup, check, demo, doctor, import, init, key, manual, report, restore, review, salvage, stats, status,
    token,
};

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
First steps, with CHARTVAULT=clinic.vault in the environment (or --vault clinic.vault each time):
  chartvault init --issuer issuer.key
  chartvault token mint --issuer issuer.key --to importer --actions create,read,list \\
    --all-patients --all-kinds --purpose operations --valid-for 8h --out importer.token
  chartvault import FILE.ndjson --token importer.token --purpose operations
  echo 'urn:fhir:Patient|ID' | chartvault ls --find - --token importer.token --purpose operations
  chartvault token mint --issuer issuer.key --to officer --actions audit,review,grant,operate \\
    --all-patients --all-kinds --purpose operations --valid-for 8h --out officer.token
  chartvault audit tail --token officer.token --purpose operations
  chartvault backup run --to /mnt/disk/backups --packs /mnt/safe/packs --create
  chartvault backup verify --to /mnt/disk/backups
  chartvault key backup-header /media/stick/clinic.header
  chartvault doctor --token officer.token --purpose operations

The way back, on a new machine:
  chartvault restore --from /mnt/disk/backups --packs /mnt/safe/packs --into new.vault

A drill for staff, on a vault that is thrown away: chartvault demo

Secrets are asked for, or read from a file, a descriptor or a command; never given as arguments.

Exit codes: 0 done, 1 error, 2 usage, 3 partly done, 10 no vault, 11 in use, 12 wrong credential, \
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
    Report(report::Report),
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
    #[command(subcommand)]
    Backup(backup::Backup),
    Restore(restore::Restore),
    Demo(demo::Demo),
    Completions(manual::Completions),
    Man(manual::Manual),
}

#[cfg(test)]
mod tests {
    use clap::{Command, CommandFactory};

    use super::*;

    /// Every command line that a help text shows, with what stands for ids in it.
    fn examples(command: &Command, found: &mut Vec<String>) {
        let text = command.get_after_help().map(ToString::to_string).unwrap_or_default().replace("\\\n    ", "");
        for line in text.lines().filter_map(|line| line.strip_prefix("  ")) {
            assert!(line.contains("chartvault "), "{line}");
            let call = line.split(" | ").find(|part| part.starts_with("chartvault ")).unwrap_or_default();
            let call = call.split(" > ").next().unwrap_or_default().split("   ").next().unwrap_or_default();
            found.push(call.to_owned());
        }
        command.get_subcommands().for_each(|verb| examples(verb, found));
    }

    #[test]
    fn every_example_is_taken() {
        Cli::command().debug_assert();
        let (mut found, id) = (Vec::new(), "00112233445566778899aabbccddeeff");
        examples(&Cli::command(), &mut found);
        assert!(found.len() > 60, "{}", found.len());
        for example in found {
            let real = example
                .replace("cvpk1_…", "cvpk1_R5K7OcHCLdnh7OXu5TxnRLjE4zpy8H8Qh1vMEaEbThE")
                .replace("ref-…", &format!("ref-{id}-{id}-1"))
                .replace("TOKEN-ID", &format!("rid-{id}"))
                .replace("ISSUER-ID", &format!("issuer-{id}"))
                .replace('…', id);
            let mut words = vec![String::new()];
            // Words as a shell has them, with single quotes.
            for (at, part) in real.split('\'').enumerate() {
                for (number, word) in part.split(|letter| at % 2 == 0 && letter == ' ').enumerate() {
                    if number > 0 {
                        words.push(String::new());
                    }
                    words.last_mut().unwrap().push_str(word);
                }
            }
            words.retain(|word| !word.is_empty());
            let taken = Cli::try_parse_from(&words);
            assert!(taken.is_ok(), "{example}\n{}", taken.unwrap_err());
        }
    }

    /// Arguments can be read by others on the machine, and stand in histories of shells.
    #[test]
    fn no_argument_takes_a_secret() {
        fn check(command: &Command) -> usize {
            let takes = |arg: &&clap::Arg| arg.get_action().takes_values();
            let secret = |name: &str| {
                ["passphrase", "token", "recovery", "key", "issuer", "secret"].iter().any(|word| name.contains(word))
            };
            let mut seen = 0;
            for arg in command.get_arguments().filter(takes).filter(|arg| arg.get_long().is_some_and(secret)) {
                let from = arg.get_value_names().map(|names| names[0].to_string()).unwrap_or_default();
                assert!(["FILE", "N", "COMMAND", "ISSUER-ID"].contains(&from.as_str()), "{arg}");
                seen += 1;
            }
            seen + command.get_subcommands().map(check).sum::<usize>()
        }
        assert!(check(&Cli::command()) > 100);
    }

    /// What is wider is broken by the terminal in the middle of a command.
    #[test]
    fn examples_fit() {
        fn check(command: &Command) {
            let text = command.get_after_help().map(ToString::to_string).unwrap_or_default();
            for line in text.lines().filter(|line| line.starts_with("  ")) {
                assert!(line.chars().count() <= 100, "{line}");
            }
            command.get_subcommands().for_each(check);
        }
        check(&Cli::command());
    }
}
