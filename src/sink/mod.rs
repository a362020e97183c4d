//! Floor 4: where the log goes while the vault is open: what takes it, in which form, and what happens when it does not.

mod error;
mod file;
mod form;
mod line;
mod syslog;

use std::fmt;
use std::time::Duration;

pub use error::{SinkError, SinkFault};
pub use file::FileSink;
pub(crate) use form::pseudonymise;
pub use form::{Delivered, SinkForm};
pub use line::LineFormat;
pub use syslog::SyslogSink;

/// Bytes of the name of a sink.
pub(crate) const MAX_SINK_NAME: usize = 64;

/// Whether a sink may have this name: 1 to 64 bytes without control characters.
pub(crate) fn checked_name(name: &str) -> Result<&str, SinkFault> {
    let fits = (1..=MAX_SINK_NAME).contains(&name.len()) && !name.chars().any(char::is_control);
    if fits { Ok(name) } else { Err(SinkFault::Name { len: name.len() }) }
}

/// Takes the log as it grows: a file, a syslog server, whatever a program has; see `Options::sink` and `Vault::attach_sink`.
///
/// Called on a thread of its own, one call at a time, with entries in order. What it takes leaves the vault in the form that it
/// asks for, and is nothing that the vault protects any more.
///
/// ```
/// use std::sync::{Arc, Mutex};
/// use chartvault::{AuditSink, Delivered, SinkError};
///
/// /// Keeps lines in memory.
/// struct Lines(Arc<Mutex<Vec<String>>>);
///
/// impl AuditSink for Lines {
///     fn deliver(&mut self, entries: &[Delivered]) -> Result<(), SinkError> {
///         let lines = entries.iter().filter_map(|delivered| delivered.entry.as_ref().map(ToString::to_string));
///         self.0.lock().map_err(|_| SinkError::Other("poisoned".into()))?.extend(lines);
///         Ok(())
///     }
/// }
/// # let mut sink = Lines(Arc::default());
/// # assert!(sink.deliver(&[]).is_ok());
/// ```
pub trait AuditSink: Send {
    /// Takes entries, all or none as far as the vault is concerned: `Ok` says that it has them for good. After an error the same
    /// entries come again, later and later, for as long as it takes; after a crash, some that it took come again as well.
    ///
    /// # Errors
    /// Whatever keeps it from taking them.
    fn deliver(&mut self, entries: &[Delivered]) -> Result<(), SinkError>;

    /// In which form it wants entries; [`SinkForm::Opened`] if not said.
    fn form(&self) -> SinkForm {
        SinkForm::Opened
    }
}

/// What happens when a sink does not take the log. The log keeps all that a sink has not taken: nothing is ever left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SinkPolicy {
    /// Nobody waits: it may be behind by any number of entries. Where it takes none for five minutes although there are some,
    /// the log says so, once.
    BestEffort,
    /// Nothing is accessed without it. When it is more than `behind` entries behind, calls wait for at most `patience`, and then
    /// answer [`SinkFault::Behind`]; where it takes none for longer than `patience` although there are some, they answer that
    /// at once. They go on by themselves once it has caught up. Calls that were under way when that began are finished.
    Required {
        /// Entries that it may be behind.
        behind: u64,
        /// How long it may take none, and how long a call waits.
        patience: Duration,
    },
}

impl SinkPolicy {
    /// How long a sink may take none until the log says so.
    pub(crate) const fn patience(self) -> Duration {
        match self {
            Self::BestEffort => Duration::from_secs(300),
            Self::Required { patience, .. } => patience,
        }
    }
}

impl fmt::Display for SinkPolicy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::BestEffort => f.write_str("best effort"),
            Self::Required { behind, patience } => write!(f, "required within {behind} entries and {patience:?}"),
        }
    }
}

/// How a sink stands; see `Vault::sinks`.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SinkState {
    /// Its name.
    pub name: String,
    /// What happens when it does not take the log.
    pub policy: SinkPolicy,
    /// The number of the entry that it gets next.
    pub next: u64,
    /// How many entries it is behind.
    pub behind: u64,
    /// Whether this process has a sink of that name.
    pub attached: bool,
    /// What it said when it was last asked to take entries, if it did not.
    pub failing: Option<String>,
}
