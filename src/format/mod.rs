//! Floor 2: stored bytes to types and back. Knows no I/O.

pub(crate) mod digest;
pub(crate) mod frame;
pub(crate) mod keys;
pub(crate) mod row;
pub(crate) mod segment;
pub(crate) mod state;

#[cfg(test)]
mod examples;
