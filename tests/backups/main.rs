//! Backups: made, verified, pruned, restored, rehearsed, attacked.

#[path = "../support/mod.rs"]
mod support;

mod any_order;
mod attacked;
mod attacked_meanwhile;
mod attacked_settings;
mod beside;
mod continuous;
mod drill;
mod folder;
mod interrupted;
mod made;
mod report;
mod retention;
mod settings;
mod standby;
mod store;
mod verified;
