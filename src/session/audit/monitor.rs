//! The rules of monitoring run over the past.

use super::{AuditView, access};
use crate::audit::AuditEvent;
use crate::clock::Timestamp;
use crate::error::Error;
use crate::session::access::{Done, Hold};
use crate::session::monitoring::{MonitorReport, not_opened, over_the_past};

impl AuditView<'_> {
    /// Runs the rules of monitoring that are in force ([`Vault::set_monitoring`](crate::Vault::set_monitoring); the defaults
    /// where none were set) over the entries from `from` on and before `to`, with the suppressors and what the host says now,
    /// and raises what was not raised before: running it twice raises nothing twice, and what was closed stays closed. The two
    /// weeks before `from` are looked at as well, for what was usual. Each new flag is an entry of the log, and so is the run.
    ///
    /// Takes as long as reading the log does; other work goes on meanwhile.
    ///
    /// ```
    /// # mod clinic { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/clinic.rs")); }
    /// # use clinic::*;
    /// # let clinic = Clinic::new();
    /// # let session = clinic.session();
    /// let report = session.audit()?.monitor(Timestamp::MIN, Timestamp::MAX)?;
    /// assert_eq!(report.new, 0);
    /// # Ok::<(), Error>(())
    /// ```
    ///
    /// # Errors
    /// What [`Session`](crate::Session) lists.
    pub fn monitor(self, from: Timestamp, to: Timestamp) -> Result<MonitorReport, Error> {
        let op = self.0.begin(access(AuditEvent::LogMonitored))?;
        let (op, report) = op.prepare(|unlocked| over_the_past(unlocked, from, to))?;
        op.run(Hold::Nothing, |_| {
            let unreadable = not_opened(report.unreadable);
            let said = format!("{from} to {to}: {}, {} new{unreadable}", report.tally, report.new);
            let count = u32::try_from(report.new).ok();
            Ok(Done { detail: Some(said), count, ..Done::read(report, Vec::new()) })
        })
    }
}
