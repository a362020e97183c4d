use proptest::prelude::*;

use super::*;

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn seen(number: u64, made: Timestamp, chain: u64) -> Seen {
    Seen { number, made, whole: true, chain }
}

/// Each a chain of its own.
fn alone(made: &[&str]) -> Vec<Seen> {
    (1..).zip(made).map(|(number, made)| seen(number, at(made), number)).collect()
}

fn numbers(set: &BTreeSet<u64>) -> Vec<u64> {
    set.iter().copied().collect()
}

const NOW: &str = "2026-03-15T12:00:00Z";
const DAY_LONG: Duration = Duration::from_secs(86_400);

#[test]
fn the_newest_of_each_period_is_kept() {
    let points = alone(&[
        "2024-12-31T23:59:59Z", // 1
        "2025-01-01T00:00:00Z", // 2: another year, the same week
        "2026-02-28T10:00:00Z", // 3
        "2026-03-08T23:59:59Z", // 4: a Sunday
        "2026-03-09T00:00:00Z", // 5: a Monday
        "2026-03-15T10:10:00Z", // 6
        "2026-03-15T11:00:00Z", // 7
        "2026-03-15T11:59:59Z", // 8
    ]);
    let new = BackupRetention::new;
    for (retention, kept) in [
        (new().last(1), vec![8]),
        (new().last(3), vec![6, 7, 8]),
        (new().last(99), vec![1, 2, 3, 4, 5, 6, 7, 8]),
        (new().hourly(1), vec![8]),
        (new().hourly(2), vec![6, 8]),
        (new().hourly(3), vec![5, 6, 8]),
        (new().daily(2), vec![5, 8]),
        (new().daily(3), vec![4, 5, 8]),
        (new().weekly(2), vec![4, 8]),
        (new().weekly(4), vec![2, 3, 4, 8]),
        (new().weekly(9), vec![2, 3, 4, 8]),
        (new().monthly(2), vec![3, 8]),
        (new().monthly(4), vec![1, 2, 3, 8]),
        (new().yearly(2), vec![2, 8]),
        (new().yearly(3), vec![1, 2, 8]),
        (new().last(1).yearly(3).daily(2), vec![1, 2, 5, 8]),
    ] {
        let verdict = retention.judge(&points, at(NOW));
        assert_eq!(numbers(&verdict.wanted), kept, "{retention:?}");
        let gone: Vec<u64> = (1..=8).filter(|number| !kept.contains(number)).collect();
        assert_eq!(numbers(&verdict.chains), gone, "{retention:?}");
    }
}

#[test]
fn without_a_rule_nothing_goes() {
    let points = alone(&["2020-01-01T00:00:00Z", "2021-01-01T00:00:00Z"]);
    for retention in
        [BackupRetention::new(), BackupRetention::new().least_age(DAY_LONG), BackupRetention::new().last(0)]
    {
        assert_eq!(numbers(&retention.judge(&points, at(NOW)).chains), [0; 0]);
    }
    assert_eq!(BackupRetention::new().last(1).judge(&[], at(NOW)), Verdict::default());
}

#[test]
fn a_chain_goes_whole_and_only_when_nothing_of_it_is_wanted() {
    let made = |day: u64| Timestamp::from_micros(0).saturating_add(DAY_LONG * u32::try_from(day).unwrap());
    let points: Vec<Seen> = (1..=9).map(|number| seen(number, made(number), (number - 1) / 3 * 3 + 1)).collect();
    for (n, gone) in [(1, vec![1, 4]), (3, vec![1, 4]), (4, vec![1]), (6, vec![1]), (7, vec![])] {
        assert_eq!(numbers(&BackupRetention::new().last(n).judge(&points, at(NOW)).chains), gone, "{n}");
    }
}

#[test]
fn what_is_younger_than_the_least_age_stays_to_the_microsecond() {
    let points = alone(&["2026-03-10T12:00:00Z", "2026-03-14T12:00:00Z", "2026-03-15T11:00:00Z"]);
    let retention = BackupRetention::new().last(1).least_age(DAY_LONG);
    assert_eq!(numbers(&retention.judge(&points, at(NOW)).chains), [1], "not older than a day");
    let later = at(NOW).saturating_add(Duration::from_micros(1));
    assert_eq!(numbers(&retention.judge(&points, later).chains), [1, 2]);
}

#[test]
fn the_newest_chain_and_the_newest_that_can_be_restored_stay() {
    let mut points = alone(&["2020-01-01T00:00:00Z", "2021-01-01T00:00:00Z", "2022-01-01T00:00:00Z"]);
    points[2].whole = false;
    let retention = BackupRetention::new().yearly(1);
    assert_eq!(numbers(&retention.judge(&points, at(NOW)).chains), [1]);
    points[1].whole = false;
    assert_eq!(numbers(&retention.judge(&points, at(NOW)).chains), [2], "one that was begun and never gone on with");
    points[0].whole = false;
    assert_eq!(numbers(&retention.judge(&points, at(NOW)).chains), [0; 0], "none is left to be restored");
    // A clock that went back: the newest by number stays, the rule picks the newest by time.
    let points = alone(&["2022-01-01T00:00:00Z", "2021-01-01T00:00:00Z", "2020-01-01T00:00:00Z"]);
    let verdict = BackupRetention::new().last(1).judge(&points, at(NOW));
    assert_eq!((numbers(&verdict.wanted), numbers(&verdict.chains)), (vec![1], vec![2]));
}

#[test]
fn backups_of_the_future_push_nobody_out() {
    let points =
        alone(&["2026-03-13T12:00:00Z", "2026-03-14T12:00:00Z", "2027-01-01T00:00:00Z", "2028-01-01T00:00:00Z"]);
    let verdict = BackupRetention::new().last(1).yearly(1).judge(&points, at(NOW));
    assert_eq!((numbers(&verdict.wanted), numbers(&verdict.chains)), (vec![2, 3, 4], vec![1]));
}

#[test]
fn of_one_moment_the_higher_number_is_the_newer() {
    let points = alone(&[NOW, NOW]);
    assert_eq!(numbers(&BackupRetention::new().last(1).judge(&points, at(NOW)).wanted), [2]);
    let ends = [Timestamp::MIN, Timestamp::MAX].map(|made| seen(1, made, 1));
    for now in [Timestamp::MIN, Timestamp::MAX] {
        for point in ends {
            BackupRetention::new().monthly(1).weekly(1).hourly(1).judge(&[point], now);
        }
    }
}

fn retention() -> impl Strategy<Value = BackupRetention> {
    (prop::array::uniform6(0_u32..4), 0_u64..2_000).prop_map(
        |([last, hourly, daily, weekly, monthly, yearly], hours)| {
            let least_age = Duration::from_secs(hours * 3_600);
            BackupRetention { last, hourly, daily, weekly, monthly, yearly, least_age }
        },
    )
}

/// Hours since the manifest before, whether it is whole, whether a chain begins.
fn history() -> impl Strategy<Value = Vec<Seen>> {
    prop::collection::vec((-3_i64..3_000, any::<bool>(), any::<bool>()), 0..40).prop_map(|steps| {
        let (mut hours, mut chain, mut seen) = (480_000, 1, Vec::new());
        for (number, (step, whole, begins)) in (1..).zip(steps) {
            hours += step;
            chain = if begins { number } else { chain };
            seen.push(Seen { number, made: Timestamp::from_micros(hours * HOUR), whole, chain });
        }
        seen
    })
}

proptest! {
    #[test]
    fn what_is_kept_is_never_removed_and_twice_is_once(
        retention in retention(), seen in history(), cut in 0_usize..40, after in 0_i64..9_000,
    ) {
        let first = seen.last().map_or(0, |last| last.made.as_micros() / HOUR);
        let now = Timestamp::from_micros((first + after - 1_000) * HOUR);
        let verdict = retention.judge(&seen, now);
        let is_gone = |manifest: &&Seen| verdict.chains.contains(&manifest.chain);
        for manifest in seen.iter().filter(is_gone) {
            prop_assert!(!verdict.wanted.contains(&manifest.number));
            prop_assert!(now.saturating_since(manifest.made) > retention.least_age);
        }
        let left: Vec<Seen> = seen.iter().filter(|manifest| !is_gone(manifest)).copied().collect();
        let newest = |seen: &[Seen]| seen.iter().rfind(|manifest| manifest.whole).copied();
        prop_assert_eq!(newest(&left), newest(&seen));
        prop_assert_eq!(left.last(), seen.last());
        prop_assert_eq!(retention.judge(&left, now), Verdict { chains: BTreeSet::new(), ..verdict.clone() });
        // Killed in the middle: some chains are gone, and one lacks its newest manifests.
        let mut some = seen.clone();
        let mut killed: Vec<u64> = seen.iter().filter(is_gone).map(|manifest| manifest.number).collect();
        killed.sort_unstable_by_key(|number| {
            let chain = seen.iter().find(|manifest| manifest.number == *number).map(|manifest| manifest.chain);
            (chain, std::cmp::Reverse(*number))
        });
        killed.truncate(cut);
        some.retain(|manifest| !killed.contains(&manifest.number));
        let again = retention.judge(&some, now);
        prop_assert_eq!(&again.wanted, &verdict.wanted);
        let rest: BTreeSet<u64> = some.iter().filter(is_gone).map(|manifest| manifest.chain).collect();
        prop_assert_eq!(again.chains, rest);
    }
}
