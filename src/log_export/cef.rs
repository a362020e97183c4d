//! The log as messages of the Common Event Format (ArcSight), version 0.

use std::fmt::Display;

use data_encoding::HEXLOWER;

use super::part::{Part, parts};
use crate::audit::{AuditEntry, AuditEvent, AuditRecord, Outcome};
use crate::ids::VaultId;
use crate::sink::Delivered;

/// Characters of a custom string: what the format's dictionary allows.
const CUSTOM: usize = 4_000;

pub(super) fn put(vault: VaultId, delivered: &Delivered, out: &mut String) {
    let Some(entry) = &delivered.entry else { return };
    for part in parts(entry) {
        put_part(vault, entry, &part, &HEXLOWER.encode(&delivered.leaf), out);
        out.push('\n');
    }
}

fn put_part(vault: VaultId, entry: &AuditEntry, part: &Part<'_>, leaf: &str, out: &mut String) {
    let event = entry.event;
    // Words and numbers alone: nothing here has to be escaped.
    let (version, code, severity) = (env!("CARGO_PKG_VERSION"), event.code(), severity(entry));
    out.push_str(&format!("CEF:0|chartvault|chartvault|{version}|{code}|{event}|{severity}|"));
    let patient = part.subject.map(|subject| subject.patient.map_or_else(|| "erased".to_owned(), |id| id.to_string()));
    let mut line = Extension { out, begun: false };
    line.field("rt", Some(part.time.as_micros().div_euclid(1_000)));
    line.field("externalId", Some(entry.seq));
    line.field("deviceExternalId", Some(vault));
    line.field("dvchost", entry.host.as_ref());
    line.field("suid", entry.actor);
    line.field("act", entry.action);
    line.field("outcome", Some(entry.outcome));
    line.field("reason", entry.reason);
    line.field("cnt", entry.count);
    line.field("msg", entry.detail.as_ref());
    line.custom("cs1", "patient", patient);
    line.custom("cs2", "session", entry.session);
    line.custom("cs3", "purpose", entry.purpose);
    line.custom("cs4", "ticket", entry.ticket.as_ref());
    line.custom("cs5", "records", records(part.records));
    line.custom("cs6", "leaf", Some(leaf));
    line.custom("cn1", "part", Some(part.number));
    line.custom("cn2", "recordCount", Some(part.records.len()));
    line.custom("flexString1", "requestId", entry.request_id.as_ref());
    line.custom("flexString2", "device", entry.device.as_ref());
}

/// 0 to 10: what was refused stands out, and most of all what may be an attack, damage or an emergency.
fn severity(entry: &AuditEntry) -> u8 {
    use AuditEvent::{
        DamageFound, EntryLost, FlagRaised, GlassBroken, SignInRefused, TokenRefused, UnlockFailed, VaultSalvaged,
    };
    match (entry.event, entry.outcome) {
        (DamageFound | EntryLost, _) => 9,
        (FlagRaised | VaultSalvaged, _) => 8,
        (GlassBroken | UnlockFailed, _) => 7,
        (SignInRefused | TokenRefused, _) | (_, Outcome::Denied) => 6,
        (_, Outcome::Failed) => 5,
        _ => 3,
    }
}

/// As many records as fit, and how many more there are.
fn records(records: &[AuditRecord]) -> Option<String> {
    let mut listed = String::new();
    for (at, record) in records.iter().enumerate() {
        let one = format!("{}/{}/{}", record.kind, record.number, record.version);
        if listed.len().saturating_add(one.len()) > CUSTOM - 40 {
            listed.push_str(&format!("; and {} more", records.len().saturating_sub(at)));
            break;
        }
        listed.push_str(if at == 0 { "" } else { "; " });
        listed.push_str(&one);
    }
    (!listed.is_empty()).then_some(listed)
}

/// The part of a message that is made of keys and values.
struct Extension<'o> {
    out: &'o mut String,
    begun: bool,
}

impl Extension<'_> {
    fn field(&mut self, key: &str, value: Option<impl Display>) {
        let Some(value) = value else { return };
        self.out.push_str(if self.begun { " " } else { "" });
        self.begun = true;
        self.out.push_str(key);
        self.out.push('=');
        put_value(self.out, &value.to_string());
    }

    /// A value of a kind that the format has no key for, and what it is.
    fn custom(&mut self, key: &str, label: &str, value: Option<impl Display>) {
        if let Some(value) = value {
            self.field(&format!("{key}Label"), Some(label));
            self.field(key, Some(value));
        }
    }
}

/// Reverse solidus, equals sign and ends of lines are escaped; other controls, which have no form here, become blanks.
fn put_value(out: &mut String, text: &str) {
    for c in text.chars() {
        match c {
            '\\' | '=' => out.extend(['\\', c]),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            c if c.is_control() || matches!(c, '\u{2028}' | '\u{2029}') => out.push(' '),
            c => out.push(c),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;
    use crate::audit::tests::kit;

    fn lines(entry: AuditEntry) -> String {
        let mut out = String::new();
        put(kit::VAULT, &Delivered::new((entry.seq, entry.time, [7; 32]), Some(entry)), &mut out);
        out
    }

    /// The seven fields before the extension, and the extension, read by the format's rules: a key is the word before an equals
    /// sign that is not escaped.
    fn read(line: &str) -> (Vec<String>, BTreeMap<String, String>) {
        let mut head: Vec<String> = line.splitn(8, '|').map(str::to_owned).collect();
        let chars: Vec<char> = head.pop().unwrap().chars().collect();
        let (mut fields, mut key, mut value, mut at) = (BTreeMap::new(), None::<String>, String::new(), 0);
        while at < chars.len() {
            match chars[at] {
                '\\' => {
                    at += 1;
                    value.push(match chars[at] {
                        'n' => '\n',
                        'r' => '\r',
                        c => c,
                    });
                }
                '=' => {
                    let begins = value.rfind(' ').map_or(0, |blank| blank + 1);
                    let next = value.split_off(begins);
                    if let Some(key) = key.replace(next) {
                        assert_eq!(value.pop(), Some(' '));
                        assert!(fields.insert(key, std::mem::take(&mut value)).is_none());
                    }
                }
                c => value.push(c),
            }
            at += 1;
        }
        fields.insert(key.unwrap(), value);
        (head, fields)
    }

    #[test]
    fn a_message_says_what_the_entry_says() {
        let entry = kit::full_entry();
        let text = lines(entry.clone());
        let (head, fields) = read(text.strip_suffix('\n').unwrap());
        let version = env!("CARGO_PKG_VERSION");
        assert_eq!(head, ["CEF:0", "chartvault", "chartvault", version, "41", "record-read", "6"]);
        let labelled = |label: &str| {
            let (key, _) = fields.iter().find(|(_, value)| *value == label).unwrap();
            &*fields[key.strip_suffix("Label").unwrap()]
        };
        assert_eq!(fields["rt"], (entry.time.as_micros() / 1_000).to_string());
        assert_eq!((&*fields["externalId"], &*fields["outcome"]), ("1", "denied"));
        assert_eq!(fields["deviceExternalId"], kit::VAULT.to_string());
        assert_eq!(labelled("patient"), entry.subjects[0].patient.unwrap().to_string());
        assert_eq!(labelled("ticket"), entry.ticket.unwrap().to_string());
        assert_eq!((labelled("leaf"), labelled("recordCount")), (&*"07".repeat(32), "3"));
    }

    #[test]
    fn more_records_than_fit_are_counted() {
        let mut entry = kit::full_entry();
        entry.subjects[0].records = (0..1_000).map(|number| kit::record(1, number)).collect();
        let text = lines(entry);
        let (_, fields) = read(text.strip_suffix('\n').unwrap());
        let listed = &fields["cs5"];
        assert!(listed.len() <= CUSTOM, "{}", listed.len());
        let (records, more) = listed.rsplit_once("; and ").unwrap();
        assert_eq!(more, format!("{} more", 1_000 - records.split("; ").count()));
    }

    #[test]
    fn what_is_refused_and_what_may_be_damage_stands_out() {
        let of = |event, outcome| severity(&AuditEntry { event, outcome, ..kit::full_entry() });
        let rising = [
            of(AuditEvent::RecordRead, Outcome::Allowed),
            of(AuditEvent::RecordRead, Outcome::Failed),
            of(AuditEvent::RecordRead, Outcome::Denied),
            of(AuditEvent::GlassBroken, Outcome::Allowed),
            of(AuditEvent::FlagRaised, Outcome::Allowed),
            of(AuditEvent::EntryLost, Outcome::Failed),
        ];
        assert!(rising.is_sorted_by(|a, b| a < b), "{rising:?}");
    }

    proptest! {
        #[test]
        fn any_text_comes_back_from_one_line(detail in any::<String>(), host in any::<String>(), id in "[a-z =|\\\\\n\r]*") {
            let (detail, host) = (Some(detail), Some(host));
            let entry = AuditEntry { detail, host, request_id: Some(id.clone()), ..kit::full_entry() };
            let text = lines(entry.clone());
            prop_assert_eq!(text.matches('\n').count(), 1);
            let (_, fields) = read(text.strip_suffix('\n').unwrap());
            prop_assert_eq!(&fields["flexString1"], &id);
            let lost = |c: char| (c.is_control() && !"\n\r".contains(c)) || matches!(c, '\u{2028}' | '\u{2029}');
            let kept = |text: Option<String>| text.unwrap().replace(lost, " ");
            prop_assert_eq!(&fields["dvchost"], &kept(entry.host));
            prop_assert_eq!(&fields["msg"], &kept(entry.detail));
        }
    }
}
