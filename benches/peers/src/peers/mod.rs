//! One file a peer. To add one: a file here that has a `Peer`, and its line in [`ALL`].

use crate::clinic::Peer;

mod chartvault;
mod fjall;
mod redb;
mod sealed;
mod sled;
mod sqlite;
mod sqlite_grouped;

/// What all ratios refer to.
pub const BASE: &str = "sqlcipher";
/// Whose goals they are.
pub const OURS: &str = "aes";

/// All of them, in the order of the table.
pub const ALL: [Peer; 8] = [
    sqlite::SQLCIPHER,
    chartvault::AES,
    chartvault::CHACHA20,
    sqlite_grouped::SQLCIPHER,
    sqlite::PLAIN,
    sled::PEER,
    redb::PEER,
    fjall::PEER,
];

/// Those of which only the store of many records is measured.
pub const STORED_ONLY: [Peer; 3] = chartvault::INLINE;
