//! Runs of numbers that are missing.

/// Runs that are kept apart; beyond, what lies between two of them counts as missing as well.
const MOST: usize = 1 << 20;

/// Ascending runs, first and last number of each.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Gaps(Vec<(u64, u64)>);

impl Gaps {
    /// Adds a run behind all others.
    pub(super) fn push(&mut self, first: u64, last: u64) {
        if first > last {
            return;
        }
        let full = self.0.len() >= MOST;
        match self.0.last_mut() {
            Some(run) if full || run.1.saturating_add(1) >= first => run.1 = run.1.max(last),
            _ => self.0.push((first, last)),
        }
    }

    /// Takes out a number that turned up; says whether it was missing.
    pub(super) fn fill(&mut self, number: u64) -> bool {
        let at = self.0.partition_point(|(_, last)| *last < number);
        let Some((first, last)) = self.0.get(at).copied().filter(|(first, _)| *first <= number) else { return false };
        let parts = [(first, number.saturating_sub(1)), (number.saturating_add(1), last)];
        let left = parts.into_iter().filter(|(from, to)| from <= to && !(number == 0 && *to == 0 && *from == 0));
        let left: Vec<(u64, u64)> = left.collect();
        self.0.splice(at..=at, left);
        true
    }

    pub(super) fn into_runs(self) -> Vec<(u64, u64)> {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    proptest! {
        #[test]
        fn gaps_hold_what_was_pushed_and_not_filled(
            runs in proptest::collection::vec((1..5u64, 1..9u64), 0..9), fills in proptest::collection::vec(0..80u64, 0..20),
        ) {
            let (mut gaps, mut model, mut at) = (Gaps::default(), BTreeSet::new(), 1);
            for (skip, len) in runs {
                at += skip;
                gaps.push(at, at + len - 1);
                model.extend(at..at + len);
                at += len;
            }
            for number in fills {
                prop_assert_eq!(gaps.fill(number), model.remove(&number));
            }
            let held: BTreeSet<u64> = gaps.into_runs().into_iter().flat_map(|(first, last)| first..=last).collect();
            prop_assert_eq!(held, model);
        }
    }
}
