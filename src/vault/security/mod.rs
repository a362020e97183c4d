//! One report of how a vault is kept: what to look at, how grave it is, why, and what mends it.

mod backups;
mod finding;
mod gather;
mod json;
mod page;
mod waived;
mod weigh;

use std::fmt;

use super::{AnchorState, BackupStatus, Health, KeyReport, Vault};
use crate::clock::Timestamp;
use crate::error::Error;
use crate::ids::VaultId;
use crate::session::Session;

pub use finding::{Reason, SecurityFinding, Weight};
pub use waived::WaivedAdvisory;

/// When something that leaves an entry in the log was last done.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct LastDone {
    /// When.
    pub at: Timestamp,
    /// Number of its entry.
    pub seq: u64,
    /// How many it was about: entries verified, for a verification.
    pub count: Option<u32>,
    /// What the entry says of it.
    pub detail: Option<String>,
}

/// How a vault is kept; see [`Vault::security_report`]. `Display` is a list for a terminal, [`SecurityReport::to_json`] the same
/// for programs, [`SecurityReport::to_html`] a page. It names no patient.
#[derive(Debug)]
#[non_exhaustive]
pub struct SecurityReport {
    /// The vault.
    pub vault: VaultId,
    /// When it was made.
    pub at: Timestamp,
    /// Version of the crate that made it.
    pub version: &'static str,
    /// What to look at, the gravest first.
    pub findings: Vec<SecurityFinding>,
    /// Keys and slots, with their ages.
    pub keys: KeyReport,
    /// Where checkpoints of the log are kept outside.
    pub anchors: Vec<AnchorState>,
    /// Entries of the log.
    pub entries: u64,
    /// The last verification of the log that found it sound.
    pub verified: Option<LastDone>,
    /// The last check of the vault's files.
    pub checked: Option<LastDone>,
    /// What the scrub found since the vault was opened.
    pub health: Health,
    /// What the vault knows of its backups, and what would be lost now.
    pub backups: BackupStatus,
    /// Advisories on dependencies that this version lives with, and why.
    pub waived: &'static [WaivedAdvisory],
}

impl Vault {
    /// How the vault is kept, for whoever looks after it: keys and slots, rights and their reviews, the log and what proves it,
    /// its backups and rehearsed restores, its disks, and settings that are weak. Each finding has its weight, its reason and what mends it. Needs a session with
    /// the audit action for all patients and kinds; what it reads of the log it leaves entries of.
    ///
    /// ```
    /// # mod clinic { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/clinic.rs")); }
    /// # use clinic::*;
    /// # let clinic = Clinic::new();
    /// # let session = clinic.session();
    /// let report = clinic.vault.security_report(&session)?;
    /// assert!(report.findings.iter().any(|finding| finding.code == "no-anchor"));
    /// assert!(report.to_html().starts_with("<!DOCTYPE html>"));
    /// # Ok::<(), Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Audit`] when an entry of the log that it reads is missing, was changed or does not open; [`Error::OtherVault`]
    /// when the session is another vault's; what [`Session`] lists.
    pub fn security_report(&self, session: &Session) -> Result<SecurityReport, Error> {
        gather::report(self, session)
    }
}

impl SecurityReport {
    /// The findings of a weight.
    pub fn of_weight(&self, weight: Weight) -> impl Iterator<Item = &SecurityFinding> {
        self.findings.iter().filter(move |finding| finding.weight == weight)
    }

    fn days(&self, since: Timestamp) -> u64 {
        self.at.saturating_since(since).as_secs() / 86_400
    }
}

impl fmt::Display for SecurityReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{} at {}: {} findings", self.vault, self.at, self.findings.len())?;
        for finding in &self.findings {
            writeln!(f, "\n{:<8}  {}", finding.weight.to_string(), finding.what)?;
            writeln!(f, "          why: {}", finding.reason)?;
            writeln!(f, "          do:  {}", finding.mend)?;
        }
        Ok(())
    }
}
