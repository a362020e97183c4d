//! Floor 7: a part of the log summed up for the weekly review: figures, and how they are shown. Does no I/O.

mod gather;
mod page;
mod pseudonyms;
mod text;

use std::collections::BTreeMap;

pub(crate) use gather::Gatherer;
pub use page::SummaryPage;

use crate::clock::Timestamp;
use crate::ids::{CaseId, PatientId, PrincipalId};
use crate::monitor::{FlagVerdict, MonitorRule, OpeningHours, clock_text, local};
use crate::policy::{EmergencyReason, Verdict};

/// A part of the log summed up: who read most, when, what was refused, what was flagged. `Display` gives text tables,
/// [`Summary::to_html`] a page.
///
/// An *access* is an entry that says that somebody was in at least one patient's chart; of several reads under one entry
/// each counts. Hours and days are those of the place ([`MonitoringRules::opening_hours`](crate::MonitoringRules)), UTC where
/// it is not known.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Summary {
    /// From when on.
    pub from: Timestamp,
    /// Before when.
    pub to: Timestamp,
    /// When it was made.
    pub made: Timestamp,
    /// When the place is open, where that is known.
    pub hours: Option<OpeningHours>,
    /// Entries looked at.
    pub entries: u64,
    /// Where entries of this time were pruned from the log: when the last of those was written. They are not summed up.
    pub pruned_until: Option<Timestamp>,
    /// Entries that do not open: verify the log.
    pub unreadable: u64,
    /// Accesses to charts.
    pub accesses: u64,
    /// Those outside opening hours.
    pub after_hours: u64,
    /// Patients in whose charts somebody was; those erased since are not counted.
    pub patients: u64,
    /// Whether there were more people or patients than are counted one by one: then those are least numbers.
    pub at_least: bool,
    /// Who was in charts or was refused, those with the most accesses first.
    pub actors: Vec<ActorSummary>,
    /// Accesses by weekday (0 is Monday) and hour.
    pub by_hour: [[u64; 24]; 7],
    /// Each day from the first to the last on which there was anything.
    pub days: Vec<DaySummary>,
    /// The charts in which most people were, ten at most.
    pub charts: Vec<ChartSummary>,
    /// The emergencies that were invoked, the oldest first.
    pub emergencies: Vec<EmergencySummary>,
    /// Denials, by cause, the most frequent first.
    pub denials: Vec<(String, u64)>,
    /// Flags that were raised in this time, by rule.
    pub flags: Vec<FlagSummary>,
    /// Batches that were exported, and records in them.
    pub exports: (u64, u64),
    /// Patients whose erasure was begun.
    pub erasures: u64,
    /// The names of principals that the vault knows.
    pub names: BTreeMap<PrincipalId, String>,
}

/// What one principal did.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ActorSummary {
    /// Who.
    pub actor: PrincipalId,
    /// Accesses to charts.
    pub accesses: u64,
    /// Those outside opening hours.
    pub after_hours: u64,
    /// Patients in whose charts they were.
    pub patients: u64,
    /// How often they were refused.
    pub denials: u64,
}

/// What one day had.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct DaySummary {
    /// The date at the place, as `2026-01-05`.
    pub date: String,
    /// Accesses to charts.
    pub accesses: u64,
    /// Denials.
    pub denials: u64,
    /// Emergencies that were invoked.
    pub emergencies: u64,
}

/// A chart in which many were.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ChartSummary {
    /// Whose.
    pub patient: PatientId,
    /// How many people.
    pub actors: u64,
    /// How often.
    pub accesses: u64,
}

/// An emergency that was invoked.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct EmergencySummary {
    /// Its case.
    pub case: CaseId,
    /// When.
    pub at: Timestamp,
    /// By whom.
    pub actor: PrincipalId,
    /// Whose chart; `None` where the patient was erased since.
    pub patient: Option<PatientId>,
    /// Why.
    pub reason: EmergencyReason,
    /// Why, in words. Left out of pages and text unless asked for.
    pub text: String,
    /// What came of its review; `None` while it is open.
    pub verdict: Option<Verdict>,
}

/// What one rule raised.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct FlagSummary {
    /// The rule.
    pub rule: MonitorRule,
    /// Flags that are open, those overdue included.
    pub open: u64,
    /// Flags that were not closed in time.
    pub overdue: u64,
    /// Flags that were closed, by verdict.
    pub closed: BTreeMap<FlagVerdict, u64>,
}

impl Summary {
    /// All denials.
    #[must_use]
    pub fn all_denials(&self) -> u64 {
        self.denials.iter().fold(0, |sum, (_, n)| sum.saturating_add(*n))
    }

    /// The name of a principal that the vault knows, or else the first digits of the id.
    #[must_use]
    pub fn name(&self, principal: PrincipalId) -> String {
        self.names.get(&principal).cloned().unwrap_or_else(|| {
            let digits = principal.to_string();
            digits.get(..18).unwrap_or(&digits).to_owned()
        })
    }

    /// From when until when, on the clocks of the place.
    fn period(&self) -> String {
        let clock = |at, beyond: &str| match local(self.hours.as_ref(), at) {
            Some(_) => clock_text(self.hours.as_ref(), at),
            None => beyond.to_owned(),
        };
        format!("{} until {}", clock(self.from, "the beginning"), clock(self.to, "now"))
    }

    /// Flags raised, open, overdue.
    fn flag_totals(&self) -> (u64, u64, u64) {
        let sum = |of: fn(&FlagSummary) -> u64| self.flags.iter().map(of).sum::<u64>();
        let closed = sum(|flag| flag.closed.values().sum());
        let open = sum(|flag| flag.open);
        (open.saturating_add(closed), open, sum(|flag| flag.overdue))
    }
}

#[cfg(test)]
mod tests;
