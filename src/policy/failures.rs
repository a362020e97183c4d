//! Sign-ins of one name that failed in a row, and how long it has to wait (docs/format/policy.md, table 18).

use std::time::Duration;

use super::row::BadRow;
use crate::bytes::{Put, Reader};
use crate::clock::Timestamp;
use crate::ids::PrincipalId;

/// So many failures cost nothing but the work that each takes.
const FREE: u32 = 5;
/// What the last free one costs, and twice as much each one after it, up to the longest.
const FIRST_WAIT: Duration = Duration::from_secs(1);
const LONGEST_WAIT: Duration = Duration::from_secs(15 * 60);

/// How far clocks are taken to be apart without having been set.
const CLOCK_TOLERANCE: Duration = Duration::from_secs(120);

/// Counts that are kept for names that nobody has.
pub(crate) const MAX_UNKNOWN_NAMES: usize = 1_024;

/// Failures of one name since it last signed in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Failures {
    /// Whoever has this name, or would have it.
    pub(crate) of: PrincipalId,
    /// In a row; none is no row.
    pub(crate) count: u32,
    pub(crate) last: Timestamp,
}

impl Failures {
    pub(crate) const fn none(of: PrincipalId) -> Self {
        Self { of, count: 0, last: Timestamp::MIN }
    }

    pub(crate) const fn one_more(self, now: Timestamp) -> Self {
        Self { count: self.count.saturating_add(1), last: now, ..self }
    }

    /// Until when nobody is let in under this name, if that is still to come.
    pub(crate) fn blocked_until(&self, now: Timestamp) -> Option<Timestamp> {
        let beyond = self.count.checked_sub(FREE)?;
        let wait = FIRST_WAIT.saturating_mul(1_u32.checked_shl(beyond).unwrap_or(u32::MAX)).min(LONGEST_WAIT);
        // A failure that is yet to come is from before a clock that had jumped ahead was set back.
        let is_to_come = self.last.saturating_since(now) > CLOCK_TOLERANCE;
        Some(self.last.saturating_add(wait)).filter(|until| now < *until && !is_to_come)
    }

    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        out.put(self.of.as_bytes());
        out.put_u32(self.count);
        out.put_i64(self.last.as_micros());
    }

    pub(super) fn decode(mut reader: Reader<'_>) -> Result<Self, BadRow> {
        let of = PrincipalId::from_bytes(reader.array()?);
        let (count, last) = (reader.u32()?, Timestamp::from_micros(reader.i64()?));
        reader.finish()?;
        if count == 0 { Err(BadRow) } else { Ok(Self { of, count, last }) }
    }
}

/// Which count goes for that of another name, where there is no more room: one with the fewest failures, of those the
/// oldest. So whoever wants a count to go has to fail as often under a thousand other names.
pub(crate) fn least(of: impl Iterator<Item = Failures>) -> Option<Failures> {
    of.min_by_key(|failures| (failures.count, failures.last))
}

#[cfg(test)]
mod tests {
    use super::super::PolicyRow;
    use super::*;
    use crate::format::worked;
    use proptest::prelude::*;

    const PAGE: &str = include_str!("../../docs/format/policy.md");
    const NOW: Timestamp = Timestamp::from_micros(1_000_000_000);

    fn failures(count: u32) -> Failures {
        Failures { of: PrincipalId::from_bytes([7; 16]), count, last: NOW }
    }

    #[test]
    fn five_failures_cost_a_second_and_each_further_twice_as_much_up_to_a_quarter_of_an_hour() {
        let waits = |count| {
            let until = failures(count).blocked_until(NOW);
            until.map_or(0, |until| until.saturating_since(NOW).as_secs())
        };
        let expected = [0, 0, 0, 0, 0, 1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 900, 900];
        assert_eq!((0..17).map(waits).collect::<Vec<_>>(), expected);
        assert_eq!((waits(36), waits(37), waits(38), waits(u32::MAX)), (900, 900, 900, 900));
    }

    #[test]
    fn the_wait_ends_to_the_microsecond() {
        let second = |micros| Timestamp::from_micros(NOW.as_micros() + micros);
        assert_eq!(failures(5).blocked_until(second(999_999)), Some(second(1_000_000)));
        assert_eq!(failures(5).blocked_until(second(1_000_000)), None);
        assert_eq!(failures(u32::MAX).one_more(NOW).count, u32::MAX);
    }

    #[test]
    fn of_counts_the_smallest_goes_first_and_of_those_the_oldest() {
        let at = |count, micros| Failures { last: Timestamp::from_micros(micros), ..failures(count) };
        assert_eq!(least([at(2, 1), at(1, 9), at(1, 8), at(6, 0)].into_iter()), Some(at(1, 8)));
        assert_eq!(least([].into_iter()), None);
    }

    #[test]
    fn the_worked_example_holds_and_whatever_was_cut_prolonged_or_flipped_is_refused_or_another_row() {
        let of = crate::crypto::kdf::principal_id("dr.osei");
        let row = PolicyRow::Failures(Failures { of, count: 6, last: "2026-01-05T12:00:00Z".parse().unwrap() });
        let bytes = row.to_bytes();
        assert_eq!(bytes, worked::bytes(PAGE, "failures_row"));
        assert_eq!(PolicyRow::parse(&bytes).as_ref(), Ok(&row));
        for len in 0..bytes.len() {
            assert_eq!(PolicyRow::parse(&bytes[..len]), Err(BadRow), "{len}");
        }
        assert_eq!(PolicyRow::parse(&[&bytes[..], &[0]].concat()), Err(BadRow));
        for bit in 0..bytes.len() * 8 {
            let mut bad = bytes.clone();
            bad[bit / 8] ^= 1 << (bit % 8);
            assert_ne!(PolicyRow::parse(&bad).as_ref(), Ok(&row), "bit {bit}");
        }
        assert_eq!(PolicyRow::parse(&PolicyRow::Failures(failures(0)).to_bytes()), Err(BadRow));
    }

    proptest! {
        #[test]
        fn failures_come_back(of: [u8; 16], count in 1..=u32::MAX, last: i64) {
            let (of, last) = (PrincipalId::from_bytes(of), Timestamp::from_micros(last));
            let row = PolicyRow::Failures(Failures { of, count, last });
            prop_assert_eq!(PolicyRow::parse(&row.to_bytes()), Ok(row));
        }
    }
}
