//! chartvault keeps patient charts safely.
#![forbid(unsafe_code)]
#![warn(missing_docs, missing_debug_implementations, unreachable_pub)]
#![allow(dead_code)] // until the upper floors stand
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

// The derives name their items `::chartvault::…`, also in this crate's own tests.
extern crate self as chartvault;

mod bytes;
mod clock;
mod crypto;
mod ids;
mod progress;
mod record;
mod secret;
mod terms;

pub use clock::{Clock, SystemClock, Timestamp};
pub use crypto::RandomFailed;
pub use crypto::aead::Suite;
pub use crypto::passphrase::{CostOutOfBounds, Passphrase, PassphraseCost};
pub use ids::{InvalidId, IssuerId, KindId, PatientId, PrincipalId, RevocationId, SessionId, Ticket, VaultId};
pub use progress::{OnProgress, Progress, Task};
pub use record::body::Status;
pub use record::codec::{DecodeError, EncodeError};
pub use record::entry::{Entry, VerbatimEntry};
pub use record::id::{RecordId, RecordRef, Version, WrongKind};
pub use record::kind::{InvalidKind, Kind};
pub use record::labels::{InvalidLabels, Labels};
pub use record::shape::Shape;
pub use record::{MAX_REASON, MAX_VALUE, Record, Shaped};
pub use terms::{Action, Confidentiality, Purpose};

#[cfg(feature = "derive")]
pub use chartvault_derive::{Record, Shape};

/// What the derives write into callers' code. No part of the interface.
#[doc(hidden)]
pub mod __private {
    pub use crate::record::Derived;
    pub use crate::record::shape::{Fields, enumeration, structure};
}
