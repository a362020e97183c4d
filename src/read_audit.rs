//! When the entries of reads become durable: a choice of the vault.

use std::fmt;
use std::time::Duration;

/// When the log entry of an allowed read becomes durable. A choice of the vault, kept in it: set with
/// [`NewVault::read_audit`](crate::NewVault::read_audit), changed with
/// [`Vault::set_read_audit`](crate::Vault::set_read_audit).
///
/// Reads are [`get`](crate::Session::get), [`get_many`](crate::Session::get_many), pages of
/// [`list`](crate::Session::list) and [`chart`](crate::Session::chart), [`history`](crate::Session::history) and
/// [`get_version`](crate::Session::get_version), with their verbatim forms. All else is durable before it is answered, whatever the choice: writes, denials, failures,
/// sessions, exports, looking for patients, administration, and reading the log.
///
/// ```
/// use std::time::Duration;
/// use chartvault::ReadAudit;
/// let choice = ReadAudit::Windowed { delay: Duration::from_millis(50), entries: 500 };
/// assert_eq!(choice.to_string(), "windowed, 50 ms, 500 entries");
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum ReadAudit {
    /// Before the value is returned. What a vault does if nothing is said.
    #[default]
    Durable,
    /// Soon after: the read gets its place in the log, and the value is returned. It is durable with the next entry that
    /// has to be, once it has waited for `delay`, and before `entries` of them have been answered without being durable;
    /// the read that would be the last of so many waits, and so do those behind it. A read that finds a write under
    /// way waits with it.
    ///
    /// Reads of one session that wait together share an entry, which names the time and the records of each
    /// ([`AuditEntry::reads`](crate::AuditEntry::reads)).
    ///
    /// **A crash can thus lose the entries of reads that were answered**: fewer than `entries`, all of them from the last
    /// `delay` and the time that one sync takes. The next opening says so in the log and in
    /// [`Opening::missing_reads`](crate::Opening::missing_reads). No entry is ever lost from before one that is there.
    Windowed {
        /// The longest that an entry waits before it is written: 1 ms to 60 s.
        delay: Duration,
        /// Reads that may be answered without being durable, plus one: 1 to 10,000. Fewer where their entries would take
        /// more than 4 MiB, had each its own.
        entries: u32,
    },
}

/// A window outside its bounds. Nothing was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ReadAuditOutOfBounds {
    /// The delay.
    #[error("entries of reads may wait for 1 ms to 60 s, not for {0:?}; choose another delay")]
    Delay(Duration),
    /// The number of entries.
    #[error("1 to 10,000 entries of reads may wait, not {0}; choose another number")]
    Entries(u32),
}

impl ReadAudit {
    const LEAST_DELAY: Duration = Duration::from_millis(1);
    const MOST_DELAY: Duration = Duration::from_secs(60);
    const MOST_ENTRIES: u32 = 10_000;

    /// Whether it is within its bounds.
    pub(crate) fn check(self) -> Result<Self, ReadAuditOutOfBounds> {
        match self {
            Self::Windowed { delay, .. } if delay < Self::LEAST_DELAY || delay > Self::MOST_DELAY => {
                Err(ReadAuditOutOfBounds::Delay(delay))
            }
            Self::Windowed { entries, .. } if entries == 0 || entries > Self::MOST_ENTRIES => {
                Err(ReadAuditOutOfBounds::Entries(entries))
            }
            within => Ok(within),
        }
    }
}

impl fmt::Display for ReadAudit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Durable => f.write_str("durable"),
            Self::Windowed { delay, entries } => {
                write!(f, "windowed, {} ms, {entries} entries", delay.as_secs_f64() * 1_000.0)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_is_refused_just_outside_its_bounds() {
        let ok = |delay, entries| ReadAudit::Windowed { delay, entries }.check().is_ok();
        let (least, most) = (Duration::from_millis(1), Duration::from_secs(60));
        let little = Duration::from_nanos(1);
        assert!(ok(least, 1) && ok(most, 10_000) && ReadAudit::Durable.check().is_ok());
        assert!(!ok(least - little, 1) && !ok(most + little, 1));
        assert!(!ok(least, 0) && !ok(least, 10_001));
        assert!(matches!(
            ReadAudit::Windowed { delay: Duration::MAX, entries: 1 }.check(),
            Err(ReadAuditOutOfBounds::Delay(Duration::MAX))
        ));
    }
}
