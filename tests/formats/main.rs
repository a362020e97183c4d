//! Stored formats: vaults of earlier versions, and programs in other languages that read and write them.

#[path = "../support/people.rs"]
mod people;
#[path = "../support/mod.rs"]
mod support;

mod golden;
mod golden_erasure;
mod golden_log;
mod golden_people;
mod golden_slots;
mod issuer;
mod reader;
