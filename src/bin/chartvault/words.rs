//! Words of the command line that are not words of the library: lengths of time, and purposes by name.

use std::time::Duration;

use chartvault::{Purpose, Timestamp};

/// A length of time: `90s`, `30m`, `12h`, `7d`, `2w`.
pub fn duration(text: &str) -> Result<Duration, String> {
    const UNITS: [(char, u64); 5] = [('s', 1), ('m', 60), ('h', 3_600), ('d', 86_400), ('w', 604_800)];
    let wrong = || format!("{text:?} is no length of time; write 90s, 30m, 12h, 7d or 2w");
    let unit = text.chars().next_back().ok_or_else(wrong)?;
    let (_, seconds) = UNITS.into_iter().find(|(name, _)| *name == unit).ok_or_else(wrong)?;
    let number: u64 = text.strip_suffix(unit).and_then(|number| number.parse().ok()).ok_or_else(wrong)?;
    number.checked_mul(seconds).map(Duration::from_secs).ok_or_else(wrong)
}

/// A purpose of use, by its English name or its HL7 code.
pub fn purpose(text: &str) -> Result<Purpose, String> {
    if let Some((_, purpose)) = PURPOSES.iter().find(|(name, _)| *name == text) {
        return Ok(*purpose);
    }
    text.parse().map_err(|_| {
        let names: Vec<_> = PURPOSES.iter().map(|(name, purpose)| format!("{name} ({purpose})")).collect();
        format!("{text:?} is no purpose of use; there are {}", names.join(", "))
    })
}

const PURPOSES: [(&str, Purpose); 12] = [
    ("treatment", Purpose::Treatment),
    ("emergency", Purpose::EmergencyTreatment),
    ("break-glass", Purpose::BreakGlass),
    ("payment", Purpose::Payment),
    ("operations", Purpose::Operations),
    ("research", Purpose::Research),
    ("public-health", Purpose::PublicHealth),
    ("patient-request", Purpose::PatientRequest),
    ("family-request", Purpose::FamilyRequest),
    ("coverage", Purpose::Coverage),
    ("legal", Purpose::Legal),
    ("administration", Purpose::SystemAdministration),
];

/// An instant: RFC 3339, or a day, which counts from its start in UTC.
pub fn instant(text: &str) -> Result<Timestamp, String> {
    let whole = if text.len() == 10 { format!("{text}T00:00:00Z") } else { text.to_owned() };
    whole.parse().map_err(|_| format!("{text:?} is no time; write 2026-11-23 or 2026-11-23T07:00:00Z"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_of_time_have_a_unit() {
        for (text, seconds) in [("90s", Some(90)), ("30m", Some(1_800)), ("12h", Some(43_200)), ("2w", Some(1_209_600))]
        {
            assert_eq!(duration(text).ok().map(|length| length.as_secs()), seconds, "{text}");
        }
        for wrong in ["", "12", "h", "-1h", "1.5h", "12 h", "99999999999999999999d", "18446744073709551615w", "1ä"] {
            assert!(duration(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn every_purpose_has_a_name() {
        for known in Purpose::ALL {
            assert!(PURPOSES.iter().any(|(name, purpose)| purpose == known && super::purpose(name) == Ok(*known)));
            assert_eq!(purpose(&known.to_string()), Ok(*known));
        }
        assert!(purpose("curiosity").unwrap_err().contains("treatment (TREAT)"));
    }

    #[test]
    fn a_day_counts_from_its_start() {
        assert_eq!(instant("2026-11-23").unwrap().to_string(), "2026-11-23T00:00:00Z");
        assert!(instant("yesterday").is_err() && instant("2026-13-01").is_err());
    }
}
