//! Checks what a chartvault audit log exports: without the vault, without its keys, and without the program that wrote it.
#![forbid(unsafe_code)]

pub mod archive;
pub mod bundle;
pub mod chain;
pub mod disclose;
pub mod entry;
pub mod epochs;
pub mod merkle;
pub mod note;
pub mod pruned;
