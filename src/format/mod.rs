//! Floor 2: bytes to types and back, for everything that is stored. Nothing here does I/O, and nothing that was parsed
//! counts as true before a key has confirmed it.

pub(crate) mod envelope;
pub(crate) mod header;
pub(crate) mod keyring;
pub(crate) mod keys;
pub(crate) mod slot;

mod error;
mod fields;
#[cfg(test)]
pub(crate) mod worked;

pub use error::ParseError;
pub(crate) use fields::Fields;
