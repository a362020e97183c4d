//! Sinks of the log (docs/format/policy.md, table 23): how far each has taken it, and what happens when it does not.

use std::time::Duration;

use super::row::BadRow;
use crate::bytes::{Put, Reader};
use crate::clock::Timestamp;
use crate::crypto::kdf;
use crate::sink::{SinkPolicy, checked_name};

const DETACHED: u8 = 0;
const BEST_EFFORT: u8 = 1;
const REQUIRED: u8 = 2;

/// A sink of the log. One that was detached keeps its place, so that it goes on there when it is attached again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SinkRow {
    pub(crate) name: String,
    /// The entry that it gets next: it has taken all before it since it was first attached.
    pub(crate) next: u64,
    /// When it was attached, or detached, last.
    pub(crate) since: Timestamp,
    /// `None` once it was detached.
    pub(crate) policy: Option<SinkPolicy>,
}

impl SinkRow {
    pub(super) fn place(&self) -> [u8; 16] {
        kdf::sink_id(&self.name)
    }

    /// Behind the number of the table.
    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        out.put_u64(self.next);
        out.put_i64(self.since.as_micros());
        match self.policy {
            None => out.put_u8(DETACHED),
            Some(SinkPolicy::BestEffort) => out.put_u8(BEST_EFFORT),
            Some(SinkPolicy::Required { behind, patience }) => {
                out.put_u8(REQUIRED);
                out.put_u64(behind);
                out.put_u64(u64::try_from(patience.as_micros()).unwrap_or(u64::MAX));
            }
        }
        out.put(self.name.as_bytes());
    }

    pub(super) fn decode(mut reader: Reader<'_>) -> Result<Self, BadRow> {
        let (next, since) = (reader.u64()?, Timestamp::from_micros(reader.i64()?));
        let policy = match reader.u8()? {
            DETACHED => None,
            BEST_EFFORT => Some(SinkPolicy::BestEffort),
            REQUIRED => {
                let (behind, patience) = (reader.u64()?, Duration::from_micros(reader.u64()?));
                Some(SinkPolicy::Required { behind, patience })
            }
            _ => return Err(BadRow),
        };
        let name = str::from_utf8(reader.rest()).map_err(|_| BadRow)?;
        let name = checked_name(name).map_err(|_| BadRow)?.to_owned();
        Ok(Self { name, next, since, policy })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::PolicyRow;
    use super::*;
    use crate::format::worked;

    const PAGE: &str = include_str!("../../docs/format/policy.md");

    #[test]
    fn the_worked_example_holds_and_whatever_was_cut_or_flipped_is_refused_or_another_row() {
        let policy = SinkPolicy::Required { behind: 100, patience: Duration::from_secs(5) };
        let since = "2026-01-05T12:00:00Z".parse().unwrap();
        let row = PolicyRow::Sink(SinkRow { name: "siem".to_owned(), next: 4_711, since, policy: Some(policy) });
        let bytes = row.to_bytes();
        assert_eq!(bytes, worked::bytes(PAGE, "sink_row"));
        assert_eq!(kdf::sink_id("siem").to_vec(), worked::bytes(PAGE, "sink_id"));
        assert_eq!(PolicyRow::parse(&bytes), Ok(row.clone()));
        for len in 0..bytes.len() {
            assert_ne!(PolicyRow::parse(&bytes[..len]).as_ref(), Ok(&row), "{len}");
        }
        for bit in 0..bytes.len() * 8 {
            let mut bad = bytes.clone();
            bad[bit / 8] ^= 1 << (bit % 8);
            assert_ne!(PolicyRow::parse(&bad).as_ref(), Ok(&row), "bit {bit}");
        }
    }

    proptest! {
        #[test]
        fn sinks_come_back(name in "[a-z é]{1,30}", next: u64, since: i64, code in 0u8..3, behind: u64, micros: u64) {
            let policy = match code {
                DETACHED => None,
                BEST_EFFORT => Some(SinkPolicy::BestEffort),
                _ => Some(SinkPolicy::Required { behind, patience: Duration::from_micros(micros) }),
            };
            let row = PolicyRow::Sink(SinkRow { name, next, since: Timestamp::from_micros(since), policy });
            prop_assert_eq!(PolicyRow::parse(&row.to_bytes()), Ok(row));
        }

        #[test]
        fn what_parses_is_what_would_be_written(rest in proptest::collection::vec(0u8..4, 0..60)) {
            let bytes = [&[23][..], &rest].concat();
            if let Ok(row) = PolicyRow::parse(&bytes) {
                prop_assert_eq!(row.to_bytes(), bytes);
            }
        }
    }
}
