//! A summary as text tables.

use std::fmt;

use super::Summary;
use super::pseudonyms::{Naming, Pseudonyms};
use crate::columns::table;
use crate::monitor::{FlagVerdict, clock_text};

/// Rows of the longer tables.
const ROWS: usize = 20;
pub(super) const WEEKDAYS: [&str; 7] = ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"];

impl fmt::Display for Summary {
    /// Patients stand there as `P-1` and so on, and what people typed is left out.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let hours = self.hours.as_ref();
        let naming = Naming::default();
        let mut patients = Pseudonyms::new(&naming);
        let zone = hours.map_or("UTC", |hours| hours.zone());
        let clock = |at| clock_text(hours, at);
        writeln!(f, "Audit log from {} ({zone})", self.period())?;
        if let Some(until) = self.pruned_until {
            writeln!(f, "Entries up to {} were pruned from the log, and are not in this summary.", clock(until))?;
        }
        let (raised, open, overdue) = self.flag_totals();
        let (batches, records) = self.exports;
        let least = if self.at_least { " at least" } else { "" };
        let figures = [
            ("entries", self.entries.to_string()),
            ("entries that do not open", self.unreadable.to_string()),
            ("accesses to charts", self.accesses.to_string()),
            ("outside opening hours", hours.map_or("not known".to_owned(), |_| self.after_hours.to_string())),
            ("patients", format!("{}{least}", self.patients)),
            ("people", format!("{}{least}", self.actors.len())),
            ("denials", self.all_denials().to_string()),
            ("emergencies", self.emergencies.len().to_string()),
            ("flags", format!("{raised}, {open} open, {overdue} overdue")),
            ("exports", format!("{batches} batches, {records} records")),
            ("erasures", self.erasures.to_string()),
        ];
        for (name, value) in figures {
            writeln!(f, "  {name:<25} {value}")?;
        }
        let most = self.actors.iter().take(ROWS).map(|known| {
            let numbers = [known.accesses, known.after_hours, known.patients, known.denials];
            let mut row = vec![self.name(known.actor)];
            row.extend(numbers.map(|number| number.to_string()));
            row
        });
        let head = ["who", "accesses", "after hours", "patients", "denials"];
        table(f, "Who was in charts most", &head, &most.collect::<Vec<_>>())?;
        let by_hour = self.by_hour.iter().zip(WEEKDAYS).map(|(counts, day)| {
            let mut row = vec![day.to_owned()];
            row.extend(counts.iter().map(ToString::to_string));
            row
        });
        let mut head = vec!["hour".to_owned()];
        head.extend((0..24).map(|hour| hour.to_string()));
        let head: Vec<&str> = head.iter().map(String::as_str).collect();
        table(f, "Accesses by weekday and hour", &head, &by_hour.collect::<Vec<_>>())?;
        let charts = self
            .charts
            .iter()
            .map(|chart| vec![patients.of(chart.patient), chart.actors.to_string(), chart.accesses.to_string()]);
        let charts: Vec<_> = charts.collect();
        table(f, "Charts in which most people were", &["patient", "people", "accesses"], &charts)?;
        let emergencies = self.emergencies.iter().map(|emergency| {
            let verdict = emergency.verdict.map_or_else(|| "open".to_owned(), |verdict| verdict.to_string());
            let patient = patients.of_maybe(emergency.patient);
            vec![clock(emergency.at), self.name(emergency.actor), patient, emergency.reason.to_string(), verdict]
        });
        let emergencies: Vec<_> = emergencies.collect();
        table(f, "Emergencies", &["when", "who", "patient", "reason", "review"], &emergencies)?;
        let denials = self.denials.iter().map(|(cause, n)| vec![cause.clone(), n.to_string()]);
        table(f, "Denials by cause", &["cause", "denials"], &denials.collect::<Vec<_>>())?;
        let flags = self.flags.iter().map(|flag| {
            let of = |verdict| flag.closed.get(&verdict).copied().unwrap_or(0).to_string();
            let mut row = vec![flag.rule.to_string(), flag.open.to_string(), flag.overdue.to_string()];
            row.extend(FlagVerdict::ALL.iter().map(|verdict| of(*verdict)));
            row
        });
        let head = ["rule", "open", "overdue", "explained", "misuse", "unclear", "rule wrong"];
        table(f, "Flags", &head, &flags.collect::<Vec<_>>())
    }
}
