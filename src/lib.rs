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

mod bytes;
mod clock;
mod crypto;
mod format;
mod ids;
mod progress;
mod secret;
mod storage;
mod terms;

pub use clock::{Clock, SystemClock, Timestamp};
pub use crypto::RandomFailed;
pub use crypto::aead::Suite;
pub use crypto::passphrase::{CostOutOfBounds, Passphrase, PassphraseCost};
pub use ids::{InvalidId, IssuerId, KindId, PatientId, PrincipalId, RevocationId, SessionId, Ticket, VaultId};
pub use progress::{OnProgress, Progress, Task};
pub use storage::error::StorageError;
pub use terms::{Action, Confidentiality, Purpose};
