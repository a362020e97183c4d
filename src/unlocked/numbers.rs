//! The newest number of each kind in the charts that were written last, so that a put need not look for it.
//!
//! A number is kept once its record is queued, while the chart's stripe is still held: from then on the record becomes
//! durable, or everything stops. What was reserved and not queued is not kept, and given out again.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

/// Numbers by chart and kind.
pub(crate) type ByKind = HashMap<([u8; 16], [u8; 8]), u64>;

/// Numbers kept at least; at most twice as many.
const CAPACITY: usize = if cfg!(test) { 4 } else { 16_384 };

/// For whoever holds the chart's stripe for writing.
#[derive(Default)]
pub(crate) struct Numbers(Mutex<Kept>);

#[derive(Default)]
struct Kept {
    lately: ByKind,
    /// What was kept before `lately` was full the last time.
    before: ByKind,
}

impl Numbers {
    pub(crate) fn newest(&self, chart: &[u8; 16], kind: &[u8; 8]) -> Option<u64> {
        let kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let place = (*chart, *kind);
        kept.lately.get(&place).or_else(|| kept.before.get(&place)).copied()
    }

    /// Keeps the numbers of records that were queued.
    pub(crate) fn keep(&self, numbers: ByKind) {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for (place, number) in numbers {
            if kept.lately.len() >= CAPACITY && !kept.lately.contains_key(&place) {
                kept.before = std::mem::take(&mut kept.lately);
            }
            kept.lately.insert(place, number);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CHART: [u8; 16] = [1; 16];

    fn keep(numbers: &Numbers, kind: u8, number: u64) {
        numbers.keep(ByKind::from([((CHART, [kind; 8]), number)]));
    }

    #[test]
    fn the_number_kept_last_is_the_newest_also_where_an_older_one_is_still_there() {
        let numbers = Numbers::default();
        keep(&numbers, 0, 1);
        (1..=4).for_each(|kind| keep(&numbers, kind, 7));
        assert_eq!(numbers.newest(&CHART, &[0; 8]), Some(1));
        keep(&numbers, 0, 2);
        assert_eq!(numbers.newest(&CHART, &[0; 8]), Some(2));
        assert_eq!(numbers.newest(&[2; 16], &[0; 8]), None);
    }

    #[test]
    fn what_was_not_written_for_long_is_forgotten() {
        let numbers = Numbers::default();
        (0..=250).for_each(|kind| keep(&numbers, kind, 1));
        let kept = (0..=250).filter(|kind| numbers.newest(&CHART, &[*kind; 8]).is_some()).count();
        assert!((CAPACITY..=2 * CAPACITY).contains(&kept), "{kept}");
        assert_eq!(numbers.newest(&CHART, &[250; 8]), Some(1));
    }
}
