//! The log as CSV, for spreadsheets.

use std::fmt::Display;

use data_encoding::HEXLOWER;

use super::part::{Part, parts};
use crate::audit::{AuditEntry, AuditRecord};
use crate::csv;
use crate::sink::Delivered;

const COLUMNS: [&str; 29] = [
    "seq",
    "part",
    "time",
    "event",
    "event_code",
    "outcome",
    "actor",
    "issuer",
    "session",
    "action",
    "purpose",
    "patient",
    "patient_counter",
    "records",
    "kind",
    "requested",
    "count",
    "reason",
    "refusals",
    "ticket",
    "consent",
    "detail",
    "request_id",
    "host",
    "device",
    "possession",
    "attesters",
    "clock",
    "leaf",
];

/// The line of names.
pub(super) fn head() -> String {
    let mut line = String::new();
    put_line(&mut line, COLUMNS.map(|name| Some(name.to_owned())));
    line
}

pub(super) fn put(delivered: &Delivered, out: &mut String) {
    let Some(entry) = &delivered.entry else { return };
    let leaf = HEXLOWER.encode(&delivered.leaf);
    for part in parts(entry) {
        put_line(out, cells(entry, &part, &leaf));
    }
}

fn cells(entry: &AuditEntry, part: &Part<'_>, leaf: &str) -> [Option<String>; COLUMNS.len()] {
    let Part { number, time, subject, records } = part;
    // An id is never this word.
    let patient = subject.map(|subject| subject.patient.map_or_else(|| "erased".to_owned(), |id| id.to_string()));
    let consent = entry.consent.iter().map(|answer| {
        let verdict = if answer.permitted { "permitted" } else { "refused" };
        format!("{verdict} {} x{}", answer.code, answer.count)
    });
    [
        some(entry.seq),
        some(number),
        some(time),
        some(entry.event),
        some(entry.event.code()),
        some(entry.outcome),
        entry.actor.and_then(some),
        entry.issuer.and_then(some),
        entry.session.and_then(some),
        entry.action.and_then(some),
        entry.purpose.and_then(some),
        patient,
        subject.and_then(|subject| subject.counter).and_then(some),
        several(records.iter().map(record)),
        entry.kind.and_then(some),
        entry.requested.and_then(some),
        entry.count.and_then(some),
        entry.reason.and_then(some),
        several(entry.refusals.iter().map(|(block, reason)| format!("{block}:{reason}"))),
        entry.ticket.as_ref().and_then(some),
        several(consent),
        entry.detail.clone(),
        entry.request_id.clone(),
        entry.host.clone(),
        entry.device.clone(),
        some(entry.possession),
        several(entry.attesters.iter().map(ToString::to_string)),
        entry.clock.and_then(some),
        some(leaf),
    ]
}

fn some(value: impl Display) -> Option<String> {
    Some(value.to_string())
}

fn several(values: impl Iterator<Item = String>) -> Option<String> {
    let values: Vec<String> = values.collect();
    (!values.is_empty()).then(|| values.join("; "))
}

/// `<kind>/<number>/<version>`.
fn record(record: &AuditRecord) -> String {
    format!("{}/{}/{}", record.kind, record.number, record.version)
}

fn put_line(out: &mut String, cells: [Option<String>; COLUMNS.len()]) {
    for (at, cell) in cells.into_iter().enumerate() {
        out.push_str(if at == 0 { "" } else { "," });
        if let Some(text) = cell {
            csv::put_value(out, &text);
        }
    }
    out.push_str("\r\n");
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::audit::tests::kit;

    fn rows(entry: AuditEntry) -> Vec<Vec<String>> {
        let mut text = head();
        put(&Delivered::new((entry.seq, entry.time, [7; 32]), Some(entry)), &mut text);
        csv::read(&text)
    }

    fn value<'r>(rows: &'r [Vec<String>], row: usize, name: &str) -> &'r str {
        let at = rows[0].iter().position(|column| column == name).unwrap();
        &rows[row][at]
    }

    #[test]
    fn a_row_says_what_the_entry_says() {
        let entry = kit::full_entry();
        let rows = rows(entry.clone());
        assert_eq!((rows.len(), rows[1].len()), (2, COLUMNS.len()));
        let patient = entry.subjects[0].patient.unwrap().to_string();
        for (name, expected) in [
            ("seq", "1"),
            ("event", "record-read"),
            ("outcome", "denied"),
            ("patient", &patient),
            ("detail", "entered in error"),
            ("consent", "refused no directive x1"),
            ("leaf", &"07".repeat(32)),
        ] {
            assert_eq!(value(&rows, 1, name), expected, "{name}");
        }
        assert_eq!(value(&rows, 1, "records").split("; ").count(), 3);
    }

    #[test]
    fn an_erased_patient_stays_unnamed() {
        let mut entry = kit::full_entry();
        entry.subjects = vec![crate::audit::AuditSubject { patient: None, counter: None, records: Vec::new() }];
        let rows = rows(entry);
        assert_eq!((value(&rows, 1, "patient"), value(&rows, 1, "records")), ("erased", ""));
    }

    proptest! {
        #[test]
        fn any_text_comes_back(detail in any::<String>(), host in any::<String>()) {
            let entry = AuditEntry { detail: Some(detail.clone()), host: Some(host.clone()), ..kit::full_entry() };
            let rows = rows(entry);
            prop_assert_eq!(rows.len(), 2);
            for (name, text) in [("detail", &detail), ("host", &host)] {
                let prefix = if csv::is_formula(text) { "'" } else { "" };
                prop_assert_eq!(value(&rows, 1, name).strip_prefix(prefix), Some(&**text));
            }
        }
    }
}
