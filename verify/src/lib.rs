//! Checks what a chartvault audit log exports: without the vault, without its keys, and without the program that wrote it.
#![forbid(unsafe_code)]
#![warn(missing_docs, unreachable_pub)]
#![warn(clippy::missing_errors_doc, clippy::missing_panics_doc)]
#![cfg_attr(
    not(test),
    warn(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::indexing_slicing,
        clippy::as_conversions,
        clippy::panic,
        clippy::unreachable,
        clippy::todo,
        clippy::unimplemented,
        clippy::dbg_macro,
        clippy::print_stdout,
        clippy::print_stderr
    )
)]

pub mod archive;
pub mod bundle;
pub mod chain;
pub mod disclose;
pub mod entry;
pub mod epochs;
pub mod merkle;
pub mod note;
pub mod pruned;
