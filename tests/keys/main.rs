//! Keys of a vault: slots, providers, rotation, headers, reports, memory.

#[path = "../support/mod.rs"]
mod support;

mod detached;
mod idle;
mod key_files;
mod key_report;
mod providers;
mod rotation;
mod secrets;
mod slots;
