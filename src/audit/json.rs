//! An entry as one line of JSON (RFC 8259), complete; docs/format/exports.md has the names.

use std::fmt::Display;

use data_encoding::HEXLOWER;

use super::event::Outcome;
use super::subject::AuditSubject;
use super::view::AuditEntry;

impl AuditEntry {
    /// All of it as one object of JSON (RFC 8259) on one line, without the line's end: a line of "JSON lines". What is not
    /// there is `null` or an empty array. Names and meanings stand in `docs/format/exports.md`; new ones may be added.
    ///
    /// It holds whatever the entry does, such as patients and free text. Reading the entry was logged already.
    ///
    /// ```
    /// # mod clinic { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/clinic.rs")); }
    /// # use clinic::*;
    /// # let clinic = Clinic::new();
    /// # let session = clinic.session();
    /// for entry in session.audit()?.query(AuditFilter::new()).page()?.entries {
    ///     assert!(entry.to_json().starts_with(&format!("{{\"seq\":{},", entry.seq)));
    /// }
    /// # Ok::<(), chartvault::Error>(())
    /// ```
    #[must_use]
    pub fn to_json(&self) -> String {
        let outcome = match self.outcome {
            Outcome::Allowed => "allowed",
            Outcome::Denied => "denied",
            Outcome::Failed => "failed",
        };
        let refusals = self.refusals.iter().map(|(block, reason)| format!("{{\"block\":{block},\"reason\":{reason}}}"));
        let consent = self.consent.iter().map(|answer| {
            let (permitted, code, count) = (answer.permitted, text(&answer.code), answer.count);
            format!("{{\"permitted\":{permitted},\"code\":{code},\"count\":{count}}}")
        });
        let reads = self.reads.iter().map(|read| {
            let (time, subject, records) = (read.time.as_micros(), read.subject, read.records);
            format!("{{\"time_us\":{time},\"subject\":{subject},\"records\":{records}}}")
        });
        let members = [
            ("seq", self.seq.to_string()),
            ("time", text(self.time)),
            ("time_us", self.time.as_micros().to_string()),
            ("clock_us", maybe(self.clock.map(|clock| clock.as_micros().to_string()))),
            ("event", text(self.event)),
            ("event_code", self.event.code().to_string()),
            ("outcome", text(outcome)),
            ("actor", maybe(self.actor.map(text))),
            ("issuer", maybe(self.issuer.map(text))),
            ("revocation_ids", array(self.revocation_ids.iter().map(text))),
            ("session", maybe(self.session.map(text))),
            ("action", maybe(self.action.map(text))),
            ("purpose", maybe(self.purpose.map(text))),
            ("reason", maybe(self.reason.map(|reason| reason.to_string()))),
            ("ticket", maybe(self.ticket.as_ref().map(text))),
            ("kind", maybe(self.kind.map(text))),
            ("requested", maybe(self.requested.map(text))),
            ("count", maybe(self.count.map(|count| count.to_string()))),
            ("detail", maybe(self.detail.as_ref().map(text))),
            ("request_id", maybe(self.request_id.as_ref().map(text))),
            ("host", maybe(self.host.as_ref().map(text))),
            ("device", maybe(self.device.as_ref().map(text))),
            ("possession", self.possession.to_string()),
            ("attesters", array(self.attesters.iter().map(text))),
            ("refusals", array(refusals)),
            ("consent", array(consent)),
            ("subjects", array(self.subjects.iter().map(subject))),
            ("reads", array(reads)),
        ];
        object(members)
    }
}

fn subject(subject: &AuditSubject) -> String {
    let records = subject.records.iter().map(|record| {
        object([
            ("kind", text(record.kind)),
            ("number", record.number.to_string()),
            ("version", record.version.to_string()),
            ("tag", text(HEXLOWER.encode(&record.tag))),
        ])
    });
    object([
        ("patient", maybe(subject.patient.map(text))),
        ("counter", maybe(subject.counter.map(|counter| counter.to_string()))),
        ("records", array(records)),
    ])
}

fn object<const N: usize>(members: [(&str, String); N]) -> String {
    let members = members.map(|(name, value)| format!("\"{name}\":{value}"));
    format!("{{{}}}", members.join(","))
}

fn array(items: impl Iterator<Item = String>) -> String {
    format!("[{}]", items.collect::<Vec<_>>().join(","))
}

fn maybe(value: Option<String>) -> String {
    value.unwrap_or_else(|| "null".to_owned())
}

fn text(value: impl Display) -> String {
    let mut out = String::new();
    put_text(&mut out, &value.to_string());
    out
}

/// Quotation mark, reverse solidus and controls are escaped, and nothing else has to be.
pub(crate) fn put_text(out: &mut String, text: &str) {
    out.push('"');
    for c in text.chars() {
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            c if c < ' ' => out.push_str(&format!("\\u{:04x}", u32::from(c))),
            c => out.push(c),
        }
    }
    out.push('"');
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;
    use crate::audit::entry::EntryRef;
    use crate::audit::tests::kit;
    use crate::audit::view::open_entry;

    fn entry() -> AuditEntry {
        let entries = kit::log(vec![kit::genesis(), kit::read(1)]);
        let key = |_: u32, _: &[u8; 16], _: u32| Some(kit::subject_key(1));
        open_entry(&EntryRef::parse(&entries[1]).unwrap(), &kit::keys(), key).unwrap()
    }

    #[test]
    fn a_read_names_its_patient_and_records() {
        let read: Value = serde_json::from_str(&entry().to_json()).unwrap();
        assert_eq!(
            (&read["seq"], &read["event"], &read["outcome"]),
            (&json!(1), &json!("record-read"), &json!("allowed"))
        );
        assert_eq!(read["subjects"][0]["patient"], json!(kit::patient(1).to_string()));
        assert_eq!(read["subjects"][0]["records"].as_array().map(Vec::len), Some(1));
        assert_eq!((&read["ticket"], &read["reads"]), (&Value::Null, &json!([])));
    }

    #[test]
    fn an_erased_patient_stays_unnamed() {
        let mut entry = entry();
        entry.subjects = vec![AuditSubject { patient: None, counter: None, records: Vec::new() }];
        let read: Value = serde_json::from_str(&entry.to_json()).unwrap();
        assert_eq!(read["subjects"], json!([{ "patient": null, "counter": null, "records": [] }]));
    }

    proptest! {
        #[test]
        fn any_text_comes_back_from_one_line(detail in any::<String>(), host in any::<String>(), refusals in any::<Vec<(u8, u16)>>()) {
            let entry = AuditEntry { detail: Some(detail.clone()), host: Some(host.clone()), refusals: refusals.clone(), ..entry() };
            let line = entry.to_json();
            prop_assert!(!line.contains(['\n', '\r']));
            let read: Value = serde_json::from_str(&line).unwrap();
            prop_assert_eq!((&read["detail"], &read["host"]), (&json!(detail), &json!(host)));
            let expected: Vec<Value> = refusals.iter().map(|(b, r)| json!({ "block": b, "reason": r })).collect();
            prop_assert_eq!(&read["refusals"], &json!(expected));
        }
    }
}
