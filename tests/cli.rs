//! The command line tool, run as a person or a script runs it: what it answers, how it ends, where its secrets come from.
//!
//! Permissions, signals and descriptors are those of Unix.
#![cfg(unix)]

#[path = "cli/endings.rs"]
mod endings;
#[path = "cli/house.rs"]
mod house;
#[path = "cli/imports.rs"]
mod imports;
#[path = "cli/record.rs"]
mod record;
#[path = "cli/secrets.rs"]
mod secrets;
