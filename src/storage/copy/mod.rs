//! The journal as files that a copy is made of: read while others commit, and put together again elsewhere.
//!
//! A copy is the base and the segments behind it, byte for byte. Of the segment that is written to it is what stands before
//! the next frame; the rest of that file is zeros in the copy as well.

mod cut;
mod part;
mod put;
mod shipment;

pub(crate) use cut::cut;
pub(crate) use part::{JournalFile, Part};
pub(crate) use put::JournalCopy;
pub(crate) use shipment::{ShipFile, Shipment};
