//! Tests that need more than one file of this floor.

pub(crate) mod kit;

mod chain;
mod draft;
mod entry;
mod example;
mod payload;
mod verify;
mod view;
