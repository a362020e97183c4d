//! Floor 2: bytes to types and back, for everything that is stored. Nothing here does I/O, and nothing that was parsed
//! counts as true before a key has confirmed it.

pub(crate) mod base;
pub(crate) mod digest;
pub(crate) mod doubt;
pub(crate) mod elsewhere;
pub(crate) mod envelope;
pub(crate) mod frame;
pub(crate) mod header;
pub(crate) mod key_file;
pub(crate) mod keyring;
pub(crate) mod keys;
pub(crate) mod ledger;
pub(crate) mod row;
pub(crate) mod segment;
pub(crate) mod signing_key;
pub(crate) mod slot;
pub(crate) mod state;

mod error;
mod fields;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzzing;
#[cfg(test)]
pub(crate) mod worked;

pub use error::ParseError;
pub(crate) use fields::Fields;

#[cfg(test)]
mod examples;
