//! The tables of a page: all that the charts show, and what no chart does.

use super::super::Summary;
use super::super::pseudonyms::Pseudonyms;
use super::super::text::WEEKDAYS;
use super::grouped;
use crate::html::Html;
use crate::monitor::{FlagVerdict, clock_text};

/// People that are listed.
const PEOPLE: usize = 50;

pub(super) fn all(out: &mut Html, summary: &Summary, patients: &mut Pseudonyms<'_>, texts: bool) {
    emergencies(out, summary, patients, texts);
    flags(out, summary);
    denials(out, summary);
    charts(out, summary, patients);
    people(out, summary);
    behind_the_charts(out, summary);
}

fn emergencies(out: &mut Html, summary: &Summary, patients: &mut Pseudonyms<'_>, texts: bool) {
    let rows = summary.emergencies.iter().map(|emergency| {
        let verdict = emergency.verdict.map_or_else(|| "open".to_owned(), |verdict| verdict.to_string());
        let mut row = vec![clock_text(summary.hours.as_ref(), emergency.at), summary.name(emergency.actor)];
        row.extend([patients.of_maybe(emergency.patient), emergency.reason.to_string(), verdict]);
        row.extend(texts.then(|| emergency.text.clone()));
        row
    });
    let rows: Vec<_> = rows.collect();
    let head = ["When", "Who", "Patient", "Reason", "Review", "In words"];
    let head = head.get(..if texts { 6 } else { 5 }).unwrap_or(&head);
    out.section("Emergencies", "Whenever the glass was broken, and what its review came to.", |out| {
        out.table("Emergencies that were invoked", head, &[1, 2, 3, 4, 5], &rows);
    });
}

fn flags(out: &mut Html, summary: &Summary) {
    let rows = summary.flags.iter().map(|flag| {
        let of = |verdict| flag.closed.get(verdict).map_or_else(|| grouped(0), |n| grouped(*n));
        let mut row = vec![flag.rule.to_string(), grouped(flag.open), grouped(flag.overdue)];
        row.extend(FlagVerdict::ALL.iter().map(of));
        row
    });
    let rows: Vec<_> = rows.collect();
    let head = ["Rule", "Open", "Overdue", "Explained", "Misuse", "Unclear", "Rule wrong"];
    out.section("Flags", "What the rules raised in this time, and what came of it.", |out| {
        out.table("Flags by rule and verdict", &head, &[], &rows);
    });
}

fn denials(out: &mut Html, summary: &Summary) {
    let rows: Vec<_> = summary.denials.iter().map(|(cause, n)| vec![cause.clone(), grouped(*n)]).collect();
    out.section("Denials by cause", "", |out| {
        out.table("What was refused, and why", &["Cause", "Denials"], &[], &rows)
    });
}

fn charts(out: &mut Html, summary: &Summary, patients: &mut Pseudonyms<'_>) {
    let row = |chart: &super::super::ChartSummary, name| vec![name, grouped(chart.actors), grouped(chart.accesses)];
    let rows: Vec<_> = summary.charts.iter().map(|chart| row(chart, patients.of(chart.patient))).collect();
    out.section("Charts in which most people were", "", |out| {
        out.table("Charts by the number of people", &["Patient", "People", "Accesses"], &[], &rows);
    });
}

fn people(out: &mut Html, summary: &Summary) {
    let rows = summary.actors.iter().take(PEOPLE).map(|known| {
        let numbers = [known.accesses, known.after_hours, known.patients, known.denials];
        let mut row = vec![summary.name(known.actor)];
        row.extend(numbers.map(grouped));
        row
    });
    let rows: Vec<_> = rows.collect();
    let head = ["Who", "Accesses", "After hours", "Patients", "Denials"];
    out.section("People", "", |out| out.table("Those with the most accesses", &head, &[], &rows));
}

/// What the charts show, as figures; folded away on a screen.
fn behind_the_charts(out: &mut Html, summary: &Summary) {
    out.open("details", &[]);
    out.element("summary", &[], "The figures behind the charts");
    let days = summary.days.iter().map(|day| {
        let numbers = [day.accesses, day.denials, day.emergencies].map(grouped);
        [vec![day.date.clone()], numbers.to_vec()].concat()
    });
    let days: Vec<_> = days.collect();
    out.table("By day", &["Day", "Accesses", "Denials", "Emergencies"], &[], &days);
    let hours = (0..24).map(|hour: usize| {
        let of = |day: &[u64; 24]| grouped(day.get(hour).copied().unwrap_or(0));
        let mut row = vec![format!("{hour:02} to {:02}", hour + 1)];
        row.extend(summary.by_hour.iter().map(of));
        row
    });
    let hours: Vec<_> = hours.collect();
    let head: Vec<&str> = ["Hour"].into_iter().chain(WEEKDAYS).collect();
    out.table("By weekday and hour", &head, &[], &hours);
    out.close("details");
}
