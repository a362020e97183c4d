//! Floor 3: the audit log as bytes and rules. Entries, the chain that links them, packs, and verification; knows no
//! storage and no session, and does no I/O.

pub(crate) mod chain;
pub(crate) mod defect;
pub(crate) mod draft;
pub(crate) mod entry;
pub(crate) mod event;
pub(crate) mod filter;
pub(crate) mod keys;
pub(crate) mod pack;
pub(crate) mod payload;
pub(crate) mod subject;
pub(crate) mod verify;
pub(crate) mod view;

#[cfg(test)]
mod tests;
