//! Advisories on dependencies that this version lives with.

/// An advisory on a dependency that this version lives with, and why. What `deny.toml` ignores; a test compares the two.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct WaivedAdvisory {
    /// Its id in the RustSec database.
    pub id: &'static str,
    /// The package, and why it stays.
    pub reason: &'static str,
}

pub(super) const WAIVED: &[WaivedAdvisory] = &[
    WaivedAdvisory {
        id: "RUSTSEC-2025-0057",
        reason: "fxhash, unmaintained, through sled: used for sled's own page table only",
    },
    WaivedAdvisory {
        id: "RUSTSEC-2024-0384",
        reason: "instant, unmaintained, through sled's parking_lot 0.11: a std wrapper here",
    },
    WaivedAdvisory {
        id: "RUSTSEC-2025-0141",
        reason: "bincode 1.3.3, unmaintained but complete: decodes authenticated bytes only",
    },
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn they_are_those_that_the_checks_ignore() {
        let deny = include_str!("../../../deny.toml");
        let ignored: Vec<&str> = deny.lines().filter(|line| line.contains("id = \"RUSTSEC-")).collect();
        assert_eq!(ignored.len(), WAIVED.len());
        for WaivedAdvisory { id, reason } in WAIVED {
            let line = format!("{{ id = \"{id}\", reason = \"{reason}\" }}");
            assert!(ignored.iter().any(|ignored| ignored.contains(&line)), "{line}");
        }
    }
}
