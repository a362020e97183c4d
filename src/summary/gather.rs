//! Counts entries.

use std::collections::{BTreeMap, HashMap, HashSet};

use super::{ActorSummary, ChartSummary, DaySummary, EmergencySummary, FlagSummary, Summary};
use crate::audit::{AuditEntry, AuditEvent, Outcome};
use crate::clock::Timestamp;
use crate::ids::{PatientId, PrincipalId};
use crate::monitor::{FlagVerdict, MonitorRule, OpeningHours, day_text, is_access, local};
use crate::token::DenyReason;

/// People that are counted one by one.
const ACTORS: usize = 10_000;
/// Pairs of somebody and a patient that are counted.
const PAIRS: usize = 250_000;
/// Days that are told of.
const DAYS: i32 = 3_660;
/// Charts that are told of.
const CHARTS: usize = 10;

#[derive(Default)]
struct Actor {
    accesses: u64,
    after_hours: u64,
    denials: u64,
}

/// Makes a [`Summary`] of entries that come in any order.
pub(crate) struct Gatherer {
    summary: Summary,
    actors: HashMap<PrincipalId, Actor>,
    pairs: HashSet<(PrincipalId, PatientId)>,
    patients: HashMap<PatientId, u64>,
    /// Accesses, denials, emergencies.
    days: BTreeMap<i32, (u64, u64, u64)>,
    denials: BTreeMap<String, u64>,
}

impl Gatherer {
    pub(crate) fn new((from, to): (Timestamp, Timestamp), made: Timestamp, hours: Option<OpeningHours>) -> Self {
        let summary = Summary {
            from,
            to,
            made,
            hours,
            entries: 0,
            pruned_until: None,
            unreadable: 0,
            accesses: 0,
            after_hours: 0,
            patients: 0,
            at_least: false,
            actors: Vec::new(),
            by_hour: [[0; 24]; 7],
            days: Vec::new(),
            charts: Vec::new(),
            emergencies: Vec::new(),
            denials: Vec::new(),
            flags: Vec::new(),
            exports: (0, 0),
            erasures: 0,
            names: BTreeMap::new(),
        };
        Self {
            summary,
            actors: HashMap::new(),
            pairs: HashSet::new(),
            patients: HashMap::new(),
            days: BTreeMap::new(),
            denials: BTreeMap::new(),
        }
    }

    /// An entry that does not open.
    pub(crate) const fn unreadable(&mut self) {
        self.summary.entries = self.summary.entries.saturating_add(1);
        self.summary.unreadable = self.summary.unreadable.saturating_add(1);
    }

    pub(crate) fn add(&mut self, entry: &AuditEntry) {
        self.summary.entries = self.summary.entries.saturating_add(1);
        let allowed = entry.outcome == Outcome::Allowed;
        if entry.outcome == Outcome::Denied {
            self.denied(entry);
        }
        if allowed && is_access(entry) {
            self.access(entry);
        }
        match entry.event {
            AuditEvent::RecordsExported if allowed => {
                let records: usize = entry.subjects.iter().map(|subject| subject.records.len()).sum();
                let records = u64::from(entry.count.unwrap_or(0)).max(u64::try_from(records).unwrap_or(u64::MAX));
                let (batches, all) = self.summary.exports;
                self.summary.exports = (batches.saturating_add(1), all.saturating_add(records));
            }
            AuditEvent::ErasureBegun if allowed => self.summary.erasures = self.summary.erasures.saturating_add(1),
            AuditEvent::GlassBroken if allowed => self.on_day(entry.time, (0, 0, 1)),
            _ => {}
        }
    }

    fn denied(&mut self, entry: &AuditEntry) {
        let n = u64::from(entry.count.unwrap_or(1).max(1));
        let reason = entry.reason.and_then(DenyReason::from_code);
        let cause = reason.map_or_else(|| entry.event.to_string().replace('-', " "), |reason| reason.to_string());
        let count = self.denials.entry(cause).or_default();
        *count = count.saturating_add(n);
        self.on_day(entry.time, (0, n, 0));
        if let Some(actor) = entry.actor {
            self.actor(actor, |known| known.denials = known.denials.saturating_add(n));
        }
    }

    fn access(&mut self, entry: &AuditEntry) {
        let charts = entry.subjects.iter().filter(|subject| subject.patient != Some(PatientId::FACILITY));
        let patients: Vec<Option<PatientId>> = charts.map(|subject| subject.patient).collect();
        if patients.is_empty() {
            return;
        }
        let n = u64::try_from(entry.reads.len()).unwrap_or(u64::MAX).max(1);
        self.summary.accesses = self.summary.accesses.saturating_add(n);
        self.on_day(entry.time, (n, 0, 0));
        let after = self.summary.hours.as_ref().is_some_and(|hours| !hours.covers(entry.time));
        let after = if after { n } else { 0 };
        self.summary.after_hours = self.summary.after_hours.saturating_add(after);
        if let Some(local) = local(self.summary.hours.as_ref(), entry.time)
            && let Some(day) = self.summary.by_hour.get_mut(local.weekday)
            && let Some(hour) = day.get_mut(usize::from(local.minute / 60))
        {
            *hour = hour.saturating_add(n);
        }
        let Some(actor) = entry.actor else { return };
        self.actor(actor, |known| {
            known.accesses = known.accesses.saturating_add(n);
            known.after_hours = known.after_hours.saturating_add(after);
        });
        for patient in patients.into_iter().flatten() {
            if self.pairs.len() >= PAIRS && !self.pairs.contains(&(actor, patient)) {
                self.summary.at_least = true;
                continue;
            }
            self.pairs.insert((actor, patient));
            let times = self.patients.entry(patient).or_default();
            *times = times.saturating_add(1);
        }
    }

    fn actor(&mut self, actor: PrincipalId, count: impl FnOnce(&mut Actor)) {
        if self.actors.len() >= ACTORS && !self.actors.contains_key(&actor) {
            self.summary.at_least = true;
            return;
        }
        count(self.actors.entry(actor).or_default());
    }

    fn on_day(&mut self, at: Timestamp, (accesses, denials, emergencies): (u64, u64, u64)) {
        let Some(local) = local(self.summary.hours.as_ref(), at) else { return };
        let day = self.days.entry(local.day).or_default();
        day.0 = day.0.saturating_add(accesses);
        day.1 = day.1.saturating_add(denials);
        day.2 = day.2.saturating_add(emergencies);
    }

    /// A flag that was raised in this time: its rule, whether it is overdue, and its verdict if it is closed.
    pub(crate) fn flag(&mut self, rule: MonitorRule, overdue: bool, verdict: Option<FlagVerdict>) {
        let flags = &mut self.summary.flags;
        let place = flags.binary_search_by_key(&rule, |flag| flag.rule).unwrap_or_else(|place| {
            flags.insert(place, FlagSummary { rule, open: 0, overdue: 0, closed: BTreeMap::new() });
            place
        });
        let Some(flag) = flags.get_mut(place) else { return };
        match verdict {
            Some(verdict) => *flag.closed.entry(verdict).or_default() += 1,
            None => {
                flag.open += 1;
                flag.overdue += u64::from(overdue);
            }
        }
    }

    pub(crate) fn emergency(&mut self, emergency: EmergencySummary) {
        self.summary.emergencies.push(emergency);
    }

    /// All of it; `name` gives the names of principals that the vault knows.
    pub(crate) fn finish(self, name: impl Fn(PrincipalId) -> Option<String>) -> Summary {
        let Self { mut summary, actors, pairs, patients, days, denials } = self;
        let (mut of_actor, mut of_patient) = (HashMap::<_, u64>::new(), HashMap::<_, u64>::new());
        for (actor, patient) in &pairs {
            *of_actor.entry(*actor).or_default() += 1;
            *of_patient.entry(*patient).or_default() += 1;
        }
        let shown = |(actor, Actor { accesses, after_hours, denials }): (PrincipalId, Actor)| {
            let patients = of_actor.get(&actor).copied().unwrap_or(0);
            ActorSummary { actor, accesses, after_hours, patients, denials }
        };
        summary.actors = actors.into_iter().map(shown).collect();
        summary.actors.sort_unstable_by_key(|known| (u64::MAX - known.accesses, u64::MAX - known.denials, known.actor));
        let who = summary.actors.iter().map(|known| known.actor);
        let who = who.chain(summary.emergencies.iter().map(|emergency| emergency.actor));
        summary.names = who.filter_map(|actor| Some((actor, name(actor)?))).collect();
        summary.patients = u64::try_from(patients.len()).unwrap_or(u64::MAX);
        let chart = |(patient, accesses): (PatientId, u64)| {
            let actors = of_patient.get(&patient).copied().unwrap_or(0);
            ChartSummary { patient, actors, accesses }
        };
        summary.charts = patients.into_iter().map(chart).collect();
        summary
            .charts
            .sort_unstable_by_key(|chart| (u64::MAX - chart.actors, u64::MAX - chart.accesses, chart.patient));
        summary.charts.truncate(CHARTS);
        summary.denials = denials.into_iter().collect();
        summary.denials.sort_by_key(|(_, n)| u64::MAX - n);
        if let (Some((first, _)), Some((last, _))) = (days.first_key_value(), days.last_key_value()) {
            // Of more the last ones.
            let first = (*first).max(last.saturating_sub(DAYS));
            for day in first..=*last {
                let (accesses, denials, emergencies) = days.get(&day).copied().unwrap_or_default();
                summary.days.push(DaySummary { date: day_text(day), accesses, denials, emergencies });
            }
        }
        summary
    }
}
