//! One line for each entry: JSON, or a syslog message as RFC 5424 has it.

use super::form::Delivered;
use crate::audit::{AuditEntry, Outcome};
use crate::clock::Timestamp;
use crate::json::{Object, quoted};

/// How a line looks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum LineFormat {
    /// A JSON object with `seq`, `time` and `leaf`, and what the entry says; ids in lower-case hex. What an entry does not say
    /// is left out.
    #[default]
    Json,
    /// A message of RFC 5424: facility 13 (log audit), severity 6, or 5 for what was denied and 4 for what failed; the event as
    /// MSGID; number and leaf as structured data; that JSON object as the message.
    Rfc5424,
}

impl LineFormat {
    /// The line, without its end. It holds no control character.
    pub(crate) fn line(self, delivered: &Delivered, host: &str) -> String {
        match self {
            Self::Json => json(delivered),
            Self::Rfc5424 => syslog(delivered, host, &json(delivered)),
        }
    }

    /// How files with such lines end.
    pub(super) const fn extension(self) -> &'static str {
        match self {
            Self::Json => "jsonl",
            Self::Rfc5424 => "log",
        }
    }
}

/// A time as RFC 5424 has it: years of four digits, or else the nil value. The message then still says how many microseconds.
fn timestamp(time: Timestamp) -> String {
    let text = time.to_string();
    let digits = text.chars().take_while(char::is_ascii_digit).count();
    if digits == 4 && text.get(4..5) == Some("-") { text } else { "-".to_owned() }
}

/// A message of RFC 5424 with this text.
pub(super) fn syslog(delivered: &Delivered, host: &str, text: &str) -> String {
    const LOG_AUDIT: u8 = 13;
    let entry = delivered.entry.as_ref();
    let severity = match entry.map(|entry| entry.outcome) {
        Some(Outcome::Denied) => 5,
        Some(Outcome::Failed) => 4,
        _ => 6,
    };
    let priority = LOG_AUDIT * 8 + severity;
    let event = entry.map_or_else(|| "sealed".to_owned(), |entry| entry.event.to_string());
    // Printable ASCII, 255 and 32 characters at most.
    let ascii = |text: &str, most: usize| {
        let text: String = text.chars().filter(char::is_ascii_graphic).take(most).collect();
        if text.is_empty() { "-".to_owned() } else { text }
    };
    // 32473 is the number that RFC 5612 reserves for documentation: this crate has none of its own.
    format!(
        "<{priority}>1 {} {} chartvault - {} [entry@32473 seq=\"{}\" leaf=\"{}\"] {text}",
        timestamp(delivered.time),
        ascii(host, 255),
        ascii(&event, 32),
        delivered.seq,
        hex(&delivered.leaf),
    )
}

fn json(delivered: &Delivered) -> String {
    let mut object = Object::new();
    object.number("seq", delivered.seq);
    object.text("time", &delivered.time.to_string());
    object.text("leaf", &hex(&delivered.leaf));
    if let Some(entry) = &delivered.entry {
        opened(&mut object, entry);
    }
    object.end()
}

fn opened(object: &mut Object, entry: &AuditEntry) {
    object.text("event", &entry.event.to_string());
    object.text("outcome", &entry.outcome.to_string());
    let time = |time: Timestamp| time.to_string();
    object.maybe("clock", entry.clock.map(time));
    object.maybe("actor", entry.actor.map(|id| hex(id.as_bytes())));
    object.maybe("issuer", entry.issuer.map(|id| hex(id.as_bytes())));
    object.list("revocation_ids", entry.revocation_ids.iter().map(|id| quoted(&hex(id.as_bytes()))));
    object.maybe("session", entry.session.map(|id| hex(id.as_bytes())));
    object.maybe("action", entry.action.map(|action| action.to_string()));
    object.maybe("purpose", entry.purpose.map(|purpose| purpose.to_string()));
    if let Some(reason) = entry.reason {
        object.number("reason", reason.into());
    }
    object.maybe("ticket", entry.ticket.map(|id| hex(id.as_bytes())));
    object.maybe("kind", entry.kind.map(|id| hex(id.as_bytes())));
    object.maybe("requested", entry.requested.map(|id| hex(id.as_bytes())));
    if let Some(count) = entry.count {
        object.number("count", count.into());
    }
    object.maybe("detail", entry.detail.clone());
    object.maybe("request_id", entry.request_id.clone());
    object.maybe("host", entry.host.clone());
    object.maybe("device", entry.device.clone());
    if entry.possession {
        object.member("possession", "true");
    }
    object.list("attesters", entry.attesters.iter().map(|id| quoted(&hex(id.as_bytes()))));
    object.list("refusals", entry.refusals.iter().map(|(block, reason)| format!("[{block},{reason}]")));
    object.list(
        "consent",
        entry.consent.iter().map(|answer| {
            let (permitted, code, count) = (answer.permitted, quoted(&answer.code), answer.count);
            format!(r#"{{"permitted":{permitted},"code":{code},"count":{count}}}"#)
        }),
    );
    object.list(
        "subjects",
        entry.subjects.iter().map(|subject| {
            let mut inner = Object::new();
            inner.maybe("patient", subject.patient.map(|id| hex(id.as_bytes())));
            if let Some(counter) = subject.counter {
                inner.number("counter", counter);
            }
            let record = |record: &crate::audit::AuditRecord| {
                let (kind, tag) = (hex(record.kind.as_bytes()), hex(&record.tag));
                format!(r#"{{"kind":"{kind}","number":{},"version":{},"tag":"{tag}"}}"#, record.number, record.version)
            };
            inner.list("records", subject.records.iter().map(record));
            inner.end()
        }),
    );
    object.list(
        "reads",
        entry
            .reads
            .iter()
            .map(|read| format!(r#"{{"time":"{}","subject":{},"records":{}}}"#, read.time, read.subject, read.records)),
    );
}

fn hex(bytes: &[u8]) -> String {
    data_encoding::HEXLOWER.encode(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audit::tests::kit;

    fn delivered() -> Delivered {
        let mut entry = kit::full_entry();
        entry.possession = true;
        entry.detail = Some("said \"no\"\\\n\u{85}<14>1 - forged".to_owned());
        Delivered::new((entry.seq, entry.time, [7; 32]), Some(entry))
    }

    #[test]
    fn a_line_of_json_says_what_the_entry_says_and_stays_one_line() {
        let delivered = delivered();
        let entry = delivered.entry.as_ref().unwrap();
        let line = LineFormat::Json.line(&delivered, "");
        assert!(!line.chars().any(char::is_control), "{line}");
        let value: serde_json::Value = serde_json::from_str(&line).unwrap();
        assert_eq!(value["seq"], entry.seq);
        assert_eq!(value["detail"], entry.detail.as_deref().unwrap());
        assert_eq!(value["leaf"], "07".repeat(32));
        assert_eq!(value["possession"], true);
        let consent = serde_json::json!([{ "permitted": false, "code": "no directive", "count": 1 }]);
        assert_eq!(value["consent"], consent);
        assert_eq!(value["subjects"].as_array().unwrap().len(), entry.subjects.len());
        let patient = entry.subjects[0].patient.unwrap();
        assert_eq!(value["subjects"][0]["patient"], hex(patient.as_bytes()));
        let sealed = LineFormat::Json.line(&Delivered { entry: None, ..delivered.clone() }, "");
        let value: serde_json::Value = serde_json::from_str(&sealed).unwrap();
        assert_eq!(value.as_object().unwrap().len(), 3, "{sealed}");
    }

    #[test]
    fn a_message_of_rfc_5424_has_its_fields_in_order_and_the_object_behind_them() {
        let delivered = delivered();
        let line = LineFormat::Rfc5424.line(&delivered, "ward 3\n");
        let parts: Vec<&str> = line.splitn(7, ' ').collect();
        assert!(parts[0].starts_with("<1") && parts[0].ends_with(">1"), "{line}");
        assert_eq!(parts[1].parse::<Timestamp>().unwrap(), delivered.time);
        assert_eq!(parts[2..5], ["ward3", "chartvault", "-"]);
        assert_eq!(parts[5], delivered.entry.as_ref().unwrap().event.to_string());
        let (data, message) = parts[6].split_once("] ").unwrap();
        assert_eq!(data, format!("[entry@32473 seq=\"{}\" leaf=\"{}\"", delivered.seq, "07".repeat(32)));
        assert!(serde_json::from_str::<serde_json::Value>(message).is_ok());
    }
}
