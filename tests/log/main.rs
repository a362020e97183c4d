//! The audit log: what stands in it, who may ask, how it is proved, kept, pruned and handed out.

#[path = "../support/mod.rs"]
mod support;

mod anchored;
mod bundles;
mod exports;
mod exports_fhir;
mod following;
mod key_epochs;
mod monitoring;
mod pruning;
mod pruning_attacked;
mod questions;
mod retention;
mod security_report;
mod signing_epochs;
mod sinks;
mod verification;
mod witness;
