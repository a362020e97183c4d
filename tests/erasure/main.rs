//! Erasing a patient: that nothing is left, that the others stay, and what keeps somebody from being erased.

#[path = "../support/mod.rs"]
mod support;

mod and_keys;
mod beside;
mod interrupted;
mod patients;
mod retention;
