//! The promises, one file each.

#[path = "../support/mod.rs"]
mod support;

mod no_access_without_entry;
mod no_access_without_right;
mod no_wrong_answer;
mod nothing_readable;
