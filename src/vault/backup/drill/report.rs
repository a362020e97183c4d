//! What a drill found.

use std::fmt;
use std::time::Duration;

use super::super::entry;
use super::super::restore::Restored;
use crate::audit::Outcome;
use crate::record::Kind;
use crate::vault::check::MOST_FINDINGS;
use crate::vault::{CheckReport, Finding};

/// What came of a restore that was rehearsed; see [`Vault::drill`](crate::Vault::drill).
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct DrillReport {
    /// The target's name.
    pub target: String,
    /// The manifest that was restored.
    pub manifest: u64,
    /// The key pack that opened it.
    pub pack: u64,
    /// Log entries that the backup covers; each was verified and opened, from the first one on.
    pub entries: u64,
    /// Entries of this vault's log beyond those: what would have been lost.
    pub missing: u64,
    /// How long it took until the restored vault was open: what a restore to this machine takes at least.
    pub recovery: Duration,
    /// How long all of it took.
    pub took: Duration,
    /// Versions of records that were opened and compared.
    pub records_opened: u64,
    /// Of those, how many are of patients who were erased in the vault since.
    pub erased_since: u64,
    /// The kinds of those records: all that the backup has any record of.
    pub kinds: Vec<Kind>,
    /// Whether the vault's log goes on from that of the backup, by the roots of their Merkle trees.
    pub matches_live: bool,
    /// What is not as it has to be, at most the first 1,000.
    pub findings: Vec<Finding>,
    /// How many there are.
    pub found: u64,
}

impl DrillReport {
    pub(super) fn new(target: &str, restored: &Restored, recovery: Duration) -> Self {
        Self {
            target: target.to_owned(),
            manifest: restored.manifest,
            pack: restored.pack,
            entries: restored.entries,
            missing: 0,
            recovery,
            took: recovery,
            records_opened: 0,
            erased_since: 0,
            kinds: Vec::new(),
            matches_live: false,
            findings: Vec::new(),
            found: 0,
        }
    }

    pub(super) fn add(&mut self, finding: Finding) {
        self.found = self.found.saturating_add(1);
        if self.findings.len() < MOST_FINDINGS {
            self.findings.push(finding);
        }
    }

    /// Takes over what a check found.
    pub(super) fn take(&mut self, report: CheckReport) {
        let unlisted = report.total().saturating_sub(u64::try_from(report.findings.len()).unwrap_or(u64::MAX));
        report.findings.into_iter().for_each(|finding| self.add(finding));
        self.found = self.found.saturating_add(unlisted);
    }

    /// Whether all was as it has to be.
    #[must_use]
    pub const fn is_sound(&self) -> bool {
        self.found == 0 && self.matches_live
    }

    pub(in super::super) const fn outcome(&self) -> Outcome {
        if self.is_sound() { Outcome::Allowed } else { Outcome::Failed }
    }

    /// As it stands in the log: without names of records and charts.
    pub(in super::super) fn told(&self) -> String {
        match self.findings.first() {
            None => self.summed_up(),
            Some(first) => format!("{}; {} findings, the first: {}", self.summed_up(), self.found, first.logged()),
        }
    }

    fn summed_up(&self) -> String {
        let target = entry::shown(&self.target);
        let Self { manifest, pack, entries, missing, records_opened, erased_since, matches_live, .. } = self;
        let (recovery, kinds) = (self.recovery.as_secs_f64(), self.kinds.len());
        let goes_on = if *matches_live { "goes on from it" } else { "does NOT go on from it" };
        let erased = if *erased_since > 0 { format!(" ({erased_since} erased since)") } else { String::new() };
        format!(
            "manifest {manifest} at {target}, key pack {pack}: restored and open in {recovery:.1} s; {entries} log entries \
             verified, the vault's log {goes_on} and has {missing} later ones; {records_opened} records of {kinds} kinds \
             opened and compared{erased}"
        )
    }
}

impl fmt::Display for DrillReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}; {:.1} s in all", self.summed_up(), self.took.as_secs_f64())?;
        for finding in &self.findings {
            write!(f, "\n  {finding}")?;
        }
        let listed = u64::try_from(self.findings.len()).unwrap_or(u64::MAX);
        if self.found > listed { write!(f, "\n  … and {} more", self.found - listed) } else { Ok(()) }
    }
}
