//! Derive macros of `chartvault`, which re-exports them: use them from there.
#![forbid(unsafe_code)]
#![warn(missing_docs, unreachable_pub)]
#![cfg_attr(not(test), warn(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic))]

mod fields;
mod record;
mod recursion;
mod serde_rules;

use proc_macro::TokenStream;
use syn::{DeriveInput, parse_macro_input};

/// Makes a type a record: `#[derive(Record)] #[record(kind = "allergy", version = 2, previous = AllergyV1)]`.
///
/// `kind` has 1 to 64 characters, each one of `A-Z a-z 0-9 . _ -`; `version` is 1 to 65,535; `previous`, which the first
/// version does not have, is the type of the version before; `shape`, which may be left out, is the shape that the type
/// must have, as a number. Includes `#[derive(Shape)]`. See the trait `chartvault::Record`.
#[proc_macro_derive(Record, attributes(record))]
pub fn derive_record(input: TokenStream) -> TokenStream {
    let input = parse_macro_input!(input as DeriveInput);
    record::derive(&input).unwrap_or_else(|error| error.to_compile_error()).into()
}

/// Lets a type be part of a record. See the trait `chartvault::Shaped`.
#[proc_macro_derive(Shape)]
pub fn derive_shape(input: TokenStream) -> TokenStream {
    let input = parse_macro_input!(input as DeriveInput);
    fields::derive(&input).unwrap_or_else(|error| error.to_compile_error()).into()
}
