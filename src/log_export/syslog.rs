//! The log as messages of RFC 5424, as sinks send them.

use crate::sink::{Delivered, LineFormat};

/// One message a line. A message has no end of line in it.
pub(super) fn put(delivered: &Delivered, out: &mut String) {
    let host = delivered.entry.as_ref().and_then(|entry| entry.host.as_deref()).unwrap_or_default();
    out.push_str(&LineFormat::Rfc5424.line(delivered, host));
    out.push('\n');
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::audit::tests::kit;
    use crate::audit::{AuditEntry, Outcome};
    use crate::clock::Timestamp;

    /// Header fields, structured data and message, by the grammar of RFC 5424, 6.
    fn read(line: &str) -> (Vec<&str>, &str, &str) {
        let (priority, rest) = line.strip_prefix('<').unwrap().split_once('>').unwrap();
        assert!((1..=3).contains(&priority.len()) && priority.parse::<u8>().unwrap() <= 191);
        let mut fields: Vec<&str> = rest.splitn(7, ' ').collect();
        let rest = fields.pop().and_then(|data| data.strip_prefix('[')).unwrap();
        let longest = [2, 32, 255, 48, 128, 32];
        assert_eq!((fields.len(), fields[0]), (6, "1"));
        for (field, longest) in fields.iter().zip(longest) {
            assert!((1..=longest).contains(&field.len()) && field.chars().all(|c| c.is_ascii_graphic()), "{field:?}");
        }
        let (data, message) = rest.split_once("] ").unwrap();
        let mut all = vec![priority];
        all.extend(fields);
        (all, data, message)
    }

    proptest! {
        #[test]
        fn a_strict_reader_gets_every_field_back(detail in any::<String>(), host in any::<String>(), n in 0..3_usize) {
            let outcome = [Outcome::Allowed, Outcome::Denied, Outcome::Failed][n];
            let entry = AuditEntry { outcome, detail: Some(detail), host: Some(host), ..kit::full_entry() };
            let mut out = String::new();
            put(&Delivered::new((entry.seq, entry.time, [7; 32]), Some(entry.clone())), &mut out);
            let line = out.strip_suffix('\n').unwrap();
            prop_assert!(!line.chars().any(char::is_control));
            let (fields, data, message) = read(line);
            prop_assert_eq!(fields[0], ["110", "109", "108"][n]);
            prop_assert_eq!(fields[2].parse(), Ok(entry.time));
            prop_assert_eq!((fields[4], fields[5], fields[6]), ("chartvault", "-", "record-read"));
            prop_assert_eq!(data, format!("entry@32473 seq=\"1\" leaf=\"{}\"", "07".repeat(32)));
            let said: serde_json::Value = serde_json::from_str(message).unwrap();
            prop_assert_eq!(said["detail"].as_str(), entry.detail.as_deref());
            prop_assert_eq!(said["host"].as_str(), entry.host.as_deref());
        }
    }

    /// A clock can be set to any time, and an entry stays an entry.
    #[test]
    fn a_time_that_no_calendar_shows_is_the_nil_value() {
        let year_zero = -62_167_219_200_000_000;
        for (time, shown) in [
            (i64::MAX, "-"),
            (i64::MIN, "-"),
            (year_zero - 1, "-"),
            (year_zero, "0000-01-01T00:00:00Z"),
            (253_402_207_200_000_000, "9999-12-30T22:00:00Z"),
            (253_402_300_800_000_000, "-"),
        ] {
            let entry = AuditEntry { time: Timestamp::from_micros(time), ..kit::full_entry() };
            let mut out = String::new();
            put(&Delivered::new((entry.seq, entry.time, [7; 32]), Some(entry.clone())), &mut out);
            let (fields, _, message) = read(out.strip_suffix('\n').unwrap());
            assert_eq!(fields[2], shown, "{time}");
            let said: serde_json::Value = serde_json::from_str(message).unwrap();
            assert_eq!(said["time"].as_str(), Some(&*entry.time.to_string()));
        }
    }
}
