//! Floor 2: stored bytes to types and back. Knows no I/O.

pub(crate) mod keys;
