//! The command line tool, run as a person or a script runs it: what it answers, how it ends, where its secrets come from.

// Permissions, signals and descriptors are those of Unix.
#[cfg(unix)]
mod backup;
mod demo;
#[cfg(unix)]
mod endings;
#[cfg(unix)]
mod house;
#[cfg(unix)]
mod imports;
#[cfg(unix)]
mod record;
#[cfg(unix)]
mod secrets;
