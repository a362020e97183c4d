//! `audit …`: who did what, and whether the log is whole.

mod anchor;
mod export;
mod filter;
mod proof;
mod query;
mod verify;

use clap::Subcommand;

use crate::args::Common;
use crate::failure::Outcome;
use crate::show::Show;

/// Read, verify and export the log
#[derive(Debug, Subcommand)]
#[command(after_help = "\
Examples:
  chartvault audit tail --token officer.token --purpose operations
  chartvault audit query --actor dr.osei --outcome denied --from 2026-11-01 \\
    --token officer.token --purpose operations
  chartvault audit verify --token officer.token --purpose operations
  chartvault audit anchor /media/stick/anchor

Sessions need the audit action for all patients and kinds. Reading the log is itself logged.")]
pub enum Audit {
    Tail(query::Tail),
    Query(query::Query),
    Explain(query::Explain),
    Access(query::Access),
    Export(export::Export),
    Verify(verify::Verify),
    Anchor(anchor::Anchor),
    Key(proof::Key),
    Bundle(proof::Bundle),
}

pub fn run(common: &Common, verb: &Audit, show: Show) -> Outcome {
    match verb {
        Audit::Tail(args) => query::tail(common, args, show),
        Audit::Query(args) => query::query(common, args, show),
        Audit::Explain(args) => query::explain(common, args, show),
        Audit::Access(args) => query::access(common, args, show),
        Audit::Export(args) => export::run(common, args, show),
        Audit::Verify(args) => verify::run(common, args, show),
        Audit::Anchor(args) => anchor::run(common, args, show),
        Audit::Key(args) => proof::key(common, args, show),
        Audit::Bundle(args) => proof::bundle(common, args, show),
    }
}
