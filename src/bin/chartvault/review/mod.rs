//! `review …`: what somebody other than the one whom it is about has to decide.

mod cases;
mod flags;
mod rounds;

use clap::Subcommand;

use crate::args::Common;
use crate::failure::Outcome;
use crate::show::Show;

/// Review grants, emergencies and flags
#[derive(Debug, Subcommand)]
#[command(after_help = "\
Examples:
  chartvault review open --due 30d --token officer.token --purpose operations
  chartvault review show 1 --token officer.token --purpose operations
  chartvault review decide 1 TOKEN-ID keep --token officer.token --purpose operations
  chartvault review cases --token officer.token --purpose operations

Sessions need the review action. Nobody decides over their own. docs/access.md says how often.")]
pub enum Review {
    Ls(rounds::Ls),
    Open(rounds::Open),
    Show(rounds::Items),
    Decide(rounds::Decide),
    Close(rounds::Close),
    Cases(cases::List),
    CloseCase(cases::Close),
    Flags(flags::List),
    CloseFlag(flags::Close),
}

pub fn run(common: &Common, verb: &Review, show: Show) -> Outcome {
    match verb {
        Review::Ls(args) => rounds::ls(common, args, show),
        Review::Open(args) => rounds::open(common, args, show),
        Review::Show(args) => rounds::items(common, args, show),
        Review::Decide(args) => rounds::decide(common, args, show),
        Review::Close(args) => rounds::close(common, args, show),
        Review::Cases(args) => cases::list(common, args, show),
        Review::CloseCase(args) => cases::close(common, args, show),
        Review::Flags(args) => flags::list(common, args, show),
        Review::CloseFlag(args) => flags::close(common, args, show),
    }
}
